//! A message on its way from [`crate::hub`] through the fan-out to the connections that subscribed.
//!
//! It is encoded once, whatever the number of subscribers: flags (bits 0 and 1 the QoS of the publisher, bit 2 "was
//! published as retained"), the retained store's sequence number (8 bytes, 0 for others), the length of the topic
//! (2 bytes), the topic, the payload. The fan-out never looks inside.

use bytes::{Buf, BufMut, Bytes, BytesMut};

const HEAD: usize = 1 + 8 + 2;

/// A decoded message.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub topic: Bytes,
    pub payload: Bytes,
    pub qos: u8,
    /// The sequence number of the retained store, 0 when the message was not retained.
    pub seq: u64,
}

/// Encodes a message for the fan-out.
pub(crate) fn encode(topic: &str, payload: &[u8], qos: u8, seq: u64) -> Bytes {
    let mut frame = BytesMut::with_capacity(HEAD + topic.len() + payload.len());
    frame.put_u8(qos & 3);
    frame.put_u64(seq);
    frame.put_u16(u16::try_from(topic.len()).unwrap_or(u16::MAX));
    frame.put_slice(topic.as_bytes());
    frame.put_slice(payload);
    frame.freeze()
}

/// Decodes what [`encode`] made; `None` for anything else.
pub(crate) fn decode(mut frame: Bytes) -> Option<Frame> {
    if frame.len() < HEAD {
        return None;
    }
    let qos = frame.get_u8();
    let seq = frame.get_u64();
    let topic_len = usize::from(frame.get_u16());
    if frame.len() < topic_len {
        return None;
    }
    let topic = frame.split_to(topic_len);
    Some(Frame { topic, payload: frame, qos, seq })
}

/// How a PUBLISH goes out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Delivery {
    /// `Some` for QoS 1, `None` for QoS 0.
    pub pkid: Option<u16>,
    pub retain: bool,
    pub dup: bool,
}

/// Appends a PUBLISH packet.
pub(crate) fn write_publish(out: &mut BytesMut, topic: &[u8], payload: &[u8], how: Delivery) {
    let qos = u8::from(how.pkid.is_some());
    let length = 2 + topic.len() + 2 * usize::from(qos) + payload.len();
    out.reserve(length + 5);
    out.put_u8(0x30 | u8::from(how.dup) << 3 | qos << 1 | u8::from(how.retain));
    write_length(out, length);
    out.put_u16(u16::try_from(topic.len()).unwrap_or(u16::MAX));
    out.put_slice(topic);
    if let Some(pkid) = how.pkid {
        out.put_u16(pkid);
    }
    out.put_slice(payload);
}

/// Appends a packet that is only a type and a packet id (PUBACK, PUBREC, PUBCOMP, UNSUBACK).
pub(crate) fn write_ack(out: &mut BytesMut, byte1: u8, pkid: u16) {
    let [high, low] = pkid.to_be_bytes();
    out.put_slice(&[byte1, 2, high, low]);
}

/// Appends a SUBACK.
pub(crate) fn write_suback(out: &mut BytesMut, pkid: u16, codes: &[u8]) {
    out.put_u8(0x90);
    write_length(out, 2 + codes.len());
    out.put_u16(pkid);
    out.put_slice(codes);
}

fn write_length(out: &mut BytesMut, mut length: usize) {
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        if length == 0 {
            return out.put_u8(byte);
        }
        out.put_u8(byte | 128);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_encoded_is_decoded() {
        let frame = decode(encode("a/b", b"xyz", 1, 7)).unwrap();
        assert_eq!((&frame.topic[..], &frame.payload[..], frame.qos, frame.seq), (&b"a/b"[..], &b"xyz"[..], 1, 7));
        assert!(decode(Bytes::from_static(b"short")).is_none());
    }

    #[test]
    fn publish_packets_are_those_of_the_standard() {
        let mut out = BytesMut::new();
        write_publish(&mut out, b"a/b", b"!", Delivery { pkid: Some(10), retain: true, dup: true });
        assert_eq!(&out[..], b"\x3b\x08\x00\x03a/b\x00\x0a!");
        out.clear();
        write_publish(&mut out, b"t", &[0; 200], Delivery::default());
        assert_eq!(&out[..6], b"\x30\xcb\x01\x00\x01t");
    }
}
