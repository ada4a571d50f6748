//! Packets of MQTT 3.1.1, byte by byte, the wrong ones too.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use super::Published;

pub const CONNACK: u8 = 0x20;
pub const PUBACK: u8 = 0x40;
pub const PUBREC: u8 = 0x50;
pub const PUBREL: u8 = 0x62;
pub const PUBCOMP: u8 = 0x70;
pub const SUBACK: u8 = 0x90;
pub const UNSUBACK: u8 = 0xb0;
pub const PINGRESP: u8 = 0xd0;
pub const PINGREQ: &[u8] = &[0xc0, 0];
pub const DISCONNECT: &[u8] = &[0xe0, 0];

/// Connect flags.
pub const CLEAN: u8 = 0x02;
pub const WILL: u8 = 0x04;
pub const WILL_RETAIN: u8 = 0x20;
pub const PASSWORD: u8 = 0x40;
pub const USER: u8 = 0x80;

/// A packet from its first byte and its body.
pub fn framed(byte1: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = vec![byte1];
    let mut length = body.len();
    loop {
        let byte = (length % 128) as u8;
        length /= 128;
        packet.push(if length > 0 { byte | 128 } else { byte });
        if length == 0 {
            break;
        }
    }
    packet.extend_from_slice(body);
    packet
}

/// The first packet of the input: its first byte and its body.
pub fn split(input: &mut BytesMut) -> Option<(u8, Bytes)> {
    let (mut length, mut at) = (0_usize, 1);
    loop {
        let byte = *input.get(at)?;
        length |= usize::from(byte & 0x7f) << (7 * (at - 1));
        at += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    if input.len() < at + length {
        return None;
    }
    let byte1 = input[0];
    input.advance(at);
    Some((byte1, input.split_to(length).freeze()))
}

pub fn as_publish(byte1: u8, mut body: Bytes) -> Published {
    assert_eq!(byte1 >> 4, 3, "a PUBLISH was expected, got {byte1:#x}");
    let topic_len = usize::from(body.get_u16());
    let topic = String::from_utf8(body.split_to(topic_len).to_vec()).unwrap();
    let qos = byte1 >> 1 & 3;
    let pkid = if qos > 0 { body.get_u16() } else { 0 };
    Published { topic, payload: body, qos, retain: byte1 & 1 != 0, dup: byte1 & 8 != 0, pkid }
}

/// A field with its length in front.
fn field(out: &mut BytesMut, text: &[u8]) {
    out.put_u16(text.len() as u16);
    out.put_slice(text);
}

/// CONNECT; the will is topic, payload, QoS and retain.
pub fn connect(id: &str, clean: bool, keep_alive: u16, will: Option<(&str, &str, u8, bool)>) -> Vec<u8> {
    let mut flags = if clean { CLEAN } else { 0 };
    let mut fields = vec![id.as_bytes()];
    if let Some((topic, payload, qos, retain)) = will {
        flags |= WILL | qos << 3 | if retain { WILL_RETAIN } else { 0 };
        fields.extend([topic.as_bytes(), payload.as_bytes()]);
    }
    connect_as(b"MQTT", 4, flags, keep_alive, &fields)
}

/// CONNECT of MQTT 3.1.1 with these flags and fields, whether they go together or not.
pub fn connect_with(flags: u8, fields: &[&[u8]]) -> Vec<u8> {
    connect_as(b"MQTT", 4, flags, 0, fields)
}

/// CONNECT of any protocol.
pub fn connect_as(protocol: &[u8], level: u8, flags: u8, keep_alive: u16, fields: &[&[u8]]) -> Vec<u8> {
    let mut body = BytesMut::new();
    field(&mut body, protocol);
    body.put_slice(&[level, flags]);
    body.put_u16(keep_alive);
    fields.iter().for_each(|text| field(&mut body, text));
    framed(0x10, &body)
}

/// PUBLISH; at QoS 0 the packet id is left out.
pub fn publish(topic: &str, payload: &[u8], qos: u8, pkid: u16, retain: bool) -> Vec<u8> {
    publish_to(topic.as_bytes(), payload, qos, pkid, retain)
}

/// PUBLISH to a topic that may be no text.
pub fn publish_to(topic: &[u8], payload: &[u8], qos: u8, pkid: u16, retain: bool) -> Vec<u8> {
    let mut body = BytesMut::new();
    field(&mut body, topic);
    if qos > 0 {
        body.put_u16(pkid);
    }
    body.put_slice(payload);
    framed(0x30 | qos << 1 | u8::from(retain), &body)
}

/// The same PUBLISH once more.
pub fn again(mut publish: Vec<u8>) -> Vec<u8> {
    publish[0] |= 8;
    publish
}

pub fn subscribe(pkid: u16, filters: &[(&str, u8)]) -> Vec<u8> {
    let filters: Vec<_> = filters.iter().map(|(filter, qos)| (filter.as_bytes(), *qos)).collect();
    subscribe_to(pkid, &filters)
}

/// SUBSCRIBE to filters that may be no text.
pub fn subscribe_to(pkid: u16, filters: &[(&[u8], u8)]) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_u16(pkid);
    for (filter, qos) in filters {
        field(&mut body, filter);
        body.put_u8(*qos);
    }
    framed(0x82, &body)
}

pub fn unsubscribe(pkid: u16, filters: &[&str]) -> Vec<u8> {
    let filters: Vec<_> = filters.iter().map(|filter| filter.as_bytes()).collect();
    unsubscribe_from(pkid, &filters)
}

/// UNSUBSCRIBE from filters that may be no text.
pub fn unsubscribe_from(pkid: u16, filters: &[&[u8]]) -> Vec<u8> {
    let mut body = BytesMut::new();
    body.put_u16(pkid);
    filters.iter().for_each(|filter| field(&mut body, filter));
    framed(0xa2, &body)
}

/// A packet that is only a type and a packet id.
pub fn ack(byte1: u8, pkid: u16) -> Vec<u8> {
    framed(byte1, &pkid.to_be_bytes())
}
