//! Reads a file line by line: what is damaged is told and left out, everything is bounded.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::line::{self, Line, Wrong};
use super::{Damage, Entry};
use crate::Limits;

/// Damaged lines told of one file; the others are counted.
const LINES_TOLD: usize = 8;

/// The messages taken so far, of all files.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    limits: &'a Limits,
    map: BTreeMap<Arc<str>, Entry>,
    bytes: usize,
}

impl<'a> Taken<'a> {
    pub fn new(limits: &'a Limits) -> Taken<'a> {
        Taken { limits, map: BTreeMap::new(), bytes: 0 }
    }

    pub fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.map.values()
    }

    pub fn finish(self) -> Vec<Entry> {
        self.map.into_values().collect()
    }

    /// Takes a message, in place of an earlier one of its topic. `false`: there is no room.
    fn put(&mut self, entry: Entry) -> bool {
        if let Some(old) = self.map.remove(&entry.topic) {
            self.bytes = self.bytes.saturating_sub(size(&old));
        }
        let bytes = self.bytes.saturating_add(size(&entry));
        let room = self.map.len() < self.limits.retained_count && bytes <= self.limits.retained_bytes;
        if room {
            self.bytes = bytes;
            self.map.insert(entry.topic.clone(), entry);
        }
        room
    }
}

fn size(entry: &Entry) -> usize {
    entry.topic.len().saturating_add(entry.payload.len())
}

/// What is wrong with one file.
#[derive(Debug)]
pub(super) struct Report {
    path: PathBuf,
    damage: Vec<Damage>,
    lines: usize,
}

impl Report {
    pub fn new(path: &Path) -> Report {
        Report { path: path.to_path_buf(), damage: Vec::new(), lines: 0 }
    }

    pub fn is_damaged(&self) -> bool {
        !self.damage.is_empty()
    }

    /// About the file as a whole.
    pub fn file(&mut self, what: String) {
        self.damage.push(Damage { file: self.path.clone(), line: None, what });
    }

    fn line(&mut self, line: u64, what: String) {
        self.lines = self.lines.saturating_add(1);
        if self.lines <= LINES_TOLD {
            self.damage.push(Damage { file: self.path.clone(), line: Some(line), what });
        }
    }

    pub fn finish(mut self) -> Vec<Damage> {
        let untold = self.lines.saturating_sub(LINES_TOLD);
        if untold > 0 {
            self.file(format!("{untold} more lines are damaged"));
        }
        self.damage
    }
}

/// Reads one file. `here` tells whether a topic belongs into it: if one that does not were taken, its line would come back
/// after each start, whatever became of the topic.
pub(super) fn shard(
    input: impl BufRead,
    limits: &Limits,
    here: impl Fn(&str) -> bool,
    taken: &mut Taken<'_>,
    report: &mut Report,
) {
    let (longest, largest) = (line::longest(limits), line::largest(limits));
    let mut input = input.take(largest);
    let mut buffer = Vec::new();
    let (mut number, mut messages, mut refused) = (0_u64, 0_u64, 0_u64);
    let mut said = None;
    loop {
        buffer.clear();
        let next = match next_line(&mut input, &mut buffer, longest) {
            Ok(Next::End) => break,
            Ok(next) => next,
            Err(why) => {
                report.file(format!("it cannot be read after line {number} ({why}); what follows is lost"));
                return;
            }
        };
        number = number.saturating_add(1);
        let read = match next {
            Next::TooLong => Err(Wrong::Line(format!("it is longer than {longest} bytes"))),
            _ => line::read(&buffer, limits),
        };
        if number == 1 && matches!(read, Ok(Line::Message(_) | Line::End(_))) {
            report
                .line(number, "it does not say what file this is; it is taken for one of retained messages".to_owned());
        }
        match read {
            Ok(Line::Header) if number == 1 => {}
            Ok(Line::Header) => report.line(number, "a first line where none should be".to_owned()),
            Ok(Line::End(count)) => said = Some(count),
            Ok(Line::Message(entry)) if !here(&entry.topic) => {
                report.line(number, format!("the topic {:?} does not belong into this file", entry.topic));
            }
            Ok(Line::Message(entry)) => {
                messages = messages.saturating_add(1);
                refused = refused.saturating_add(u64::from(!taken.put(entry)));
            }
            Err(Wrong::Line(what)) => report.line(number, what),
            Err(Wrong::File(what)) => return report.file(format!("{what}; it is not read")),
        }
    }
    if number == 0 {
        report.file("it is empty".to_owned());
    } else if input.limit() == 0 && input.get_mut().fill_buf().is_ok_and(|rest| !rest.is_empty()) {
        report.file(format!("it is larger than {largest} bytes; it is not read further"));
    } else {
        match said.map(|said| (said, said.saturating_sub(messages))) {
            None => report.file("it breaks off: its last line is missing, and maybe others before it".to_owned()),
            Some((_, 0)) => {}
            Some((said, lost)) => report.file(format!("of its {said} messages {lost} are lost")),
        }
    }
    if refused > 0 {
        report.file(format!(
            "{refused} of its messages are not taken: at most {} with {} bytes are",
            limits.retained_count, limits.retained_bytes
        ));
    }
}

enum Next {
    Line,
    TooLong,
    End,
}

/// Reads a line into the buffer, without its newline; of one that is too long, no more than the limit is ever held.
fn next_line(input: &mut impl BufRead, buffer: &mut Vec<u8>, longest: usize) -> io::Result<Next> {
    let read = input.by_ref().take((longest as u64).saturating_add(1)).read_until(b'\n', buffer)?;
    if buffer.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Next::Line);
    }
    if read == 0 {
        return Ok(Next::End);
    }
    if read <= longest {
        return Ok(Next::Line);
    }
    input.skip_until(b'\n')?;
    Ok(Next::TooLong)
}
