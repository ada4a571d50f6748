//! Many devices at one server.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use common::{Connection, join, standin};
use flotta_standin::{Operation, Options};
use serde_json::json;
use tokio::task::JoinSet;

const DEVICES: usize = 200;

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_devices_at_once_are_kept_apart() {
    let server = standin(Options::default()).await;
    let mut devices = JoinSet::new();
    for number in 0..DEVICES {
        let server = server.clone();
        devices.spawn(async move {
            let id = format!("dev-{number}");
            let own = join(&server, &id).await;
            let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
            let event = json!({"type": "info", "reason": "r", "message": id});
            let beat = json!({"status": "up", "version": id, "events": [event]});
            assert_eq!(connection.directive(&id, "heartbeat", beat).await.unwrap().status, 200);
            assert_eq!(connection.get(&id).await.unwrap().json()["content"]["device_id"], id.as_str());
        });
    }
    while let Some(done) = devices.join_next().await {
        done.unwrap();
    }
    assert_eq!(server.devices().len(), DEVICES);
    for id in server.devices() {
        let device = server.device(&id).unwrap();
        assert_eq!((device.last_synced.as_str(), device.heartbeats, device.registrations), (id.as_str(), 1, 1));
        assert_eq!(device.events[0]["message"], id.as_str());
    }
    let gets = server.exchanges().iter().filter(|one| one.operation == Operation::Get).count();
    assert_eq!((gets, server.exchange_count()), (DEVICES, u64::try_from(4 * DEVICES).unwrap()));
}
