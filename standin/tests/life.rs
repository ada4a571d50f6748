//! A device's life as the contract tells it, where the captures leave gaps.
#![allow(clippy::unwrap_used, reason = "clippy knows tests, but not their helpers")]

mod common;

use std::collections::BTreeSet;

use common::{Connection, device, join, key_and_request, registration, request, standin};
use flotta_standin::{Approval, Authority, Identity, Leaf, Options, SIGNED_REQUEST_LABEL, Standin};
use serde_json::{Value, json};

const ID: &str = "dev-1";

async fn directive(server: &Standin, identity: &Identity, name: &str, content: Value) -> Option<u16> {
    let mut connection = Connection::open(server, Some(identity)).await.ok()?;
    connection.directive(ID, name, content).await.ok().map(|reply| reply.status)
}

async fn get(server: &Standin, identity: &Identity) -> Option<u16> {
    Connection::open(server, Some(identity)).await.ok()?.get(ID).await.ok().map(|reply| reply.status)
}

fn csr() -> Value {
    json!({"certificate_request": request()})
}

fn features() -> Value {
    json!({"features": {"hardware": {}}})
}

/// API §1, "Which certificate for which step", row by row.
#[tokio::test]
async fn each_certificate_is_good_for_what_the_table_says() {
    let server = standin(Options::default()).await;
    let now = server.clock().now();
    let leaf = |id: &str, end: i64| Leaf {
        common_name: id.to_owned(),
        namespace: Some("default".to_owned()),
        not_before: now - 86_400,
        not_after: now + end,
    };
    let foreign = Authority::new(now).unwrap().identity(&leaf(ID, 3600)).unwrap();
    let kinds = [
        ("registration", registration(&server)),
        ("own", device(&server, ID)),
        ("expired", server.identity(&leaf(ID, -3600)).unwrap()),
        ("other", device(&server, "dev-2")),
        ("foreign", foreign),
    ];
    let table = [
        ("registration", [Some(208), Some(500), Some(403), Some(401)]),
        ("own", [Some(208), Some(200), Some(200), Some(200)]),
        ("expired", [Some(208), Some(200), Some(200), Some(401)]),
        ("other", [Some(208), Some(500), Some(403), Some(403)]),
        ("foreign", [Some(401), Some(401), Some(401), Some(401)]),
    ];
    join(&server, ID).await;
    for ((name, identity), (row, expected)) in kinds.iter().zip(table) {
        assert_eq!(*name, row);
        let answers = [
            directive(&server, identity, "enrolment", features()).await,
            directive(&server, identity, "registration", csr()).await,
            directive(&server, identity, "heartbeat", json!({})).await,
            get(&server, identity).await,
        ];
        assert_eq!(answers, expected, "{name}");
    }
}

#[tokio::test]
async fn a_device_that_is_not_yet_approved_waits_and_then_registers_once() {
    let server = standin(Options { approval: Approval::Manual, ..Options::default() }).await;
    let first = registration(&server);
    assert!(!server.approve(ID), "nobody has enrolled");
    for _ in 0..2 {
        assert_eq!(directive(&server, &first, "enrolment", features()).await, Some(200));
        assert_eq!(directive(&server, &first, "registration", csr()).await, Some(404));
    }
    assert!(server.approve(ID));
    assert_eq!(directive(&server, &first, "enrolment", features()).await, Some(208));
    assert_eq!(directive(&server, &first, "registration", csr()).await, Some(200));
    for _ in 0..2 {
        assert_eq!(directive(&server, &first, "registration", csr()).await, Some(500));
    }
    server.set_device(ID, |device| {
        device.labels.insert(SIGNED_REQUEST_LABEL.to_owned(), "true".to_owned());
    });
    assert_eq!(directive(&server, &first, "registration", csr()).await, Some(200), "an administrator let it in again");
}

#[tokio::test]
async fn the_race_after_an_enrolment_is_as_long_as_it_is_told_to_be() {
    let server = standin(Options { approval: Approval::Racing(2), ..Options::default() }).await;
    let first = registration(&server);
    assert_eq!(directive(&server, &first, "enrolment", features()).await, Some(200));
    let mut seen = Vec::new();
    for _ in 0..3 {
        seen.push(directive(&server, &first, "registration", csr()).await);
    }
    assert_eq!(seen, [Some(404), Some(404), Some(200)]);
}

/// [cap a6-a10], and g4 to g6 of the contract.
#[tokio::test]
async fn a_deleted_device_is_told_so_and_comes_back_by_enrolling_again() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    assert!(server.delete(ID));
    assert_eq!(get(&server, &own).await, Some(404));
    assert_eq!(directive(&server, &own, "heartbeat", json!({})).await, Some(404));
    assert_eq!(directive(&server, &own, "registration", csr()).await, Some(404));
    let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
    let control = connection.send("GET", &format!("{}/control/{ID}/in", common::BASE), &[], None).await.unwrap();
    assert_eq!(control.json()["content"]["command"], "disconnect");
    assert_eq!(directive(&server, &own, "enrolment", features()).await, Some(200));
    assert_eq!(get(&server, &own).await, Some(200), "the old certificate is good at once");
    assert_eq!(directive(&server, &registration(&server), "registration", csr()).await, Some(200));
    assert_eq!(directive(&server, &own, "registration", csr()).await, Some(200));
    let device = server.device(ID).unwrap();
    assert_eq!(device.registrations, 2);
}

/// [cap f0-f3]: hardware in a renewal, and the EdgeDevice has no label to put beside it.
#[tokio::test]
async fn a_device_without_labels_breaks_the_server_until_it_registers_without_hardware_or_sends_some() {
    let server = standin(Options::default()).await;
    server.set_device(ID, |_| {});
    let own = device(&server, ID);
    let with_hardware = || json!({"certificate_request": request(), "hardware": {"hostname": "host"}});
    assert_eq!(directive(&server, &own, "registration", with_hardware()).await, None);
    assert_eq!(directive(&server, &own, "registration", csr()).await, Some(200));
    assert_eq!(directive(&server, &own, "heartbeat", json!({"hardware": {"hostname": "host"}})).await, Some(200));
    assert_eq!(directive(&server, &own, "registration", with_hardware()).await, Some(200));
}

/// [cap e0-e9].
#[tokio::test]
async fn hardware_that_kubernetes_refuses_fails_for_ever() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    let long = "h".repeat(64);
    let table = [
        (json!({}), Some(200)),
        (json!({"cpu": {"flags": []}, "interfaces": [{"flags": []}]}), Some(200)),
        (json!({"hostname": "h".repeat(63)}), Some(200)),
        (json!({"hostname": format!("{}...", "h".repeat(63))}), Some(200)),
        (json!({"cpu": {}}), Some(500)),
        (json!({"cpu": {"flags": null}}), Some(500)),
        (json!({"interfaces": [{"name": "eth0"}]}), Some(500)),
        (json!({"host_devices": [{"uid": -1}]}), Some(500)),
        (json!({"host_devices": [{"gid": -1}]}), Some(500)),
        (json!({"hostname": long}), Some(500)),
        (json!({"cpu": {"frequency": "2400"}}), Some(400)),
        (json!({"cpu": {"count": 2.5, "flags": []}}), Some(400)),
        (json!({"disks": [null]}), None),
        (json!({"mounts": [null]}), None),
    ];
    for (hardware, expected) in table {
        let status = directive(&server, &own, "heartbeat", json!({"hardware": hardware})).await;
        assert_eq!(status, expected, "{hardware}");
    }
    let broken = json!({"features": {"hardware": {"cpu": {}}}});
    let mut connection = Connection::open(&server, Some(&registration(&server))).await.unwrap();
    assert_eq!(connection.directive("dev-2", "enrolment", broken).await.unwrap().status, 400);
}

/// The labels are patched before the status: the registration certificate is used up, and there is no certificate.
#[tokio::test]
async fn a_first_registration_with_bad_hardware_cannot_be_repeated() {
    let server = standin(Options::default()).await;
    let first = registration(&server);
    assert_eq!(directive(&server, &first, "enrolment", features()).await, Some(200));
    let bad = json!({"certificate_request": request(), "hardware": {"cpu": {}}});
    assert_eq!(directive(&server, &first, "registration", bad).await, Some(500));
    assert_eq!(directive(&server, &first, "registration", csr()).await, Some(500));
}

#[tokio::test]
async fn events_stay_although_their_heartbeat_fails_and_phases_follow_assigned_workloads_only() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    server.set_workloads(ID, json!([{"name": "a"}, {"name": "b"}]));
    let event = |text: &str| json!({"type": "info", "reason": "r", "message": text});
    let beat = json!({"events": [event("1"), event("2")], "workloads": [{"name": "a", "status": "running"},
        {"name": "nobody", "status": "running"}]});
    assert_eq!(directive(&server, &own, "heartbeat", beat).await, Some(200));
    let beat = json!({"events": [event("3")], "hardware": {"cpu": {}}});
    assert_eq!(directive(&server, &own, "heartbeat", beat).await, Some(500));
    let device = server.device(ID).unwrap();
    let texts: Vec<&str> = device.events.iter().map(|event| event["message"].as_str().unwrap()).collect();
    assert_eq!(texts, ["1", "2", "3"]);
    assert_eq!(json!(device.phases), json!({"a": "running", "b": "Deploying"}));
    assert_eq!(device.heartbeats, 1);
}

/// API §4, "Change detection".
#[tokio::test]
async fn the_version_moves_with_the_status_and_not_with_an_edited_workload() {
    let server = standin(Options::default()).await;
    let own = join(&server, ID).await;
    let version = || server.device(ID).unwrap().version;
    server.set_workloads(ID, json!([{"name": "a", "specification": "containers: []\n"}]));
    let assigned = version();
    server.set_workloads(ID, json!([{"name": "a", "specification": "containers: null\n"}]));
    assert_eq!(version(), assigned);
    let beat = json!({"status": "up", "version": "1"});
    assert_eq!(directive(&server, &own, "heartbeat", beat.clone()).await, Some(200));
    let beaten = version();
    assert!(beaten > assigned);
    assert_eq!(directive(&server, &own, "heartbeat", beat).await, Some(200));
    assert_eq!(version(), beaten, "the same heartbeat again changes nothing");
    server.set_configuration(ID, json!({"heartbeat": {"period_seconds": 5}}));
    assert!(version() > beaten);
}

#[tokio::test]
async fn orders_that_mean_nothing_differ_from_get_to_get_and_are_the_seeds() {
    let mut orders = Vec::new();
    for seed in [7, 7, 8] {
        let server = standin(Options { seed, ..Options::default() }).await;
        let own = join(&server, ID).await;
        let names: Vec<Value> = (0..8).map(|number| json!({"name": format!("w{number}")})).collect();
        server.set_workloads(ID, json!(names));
        let mut connection = Connection::open(&server, Some(&own)).await.unwrap();
        let mut seen = Vec::new();
        for _ in 0..5 {
            let content = connection.get(ID).await.unwrap().json()["content"]["workloads"].clone();
            let names: Vec<String> =
                content.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect();
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), 8);
            seen.push(names);
        }
        assert!(seen.iter().collect::<BTreeSet<_>>().len() > 1);
        orders.push(seen);
    }
    assert_eq!(orders[0], orders[1]);
    assert_ne!(orders[0], orders[2]);
}

#[tokio::test]
async fn a_certificate_says_who_where_and_until_when() {
    let options = Options { certificate_lifetime: std::time::Duration::from_secs(90), ..Options::default() };
    let server = standin(options).await;
    let own = join(&server, ID).await;
    Connection::open(&server, Some(&own)).await.unwrap().get(ID).await.unwrap();
    let client = server.exchanges().last().unwrap().client.clone();
    assert_eq!((client.common_name.as_str(), client.namespace.as_deref()), (ID, Some("default")));
    assert_eq!(client.not_after - client.not_before, 86_400 + 90);
    assert_eq!(client.serial.parse::<i64>().unwrap(), client.not_after - 90);
    let (_, key) = server.registration_pem();
    assert!(key.starts_with("-----BEGIN EC PRIVATE KEY-----\n"), "{key}");
    let (key, _) = key_and_request();
    assert_ne!(own.key, key);
}
