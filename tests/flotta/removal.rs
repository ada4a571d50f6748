//! The server removes the device.

use flotta_standin::{Fault, Operation};
use serde_json::json;

use super::site::{ID, Site, gated, manual, pod, quick};

fn enrolments(site: &Site) -> usize {
    site.server.exchanges().iter().filter(|exchange| exchange.operation == Operation::Enrolment).count()
}

#[test]
fn a_removed_device_stops_its_workloads_says_so_and_comes_back_when_it_is_told_to() {
    let mut site = Site::up(quick(), json!([gated("w"), pod("v")]));
    site.until_waits("w");
    let before = enrolments(&site);
    assert!(site.server.delete(ID));
    site.until_state("removed");
    super::device::until_true("its workloads are gone", || site.workloads().is_empty());
    assert!(site.status_command().contains("server removed"), "{}", site.status_command());
    // Killed: what was stopped stays stopped.
    site.device.kill();
    site.start();
    site.until_state("removed");
    assert!(site.workloads().is_empty(), "{:?}", site.workloads());
    assert_eq!(enrolments(&site), before, "it does not enrol again at once");
    // A person does not want to wait.
    site.hurried(Operation::Enrolment, "enrols again", |_| true);
    site.server.set_configuration(ID, quick());
    site.hurried(Operation::Registration, "registers again", |exchange| exchange.status == 200);
    site.until_state("connected");
    site.server.set_workloads(ID, json!([gated("again")]));
    site.device.agent().signal(rustix::process::Signal::HUP);
    site.until_waits("again");
    assert_eq!(site.workloads(), ["again"]);
}

#[test]
fn a_removed_device_that_leaves_its_workloads_keeps_them() {
    let mut site = Site::with(manual());
    site.set("REMOTE_ON_REMOVAL", "leave");
    site.start();
    site.answered(Operation::Registration, 404);
    assert!(site.server.approve(ID));
    site.server.set_configuration(ID, quick());
    site.server.set_workloads(ID, json!([gated("w")]));
    site.hurried(Operation::Registration, "registers", |exchange| exchange.status == 200);
    site.until_waits("w");
    site.until_state("connected");
    assert!(site.server.delete(ID));
    site.until_state("removed");
    assert_eq!(site.workloads(), ["w"]);
    site.device.agent().set("x", 1.0);
    site.until_open("w");
    site.device.kill();
    site.start();
    site.until_state("removed");
    site.until_waits("w");
}

#[test]
fn the_control_channels_disconnect_removes_as_well() {
    let site = Site::up(quick(), json!([gated("w")]));
    site.server.set_device(ID, |device| device.deleting = true);
    // Only who has reason to asks there.
    site.server.fault(Operation::Get, Fault::status(404));
    site.answered(Operation::Control, 200);
    site.until_state("removed");
    super::device::until_true("its workloads are gone", || site.workloads().is_empty());
}

#[test]
fn a_configuration_that_is_not_found_alone_removes_nothing() {
    let site = Site::up(quick(), json!([gated("w")]));
    site.until_waits("w");
    let mut other = gated("other");
    other["imageRegistries"] = json!({ "secret": "missing" });
    site.server.set_workloads(ID, json!([gated("w"), other]));
    for _ in 0..2 {
        site.answered(Operation::Get, 404);
        site.answered(Operation::Control, 200);
    }
    let says = site.until_words("the secret of an image registry is missing");
    assert_eq!(says["state"], "connected", "{says}");
    assert_eq!(site.workloads(), ["w"]);
    site.beats(1);
    let keys = [(".dockerconfigjson".to_owned(), "{\"auths\":{}}".to_owned())];
    site.server.set_secret("default", "missing", Some(keys.into()));
    site.until_waits("other");
    site.until_well();
}
