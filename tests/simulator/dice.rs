//! Chance, from a seed alone.

use crate::splitmix::SplitMix;

/// What is thrown.
#[derive(Clone, Debug)]
pub struct Dice(SplitMix);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        let mut dice = Dice(SplitMix(seed ^ 0x5851_f42d_4c95_7f2d));
        dice.next();
        dice
    }

    pub fn next(&mut self) -> u64 {
        self.0.next()
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit.max(1)
    }

    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most.saturating_sub(least) + 1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len() as u64) as usize]
    }

    /// Around a mean, never 0: as things happen that know nothing of each other.
    pub fn around(&mut self, mean: u64) -> u64 {
        let share = (self.below(1 << 20) + 1) as f64 / (1 << 20) as f64;
        1 + (-share.ln() * mean as f64) as u64
    }

    /// Another stream of chance: what is drawn from it moves nothing here.
    pub fn fork(&mut self) -> Dice {
        Dice::new(self.next())
    }
}
