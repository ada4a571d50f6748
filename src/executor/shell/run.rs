//! What the agent and the shim tell each other: the files of a run's directory, and what stands in them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What is to be run. Written by the agent; its exclusive `flock` is held by the shim for as long as it lives.
pub const RUN_FILE: &str = "run.json";
/// The shim's pid, for a restarted agent.
pub const SHIM_FILE: &str = "shim.pid";
/// The command was executed: [`Started`].
pub const STARTED_FILE: &str = "started";
/// How the run ended: [`Exit`].
pub const EXIT_FILE: &str = "exit.json";
/// The newest output.
pub const OUTPUT_FILE: &str = "output.log";
/// The output before that.
pub const OLD_OUTPUT_FILE: &str = "output.log.1";

/// Where a file of output is turned over; a run keeps at most two.
pub const OUTPUT_FILE_MAX: u64 = 1024 * 1024;
/// How much of the output goes into the status.
pub const TAIL_MAX: usize = 1024;
/// The most that is read of any file of a run but its output (a `run.json` holds arguments and environment).
pub const FILE_MAX: u64 = 4 * 1024 * 1024;
/// In the environment of everything that belongs to a run: its handle. By this what is left of a run is found after its
/// shim was killed; a handle is never used twice.
pub const MARK: &str = "FLOTTA_RUN";

/// A run as it is asked of the shim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunSpec {
    /// The run's own name, also its directory's.
    pub handle: String,
    /// `namespace/name` of the workload.
    pub id: String,
    /// The workload's version.
    pub hash: String,
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Added to the inherited environment.
    pub env: BTreeMap<String, String>,
    /// `None`: `/`.
    pub working_dir: Option<String>,
    /// A user's name or number; `None`: the agent's own.
    pub user: Option<String>,
    /// Between TERM and KILL, in milliseconds.
    pub grace_ms: u64,
    /// The boot in which it was started (`/proc/sys/kernel/random/boot_id`).
    pub boot_id: String,
    /// Milliseconds since 1970 UTC.
    pub started_at_ms: i64,
}

impl RunSpec {
    /// Between TERM and KILL.
    #[must_use]
    pub fn grace(&self) -> Duration {
        Duration::from_millis(self.grace_ms)
    }
}

/// The command as it was started: a pid and, since pids are used again, when its process began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Started {
    /// The command's process, and its process group.
    pub pid: i32,
    /// In clock ticks since the boot, as `/proc/<pid>/stat` has it.
    pub start_ticks: u64,
}

/// How a run ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// 0–255; 128 + signal number where a signal ended it; absent: nobody could learn it.
    pub code: Option<i32>,
    /// Milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// In words.
    pub how: String,
    /// It was cut off by a restart of the machine.
    #[serde(default)]
    pub cut_off: bool,
    /// It was asked to stop.
    #[serde(default)]
    pub stopped: bool,
    /// Bytes of output that could not be written (a full disk).
    #[serde(default)]
    pub output_dropped_bytes: u64,
}

/// `SIGKILL` for 9.
#[must_use]
pub fn signal_name(number: i32) -> String {
    const NAMES: [(i32, &str); 17] = [
        (1, "SIGHUP"),
        (2, "SIGINT"),
        (3, "SIGQUIT"),
        (4, "SIGILL"),
        (5, "SIGTRAP"),
        (6, "SIGABRT"),
        (7, "SIGBUS"),
        (8, "SIGFPE"),
        (9, "SIGKILL"),
        (10, "SIGUSR1"),
        (11, "SIGSEGV"),
        (12, "SIGUSR2"),
        (13, "SIGPIPE"),
        (14, "SIGALRM"),
        (15, "SIGTERM"),
        (24, "SIGXCPU"),
        (25, "SIGXFSZ"),
    ];
    match NAMES.iter().find(|(known, _)| *known == number) {
        Some((_, name)) => (*name).to_owned(),
        None => format!("signal {number}"),
    }
}
