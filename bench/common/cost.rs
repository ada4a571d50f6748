//! What a process costs, as the kernel counts it.

/// User and system time in seconds, and bytes written to storage.
pub fn cost(pid: u32) -> (f64, u64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: f64 = fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap();
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap();
    let written = io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap();
    (ticks / rustix::param::clock_ticks_per_second() as f64, written)
}

/// User and system time in seconds: its own, and of its children that have ended and were waited for.
pub fn cost_with_children(pid: u32) -> (f64, f64) {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let seconds = |at: usize| fields[at].parse::<f64>().unwrap() / rustix::param::clock_ticks_per_second() as f64;
    (seconds(11) + seconds(12), seconds(13) + seconds(14))
}

/// Its share of the memory, in KiB: what others use too counts in part.
pub fn pss_kb(pid: u32) -> u64 {
    of_memory(pid, "Pss:")
}

/// Its memory, in KiB: what others use too counts in full.
pub fn rss_kb(pid: u32) -> u64 {
    of_memory(pid, "Rss:")
}

fn of_memory(pid: u32, what: &str) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(what)).unwrap_or("0");
    line.split_whitespace().next().and_then(|kb| kb.parse().ok()).unwrap_or(0)
}

/// Its own children.
pub fn children(pid: u32) -> Vec<u32> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lists = tasks.flatten().map(|task| std::fs::read_to_string(task.path().join("children")).unwrap_or_default());
    lists.flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>()).collect()
}

/// Nanoseconds of CPU, for what uses too little of it for ticks. Threads that end are counted as they were last seen.
#[derive(Default)]
pub struct Busy(std::collections::BTreeMap<String, u64>);

impl Busy {
    /// Looks again; what all threads have used so far.
    pub fn look(&mut self, pid: u32) -> u64 {
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten() {
            let text = std::fs::read_to_string(task.path().join("schedstat")).unwrap_or_default();
            if let Some(used) = text.split(' ').next().and_then(|used| used.parse().ok()) {
                self.0.insert(task.file_name().to_string_lossy().into_owned(), used);
            }
        }
        self.0.values().sum()
    }
}
