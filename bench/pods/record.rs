//! Requests as they arrive at podman's socket: when the first byte of each came, what was asked, when it was answered.

use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// Longer than anything takes that is waited for here.
const DEADLINE: Duration = Duration::from_secs(180);

/// A request.
#[derive(Clone, Debug)]
pub struct Call {
    /// When its first byte was seen.
    pub at: Instant,
    /// When the first byte of its answer was.
    pub answered: Option<Instant>,
    /// Method and path, without ids.
    pub name: String,
}

impl Call {
    /// It makes, starts, stops or removes something.
    pub fn is_change(&self) -> bool {
        !self.name.starts_with("GET ")
    }
}

/// All requests in the order in which they came.
#[derive(Default)]
pub struct Record {
    calls: Mutex<Vec<Call>>,
    news: Condvar,
    events: Mutex<Vec<(Instant, String)>>,
}

impl Record {
    /// One more; its place.
    pub fn note(&self, at: Instant, name: String) -> usize {
        let mut calls = self.calls.lock().unwrap();
        calls.push(Call { at, answered: None, name });
        self.news.notify_all();
        calls.len() - 1
    }

    /// The answer begins.
    pub fn answered(&self, place: usize) {
        let now = Instant::now();
        self.calls.lock().unwrap()[place].answered.get_or_insert(now);
        self.news.notify_all();
    }

    /// A piece of podman's stream of events, on its way to the agent.
    pub fn event(&self, at: Instant, bytes: &[u8]) {
        self.events.lock().unwrap().push((at, String::from_utf8_lossy(bytes).into_owned()));
    }

    /// When the first piece with both of these words passed, after a moment.
    pub fn event_with(&self, after: Instant, words: [&str; 2]) -> Option<Instant> {
        let events = self.events.lock().unwrap();
        let fits = |(at, text): &&(Instant, String)| *at >= after && words.iter().all(|word| text.contains(word));
        events.iter().find(fits).map(|(at, _)| *at)
    }

    /// How many there were.
    pub fn len(&self) -> usize {
        self.calls.lock().unwrap().len()
    }

    /// Those from this place on.
    pub fn since(&self, place: usize) -> Vec<Call> {
        self.calls.lock().unwrap()[place..].to_vec()
    }

    /// Waits until those from this place on show what is looked for.
    pub fn wait<T>(&self, place: usize, what: &str, mut look: impl FnMut(&[Call]) -> Option<T>) -> T {
        let begin = Instant::now();
        let mut calls = self.calls.lock().unwrap();
        loop {
            if let Some(found) = look(&calls[place..]) {
                return found;
            }
            assert!(begin.elapsed() < DEADLINE, "{what}: not within {} s", DEADLINE.as_secs());
            calls = self.news.wait_timeout(calls, Duration::from_secs(1)).unwrap().0;
        }
    }

    /// Waits until everything is answered and nothing more was asked for this long.
    pub fn quiet(&self, pause: Duration) {
        let begin = Instant::now();
        let mut calls = self.calls.lock().unwrap();
        loop {
            let open = calls.iter().any(|call| call.answered.is_none());
            let last = calls.iter().map(|call| call.answered.unwrap_or(call.at)).max().unwrap_or(begin);
            if !open && last.elapsed() >= pause {
                return;
            }
            assert!(begin.elapsed() < DEADLINE, "podman's socket does not get quiet");
            let left = pause.saturating_sub(last.elapsed()).max(Duration::from_millis(1));
            calls = self.news.wait_timeout(calls, left).unwrap().0;
        }
    }
}

/// A whole request.
pub struct Request {
    /// When its first byte was read.
    pub at: Instant,
    /// `GET`, …
    pub method: String,
    /// Path and query.
    pub target: String,
    /// Its body.
    pub body: Vec<u8>,
}

impl Request {
    /// What it asks for: without prefix, query and ids; a list of one workload apart from a list of all.
    pub fn name(&self) -> String {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let path = path.split_once("/libpod/").map_or(path, |(_, path)| path);
        let is_id = |part: &str| part.len() == 64 && part.bytes().all(|byte| byte.is_ascii_hexdigit());
        let mut parts: Vec<&str> = path.split('/').map(|part| if is_id(part) { "{id}" } else { part }).collect();
        match parts.as_mut_slice() {
            ["images", name, _] => *name = "{name}",
            ["volumes", name] if self.method == "DELETE" => *name = "{name}",
            _ => {}
        }
        let path = parts.join("/");
        let note = match path.as_str() {
            "containers/json" if query.contains("project-flotta.io%2Fname") => " (of one workload)",
            "containers/json" => " (of all)",
            _ => "",
        };
        format!("{} {path}{note}", self.method)
    }
}

/// Requests out of the bytes of one connection.
#[derive(Default)]
pub struct Parser {
    held: Vec<u8>,
    at: Option<Instant>,
}

impl Parser {
    /// Bytes that were read at this moment.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Vec<Request> {
        self.held.extend_from_slice(bytes);
        let mut found = Vec::new();
        while !self.held.is_empty() {
            let at = *self.at.get_or_insert(now);
            let Some(end) = self.held.windows(4).position(|four| four == b"\r\n\r\n") else { break };
            let head = String::from_utf8_lossy(&self.held[..end]).into_owned();
            let mut lines = head.lines();
            let mut words = lines.next().unwrap_or_default().split(' ');
            let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
            let header = |name: &str| {
                let of =
                    |line: &'_ str| line.split_once(':').map(|(key, value)| (key.to_owned(), value.trim().to_owned()));
                head.lines().filter_map(of).find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
            };
            assert!(header("transfer-encoding").is_none(), "the agent's bodies have a length");
            let length = header("content-length").map_or(0, |length| length.parse().unwrap());
            let whole = end + 4 + length;
            if self.held.len() < whole {
                break;
            }
            let (method, target) = (method.to_owned(), target.to_owned());
            found.push(Request { at, method, target, body: self.held[end + 4..whole].to_vec() });
            self.held.drain(..whole);
            self.at = None;
        }
        found
    }
}
