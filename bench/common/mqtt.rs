//! MQTT without a library.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

/// A raw MQTT 3.1.1 client: nothing between the figures and the socket.
pub struct Mqtt(pub TcpStream);

impl Mqtt {
    pub fn connect(address: &str, id: &str) -> Mqtt {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut packet = vec![0x10, u8::try_from(12 + id.len()).unwrap(), 0, 4];
        packet.extend(b"MQTT\x04\x02\x00\x00\x00");
        packet.push(u8::try_from(id.len()).unwrap());
        packet.extend(id.as_bytes());
        stream.write_all(&packet).unwrap();
        let mut answer = [0; 4];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(answer[3], 0, "connected");
        Mqtt(stream)
    }

    pub fn subscribe(&mut self, filter: &str) {
        self.subscribe_at(filter, 0);
    }

    pub fn subscribe_at(&mut self, filter: &str, qos: u8) {
        let mut packet = vec![0x82, u8::try_from(5 + filter.len()).unwrap(), 0, 1, 0];
        packet.push(u8::try_from(filter.len()).unwrap());
        packet.extend(filter.as_bytes());
        packet.push(qos);
        self.0.write_all(&packet).unwrap();
        while self.read().0 != 0x90 {}
    }

    pub fn packet(topic: &str, payload: &str, qos1: Option<u16>) -> Vec<u8> {
        let length = 2 + topic.len() + payload.len() + if qos1.is_some() { 2 } else { 0 };
        let mut packet = vec![if qos1.is_some() { 0x32 } else { 0x30 }, u8::try_from(length).unwrap(), 0];
        packet.push(u8::try_from(topic.len()).unwrap());
        packet.extend(topic.as_bytes());
        if let Some(id) = qos1 {
            packet.extend(id.to_be_bytes());
        }
        packet.extend(payload.as_bytes());
        packet
    }

    /// The next packet: its first byte and the rest.
    pub fn read(&mut self) -> (u8, Vec<u8>) {
        let mut byte = [0];
        self.0.read_exact(&mut byte).unwrap();
        let first = byte[0];
        let (mut length, mut shift) = (0usize, 0);
        loop {
            self.0.read_exact(&mut byte).unwrap();
            length |= usize::from(byte[0] & 127) << shift;
            shift += 7;
            if byte[0] < 128 {
                break;
            }
        }
        let mut rest = vec![0; length];
        self.0.read_exact(&mut rest).unwrap();
        (first & 0xf0, rest)
    }

    /// Reads until a publish whose body contains `what`; the moment it was read.
    pub fn until(&mut self, what: &str) -> Instant {
        loop {
            let (kind, body) = self.read();
            let at = Instant::now();
            if kind == 0x30 && body.windows(what.len()).any(|w| w == what.as_bytes()) {
                return at;
            }
        }
    }

    /// The next publish (QoS 0): when it was read, and its payload.
    pub fn next(&mut self) -> (Instant, Vec<u8>) {
        loop {
            let (kind, body) = self.read();
            let at = Instant::now();
            if kind == 0x30 {
                let topic = usize::from(u16::from_be_bytes([body[0], body[1]]));
                return (at, body[2 + topic..].to_vec());
            }
        }
    }
}
