//! The one way in for metrics, whichever way they come: straight into the gates, in the task of whoever brought them.
//!
//! There is no queue: what is accepted is in force, and a sender that is faster than we are waits by itself. Each value is
//! judged by the conditions that use it before the next one is; the reconcile loop is rung only when the truth of a
//! condition changed or a deadline moved.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock;
use crate::gates::{Changed, Gates, Refused};
use crate::model::metric::{MetricSource, MetricUpdate};

/// Metrics in.
#[derive(Debug)]
pub struct Intake {
    gates: Mutex<Gates>,
    /// Rung when the loop has something to decide.
    pub changed: Notify,
    refused: Mutex<BTreeMap<&'static str, u64>>,
}

impl Intake {
    /// Around these gates.
    #[must_use]
    pub fn new(gates: Gates) -> Intake {
        Intake { gates: Mutex::new(gates), changed: Notify::new(), refused: Mutex::default() }
    }

    /// The gates themselves; never held across an await.
    pub fn gates(&self) -> MutexGuard<'_, Gates> {
        self.gates.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes all of these, or none.
    ///
    /// # Errors
    /// What was refused, in a sentence; it is counted.
    pub fn apply(&self, updates: &[MetricUpdate], source: MetricSource) -> Result<(), Refused> {
        let result = self.gates().apply(updates, source, clock::now());
        match result {
            Ok(Changed { truth: false, deadline: false, .. }) => Ok(()),
            Ok(_) => {
                self.changed.notify_one();
                Ok(())
            }
            Err(refused) => {
                self.refuse(refused.kind.as_str());
                Err(refused)
            }
        }
    }

    /// Counts something that was refused. The log is told at powers of ten, so that no sender can flood it.
    pub fn refuse(&self, what: &'static str) -> u64 {
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        let count = refused.entry(what).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }

    /// How much was refused of what.
    #[must_use]
    pub fn refused(&self) -> BTreeMap<&'static str, u64> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
