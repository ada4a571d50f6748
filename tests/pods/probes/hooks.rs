//! What is done around a container's life.

use super::super::device::lines;
use super::super::specs::SOON;
use super::*;

#[test]
fn hooks_run_after_the_start_and_before_the_end() {
    for mut place in Place::each() {
        let out = out(&place);
        let script = "trap \"echo told to end >> /out/log; exit 0\" TERM; sleep 100000 & wait";
        let fields = "lifecycle: { postStart: { exec: { command: [ sh, -c, \"sleep 1; echo after the start >> /out/log\" ] } }, preStop: { exec: { command: [ sh, -c, \"echo before the end >> /out/log\" ] } } }, livenessProbe: { exec: { command: [ sh, -c, \"test -e /out/live || echo probed >> /out/log; touch /out/live\" ] }, periodSeconds: 1 }";
        place.pod("w", "", &with_out(&place, "", &[(place.container("c", script), fields)]));
        place.start();
        place.until_state("w", "running");
        assert_eq!(
            lines(&out.join("log")).first().map(String::as_str),
            Some("after the start"),
            "before it counts as started"
        );
        until_true("it is probed", || out.join("live").exists());
        place.delete("w.yaml");
        place.is_empty();
        assert_eq!(lines(&out.join("log")), ["after the start", "probed", "before the end", "told to end"]);
    }
}

#[test]
fn a_container_whose_hook_after_the_start_fails_is_ended_and_started_again() {
    let Some(mut place) = Place::new() else { return };
    out(&place);
    let script = "trap \"exit 0\" TERM; echo begun >> /out/begun; sleep 100000 & wait";
    let fields = "lifecycle: { postStart: { exec: { command: [ sh, -c, \"echo no key; exit 9\" ] } } }";
    place.pod("w", SOON, &with_out(&place, "", &[(place.container("c", script), fields)]));
    place.start();
    let ended = place.until("w", "it was ended", |w| w["reason"] == "BackOff");
    assert!(message(&ended).contains("its postStart hook failed (exec sh: exit code 9: no key)"), "{ended}");
    place.until("w", "it was started again", |w| w["restarts"].as_u64() >= Some(1));
}

#[test]
fn a_hook_before_the_end_has_the_grace_period_and_no_more() {
    let Some(mut place) = Place::new() else { return };
    let out = out(&place);
    let script = "trap \"echo told to end >> /out/log; exit 0\" TERM; sleep 100000 & wait";
    let fields = "lifecycle: { preStop: { sleep: { seconds: 86400 } } }";
    let spec = with_out(&place, "", &[(place.container("c", script), fields)]);
    place.pod("w", "", &spec.replace("terminationGracePeriodSeconds: 10", "terminationGracePeriodSeconds: 1"));
    place.start();
    place.until_state("w", "running");
    place.delete("w.yaml");
    place.is_empty();
    // What is left of the period is two seconds at least.
    assert_eq!(lines(&out.join("log")), ["told to end"]);
}
