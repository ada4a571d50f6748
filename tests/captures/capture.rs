//! The captured exchanges, as files.

use std::sync::OnceLock;

use bytes::Bytes;
use flotta_agent::source::flotta::client::Got;
use serde_json::Value;

/// A file of `standin/captures`.
pub struct Capture {
    /// What its name begins with, up to the first hyphen: `33b`.
    pub number: String,
    pub json: Value,
}

/// All of them, in order.
pub fn all() -> &'static [Capture] {
    static ALL: OnceLock<Vec<Capture>> = OnceLock::new();
    ALL.get_or_init(read)
}

fn read() -> Vec<Capture> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/standin/captures");
    let mut files: Vec<_> = std::fs::read_dir(folder).expect(folder).map(|file| file.expect("read").path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            let json = serde_json::from_str(&std::fs::read_to_string(&path).expect("read"));
            let number = name.split('-').next().expect("a number").to_owned();
            Capture { number, json: json.unwrap_or_else(|why| panic!("{name}: {why}")) }
        })
        .collect()
}

pub fn numbered(number: &str) -> &'static Value {
    let found = all().iter().find(|capture| capture.number == number);
    &found.unwrap_or_else(|| panic!("no capture {number}")).json
}

/// The device that an exchange is about: the part of the path behind `data` or `control`.
pub fn device(request: &Value) -> &str {
    let mut parts = request["path"].as_str().expect("a path").split('/');
    parts.find(|part| ["data", "control"].contains(part));
    parts.next().unwrap_or("lab-dev-1")
}

/// What our client makes of a captured answer.
pub fn got(response: &Value) -> Got {
    match response["transport_error"].as_str() {
        // The handshake itself fails: nothing was asked.
        Some(why) if why.contains("ALERT_PROTOCOL_VERSION") => Got::Unreachable(why.into()),
        // The request was sent: in TLS 1.3 a client hears only then that its certificate is not liked.
        Some(why) if why.contains("ALERT_BAD_CERTIFICATE") || why.starts_with("RemoteDisconnected") => {
            Got::Aborted(why.into())
        }
        Some(why) => panic!("what would our client make of {why:?}?"),
        None => {
            let status = response["status"].as_u64().and_then(|status| u16::try_from(status).ok()).expect("a status");
            let body = match &response["body"] {
                Value::Null => Bytes::new(),
                body => serde_json::to_vec(body).expect("JSON").into(),
            };
            Got::Status { status, body, cut: None, date: None }
        }
    }
}
