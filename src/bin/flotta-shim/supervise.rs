//! From the start of the command to the end of the last process that came from it.
//!
//! | phase | leaves it when | does then |
//! |---|---|---|
//! | Running | a stop is asked for, or the command has ended and left others behind | TERM to all, deadline = now + grace |
//! | Ending | the deadline is there | KILL to all, again and again |
//! | Killing | | |
//! | any | no child is left (everything that loses its parent becomes ours: subreaper) | the end |

use std::time::Duration;

use flotta_agent::executor::shell::run::{Exit, signal_name};
use flotta_agent::executor::shell::tree;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process_group, wait};

use crate::launch::Launched;
use crate::output::Output;
use crate::wait::{Signals, mono_ms, wall_ms};

/// While killing: how often those that were born meanwhile are looked for.
const KILL_AGAIN_MS: u64 = 100;
/// Processes that are remembered as told to end; beyond, some are told twice.
const TOLD_MAX: usize = 1024;

enum Phase {
    Running,
    Ending { kill_at_ms: u64 },
    Killing,
}

struct Family {
    /// This process.
    me: i32,
    /// The command's pid and group.
    command: i32,
    /// How the command ended; `Some` also means its pid may be somebody else's now.
    ended: Option<WaitStatus>,
    /// Told to end, one by one.
    told: Vec<i32>,
    /// The command's group was told as a whole.
    group_told: bool,
}

/// Returns when nothing of the run is left.
pub fn supervise(launched: Launched, grace: Duration, signals: &Signals) -> Exit {
    let grace_ms = u64::try_from(grace.as_millis()).unwrap_or(u64::MAX);
    let mut output = Output::new(launched.output);
    let mut family = Family::new(launched.started.pid);
    let mut phase = Phase::Running;
    let mut stopped = false;
    while family.reap() {
        // Only what was still running can be stopped; a command that had ended by itself has ended by itself.
        stopped |= signals.stop_asked() && family.ended.is_none();
        phase = match phase {
            Phase::Running if signals.stop_asked() || family.ended.is_some() => {
                family.tell();
                Phase::Ending { kill_at_ms: mono_ms().saturating_add(grace_ms) }
            }
            Phase::Ending { kill_at_ms } if mono_ms() >= kill_at_ms => Phase::Killing,
            Phase::Ending { kill_at_ms } => {
                family.tell();
                Phase::Ending { kill_at_ms }
            }
            other => other,
        };
        if matches!(phase, Phase::Killing) {
            family.kill();
        }
        // Output alone changes nothing in the family.
        loop {
            let timeout_ms = match phase {
                Phase::Running => None,
                Phase::Ending { kill_at_ms } => Some(kill_at_ms.saturating_sub(mono_ms())),
                Phase::Killing => Some(KILL_AGAIN_MS),
            };
            let woken = signals.wait(output.pipe(), timeout_ms);
            if woken.output {
                output.drain();
            }
            if woken.signal || !woken.output || timeout_ms == Some(0) {
                break;
            }
        }
    }
    output.finish();
    family.exit(stopped, output.dropped())
}

impl Family {
    fn new(command: i32) -> Family {
        let me = rustix::process::getpid().as_raw_nonzero().get();
        Family { me, command, ended: None, told: Vec::new(), group_told: false }
    }

    /// Takes leave of all who have ended; false: nobody is left.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(None) => return true,
                Ok(Some((pid, status))) => {
                    let pid = pid.as_raw_nonzero().get();
                    self.told.retain(|told| *told != pid);
                    if pid == self.command && self.ended.is_none() {
                        self.ended = Some(status);
                    }
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return false,
            }
        }
    }

    /// TERM, once to each: to the command's group as a whole, and to whoever left it.
    fn tell(&mut self) {
        let group = self.living_group();
        if let Some(group) = group.filter(|_| !self.group_told) {
            self.group_told = kill_process_group(group, Signal::TERM).is_ok();
        }
        let told = &mut self.told;
        let group_told = self.group_told.then_some(self.command);
        tree::signal_descendants(self.me, Signal::TERM, |pid, stat| {
            if Some(stat.group) == group_told || told.contains(&pid) {
                return false;
            }
            if told.len() < TOLD_MAX {
                told.push(pid);
            }
            true
        });
    }

    /// KILL to everything.
    fn kill(&mut self) {
        if let Some(group) = self.living_group() {
            let _ = kill_process_group(group, Signal::KILL);
        }
        tree::signal_descendants(self.me, Signal::KILL, |_, _| true);
    }

    /// The command's group, while the number is certainly its: until the command is reaped.
    fn living_group(&self) -> Option<Pid> {
        Pid::from_raw(self.command).filter(|_| self.ended.is_none())
    }

    fn exit(&self, stopped: bool, output_dropped_bytes: u64) -> Exit {
        let (code, how) = match self.ended {
            Some(status) => match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => (Some(code), format!("exit code {code}")),
                (None, Some(signal)) => {
                    (Some(signal.saturating_add(128)), format!("killed by {}", signal_name(signal)))
                }
                (None, None) => (None, "ended in a way that the kernel did not say".to_owned()),
            },
            None => (None, "ended in a way that nobody could learn".to_owned()),
        };
        Exit { code, at_ms: wall_ms(), how, cut_off: false, stopped, output_dropped_bytes }
    }
}
