//! The configuration file as a flat list of keys with their places.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::NonFiniteFloatPolicy;
use serde_yaml::{Location, Spanned};

use super::keys::{KEYS, find};
use super::near::nearest;
use super::value::Raw;
use crate::model::problem::Problem;

/// A key of the file, its value and where that stands.
pub(super) struct Entry {
    pub path: &'static str,
    pub raw: Raw,
    pub place: String,
}

/// A configuration file is never near this size; more is somebody's mistake.
pub(super) const MAX_BYTES: usize = 1 << 20;

/// Reads the file's text. A key without a value counts as not written.
pub(super) fn entries(file: &str, text: &str, problems: &mut Vec<Problem>) -> Vec<Entry> {
    let options = serde_yaml::options! {
        strict_booleans: true,
        with_snippet: false,
        non_finite_float_policy: NonFiniteFloatPolicy::AsString,
        budget: serde_yaml::budget! { max_nodes: 10_000, max_depth: 32, max_documents: 1 },
    };
    let mut reader = Reader { file, text, problems, entries: Vec::new() };
    match serde_yaml::from_str_with_options::<Spanned<Node>>(text, options) {
        Ok(root) => reader.document(&root),
        Err(error) => {
            let place = error.location().map_or_else(|| file.to_string(), |at| reader.place(at));
            reader.problems.push(Problem::new(place, sentence(&error)));
        }
    }
    reader.entries
}

/// The parser's message in one line and without the place, which stands in front already.
fn sentence(error: &serde_yaml::Error) -> String {
    use serde_yaml::Error as Yaml;
    let why = match error.without_snippet() {
        Yaml::DuplicateMappingKey { key, .. } => {
            let key: String = key.iter().flat_map(|key| key.chars()).take(80).collect();
            format!("the key {key:?} stands twice in the same place")
        }
        Yaml::Budget { .. } | Yaml::MultipleDocuments { .. } => {
            "it is more than one document, or deeper or larger than any configuration".into()
        }
        Yaml::RecursiveReferencesRequireWeakTypes { .. } => "an alias stands inside its own anchor".into(),
        other => {
            let text = other.to_string();
            let line = text.lines().next().unwrap_or_default();
            let end = [" at line ", " (line "].iter().filter_map(|mark| line.rfind(mark)).min().unwrap_or(line.len());
            line.get(..end).unwrap_or(line).trim_start_matches("error: ").to_string()
        }
    };
    format!("cannot be read as YAML: {why}")
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
    entries: Vec<Entry>,
}

impl Reader<'_> {
    fn place(&self, at: Location) -> String {
        format!("{}:{}:{}", self.file, at.line(), at.column())
    }

    fn problem(&mut self, at: Location, message: String) {
        let place = self.place(at);
        self.problems.push(Problem::new(place, message));
    }

    fn document(&mut self, root: &Spanned<Node>) {
        match &root.value {
            Node::Null => {}
            Node::Map(pairs) => pairs.iter().for_each(|(name, value)| self.top(name, value)),
            other => {
                let found = self.raw(other, root.defined).found();
                self.problem(
                    root.referenced,
                    format!("the file is {found}: write keys and values, like LOG_LEVEL: info"),
                );
            }
        }
    }

    fn top(&mut self, name: &Spanned<String>, value: &Spanned<Node>) {
        let is_section = KEYS.iter().any(|key| key.section() == Some(&name.value));
        if !is_section {
            return self.leaf(&name.value, name, value);
        }
        match &value.value {
            Node::Null => {}
            Node::Map(pairs) => {
                for (inner, value) in pairs {
                    self.leaf(&format!("{}.{}", name.value, inner.value), inner, value);
                }
            }
            other => {
                let found = self.raw(other, value.defined).found();
                let inside = KEYS.iter().find(|key| key.section() == Some(&name.value)).map_or("", |key| key.path);
                let leaf = inside.rsplit('.').next().unwrap_or_default();
                let message = format!("{0} is {found}: it is a section, write {0}: {{ {leaf}: … }}", name.value);
                self.problem(value.referenced, message);
            }
        }
    }

    fn leaf(&mut self, path: &str, name: &Spanned<String>, value: &Spanned<Node>) {
        let Some(key) = find(path).filter(|key| key.section().is_none() || path != name.value) else {
            return self.unknown(path, name);
        };
        if value.value == Node::Null {
            return;
        }
        let raw = self.raw(&value.value, value.defined);
        self.entries.push(Entry { path: key.path, raw, place: self.place(value.referenced) });
    }

    fn unknown(&mut self, path: &str, name: &Spanned<String>) {
        let shown: String = path.chars().take(80).collect();
        let hint = match nearest(path, KEYS.iter().map(|key| key.path)) {
            Some(near) => match near.split_once('.') {
                Some((section, leaf)) if near == path => format!("write {section}: {{ {leaf}: … }}"),
                _ => format!("did you mean {near}?"),
            },
            None => "docs/configuration.md lists the keys".into(),
        };
        self.problem(name.referenced, format!("unknown key {shown:?}: {hint}"));
    }

    /// Scalars as they are written: `007` stays `007`.
    fn raw(&self, node: &Node, at: Location) -> Raw {
        match node {
            Node::Null => Raw::Text(String::new()),
            Node::Bool(truth) => Raw::Bool(*truth),
            Node::Number(text) => Raw::Number(self.source(at).unwrap_or_else(|| text.clone())),
            Node::Text(text) => Raw::Text(text.clone()),
            Node::List(items) => Raw::List(items.iter().map(|item| self.raw(&item.value, item.defined)).collect()),
            Node::Map(_) => Raw::Map,
        }
    }

    fn source(&self, at: Location) -> Option<String> {
        let start = usize::try_from(at.span().byte_offset()?).ok()?;
        let length = usize::try_from(at.span().byte_len()?).ok()?;
        let text = self.text.get(start..start.checked_add(length)?)?.trim();
        (!text.is_empty() && !text.contains(char::is_whitespace)).then(|| text.to_string())
    }
}

/// Any YAML value.
#[derive(Debug, PartialEq)]
enum Node {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Spanned<Node>>),
    Map(Vec<(Spanned<String>, Spanned<Node>)>),
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Node, D::Error> {
        from.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Node, E> {
        Ok(Node::Bool(truth))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Node, E> {
        Ok(Node::Number(number.to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<Node, E> {
        Ok(Node::Text(text.to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = from.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Node, A::Error> {
        let mut pairs = Vec::new();
        while let Some(pair) = from.next_entry()? {
            pairs.push(pair);
        }
        Ok(Node::Map(pairs))
    }
}
