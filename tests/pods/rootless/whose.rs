//! Whose podman it is: named, found, nobody's, somebody else's; and the agent that is an ordinary user itself.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use super::super::device::{lines, until_true};
use super::super::place::{Place, kill9};
use super::super::service::{Podman, user};
use super::super::specs::{SOON, WAITS};
use super::ROOTLESS;

/// The agent's command, which is told nothing of a user's podman but this.
fn told(place: &Place, env: &[(&str, &str)]) -> Command {
    let mut command = place.command();
    command.env_remove("EDGE_DEVICE_PODMAN_ROOTLESS_SOCKET").envs(env.iter().copied());
    command
}

/// Says that it cannot be asked, with these words; a pod of root's goes on meanwhile.
fn says(place: &Place, words: &[&str]) {
    let lost = place.until("w", "it is said", |w| {
        w["reason"] == "ExecutorUnreachable" && words.iter().all(|word| w["message"].to_string().contains(word))
    });
    assert_eq!((&lost["state"], &lost["rootless"]), (&"error".into(), &true.into()), "{lost}");
    place.until_state("root", "running");
}

fn two(place: &Place) {
    place.script("root", "", WAITS);
    place.script("w", ROOTLESS, WAITS);
}

#[test]
fn root_who_is_told_of_no_user_says_what_to_set_and_runs_everything_else() {
    let Some(mut place) = Place::both() else { return };
    two(&place);
    let command = told(&place, &[]);
    place.launch(command);
    says(&place, &["podman.rootless_user"]);
    place.kill();
    let command = told(&place, &[("EDGE_DEVICE_PODMAN_ROOTLESS_USER", "no-such-user")]);
    place.launch(command);
    says(&place, &["no-such-user", "useradd"]);
    place.kill();
    let command = told(&place, &[("EDGE_DEVICE_PODMAN_ROOTLESS_USER", "root")]);
    place.launch(command);
    says(&place, &["is root's", "podman.rootless_user"]);
}

#[test]
fn a_user_is_named_or_numbered_and_wins_over_roots_own_surroundings() {
    let Some(mut place) = Place::both() else { return };
    place.script("w", ROOTLESS, WAITS);
    let uid = user().uid.to_string();
    let runtime_dir = user().runtime_dir.to_str().expect("text");
    for env in [
        [("EDGE_DEVICE_PODMAN_ROOTLESS_USER", user().name), ("XDG_RUNTIME_DIR", "/run/user/0")],
        [("EDGE_DEVICE_PODMAN_ROOTLESS_USER", uid.as_str()), ("XDG_RUNTIME_DIR", "/nowhere")],
        // Without a name, whose directory it is.
        [("EDGE_DEVICE_XDG_RUNTIME_DIR", runtime_dir), ("XDG_RUNTIME_DIR", "/run/user/0")],
        [("LANG", "C"), ("XDG_RUNTIME_DIR", runtime_dir)],
    ] {
        let command = told(&place, &env);
        place.launch(command);
        place.until_state("w", "running");
        place.kill();
    }
}

#[test]
fn a_socket_that_is_not_that_users_is_not_talked_to() {
    let Some(mut place) = Place::both() else { return };
    let home = tempfile::tempdir().expect("a directory");
    user().own(home.path());
    let (socket, root) = (home.path().join("podman.sock"), place.podman.socket.clone());
    place.beside(Podman { socket: socket.clone(), rootless: true });
    two(&place);
    // The user put a link to root's podman there.
    symlink(&root, &socket).expect("linked");
    place.start();
    says(&place, &["belongs to user 0"]);
    // Then one of a third user.
    std::fs::remove_file(&socket).expect("removed");
    let _third = UnixListener::bind(&socket).expect("bound");
    std::os::unix::fs::chown(&socket, Some(65_534), None).expect("given");
    place.script("again", ROOTLESS, WAITS);
    until_true("the third is said", || {
        let all = place.agent().get("/api/v1/workloads").to_string();
        all.contains("belongs to user 65534")
    });
    assert_eq!(place.containers("w").len() + place.containers("again").len(), 0, "nothing was given to root's");
    // The right one: all goes on by itself.
    std::fs::remove_file(&socket).expect("removed");
    symlink(user().runtime_dir.join("podman/podman.sock"), &socket).expect("linked");
    place.until_state("w", "running");
    place.until_state("again", "running");
}

/// Where that user can run it.
fn installed(dir: &Path) {
    let built = Path::new(env!("CARGO_BIN_EXE_flotta-agent")).parent().expect("a directory");
    for name in ["flotta-agent", "flotta-shim"] {
        let (from, to) = (built.join(name), dir.join(name));
        if std::fs::hard_link(&from, &to).is_err() {
            std::fs::copy(&from, &to).expect("copied");
        }
    }
}

#[test]
fn an_agent_that_is_an_ordinary_user_runs_its_users_pods_and_says_that_roots_are_not_its() {
    let Some(mut place) = Place::rootless() else { return };
    let (bin, home) = (place.shared("bin"), place.shared("home"));
    installed(&bin);
    place.script("w", SOON, WAITS);
    let container = place.container("c", WAITS);
    let out = place.shared("out");
    place.pod("volumes", "", &format!(
        "{{ volumes: [ {{ name: e, emptyDir: {{}} }}, {{ name: out, hostPath: {{ path: \"{}/deep\", type: DirectoryOrCreate }} }} ], containers: [ {}, volumeMounts: [ {{ name: e, mountPath: /e }}, {{ name: out, mountPath: /out }} ] }} ] }}",
        out.display(),
        container.replace("trap", "touch /e/x /out/made; trap").trim_end_matches('}')
    ));
    // The way into the pod's network: what is no root needs a helper for it.
    let serves = place.container("c", &format!("httpd -p 8000 -h /bin; {WAITS}"));
    place.pod(
        "served",
        "",
        &format!(
            "{{ containers: [ {}, readinessProbe: {{ tcpSocket: {{ port: 8000 }}, periodSeconds: 1 }} }} ] }}",
            serves.trim_end_matches('}')
        ),
    );
    place.manifest("root.yaml", &format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {} }}\nspec:\n  type: pod\n  pod: {{ spec: {{ containers: [ {container} ] }} }}\n",
        place.name("root")
    ));
    let command = |place: &Place| {
        let mut command = user().command(Path::new(&format!("XDG_STATE_HOME={}", home.display())));
        command
            .arg(format!("EDGE_DEVICE_MANIFESTS_DIR={}", place.path("manifests").display()))
            .args(["EDGE_DEVICE_HTTP_LISTEN=127.0.0.1:0", "EDGE_DEVICE_MQTT_LISTEN=127.0.0.1:0"])
            .arg(bin.join("flotta-agent"));
        command
    };
    let start = command(&place);
    place.launch(start);
    let agent = std::fs::metadata(format!("/proc/{}", place.agent().pid())).expect("it runs");
    assert_eq!(agent.uid(), user().uid);
    place.until_state("w", "running");
    place.until_state("volumes", "running");
    place.until_state("served", "running");
    until_true("the pod wrote where it may", || out.join("deep/made").exists());
    assert_eq!(lines(&out.join("deep/made")), Vec::<String>::new());
    let lost = place.until_state("root", "error");
    assert_eq!(lost["reason"], "ExecutorUnreachable", "{lost}");
    let state = home.join("flotta-agent");
    let mode = std::fs::metadata(&state).expect("the state is where XDG_STATE_HOME says").permissions().mode();
    assert_eq!(mode & 0o077, 0, "and nobody else's: {mode:o}");

    // It sees its processes as root does: one that podman lost is noticed, others are adopted.
    let before = place.one("w", "c");
    place.kill();
    let start = command(&place);
    place.launch(start);
    place.until("w", "adopted", |w| w["reason"] == "Adopted");
    assert_eq!(place.one("w", "c")["Pid"], before["Pid"]);
    place.kill();
    let found = place.podman.inspect("containers", before["Id"].as_str().expect("an id"));
    let monitor = i32::try_from(found["State"]["ConmonPid"].as_i64().expect("a pid")).expect("a pid");
    let monitor = rustix::process::Pid::from_raw(monitor).expect("a pid");
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).expect("killed");
    kill9(&before);
    let start = command(&place);
    place.launch(start);
    until_true("it runs again", || {
        place.containers("w").iter().any(|c| c["State"] == "running" && c["Pid"] != before["Pid"])
    });
    for name in ["w", "volumes", "served", "root"] {
        place.delete(&format!("{name}.yaml"));
    }
    place.is_empty();
    assert_eq!(place.terminate(), Some(0));
}
