//! A subscriber that costs next to nothing: large reads, no copies, all acknowledgements of a read in one write.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::check::{Check, DIGITS, PAYLOAD, number, publisher};
use crate::common::mqtt::Mqtt;

/// After this long without a message, and with nobody sending any more, what did not come is lost.
pub const SILENCE: Duration = Duration::from_secs(2);

/// How many messages were sent, for a subscriber in another thread.
#[derive(Default)]
pub struct Sent(OnceLock<u64>);

/// Who says it. If a panic comes first, nobody waits for more than came until then.
pub struct Sender<'a>(pub &'a Sent);

impl Sent {
    fn get(&self) -> Option<u64> {
        self.0.get().copied()
    }
}

impl Sender<'_> {
    /// Nothing more is sent.
    pub fn ended(&self, sent: u64) {
        let _ = self.0.0.set(sent);
    }
}

impl Drop for Sender<'_> {
    fn drop(&mut self) {
        self.ended(0);
    }
}

/// One open connection that does not block.
pub struct Subscriber {
    pub stream: TcpStream,
    checks: Vec<Check>,
    pub got: u64,
    /// When the last message was read.
    pub last: Instant,
    input: Vec<u8>,
    held: usize,
    out: Vec<u8>,
}

impl Subscriber {
    /// Waits until it is subscribed.
    pub fn connect(address: &str, filter: &str, qos: u8, publishers: usize) -> Subscriber {
        let mut client = Mqtt::connect(address, "subscriber");
        client.subscribe_at(filter, qos);
        client.0.set_nonblocking(true).unwrap();
        Subscriber {
            stream: client.0,
            checks: vec![Check::default(); publishers],
            got: 0,
            last: Instant::now(),
            input: vec![0; 256 * 1024],
            held: 0,
            out: Vec::new(),
        }
    }

    pub fn doubled(&self) -> u64 {
        self.checks.iter().map(|check| check.doubled).sum()
    }

    pub fn wants(&self) -> PollFlags {
        if self.out.is_empty() { PollFlags::IN } else { PollFlags::IN | PollFlags::OUT }
    }

    /// One read, and the acknowledgements of what it brought; `each` sees the payloads and the moment.
    pub fn step(&mut self, mut each: impl FnMut(&[u8], Instant)) {
        match self.stream.read(&mut self.input[self.held..]) {
            Ok(0) => panic!("the broker closed the subscriber's connection"),
            Ok(count) => self.take(self.held + count, &mut each),
            Err(why) if why.kind() == ErrorKind::WouldBlock => {}
            Err(why) => panic!("the subscriber cannot read: {why}"),
        }
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(count) => drop(self.out.drain(..count)),
                Err(why) if why.kind() == ErrorKind::WouldBlock => return,
                Err(why) => panic!("the subscriber cannot write: {why}"),
            }
        }
    }

    fn take(&mut self, held: usize, each: &mut impl FnMut(&[u8], Instant)) {
        let now = Instant::now();
        let (mut at, before) = (0, self.got);
        while at + 2 <= held {
            // Nothing here is longer than 127 bytes.
            let end = at + 2 + usize::from(self.input[at + 1]);
            assert!(self.input[at + 1] < 128, "a packet that nobody sent");
            if end > held {
                break;
            }
            let first = self.input[at];
            if first & 0xf0 == 0x30 {
                let body = &self.input[at + 2..end];
                let topic = 2 + usize::from(u16::from_be_bytes([body[0], body[1]]));
                if first & 0x06 != 0 {
                    self.out.extend([0x40, 2, body[topic], body[topic + 1]]);
                }
                let payload = &body[body.len() - PAYLOAD..];
                let check = &mut self.checks[publisher(&body[2..topic])];
                check.note(number(&payload[..DIGITS]));
                self.got += 1;
                each(payload, now);
            }
            at = end;
        }
        if self.got > before {
            self.last = now;
        }
        self.input.copy_within(at..held, 0);
        self.held = held - at;
    }

    /// Reads until as many came as were sent, or nothing came any more.
    pub fn follow(&mut self, sent: &Sent, mut each: impl FnMut(&[u8], Instant)) {
        let mut known: Option<Instant> = None;
        loop {
            let wait = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let wants = self.wants();
            poll(&mut [PollFd::new(&self.stream, wants)], Some(&wait)).unwrap();
            self.step(&mut each);
            if let Some(sent) = sent.get() {
                let since = *known.get_or_insert_with(Instant::now);
                if self.got >= sent || since.max(self.last).elapsed() >= SILENCE {
                    return;
                }
            }
        }
    }
}
