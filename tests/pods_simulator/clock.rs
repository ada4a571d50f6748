//! The device's clocks in virtual time: tokio's paused one, a boot that may be later than its beginning, a wall clock that
//! jumps.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use flotta_agent::model::time::{Mono, Now, Wall};
use tokio::time::Instant;

#[derive(Clone)]
pub struct Clock {
    base: Instant,
    booted_ms: Arc<AtomicU64>,
    jumped_ms: Arc<AtomicI64>,
}

impl Clock {
    /// Needs a runtime with a paused clock.
    pub fn new() -> Clock {
        Clock { base: Instant::now(), booted_ms: Arc::default(), jumped_ms: Arc::default() }
    }

    /// Milliseconds since the simulation began.
    pub fn ms(&self) -> u64 {
        self.base.elapsed().as_millis() as u64
    }

    pub fn now(&self) -> Now {
        let boot = self.booted_ms.load(Ordering::Relaxed);
        Now { mono: Mono(1 + self.ms().saturating_sub(boot)), wall: self.wall() }
    }

    pub fn wall(&self) -> Wall {
        Wall(1_790_000_000_000 + self.jumped_ms.load(Ordering::Relaxed) + self.ms() as i64)
    }

    pub fn jump(&self, by_ms: i64) {
        self.jumped_ms.fetch_add(by_ms, Ordering::Relaxed);
    }

    pub fn reboot(&self) {
        self.booted_ms.store(self.ms(), Ordering::Relaxed);
    }
}
