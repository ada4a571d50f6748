//! Liveness and startup: who fails them ends, and is started again.

use super::super::device::lines;
use super::super::specs::{DEAF, SOON, WAITS};
use super::*;

/// Lives again once it is started again; the first start takes nothing away, which a test may have made by then.
const RECOVERS: &str = "test -e /out/begun && rm -f /out/dead; echo begun >> /out/begun";

const ALIVE: &str =
    "livenessProbe: { exec: { command: [ test, \"!\", -e, /out/dead ] }, periodSeconds: 1, failureThreshold: 2 }";

#[test]
fn a_container_that_fails_its_liveness_probe_is_started_again_in_place_also_if_it_says_it_ended_well() {
    for mut place in Place::each() {
        let out = out(&place);
        let a = (place.container("a", &format!("{RECOVERS}; {WAITS}")), ALIVE);
        let b = (place.container("b", WAITS), "");
        place.pod(
            "w",
            "  retry: { constantBackoff: { periodSeconds: 3 } }\n",
            &with_out(&place, "restartPolicy: OnFailure,", &[a, b]),
        );
        place.start();
        place.until_state("w", "running");
        let before = (place.one("w", "a"), place.one("w", "b"));
        touch(out.join("dead"));
        let down = place.until("w", "it was ended", |w| w["reason"] == "ContainerDown");
        for part in [
            "container a",
            "its liveness probe failed 2 times (exec test: exit code 1)",
            "exit code 0",
            "started again at",
        ] {
            assert!(message(&down).contains(part), "{part} in {down}");
        }
        let again = place.until_state("w", "running");
        assert_eq!(again["restarts"], 1, "{again}");
        let after = (place.one("w", "a"), place.one("w", "b"));
        assert_eq!(before.0["Id"], after.0["Id"], "in place");
        assert_ne!(before.0["Pid"], after.0["Pid"]);
        assert_eq!(before.1["Pid"], after.1["Pid"], "the other one runs on");
        assert_eq!(lines(&out.join("begun")).len(), 2);
    }
}

#[test]
fn what_a_probe_ended_is_started_again_also_by_an_agent_after_this_one_though_it_says_it_ended_well() {
    let Some(mut place) = Place::new() else { return };
    let out = out(&place);
    let container = (place.container("c", &format!("{RECOVERS}; {WAITS}")), ALIVE);
    place.pod(
        "w",
        "  retry: { constantBackoff: { periodSeconds: 20 } }\n",
        &with_out(&place, "restartPolicy: OnFailure,", &[container]),
    );
    place.start();
    place.until_state("w", "running");
    touch(out.join("dead"));
    place.until("w", "it was ended", |w| message(w).contains("its liveness probe failed 2 times"));
    until_true("it is down", || place.one("w", "c")["ExitCode"] == 0 && place.one("w", "c")["Pid"] == 0);
    place.kill();
    place.start();
    let again = place.until("w", "it runs again", |w| w["state"] == "running" || w["state"] == "exited");
    assert_eq!(again["state"], "running", "{again}");
}

#[test]
fn what_a_probe_ended_and_must_not_be_started_again_stays_down_and_has_failed() {
    let Some(mut place) = Place::new() else { return };
    let out = out(&place);
    place.pod("w", SOON, &with_out(&place, "restartPolicy: Never,", &[(place.container("c", WAITS), ALIVE)]));
    place.start();
    place.until_state("w", "running");
    touch(out.join("dead"));
    let ended = place.until_state("w", "exited");
    assert_eq!(ended["reason"], "Failed", "{ended}");
    assert!(message(&ended).contains("its liveness probe failed 2 times"), "{ended}");
}

#[test]
fn on_a_locked_device_that_keeps_what_runs_a_probe_ends_nothing_until_it_is_unlocked() {
    let Some(mut place) = Place::new() else { return };
    let out = out(&place);
    place.pod("w", SOON, &with_out(&place, "", &[(place.container("c", &format!("{RECOVERS}; {WAITS}")), ALIVE)]));
    place.start();
    place.until_state("w", "running");
    let before = place.one("w", "c");
    assert_eq!(place.client(&["host", "lock", "--keep"]).0, 0);
    touch(out.join("dead"));
    let failing =
        place.until("w", "it is not ended", |w| message(w).contains("it is ended when the device is unlocked"));
    assert_eq!((&failing["state"], &failing["reason"]), (&"degraded".into(), &"NotReady".into()), "{failing}");
    assert_eq!(place.one("w", "c")["Pid"], before["Pid"], "it runs on");
    assert_eq!(place.client(&["host", "unlock"]).0, 0);
    place.until("w", "it was ended and started again", |w| w["restarts"] == 1 && w["state"] == "running");
    assert_ne!(place.one("w", "c")["Pid"], before["Pid"]);
}

#[test]
fn a_probes_own_grace_period_holds_where_it_ends_a_container() {
    let Some(mut place) = Place::new() else { return };
    let out = out(&place);
    let fields = ALIVE.replace("failureThreshold: 2", "failureThreshold: 1, terminationGracePeriodSeconds: 1");
    let spec = with_out(&place, "restartPolicy: Never,", &[(place.container("c", DEAF), fields.as_str())]);
    place.pod("w", SOON, &spec.replace("terminationGracePeriodSeconds: 10,", "terminationGracePeriodSeconds: 600,"));
    place.start();
    place.until_state("w", "running");
    touch(out.join("dead"));
    let ended = place.until_state("w", "exited");
    assert_eq!(ended["last_exit_code"], 137, "{ended}");
    // The pod's own would be ten minutes.
    assert!(message(&ended).contains("its liveness probe failed once"), "{ended}");
}

#[test]
fn until_the_startup_probe_succeeds_the_pod_is_being_started_and_nothing_else_is_asked() {
    let Some(mut place) = Place::new() else { return };
    let out = out(&place);
    let fields = "startupProbe: { exec: { command: [ test, -e, /out/started ] }, periodSeconds: 1, failureThreshold: 100 }, livenessProbe: { exec: { command: [ sh, -c, \"echo asked >> /out/asked\" ] }, periodSeconds: 1 }, readinessProbe: { exec: { command: [ test, -e, /out/ready ] }, periodSeconds: 1, failureThreshold: 1 }";
    place.pod("w", "", &with_out(&place, "", &[(place.container("c", WAITS), fields)]));
    place.start();
    let starting = until_said(&place, "w", &["has not succeeded yet, and fails since"]);
    assert_eq!((&starting["state"], &starting["reason"]), (&"deploying".into(), &"Starting".into()), "{starting}");
    assert!(message(&starting).contains("container c: its startup probe has not succeeded yet"), "{starting}");
    assert!(!out.join("asked").exists());
    touch(out.join("started"));
    place.until("w", "it has started, and is not ready", |w| w["reason"] == "NotReady");
    until_true("its liveness is asked for", || out.join("asked").exists());
    touch(out.join("ready"));
    place.until_state("w", "running");
    // Passed once, it is not asked again.
    std::fs::remove_file(out.join("started")).expect("removed");
    let before = lines(&out.join("asked")).len();
    until_true("it is asked on", || lines(&out.join("asked")).len() >= before + 3);
    place.until_state("w", "running");
}

#[test]
fn a_startup_probe_that_fails_too_often_has_the_container_started_again_and_again() {
    let Some(mut place) = Place::new() else { return };
    out(&place);
    let fields = "startupProbe: { exec: { command: [ \"false\" ] }, periodSeconds: 1, failureThreshold: 2 }";
    let c = place.container("c", &format!("echo begun >> /out/begun; {WAITS}"));
    place.pod("w", SOON, &with_out(&place, "", &[(c, fields)]));
    place.start();
    let ended = place.until("w", "it was ended", |w| w["reason"] == "BackOff");
    assert!(message(&ended).contains("its startup probe failed 2 times (exec false: exit code 1)"), "{ended}");
    until_said(&place, "w", &["2 failures in a row"]);
}
