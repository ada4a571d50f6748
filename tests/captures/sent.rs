//! A request, captured or our own, in the same words.

use chrono::{DateTime, NaiveDateTime};
use flotta_agent::source::flotta::session::Exchange;
use flotta_standin::Operation;
use serde_json::Value;

use super::capture::device;

/// The captures without a Date are of the same evening.
const EVENING: &str = "Fri, 20 Nov 2026 20:27:06 GMT";

#[derive(Clone, Debug)]
pub struct Sent {
    pub method: String,
    pub path: String,
    /// The id in the path.
    pub device: String,
    pub content_type: Option<String>,
    pub accept: Option<String>,
    pub body: Option<String>,
    pub certificate: Option<Certificate>,
    pub tls13: bool,
    /// The server's time, in seconds since 1970.
    pub at: i64,
    /// The answer.
    pub status: u64,
}

#[derive(Clone, Debug)]
pub struct Certificate {
    pub common_name: String,
    pub namespace: Option<String>,
    pub not_before: i64,
    pub not_after: i64,
    /// Signed by the server's CA.
    pub own: bool,
}

impl Sent {
    pub fn captured(capture: &Value) -> Sent {
        let (request, response) = (&capture["request"], &capture["response"]);
        let header = |name: &str| request["headers"][name].as_str().map(str::to_owned);
        let date = response["headers"]["Date"].as_str().unwrap_or(EVENING);
        let alert = response["transport_error"].as_str().unwrap_or_default();
        Sent {
            method: request["method"].as_str().expect("a method").to_owned(),
            path: request["path"].as_str().expect("a path").to_owned(),
            device: device(request).to_owned(),
            content_type: header("Content-Type"),
            accept: header("Accept"),
            body: match &request["body"] {
                Value::Null => None,
                Value::String(text) => Some(text.clone()),
                message => Some(message.to_string()),
            },
            certificate: request["client_cert"].as_array().map(|lines| Certificate::captured(lines)),
            tls13: !alert.contains("PROTOCOL_VERSION"),
            at: DateTime::parse_from_rfc2822(date).expect("a date").timestamp(),
            status: response["status"].as_u64().unwrap_or(0),
        }
    }

    /// What our own device said to the stand-in, which speaks TLS 1.3 and nothing else.
    pub fn ours(exchange: &flotta_standin::Exchange) -> Sent {
        let client = &exchange.client;
        let certificate = Certificate {
            common_name: client.common_name.clone(),
            namespace: client.namespace.clone(),
            not_before: client.not_before,
            not_after: client.not_after,
            own: client.signed,
        };
        Sent {
            method: exchange.method.clone(),
            path: exchange.path.clone(),
            device: exchange.device.clone(),
            content_type: exchange.content_type.clone(),
            accept: exchange.accept.clone(),
            body: match (&exchange.request, exchange.request_bytes, exchange.operation) {
                (Value::Null, 0, Operation::Get | Operation::Control) => None,
                (Value::Null, 0, _) => Some(String::new()),
                (Value::Null, ..) => Some("(not JSON)".to_owned()),
                (message, ..) => Some(message.to_string()),
            },
            certificate: Some(certificate),
            tls13: true,
            at: exchange.at_ms.div_euclid(1000),
            status: u64::from(exchange.status),
        }
    }

    /// The message; null where there is none.
    pub fn message(&self) -> Value {
        self.body.as_deref().and_then(|body| serde_json::from_str(body).ok()).unwrap_or_default()
    }

    pub fn content(&self) -> Value {
        self.message()["content"].take()
    }

    /// Of a message that says so.
    pub fn is(&self, directive: &str) -> bool {
        self.message()["directive"] == directive
    }

    pub fn by_registration(&self) -> bool {
        self.certificate.as_ref().is_some_and(|certificate| certificate.common_name == "register")
    }

    /// Which of our exchanges it is.
    pub fn exchange(&self) -> Option<Exchange> {
        let (get, post) = (self.method == "GET", self.method == "POST");
        Some(match self.path.rsplit('/').nth(2)? {
            "data" if get && self.path.ends_with("/in") => Exchange::Get,
            "control" if get && self.path.ends_with("/in") => Exchange::Control,
            "data" if post && self.is("enrolment") => Exchange::Enrol,
            "data" if post && self.is("registration") && self.by_registration() => Exchange::Register,
            "data" if post && self.is("registration") => Exchange::Renew,
            "data" if post && self.is("heartbeat") => Exchange::Heartbeat,
            _ => return None,
        })
    }
}

impl Certificate {
    fn captured(lines: &[Value]) -> Certificate {
        let line = |name: &str| {
            let found = lines.iter().find_map(|line| line.as_str()?.strip_prefix(name));
            found.unwrap_or_else(|| panic!("no {name} in {lines:?}"))
        };
        let part =
            |name: &str| line("subject=").split(", ").find_map(|part| part.strip_prefix(name)).map(str::to_owned);
        let time = |text: &str| {
            NaiveDateTime::parse_from_str(text, "%b %e %H:%M:%S %Y GMT").expect(text).and_utc().timestamp()
        };
        Certificate {
            common_name: part("CN = ").expect("a CN"),
            namespace: part("OU = "),
            not_before: time(line("notBefore=")),
            not_after: time(line("notAfter=")),
            own: line("issuer=") == "O = flotta-operator",
        }
    }
}
