//! The state of the server that a capture was taken in: its time, its devices, the client's certificate.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDateTime};
use flotta_standin::{Approval, Authority, Identity, Leaf, Standin};
use serde_json::{Value, json};

use crate::common::{self, Connection};

/// Moves the server's clock to the `Date` of a capture; the captures without one are of the same evening.
pub fn at(server: &Standin, date: Option<&str>) {
    let then = DateTime::parse_from_rfc2822(date.unwrap_or("Fri, 20 Nov 2026 20:27:06 GMT")).unwrap();
    server.clock().set_offset_ms(0);
    server.clock().set_offset_ms(then.timestamp_millis() - server.clock().now_ms());
}

/// A certificate as the capture describes it, signed by the server's authority or by another one.
pub fn identity(server: &Standin, described: &Value) -> Option<Identity> {
    let lines: Vec<&str> = described.as_array()?.iter().map(|line| line.as_str().unwrap()).collect();
    let line = |name: &str| lines.iter().find_map(|line| line.strip_prefix(name)).unwrap();
    let part = |name: &str| line("subject=").split(", ").find_map(|part| part.strip_prefix(name)).map(str::to_owned);
    let time = |text: &str| NaiveDateTime::parse_from_str(text, "%b %e %H:%M:%S %Y GMT").unwrap().and_utc().timestamp();
    let leaf = Leaf {
        common_name: part("CN = ").unwrap(),
        namespace: part("OU = "),
        not_before: time(line("notBefore=")),
        not_after: time(line("notAfter=")),
    };
    let own = line("issuer=") == "O = flotta-operator";
    let foreign = Authority::new(server.clock().now()).unwrap();
    Some(if own { server.identity(&leaf) } else { foreign.identity(&leaf) }.unwrap())
}

/// Devices, workloads and what they refer to. What a device does to get there is done over the wire.
pub async fn prepare(server: &Standin, name: &str, capture: &Value) {
    let id = capture["request"]["path"].as_str().unwrap().split('/').nth(5).unwrap_or("lab-dev-1");
    let number = name.split('-').next().unwrap();
    if number.starts_with('a') {
        server.set_approval(Approval::Manual);
    }
    match number {
        "01" | "29" | "34" | "40" | "41" | "42" | "43" | "44" | "80" | "81" | "82" | "83" | "84" | "85" | "a0" => {}
        "37" => join(server, "lab-dev-1", "default").await,
        "84b" => enrol(server, id, "no-such-ns").await,
        "a1" | "a2" => enrol(server, id, "default").await,
        "02" | "a3" | "a4" => {
            enrol(server, id, "default").await;
            assert!(server.approve(id));
        }
        "a6" | "a7" | "a8" | "a9" | "a10" => {
            join(server, id, "default").await;
            assert!(server.delete(id));
        }
        _ => join(server, id, "default").await,
    }
    match number {
        "b0" => server.set_configuration(id, capture["response"]["body"]["content"]["configuration"].clone()),
        "b1" => full(server, id, &capture["response"]["body"]["content"]),
        "b2" => server.set_workloads(id, json!([{"name": "wl-pod"}, {"name": "wl-k8s"}, {"name": "wl-cron"}])),
        "b4" => broken(server, id, &json!({"env": [{"name": "A", "value": "b"}]}), &json!({})),
        "b5" => broken(server, id, &json!({"envFrom": [{"secretRef": {"name": "gone"}}]}), &json!({})),
        "b6" => broken(server, id, &json!({}), &json!({"imageRegistries": {"secret": "gone"}})),
        "b7" => broken(server, id, &json!({"envFrom": [{"configMapRef": {"name": "gone"}}]}), &json!({})),
        "b8" => {
            server.set_secret("default", "there", Some(BTreeMap::new()));
            let from = json!({"secretKeyRef": {"name": "there", "key": "gone"}});
            broken(server, id, &json!({"env": [{"name": "A", "valueFrom": from}]}), &json!({}));
        }
        "b9" => broken(server, id, &json!({}), &json!({"metrics": {"port": 1, "allow_list": {"configMap": "gone"}}})),
        _ => {}
    }
}

async fn post(server: &Standin, id: &str, directive: &str, content: Value) -> u16 {
    let mut connection = Connection::open(server, Some(&common::registration(server))).await.unwrap();
    connection.post(id, &json!({"directive": directive, "content": content})).await.unwrap().status
}

async fn enrol(server: &Standin, id: &str, namespace: &str) {
    let content = json!({"target_namespace": namespace, "features": {"hardware": {}}});
    assert_eq!(post(server, id, "enrolment", content).await, 200);
}

/// Enrols, is approved, and registers with hardware, which leaves labels.
async fn join(server: &Standin, id: &str, namespace: &str) {
    enrol(server, id, namespace).await;
    assert!(server.approve(id));
    let content = json!({"certificate_request": common::request(), "hardware": {"hostname": "lab-host.example"}});
    assert_eq!(post(server, id, "registration", content).await, 200);
}

fn broken(server: &Standin, id: &str, container: &Value, workload: &Value) {
    let mut container = container.clone();
    container["name"] = json!("c");
    let mut workload = workload.clone();
    workload["name"] = json!("broken");
    workload["specification"] = json!({"containers": [container]});
    server.set_workloads(id, json!([workload]));
}

/// [cap b1] taken apart: what was in the cluster when it was assembled.
fn full(server: &Standin, id: &str, content: &Value) {
    server.set_configuration(id, content["configuration"].clone());
    for secret in content["secrets"].as_array().unwrap() {
        let data: BTreeMap<String, String> = serde_json::from_str(secret["data"].as_str().unwrap()).unwrap();
        let plain = |value: String| String::from_utf8(STANDARD.decode(value).unwrap()).unwrap();
        let keys = data.into_iter().map(|(key, value)| (key, plain(value))).collect();
        server.set_secret("default", secret["name"].as_str().unwrap(), Some(keys));
    }
    let mut workloads = content["workloads"].clone();
    for workload in workloads.as_array_mut().unwrap() {
        let fields = workload.as_object_mut().unwrap();
        for map in fields.remove("configmaps").iter().flat_map(|maps| maps.as_array().unwrap()) {
            let map: Value = serde_yaml::from_str(map.as_str().unwrap()).unwrap();
            server.set_config_map("default", map["metadata"]["name"].as_str().unwrap(), Some(map.clone()));
        }
        if let Some(registries) = fields.get_mut("imageRegistries") {
            let file = registries["authFile"].as_str().unwrap().to_owned();
            let keys = BTreeMap::from([(".dockerconfigjson".to_owned(), file)]);
            server.set_secret("default", "pull", Some(keys));
            *registries = json!({"secret": "pull"});
        }
        if let Some(names) = fields.get("metrics").map(|metrics| metrics["allow_list"]["names"].clone()) {
            let list = json!({"data": {"metrics_list.yaml": json!({"names": names}).to_string()}});
            server.set_config_map("default", "allowed", Some(list));
            fields["metrics"]["allow_list"] = json!({"configMap": "allowed"});
        }
    }
    server.set_workloads(id, workloads);
}
