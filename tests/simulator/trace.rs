//! What happened: the latest of it for a person, all of it as one number.

use std::collections::VecDeque;
use std::hash::{DefaultHasher, Hash, Hasher};

/// How much a failing seed prints.
const SHOWN: usize = 60;

/// Kept cheap: it is told thousands of times in a day and read once in a failure.
#[derive(Clone, Debug, Hash)]
pub enum What {
    Said(&'static str),
    Number(&'static str, u64),
    Text(&'static str, String),
    Of(&'static str, String, String),
}

#[derive(Debug)]
pub struct Trace {
    shown: usize,
    latest: VecDeque<(u64, What)>,
    hasher: DefaultHasher,
}

impl Trace {
    /// Keeps so many lines (`SIM_LINES`).
    pub fn new(shown: Option<u64>) -> Trace {
        let shown = shown.and_then(|shown| usize::try_from(shown).ok()).unwrap_or(SHOWN);
        Trace { latest: VecDeque::new(), hasher: DefaultHasher::new(), shown }
    }

    pub fn note(&mut self, now: u64, what: What) {
        (now, &what).hash(&mut self.hasher);
        if self.latest.len() >= self.shown {
            self.latest.pop_front();
        }
        self.latest.push_back((now, what));
    }

    /// The same for the same history.
    pub fn digest(&self) -> u64 {
        self.hasher.finish()
    }

    pub fn print(&self) {
        eprintln!("what happened last (days hh:mm:ss.ms of the simulation):");
        for (now, what) in &self.latest {
            let (seconds, ms) = (now / 1000, now % 1000);
            let (day, hour, minute) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
            let line = match what {
                What::Said(said) => (*said).to_owned(),
                What::Number(said, number) => format!("{said} {number}"),
                What::Text(said, text) => format!("{said} {text}"),
                What::Of(said, whose, text) => format!("{said} {whose}: {text}"),
            };
            eprintln!("  {day} {hour:02}:{minute:02}:{:02}.{ms:03}  {line}", seconds % 60);
        }
    }
}
