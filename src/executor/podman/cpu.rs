//! A condition's CPU quota among a pod's containers (SPEC "Conditions", `cpu`), and what the kernel keeps of it.
//!
//! Each container gets its own part, none the pod: on cgroup v1 a pod's quota may not be below a container's, and a
//! container whose own limit is above the pod's could not be started again.

use std::fs;
use std::path::PathBuf;

/// The kernel's period, the unit of all quotas here.
pub const PERIOD_US: u32 = 100_000;
/// No limit: more than any machine has. Not -1, of which crun under systemd makes the least there is, 1 % of one core.
pub const UNLIMITED_US: u32 = 1_000_000_000;
/// The kernel takes no less.
pub const LEAST_US: u32 = 1_000;

/// Each container's part: by their own limits, else equally; at least 1 ms each, and never above an own limit.
#[must_use]
pub fn shares(quota_us: u32, own: &[Option<u32>]) -> Vec<u32> {
    let count = u64::try_from(own.len()).unwrap_or(1).max(1);
    let sum: u64 = own.iter().flatten().map(|limit| u64::from(*limit)).sum();
    let all_limited = own.iter().all(Option::is_some) && sum > 0;
    let part = |limit: &Option<u32>| {
        let part = match limit {
            Some(limit) if all_limited => u64::from(quota_us) * u64::from(*limit) / sum,
            _ => u64::from(quota_us) / count,
        };
        let part = u32::try_from(part).unwrap_or(u32::MAX).max(LEAST_US);
        limit.map_or(part, |limit| part.min(limit))
    };
    own.iter().map(part).collect()
}

/// Whether a process is there, alive, and a container's, as far as its control groups say, or what is mounted in it (a user's
/// containers have no groups of their own on cgroup v1); `None`: it cannot be known (a /proc that hides other users'
/// processes).
#[must_use]
pub fn is_process_of(pid: i64, container: &str) -> Option<bool> {
    let read = |what: &str| fs::read_to_string(format!("/proc/{pid}/{what}"));
    match (read("stat"), read("cgroup")) {
        (Ok(stat), Ok(groups)) => {
            let dead = stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']));
            // Podman mounts files of the container's own in every one of them.
            let mounted = || read("mountinfo").is_ok_and(|mounts| mounts.contains(container));
            Some(!dead && (groups.contains(container) || mounted()))
        }
        _ => {
            let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw)?;
            let gone = rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
            gone.then_some(false)
        }
    }
}

/// The CPU quota that the kernel holds a container to: `None`: it cannot be known; `Some(None)`: to none.
#[must_use]
pub fn in_force(pid: i64, container: &str) -> Option<Option<u32>> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let (unified, path) = groups.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let unified = number == "0" && controllers.is_empty();
        let cpu = controllers.split(',').any(|controller| controller == "cpu");
        // The pid may be another's by now, or of another pid namespace: then the path is not this container's.
        (path.contains(container) && (unified || cpu)).then_some((unified, path))
    })?;
    // crun puts the processes into a group below the container's own.
    let end = path.find(container)? + container.len();
    let own = &path[..end + path[end..].find('/').unwrap_or(path.len() - end)];
    let read = |root: &str, file: &str| fs::read_to_string(PathBuf::from(format!("{root}{own}/{file}"))).ok();
    if unified {
        let max = read("/sys/fs/cgroup", "cpu.max")?;
        let mut words = max.split_ascii_whitespace();
        let (quota, period) = (words.next()?, words.next()?.parse::<u64>().ok()?);
        return Some(match quota {
            "max" => None,
            quota => per_period(quota.parse().ok()?, period),
        });
    }
    let quota: i64 = read("/sys/fs/cgroup/cpu", "cpu.cfs_quota_us")?.trim().parse().ok()?;
    let period: u64 = read("/sys/fs/cgroup/cpu", "cpu.cfs_period_us")?.trim().parse().ok()?;
    Some(u64::try_from(quota).ok().and_then(|quota| per_period(quota, period)))
}

/// `None`: as good as none.
fn per_period(quota: u64, period: u64) -> Option<u32> {
    let quota = quota.saturating_mul(u64::from(PERIOD_US)) / period.max(1);
    u32::try_from(quota).ok().filter(|quota| *quota < UNLIMITED_US)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_shared_by_the_containers_own_limits_else_equally() {
        assert_eq!(shares(20_000, &[None, None]), [10_000, 10_000]);
        assert_eq!(shares(20_000, &[Some(30_000), Some(10_000)]), [15_000, 5_000]);
        assert_eq!(shares(20_000, &[Some(30_000), None]), [10_000, 10_000], "one without a limit: equally");
        assert_eq!(shares(20_000, &[Some(5_000), None]), [5_000, 10_000], "never above its own limit");
        assert_eq!(shares(100_000, &[Some(30_000), Some(10_000)]), [30_000, 10_000]);
        assert_eq!(shares(1_000, &[None, None, None]), [1_000, 1_000, 1_000], "the kernel takes no less");
        assert_eq!(shares(u32::MAX, &[Some(u32::MAX)]), [u32::MAX]);
        assert!(shares(1, &[]).is_empty());
    }
}
