//! When a workload runs, as it is written.

use crate::cron::{Schedule, Zone};
use crate::model::workload::Cron;

/// A cron line that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenCron {
    schedule: Schedule,
    /// No zone is written: the device's own, whichever it is when the workload is put together.
    local: bool,
    catch_up: bool,
}

impl WrittenCron {
    /// Reads a line; without a zone it is by the device's clock.
    ///
    /// # Errors
    /// The line, what is wrong at which of its columns, and what would be right.
    pub(crate) fn read(expression: &str, zone: Option<Zone>, catch_up: bool) -> Result<WrittenCron, String> {
        let local = zone.is_none();
        // The device's own is asked for later.
        let schedule = Schedule::parse(expression, zone.unwrap_or_else(Zone::utc))
            .map_err(|why| format!("{:?}, {why}", super::tree::short(expression)))?;
        Ok(WrittenCron { schedule, local, catch_up })
    }

    /// What is carried out; `local` is the device's own time zone.
    pub(crate) fn by(&self, local: impl FnOnce() -> Zone) -> Cron {
        let schedule = if self.local { self.schedule.in_zone(local()) } else { self.schedule.clone() };
        Cron { schedule, catch_up: self.catch_up }
    }
}
