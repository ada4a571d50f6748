//! `check`: what was found, for people. Who reads configuration and manifests fills in a [`CheckReport`].

use std::io::Write;

use super::Exit;
use super::text::{count, line};
use crate::model::id::WorkloadId;
use crate::model::problem::Problem;
use crate::model::workload::Kind;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// What is wrong: with one of these the check fails.
    pub problems: Vec<Problem>,
    /// What is allowed and deserves a word.
    pub warnings: Vec<Problem>,
    /// The device's profiles; a condition that was refused fails the check too.
    pub profiles: Vec<CheckedProfile>,
    /// The workloads for this device.
    pub workloads: Vec<CheckedWorkload>,
}

/// A profile that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedProfile {
    /// Its name.
    pub name: String,
    /// Its conditions, in the order they are written.
    pub conditions: Vec<CheckedCondition>,
}

/// A condition that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedCondition {
    /// Its name.
    pub name: String,
    /// As written.
    pub expression: String,
    /// What it was understood as, or why it was refused.
    pub understood: Result<String, String>,
}

/// A workload that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedWorkload {
    /// Who it is.
    pub id: WorkloadId,
    /// Which executor's.
    pub kind: Kind,
    /// Where it stands.
    pub origin: String,
    /// When it runs, if not all the time.
    pub cron: Option<CheckedCron>,
    /// What it asks for and does not get.
    pub warnings: Vec<String>,
}

/// A cron line that was read; a wrong one is a problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedCron {
    /// As written.
    pub expression: String,
    /// What it was understood as.
    pub understood: String,
    /// The next times, by the clock that counts; empty: none is to come.
    pub next: Vec<String>,
}

impl CheckReport {
    /// How many things are wrong.
    #[must_use]
    pub fn wrong(&self) -> usize {
        let conditions = self.profiles.iter().flat_map(|profile| &profile.conditions);
        self.problems.len() + conditions.filter(|condition| condition.understood.is_err()).count()
    }

    /// 1 if anything is wrong.
    #[must_use]
    pub fn exit(&self) -> Exit {
        if self.wrong() == 0 { Exit::Done } else { Exit::Wrong }
    }

    /// Writes the report.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        for profile in &self.profiles {
            writeln!(out, "profile {}", line(&profile.name))?;
            for condition in &profile.conditions {
                writeln!(out, "  {}: {}", line(&condition.name), line(&condition.expression))?;
                match &condition.understood {
                    Ok(understood) => writeln!(out, "    understood as: {}", line(understood))?,
                    Err(why) => writeln!(out, "    wrong: {}", line(why))?,
                }
            }
        }
        for workload in &self.workloads {
            writeln!(out, "workload {} ({}), {}", workload.id, workload.kind.as_str(), line(&workload.origin))?;
            if let Some(cron) = &workload.cron {
                writeln!(out, "  cron: {}", line(&cron.expression))?;
                writeln!(out, "    understood as: {}", line(&cron.understood))?;
                match cron.next.is_empty() {
                    true => writeln!(out, "    next: none is to come")?,
                    false => writeln!(out, "    next: {}", line(&cron.next.join(", ")))?,
                }
            }
            for warning in &workload.warnings {
                writeln!(out, "  warning: {}", line(warning))?;
            }
        }
        for warning in &self.warnings {
            writeln!(out, "warning: {}", line(&warning.to_string()))?;
        }
        for problem in &self.problems {
            writeln!(out, "problem: {}", line(&problem.to_string()))?;
        }
        let found = [count(self.workloads.len(), "workload"), count(self.profiles.len(), "profile")].join(", ");
        match self.wrong() {
            0 => writeln!(out, "{found}: all is well"),
            wrong => writeln!(out, "{found}: {} to mend", count(wrong, "thing")),
        }
    }
}
