//! `broker embedded`: flotta-broker alone, as the agent embeds it, with a tap that counts and room for many clients. The
//! one place that names its interface.

use std::io::BufRead;
use std::sync::{Arc, Mutex};

use flotta_broker::{Broker, Client, Message, Rights, Settings, Tap};

use crate::check::{Check, DIGITS, number, publisher};

/// Clients, and filters of all of them.
const CLIENTS: usize = 2_000;
/// No load has more.
const PUBLISHERS: usize = 100;

struct All;

impl Rights for All {
    fn may_publish(&self, _client: &Client, _topic: &str) -> bool {
        true
    }

    fn may_subscribe(&self, _client: &Client, _filter: &str) -> bool {
        true
    }
}

/// Every message once, in the process of the broker: like the agent's, it reads the number in the payload and keeps it.
struct Count([Mutex<Check>; PUBLISHERS]);

impl Tap for Count {
    fn wants(&self, topic: &str) -> bool {
        topic.starts_with("flotta/metrics/")
    }

    fn take(&self, message: &Message<'_>) {
        let mut check = self.0[publisher(message.topic.as_bytes())].lock().unwrap();
        check.note(number(&message.payload[..DIGITS]));
    }
}

fn start(tap: Arc<dyn Tap>) -> Broker {
    let mut settings = Settings::default();
    settings.limits.connections = CLIENTS;
    Broker::start(settings, Arc::new(All), tap)
}

/// Says its address, answers each line with what was counted, ends with the input.
pub fn main() {
    // As many as in the agent.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).max_blocking_threads(4).enable_all().build();
    let runtime = runtime.unwrap();
    let count = Arc::new(Count(std::array::from_fn(|_| Mutex::default())));
    let address = runtime.block_on(async {
        let broker = start(count.clone());
        broker.listen("127.0.0.1:0".parse().unwrap()).await.unwrap()
    });
    println!("{address}");
    for _ in std::io::stdin().lock().lines() {
        let sum = |what: fn(&Check) -> u64| count.0.iter().map(|check| what(&check.lock().unwrap())).sum::<u64>();
        println!("{} {}", sum(|check| check.got), sum(|check| check.doubled));
    }
}
