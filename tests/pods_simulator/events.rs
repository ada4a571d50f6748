//! The simulated podman's events: a log that can be replayed, and streams that lose, double, delay and end.

use std::time::Duration;

use bytes::Bytes;
use flotta_agent::executor::podman::transport::{Later, Pieces};
use serde_json::json;
use tokio::sync::mpsc;

use crate::clock::Clock;
use crate::dice::Dice;
use crate::things::Container;

/// Older ones are not replayed.
const KEPT: usize = 2_000;

#[derive(Default)]
pub struct Events {
    log: Vec<Logged>,
    streams: Vec<Stream>,
    drawn: u64,
    /// What is on its way: which stream, when, what.
    pub due: Vec<(u64, Duration, Bytes)>,
    /// Once in so many times an event is lost, comes twice, comes late.
    pub lost: u64,
    pub twice: u64,
    pub late: u64,
}

struct Logged {
    at_ns: i64,
    labels: Vec<String>,
    line: Bytes,
}

struct Stream {
    number: u64,
    to: mpsc::UnboundedSender<Result<Bytes, String>>,
    label: String,
    since_ns: i64,
    /// It says nothing any more, and does not end.
    deaf: bool,
}

impl Events {
    pub fn publish(&mut self, action: &str, of: &Container, dice: &mut Dice, clock: &Clock) {
        let at_ns = clock.wall().0 * 1_000_000 + dice.below(1_000_000) as i64;
        let mut attributes = of.labels.clone();
        attributes.insert("name".into(), of.name.clone());
        // Podman says the pod of some, and not of one that died.
        attributes.insert("podId".into(), if action == "died" { String::new() } else { of.pod.clone() });
        if action == "died" {
            attributes.insert("containerExitCode".into(), of.exit_code.to_string());
        }
        let line = json!({
            "status": action, "id": of.id, "Type": "container", "Action": action,
            "Actor": { "ID": of.id, "Attributes": attributes },
            "scope": "local", "time": at_ns / 1_000_000_000, "timeNano": at_ns,
        });
        let line = Bytes::from(format!("{line}\n"));
        let labels = of.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
        if self.log.len() >= KEPT {
            self.log.drain(..KEPT / 2);
        }
        let logged = Logged { at_ns, labels, line };
        for stream in self.streams.iter().filter(|stream| !stream.deaf && stream.takes(&logged)) {
            if dice.one_in(self.lost) {
                continue;
            }
            for _ in 0..1 + u64::from(dice.one_in(self.twice)) {
                // The log is polled.
                let late = if dice.one_in(self.late) { 40_000 } else { 250 };
                self.due.push((stream.number, dice.millis(0, late), logged.line.clone()));
            }
        }
        self.log.push(logged);
    }

    /// A new stream, with what happened since then first.
    pub fn open(&mut self, label: String, since_s: Option<i64>, deaf: bool) -> EventStream {
        let (to, from) = mpsc::unbounded_channel();
        self.drawn += 1;
        let since_ns = since_s.map_or(0, |since| since * 1_000_000_000);
        let stream = Stream { number: self.drawn, to, label, since_ns, deaf };
        if since_s.is_some() {
            for logged in self.log.iter().filter(|logged| stream.takes(logged)) {
                let _ = stream.to.send(Ok(logged.line.clone()));
            }
        }
        self.streams.push(stream);
        EventStream(from)
    }

    pub fn deliver(&mut self, number: u64, line: Bytes) {
        if let Some(stream) = self.streams.iter().find(|stream| stream.number == number && !stream.deaf) {
            let _ = stream.to.send(Ok(line));
        }
    }

    /// All streams end, orderly or not.
    pub fn cut(&mut self, orderly: bool) {
        for stream in self.streams.drain(..) {
            if !orderly {
                let _ = stream.to.send(Err("connection reset by peer".into()));
            }
        }
    }

    pub fn deafen(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.deaf = true);
    }

    /// The log is in memory: a reboot loses it.
    pub fn forget_all(&mut self) {
        self.log.clear();
        self.cut(false);
    }
}

impl Stream {
    /// `since` holds for what happens later, too.
    fn takes(&self, event: &Logged) -> bool {
        event.at_ns >= self.since_ns && event.labels.contains(&self.label)
    }
}

/// The body of an answer to `events`.
pub struct EventStream(mpsc::UnboundedReceiver<Result<Bytes, String>>);

impl Pieces for EventStream {
    fn next(&mut self) -> Later<'_, Result<Option<Bytes>, String>> {
        Box::pin(async move { self.0.recv().await.transpose() })
    }
}
