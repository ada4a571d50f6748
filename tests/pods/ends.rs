//! Containers that end, well or badly, and pods that cannot be started.

use std::net::TcpListener;

use super::device::{lines, until_true};
use super::place::{Place, kill9};
use super::service::image;
use super::specs::{SOON, WAITS};

#[test]
fn a_dead_container_is_started_again_in_place_and_the_others_run_on() {
    let Some(mut place) = Place::new() else { return };
    let (a, b) = (place.container("a", WAITS), place.container("b", WAITS));
    place.pod("w", SOON, &format!("{{ terminationGracePeriodSeconds: 5, containers: [ {a}, {b} ] }}"));
    place.start();
    place.until_state("w", "running");
    let (a, b) = (place.one("w", "a"), place.one("w", "b"));
    kill9(&a);
    let degraded = place.until_state("w", "degraded");
    assert_eq!(degraded["reason"], "ContainerDown");
    let message = degraded["message"].as_str().expect("a sentence");
    assert!(message.contains("container a") && message.contains("killed by SIGKILL"), "{message}");
    let again = place.until_state("w", "running");
    assert_eq!(again["restarts"], 1, "{again}");
    let (a2, b2) = (place.one("w", "a"), place.one("w", "b"));
    assert_eq!((&a["Id"], &b["Id"], &b["Pid"]), (&a2["Id"], &b2["Id"], &b2["Pid"]), "in place, and b was left alone");
    assert_ne!(a["Pid"], a2["Pid"]);
}

#[test]
fn a_pod_of_which_one_container_is_down_is_stopped_in_its_grace_period() {
    let Some(mut place) = Place::new() else { return };
    let (a, b) = (place.container("a", "exit 4"), place.container("b", WAITS));
    place.pod("w", "", &format!("{{ terminationGracePeriodSeconds: 600, containers: [ {a}, {b} ] }}"));
    place.start();
    let degraded = place.until_state("w", "degraded");
    assert!(degraded["message"].as_str().expect("text").contains("exit code 4"), "{degraded}");
    // Podman's own stop of such a pod does nothing and says 304.
    place.delete("w.yaml");
    place.is_empty();
}

#[test]
fn what_does_not_hear_that_it_should_end_is_killed_after_its_grace_period() {
    let Some(mut place) = Place::new() else { return };
    let (a, b) = (place.container("a", super::specs::DEAF), place.container("b", super::specs::DEAF));
    place.pod("w", "", &format!("{{ terminationGracePeriodSeconds: 1, containers: [ {a}, {b} ] }}"));
    place.start();
    place.until_state("w", "running");
    place.delete("w.yaml");
    place.agent().until(&place.name("w"), "it is told to end", |w| w["reason"] == "Stopping");
    place.is_empty();
}

#[test]
fn a_failing_init_container_is_said_with_its_code_and_last_words_and_tried_again_from_the_beginning() {
    let Some(mut place) = Place::new() else { return };
    let out = place.shared("out");
    let mount = "volumeMounts: [ { name: out, mountPath: /out } ] }";
    let prepare = place
        .container("prepare", "echo try >> /out/tries; test -e /out/disk && exit 0; echo no disk here >&2; exit 3");
    let work = place.container("work", WAITS);
    place.pod(
        "w",
        SOON,
        &format!(
            "{{ volumes: [ {{ name: out, hostPath: {{ path: \"{}\" }} }} ], initContainers: [ {}, {mount} ], containers: [ {work} ] }}",
            out.display(),
            prepare.trim_end_matches('}')
        ),
    );
    place.start();
    let failed = place.until("w", "its retry", |w| w["reason"] == "BackOff");
    let message = failed["message"].as_str().expect("a sentence");
    for part in ["init container prepare", "exit code 3", "no disk here"] {
        assert!(message.contains(part), "{part} in {message}");
    }
    until_true("it is tried again", || lines(&out.join("tries")).len() >= 3);
    assert!(
        place
            .containers("w")
            .iter()
            .all(|c| c["Labels"]["project-flotta.io/container"] != "work" || c["State"] != "running")
    );
    std::fs::write(out.join("disk"), "").expect("written");
    place.until_state("w", "running");
}

#[test]
fn a_pod_that_ended_says_how_and_with_which_last_words() {
    let Some(mut place) = Place::new() else { return };
    let (well, badly) = (place.container("c", "echo done; exit 0"), place.container("c", "echo the fuse blew; exit 7"));
    place.pod("well", "", &format!("{{ restartPolicy: OnFailure, containers: [ {well} ] }}"));
    place.pod("badly", "", &format!("{{ restartPolicy: Never, containers: [ {badly} ] }}"));
    place.start();
    let stopped = place.until_state("well", "stopped");
    assert_eq!((&stopped["reason"], &stopped["last_exit_code"]), (&"Completed".into(), &0.into()), "{stopped}");
    let exited = place.until_state("badly", "exited");
    assert_eq!((&exited["reason"], &exited["last_exit_code"]), (&"Failed".into(), &7.into()), "{exited}");
    assert!(exited["message"].as_str().expect("text").contains("the fuse blew"), "{exited}");
    // An agent after this one says the same, and starts nothing.
    let before = place.one("badly", "c");
    place.kill();
    place.start();
    place.until_state("well", "stopped");
    let exited = place.until_state("badly", "exited");
    assert_eq!(exited["last_exit_code"], 7, "{exited}");
    assert_eq!(place.one("badly", "c")["StartedAt"], before["StartedAt"]);
}

#[test]
fn a_missing_image_is_said_and_everything_else_goes_on() {
    let Some(mut place) = Place::new() else { return };
    let wrong = place.container("c", WAITS).replace(image(), "localhost/flotta-test/none:1");
    place.pod("wrong", SOON, &format!("{{ containers: [ {wrong} ] }}"));
    let never = wrong.trim_end_matches('}').to_owned() + ", imagePullPolicy: Never }";
    place.pod("never", SOON, &format!("{{ containers: [ {never} ] }}"));
    place.script("good", "", WAITS);
    place.start();
    place.until_state("good", "running");
    for name in ["wrong", "never"] {
        let failed = place.until(name, "the image", |w| w["reason"] == "ImagePullFailed");
        assert_eq!(failed["state"], "error");
        assert!(failed["message"].as_str().expect("text").contains("localhost/flotta-test/none:1"), "{failed}");
        assert!(place.podman.named(&place.name(name)).is_empty(), "nothing is made before its images are there");
    }
}

#[test]
fn a_command_that_is_not_there_is_said_and_leaves_nothing_behind() {
    let Some(mut place) = Place::new() else { return };
    let fine = place.container("fine", WAITS);
    let wrong = place.container("wrong", WAITS).replace("/bin/sh", "/no/such");
    // Long enough that what is left can be looked at.
    let later = "  retry: { constantBackoff: { periodSeconds: 600 } }\n";
    place.pod(
        "w",
        later,
        &format!("{{ volumes: [ {{ name: e, emptyDir: {{}} }} ], containers: [ {fine}, {wrong} ] }}"),
    );
    place.start();
    let failed = place.until_state("w", "error");
    assert_eq!(failed["reason"], "StartFailed");
    let message = failed["message"].as_str().expect("a sentence");
    assert!(message.contains("container wrong") && message.contains("/no/such"), "{message}");
    place.is_empty();
}

#[test]
fn a_port_that_is_taken_is_said_and_taken_when_it_is_free() {
    let Some(mut place) = Place::new() else { return };
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("an address").port();
    let container = place.container("c", WAITS);
    let container = container.trim_end_matches('}');
    place.pod("w", SOON, &format!("{{ containers: [ {container}, ports: [ {{ containerPort: 80, hostPort: {port}, hostIP: 127.0.0.1 }} ] }} ] }}"));
    place.start();
    let failed = place.until_state("w", "error");
    assert!(failed["message"].as_str().expect("text").contains(&port.to_string()), "{failed}");
    drop(taken);
    place.until_state("w", "running");
}

#[test]
fn a_host_path_that_is_not_there_is_said_with_what_would_make_it() {
    let Some(mut place) = Place::new() else { return };
    let path = place.path("absent");
    let container = place.container("c", WAITS);
    let container = container.trim_end_matches('}');
    place.pod(
        "w",
        SOON,
        &format!(
            "{{ volumes: [ {{ name: v, hostPath: {{ path: \"{}\" }} }} ], containers: [ {container}, volumeMounts: [ {{ name: v, mountPath: /v }} ] }} ] }}",
            path.display()
        ),
    );
    place.start();
    let failed = place.until_state("w", "error");
    assert!(failed["message"].as_str().expect("text").contains("DirectoryOrCreate"), "{failed}");
    std::fs::create_dir(&path).expect("made");
    place.until_state("w", "running");
}

#[test]
fn a_main_container_that_cannot_be_started_after_its_init_containers_is_said_with_its_cause() {
    let Some(mut place) = Place::new() else { return };
    let (init, wrong) =
        (place.container("prepare", "exit 0"), place.container("wrong", WAITS).replace("/bin/sh", "/no/such"));
    let later = "  retry: { constantBackoff: { periodSeconds: 600 } }\n";
    place.pod("w", later, &format!("{{ initContainers: [ {init} ], containers: [ {wrong} ] }}"));
    place.start();
    let failed = place.until_state("w", "error");
    assert_eq!(failed["reason"], "StartFailed");
    let message = failed["message"].as_str().expect("a sentence");
    assert!(message.contains("container wrong") && message.contains("/no/such"), "{message}");
    assert!(message.contains("tried again at"), "{message}");
    // That its start failed holds up no end.
    place.delete("w.yaml");
    place.is_empty();
}

#[test]
fn a_container_that_somebody_removed_is_noticed_and_the_pod_is_made_again() {
    let Some(mut place) = Place::new() else { return };
    let (a, b) = (place.container("a", WAITS), place.container("b", WAITS));
    place.pod("w", SOON, &format!("{{ terminationGracePeriodSeconds: 5, containers: [ {a}, {b} ] }}"));
    place.start();
    place.until_state("w", "running");
    let a = place.one("w", "a");
    let path = format!("containers/{}?force=true", a["Id"].as_str().expect("an id"));
    let (code, answer) = place.podman.call("DELETE", &path, None);
    assert!(matches!(code, 200 | 204), "{code} {answer}");
    until_true("another one is there", || {
        let all = place.containers("w");
        all.len() == 2 && all.iter().all(|c| c["State"] == "running" && c["Pod"] != a["Pod"])
    });
    place.until_state("w", "running");
}

#[test]
fn a_container_whose_monitor_was_killed_with_it_is_not_said_to_run() {
    let Some(mut place) = Place::new() else { return };
    place.script("w", SOON, WAITS);
    place.start();
    place.until_state("w", "running");
    let before = place.one("w", "c");
    let inspected = place.podman.inspect("containers", before["Id"].as_str().expect("an id"));
    let monitor = i32::try_from(inspected["State"]["ConmonPid"].as_i64().expect("a pid")).expect("a pid");
    let monitor = rustix::process::Pid::from_raw(monitor).expect("it runs");
    rustix::process::kill_process(monitor, rustix::process::Signal::KILL).expect("killed");
    kill9(&before);
    // No event tells it: the next list does.
    until_true("it runs again", || {
        place.containers("w").iter().any(|c| c["State"] == "running" && c["Pid"] != before["Pid"])
    });
    let again = place.until("w", "its restart", |w| w["state"] == "running" && w["restarts"] == 1);
    assert_eq!(again["reason"], "Running", "{again}");
}

#[test]
fn what_must_not_run_as_root_does_not_when_its_image_would() {
    let Some(mut place) = Place::new() else { return };
    let container = place.container("c", WAITS);
    let container = container.trim_end_matches('}');
    place.pod(
        "w",
        SOON,
        &format!("{{ containers: [ {container}, securityContext: {{ runAsNonRoot: true, runAsGroup: 3000 }} }} ] }}"),
    );
    place.start();
    let failed = place.until_state("w", "error");
    assert!(failed["message"].as_str().expect("text").contains("set securityContext.runAsUser"), "{failed}");
}
