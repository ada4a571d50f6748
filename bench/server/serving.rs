//! `server serving DIR DEVICES PERIOD`: the server as a process of its own. Says its address, then answers each line.

use std::collections::BTreeSet;
use std::io::BufRead;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flotta_standin::{End, Operation, Options, Standin, Watch};

use crate::site::{configuration, write_files};

/// How often is looked at what came.
const LOOK: Duration = Duration::from_millis(100);
/// More exchanges than come between two looks.
const KEPT: usize = 50_000;

pub fn device(number: usize) -> String {
    format!("device-{number:04}")
}

/// What came since the last `mark`.
#[derive(Default)]
struct Came {
    got: BTreeSet<String>,
    beaten: BTreeSet<String>,
    both: usize,
    answered: u64,
    refused: u64,
    /// When, and how many connections and answers there had been.
    seen: Vec<(Instant, [u64; 2])>,
}

impl Came {
    fn look(&mut self, server: &Standin, watch: &mut Watch) {
        for one in watch.drain() {
            if one.status != 200 && one.status != 208 || one.end != End::Answered {
                self.refused += 1;
                continue;
            }
            self.answered += 1;
            let (set, other) = match one.operation {
                Operation::Get => (&mut self.got, &self.beaten),
                Operation::Heartbeat => (&mut self.beaten, &self.got),
                _ => continue,
            };
            if set.insert(one.device.clone()) && other.contains(&one.device) {
                self.both += 1;
            }
        }
        self.seen.push((Instant::now(), [server.counts().accepted, self.answered]));
    }

    /// The most connections and answers in any second.
    fn peaks(&self) -> [u64; 2] {
        let mut begin = 0;
        let mut most = [0; 2];
        for (at, counts) in &self.seen {
            while self.seen[begin].0 + Duration::from_secs(1) + LOOK / 2 < *at {
                begin += 1;
            }
            let before = self.seen[begin].1;
            most = [0, 1].map(|which| most[which].max(counts[which] - before[which]));
        }
        most
    }
}

pub fn main(arguments: &[String]) {
    let [dir, devices, period] = arguments else { panic!("usage: serving DIR DEVICES PERIOD") };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let options = Options { keep_bodies: false, log_limit: KEPT, ..Options::default() };
    let server = runtime.block_on(Standin::start(options)).unwrap();
    write_files(&server, Path::new(dir));
    for number in 0..devices.parse().unwrap() {
        server.enrol(&device(number));
        server.set_configuration(&device(number), configuration(period.parse().unwrap()));
    }
    let came = Arc::new(Mutex::new(Came::default()));
    let (looked, of_look) = (came.clone(), server.clone());
    std::thread::spawn(move || {
        let mut watch = of_look.watch();
        loop {
            looked.lock().unwrap().look(&of_look, &mut watch);
            std::thread::sleep(LOOK);
        }
    });
    println!("{}", server.url());
    for line in std::io::stdin().lock().lines() {
        match line.unwrap().as_str() {
            "mark" => *came.lock().unwrap() = Came::default(),
            "stop" => runtime.block_on(server.stop()),
            "restart" => runtime.block_on(server.restart()).unwrap(),
            _ => {}
        }
        let counts = server.counts();
        let came = came.lock().unwrap();
        let [connections, answers] = came.peaks();
        let answer = serde_json::json!({
            "both": came.both, "answered": came.answered, "refused": came.refused,
            "connections_peak": connections, "answers_peak": answers,
            "accepted": counts.accepted, "handshakes": counts.handshakes, "failed": counts.failed,
        });
        println!("{answer}");
    }
}
