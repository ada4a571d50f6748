//! From the first start to the end.

use flotta_standin::Operation;

use super::site::{ID, Site, manual};

#[test]
fn a_device_enrols_registers_reports_and_takes_its_configuration() {
    let mut site = Site::new();
    site.start();
    site.answered(Operation::Enrolment, 200);
    site.answered(Operation::Registration, 200);
    site.answered(Operation::Get, 200);
    site.answered(Operation::Heartbeat, 200);
    let says = site.until_state("connected");
    assert!(says["certificate"]["not_after"].is_string() && says["certificate"]["renew_at"].is_string(), "{says}");
    assert_eq!(site.server.device(ID).expect("there").registrations, 1);
}

#[test]
fn a_device_waits_for_its_approval_and_says_so() {
    let mut site = Site::with(manual());
    site.start();
    site.answered(Operation::Registration, 404);
    let says = site.until_state("pending_approval");
    assert!(says["message"].as_str().is_some_and(|words| words.contains("waits for approval")), "{says}");
    assert!(site.server.approve(ID));
    site.answered(Operation::Registration, 200);
    site.until_state("connected");
}
