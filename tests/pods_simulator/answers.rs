//! Questions that the simulated podman answers: what there is, filtered by labels.

use flotta_agent::executor::podman::transport::Request;
use flotta_agent::model::time::Wall;
use serde_json::{Value as Json, json};

use crate::machine::Machine;
use crate::things::{Container, Labels, Pod, Reply, State, fail, reply};

pub fn filters(request: &Request) -> Vec<String> {
    let text = request.query.iter().find(|(key, _)| *key == "filters").map(|(_, text)| text.as_str());
    let parsed: Json = text.and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    parsed["label"].as_array().into_iter().flatten().filter_map(|one| one.as_str().map(str::to_owned)).collect()
}

fn carries(labels: &Labels, wanted: &[String]) -> bool {
    wanted.iter().all(|want| {
        let (key, value) = want.split_once('=').unwrap_or((want, ""));
        labels.get(key).is_some_and(|held| held == value)
    })
}

pub fn list(machine: &Machine, wanted: &[String]) -> Reply {
    let shown = |one: &Container| {
        json!({
            "Id": one.id, "Names": [one.name], "Pod": one.pod,
            "PodName": machine.pods.get(&one.pod).map(|pod| pod.name.as_str()),
            "State": one.state.word(), "ExitCode": one.exit_code, "IsInfra": one.infra, "Pid": one.pid,
            "ExitedAt": one.exited_ms.div_euclid(1000), "StartedAt": one.started_ms.div_euclid(1000),
            "Labels": one.labels, "Exited": one.state == State::Exited && one.true_code.is_some(),
        })
    };
    let found: Vec<Json> = machine.containers.values().filter(|one| carries(&one.labels, wanted)).map(shown).collect();
    reply(200, &Json::Array(found))
}

/// Pods, also those that have no container yet.
pub fn pods(machine: &Machine, wanted: &[String]) -> Reply {
    let found = machine.pods.iter().filter(|(_, pod)| carries(&pod.labels, wanted));
    let inside = |id: &str| -> Vec<Json> {
        machine.containers.values().filter(|one| one.pod == id).map(|one| json!({ "Id": one.id })).collect()
    };
    let shown = |(id, pod): (&String, &Pod)| json!({ "Id": id, "Name": pod.name, "Containers": inside(id) });
    reply(200, &Json::Array(found.map(shown).collect()))
}

pub fn inspect(machine: &Machine, id: &str) -> Reply {
    let Some(one) = machine.containers.get(id) else { return fail(404, "no such container") };
    let finished = Wall(one.exited_ms).rfc3339();
    reply(
        200,
        &json!({ "Id": one.id, "State": {
            "OOMKilled": false, "Error": "", "ExitCode": one.exit_code, "FinishedAt": finished,
        } }),
    )
}

pub fn logs(machine: &Machine, id: &str) -> Reply {
    if !machine.containers.contains_key(id) {
        return fail(404, "no such container");
    }
    Reply { status: 200, body: b"\x01\0\0\0\0\0\0\x06hello\n".to_vec() }
}

pub fn volumes(machine: &Machine, wanted: &[String]) -> Reply {
    let found = machine.volumes.iter().filter(|(_, volume)| carries(&volume.labels, wanted));
    reply(200, &Json::Array(found.map(|(name, _)| machine.volume(name)).collect()))
}
