//! Limits that hold for every source.

/// The most bytes of one text that is read: a file, a specification, a ConfigMap.
pub(crate) const MAX_TEXT: usize = 1 << 20;
/// The most profiles of a device.
pub(crate) const MAX_PROFILES: usize = 1_000;
/// The most conditions of a profile.
pub(crate) const MAX_CONDITIONS: usize = 1_000;
/// The most profiles that may gate a workload, and the most conditions of each.
pub(crate) const MAX_GATES: usize = 64;
/// A CPU quota is at least 1 ms and at most 1 024 cores' worth per 100 ms.
pub(crate) const QUOTA_US: (i64, i64) = (1_000, 102_400_000);
/// A retry's constant interval, in seconds.
pub(crate) const RETRY_SECONDS: (i64, i64) = (1, 86_400);
