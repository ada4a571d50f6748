//! What podman leaves of each command that it was asked over its API to run in a container: two processes of its monitor,
//! for `exit_command_delay` (containers.conf), five minutes unless somebody says otherwise. A probe that runs a command every
//! ten seconds keeps sixty of them.

use std::path::{Path, PathBuf};

use crate::model::pod::{Container, PodSpec, Probe, ProbeAction};

/// As podman has it where no file says anything.
const USUAL_SECONDS: u64 = 300;
/// What the two processes of one command keep of memory for themselves (conmon 2.1: 860 KiB).
const KIB_EACH: u64 = 860;
/// Less than this is not worth a word.
const WORTH_KIB: u64 = 4 << 10;
/// Largest of a file that is read.
const FILE_MAX: u64 = 1 << 20;

/// What a pod's probes keep in memory by this; a sentence. `homes`: of the user whose podman it is.
pub(super) fn warning(spec: &PodSpec, home: Option<&Path>) -> Option<String> {
    let probes = spec.containers.iter().flat_map(lasting);
    let periods: Vec<u64> = probes.map(|probe| probe.period.as_secs().max(1)).collect();
    if periods.is_empty() {
        return None;
    }
    let delay = files(home).iter().filter_map(|file| delay(&read(file)?)).next_back().unwrap_or(USUAL_SECONDS);
    said(&periods, delay)
}

/// Startup probes end.
fn lasting(container: &Container) -> impl Iterator<Item = &Probe> {
    let both = [&container.probes.readiness, &container.probes.liveness].into_iter().flatten();
    both.filter(|probe| matches!(probe.action, ProbeAction::Exec(_)))
}

fn said(periods: &[u64], delay: u64) -> Option<String> {
    let kept: u64 = periods.iter().map(|period| delay.div_ceil(*period)).fold(0, u64::saturating_add);
    let kib = kept.saturating_mul(KIB_EACH);
    (kib >= WORTH_KIB).then(|| {
        format!(
            "ExecProbesLinger: podman keeps two processes for {delay} s after each run of an exec probe, here {} in about {} MiB: set exit_command_delay = 10 below [engine] in /etc/containers/containers.conf.d/50-flotta-agent.conf (deploy/ has it), or use httpGet, tcpSocket or grpc",
            kept.saturating_mul(2),
            kib >> 10
        )
    })
}

/// Where podman reads its settings, the later ones win.
fn files(home: Option<&Path>) -> Vec<PathBuf> {
    let mut all = vec![PathBuf::from("/usr/share/containers/containers.conf")];
    let etc = PathBuf::from("/etc/containers");
    for dir in std::iter::once(etc).chain(home.map(|home| home.join(".config/containers"))) {
        all.push(dir.join("containers.conf"));
        let entries = std::fs::read_dir(dir.join("containers.conf.d")).into_iter().flatten().flatten();
        let mut more: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        more.retain(|path| path.extension().is_some_and(|end| end == "conf"));
        more.sort();
        all.append(&mut more);
    }
    all
}

fn read(file: &Path) -> Option<String> {
    // A user may have put anything there.
    std::fs::metadata(file).ok().filter(|is| is.is_file() && is.len() <= FILE_MAX)?;
    std::fs::read_to_string(file).ok()
}

/// `exit_command_delay` of a file, if it is in its `[engine]`.
fn delay(text: &str) -> Option<u64> {
    let mut section = "";
    let mut found = None;
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        } else if let Some(("exit_command_delay", value)) = line.split_once('=').map(|(key, value)| (key.trim(), value))
            && section.starts_with("[engine]")
        {
            found = value.split('#').next().and_then(|value| value.trim().replace('_', "").parse().ok()).or(found);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_reckoned_from_the_periods_and_the_delay() {
        let ten = said(&[10], 300).expect("worth a word");
        assert!(ten.contains("here 60 in about 25 MiB") && ten.contains("for 300 s"), "{ten}");
        assert_eq!(said(&[10], 10), None);
        assert_eq!(said(&[300], 300), None);
        assert!(said(&[1, 1], 10).is_some_and(|why| why.contains("here 40 in about 16 MiB")));
        assert!(said(&[1], u64::MAX).is_some(), "nothing overflows");
    }

    #[test]
    fn the_delay_is_read_as_podman_reads_it() {
        assert_eq!(delay("[engine]\nexit_command_delay = 10 # seconds\n"), Some(10));
        assert_eq!(delay("[engine]\n#exit_command_delay = 10\n"), None);
        assert_eq!(delay("[containers]\nexit_command_delay = 10\n[engine]\nruntime=\"crun\"\n"), None);
        assert_eq!(delay("[engine]\nexit_command_delay=1_000\n[machine]\n"), Some(1000));
        let shipped = include_str!("../../../deploy/containers.conf.d/50-flotta-agent.conf");
        assert_eq!(delay(shipped), Some(10), "what is shipped says so");
    }
}
