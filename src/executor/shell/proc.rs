//! What `/proc` says about processes: kin, start time, environment. Everything may be gone the next moment.

use std::fs;
use std::io::Read;

/// The most that is read of one process's environment.
const ENVIRON_MAX: u64 = 4 * 1024 * 1024;

/// A line of `/proc/<pid>/stat`, as far as it is used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Its parent.
    pub parent: i32,
    /// Its process group.
    pub group: i32,
    /// When it began, in clock ticks since the boot.
    pub start_ticks: u64,
    /// It has ended and only waits to be reaped.
    pub zombie: bool,
}

/// Of one process; `None` if it is not there.
#[must_use]
pub fn stat(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// The name in parentheses may hold anything, parentheses too: fields are counted from the last one.
pub(crate) fn parse_stat(line: &[u8]) -> Option<Stat> {
    let rest = line.get(line.iter().rposition(|c| *c == b')')?.checked_add(2)?..)?;
    let mut fields = std::str::from_utf8(rest).ok()?.split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let group = fields.next()?.parse().ok()?;
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(Stat { parent, group, start_ticks, zombie: matches!(state, "Z" | "X") })
}

/// The children of one process, all its threads'. Where the kernel keeps no list (`CONFIG_PROC_CHILDREN`), found by asking
/// every process for its parent.
#[must_use]
pub fn children(pid: i32) -> Vec<i32> {
    let mut found = Vec::new();
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return found };
    for thread in threads.flatten() {
        match fs::read_to_string(thread.path().join("children")) {
            Ok(list) => found.extend(list.split_ascii_whitespace().filter_map(|pid| pid.parse::<i32>().ok())),
            Err(why) if why.kind() == std::io::ErrorKind::NotFound && thread.path().exists() => {
                return all().filter(|other| stat(*other).is_some_and(|stat| stat.parent == pid)).collect();
            }
            Err(_) => {}
        }
    }
    found
}

/// Every process.
pub fn all() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Whether a process was started with this variable in its environment.
#[must_use]
pub fn has_env(pid: i32, name: &str, value: &str) -> bool {
    let Ok(file) = fs::File::open(format!("/proc/{pid}/environ")) else { return false };
    let mut environ = Vec::new();
    if file.take(ENVIRON_MAX).read_to_end(&mut environ).is_err() {
        return false;
    }
    let is_it = |entry: &[u8]| {
        entry.strip_prefix(name.as_bytes()).and_then(|rest| rest.strip_prefix(b"=")) == Some(value.as_bytes())
    };
    environ.split(|c| *c == 0).any(is_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_blanks_does_not_shift_the_fields() {
        let line = b"42 (a) Z 7 ) S 3 4 5 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 98765 1 2 3\n";
        let expected = Stat { parent: 3, group: 4, start_ticks: 98_765, zombie: false };
        assert_eq!(parse_stat(line), Some(expected));
    }

    #[test]
    fn garbage_is_no_process() {
        for line in [&b""[..], b")", b"1 (x)", b"1 (x) ", b"1 (x) S a b c", b"1 (x) S 1 2 3", b"\xff) \xff"] {
            assert_eq!(parse_stat(line), None);
        }
    }

    #[test]
    fn this_process_is_found() {
        let me = i32::try_from(std::process::id()).unwrap();
        assert!(stat(me).is_some_and(|stat| !stat.zombie && stat.start_ticks > 0));
        assert!(all().any(|pid| pid == me));
    }
}
