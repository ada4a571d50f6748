//! Why there is no connection, in words that say what to do.

use std::io::ErrorKind;
use std::time::Duration;

use rumqttc::mqttbytes::Error as PacketError;
use rumqttc::{ConnectReturnCode, ConnectionError, StateError};

use super::{Address, CONNECT_PATIENCE, MAX_PACKET};

/// Why a connection did not come about, or ended.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Over: we said goodbye.
    Closed,
    /// It was heard nothing of for this long.
    Silent(Duration),
    /// What the client says.
    Of(ConnectionError),
}

impl Trouble {
    /// The broker ended the connection.
    pub(super) fn is_by_peer(&self) -> bool {
        matches!(self, Trouble::Of(ConnectionError::MqttState(StateError::ConnectionAborted)))
            || self.io().is_some_and(|kind| {
                matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
            })
    }

    /// The broker knows us and says no.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Trouble::Of(ConnectionError::ConnectionRefused(_)))
    }

    /// The length of a message that is longer than what is read.
    pub(super) fn oversize(&self) -> Option<usize> {
        match self {
            Trouble::Of(ConnectionError::MqttState(StateError::Deserialization(
                PacketError::PayloadSizeLimitExceeded(length),
            ))) => Some(*length),
            _ => None,
        }
    }

    fn io(&self) -> Option<ErrorKind> {
        match self {
            Trouble::Of(
                ConnectionError::Io(why)
                | ConnectionError::MqttState(StateError::Io(why) | StateError::Deserialization(PacketError::Io(why))),
            ) => Some(why.kind()),
            _ => None,
        }
    }

    /// In words. `open`: whether there was a connection.
    pub(super) fn words(&self, address: &Address, client: &str, open: bool) -> String {
        let at = address.to_string();
        let why = match self {
            Trouble::Closed => return "closed".into(),
            Trouble::Silent(silence) => return format!("nothing heard from {at} for {} s", silence.as_secs()),
            Trouble::Of(why) => why,
        };
        if self.is_by_peer() {
            return if open {
                format!("{at} closed the connection")
            } else {
                format!(
                    "{at} closed the connection before it let us in: it may have no room for one more client, want TLS, or not be an MQTT broker"
                )
            };
        }
        match why {
            ConnectionError::ConnectionRefused(code) => refusal(*code, &at, client, address),
            ConnectionError::NetworkTimeout => {
                format!("{at} does not answer within {} s", CONNECT_PATIENCE.as_secs())
            }
            ConnectionError::FlushTimeout => format!("{at} takes nothing from us any more"),
            ConnectionError::MqttState(StateError::AwaitPingResp) => {
                format!("{at} does not answer any more")
            }
            ConnectionError::Io(io) if io.kind() == ErrorKind::ConnectionRefused => {
                format!("nothing listens at {at} (connection refused): does the broker run, and is mqtt.broker right?")
            }
            ConnectionError::Io(io) => format!("{at} cannot be reached: {io}"),
            ConnectionError::SessionStateMismatch { .. } => {
                format!("{at} kept a session although it was asked not to: it does not follow MQTT 3.1.1")
            }
            ConnectionError::NotConnAck(_) => format!("what answers at {at} does not speak MQTT 3.1.1"),
            ConnectionError::MqttState(StateError::Deserialization(_)) if !open => {
                format!("what answers at {at} does not speak MQTT 3.1.1")
            }
            ConnectionError::MqttState(state) => match self.oversize() {
                Some(length) => {
                    format!("{at} sent a packet of {length} bytes, of which at most {MAX_PACKET} are read")
                }
                None => format!("{at}: {state}"),
            },
            other => format!("{at}: {other}"),
        }
    }
}

fn refusal(code: ConnectReturnCode, at: &str, client: &str, address: &Address) -> String {
    match code {
        ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized => {
            let who = match (&address.username, &address.password_file) {
                (Some(user), Some(file)) => {
                    let readable = std::fs::read_to_string(file);
                    let file = file.display();
                    match readable {
                        Ok(_) => format!("{user:?} with the password in {file}"),
                        Err(why) => format!("{user:?} without a password, as {file} cannot be read ({why})"),
                    }
                }
                (Some(user), None) => format!("{user:?} without a password"),
                (None, _) => "a client without a name".into(),
            };
            format!("{at} does not let in {who}: set mqtt.username and mqtt.password_file to what the broker knows")
        }
        ConnectReturnCode::BadClientId => {
            format!("{at} does not accept the client id {client:?}: allow it there, or set a shorter DEVICE_ID")
        }
        ConnectReturnCode::ServiceUnavailable => format!("{at} says that its service is unavailable"),
        ConnectReturnCode::RefusedProtocolVersion => format!("{at} does not speak MQTT 3.1.1"),
        ConnectReturnCode::Success => format!("{at} refused the connection"),
    }
}
