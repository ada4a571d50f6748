//! What each stored object looks like, by its format number, and how an older one becomes today's.
//!
//! An object whose fields change in a way that an older agent, or this one, would misread gets an upgrade appended to its
//! list here: that makes its format one higher. Fields that are only added, with a default, need none. Every format that
//! was ever released stands in a fixture in `tests/state/golden/` and is loaded by the tests for good.

use serde_json::Value;

/// Makes an object of one format one of the next.
pub type Upgrade = fn(Value) -> Result<Value, String>;

/// How an object is written today, and how older ones become that.
#[derive(Clone, Copy, Debug)]
pub struct Format<'a> {
    /// Of the object: `<name>.json`.
    pub name: &'a str,
    /// The first makes format 1 format 2, and so on.
    pub upgrades: &'a [Upgrade],
}

/// Every object that has had more than one format. All others have format 1.
const CHANGED: &[Format<'static>] = &[];

impl<'a> Format<'a> {
    /// That of an object by its name.
    #[must_use]
    pub fn of(name: &'a str) -> Format<'a> {
        let upgrades = CHANGED.iter().find(|format| format.name == name).map_or(&[] as &[Upgrade], |it| it.upgrades);
        Format { name, upgrades }
    }

    /// The number that is written today.
    #[must_use]
    pub fn current(&self) -> u32 {
        u32::try_from(self.upgrades.len()).unwrap_or(u32::MAX).saturating_add(1)
    }

    /// Makes an object of format `from` one of today's.
    pub(super) fn upgrade(&self, mut object: Value, from: u32) -> Result<Value, String> {
        let done = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        for (step, upgrade) in self.upgrades.iter().enumerate().skip(done) {
            let format = step.saturating_add(1);
            object = upgrade(object).map_err(|why| format!("it cannot be upgraded from format {format}: {why}"))?;
        }
        Ok(object)
    }
}
