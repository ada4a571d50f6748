//! From the first start to the end.

use std::time::Duration;

use flotta_standin::{Operation, Options};
use serde_json::json;

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

#[test]
fn a_certificate_that_lives_for_seconds_is_renewed_again_and_again_and_the_device_stays_connected() {
    let mut site = Site::with(Options { certificate_lifetime: Duration::from_secs(6), ..Options::default() });
    site.quick_after_start();
    for _ in 0..3 {
        site.answered(Operation::Registration, 200);
    }
    let refused = site.server.exchanges().iter().filter(|exchange| exchange.status == 401).count();
    assert_eq!(refused, 0, "renewed before its end");
}

impl Site {
    /// Starts, and comes every second from then on.
    fn quick_after_start(&mut self) {
        self.start();
        self.answered(Operation::Registration, 200);
        self.server.set_configuration(ID, json!({ "heartbeat": { "period_seconds": 1 } }));
        self.device.agent().signal(rustix::process::Signal::HUP);
    }
}
