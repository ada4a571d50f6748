//! The memory of a process, as the kernel sees it.

use std::fmt;

pub const MIB: u64 = 1024 * 1024;

/// What an attack may take beyond what the agent had before it: the peak, and what may stay when it is over.
#[derive(Clone, Copy)]
pub struct Bound {
    pub peak: u64,
    pub after: u64,
}

/// What allocator and page cache keep of any attack: free memory that lies between used one, one arena for each thread
/// that allocated, and pages of the binary (20 MiB in a debug build) that had not run before.
const SLACK: u64 = 24 * MIB;

/// `connections` (256) at once, each with a task and its buffers at their smallest, 16 KiB both ways.
const CONNECTIONS: u64 = 256 * 2 * 16 * 1024;

impl Bound {
    /// Connections that come and go and leave nothing.
    pub const CONNECTIONS: Bound = Bound { peak: CONNECTIONS + SLACK, after: SLACK };

    /// Sixteen clients are in the midst of a packet of 256 KiB (which the buffer may have doubled to when it grew); more of
    /// them than that turn each other out.
    pub const INPUT: Bound = Bound { peak: CONNECTIONS + 16 * 2 * 256 * 1024 + SLACK, after: SLACK };

    /// The queues of all clients are full (8 MiB, and 4 KiB for each that came after), and each connection has as much as it
    /// may have that its client does not read (`outbound_bytes`, 64 KiB, doubled when it grew).
    pub const OUTPUT: Bound = Bound { peak: 9 * MIB + 256 * 2 * 64 * 1024 + SLACK, after: SLACK };

    /// All room for filters is taken (4 MiB), each client has its first eight besides (of a kilobyte in 32 levels), and a
    /// SUBSCRIBE with 60 000 of them is taken apart and answered for each of 8 clients.
    pub const FILTERS: Bound = Bound { peak: 4 * MIB + 256 * 8 * 8 * 1024 + CONNECTIONS + SLACK, after: SLACK };

    /// The retained store is full and stays so: 4 MiB of topics and payloads in 4 096 messages, as much for the tables
    /// around them.
    pub const RETAINED: Bound = Bound { peak: CONNECTIONS + 2 * 4 * MIB + SLACK, after: 2 * 4 * MIB + SLACK };

    /// 10 000 metric names stay, with value, unit, source and times: 1 KiB each.
    pub const METRICS: Bound = Bound { peak: CONNECTIONS + 10 * MIB + SLACK, after: 10 * MIB + SLACK };
}

/// A moment's figures, in bytes.
#[derive(Clone, Copy)]
pub struct Memory {
    pub resident: u64,
    /// The most that was ever resident, since [`reset_peak`].
    pub peak: u64,
    /// What the process wrote itself: without the pages of its binary, of which more are resident the more of it has run.
    pub private: u64,
}

impl Memory {
    pub fn of(pid: u32) -> Memory {
        let status = read(pid, "status");
        let rollup = read(pid, "smaps_rollup");
        Memory {
            resident: field(&status, "VmRSS:"),
            peak: field(&status, "VmHWM:"),
            private: field(&rollup, "Private_Dirty:"),
        }
    }
}

/// The peak is counted from now on (needs a kernel with `CONFIG_PROC_PAGE_MONITOR`; without, it is that since the start).
pub fn reset_peak(pid: u32) {
    let _ = std::fs::write(format!("/proc/{pid}/clear_refs"), "5");
}

fn read(pid: u32, name: &str) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/{name}")).expect("the agent is alive")
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel tells it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") * 1024
}

/// Bytes as MiB with one digit.
pub struct Mib(pub u64);

impl fmt::Display for Mib {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:.1}", self.0 as f64 / MIB as f64)
    }
}
