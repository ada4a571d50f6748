//! A client that sends any bytes and reads packets.

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

pub struct Client {
    pub stream: TcpStream,
    input: BytesMut,
}

/// A PUBLISH as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    pub topic: String,
    pub payload: Bytes,
    pub qos: u8,
    pub retain: bool,
    pub dup: bool,
    /// 0 at QoS 0, which has none.
    pub pkid: u16,
}

impl Published {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.payload).unwrap()
    }
}

impl Client {
    pub fn new(stream: TcpStream) -> Self {
        Client { stream, input: BytesMut::new() }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends to a broker that may close before it has all of it.
    pub async fn try_send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.ok();
    }

    /// The next packet: its first byte and its body. `None` when the broker has closed.
    pub async fn packet(&mut self) -> Option<(u8, Bytes)> {
        soon(async {
            loop {
                if let Some(packet) = split(&mut self.input) {
                    return Some(packet);
                }
                match self.stream.read_buf(&mut self.input).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        })
        .await
    }

    /// All bytes until the broker closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        soon(async { while matches!(self.stream.read_buf(&mut self.input).await, Ok(1..)) {} }).await;
        self.input.split().to_vec()
    }

    /// Expects this acknowledgement next.
    pub async fn acknowledged(&mut self, byte1: u8, pkid: u16) {
        let got = self.packet().await;
        assert_eq!(got, Some((byte1, Bytes::copy_from_slice(&pkid.to_be_bytes()))), "expected {byte1:#x} {pkid}");
    }

    /// Expects a PUBLISH next.
    pub async fn message(&mut self) -> Published {
        let (byte1, body) = self.packet().await.expect("the broker has closed");
        as_publish(byte1, body)
    }

    /// Expects a PUBLISH next, and acknowledges it.
    pub async fn take(&mut self) -> Published {
        let message = self.message().await;
        if message.qos == 1 {
            self.send(&ack(PUBACK, message.pkid)).await;
        }
        message
    }

    /// The payloads of the next PUBLISH packets, which are acknowledged.
    pub async fn texts<const N: usize>(&mut self) -> [String; N] {
        let mut texts = [const { String::new() }; N];
        for text in &mut texts {
            *text = self.take().await.text().to_owned();
        }
        texts
    }

    /// Publishes; on return the broker has dealt with it.
    pub async fn says(&mut self, topic: &str, payload: &str, qos: u8, retain: bool) {
        self.send(&publish(topic, payload.as_bytes(), qos, 77, retain)).await;
        match qos {
            0 => self.ping().await,
            1 => self.acknowledged(PUBACK, 77).await,
            _ => {
                self.acknowledged(PUBREC, 77).await;
                self.send(&ack(PUBREL, 77)).await;
                self.acknowledged(PUBCOMP, 77).await;
            }
        }
    }

    /// Subscribes; returns the codes of the SUBACK.
    pub async fn subscribe(&mut self, filters: &[(&str, u8)]) -> Vec<u8> {
        self.send(&subscribe(7, filters)).await;
        let (byte1, mut body) = self.packet().await.unwrap();
        assert_eq!((byte1, body.get_u16()), (SUBACK, 7));
        body.to_vec()
    }

    pub async fn unsubscribe(&mut self, filters: &[&str]) {
        self.send(&unsubscribe(8, filters)).await;
        self.acknowledged(UNSUBACK, 8).await;
    }

    /// A round trip: what was sent before has been dealt with, and nothing came in between.
    pub async fn ping(&mut self) {
        self.send(PINGREQ).await;
        assert_eq!(self.packet().await, Some((PINGRESP, Bytes::new())));
    }

    /// Leaves politely; returns when the broker has closed.
    pub async fn disconnect(mut self) {
        self.send(DISCONNECT).await;
        assert!(self.is_closed().await, "a packet after DISCONNECT");
    }

    /// Expects the broker to close the connection for this packet, without an answer.
    pub async fn is_closed_for(&mut self, packet: &[u8]) {
        self.send(packet).await;
        // A broker that lets the packet pass answers this, which is sooner known than that it does not close.
        self.try_send(PINGREQ).await;
        assert_eq!(self.packet().await, None, "after {packet:02x?}");
    }

    /// Whether the next thing from the broker is the end of the connection.
    pub async fn is_closed(&mut self) -> bool {
        self.packet().await.is_none()
    }
}
