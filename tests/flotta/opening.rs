//! How many connections a device makes.

use flotta_standin::Operation;

use super::site::Site;

#[test]
fn a_device_that_starts_again_pays_for_one_handshake() {
    let mut site = Site::new();
    site.start();
    site.answered(Operation::Heartbeat, 200);
    site.until_state("connected");
    site.device.terminate();
    site.onwards();
    let before = site.server.counts();
    site.start();
    site.answered(Operation::Get, 200);
    let last = site.answered(Operation::Heartbeat, 200);
    let after = site.server.counts();
    assert_eq!((after.accepted - before.accepted, after.handshakes - before.handshakes), (1, 1), "for both");
    assert_eq!(last.connection + 1, after.handshakes, "the last one made is the one used");
}
