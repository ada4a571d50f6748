//! The requests of the control API. `GET /` lists them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::Said;
use crate::exchange::Exchange;
use crate::fault::{Fault, Operation};
use crate::standin::Standin;

const HELP: [(&str, &str); 20] = [
    ("GET /devices", "the ids"),
    ("GET /devices/ID", "version, phases, labels, events"),
    ("GET /devices/ID/heartbeat", "the content of the last heartbeat"),
    ("GET /devices/ID/content", "what the next GET of the device would have"),
    ("PUT /devices/ID/configuration", "`configuration` as in a GET; what is missing is added"),
    ("PUT /devices/ID/workloads", "an array of workloads as in a GET; `specification` may be an object"),
    ("PUT /devices/ID/content", "the whole content of a GET, as it is; null: assembled again"),
    ("POST /devices/ID/approve", "approves the device"),
    ("DELETE /devices/ID", "deletes the device and its signed request"),
    ("PUT /secrets/NAMESPACE/NAME", "an object of keys and values; null: no such Secret"),
    ("PUT /configmaps/NAMESPACE/NAME", "an object with `data`; null: no such ConfigMap"),
    (
        "POST /faults",
        r#"{"operation": "get", "fault": {"status": 500}, "times": 3, "device": ID, "after_effect": false}"#,
    ),
    ("", "fault: abort, empty, or one of status, cut_after, garbage, blanks, delay_ms, slow; times 0: for ever"),
    ("", "operation: enrolment, registration, heartbeat, get, control, any"),
    ("DELETE /faults", "no more faults"),
    ("GET, PUT /clock", r#"{"offset_seconds": N}"#),
    ("PUT /certificates", r#"{"seconds": N}: the lifetime of those that are issued from now on"#),
    ("POST /authority", "a second authority signs from now on; answers the bundle"),
    ("POST /restart", "drops all connections and listens again"),
    ("GET /exchanges", "those that are kept"),
];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Order {
    operation: Which,
    fault: What,
    #[serde(default = "once")]
    times: u32,
    device: Option<String>,
    #[serde(default)]
    after_effect: bool,
}

fn once() -> u32 {
    1
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Which {
    Enrolment,
    Registration,
    Heartbeat,
    Get,
    Control,
    Any,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Abort,
    Empty,
    Status(u16),
    CutAfter(u64),
    Garbage(String),
    Blanks(u64),
    DelayMs(u64),
    Slow { bytes: usize, every_ms: u64 },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Offset {
    offset_seconds: i64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lifetime {
    seconds: u64,
}

/// Does what is asked.
pub(super) async fn obey(server: &Standin, method: &str, path: &str, body: &[u8]) -> Said {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    match (method, parts.as_slice()) {
        ("GET", []) => Ok(HELP.iter().map(|(request, what)| json!(format!("{request:32}{what}").trim_end())).collect()),
        ("GET", ["devices"]) => Ok(json!(server.devices())),
        (_, ["devices", id, rest @ ..]) => device(server, method, id, rest, body),
        ("PUT", ["secrets", namespace, name]) => {
            let keys: Option<BTreeMap<String, String>> = read(body)?;
            server.set_secret(namespace, name, keys);
            done()
        }
        ("PUT", ["configmaps", namespace, name]) => {
            let map: Option<Value> = read(body)?;
            server.set_config_map(namespace, name, map);
            done()
        }
        ("POST", ["faults"]) => {
            let (operation, fault) = order(read(body)?);
            server.fault(operation, fault);
            done()
        }
        ("DELETE", ["faults"]) => {
            server.clear_faults();
            done()
        }
        ("GET", ["clock"]) => clock(server),
        ("PUT", ["clock"]) => {
            let Offset { offset_seconds } = read(body)?;
            server.clock().set_offset_ms(offset_seconds.saturating_mul(1000));
            clock(server)
        }
        ("PUT", ["certificates"]) => {
            let Lifetime { seconds } = read(body)?;
            server.set_certificate_lifetime(Duration::from_secs(seconds));
            done()
        }
        ("POST", ["authority"]) => {
            server.rotate_authority().map_err(|error| (500, error.to_string()))?;
            Ok(json!({"ca.pem": server.ca_pem()}))
        }
        ("POST", ["restart"]) => {
            server.restart().await.map_err(|error| (500, error.to_string()))?;
            done()
        }
        ("GET", ["exchanges"]) => Ok(server.exchanges().iter().map(|one| exchange(one)).collect()),
        _ => Err((404, format!("no {method} {path}; GET / lists what there is"))),
    }
}

fn device(server: &Standin, method: &str, id: &str, rest: &[&str], body: &[u8]) -> Said {
    let there = || server.device(id).ok_or_else(|| (404, format!("no device {id}; GET /devices lists them")));
    match (method, rest) {
        ("GET", []) => Ok(there()?.summary()),
        ("GET", ["heartbeat"]) => Ok(there()?.last_heartbeat.unwrap_or_default()),
        ("GET", ["content"]) => there().map(|_| server.content(id)),
        ("PUT", ["configuration"]) => {
            let configuration: Value = read(body)?;
            if !configuration.is_object() {
                return Err((400, "a configuration is an object".to_owned()));
            }
            server.set_configuration(id, configuration);
            done()
        }
        ("PUT", ["workloads"]) => {
            let workloads: Value = read(body)?;
            if workloads.as_array().is_none_or(|all| all.iter().any(|one| !one["name"].is_string())) {
                return Err((400, "workloads are an array of objects, each with a name".to_owned()));
            }
            server.set_workloads(id, workloads);
            done()
        }
        ("PUT", ["content"]) => {
            let content: Option<Value> = read(body)?;
            server.set_device(id, |device| device.content = content);
            done()
        }
        ("POST", ["approve"]) if server.approve(id) => done(),
        ("POST", ["approve"]) => Err((404, format!("{id} has not enrolled"))),
        ("DELETE", []) if server.delete(id) => done(),
        ("DELETE", []) => Err((404, format!("no device {id}"))),
        _ => Err((404, format!("no {method} for a device; GET / lists what there is"))),
    }
}

fn order(order: Order) -> (Operation, Fault) {
    let operation = match order.operation {
        Which::Enrolment => Operation::Enrolment,
        Which::Registration => Operation::Registration,
        Which::Heartbeat => Operation::Heartbeat,
        Which::Get => Operation::Get,
        Which::Control => Operation::Control,
        Which::Any => Operation::Other,
    };
    let fault = match order.fault {
        What::Abort => Fault::abort(),
        What::Empty => Fault::empty(),
        What::Status(status) => Fault::status(status),
        What::CutAfter(bytes) => Fault::cut_after(bytes),
        What::Garbage(text) => Fault::garbage(text),
        What::Blanks(bytes) => Fault::blanks(bytes),
        What::DelayMs(by) => Fault::delayed(Duration::from_millis(by)),
        What::Slow { bytes, every_ms } => Fault::slow(bytes, Duration::from_millis(every_ms)),
    };
    let fault = if order.times == 0 { fault.for_ever() } else { fault.times(order.times) };
    let fault = if order.after_effect { fault.after_effect() } else { fault };
    (operation, if let Some(device) = order.device { fault.of(&device) } else { fault })
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, (u16, String)> {
    serde_json::from_slice(body).map_err(|error| (400, error.to_string()))
}

fn done() -> Said {
    Ok(json!("done"))
}

fn clock(server: &Standin) -> Said {
    let clock = server.clock();
    Ok(json!({"offset_seconds": clock.offset_ms().div_euclid(1000), "now": clock.sent()}))
}

fn exchange(one: &Exchange) -> Value {
    json!({
        "number": one.number, "operation": format!("{:?}", one.operation), "device": one.device, "path": one.path,
        "method": one.method, "status": one.status, "end": format!("{:?}", one.end), "faulty": one.faulty,
        "certificate": one.client.common_name, "connection": one.connection, "protocol": one.protocol,
        "request": one.request,
    })
}
