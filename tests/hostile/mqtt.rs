//! MQTT 3.1.1 on a bare socket: packets as bytes, and a connection that can do anything wrong.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use super::device::deadline;

/// A write that blocks comes back after this, to see whether it is still wanted.
const LOOK_UP: Duration = Duration::from_millis(200);

pub const CONNACK: u8 = 0x20;
pub const PUBACK: u8 = 0x40;
pub const SUBACK: u8 = 0x90;
pub const PINGREQ: &[u8] = &[0xc0, 0];
pub const DISCONNECT: &[u8] = &[0xe0, 0];

/// A packet with the length that its body has.
pub fn packet(byte1: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![byte1];
    let mut length = body.len();
    while length > 127 {
        bytes.push((length % 128) as u8 | 128);
        length /= 128;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(body);
    bytes
}

/// With its length in front, as MQTT has strings.
fn text(bytes: &[u8]) -> Vec<u8> {
    let length = u16::try_from(bytes.len()).expect("short");
    [&length.to_be_bytes(), bytes].concat()
}

/// A CONNECT of MQTT 3.1.1.
pub struct Connect<'a> {
    pub id: &'a [u8],
    pub clean: bool,
    pub keep_alive: u16,
    pub will: Option<Will<'a>>,
}

pub struct Will<'a> {
    pub topic: &'a str,
    pub payload: &'a [u8],
    pub qos: u8,
    pub retain: bool,
}

impl<'a> Connect<'a> {
    pub fn as_client(id: &'a str) -> Connect<'a> {
        Connect { id: id.as_bytes(), clean: true, keep_alive: 0, will: None }
    }

    pub fn bytes(&self) -> Vec<u8> {
        let mut flags = u8::from(self.clean) << 1;
        let mut rest = text(self.id);
        if let Some(will) = &self.will {
            flags |= 4 | will.qos << 3 | u8::from(will.retain) << 5;
            rest.extend(text(will.topic.as_bytes()));
            rest.extend(text(will.payload));
        }
        let head = [b"\0\x04MQTT\x04", &[flags][..], &self.keep_alive.to_be_bytes()].concat();
        packet(0x10, &[head, rest].concat())
    }
}

pub fn connect(id: &str) -> Vec<u8> {
    Connect::as_client(id).bytes()
}

/// `flags` are those of the fixed header: 1 retain, 2 and 4 the QoS, 8 a duplicate; at QoS 0 the packet id is left out.
pub fn publish(flags: u8, pkid: u16, topic: &str, payload: &[u8]) -> Vec<u8> {
    let mut body = text(topic.as_bytes());
    if flags & 6 != 0 {
        body.extend(pkid.to_be_bytes());
    }
    body.extend_from_slice(payload);
    packet(0x30 | flags, &body)
}

pub fn subscribe<S: AsRef<str>>(pkid: u16, filters: &[S], qos: u8) -> Vec<u8> {
    let mut body = pkid.to_be_bytes().to_vec();
    for filter in filters {
        body.extend(text(filter.as_ref().as_bytes()));
        body.push(qos);
    }
    packet(0x82, &body)
}

pub fn puback(pkid: u16) -> Vec<u8> {
    packet(PUBACK, &pkid.to_be_bytes())
}

/// Topic, packet id (0 at QoS 0) and payload of a PUBLISH.
pub fn published(byte1: u8, body: &[u8]) -> Option<(&[u8], u16, &[u8])> {
    let (length, rest) = body.split_first_chunk()?;
    let (topic, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    if byte1 & 6 == 0 {
        return Some((topic, 0, rest));
    }
    let (pkid, payload) = rest.split_first_chunk()?;
    Some((topic, u16::from_be_bytes(*pkid), payload))
}

/// The next packet of a stream; an error at its end.
pub fn read_packet(stream: &mut impl Read) -> io::Result<(u8, Vec<u8>)> {
    let mut byte = [0];
    stream.read_exact(&mut byte)?;
    let byte1 = byte[0];
    let (mut length, mut shift) = (0, 0);
    loop {
        stream.read_exact(&mut byte)?;
        length |= usize::from(byte[0] & 127) << shift;
        shift += 7;
        if byte[0] & 128 == 0 {
            break;
        }
        if shift > 21 {
            return Err(ErrorKind::InvalidData.into());
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    Ok((byte1, body))
}

/// A connection; every read has the deadline of the tests.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn open(broker: &str) -> io::Result<Client> {
        let stream = TcpStream::connect(broker)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(deadline()))?;
        Ok(Client { stream })
    }

    /// Sends bytes first, whatever they are, and reads the CONNACK.
    pub fn greet(broker: &str, bytes: &[u8]) -> io::Result<Client> {
        let mut client = Client::open(broker)?;
        client.send(bytes)?;
        match client.read()? {
            (CONNACK, body) if body.get(1) == Some(&0) => Ok(client),
            other => Err(io::Error::other(format!("not welcome: {other:?}"))),
        }
    }

    pub fn connect(broker: &str, id: &str) -> io::Result<Client> {
        Client::greet(broker, &connect(id))
    }

    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends until all is sent or `stop` is set; false if it was.
    pub fn push(&mut self, mut bytes: &[u8], stop: &AtomicBool) -> io::Result<bool> {
        self.stream.set_write_timeout(Some(LOOK_UP))?;
        while !bytes.is_empty() {
            if stop.load(Relaxed) {
                return Ok(false);
            }
            match self.stream.write(bytes) {
                Ok(sent) => bytes = &bytes[sent..],
                Err(why) if matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(why) => return Err(why),
            }
        }
        Ok(true)
    }

    pub fn read(&mut self) -> io::Result<(u8, Vec<u8>)> {
        read_packet(&mut self.stream)
    }

    /// Reads up to a packet of this type.
    pub fn read_until(&mut self, byte1: u8) -> io::Result<Vec<u8>> {
        loop {
            let (first, body) = self.read()?;
            if first == byte1 {
                return Ok(body);
            }
        }
    }

    /// The codes of the SUBACK.
    pub fn subscribe<S: AsRef<str>>(&mut self, filters: &[S], qos: u8) -> io::Result<Vec<u8>> {
        self.send(&subscribe(1, filters, qos))?;
        Ok(self.read_until(SUBACK)?.split_off(2))
    }

    /// Says that it sends no more; true if the broker then closes, in whatever way, and false if it keeps the connection.
    pub fn ends(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let mut end = self.stream.shutdown(Shutdown::Write);
        while end.is_ok() {
            match self.stream.read(&mut buffer) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(why) => end = Err(why),
            }
        }
        end.is_err_and(|why| !matches!(why.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut))
    }

    /// Whether the broker has closed it, without waiting; what is there to be read is thrown away.
    pub fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let _ = self.stream.set_nonblocking(true);
        let closed = loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => break true,
                Ok(_) => {}
                Err(why) => break why.kind() != ErrorKind::WouldBlock,
            }
        };
        let _ = self.stream.set_nonblocking(false);
        closed
    }
}
