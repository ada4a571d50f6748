//! What came of what was sent: every message carries its number, its topic says which publisher counted it.

/// Bytes of every payload.
pub const PAYLOAD: usize = 64;
/// Decimal digits of the number at its beginning; blanks follow, so that the agent reads it as a metric's value.
pub const DIGITS: usize = 10;

/// What one publisher's messages look like where they arrive. Both brokers keep the order of a publisher.
#[derive(Clone, Copy, Default)]
pub struct Check {
    next: u64,
    pub got: u64,
    /// Numbers that had come before, or that came behind a later one.
    pub doubled: u64,
}

impl Check {
    pub fn note(&mut self, number: u64) {
        if number < self.next {
            self.doubled += 1;
        } else {
            self.next = number + 1;
            self.got += 1;
        }
    }
}

/// The publisher, from the last two bytes of its topic.
pub fn publisher(topic: &[u8]) -> usize {
    number(&topic[topic.len() - 2..]) as usize
}

pub fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0'))
}

/// Writes a number over all of these bytes.
pub fn write_number(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}
