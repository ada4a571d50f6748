//! Two gates that no metric is needed for.

use std::time::Duration;

use flotta_agent::gates::{Gates, Settings};
use flotta_agent::model::profile::{ConditionSpec, ProfileSpec};
use flotta_agent::model::time::Now;

/// The profile `open` is true and `closed` is false, each with the one condition `c`.
pub fn open_and_closed(now: Now) -> Gates {
    let profile = |name: &str, expression: &str| ProfileSpec {
        name: name.into(),
        conditions: vec![ConditionSpec {
            name: "c".into(),
            expression: expression.into(),
            hold_off: Duration::ZERO,
            hold: Duration::ZERO,
        }],
    };
    let mut gates = Gates::new(Settings::default());
    gates.set_profiles(&[profile("open", "x == nil"), profile("closed", "x != nil")], now);
    gates
}
