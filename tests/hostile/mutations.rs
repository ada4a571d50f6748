//! Sessions of MQTT with something wrong in them, made from valid ones by chance that a seed repeats.

use super::dice::Dice;
use super::mqtt::{self, Connect, DISCONNECT, PINGREQ, Will};

/// The bytes of a session and where its packets begin.
pub struct Script {
    pub bytes: Vec<u8>,
    starts: Vec<usize>,
}

fn below(dice: &mut Dice, limit: usize) -> usize {
    usize::try_from(dice.below(limit.max(1) as u64)).expect("small")
}

fn noise(dice: &mut Dice, most: usize) -> Vec<u8> {
    (0..below(dice, most + 1)).map(|_| dice.below(256) as u8).collect()
}

fn one_of<'a>(dice: &mut Dice, of: &[&'a str]) -> &'a str {
    of[below(dice, of.len())]
}

const TOPICS: &[&str] = &[
    "flotta/metrics/x",
    "flotta/metrics/é/y",
    "flotta/devices/toto/status",
    "flotta/devices/toto/commands/lock",
    "flotta/devices/toto/metrics/x",
    "chance/a",
    "chance/a/b/c/d/e/f",
    "$SYS/broker",
    "/",
    "",
    "a/+/b",
    "#",
];
const FILTERS: &[&str] =
    &["#", "+/+/+", "chance/#", "chance/+/b", "flotta/#", "$SYS/#", "$share/g/a", "", "a/#/b", "+a", "/", "chance/a"];
const PAYLOADS: &[&str] = &["", "1", "20%", "nan", "1e999", "{\"value\":20}", "{\"value\":", "[[[[[[", "off"];

impl Script {
    pub fn valid(dice: &mut Dice) -> Script {
        let id = format!("chance-{}", dice.below(200));
        // Others would end it at once.
        let (topic, payload) = (one_of(dice, &TOPICS[..8]), one_of(dice, PAYLOADS));
        let will = Will { topic, payload: payload.as_bytes(), qos: dice.below(3) as u8, retain: dice.below(2) == 0 };
        let connect = Connect {
            id: id.as_bytes(),
            clean: dice.below(2) == 0,
            keep_alive: dice.below(65_536) as u16,
            will: (dice.below(4) == 0).then_some(will),
        };
        let mut script = Script { bytes: Vec::new(), starts: Vec::new() };
        script.add(&connect.bytes());
        for _ in 0..dice.below(8) {
            let pkid = dice.below(4) as u16;
            let packet = match dice.below(10) {
                0..4 => {
                    let flags = [0, 1, 2, 3, 4, 5, 10, 12][below(dice, 8)];
                    mqtt::publish(flags, pkid, one_of(dice, TOPICS), one_of(dice, PAYLOADS).as_bytes())
                }
                4 => mqtt::publish(0, 0, "chance/noise", &noise(dice, 2_000)),
                5 => mqtt::subscribe(pkid, &[one_of(dice, FILTERS), one_of(dice, FILTERS)], dice.below(3) as u8),
                6 => {
                    // UNSUBSCRIBE: as SUBSCRIBE without the last byte.
                    let mut packet = mqtt::subscribe(pkid, &[one_of(dice, FILTERS)], 0);
                    packet.pop();
                    packet[0] = 0xa2;
                    packet[1] -= 1;
                    packet
                }
                7 => mqtt::packet([0x40, 0x50, 0x62, 0x70, 0xb0][below(dice, 5)], &pkid.to_be_bytes()),
                8 => PINGREQ.to_vec(),
                _ => DISCONNECT.to_vec(),
            };
            script.add(&packet);
        }
        script
    }

    fn add(&mut self, packet: &[u8]) {
        self.starts.push(self.bytes.len());
        self.bytes.extend_from_slice(packet);
    }

    /// The start of one of its packets; rather not of CONNECT, behind which the rest is never seen.
    fn start(&self, dice: &mut Dice) -> usize {
        let later = usize::from(self.starts.len() > 1 && dice.below(10) > 0);
        self.starts[later + below(dice, self.starts.len() - later)]
    }

    /// The session with one to three things wrong; one in twenty as it was.
    pub fn mutated(mut self, dice: &mut Dice) -> Vec<u8> {
        if dice.below(20) == 0 {
            return self.bytes;
        }
        for _ in 0..=dice.below(3) {
            self.mutate(dice);
        }
        self.bytes
    }

    fn mutate(&mut self, dice: &mut Dice) {
        // Earlier mutations may have taken away what was there.
        let from = self.start(dice).min(self.bytes.len());
        let at = from + below(dice, self.bytes.len() - from);
        let end = at + below(dice, self.bytes.len() - at + 1);
        match dice.below(9) {
            0 => (0..=dice.below(8)).for_each(|_| {
                let at = from + below(dice, self.bytes.len() - from);
                if let Some(byte) = self.bytes.get_mut(at) {
                    *byte ^= 1 << dice.below(8);
                }
            }),
            1 => self.bytes.truncate(at),
            2 => drop(self.bytes.splice(at..at, noise(dice, 16))),
            3 => drop(self.bytes.drain(at..end)),
            // A wrong length of a packet, of one to five bytes.
            4 => {
                let wrong: &[&[u8]] =
                    &[&[0], &[1], &[127], &[0x80, 0], &[0xff, 0x7f], &[0xff, 0xff, 0xff, 0x7f], &[0xff; 5]];
                let wrong = wrong[below(dice, wrong.len())].iter().copied();
                if from + 1 < self.bytes.len() {
                    drop(self.bytes.splice(from + 1..from + 2, wrong));
                }
            }
            // A wrong length of the string that most packets begin with.
            5 => {
                if let Some(byte) = self.bytes.get_mut(from + 2 + below(dice, 2)) {
                    *byte = dice.below(256) as u8;
                }
            }
            6 => {
                let other = Script::valid(dice);
                let tail = other.bytes[below(dice, other.bytes.len())..].to_vec();
                drop(self.bytes.splice(at.., tail));
            }
            7 => {
                let again = self.bytes[from..end.max(from)].to_vec();
                (0..dice.below(20)).for_each(|_| self.bytes.extend_from_slice(&again));
            }
            _ => drop(self.bytes.splice(from.., noise(dice, 64))),
        }
    }
}
