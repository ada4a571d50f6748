//! Keeps the process small: what a busy minute took goes back to the system.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Growth since the last time that is not worth the call.
const WORTH_BYTES: u64 = 1024 * 1024;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What was resident after the last time.
    floor: Arc<AtomicU64>,
}

impl Memory {
    /// Gives free memory back, if the process has grown. Called about once a minute; the work is done elsewhere.
    pub(super) fn tidy(&self) {
        if resident() < self.floor.load(Relaxed).saturating_add(WORTH_BYTES) {
            return;
        }
        let floor = self.floor.clone();
        tokio::task::spawn_blocking(move || {
            flotta_heap::give_back();
            floor.store(resident(), Relaxed);
        });
    }
}

/// Bytes of this process that are in memory; 0 where the system does not tell.
fn resident() -> u64 {
    let pages = std::fs::read_to_string("/proc/self/statm").ok();
    let pages = pages.and_then(|text| text.split(' ').nth(1)?.parse::<u64>().ok());
    pages.unwrap_or(0).saturating_mul(rustix::param::page_size() as u64)
}
