//! The start of a connection: from the first byte to CONNACK. The caller holds the deadline.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::{BufMut, Bytes};
use rumqttd::protocol::Packet;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::counters::Refusal;
use crate::packet::{self, Greeting, Inbound};
use crate::topic::Bad;
use crate::wire::{Io, Wire};
use crate::{Limits, topic};

/// CONNACK return codes of MQTT 3.1.1, table 3.1.
const BAD_VERSION: &[u8] = &[0x20, 2, 0, 1];
const BAD_CLIENT_ID: &[u8] = &[0x20, 2, 0, 2];
/// MQTT 5: "Unsupported Protocol Version".
const BAD_VERSION_V5: &[u8] = &[0x20, 3, 0, 0x84, 0];

/// What a client asked for.
pub(crate) struct Connect {
    pub client: Arc<str>,
    pub clean: bool,
    /// One and a half keep-alives; `None` if the client wants none.
    pub silence: Option<Duration>,
    pub will: Option<Will>,
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
pub(crate) async fn read<S>(wire: &mut Wire<S>, limits: &Limits) -> Result<Connect, Refused>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let refuse = match packet::greeting(&wire.input, limits.packet_bytes)? {
            Greeting::Unknown => None,
            Greeting::V4 { flags } => match packet::next(&mut wire.input, limits.packet_bytes)? {
                Some(packet) => {
                    return accept(packet, flags, limits).inspect_err(|why| {
                        if matches!(why, Refused::For(Refusal::ClientId)) {
                            wire.out.put_slice(BAD_CLIENT_ID);
                        }
                    });
                }
                None => None,
            },
            Greeting::V5 => Some(BAD_VERSION_V5),
            Greeting::OtherVersion => Some(BAD_VERSION),
        };
        if let Some(answer) = refuse {
            wire.out.put_slice(answer);
            return Err(Refusal::Version.into());
        }
        if wire.step(true).await? == Io::End {
            return Err(Refused::Io);
        }
    }
}

fn accept(packet: Inbound, flags: u8, limits: &Limits) -> Result<Connect, Refused> {
    let Inbound::Other(Packet::Connect(connect, _, will, _, _)) = packet else { return Err(Refusal::Protocol.into()) };
    let (reserved, password, user) = (flags & 1, flags & 0x40, flags & 0x80);
    if reserved != 0 || (password != 0 && user == 0) {
        return Err(Refusal::Protocol.into());
    }
    if let Some(will) = &will
        && topic::topic(&will.topic, limits) == Err(Bad::Malformed)
    {
        return Err(Refusal::Protocol.into());
    }
    let will = will.map(|will| Will {
        // Copies: the slices would keep the read buffer for as long as the connection lasts.
        topic: Bytes::copy_from_slice(&will.topic),
        payload: Bytes::copy_from_slice(&will.message),
        qos: will.qos as u8,
        retain: will.retain,
    });
    let silence = Duration::from_secs(u64::from(connect.keep_alive)).saturating_mul(3) / 2;
    Ok(Connect {
        client: client_id(connect.client_id, connect.clean_session, limits)?,
        clean: connect.clean_session,
        silence: (!silence.is_zero()).then_some(silence),
        will,
    })
}

/// Ids with `$` in front are ours.
fn client_id(id: String, clean: bool, limits: &Limits) -> Result<Arc<str>, Refused> {
    static GENERATED: AtomicU64 = AtomicU64::new(1);
    if id.is_empty() && clean {
        return Ok(format!("$auto-{}", GENERATED.fetch_add(1, Relaxed)).into());
    }
    let good = !id.is_empty() && id.len() <= limits.client_id_bytes && !id.starts_with('$');
    if good && !id.contains(char::is_control) { Ok(id.into()) } else { Err(Refusal::ClientId.into()) }
}
