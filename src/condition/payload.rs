//! Metric values as they come: MQTT payloads and topics, and the body of `POST /metrics` (SPEC "MQTT", "HTTP").

use std::time::Duration;

use serde_json::Value;

use crate::model::metric::MetricUpdate;
use crate::model::time::Wall;

use super::{MAX_NAME, lexer::is_name_byte, number};

/// Longest payload of a metric, in bytes.
pub const MAX_PAYLOAD: usize = 4_096;
/// Longest unit kept, in bytes.
pub const MAX_UNIT: usize = 32;
/// Most metrics in one request.
pub const MAX_BATCH: usize = 4_096;

/// What a payload says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Payload {
    /// `None` clears.
    pub value: Option<f64>,
    /// As it was sent.
    pub unit: Option<String>,
    /// The sender's time.
    pub timestamp: Option<Wall>,
    /// Counts from arrival.
    pub ttl: Option<Duration>,
}

/// The metric's name for the levels of a topic below `metrics/`: percent-decoded, joined with `.`.
///
/// # Errors
/// A sentence.
pub fn metric_name(levels: &str) -> Result<String, String> {
    let mut name = String::with_capacity(levels.len());
    for (at, level) in levels.split('/').enumerate() {
        if at > 0 {
            name.push('.');
        }
        if level.contains('%') { name.push_str(&percent_decode(level)?) } else { name.push_str(level) }
    }
    check_name(&name)?;
    Ok(name)
}

/// Checks the name of a metric that somebody sends.
///
/// # Errors
/// A sentence that says what would be right.
pub fn check_name(name: &str) -> Result<(), String> {
    let bytes = name.as_bytes();
    let shown = || name.chars().take(64).collect::<String>();
    let begins = bytes.first().is_some_and(|b| b.is_ascii_alphabetic() || *b == b'_');
    if !begins || !bytes.iter().all(|b| is_name_byte(*b)) || bytes.len() > MAX_NAME {
        return Err(format!(
            "{:?} is not a metric's name: it begins with a letter or _, goes on with letters, digits, _ . -, and has at most {MAX_NAME} bytes",
            shown()
        ));
    }
    if matches!(name, "and" | "or" | "nil") {
        return Err(format!("{name:?} is a word of the condition language: choose another name"));
    }
    if name.starts_with("node.") {
        return Err(format!("{:?}: names beginning with node. are the agent's own", shown()));
    }
    Ok(())
}

/// Reads an MQTT payload.
///
/// # Errors
/// A sentence that says what would be right.
pub fn read(payload: &[u8]) -> Result<Payload, String> {
    if payload.len() > MAX_PAYLOAD {
        return Err(format!("the payload has {} bytes; at most {MAX_PAYLOAD} are taken", payload.len()));
    }
    let text = std::str::from_utf8(payload).map_err(|_| "the payload is not UTF-8 text".to_owned())?.trim();
    match text {
        "" | "null" | "nil" => return Ok(Payload::default()),
        "true" | "on" => return Ok(Payload { value: Some(1.0), ..Payload::default() }),
        "false" | "off" => return Ok(Payload { value: Some(0.0), ..Payload::default() }),
        _ => {}
    }
    if text.starts_with('{') {
        let object: Value = serde_json::from_str(text).map_err(|why| format!("not valid JSON: {why}"))?;
        return fields(&object, false).map(|(_, payload)| payload);
    }
    number_of(text, None)
}

/// Reads the body of `POST /metrics`: one object, or an array of them.
///
/// # Errors
/// A sentence that names the entry and the field.
pub fn read_request(body: &[u8]) -> Result<Vec<MetricUpdate>, String> {
    let example = r#"send {"name":"cpu","value":20} or an array of such objects"#;
    let json: Value = serde_json::from_slice(body).map_err(|why| format!("not valid JSON: {why}; {example}"))?;
    let one = |object: &Value| {
        fields(object, true).map(|(name, p)| MetricUpdate {
            name,
            value: p.value,
            unit: p.unit,
            timestamp: p.timestamp,
            ttl: p.ttl,
        })
    };
    match json {
        Value::Array(entries) if entries.len() > MAX_BATCH => {
            Err(format!("{} metrics in one request; at most {MAX_BATCH} are taken", entries.len()))
        }
        Value::Array(entries) => {
            let numbered = |(at, entry)| one(entry).map_err(|why| format!("entry {at}: {why}"));
            entries.iter().enumerate().map(numbered).collect()
        }
        object => one(&object).map(|update| vec![update]),
    }
}

fn fields(object: &Value, named: bool) -> Result<(String, Payload), String> {
    let Value::Object(object) = object else {
        return Err(r#"expected an object like {"name":"cpu","value":20}"#.into());
    };
    let known = ["value", "unit", "timestamp", "ttl_seconds"];
    if let Some(other) = object.keys().find(|key| !(known.contains(&key.as_str()) || named && *key == "name")) {
        let shown: String = other.chars().take(32).collect();
        return Err(format!("field {shown:?} is not known; there are value, unit, timestamp and ttl_seconds"));
    }
    let name = match object.get("name") {
        Some(Value::String(name)) => {
            check_name(name).map_err(|why| format!("name: {why}"))?;
            name.clone()
        }
        _ if !named => String::new(),
        Some(other) => return Err(format!("name: expected a string, found {}", kind(other))),
        None => return Err("name is missing: which metric is it?".into()),
    };
    let unit = match object.get("unit") {
        None | Some(Value::Null) => None,
        Some(Value::String(unit)) if unit.len() <= MAX_UNIT => Some(unit.trim()),
        Some(Value::String(unit)) => return Err(format!("unit: {} bytes; at most {MAX_UNIT} are kept", unit.len())),
        Some(other) => return Err(format!("unit: expected a string, found {}", kind(other))),
    };
    let mut payload = match object.get("value") {
        None => return Err("value is missing; null clears the metric".into()),
        Some(Value::Null) => Payload::default(),
        Some(Value::Bool(on)) => Payload { value: Some(f64::from(u8::from(*on))), ..Payload::default() },
        Some(Value::Number(value)) => match value.as_f64().filter(|value| value.is_finite()) {
            Some(value) => scaled(value, unit)?,
            None => return Err(format!("value: {value} is not a finite number")),
        },
        Some(Value::String(text)) => number_of(text, unit).map_err(|why| format!("value: {why}"))?,
        Some(other) => return Err(format!("value: expected a number, found {}", kind(other))),
    };
    payload.timestamp = match object.get("timestamp") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) => {
            let text: String = text.chars().take(64).collect();
            Some(Wall::parse_rfc3339(&text).map_err(|why| format!("timestamp: {why}"))?)
        }
        Some(other) => return Err(format!("timestamp: expected an RFC 3339 string, found {}", kind(other))),
    };
    payload.ttl = match object.get("ttl_seconds").map(|ttl| (ttl, ttl.as_f64())) {
        None | Some((Value::Null, _)) => None,
        // Longer than a duration can be is as long as it can be.
        Some((_, Some(seconds))) if seconds > 0.0 => {
            Some(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
        }
        Some((other @ Value::Number(_), _)) => {
            return Err(format!("ttl_seconds: expected seconds above 0, found {other}"));
        }
        Some((other, _)) => return Err(format!("ttl_seconds: expected seconds above 0, found {}", kind(other))),
    };
    Ok((name, payload))
}

fn scaled(value: f64, unit: Option<&str>) -> Result<Payload, String> {
    let factor = unit.map_or(Ok(1.0), number::scale).map_err(|why| format!("unit: {why}"))?;
    let value = value * factor;
    if !value.is_finite() {
        return Err("value: too large with that unit".into());
    }
    Ok(Payload { value: Some(value), unit: unit.filter(|u| !u.is_empty()).map(str::to_owned), ..Payload::default() })
}

fn number_of(text: &str, unit: Option<&str>) -> Result<Payload, String> {
    let number = number::read(text).map_err(|why| {
        format!(
            "{why}; a metric's value is 20, 20.5, 20%, true, false, on, off, or {{\"value\":20}}; empty or null clears"
        )
    })?;
    if number.unit.is_empty() {
        return scaled(number.value, unit);
    }
    let kept: String = number.unit.chars().take(MAX_UNIT / 4).collect();
    Ok(Payload { value: Some(number.value), unit: Some(kept), ..Payload::default() })
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

fn percent_decode(level: &str) -> Result<String, String> {
    let mut bytes = Vec::with_capacity(level.len());
    let mut rest = level.as_bytes();
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let hex = rest.get(..2).and_then(|hex| std::str::from_utf8(hex).ok());
        let byte = hex.and_then(|hex| u8::from_str_radix(hex, 16).ok());
        bytes.push(byte.ok_or("a % in a topic must be followed by two hexadecimal digits")?);
        rest = rest.get(2..).unwrap_or_default();
    }
    String::from_utf8(bytes).map_err(|_| "a topic level is not UTF-8 once decoded".into())
}
