//! The codec of rumqttd, with the checks it leaves out, and PUBLISH by hand: its QoS and packet id cannot be read
//! from outside of rumqttd.

use bytes::{Buf, Bytes, BytesMut};
use rumqttd::protocol::v4::{self, V4};
use rumqttd::protocol::{Error, Packet, Protocol};

use crate::counters::Refusal;

/// What a client says.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "one at a time, on the stack, and gone at once")]
pub(crate) enum Inbound {
    Publish(Publish),
    Other(Packet),
}

/// A PUBLISH; topic and payload are slices of the input.
#[derive(Debug)]
pub(crate) struct Publish {
    pub topic: Bytes,
    pub payload: Bytes,
    pub qos: u8,
    /// 0 at QoS 0 only.
    pub pkid: u16,
    pub retain: bool,
}

/// The next packet of the input, `None` if it is not all there yet.
pub(crate) fn next(input: &mut BytesMut, packet_bytes: usize) -> Result<Option<Inbound>, Refusal> {
    let Some(&byte1) = input.first() else { return Ok(None) };
    if !flags_are_allowed(byte1) {
        return Err(Refusal::Protocol);
    }
    let read = if byte1 >> 4 == 3 {
        v4::check(input.iter(), packet_bytes).and_then(|header| {
            let mut body = input.split_to(header.frame_length()).freeze();
            body.advance(header.fixed_header_len);
            publish(byte1, body).map(Inbound::Publish).ok_or(Error::MalformedPacket)
        })
    } else {
        V4.read_mut(input, packet_bytes).map(Inbound::Other)
    };
    match read {
        Ok(packet) => Ok(Some(packet)),
        Err(Error::InsufficientBytes(_)) => Ok(None),
        Err(Error::PayloadSizeLimitExceeded(_)) => Err(Refusal::PacketBytes),
        Err(_) => Err(Refusal::Protocol),
    }
}

/// Reads a PUBLISH without its fixed header.
fn publish(byte1: u8, mut body: Bytes) -> Option<Publish> {
    let topic_len = usize::from(body.try_get_u16().ok()?);
    if body.len() < topic_len {
        return None;
    }
    let topic = body.split_to(topic_len);
    let qos = byte1 >> 1 & 3;
    let pkid = if qos > 0 { body.try_get_u16().ok().filter(|&pkid| pkid != 0)? } else { 0 };
    Some(Publish { topic, payload: body, qos, pkid, retain: byte1 & 1 != 0 })
}

/// MQTT-2.2.2-2: reserved flags have to be as they are.
fn flags_are_allowed(byte1: u8) -> bool {
    let flags = byte1 & 0x0f;
    match byte1 >> 4 {
        3 => flags & 6 != 6,
        6 | 8 | 10 => flags == 2,
        0 | 15 => false,
        _ => flags == 0,
    }
}

/// What the beginning of a connection says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// Not enough bytes to tell.
    Unknown,
    /// MQTT 3.1.1; `flags` are the connect flags.
    V4 { flags: u8 },
    /// MQTT 5.
    V5,
    /// Another version (3.1 and its MQIsdp, or one that is to come).
    OtherVersion,
}

/// Looks at a CONNECT before the codec does, which knows no version but 3.1.1 and not all rules of that.
pub(crate) fn greeting(input: &[u8], packet_bytes: usize) -> Result<Greeting, Refusal> {
    let Some((&byte1, mut rest)) = input.split_first() else { return Ok(Greeting::Unknown) };
    if byte1 != 0x10 {
        return Err(Refusal::Protocol);
    }
    let (mut length, mut shift) = (0_usize, 0_u32);
    loop {
        let Some((&byte, tail)) = rest.split_first() else {
            return if shift > 21 { Err(Refusal::Protocol) } else { Ok(Greeting::Unknown) };
        };
        if shift > 21 {
            return Err(Refusal::Protocol);
        }
        rest = tail;
        length |= usize::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if length > packet_bytes {
        return Err(Refusal::PacketBytes);
    }
    let [high, low, rest @ ..] = rest else { return Ok(Greeting::Unknown) };
    let name_len = usize::from(u16::from_be_bytes([*high, *low]));
    let known: &[u8] = match name_len {
        4 => b"MQTT",
        6 => b"MQIsdp",
        _ => return Err(Refusal::Protocol),
    };
    let said = rest.get(..name_len.min(rest.len())).unwrap_or_default();
    if !known.starts_with(said) {
        return Err(Refusal::Protocol);
    }
    let [level, flags, ..] = rest.get(name_len..).unwrap_or_default() else { return Ok(Greeting::Unknown) };
    Ok(match (name_len, level) {
        (4, 4) => Greeting::V4 { flags: *flags },
        (4, 5) => Greeting::V5,
        _ => Greeting::OtherVersion,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn versions_are_told_apart_from_the_first_bytes() {
        let limit = 1000;
        assert_eq!(greeting(b"\x10\x0c\x00\x04MQTT\x04\x02", limit), Ok(Greeting::V4 { flags: 2 }));
        assert_eq!(greeting(b"\x10\x0c\x00\x04MQTT\x05\x02", limit), Ok(Greeting::V5));
        assert_eq!(greeting(b"\x10\x0e\x00\x06MQIsdp\x03\x02", limit), Ok(Greeting::OtherVersion));
        assert_eq!(greeting(b"\x10\x0c\x00\x04MQ", limit), Ok(Greeting::Unknown));
        assert_eq!(greeting(b"\x10\x0c\x00\x04HTTP", limit), Err(Refusal::Protocol));
        assert_eq!(greeting(b"GET / HTTP/1.1", limit), Err(Refusal::Protocol));
        assert_eq!(greeting(b"\x10\xff\xff\xff\xff\x01", limit), Err(Refusal::Protocol));
        assert_eq!(greeting(b"\x10\xff\xff\xff\x01", limit), Err(Refusal::PacketBytes));
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_decoder_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64), limit in 0_usize..64) {
            let mut input = BytesMut::from(&bytes[..]);
            while let Ok(Some(_)) = next(&mut input, limit) {}
            greeting(&bytes, limit).ok();
        }
    }
}
