//! Looking at processes, as `ps` would.

use std::collections::BTreeMap;

/// Every process whose environment has `NAME=value`, with its parent.
pub fn with_env(name: &str, value: &str) -> BTreeMap<i32, i32> {
    let wanted = format!("{name}={value}");
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir("/proc").expect("proc").flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Ok(environ) = std::fs::read(entry.path().join("environ")) else { continue };
        if !environ.split(|byte| *byte == 0).any(|entry| entry == wanted.as_bytes()) {
            continue;
        }
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else { continue };
        let Some((_, rest)) = stat.rsplit_once(')') else { continue };
        let mut fields = rest.split_ascii_whitespace();
        let (Some(state), Some(parent)) = (fields.next(), fields.next()) else { continue };
        if state != "Z" {
            found.insert(pid, parent.parse().unwrap_or(0));
        }
    }
    found
}

/// What `NAME` is in the environment of a process.
#[allow(dead_code, reason = "not all tests that look at processes ask")]
pub fn env_of(pid: i32, name: &str) -> Option<String> {
    let environ = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    let entries = environ.split(|byte| *byte == 0).filter_map(|entry| std::str::from_utf8(entry).ok());
    entries
        .filter_map(|entry| entry.split_once('='))
        .find(|(found, _)| *found == name)
        .map(|(_, value)| value.to_owned())
}

/// The shims that run below a directory: each one's working directory is its run's. Those of some workloads do not count.
#[allow(dead_code, reason = "not all tests that look at processes ask")]
pub fn shims_below(dir: &std::path::Path, but: &[&str]) -> usize {
    let all = std::fs::read_dir("/proc").expect("proc").flatten();
    let is_one = |process: &std::fs::DirEntry| {
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        let at = std::fs::read_link(process.path().join("cwd"));
        let counts = |run: &str| !but.iter().any(|name| run.starts_with(name));
        name.trim() == "flotta-shim"
            && at.is_ok_and(|at| at.starts_with(dir) && counts(&at.file_name().unwrap_or_default().to_string_lossy()))
    };
    all.filter(is_one).count()
}
