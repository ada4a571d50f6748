//! What an answer means, and in which words a person is told (API "Life cycle and what to do on each status"). Pure.

use serde_json::Value;

use super::client::Got;
use super::identity::salvage;
use super::session::{Answer, Exchange};
use super::wire::message::{Registered, is_disconnect};

/// What an answer brought along.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Content {
    /// Nothing.
    #[default]
    Nothing,
    /// The whole message with the configuration.
    Configuration(Value),
    /// A certificate, PEM.
    Certificate(String),
}

/// An answer, read.
#[derive(Clone, Debug, PartialEq)]
pub struct Meaning {
    /// For the session.
    pub answer: Answer,
    /// What came with it.
    pub content: Content,
    /// What went wrong and what to do about it; `None`: nothing did.
    pub trouble: Option<String>,
}

/// Reads an answer.
#[must_use]
pub fn meaning(exchange: Exchange, got: &Got, device: &str) -> Meaning {
    let what = exchange.as_str();
    let (status, body, cut) = match got {
        Got::Unreachable(why) => {
            return failed(Answer::Unreachable, format!("the server cannot be reached: {why}; what runs goes on"));
        }
        Got::Aborted(why) => {
            let hint = match exchange {
                Exchange::Get => "; it does so for a workload with a literal env value (use valueFrom): see its log",
                _ => "",
            };
            return failed(
                Answer::Aborted,
                format!("the server ended the connection without an answer to the {what} ({why}){hint}"),
            );
        }
        Got::Status { status, body, cut, .. } => (*status, body, cut.as_deref()),
    };
    match (exchange, status) {
        (Exchange::Enrol | Exchange::Heartbeat, 200..=207) => accepted(Content::Nothing),
        (Exchange::Enrol, 208) => Meaning { answer: Answer::Already, content: Content::Nothing, trouble: None },
        (Exchange::Register | Exchange::Renew, 200) => issued(body, cut),
        (Exchange::Get, 200) => match read(body, cut) {
            Ok(Some(message)) => accepted(Content::Configuration(message)),
            Ok(None) => {
                failed(Answer::Unusable, "the server's configuration is empty: the last one stays in force".into())
            }
            Err(why) => failed(
                Answer::Unusable,
                format!("the server's configuration cannot be read: {why}; the last one stays in force"),
            ),
        },
        (Exchange::Control, 200) => match read(body, cut) {
            Ok(Some(message)) if is_disconnect(&message) => {
                Meaning { answer: Answer::Disconnect, content: Content::Nothing, trouble: None }
            }
            Ok(_) => accepted(Content::Nothing),
            Err(why) => failed(Answer::Unusable, format!("the control channel's answer cannot be read: {why}")),
        },
        _ => refused(exchange, status, body, device),
    }
}

fn accepted(content: Content) -> Meaning {
    Meaning { answer: Answer::Accepted, content, trouble: None }
}

fn failed(answer: Answer, trouble: String) -> Meaning {
    Meaning { answer, content: Content::Nothing, trouble: Some(trouble) }
}

/// An empty body is no error: answers without content have the Content-Type of those with.
fn read(body: &[u8], cut: Option<&str>) -> Result<Option<Value>, String> {
    match cut {
        Some(why) => Err(why.to_owned()),
        None if body.is_empty() => Ok(None),
        None => serde_json::from_slice(body).map(Some).map_err(|why| why.to_string()),
    }
}

fn issued(body: &[u8], cut: Option<&str>) -> Meaning {
    let whole = serde_json::from_slice::<Registered>(body).map(|message| message.content.certificate);
    match whole {
        Ok(certificate) => accepted(Content::Certificate(certificate)),
        // The server gives a device one first certificate and never another: what can be saved of the answer is.
        Err(why) => match salvage(body) {
            Some(certificate) => accepted(Content::Certificate(certificate)),
            None => {
                let why = cut.map_or_else(|| why.to_string(), str::to_owned);
                failed(Answer::Unusable, format!("the answer to the registration cannot be read: {why}"))
            }
        },
    }
}

fn refused(exchange: Exchange, status: u16, body: &[u8], device: &str) -> Meaning {
    let answer = if body.is_empty() { Answer::Status(status) } else { Answer::Page(status) };
    let words = match (exchange, answer) {
        (_, Answer::Page(_)) => page(status, body),
        (Exchange::Enrol, Answer::Status(400 | 422)) => {
            format!("{status}: it takes neither the id nor the hardware of this device: is DEVICE_ID a name of lower-case letters, digits, '-' and '.'?")
        }
        (Exchange::Enrol | Exchange::Register | Exchange::Renew, Answer::Status(401)) => {
            "401: the certificate was not signed by this server's CA: take CERT and KEY of this server".into()
        }
        (Exchange::Register, Answer::Status(404)) => {
            let words = "waits for approval: approve its EdgeDeviceSignedRequest on the server (the registration's 404)";
            return failed(answer, format!("{device} {words}"));
        }
        (Exchange::Register, Answer::Status(500)) => format!(
            "500: if it does not pass, {device} was registered before and its certificate is lost: an administrator has to delete the EdgeDevice {device}, or to set its label edgedeviceSignedRequest=true"
        ),
        (Exchange::Register | Exchange::Renew, Answer::Status(400)) => {
            "400: it does not sign the request of an ECDSA P-256 key: does the server's CA have a key of another type?".into()
        }
        (Exchange::Renew, Answer::Status(404)) => "404: the server does not know this device any more".into(),
        (Exchange::Heartbeat, Answer::Status(401)) => {
            "401: the certificate was not signed by this server's CA; it registers again".into()
        }
        (Exchange::Get | Exchange::Control, Answer::Status(401)) => {
            "401: the certificate has expired, or another CA signed it; a new one is asked for".into()
        }
        (Exchange::Get | Exchange::Heartbeat | Exchange::Control, Answer::Status(403)) => {
            format!("403: the certificate is not {device}'s; it registers again")
        }
        (Exchange::Get, Answer::Status(404)) => {
            "404: the device was deleted, or the secret of an image registry is missing; the last configuration stays in force".into()
        }
        (Exchange::Get, Answer::Status(500)) => {
            "500: a Secret, ConfigMap or allow list of some workload is missing on the server; the last configuration stays in force".into()
        }
        (Exchange::Heartbeat, Answer::Status(404)) => "404: the server has removed this device".into(),
        _ => format!("{status}"),
    };
    failed(answer, format!("the server answers the {} with {words}", exchange.as_str()))
}

/// An answer with a body: of the server's framework, which says what it is about, or of something in front of it.
fn page(status: u16, body: &[u8]) -> String {
    const SHOWN: usize = 160;
    const WHOSE: &str = "is SERVER the address of the Flotta server itself?";
    let short = |text: &str| text.chars().filter(|c| !c.is_control()).take(SHOWN).collect::<String>();
    let read: Option<Value> = serde_json::from_slice(body).ok();
    match read.as_ref().and_then(|read| read["code"].as_i64().and(read["message"].as_str())) {
        Some(words) if status == 404 || status == 405 => format!("{status} ({}): {WHOSE}", short(words)),
        Some(words) => format!("{status}: {}", short(words)),
        None => format!("{status} with a page ({}): {WHOSE}", short(&String::from_utf8_lossy(body))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn got(status: u16, body: &'static str) -> Got {
        Got::Status { status, body: Bytes::from_static(body.as_bytes()), cut: None, date: None }
    }

    fn answer(exchange: Exchange, got: &Got) -> Answer {
        meaning(exchange, got, "toto").answer
    }

    #[test]
    fn a_status_of_the_servers_has_no_body_and_one_with_a_body_is_somebody_elses() {
        assert_eq!(answer(Exchange::Heartbeat, &got(404, "")), Answer::Status(404));
        assert_eq!(answer(Exchange::Heartbeat, &got(404, "{\"code\":404}")), Answer::Page(404));
    }

    #[test]
    fn an_empty_or_cut_configuration_is_no_configuration() {
        for wrong in ["", "{", "not json", "{} {}"] {
            let read = meaning(Exchange::Get, &got(200, wrong), "toto");
            assert_eq!(read.answer, Answer::Unusable, "{wrong:?}");
            assert!(read.trouble.is_some_and(|words| words.contains("last one stays in force")));
        }
        let cut =
            Got::Status { status: 200, body: Bytes::from_static(b"{}"), cut: Some("it breaks off".into()), date: None };
        assert_eq!(answer(Exchange::Get, &cut), Answer::Unusable);
    }

    #[test]
    fn only_the_control_channels_disconnect_is_one() {
        assert_eq!(answer(Exchange::Control, &got(200, "")), Answer::Accepted);
        let command = r#"{"type":"command","content":{"command":"disconnect","arguments":null}}"#;
        assert_eq!(answer(Exchange::Control, &got(200, command)), Answer::Disconnect);
        assert_eq!(
            answer(Exchange::Control, &got(200, r#"{"type":"command","content":{"command":"other"}}"#)),
            Answer::Accepted
        );
        assert_eq!(
            answer(Exchange::Get, &got(200, command)),
            Answer::Accepted,
            "it is judged as a configuration later"
        );
    }
}
