//! YAML or JSON text as a tree in which every value knows its line and column.
//!
//! YAML 1.2 core schema: `off`, `yes` and `no` are strings. Duplicate keys are refused, `<<` is merged, and what aliases
//! multiply counts against the same limits as what is written.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde_yaml::granit_parser::{self, Event, Parser, ScalarStyle, Tag};

use super::syntax;

/// How deep maps and lists may lie in each other.
pub const MAX_DEPTH: usize = 64;
/// How many values a file may hold, with everything that its aliases multiply.
pub const MAX_NODES: usize = 100_000;
/// How many bytes of text the values may hold, with everything that aliases multiply.
pub const MAX_TEXT_BYTES: usize = 4 << 20;

/// A line and a column, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct At {
    /// The line.
    pub line: usize,
    /// The column.
    pub column: usize,
}

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// Why a text is no tree, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError {
    /// Where.
    pub at: At,
    /// What is wrong and what would be right.
    pub message: String,
}

/// A value and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Where it begins; for an alias, where the alias stands.
    pub at: At,
    /// What it is.
    pub value: Value,
}

/// What a node is.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `null`, `~` or nothing.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number, and how it is written.
    Number(serde_json::Number, String),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A map in the order it is written; keys are unique.
    Map(Vec<(Key, Node)>),
}

/// A key of a map and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Where.
    pub at: At,
    /// As written.
    pub name: String,
}

impl Node {
    /// What it is, in a word or two, for sentences.
    #[must_use]
    pub fn what(&self) -> String {
        match &self.value {
            Value::Null => "nothing".into(),
            Value::Bool(yes) => format!("the boolean {yes}"),
            Value::Number(_, text) => format!("the number {}", short(text)),
            Value::Text(text) => format!("the text {:?}", short(text)),
            Value::List(_) => "a list".into(),
            Value::Map(_) => "a map".into(),
        }
    }

    /// The value of a key, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(entries) => entries.iter().find(|(k, _)| k.name == key).map(|(_, node)| node),
            _ => None,
        }
    }

    /// As JSON, without places.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        match &self.value {
            Value::Null => serde_json::Value::Null,
            Value::Bool(yes) => serde_json::Value::Bool(*yes),
            Value::Number(number, _) => serde_json::Value::Number(number.clone()),
            Value::Text(text) => serde_json::Value::String(text.clone()),
            Value::List(items) => items.iter().map(Node::to_json).collect(),
            Value::Map(entries) => {
                serde_json::Value::Object(entries.iter().map(|(k, node)| (k.name.clone(), node.to_json())).collect())
            }
        }
    }

    fn cost(&self) -> Cost {
        let parts = |sum: Cost, node: &Node| {
            let part = node.cost();
            Cost { depth: sum.depth.max(part.depth.saturating_add(1)), ..sum.plus(part) }
        };
        match &self.value {
            Value::Null | Value::Bool(_) => Cost::ONE,
            Value::Number(_, text) | Value::Text(text) => Cost { bytes: text.len(), ..Cost::ONE },
            Value::List(items) => items.iter().fold(Cost { depth: 1, ..Cost::ONE }, parts),
            Value::Map(entries) => entries.iter().fold(Cost { depth: 1, ..Cost::ONE }, |sum, (key, node)| {
                parts(sum.plus(Cost { bytes: key.name.len(), ..Cost::ONE }), node)
            }),
        }
    }
}

/// The first characters of a text that may be long.
pub(crate) fn short(text: &str) -> String {
    shortened(text, 60)
}

/// At most so many characters of a text.
pub(crate) fn shortened(text: &str, shown: usize) -> String {
    match text.char_indices().nth(shown) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Reads all documents of a text; documents that hold nothing are left out.
///
/// # Errors
/// The first thing that is not YAML, or more than the limits allow.
pub fn parse(text: &str) -> Result<Vec<Node>, SyntaxError> {
    let options = granit_parser::options! {
        emit_comments: false,
        flow_nesting_limit: MAX_DEPTH,
        block_nesting_limit: MAX_DEPTH,
        simple_key_max_lookahead: 1024,
    };
    let mut parser = Parser::new_from_str_with_options(text, options);
    let mut builder = Builder::default();
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| syntax::explain(text, &error))?;
        let at = At { line: span.start.line(), column: span.start.col().saturating_add(1) };
        if matches!(event, Event::StreamEnd) {
            break;
        }
        builder.event(event, at)?;
    }
    Ok(builder.documents)
}

#[derive(Clone, Copy, Default)]
struct Cost {
    nodes: usize,
    bytes: usize,
    /// Maps and lists inside each other.
    depth: usize,
}

impl Cost {
    const ONE: Cost = Cost { nodes: 1, bytes: 0, depth: 0 };

    /// Both together, as deep as the first.
    fn plus(self, other: Cost) -> Cost {
        Cost {
            nodes: self.nodes.saturating_add(other.nodes),
            bytes: self.bytes.saturating_add(other.bytes),
            depth: self.depth,
        }
    }
}

struct Frame {
    at: At,
    anchor: usize,
    inside: Inside,
}

enum Inside {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, seen: HashSet<String>, merges: Vec<Node>, pending: Option<Pending> },
}

enum Pending {
    Key(Key),
    Merge,
}

#[derive(Default)]
struct Builder {
    documents: Vec<Node>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Node>,
    spent: Cost,
}

impl Builder {
    fn event(&mut self, event: Event<'_>, at: At) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(..) => {
                self.anchors.clear();
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let merge = style == ScalarStyle::Plain && text == "<<" && tag.is_none();
                let value = scalar(text.as_ref(), style, tag.as_deref(), at)?;
                let node = Node { at, value };
                self.pay(node.cost(), at)?;
                self.node(node, text.as_ref(), merge, anchor)
            }
            Event::SequenceStart(_, anchor, _) => self.open(at, anchor, Inside::List(Vec::new())),
            Event::MappingStart(_, anchor, _) => {
                let inside =
                    Inside::Map { entries: Vec::new(), seen: HashSet::new(), merges: Vec::new(), pending: None };
                self.open(at, anchor, inside)
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(id) => {
                let Some(node) = self.anchors.get(&id) else {
                    return refuse(at, "an alias (*) inside the very value it names");
                };
                let cost = node.cost();
                if self.stack.len().saturating_add(cost.depth) > MAX_DEPTH {
                    return refuse(at, &too_deep());
                }
                let node = Node { at, value: node.value.clone() };
                self.pay(cost, at)?;
                let text = match &node.value {
                    Value::Text(text) | Value::Number(_, text) => text.clone(),
                    _ => String::new(),
                };
                self.node(node, &text, false, 0)
            }
            _ => Ok(()),
        }
    }

    fn open(&mut self, at: At, anchor: usize, inside: Inside) -> Result<(), SyntaxError> {
        if self.stack.len() >= MAX_DEPTH {
            return refuse(at, &too_deep());
        }
        if let Some(Frame { inside: Inside::Map { pending: None, .. }, .. }) = self.stack.last() {
            return refuse(at, "a map or a list where a key should be: write a plain word and a colon");
        }
        self.stack.push(Frame { at, anchor, inside });
        Ok(())
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let value = match frame.inside {
            Inside::List(items) => Value::List(items),
            Inside::Map { entries, seen, merges, .. } => Value::Map(merged(entries, seen, merges)?),
        };
        self.pay(Cost::ONE, frame.at)?;
        self.node(Node { at: frame.at, value }, "", false, frame.anchor)
    }

    /// Puts a finished node where it belongs: a document, an item, a key or a value.
    fn node(&mut self, node: Node, text: &str, merge: bool, anchor: usize) -> Result<(), SyntaxError> {
        let at = node.at;
        if anchor != 0 {
            self.pay(node.cost(), at)?;
            self.anchors.insert(anchor, node.clone());
        }
        match self.stack.last_mut() {
            None => {
                if node.value != Value::Null {
                    self.documents.push(node);
                }
            }
            Some(Frame { inside: Inside::List(items), .. }) => items.push(node),
            Some(Frame { inside: Inside::Map { entries, seen, merges, pending }, .. }) => match pending.take() {
                Some(Pending::Merge) => merges.push(node),
                Some(Pending::Key(key)) => entries.push((key, node)),
                None if merge => *pending = Some(Pending::Merge),
                None => {
                    if matches!(node.value, Value::List(_) | Value::Map(_)) {
                        return refuse(at, "a map or a list where a key should be: write a plain word and a colon");
                    }
                    if !seen.insert(text.to_owned()) {
                        let first = entries.iter().find(|(key, _)| key.name == text).map_or(0, |(key, _)| key.at.line);
                        return refuse(
                            at,
                            &format!("the key {:?} is written twice (first in line {first}): keep one", short(text)),
                        );
                    }
                    *pending = Some(Pending::Key(Key { at, name: text.to_owned() }));
                }
            },
        }
        Ok(())
    }

    fn pay(&mut self, cost: Cost, at: At) -> Result<(), SyntaxError> {
        self.spent = self.spent.plus(cost);
        if self.spent.nodes > MAX_NODES {
            return refuse(at, &format!("more than {MAX_NODES} values, counting what aliases multiply"));
        }
        if self.spent.bytes > MAX_TEXT_BYTES {
            return refuse(at, &format!("more than {MAX_TEXT_BYTES} bytes of text, counting what aliases multiply"));
        }
        Ok(())
    }
}

fn too_deep() -> String {
    format!("more than {MAX_DEPTH} maps and lists inside each other")
}

fn refuse<T>(at: At, message: &str) -> Result<T, SyntaxError> {
    Err(SyntaxError { at, message: message.to_owned() })
}

/// Adds what `<<` brings in: a key that is written in the map itself wins, then the first map that has it.
fn merged(
    mut entries: Vec<(Key, Node)>,
    mut seen: HashSet<String>,
    merges: Vec<Node>,
) -> Result<Vec<(Key, Node)>, SyntaxError> {
    for merge in merges {
        let maps = match merge.value {
            Value::Map(_) => vec![merge],
            Value::List(items) => items,
            _ => return refuse(merge.at, "`<<` takes a map, or a list of maps, mostly an alias: `<<: *name`"),
        };
        for map in maps {
            let Value::Map(more) = map.value else {
                return refuse(map.at, "`<<` takes a map, or a list of maps, mostly an alias: `<<: *name`");
            };
            for (key, node) in more {
                if seen.insert(key.name.clone()) {
                    entries.push((key, node));
                }
            }
        }
    }
    Ok(entries)
}

/// YAML 1.2 core schema for one scalar.
fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, at: At) -> Result<Value, SyntaxError> {
    if let Some(tag) = tag {
        let wanted = tag.core_suffix();
        let value = plain(text);
        return match (wanted, value) {
            (Some("str"), _) => Ok(Value::Text(text.to_owned())),
            (None, _) if tag.original() == "!" => Ok(Value::Text(text.to_owned())),
            (Some("int"), value @ Value::Number(..)) | (Some("float"), value @ Value::Number(..)) => Ok(value),
            (Some("bool"), value @ Value::Bool(_)) | (Some("null"), value @ Value::Null) => Ok(value),
            _ => refuse(at, &format!("the tag {} does not fit {:?}: leave it out", tag.original(), short(text))),
        };
    }
    if style == ScalarStyle::Plain { Ok(plain(text)) } else { Ok(Value::Text(text.to_owned())) }
}

fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| Value::Text(text.to_owned()), |found| Value::Number(found, text.to_owned()))
}

fn number(text: &str) -> Option<serde_json::Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    if let Some(hex) = text.strip_prefix("0x") {
        return digits(hex, |c| c.is_ascii_hexdigit())
            .and_then(|hex| u64::from_str_radix(hex, 16).ok())
            .map(Into::into);
    }
    if let Some(octal) = text.strip_prefix("0o") {
        let octal = digits(octal, |c| c.is_digit(8))?;
        return u64::from_str_radix(octal, 8).ok().map(Into::into);
    }
    if digits(unsigned, |c| c.is_ascii_digit()).is_some() {
        if let Ok(whole) = text.parse::<i64>() {
            return Some(whole.into());
        }
        if let Ok(whole) = unsigned.parse::<u64>()
            && !text.starts_with('-')
        {
            return Some(whole.into());
        }
    }
    // [0-9]* \. [0-9]* and an exponent: nothing else that Rust's reader would take (`inf`, `nan`) begins like this.
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = |part: &str| part.chars().all(|c| c.is_ascii_digit());
    if !all(whole) || !all(fraction) || whole.len() + fraction.len() == 0 {
        return None;
    }
    if let Some(exponent) = exponent {
        digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent), |c| c.is_ascii_digit())?;
    }
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64)
}

fn digits(text: &str, is: impl Fn(char) -> bool) -> Option<&str> {
    (!text.is_empty() && text.chars().all(is)).then_some(text)
}

#[cfg(test)]
mod tests;
