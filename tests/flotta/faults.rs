//! What the server or the line does wrong: the last configuration stays in force, heartbeats go on, and it ends by itself.

use std::time::Duration;

use bytes::Bytes;
use flotta_standin::{Fault, Operation};
use serde_json::json;

use super::site::{ID, Site, gated, quick, side_by_side};

/// A fault of the configuration's, and the words about it.
fn answers() -> Vec<(&'static str, Fault, &'static str)> {
    let command = json!({ "type": "command", "content": { "command": "disconnect", "arguments": null } }).to_string();
    vec![
        ("400", Fault::status(400), "400"),
        ("401", Fault::status(401), "401: the certificate has expired"),
        ("403", Fault::status(403), "403: the certificate is not toto's"),
        ("404", Fault::status(404), "404: the device was deleted, or"),
        ("500", Fault::status(500), "500: a Secret, ConfigMap or allow list"),
        ("a page", Fault::status_with(502, "<html>Bad Gateway</html>"), "502 with a page (<html>Bad Gateway</html>)"),
        ("abort", Fault::abort(), "ended the connection without an answer"),
        ("empty", Fault::empty(), "the server's configuration is empty"),
        ("garbage", Fault::garbage("{\"type\": gar"), "cannot be read"),
        ("no object", Fault::garbage("[]"), "is no configuration"),
        ("null", Fault::garbage("{\"type\":\"data\",\"content\":null}"), "is no configuration"),
        ("cut", Fault::cut_after(400), "cannot be read"),
        ("command", Fault::garbage(command), "its type is"),
        ("large", Fault::blanks(100_000_000), "it is larger than 8388608 bytes"),
    ]
}

#[test]
fn whatever_the_server_answers_the_last_configuration_stays_in_force_until_it_is_well_again() {
    side_by_side(answers(), |(name, fault, words)| a_bad_configuration(name, fault, words));
}

fn a_bad_configuration(name: &str, fault: Fault, words: &str) {
    let site = Site::up(quick(), json!([gated("w")]));
    let before = site.until_waits("w");
    let most = peak(site.device.agent().pid());
    site.server.fault(Operation::Get, fault.for_ever());
    site.server.set_workloads(ID, json!([gated("w"), gated("late")]));
    site.wait(Operation::Get, "the fault", |exchange| exchange.faulty);
    let says = site.until_says(name, |says| says["last_error"].as_str().is_some_and(|error| error.contains(words)));
    super::device::until_true_or(&format!("{name}: status says {words}"), || {
        Some(site.status_command()).filter(|said| !said.contains(words))
    });
    // Heartbeats do not wait for it.
    site.beats(2);
    site.wait(Operation::Get, "the fault again", |exchange| exchange.faulty);
    site.device.agent().set("x", 1.0);
    site.until_open("w");
    site.device.agent().set("x", 0.0);
    site.until_waits("w");
    assert_eq!(site.workloads(), ["w"], "{name}: {says}");
    assert_eq!(site.device.agent().get("/api/v1/workloads")[0]["hash"], before["hash"], "{name}");
    let grown = peak(site.device.agent().pid()).saturating_sub(most);
    assert!(grown < 40 << 10, "{name}: {grown} KiB more than before");
    site.server.clear_faults();
    site.until_waits("late");
    site.until_well();
    assert!(site.says()["last_error"].is_string(), "{name}: what was wrong can still be read");
}

/// The most memory that a process has had, in KiB.
fn peak(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).expect("VmHWM");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn a_slow_configuration_holds_up_nothing_and_counts_when_it_is_whole() {
    let site = Site::up(quick(), json!([gated("w")]));
    site.server.fault(Operation::Get, Fault::slow(60, Duration::from_millis(200)));
    site.server.set_workloads(ID, json!([gated("w"), gated("late")]));
    site.wait(Operation::Get, "the fault", |exchange| exchange.faulty);
    site.beats(2);
    site.until_waits("late");
    assert_eq!(site.counted("flotta_server_configurations"), 2);
    site.until_well();
}

#[test]
fn a_heartbeat_that_fails_holds_up_no_configuration_and_goes_on_by_itself() {
    let faults = [
        ("500", Fault::status(500)),
        ("400", Fault::status(400)),
        ("abort", Fault::abort()),
        ("page", Fault::status_with(503, Bytes::from_static(b"<html>later</html>"))),
        ("404 of something else", Fault::status_with(404, "<html>no such page</html>")),
    ];
    side_by_side(faults, |(name, fault)| {
        let site = Site::up(quick(), json!([gated("w")]));
        site.until_waits("w");
        site.server.fault(Operation::Heartbeat, fault.for_ever());
        for _ in 0..2 {
            site.wait(Operation::Heartbeat, "the fault", |exchange| exchange.faulty);
        }
        let words = if name == "abort" {
            "without an answer to the heartbeat"
        } else {
            "the server answers the heartbeat with"
        };
        site.until_words(words);
        // It is told what to do all the same.
        site.server.set_workloads(ID, json!([gated("w"), gated("late")]));
        site.until_waits("late");
        site.gets(1);
        site.server.clear_faults();
        site.beats(2);
        site.until_well();
        let phases = site.server.device(ID).expect("there").phases;
        assert_eq!(phases.get("late").map(String::as_str), Some("crashed"), "{name}");
    });
}
