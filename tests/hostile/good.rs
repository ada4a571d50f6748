//! The client that an attack must not hurt: 200 messages per second at QoS 1, every other one a metric of the agent's, and a
//! subscription to both topics.
//!
//! Latency is from the moment at which a message was due, not from when the socket took it: being held back counts.

use std::io::{BufReader, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use super::device::deadline;
use super::mqtt::{self, Client, DISCONNECT, PUBACK, SUBACK};

const PER_SECOND: u64 = 200;
const PERIOD: Duration = Duration::from_micros(1_000_000 / PER_SECOND);
/// Nothing hostile publishes to these.
const TOPICS: [&str; 2] = ["flotta/metrics/good", "good/message"];

/// Since the machine started.
pub fn now() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

#[derive(Default)]
struct Progress {
    sent: u64,
    acknowledged: u64,
    /// Of each message that arrived, by its number's topic in order.
    latencies: Vec<Duration>,
    /// What went wrong: the end of the connection, a double, a wrong order.
    broken: Option<String>,
    finishing: bool,
}

#[derive(Default)]
struct Shared {
    progress: Mutex<Progress>,
    changed: Condvar,
}

enum Say {
    Acknowledge(u16),
    Finish,
}

pub struct Good {
    shared: Arc<Shared>,
    say: Sender<Say>,
    threads: [JoinHandle<()>; 2],
    stream: TcpStream,
}

/// What the good client saw.
pub struct Figures {
    pub sent: u64,
    pub lost: u64,
    pub p50: Duration,
    pub p99: Duration,
    pub max: Duration,
}

impl Good {
    pub fn start(broker: &str) -> Good {
        let mut client = Client::connect(broker, "good").expect("a good client is let in");
        let codes = client.subscribe(&TOPICS, 1).expect("a good client may subscribe");
        assert_eq!(codes, [1, 1], "both topics at QoS 1");
        let shared = Arc::new(Shared::default());
        let (say, heard) = channel();
        let begin = now();
        let stream = client.stream.try_clone().expect("cloned");
        let (to, from) = (stream.try_clone().expect("cloned"), client.stream);
        let (writer, reader, answer) = (shared.clone(), shared.clone(), say.clone());
        let writer = std::thread::spawn(move || write(to, begin, &heard, &writer));
        let reader = std::thread::spawn(move || read(from, begin, &answer, &reader));
        Good { shared, say, threads: [writer, reader], stream }
    }

    /// Waits until so many more of its messages have arrived.
    pub fn gets(&self, more: u64) {
        let wanted = self.arrived() + more;
        let due = Duration::from_secs(more / PER_SECOND);
        self.wait(due, &format!("{more} more messages arrive"), |p| p.latencies.len() as u64 >= wanted);
    }

    pub fn arrived(&self) -> u64 {
        self.shared.progress.lock().unwrap().latencies.len() as u64
    }

    /// Publishes no more, waits for what is under way, and leaves.
    pub fn finish(self) -> Figures {
        self.say.send(Say::Finish).expect("the writer lives");
        self.wait(Duration::ZERO, "everything published arrives and is acknowledged", |p| {
            p.finishing && p.latencies.len() as u64 == p.sent && p.acknowledged == p.sent
        });
        let _ = (&self.stream).write_all(DISCONNECT);
        let _ = self.stream.shutdown(Shutdown::Both);
        // The writer ends with the last of those who speak to it.
        drop(self.say);
        self.threads.into_iter().for_each(|thread| thread.join().expect("it does not panic"));
        let progress = self.shared.progress.lock().unwrap();
        let mut sorted = progress.latencies.clone();
        sorted.sort();
        let at = |percent: usize| sorted.get(sorted.len() * percent / 100).copied().unwrap_or_default();
        Figures {
            sent: progress.sent,
            lost: progress.sent - sorted.len() as u64,
            p50: at(50),
            p99: at(99),
            max: sorted.last().copied().unwrap_or_default(),
        }
    }

    fn wait(&self, due: Duration, what: &str, is_true: impl Fn(&Progress) -> bool) {
        let progress = self.shared.progress.lock().unwrap();
        let (progress, late) = self
            .shared
            .changed
            .wait_timeout_while(progress, due + deadline(), |progress| progress.broken.is_none() && !is_true(progress))
            .unwrap();
        if let Some(why) = &progress.broken {
            panic!("the good client was hurt: {why}, after {} of {}", progress.latencies.len(), progress.sent);
        }
        let (arrived, sent, acknowledged) = (progress.latencies.len(), progress.sent, progress.acknowledged);
        assert!(!late.timed_out(), "the good client: {what}: {arrived} of {sent} did, {acknowledged} acknowledged");
    }
}

impl Shared {
    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.progress.lock().unwrap());
        self.changed.notify_all();
    }

    fn breaks(&self, why: String) {
        self.update(|progress| {
            progress.broken.get_or_insert(why);
        });
    }
}

/// When this message is to be sent.
fn due(begin: Duration, number: u64) -> Duration {
    begin + PERIOD * u32::try_from(number).expect("few")
}

fn write(mut stream: TcpStream, begin: Duration, heard: &Receiver<Say>, shared: &Shared) {
    let (mut number, mut publishing) = (0, true);
    loop {
        let wait = if publishing { due(begin, number).saturating_sub(now()) } else { deadline() };
        let bytes = match heard.recv_timeout(wait) {
            Ok(Say::Acknowledge(pkid)) => mqtt::puback(pkid),
            Ok(Say::Finish) => {
                publishing = false;
                shared.update(|progress| progress.finishing = true);
                continue;
            }
            Err(RecvTimeoutError::Timeout) if publishing => {
                let pkid = u16::try_from(number % 65_535).expect("small") + 1;
                let topic = TOPICS[usize::try_from(number % 2).expect("small")];
                shared.update(|progress| progress.sent += 1);
                number += 1;
                mqtt::publish(2, pkid, topic, (number - 1).to_string().as_bytes())
            }
            Err(_) => return,
        };
        if let Err(why) = stream.write_all(&bytes) {
            return shared.breaks(format!("writing: {why}"));
        }
    }
}

fn read(stream: TcpStream, begin: Duration, say: &Sender<Say>, shared: &Shared) {
    let mut stream = BufReader::new(stream);
    let mut next = [0, 1];
    loop {
        let (byte1, body) = match mqtt::read_packet(&mut stream) {
            Ok(packet) => packet,
            Err(why) => return shared.breaks(format!("reading: {why}")),
        };
        match byte1 & 0xf0 {
            PUBACK => shared.update(|progress| progress.acknowledged += 1),
            0x30 => {
                let arrived = now();
                let Some((topic, pkid, payload)) = mqtt::published(byte1, &body) else {
                    return shared.breaks(format!("not a PUBLISH: {body:?}"));
                };
                let number = std::str::from_utf8(payload).ok().and_then(|text| text.parse::<u64>().ok());
                let at = TOPICS.iter().position(|known| known.as_bytes() == topic);
                let (Some(at), Some(number)) = (at, number) else {
                    return shared.breaks(format!("it got what it did not ask for: {body:?}"));
                };
                if number != next[at] {
                    return shared.breaks(format!("{} came where {} was due in {}", number, next[at], TOPICS[at]));
                }
                next[at] += 2;
                shared.update(|progress| progress.latencies.push(arrived.saturating_sub(due(begin, number))));
                // The writer is gone only after something broke.
                let _ = say.send(Say::Acknowledge(pkid));
            }
            SUBACK => {}
            _ => return shared.breaks(format!("an unexpected packet {byte1:#x}")),
        }
    }
}
