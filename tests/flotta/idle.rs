//! Nothing happens: then nothing is written, and nothing is connected anew.

use serde_json::json;

use super::site::{Site, files, gated, quick};

#[test]
fn a_quiet_device_writes_nothing_and_keeps_its_one_connection() {
    let site = Site::up(quick(), json!([gated("a"), gated("b")]));
    site.until_waits("a");
    site.until_waits("b");
    // The first configuration, and what was told of it, come to rest.
    site.beats(3);
    let (stored, writes) = (files(&site.file("state")), site.counted("flotta_state_writes"));
    let (counts, clients, logged) =
        (site.server.counts(), site.counted("flotta_server_clients"), site.device.agent().logged());
    site.beats(4);
    assert_eq!(files(&site.file("state")), stored);
    assert_eq!(site.counted("flotta_state_writes"), writes);
    assert_eq!((site.server.counts(), site.counted("flotta_server_clients")), (counts, clients));
    assert_eq!(site.device.agent().logged(), logged, "and says nothing");
    let all = site.server.connections();
    let own: Vec<_> = all.iter().filter(|one| one.open && one.client.common_name == super::site::ID).collect();
    assert_eq!(own.len(), 1, "{own:#?}");
}
