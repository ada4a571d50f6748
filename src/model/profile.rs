//! Profiles as they are written: named conditions over metrics, and how a workload refers to them.

use std::time::Duration;

/// A named set of conditions that belongs to the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileSpec {
    /// The profile's name, unique on the device.
    pub name: String,
    /// Its conditions, as written and in that order.
    pub conditions: Vec<ConditionSpec>,
}

/// A named boolean expression, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionSpec {
    /// The condition's name, unique in its profile.
    pub name: String,
    /// The expression's text; may be wrong, then the condition counts as false and says why.
    pub expression: String,
    /// The expression must have been true this long before the condition counts as true.
    pub hold_off: Duration,
    /// The condition stays true this long after the expression turned false (`hold`).
    pub hold: Duration,
}

/// How a workload names a profile that gates it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileRef {
    /// The profile's name; the device may not have it.
    pub name: String,
    /// The conditions of which one must be true; empty: any of that profile.
    pub conditions: Vec<ConditionRef>,
}

/// How a workload names a condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConditionRef {
    /// The condition's name; the profile may not have it.
    pub name: String,
    /// CPU quota of the workload in µs per 100 ms while this condition is true.
    pub cpu_quota_us: Option<u32>,
}
