//! One line: eight hex digits of a CRC-32, a space, a JSON object.

use std::borrow::Cow;
use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::Entry;
use crate::{Limits, topic};

const FORMAT: &str = "flotta retained messages";
/// A file of another version is not guessed at.
const VERSION: u32 = 1;
/// Checksum and space.
const FRONT: usize = 9;
/// Room in a line for what is neither topic nor payload.
const AROUND: usize = 128;
/// How many bytes one byte of a topic takes at most (`\u0001`), and one of a payload (`\"`; others go as base64).
pub(super) const TOPIC_GROWTH: usize = 6;
const PAYLOAD_GROWTH: usize = 2;

/// What a good line says.
#[derive(Debug)]
pub(super) enum Line {
    /// The first one.
    Header,
    Message(Entry),
    /// The last one, with the number of messages before it.
    End(u64),
}

/// What is wrong with a line.
#[derive(Debug)]
pub(super) enum Wrong {
    /// This line says nothing, the others may.
    Line(String),
    /// The file is not ours to read.
    File(String),
}

#[derive(Serialize)]
struct Header<'a> {
    format: &'a str,
    version: u32,
}

#[derive(Serialize)]
struct Message<'a> {
    topic: &'a str,
    qos: u8,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload_base64: Option<String>,
}

#[derive(Serialize)]
struct End {
    messages: u64,
}

/// Any of the three.
#[derive(Deserialize)]
struct Any<'a> {
    #[serde(borrow)]
    format: Option<Cow<'a, str>>,
    version: Option<u32>,
    messages: Option<u64>,
    #[serde(borrow)]
    topic: Option<Cow<'a, str>>,
    qos: Option<u8>,
    #[serde(borrow)]
    payload: Option<Cow<'a, str>>,
    #[serde(borrow)]
    payload_base64: Option<Cow<'a, str>>,
}

pub(super) fn header() -> io::Result<Vec<u8>> {
    seal(&Header { format: FORMAT, version: VERSION })
}

pub(super) fn message(entry: &Entry) -> io::Result<Vec<u8>> {
    let text = std::str::from_utf8(&entry.payload).ok().filter(|text| !text.contains(is_unreadable));
    let base64 = text.is_none().then(|| STANDARD.encode(&entry.payload));
    seal(&Message { topic: &entry.topic, qos: entry.qos, payload: text, payload_base64: base64 })
}

pub(super) fn end(messages: u64) -> io::Result<Vec<u8>> {
    seal(&End { messages })
}

/// Such characters would take six bytes each, and say nothing to a reader.
fn is_unreadable(c: char) -> bool {
    c.is_ascii_control() && !matches!(c, '\t' | '\n' | '\r')
}

/// The longest line that can be right.
pub(super) fn longest(limits: &Limits) -> usize {
    let payload = limits.packet_bytes.saturating_mul(PAYLOAD_GROWTH);
    limits.topic_bytes.saturating_mul(TOPIC_GROWTH).saturating_add(payload).saturating_add(FRONT + AROUND)
}

/// The largest file that can be right: all messages in one.
pub(super) fn largest(limits: &Limits) -> u64 {
    let content = limits.retained_bytes.saturating_mul(TOPIC_GROWTH);
    let around = limits.retained_count.saturating_add(2).saturating_mul(FRONT + AROUND);
    content.saturating_add(around) as u64
}

fn seal(what: &impl Serialize) -> io::Result<Vec<u8>> {
    let mut line = vec![b' '; FRONT];
    serde_json::to_writer(&mut line, what)?;
    let (front, rest) = line.split_at_mut(FRONT);
    for (digit, hex) in front.iter_mut().zip(format!("{:08x}", crc32fast::hash(rest)).bytes()) {
        *digit = hex;
    }
    line.push(b'\n');
    Ok(line)
}

/// Reads a line, without its newline.
pub(super) fn read(line: &[u8], limits: &Limits) -> Result<Line, Wrong> {
    let wrong = |what: &str| Wrong::Line(what.to_owned());
    let (front, rest) = line.split_at_checked(FRONT).ok_or_else(|| wrong("it is too short for a checksum"))?;
    if front != format!("{:08x} ", crc32fast::hash(rest)).as_bytes() {
        return Err(wrong("its checksum is wrong"));
    }
    let any: Any<'_> = serde_json::from_slice(rest).map_err(|why| wrong(&format!("it does not fit: {why}")))?;
    match any {
        Any { format: Some(format), version, .. } => match version {
            _ if format != FORMAT => Err(Wrong::File(format!("it has the format {format:?}, not {FORMAT:?}"))),
            Some(VERSION) => Ok(Line::Header),
            Some(other) => Err(Wrong::File(format!("it has version {other}, this agent reads version {VERSION}"))),
            None => Err(Wrong::File("its first line names no version".to_owned())),
        },
        Any { messages: Some(messages), .. } => Ok(Line::End(messages)),
        Any { topic: Some(topic), qos: Some(qos), payload, payload_base64, .. } => {
            entry(&topic, qos, payload, payload_base64, limits).map(Line::Message).map_err(Wrong::Line)
        }
        Any { .. } => Err(wrong("it has no topic or no qos")),
    }
}

fn entry(
    topic: &str,
    qos: u8,
    text: Option<Cow<'_, str>>,
    base64: Option<Cow<'_, str>>,
    limits: &Limits,
) -> Result<Entry, String> {
    topic::topic(topic.as_bytes(), limits).map_err(|bad| match bad {
        topic::Bad::Malformed => "its topic is none that can be published to".to_owned(),
        topic::Bad::Unwelcome => "its topic begins with $, is too long or too deep".to_owned(),
    })?;
    if qos > 2 {
        return Err(format!("its qos is {qos}, not 0, 1 or 2"));
    }
    let payload = match (text, base64) {
        (Some(text), None) => Bytes::from(text.into_owned()),
        (None, Some(base64)) => {
            Bytes::from(STANDARD.decode(&*base64).map_err(|why| format!("its payload is no base64: {why}"))?)
        }
        (None, None) => return Err("it has no payload".to_owned()),
        (Some(_), Some(_)) => return Err("it has two payloads".to_owned()),
    };
    if payload.is_empty() {
        return Err("its payload is empty".to_owned());
    }
    if payload.len() > limits.packet_bytes {
        return Err(format!("its payload has {} bytes, more than the limit of {}", payload.len(), limits.packet_bytes));
    }
    Ok(Entry { topic: topic.into(), payload, qos })
}
