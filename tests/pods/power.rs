//! A power cut, as podman meets it: every process is gone at once, and what it keeps in memory (its run directories).

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value as Json;

use super::place::Place;
use super::service::{Service, podman};
use super::specs::WAITS;

/// What of this service's containers runs is gone, with the service; its disk stays.
fn cut(service: &mut Service, dir: &std::path::Path) {
    let (mut pids, mut ids) = (Vec::new(), Vec::new());
    for container in service.podman.containers("project-flotta.io/owner") {
        let id = container["Id"].as_str().expect("an id");
        let found = service.podman.inspect("containers", id);
        ids.push(id.to_owned());
        let pid = |name: &str| found["State"][name].as_i64().and_then(|pid| i32::try_from(pid).ok());
        // Its monitor first: it would write down how the other one ended.
        pids.extend([pid("ConmonPid"), pid("Pid")].into_iter().flatten().filter_map(Pid::from_raw));
    }
    service.kill();
    for pid in pids {
        // What had ended before is gone already.
        let _ = kill_process(pid, Signal::KILL);
    }
    unmount(dir);
    for name in ["run", "tmp"] {
        std::fs::remove_dir_all(dir.join(name)).expect("what was in memory is gone");
    }
    let run = if service.podman.rootless { super::service::user().runtime_dir } else { std::path::Path::new("/run") };
    for (runtime, id) in ["runc", "crun"].iter().flat_map(|runtime| ids.iter().map(move |id| (runtime, id))) {
        let _ = std::fs::remove_dir_all(run.join(runtime).join(id));
    }
}

fn unmount(dir: &std::path::Path) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("mounts");
    let below = |line: &&str| line.split(' ').nth(1).is_some_and(|at| at.starts_with(&*dir.to_string_lossy()));
    let at: Vec<&str> = mounts.lines().filter(below).filter_map(|line| line.split(' ').nth(1)).collect();
    for at in at.iter().rev() {
        let _ = Command::new("umount").args(["-l", at]).status();
    }
}

struct Disk(tempfile::TempDir);

impl Drop for Disk {
    fn drop(&mut self) {
        unmount(self.0.path());
    }
}

#[test]
fn what_a_power_cut_cut_off_runs_again_and_what_had_ended_does_not() {
    let Some(shared) = podman() else { return };
    let disk = Disk(tempfile::tempdir().expect("a directory"));
    if shared.rootless {
        super::service::user().own(disk.0.path());
    }
    let mut service = shared.apart(disk.0.path());
    let mut place = Place::on(service.podman.clone());
    let pod = |place: &Place, name: &str, policy: &str, script: &str| {
        let container = place.container("c", script);
        place.pod(name, "", &format!("{{ hostNetwork: true, restartPolicy: {policy}, containers: [ {container} ] }}"));
    };
    pod(&place, "always", "Always", WAITS);
    pod(&place, "never", "Never", WAITS);
    pod(&place, "done", "OnFailure", "exit 0");
    place.start();
    let before: Vec<Json> = ["always", "never"]
        .iter()
        .map(|name| {
            place.until_state(name, "running");
            place.one(name, "c")
        })
        .collect();
    place.until_state("done", "stopped");
    let done = place.one("done", "c");
    place.kill();
    cut(&mut service, disk.0.path());

    service.start();
    place.start();
    for (name, before) in ["always", "never"].iter().zip(&before) {
        let again = place.until(name, "it runs again", |w| w["state"] == "running" && w["reason"] == "Running");
        assert_eq!(again["last_exit_code"], Json::Null, "{again}");
        let now = place.one(name, "c");
        assert_eq!((&now["State"], now["Pid"] == before["Pid"]), (&Json::from("running"), false), "{now}");
    }
    let ended = place.until_state("done", "stopped");
    assert_eq!(ended["reason"], "Completed", "{ended}");
    assert_eq!(place.one("done", "c")["StartedAt"], done["StartedAt"]);
}
