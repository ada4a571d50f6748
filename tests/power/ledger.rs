//! What was asked of the agent and what it acknowledged, in lines: the one thing of a guest that a power cut cannot touch.
//!
//! ```text
//! issue NAME NUMBER VALUE    this is asked for now
//! ack NAME NUMBER VALUE      the agent has it, long enough that it must not be lost
//! found NAME NUMBER VALUE    this was there after a cut
//! ```

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub number: u64,
    pub value: String,
}

#[derive(Debug, Default)]
pub struct Ledger {
    /// By name: what may be there, from what was acknowledged last on.
    entries: BTreeMap<String, Vec<Entry>>,
    last: u64,
}

impl Ledger {
    pub fn read(text: &str) -> Ledger {
        let mut ledger = Ledger::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            if let [what, name, number, value] = words[..]
                && let Ok(number) = number.parse()
            {
                ledger.take(what, name, Entry { number, value: value.to_owned() });
            }
        }
        ledger
    }

    fn take(&mut self, what: &str, name: &str, entry: Entry) {
        self.last = self.last.max(entry.number);
        let of = self.entries.entry(name.to_owned()).or_default();
        match what {
            "issue" => of.push(entry),
            "ack" => of.retain(|one| one.number >= entry.number),
            "found" => *of = vec![entry],
            _ => {}
        }
    }

    /// Writes a line out of the guest, and takes it.
    pub fn say(&mut self, what: &str, name: &str, number: u64, value: &str) {
        println!("{what} {name} {number} {value}");
        self.take(what, name, Entry { number, value: value.to_owned() });
    }

    /// Asks for something new; its number.
    pub fn issue(&mut self, name: &str, value: &str) -> u64 {
        let number = self.last + 1;
        self.say("issue", name, number, value);
        number
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What may be there, the newest last; nothing was ever asked of a name that it does not know.
    pub fn allowed(&self, name: &str) -> &[Entry] {
        self.entries.get(name).map_or(&[], Vec::as_slice)
    }

    pub fn newest(&self, name: &str) -> Option<&Entry> {
        self.allowed(name).last()
    }
}
