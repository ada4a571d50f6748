//! A peer whose every packet the test decides: for what Mosquitto cannot be made to do.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use bytes::BytesMut;
use rumqttc::QoS;
use rumqttc::mqttbytes::v4::{ConnAck, ConnectReturnCode, Packet, PubAck, Publish, SubAck, SubscribeReasonCode};

use crate::device::{deadline, until_true};

pub struct Peer {
    listener: TcpListener,
    pub port: u16,
}

pub struct Connection {
    stream: TcpStream,
    buffer: BytesMut,
}

impl Peer {
    pub fn listen() -> Peer {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        listener.set_nonblocking(true).expect("set");
        let port = listener.local_addr().expect("bound").port();
        Peer { listener, port }
    }

    /// The next connection, whatever comes on it.
    pub fn accept(&self) -> Connection {
        let mut accepted = None;
        until_true("the agent connects", || {
            accepted = self.listener.accept().ok();
            accepted.is_some()
        });
        let (stream, _) = accepted.expect("just put there");
        stream.set_nonblocking(false).expect("set");
        stream.set_read_timeout(Some(deadline())).expect("set");
        Connection { stream, buffer: BytesMut::new() }
    }
}

impl Connection {
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("sent");
    }

    fn write(&mut self, packet: Packet) {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, 1024 * 1024).expect("written");
        self.send(&bytes);
    }

    pub fn read(&mut self) -> Packet {
        self.read_or_end().expect("the agent keeps the connection")
    }

    /// None once the agent has closed the connection.
    pub fn read_or_end(&mut self) -> Option<Packet> {
        loop {
            if let Ok(packet) = Packet::read(&mut self.buffer, 1024 * 1024) {
                return Some(packet);
            }
            let mut some = [0; 4096];
            let length = self.stream.read(&mut some).expect("a packet within the deadline");
            if length == 0 {
                return None;
            }
            self.buffer.extend_from_slice(&some[..length]);
        }
    }

    /// CONNECT, CONNACK.
    pub fn let_in(&mut self) {
        let packet = self.read();
        assert!(matches!(packet, Packet::Connect(_)), "{packet:?}");
        self.write(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
    }

    /// SUBSCRIBE, SUBACK: what is granted.
    pub fn answer_subscriptions(&mut self, granted: impl Fn(&str) -> bool) {
        loop {
            match self.read() {
                Packet::Subscribe(subscribe) => {
                    let code = |path: &str| {
                        if granted(path) {
                            SubscribeReasonCode::Success(QoS::AtLeastOnce)
                        } else {
                            SubscribeReasonCode::Failure
                        }
                    };
                    let codes = subscribe.filters.iter().map(|filter| code(&filter.path)).collect();
                    self.write(Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
                    return;
                }
                Packet::Publish(publish) => self.acknowledge(&publish),
                other => panic!("{other:?}"),
            }
        }
    }

    pub fn acknowledge(&mut self, publish: &Publish) {
        self.write(Packet::PubAck(PubAck::new(publish.pkid)));
    }

    /// The next message; pings are answered.
    pub fn message(&mut self) -> Publish {
        loop {
            match self.read() {
                Packet::Publish(publish) => return publish,
                Packet::PingReq => self.write(Packet::PingResp),
                other => panic!("{other:?}"),
            }
        }
    }
}
