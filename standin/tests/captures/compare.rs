//! An answer beside the captured one.

use std::io;

use serde_json::Value;

use crate::common::Reply;

/// What is another one every time.
const VOLATILE: [&str; 3] = ["message_id", "sent", "certificate"];
const HEADERS: [&str; 4] = ["Content-Type", "Allow", "Transfer-Encoding", "Content-Length"];

/// The first difference that matters.
pub fn answer(capture: &Value, answer: io::Result<Reply>) -> Result<(), String> {
    let expected = &capture["response"];
    let reply = match (expected.get("transport_error"), answer) {
        (Some(error), Err(seen)) => return transport(error.as_str().unwrap_or_default(), &seen),
        (Some(error), Ok(reply)) => return Err(format!("answered {} instead of {error}", reply.status)),
        (None, Err(error)) => return Err(format!("no answer: {error}")),
        (None, Ok(reply)) => reply,
    };
    if expected["status"] != reply.status {
        return Err(format!("{} instead of {}", reply.status, expected["status"]));
    }
    if reply.header("Date") != expected["headers"]["Date"].as_str() && !within_a_minute(&reply, expected) {
        return Err(format!("at {:?} instead of {}", reply.header("Date"), expected["headers"]["Date"]));
    }
    for name in HEADERS {
        // A signature's length differs by a byte or two, and the certificate is in the body.
        if name == "Content-Length" && expected["body"]["content"]["certificate"].is_string() {
            continue;
        }
        if expected["headers"][name].as_str() != reply.header(name) {
            return Err(format!("{name}: {:?} instead of {}", reply.header(name), expected["headers"][name]));
        }
    }
    let echoed = capture["request"]["body"]["message_id"].as_str();
    if expected["body"]["message_id"].as_str() == echoed
        && echoed != reply.json()["message_id"].as_str()
        && echoed.is_some()
    {
        let asked_for = expected["body"].is_object();
        if asked_for && expected["body"].get("code").is_none() {
            return Err("the message_id is not echoed".to_owned());
        }
    }
    body(&expected["body"], &reply.json())
}

/// The connection ended as it did there: properly and without a byte, or with an alert about the certificate.
fn transport(expected: &str, seen: &io::Error) -> Result<(), String> {
    let same = if expected.starts_with("RemoteDisconnected") {
        seen.kind() == io::ErrorKind::UnexpectedEof && !seen.to_string().contains("close_notify")
    } else {
        expected.contains("ALERT_BAD_CERTIFICATE") && seen.to_string().contains("CertificateRequired")
    };
    if same { Ok(()) } else { Err(format!("{seen} instead of {expected}")) }
}

fn within_a_minute(reply: &Reply, expected: &Value) -> bool {
    let time = |text: Option<&str>| chrono::DateTime::parse_from_rfc2822(text.unwrap_or_default());
    match (time(reply.header("Date")), time(expected["headers"]["Date"].as_str())) {
        (Ok(one), Ok(other)) => (one - other).num_seconds().abs() < 60,
        _ => false,
    }
}

/// Everything equal but what is new every time; lists of workloads, Secrets and ConfigMaps have no order.
pub fn body(expected: &Value, actual: &Value) -> Result<(), String> {
    let (expected, actual) = (comparable("", expected), comparable("", actual));
    if expected == actual { Ok(()) } else { Err(format!("\n  expected {expected}\n  got      {actual}")) }
}

fn comparable(key: &str, value: &Value) -> Value {
    match value {
        Value::String(_) if VOLATILE.contains(&key) => Value::from("(new every time)"),
        Value::String(text) if key == "version" && text.parse::<u64>().is_ok() => Value::from("(a number)"),
        Value::Object(fields) => fields.iter().map(|(key, value)| (key.clone(), comparable(key, value))).collect(),
        Value::Array(all) => {
            let mut all: Vec<Value> = all.iter().map(|one| comparable("", one)).collect();
            if ["workloads", "secrets", "configmaps"].contains(&key) {
                all.sort_by_key(Value::to_string);
            }
            Value::Array(all)
        }
        other => other.clone(),
    }
}
