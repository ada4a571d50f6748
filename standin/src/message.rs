//! The envelope of a request, and what the framework refuses before a handler sees it (API §2, §3.6).

use chrono::{DateTime, NaiveDateTime};
use serde_json::Value;

use crate::answer::Answer;

const TYPES: [&str; 4] = ["connection-status", "command", "event", "data"];

/// What the handlers use of a message.
#[derive(Debug, Clone, Default)]
pub(crate) struct Message {
    pub(crate) directive: String,
    pub(crate) message_id: String,
    pub(crate) content: Value,
}

/// 415 for any other type of body; parameters of the type do not matter [cap 54, 55, 55b].
pub(crate) fn check_type(content_type: Option<&str>) -> Result<(), Answer> {
    let kind = content_type.unwrap_or("application/octet-stream");
    if kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let message = format!("unsupported media type {kind:?}, only [application/json] are allowed");
    Err(Answer::framework(415, 415, &message))
}

/// 406 where nothing that is accepted can be sent; asked only of requests without a body [cap 56, 56b].
pub(crate) fn check_accept(accept: Option<&str>) -> Result<(), Answer> {
    let allows = |range: &str| {
        let range = range.split(';').next().unwrap_or_default().trim();
        ["*/*", "application/*", "application/json"].contains(&range.to_ascii_lowercase().as_str())
    };
    if accept.is_none_or(|accept| accept.trim().is_empty() || accept.split(',').any(allows)) {
        return Ok(());
    }
    Err(Answer::framework(406, 406, "unsupported media type requested, only [application/json] are available"))
}

/// The envelope, or the framework's 400 and 422.
pub(crate) fn parse(body: &[u8]) -> Result<Message, Answer> {
    if body.is_empty() {
        return Err(Answer::framework(422, 602, "message in body is required"));
    }
    // Go's decoder takes the first value and does not look further.
    let value = match serde_json::Deserializer::from_slice(body).into_iter::<Value>().next() {
        Some(Ok(value)) => value,
        Some(Err(error)) if !error.is_eof() => return Err(unparsed(&format!("invalid character: {error}"))),
        _ => return Err(unparsed("unexpected EOF")),
    };
    let Value::Object(mut fields) = value else {
        let kind = kind(&value);
        return Err(unparsed(&format!("json: cannot unmarshal {kind} into Go value of type models.Message")));
    };
    let mut text = |name: &str| match fields.remove(name) {
        None | Some(Value::Null) => Ok(String::new()),
        Some(Value::String(text)) => Ok(text),
        Some(other) => Err(mismatch(&other, name, "string")),
    };
    let (directive, message_id, sort) = (text("directive")?, text("message_id")?, text("type")?);
    text("response_to")?;
    sent(&text("sent")?)?;
    if let Some(version) = fields.get("version").filter(|version| !version.is_null() && version.as_i64().is_none()) {
        return Err(mismatch(version, "version", "int64"));
    }
    if !sort.is_empty() && !TYPES.contains(&sort.as_str()) {
        let message = format!("type in body should be one of [{}]", TYPES.join(" "));
        return Err(Answer::framework(422, 606, &message));
    }
    Ok(Message { directive, message_id, content: fields.remove("content").unwrap_or_default() })
}

/// RFC 3339 with any fraction and offset, and a few forms without an offset [cap 58, 58b].
pub(crate) fn is_time(text: &str) -> bool {
    let naive = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S"];
    text.is_empty()
        || DateTime::parse_from_rfc3339(text).is_ok()
        || naive.iter().any(|form| NaiveDateTime::parse_from_str(text, form).is_ok())
}

fn sent(text: &str) -> Result<(), Answer> {
    if is_time(text) {
        return Ok(());
    }
    let why = format!(r#"parsing time "{text}" as "2006-01-02 15:04:05": cannot parse "{text}" as "2006""#);
    Err(unparsed(&why))
}

fn mismatch(value: &Value, field: &str, wanted: &str) -> Answer {
    let kind = kind(value);
    unparsed(&format!("json: cannot unmarshal {kind} into Go struct field Message.{field} of type {wanted}"))
}

fn unparsed(why: &str) -> Answer {
    Answer::framework(400, 400, &format!(r#"parsing message body from "" failed, because {why}"#))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}
