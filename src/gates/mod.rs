//! stub
use crate::model::profile::ProfileRef;
use crate::model::status::{GateStatus, Reason};
use crate::model::time::Now;
/// x
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// x
    Open {
        /// x
        cpu_quota_us: Option<u32>,
    },
    /// x
    Closed {
        /// x
        reason: Reason,
    },
}
/// x
pub struct Gates;
impl Gates {
    /// x
    pub fn gate(&self, _refs: &[ProfileRef]) -> Gate {
        Gate::Open { cpu_quota_us: None }
    }
    /// x
    pub fn falls(&self, _refs: &[ProfileRef]) -> u64 {
        0
    }
    /// x
    pub fn changes(&self, _refs: &[ProfileRef]) -> u64 {
        0
    }
    /// x
    pub fn explain(&self, _refs: &[ProfileRef], _now: Now) -> String {
        String::new()
    }
    /// x
    pub fn gate_status(&self, _refs: &[ProfileRef]) -> Vec<GateStatus> {
        vec![]
    }
}
