//! Moments at which something is easily lost.

use std::time::Duration;

use flotta_standin::{Fault, Operation};

use super::device::until_true;
use super::site::{ID, Site};

#[test]
fn an_agent_that_is_told_to_stop_while_it_registers_keeps_the_one_certificate_it_gets() {
    let mut site = Site::new();
    site.server.fault(Operation::Registration, Fault::delayed(Duration::from_secs(2)).after_effect());
    site.start();
    until_true("it registers", || site.server.pending_faults() == 0);
    assert_eq!(site.device.terminate(), Some(0));
    site.start();
    site.until_state("connected");
    assert_eq!(site.server.device(ID).expect("there").registrations, 1);
}
