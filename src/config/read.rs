//! Readers of the values that only one key has.

use std::path::{Path, PathBuf};

use super::types::{Broker, HostPaths};
use super::value::{Raw, Value};
use crate::model::id;

pub(super) fn device_id(value: &Value<'_>) -> Result<Option<String>, String> {
    let text = value.optional_text("write a name like camera-7")?;
    if let Some(text) = &text {
        id::device_id(text)?;
    }
    Ok(text)
}

/// A name or a number; empty: none.
pub(super) fn user(value: &Value<'_>) -> Result<Option<String>, String> {
    let right = "write a user's name, or a number";
    let text = match value.raw {
        Raw::Number(text) => text.clone(),
        _ => match value.optional_text(right)? {
            Some(text) => text,
            None => return Ok(None),
        },
    };
    let plain = |c: char| c.is_ascii_graphic() && !matches!(c, ':' | '/' | ',');
    let number = text.starts_with(|c: char| c.is_ascii_digit()) && text.parse::<u32>().is_err();
    if number || text.starts_with('-') || !text.chars().all(plain) {
        return value.wrong(right);
    }
    Ok(Some(text))
}

pub(super) fn namespace(value: &Value<'_>) -> Result<String, String> {
    let text = value.text("write a name like default")?;
    id::rfc1123(value.key, &text)?;
    Ok(text)
}

pub(super) fn server_url(value: &Value<'_>) -> Result<Option<String>, String> {
    let right = "write a URL like https://server.example:8043";
    let Some(text) = value.optional_text(right)? else { return Ok(None) };
    if text.starts_with("http://") {
        return value.wrong("the server speaks https only: write a URL like https://server.example:8043");
    }
    match text.strip_prefix("https://") {
        Some(rest) if !rest.is_empty() && !rest.starts_with('/') && !text.contains(char::is_whitespace) => {
            Ok(Some(text))
        }
        _ => value.wrong(right),
    }
}

pub(super) fn hosts(value: &Value<'_>) -> Result<Vec<String>, String> {
    let right = "write a list of host names like [device.example]";
    let hosts = value.list(right)?;
    for host in &hosts {
        if host.contains(|c: char| c.is_whitespace() || c == '/' || c == '@' || c == '*' || c == '\0') {
            return Err(format!("{} holds {host:?}: {right}", value.key));
        }
    }
    Ok(hosts)
}

pub(super) fn topic_root(value: &Value<'_>) -> Result<String, String> {
    const MOST: usize = 256;
    let text = value.text("write a topic like flotta")?;
    if text.contains(['+', '#']) {
        return value.wrong("the wildcards + and # cannot stand in it; write a topic like flotta");
    }
    if text.len() > MOST {
        return value.wrong(&format!("write at most {MOST} bytes"));
    }
    if text.starts_with('$') || text.contains(char::is_control) || text.split('/').any(str::is_empty) {
        return value.wrong("write a topic like flotta or site/flotta, without $ in front and without empty levels");
    }
    Ok(text)
}

pub(super) fn broker(value: &Value<'_>) -> Result<Broker, String> {
    let right = "write embedded, none, or a URL like mqtt://host:1883";
    let text = value.text(right)?;
    let (tls, rest) = match text.as_str() {
        "embedded" => return Ok(Broker::Embedded),
        "none" => return Ok(Broker::None),
        url => match (url.strip_prefix("mqtt://"), url.strip_prefix("mqtts://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return value.wrong(right),
        },
    };
    if rest.contains('@') {
        // Not shown: it may hold a password.
        return Err(format!(
            "{} holds a user: write it in mqtt.username, and its password into the file named by mqtt.password_file",
            value.key
        ));
    }
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    match host_and_port(rest) {
        Some((host, port)) => Ok(Broker::External { host, port: port.unwrap_or(if tls { 8883 } else { 1883 }), tls }),
        None => value.wrong(right),
    }
}

fn host_and_port(text: &str) -> Option<(String, Option<u16>)> {
    let (host, rest) = match text.strip_prefix('[') {
        Some(v6) => {
            let (host, rest) = v6.split_once(']')?;
            host.parse::<std::net::Ipv6Addr>().ok()?;
            (host, rest)
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let sound = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            (!host.is_empty() && host.chars().all(sound)).then_some(())?;
            (host, rest)
        }
    };
    let port = match rest.strip_prefix(':') {
        Some(port) => Some(port.parse().ok().filter(|port| *port != 0)?),
        None if rest.is_empty() => None,
        None => return None,
    };
    Some((host.into(), port))
}

pub(super) fn host_paths(value: &Value<'_>) -> Result<HostPaths, String> {
    let right = "write allow, deny, or a list of absolute paths like [/srv]";
    match value.raw {
        Raw::Text(text) | Raw::Untyped(text) if text == "allow" => return Ok(HostPaths::Allow),
        Raw::Text(text) | Raw::Untyped(text) if text == "deny" => return Ok(HostPaths::Deny),
        Raw::Text(text) if !text.starts_with('/') => return value.wrong(right),
        _ => {}
    }
    let prefixes = value.list(right)?;
    for prefix in &prefixes {
        let path = Path::new(prefix);
        if !path.is_absolute() || path.components().any(|part| part == std::path::Component::ParentDir) {
            return Err(format!("{} holds {prefix:?}: {right}", value.key));
        }
    }
    Ok(HostPaths::Prefixes(prefixes.into_iter().map(PathBuf::from).collect()))
}

/// A number of things a second; 0 is no limit.
pub(super) fn rate(value: &Value<'_>) -> Result<u32, String> {
    let rate = value.integer(0, 100_000_000)?;
    Ok(u32::try_from(rate).unwrap_or(u32::MAX))
}
