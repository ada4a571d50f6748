//! Packets from clients: the codec of rumqttc, and the checks that it leaves out.

use bytes::BytesMut;
use rumqttc::mqttbytes::Error;
use rumqttc::mqttbytes::v4::Packet;

use crate::counters::Refusal;

/// The next packet of the input, `None` if it is not all there yet.
pub(crate) fn next(input: &mut BytesMut, packet_bytes: usize) -> Result<Option<Packet>, Refusal> {
    match **input {
        // The codec would wait for the whole of it.
        [byte1, ..] if matches!(byte1 >> 4, 0 | 15) => return Err(Refusal::Protocol),
        // PINGREQ and DISCONNECT have no body.
        [byte1, length, ..] if matches!(byte1 >> 4, 12 | 14) && length != 0 => return Err(Refusal::Protocol),
        _ => {}
    }
    match Packet::read(input, packet_bytes) {
        Ok(packet) => Ok(Some(packet)),
        Err(Error::InsufficientBytes(_)) => Ok(None),
        Err(Error::PayloadSizeLimitExceeded(_)) => Err(Refusal::PacketBytes),
        Err(_) => Err(Refusal::Protocol),
    }
}

/// What the beginning of a connection says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greeting {
    /// Not enough bytes to tell.
    Unknown,
    /// MQTT 3.1.1.
    V4,
    /// MQTT 5.
    V5,
    /// Another version (3.1 and its MQIsdp, or one that is to come).
    OtherVersion,
}

/// Looks at a CONNECT before the codec does, which knows no version but 3.1.1.
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
    let [level, ..] = rest.get(name_len..).unwrap_or_default() else { return Ok(Greeting::Unknown) };
    Ok(match (name_len, level) {
        (4, 4) => Greeting::V4,
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
        assert_eq!(greeting(b"\x10\x0c\x00\x04MQTT\x04\x02", limit), Ok(Greeting::V4));
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
