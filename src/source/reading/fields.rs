//! Reading a map field by field: each error and warning with its file, line, column and path.

use std::collections::BTreeMap;
use std::time::Duration;

use super::duration;
use super::tree::{At, Key, Node, Value, short};
use crate::model::problem::Problem;

/// The most errors and warnings that are kept of one file each; the last one says that there are more.
pub const MAX_NOTES: usize = 50;

/// What was found in a file, or one document of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The file, as people know it: `manifests/a.yaml`.
    pub file: String,
    /// What keeps a document from being carried out.
    pub errors: Vec<Problem>,
    /// What was read differently from how it is written, or not at all.
    pub warnings: Vec<Problem>,
}

impl Report {
    pub(crate) fn new(file: &str) -> Report {
        Report { file: file.to_owned(), ..Report::default() }
    }

    pub(crate) fn error(&mut self, at: At, message: impl Into<String>) {
        let place = format!("{}:{at}", self.file);
        note(&mut self.errors, Problem::new(place, message));
    }

    pub(crate) fn warn(&mut self, at: At, message: impl Into<String>) {
        let place = format!("{}:{at}", self.file);
        note(&mut self.warnings, Problem::new(place, message));
    }
}

fn note(notes: &mut Vec<Problem>, problem: Problem) {
    if notes.len() + 1 < MAX_NOTES {
        notes.push(problem);
    } else if notes.len() < MAX_NOTES {
        notes.push(Problem::new(problem.place, "and more of the kind, not listed"));
    }
}

/// A map whose fields are taken one by one; what nobody took is warned about by [`Fields::finish`].
pub(crate) struct Fields<'a> {
    pub path: String,
    pub at: At,
    entries: Vec<(&'a Key, &'a Node)>,
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// `None` (and an error) if it is no map.
    pub fn of(report: &mut Report, path: &str, node: &'a Node) -> Option<Fields<'a>> {
        match &node.value {
            Value::Map(entries) => Some(Fields {
                path: path.to_owned(),
                at: node.at,
                entries: entries.iter().map(|(key, node)| (key, node)).collect(),
                known: Vec::new(),
            }),
            _ => {
                report.error(node.at, format!("{path}: must be a map (`key: value`), not {}", node.what()));
                None
            }
        }
    }

    pub fn name(&self, field: &str) -> String {
        if self.path.is_empty() { field.to_owned() } else { format!("{}.{field}", self.path) }
    }

    /// Takes a field; `null` is the same as absent.
    pub fn take(&mut self, field: &'static str) -> Option<&'a Node> {
        self.take_entry(field).map(|(_, node)| node)
    }

    pub fn take_entry(&mut self, field: &'static str) -> Option<(&'a Key, &'a Node)> {
        self.known.push(field);
        let index = self.entries.iter().position(|(key, _)| key.name == field)?;
        let entry = self.entries.swap_remove(index);
        (entry.1.value != Value::Null).then_some(entry)
    }

    /// Looks at a field without taking it.
    pub fn entry(&self, field: &str) -> Option<(&'a Key, &'a Node)> {
        self.entries.iter().find(|(key, _)| key.name == field).copied()
    }

    /// Fields that are right and that the agent has no use for.
    pub fn ignore(&mut self, fields: &[&'static str]) {
        for field in fields {
            let _ = self.take_entry(field);
        }
    }

    /// Fields that are right and not carried out yet: one warning each.
    pub fn not_yet(&mut self, report: &mut Report, fields: &[&'static str]) {
        for field in fields {
            if let Some((key, _)) = self.take_entry(field) {
                report.warn(key.at, format!("{}: is not carried out yet, and ignored", self.name(field)));
            }
        }
    }

    /// Warns about each field that nobody took.
    pub fn finish(mut self, report: &mut Report) {
        self.entries.sort_by_key(|(key, _)| key.at);
        for (key, _) in &self.entries {
            let hint =
                closest(&key.name, &self.known).map(|near| format!("; did you mean {near:?}?")).unwrap_or_default();
            report.warn(key.at, format!("{}: unknown field, ignored{hint}", self.name(&short(&key.name))));
        }
    }

    pub fn map(&mut self, report: &mut Report, field: &'static str) -> Option<Fields<'a>> {
        let node = self.take(field)?;
        Fields::of(report, &self.name(field), node)
    }

    pub fn list(&mut self, report: &mut Report, field: &'static str) -> Option<&'a [Node]> {
        let node = self.take(field)?;
        match &node.value {
            Value::List(items) => Some(items),
            _ => {
                report.error(
                    node.at,
                    format!("{}: must be a list (`- …` or `[…]`), not {}", self.name(field), node.what()),
                );
                None
            }
        }
    }

    pub fn text(&mut self, report: &mut Report, field: &'static str) -> Option<String> {
        let node = self.take(field)?;
        text(report, &self.name(field), node)
    }

    pub fn boolean(&mut self, report: &mut Report, field: &'static str) -> Option<bool> {
        let node = self.take(field)?;
        match &node.value {
            Value::Bool(yes) => Some(*yes),
            _ => {
                let found = node.what();
                report.error(node.at, format!("{}: must be true or false, not {found}", self.name(field)));
                None
            }
        }
    }

    pub fn integer(&mut self, report: &mut Report, field: &'static str, from: i64, to: i64) -> Option<i64> {
        let node = self.take(field)?;
        integer(report, &self.name(field), node, from, to)
    }

    pub fn number(&mut self, report: &mut Report, field: &'static str) -> Option<f64> {
        let node = self.take(field)?;
        let number = match &node.value {
            Value::Number(number, _) => number.as_f64(),
            _ => None,
        };
        if number.is_none() {
            report.error(node.at, format!("{}: must be a number, not {}", self.name(field), node.what()));
        }
        number
    }

    pub fn duration(&mut self, report: &mut Report, field: &'static str) -> Option<Duration> {
        let node = self.take(field)?;
        let read = match &node.value {
            Value::Text(text) => duration::parse(text),
            Value::Number(number, text) => number
                .as_u64()
                .map(Duration::from_secs)
                .filter(|length| *length <= duration::LONGEST)
                .ok_or_else(|| format!("{} is not {}", short(text), duration::FORM)),
            _ => Err(format!("must be {}, not {}", duration::FORM, node.what())),
        };
        read.map_err(|why| report.error(node.at, format!("{}: {why}", self.name(field)))).ok()
    }

    /// A map of strings: labels, annotations.
    pub fn texts(&mut self, report: &mut Report, field: &'static str) -> BTreeMap<String, String> {
        let path = self.name(field);
        let Some(node) = self.take(field) else { return BTreeMap::new() };
        let Value::Map(entries) = &node.value else {
            report.error(node.at, format!("{path}: must be a map (`key: value`), not {}", node.what()));
            return BTreeMap::new();
        };
        entries
            .iter()
            .filter_map(|(key, node)| {
                let value = text(report, &format!("{path}.{}", short(&key.name)), node)?;
                Some((key.name.clone(), value))
            })
            .collect()
    }
}

pub(crate) fn text(report: &mut Report, path: &str, node: &Node) -> Option<String> {
    let written = match &node.value {
        Value::Text(text) => return Some(text.clone()),
        Value::Number(_, text) => Some(text.clone()),
        Value::Bool(yes) => Some(yes.to_string()),
        _ => None,
    };
    let hint = written.map(|text| format!("; write \"{}\", with quotes", short(&text))).unwrap_or_default();
    report.error(node.at, format!("{path}: must be text, not {}{hint}", node.what()));
    None
}

/// Text, or a number or boolean as it is written: what a program gets as an argument or in its environment.
pub(crate) fn as_written(report: &mut Report, path: &str, node: &Node) -> Option<String> {
    let written = match &node.value {
        Value::Text(text) | Value::Number(_, text) => text.clone(),
        Value::Bool(yes) => yes.to_string(),
        _ => {
            report.error(node.at, format!("{path}: must be text, a number or a boolean, not {}", node.what()));
            return None;
        }
    };
    if written.contains('\0') {
        report.error(node.at, format!("{path}: must not contain the character NUL"));
        return None;
    }
    Some(written)
}

pub(crate) fn integer(report: &mut Report, path: &str, node: &Node, from: i64, to: i64) -> Option<i64> {
    if let Value::Number(number, _) = &node.value
        && let Some(whole) = number.as_i64()
        && (from..=to).contains(&whole)
    {
        return Some(whole);
    }
    report.error(node.at, format!("{path}: must be a whole number from {from} to {to}, not {}", node.what()));
    None
}

/// The items of a list of at most `most`.
pub(crate) fn items<'a>(report: &mut Report, path: &str, node: &'a Node, most: usize) -> &'a [Node] {
    match &node.value {
        Value::List(items) if items.len() > most => {
            report.error(node.at, format!("{path}: more than {most} of them"));
            &items[..most]
        }
        Value::List(items) => items,
        _ => {
            report.error(node.at, format!("{path}: must be a list (`- …` or `[…]`), not {}", node.what()));
            &[]
        }
    }
}

/// The known name that was probably meant.
fn closest(written: &str, known: &[&'static str]) -> Option<&'static str> {
    if written.len() > 40 {
        return None;
    }
    known
        .iter()
        .map(|name| (distance(&written.to_lowercase(), &name.to_lowercase()), *name))
        .filter(|(far, name)| *far <= 2 && *far < name.len() / 2)
        .min()
        .map(|(_, name)| name)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let cost = (diagonal + usize::from(x != *y)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], cost);
        }
    }
    row[b.len()]
}
