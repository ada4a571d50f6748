//! How often which fault happens in a run: drawn anew for each seed, so that each kind of fault also comes alone.

use std::time::Duration;

use crate::dice::Dice;

/// Once in so many calls; 0: never.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rates {
    pub slow: u64,
    pub hang: u64,
    /// An error, or no answer, and nothing done.
    pub refused: u64,
    /// An error, or no answer, and it was done.
    pub done: u64,
    /// A pod half removed.
    pub torn: u64,
    /// A container that serves ends by itself.
    pub death: u64,
    pub event: u64,
}

impl Rates {
    pub fn draw(dice: &mut Dice) -> Rates {
        let mut rate = |of: &[u64]| dice.pick(of);
        Rates {
            slow: rate(&[0, 10, 50]),
            hang: rate(&[0, 0, 60, 300]),
            refused: rate(&[0, 12, 60]),
            done: rate(&[0, 12, 60]),
            torn: rate(&[0, 3, 10]),
            death: rate(&[0, 3, 10]),
            event: rate(&[0, 0, 3, 10]),
        }
    }
}

/// What is wrong with one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    /// Never answered.
    Hang {
        done: bool,
    },
    /// Answered with an error.
    Error {
        done: bool,
    },
    /// The connection is lost.
    Lost {
        done: bool,
    },
}

impl Fault {
    pub fn draw(rates: &Rates, dice: &mut Dice) -> (Fault, Duration) {
        let slow = if dice.one_in(rates.slow) { dice.millis(100, 40_000) } else { dice.millis(0, 30) };
        let fault = if dice.one_in(rates.hang) {
            Fault::Hang { done: dice.one_in(2) }
        } else if dice.one_in(rates.refused) {
            if dice.one_in(2) { Fault::Error { done: false } } else { Fault::Lost { done: false } }
        } else if dice.one_in(rates.done) {
            if dice.one_in(2) { Fault::Error { done: true } } else { Fault::Lost { done: true } }
        } else {
            Fault::None
        };
        (fault, slow)
    }

    pub fn does(self) -> bool {
        match self {
            Fault::None => true,
            Fault::Hang { done } | Fault::Error { done } | Fault::Lost { done } => done,
        }
    }
}
