//! A message on its way to the clients that subscribed, and the packets that carry it.
//!
//! It is copied once out of the sender's read buffer (a slice of that would keep all of it), whatever the number of
//! subscribers: the length of the topic (2 bytes), the topic, the payload, as PUBLISH has them.

use std::sync::Arc;

use bytes::{BufMut, BytesMut};

/// What a message costs beside its bytes: its counts, its place in a queue.
const OVERHEAD: usize = 64;

/// A message, shared by all queues that it waits in.
#[derive(Debug, Clone)]
pub(crate) struct Letter(Arc<[u8]>);

impl Letter {
    /// `topic` has at most 65 535 bytes: [`crate::topic`] and [`crate::Broker::publish`] see to it.
    pub fn new(topic: &str, payload: &[u8]) -> Self {
        let length = u16::try_from(topic.len()).unwrap_or(u16::MAX).to_be_bytes();
        let mut bytes = Vec::with_capacity(2 + topic.len() + payload.len());
        bytes.extend_from_slice(&length);
        bytes.extend_from_slice(topic.as_bytes());
        bytes.extend_from_slice(payload);
        Letter(bytes.into())
    }

    /// What it costs in a queue, in bytes.
    pub fn cost(&self) -> usize {
        self.0.len().saturating_add(OVERHEAD)
    }

    /// Bytes of the payload.
    pub fn payload_len(&self) -> usize {
        self.split().1.len()
    }

    /// Topic (with its length in front) and payload.
    fn split(&self) -> (&[u8], &[u8]) {
        let topic = match *self.0 {
            [high, low, ..] => usize::from(u16::from_be_bytes([high, low])),
            _ => 0,
        };
        self.0.split_at(self.0.len().min(topic.saturating_add(2)))
    }
}

/// A letter in a queue.
#[derive(Debug, Clone)]
pub(crate) struct Post {
    pub letter: Letter,
    /// 0 or 1: the lower of publisher and subscription.
    pub qos: u8,
    /// Whether it comes from the retained store, for a subscription that is new.
    pub retain: bool,
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
pub(crate) fn write_publish(out: &mut BytesMut, letter: &Letter, how: Delivery) {
    let (topic, payload) = letter.split();
    let qos = u8::from(how.pkid.is_some());
    let length = letter.0.len() + 2 * usize::from(qos);
    out.reserve(length + 5);
    out.put_u8(0x30 | u8::from(how.dup) << 3 | qos << 1 | u8::from(how.retain));
    write_length(out, length);
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
    fn publish_packets_are_those_of_the_standard() {
        let mut out = BytesMut::new();
        write_publish(&mut out, &Letter::new("a/b", b"!"), Delivery { pkid: Some(10), retain: true, dup: true });
        assert_eq!(&out[..], b"\x3b\x08\x00\x03a/b\x00\x0a!");
        out.clear();
        write_publish(&mut out, &Letter::new("t", &[0; 200]), Delivery::default());
        assert_eq!(&out[..6], b"\x30\xcb\x01\x00\x01t");
    }
}
