//! What a user's podman does with a pod, from its start to its removal.

use std::os::unix::fs::MetadataExt;

use super::super::device::{lines, until_true};
use super::super::place::{Place, kill9, pid};
use super::super::service::{image, user};
use super::super::specs::{SOON, free_port};

#[test]
fn a_rootless_pod_has_its_ports_volumes_and_last_words_and_is_its_users() {
    let Some(mut place) = Place::rootless() else { return };
    let (out, port, image, tag) = (place.shared("out"), free_port(), image(), place.tag());
    let made = out.join("made/by/the/agent");
    place.pod(
        "w",
        SOON,
        &format!(
            r#"{{ terminationGracePeriodSeconds: 5,
      volumes: [ {{ name: scratch, emptyDir: {{}} }}, {{ name: out, hostPath: {{ path: "{out}" }} }},
                 {{ name: made, hostPath: {{ path: "{made}", type: DirectoryOrCreate }} }} ],
      containers: [
        {{ name: web, image: "{image}", command: [ /bin/sh, -c, 'echo $(id -u) > /scratch/web; echo yes > /made/yes; httpd -p 8000 -h /scratch; trap "exit 0" TERM; sleep 100000 & wait' ],
          env: [ {{ name: FLOTTA_TEST, value: "{tag}" }} ],
          ports: [ {{ containerPort: 8000, hostPort: {port}, hostIP: 127.0.0.1 }} ],
          volumeMounts: [ {{ name: scratch, mountPath: /scratch }}, {{ name: made, mountPath: /made }} ] }},
        {{ name: side, image: "{image}", securityContext: {{ runAsUser: 1234 }}, command: [ /bin/sh, -c, 'touch /scratch/side && echo wrote; echo last words; sleep 100000' ],
          env: [ {{ name: FLOTTA_TEST, value: "{tag}" }} ],
          volumeMounts: [ {{ name: scratch, mountPath: /scratch }}, {{ name: out, mountPath: /out }} ] }} ] }}"#,
            out = out.display(),
            made = made.display(),
        ),
    );
    place.start();
    let running = place.until_state("w", "running");
    assert_eq!((&running["rootless"], &running["warnings"]), (&true.into(), &serde_json::json!([])), "{running}");
    let (web, side) = (place.one("w", "web"), place.one("w", "side"));
    let uid = |container| std::fs::metadata(format!("/proc/{}", pid(container))).expect("it runs").uid();
    assert_eq!(uid(&web), user().uid, "root in the pod is the user outside");
    assert!(uid(&side) > 65_535, "and others are nobody else's: {}", uid(&side));
    until_true("the port answers", || super::super::whole::fetch(port, "/web").as_deref() == Some("0"));
    until_true("a path that the agent made is the pod's to write to", || lines(&made.join("yes")) == ["yes"]);
    assert_eq!(std::fs::metadata(&made).expect("there").uid(), user().uid);

    // Whoever runs in the pod may write to an emptyDir; its end is noticed, with its last words.
    kill9(&side);
    let again = place.until("w", "its restart", |w| w["state"] == "running" && w["restarts"] == 1);
    assert_eq!(again["last_exit_code"], 137, "{again}");
    let events = place.agent().get("/api/v1/events").to_string();
    assert!(events.contains("wrote") && events.contains("last words"), "{events}");
    assert_eq!(place.one("w", "web")["Pid"], web["Pid"], "what ran was not restarted");

    // Adopted after a kill of the agent, with the same processes.
    let before = place.containers("w");
    place.kill();
    place.start();
    place.until("w", "adopted", |w| w["reason"] == "Adopted");
    let pids = |containers: &[serde_json::Value]| containers.iter().map(pid).collect::<Vec<_>>();
    assert_eq!(pids(&place.containers("w")), pids(&before));

    place.delete("w.yaml");
    place.is_empty();
    assert!(super::super::whole::fetch(port, "/web").is_none());
}

#[test]
fn a_rootless_container_that_lost_its_process_and_its_monitor_runs_again() {
    let Some(mut place) = Place::rootless() else { return };
    place.script("w", SOON, super::super::specs::WAITS);
    place.start();
    place.until_state("w", "running");
    let before = place.one("w", "c");
    let inspected = place.podman.inspect("containers", before["Id"].as_str().expect("an id"));
    let monitor = i32::try_from(inspected["State"]["ConmonPid"].as_i64().expect("a pid")).expect("a pid");
    let kill = |pid| {
        rustix::process::kill_process(
            rustix::process::Pid::from_raw(pid).expect("a pid"),
            rustix::process::Signal::KILL,
        )
    };
    // Between two agents: the next one looks at once.
    place.kill();
    kill(monitor).expect("killed");
    kill9(&before);
    place.start();
    until_true("it runs again", || {
        place.containers("w").iter().any(|c| c["State"] == "running" && c["Pid"] != before["Pid"])
    });
    place.until_state("w", "running");
}
