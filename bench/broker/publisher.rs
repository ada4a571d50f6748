//! A publisher that costs next to nothing: many packets in one write, answers counted and not looked at closer.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;

use rustix::event::PollFlags;

use crate::check::{DIGITS, PAYLOAD, write_number};
use crate::common::mqtt::Mqtt;

/// One open connection that does not block.
pub struct Publisher {
    pub stream: TcpStream,
    qos: u8,
    /// Messages without answer at most. At QoS 0 that is the one to a PINGREQ behind them: the broker has read them.
    window: usize,
    /// Messages in one write at most.
    batch: usize,
    /// The next packet; number and packet id are overwritten.
    template: Vec<u8>,
    pub sent: u64,
    open: usize,
    /// At QoS 0: how many messages each unanswered PINGREQ stands behind, and those behind the last.
    pings: VecDeque<usize>,
    unpinged: usize,
    out: Vec<u8>,
    written: usize,
    input: Vec<u8>,
    held: usize,
}

impl Publisher {
    /// Publishes to `topic` and its number, in two digits.
    pub fn connect(address: &str, topic: &str, number: usize, qos: u8, window: usize, batch: usize) -> Publisher {
        let stream = Mqtt::connect(address, &format!("publisher-{number}")).0;
        stream.set_nonblocking(true).unwrap();
        let payload = format!("{:PAYLOAD$}", "");
        let mut template = Mqtt::packet(&format!("{topic}{number:02}"), &payload, (qos > 0).then_some(0));
        assert!(template.len() < 128, "the length takes one byte");
        template[0] = 0x30 | qos << 1;
        Publisher {
            stream,
            qos,
            window,
            batch,
            template,
            sent: 0,
            open: 0,
            pings: VecDeque::new(),
            unpinged: 0,
            out: Vec::new(),
            written: 0,
            input: vec![0; 64 * 1024],
            held: 0,
        }
    }

    /// The next messages, no more than `room`, if all earlier ones are written; how many.
    pub fn fill(&mut self, room: usize) -> usize {
        if !self.out.is_empty() {
            return 0;
        }
        let count = self.batch.min(self.window - self.open).min(room);
        for _ in 0..count {
            self.push(0);
        }
        count
    }

    /// One message with a second number behind the first.
    pub fn push(&mut self, stamp: u64) {
        let begin = self.template.len() - PAYLOAD;
        write_number(&mut self.template[begin..begin + DIGITS], self.sent);
        if stamp > 0 {
            write_number(&mut self.template[begin + DIGITS..begin + 3 * DIGITS], stamp);
        }
        if self.qos > 0 {
            let id = (self.sent % 65_000) as u16 + 1;
            self.template[begin - 2..begin].copy_from_slice(&id.to_be_bytes());
        }
        self.sent += 1;
        self.open += 1;
        self.out.extend_from_slice(&self.template);
        if self.qos == 0 {
            self.unpinged += 1;
            if self.unpinged == self.window / 4 {
                self.ping();
            }
        }
    }

    fn ping(&mut self) {
        self.out.extend([0xc0, 0]);
        self.pings.push_back(std::mem::take(&mut self.unpinged));
    }

    /// Nothing more is to be sent.
    pub fn finish(&mut self) {
        if self.unpinged > 0 {
            self.ping();
        }
    }

    /// Whether the broker has taken everything that was sent.
    pub fn is_done(&self) -> bool {
        self.open == 0
    }

    /// What is worth waiting for.
    pub fn wants(&self) -> PollFlags {
        let mut wants = PollFlags::empty();
        wants.set(PollFlags::OUT, !self.out.is_empty());
        wants.set(PollFlags::IN, self.open > 0);
        wants
    }

    /// Whether it waits for the other side only.
    pub fn is_held(&self) -> bool {
        !self.out.is_empty() || self.open == self.window
    }

    /// What it waits for.
    pub fn state(&self) -> String {
        let unwritten = self.out.len() - self.written;
        format!("{} sent, {unwritten} bytes not written, {} not acknowledged", self.sent, self.open)
    }

    /// Writes what the socket takes.
    pub fn write(&mut self) {
        while self.written < self.out.len() {
            match self.stream.write(&self.out[self.written..]) {
                Ok(count) => self.written += count,
                Err(why) if why.kind() == ErrorKind::WouldBlock => return,
                Err(why) => panic!("the broker closed a publisher's connection: {why}"),
            }
        }
        self.out.clear();
        self.written = 0;
    }

    /// Takes the answers that are there.
    pub fn read(&mut self) {
        let held = match self.stream.read(&mut self.input[self.held..]) {
            Ok(0) => panic!("the broker closed a publisher's connection"),
            Ok(count) => self.held + count,
            Err(why) if why.kind() == ErrorKind::WouldBlock => return,
            Err(why) => panic!("a publisher cannot read: {why}"),
        };
        let mut at = 0;
        while at + 2 <= held && at + 2 + usize::from(self.input[at + 1]) <= held {
            match self.input[at] & 0xf0 {
                // PUBACK, PUBCOMP
                0x40 | 0x70 => self.open = self.open.checked_sub(1).expect("one answer for each message"),
                // PUBREC: PUBREL
                0x50 => self.out.extend([0x62, 2, self.input[at + 2], self.input[at + 3]]),
                0xd0 => self.open -= self.pings.pop_front().expect("one answer for each PINGREQ"),
                other => panic!("a publisher got a packet of type {other:#x}"),
            }
            at += 2 + usize::from(self.input[at + 1]);
        }
        self.input.copy_within(at..held, 0);
        self.held = held - at;
    }
}
