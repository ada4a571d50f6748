//! What the built binary says to a server in a life that has every kind of its messages in it.

use std::sync::OnceLock;

use flotta_standin::{Fault, Gate, Operation};
use serde_json::{Value, json};

use super::sent::Sent;
use super::site::{ID, Site};

/// All of it, in order. One life for all tests of the process.
pub fn all() -> &'static [Sent] {
    static ALL: OnceLock<Vec<Sent>> = OnceLock::new();
    ALL.get_or_init(record)
}

fn record() -> Vec<Sent> {
    let mut site = Site::new();
    let gate = Gate::default();
    // A server that falls over the hardware of both messages hears less in the next one.
    site.server.fault(Operation::Enrolment, Fault::abort());
    site.server.fault(Operation::Enrolment, Fault::held(&gate));
    site.server.fault(Operation::Registration, Fault::abort());
    site.start();
    site.answered(Operation::Enrolment, 200);
    let heartbeat = json!({"period_seconds": 1, "hardware_profile": {"include": true, "scope": "full"}});
    site.server.set_configuration(ID, json!({ "heartbeat": heartbeat }));
    site.server.set_workloads(ID, workloads());
    gate.open();
    site.answered(Operation::Registration, 200);
    let told = |beat: &Value, key: &str| beat[key].as_array().is_some_and(|all| !all.is_empty());
    site.wait(Operation::Heartbeat, "with hardware and workloads", |beat| {
        beat.content()["hardware"].is_object() && told(beat.content(), "workloads")
    });
    site.onwards();
    site.server.fault(Operation::Get, Fault::status(401));
    site.answered(Operation::Registration, 200);
    site.server.fault(Operation::Get, Fault::status(404));
    site.answered(Operation::Control, 200);
    site.onwards();
    // Refused again and again it carries less.
    for _ in 0..3 {
        site.server.fault(Operation::Heartbeat, Fault::status(500));
    }
    site.wait(Operation::Heartbeat, "with the least", |beat| {
        beat.status == 200 && beat.content().get("hardware").is_none() && !told(beat.content(), "events")
    });
    assert_eq!(site.server.handshake_failures(), Vec::<String>::new());
    site.device.terminate();
    assert_eq!(site.server.pending_faults(), 0);
    let exchanges = site.server.exchanges();
    assert_eq!(exchanges.len() as u64, site.server.exchange_count(), "all were kept");
    exchanges.iter().map(|exchange| Sent::ours(exchange)).collect()
}

/// None of them can run here, so that there is something to tell.
fn workloads() -> Value {
    let pod = json!({"containers": [{"name": "c", "image": "localhost/none:1"}]});
    json!([
        {"name": "pod", "specification": pod, "kind": "pod"},
        {"name": "unknown", "specification": pod, "kind": "weird"},
    ])
}
