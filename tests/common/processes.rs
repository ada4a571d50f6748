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
