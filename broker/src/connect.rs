//! The start of a connection: from the first byte to CONNACK. The caller holds the deadline.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use rumqttc::mqttbytes::v4::{self, ConnectAuth, Packet};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::counters::Refusal;
use crate::packet::{self, Greeting};
use crate::places::{self, Places};
use crate::topic::Bad;
use crate::wire::{CHUNK_MAX, Io, Wire};
use crate::{Client, Denied, Limits, Login, Peer, Rights, topic};

/// CONNACK return codes of MQTT 3.1.1, table 3.1.
const BAD_VERSION: &[u8] = &[0x20, 2, 0, 1];
const BAD_CLIENT_ID: &[u8] = &[0x20, 2, 0, 2];
const BAD_CREDENTIALS: &[u8] = &[0x20, 2, 0, 4];
const NOT_AUTHORIZED: &[u8] = &[0x20, 2, 0, 5];
/// MQTT 5: "Unsupported Protocol Version".
const BAD_VERSION_V5: &[u8] = &[0x20, 3, 0, 0x84, 0];

/// What a client asked for.
pub(crate) struct Connect {
    pub client: Arc<Client>,
    pub clean: bool,
    /// One and a half keep-alives; `None` if the client wants none.
    pub silence: Option<Duration>,
    pub will: Option<Box<Will>>,
}

/// What is published for a client that leaves without DISCONNECT.
pub(crate) struct Will {
    pub topic: Bytes,
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
}

/// Why there is no connection.
pub(crate) enum Refused {
    /// Counted; the answer, if MQTT has one, is in the wire's output.
    For(Refusal),
    /// The client went away.
    Io,
}

impl From<io::Error> for Refused {
    fn from(_: io::Error) -> Self {
        Refused::Io
    }
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Refused::For(why)
    }
}

/// Reads CONNECT. Refusals that MQTT has an answer for put it into `wire.out`.
pub(crate) async fn read<S>(
    wire: &mut Wire<S>,
    peer: Peer,
    limits: &Limits,
    rights: &dyn Rights,
    large: &Arc<Places>,
) -> Result<Connect, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut place = None;
    loop {
        let answer = match packet::greeting(&wire.input, limits.packet_bytes)? {
            Greeting::Unknown => None,
            Greeting::V4 => match packet::next(&mut wire.input, limits.packet_bytes)? {
                Some(Packet::Connect(connect)) => {
                    return accept(connect, peer, limits, rights).map_err(|refused| {
                        wire.out.put_slice(refused.answer);
                        refused.why.into()
                    });
                }
                Some(_) => return Err(Refusal::Protocol.into()),
                None => None,
            },
            Greeting::V5 => Some(BAD_VERSION_V5),
            Greeting::OtherVersion => Some(BAD_VERSION),
        };
        if let Some(answer) = answer {
            wire.out.put_slice(answer);
            return Err(Refusal::Version.into());
        }
        if place.is_none() && wire.input.len() > CHUNK_MAX {
            place = Some(large.enter());
        }
        tokio::select! {
            io = wire.step(true) => if io? == Io::End {
                return Err(Refused::Io);
            },
            () = places::turned_out(place.as_ref()) => return Err(Refusal::SlowWriter.into()),
        }
    }
}

/// A refusal, and what the client is told.
struct Answered {
    why: Refusal,
    answer: &'static [u8],
}

impl From<Refusal> for Answered {
    fn from(why: Refusal) -> Self {
        let answer = if why == Refusal::ClientId { BAD_CLIENT_ID } else { &[] };
        Answered { why, answer }
    }
}

fn accept(connect: v4::Connect, peer: Peer, limits: &Limits, rights: &dyn Rights) -> Result<Connect, Answered> {
    let v4::Connect { keep_alive, client_id: id, clean_session: clean, last_will, auth } = connect;
    if let Some(will) = &last_will
        && topic::topic(will.topic.as_bytes(), limits) == Err(Bad::Malformed)
    {
        return Err(Refusal::Protocol.into());
    }
    let (name, password) = match auth {
        ConnectAuth::None => (None, None),
        ConnectAuth::Username { username } => (Some(username), None),
        ConnectAuth::UsernamePassword { username, password } => (Some(username), Some(password)),
    };
    let client = Client { id: client_id(id, clean, limits)?, name: name.map(Into::into), peer };
    let login = Login { client: &client, password: password.as_deref() };
    rights.may_connect(&login).map_err(|denied| {
        tracing::debug!(client = %client.id, ?denied, "MQTT login refused");
        let answer = match denied {
            Denied::BadCredentials => BAD_CREDENTIALS,
            Denied::NotAuthorized => NOT_AUTHORIZED,
        };
        Answered { why: Refusal::Login, answer }
    })?;
    let will = last_will.map(|will| {
        Box::new(Will {
            topic: Bytes::from(will.topic.into_bytes()),
            // A copy: the slice would keep the read buffer for as long as the connection lasts.
            payload: Bytes::copy_from_slice(&will.message),
            qos: will.qos as u8,
            retain: will.retain,
        })
    });
    let silence = Duration::from_secs(u64::from(keep_alive)).saturating_mul(3) / 2;
    Ok(Connect { client: Arc::new(client), clean, silence: (!silence.is_zero()).then_some(silence), will })
}

/// Ids with `$` in front are ours.
fn client_id(id: String, clean: bool, limits: &Limits) -> Result<Arc<str>, Refusal> {
    static GENERATED: AtomicU64 = AtomicU64::new(1);
    if id.is_empty() && clean {
        return Ok(format!("$auto-{}", GENERATED.fetch_add(1, Relaxed)).into());
    }
    let good = !id.is_empty() && id.len() <= limits.client_id_bytes && !id.starts_with('$');
    if good && !id.contains(char::is_control) { Ok(id.into()) } else { Err(Refusal::ClientId) }
}
