//! A stand-in for podman that does nothing and says that it is done, so that only the agent's own time is left.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Instant, SystemTime};

use serde_json::{Value, json};

use crate::record::{Parser, Record, Request};

/// Zero time as podman writes it.
const NEVER: i64 = -62_135_596_800;

#[derive(Default)]
struct State {
    made: u64,
    /// As they are listed, by id.
    containers: BTreeMap<String, Value>,
    streams: Vec<UnixStream>,
}

/// Begins to answer on `socket`.
pub fn start(socket: &Path) -> Arc<Record> {
    let record = Arc::new(Record::default());
    let listener = UnixListener::bind(socket).unwrap();
    let (of_standin, state) = (record.clone(), Arc::<Mutex<State>>::default());
    thread::spawn(move || {
        for agent in listener.incoming().map_while(Result::ok) {
            let (record, state) = (of_standin.clone(), state.clone());
            thread::spawn(move || serve(agent, &record, &state));
        }
    });
    record
}

fn serve(mut agent: UnixStream, record: &Record, state: &Mutex<State>) {
    let mut parser = Parser::default();
    let mut buffer = vec![0; 1 << 16];
    while let Ok(got @ 1..) = agent.read(&mut buffer) {
        let now = Instant::now();
        for request in parser.feed(&buffer[..got], now) {
            let place = record.note(request.at, request.name());
            let answer = match answer(&request, &agent, &mut state.lock().unwrap()) {
                // The events: they go on for ever.
                None => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_owned(),
                Some(Value::Null) => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
                Some(body) => {
                    let body = body.to_string();
                    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
                }
            };
            if agent.write_all(answer.as_bytes()).is_err() {
                return;
            }
            record.answered(place);
        }
    }
}

/// `None`: a stream of events.
fn answer(request: &Request, agent: &UnixStream, state: &mut State) -> Option<Value> {
    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
    let parts: Vec<&str> = path.split_once("/libpod/").unwrap().1.split('/').collect();
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    Some(match (request.method.as_str(), parts.as_slice()) {
        ("GET", ["info"]) => json!({ "host": { "cgroupControllers": ["cpu", "memory"] } }),
        ("GET", ["events"]) => {
            state.streams.push(agent.try_clone().unwrap());
            return None;
        }
        ("GET", ["images", _, "exists"]) => Value::Null,
        // Whole pods are seen by their containers.
        ("GET", ["volumes" | "pods", "json"]) => json!([]),
        ("GET", ["containers", "json"]) => listed(state, query),
        ("POST", ["pods", "create"]) => {
            let pod = state.id();
            let infra = state.id();
            state.add(&infra, &pod, &body["name"], &body["labels"], true);
            json!({ "Id": pod })
        }
        ("POST", ["containers", "create"]) => {
            let (id, pod) = (state.id(), body["pod"].as_str().unwrap());
            let name = state.of_pod(pod).next().unwrap()["PodName"].clone();
            state.add(&id, pod, &name, &body["labels"], false);
            json!({ "Id": id })
        }
        ("POST", ["containers", id, "start"]) => {
            let pod = state.containers[*id]["Pod"].as_str().unwrap().to_owned();
            state.to(|one| one["IsInfra"] == true && one["Pod"] == *pod, "running");
            state.to(|one| one["Id"] == *id, "running");
            state.tell("start", id);
            Value::Null
        }
        ("POST", ["containers", id, "stop"]) => {
            state.to(|one| one["Id"] == *id, "exited");
            state.tell("died", id);
            Value::Null
        }
        ("DELETE", ["pods", pod]) => {
            let ids: Vec<String> = state.of_pod(pod).map(|one| one["Id"].as_str().unwrap().to_owned()).collect();
            for id in ids {
                state.tell("remove", &id);
                state.containers.remove(&id);
            }
            json!({ "Err": null, "Id": pod })
        }
        other => panic!("the stand-in does not know {other:?}"),
    })
}

impl State {
    fn id(&mut self) -> String {
        self.made += 1;
        format!("{:064x}", self.made)
    }

    fn add(&mut self, id: &str, pod: &str, pod_name: &Value, labels: &Value, is_infra: bool) {
        let one = json!({
            "Id": id, "Pod": pod, "PodName": pod_name, "Labels": labels, "IsInfra": is_infra, "State": "created",
            "ExitCode": 0, "ExitedAt": NEVER, "StartedAt": NEVER, "Pid": 0,
        });
        self.containers.insert(id.to_owned(), one);
    }

    fn of_pod(&self, pod: &str) -> impl Iterator<Item = &Value> {
        self.containers.values().filter(move |one| one["Pod"] == *pod)
    }

    fn to(&mut self, which: impl Fn(&Value) -> bool, state: &str) {
        let now = now().as_secs();
        for one in self.containers.values_mut().filter(|one| which(one)) {
            one["State"] = json!(state);
            one["Exited"] = json!(state == "exited");
            one[if state == "running" { "StartedAt" } else { "ExitedAt" }] = json!(now);
        }
    }

    fn tell(&mut self, action: &str, id: &str) {
        let now = u64::try_from(now().as_nanos()).unwrap();
        let labels = &self.containers[id]["Labels"];
        let event = json!({ "Type": "container", "Action": action, "Actor": { "ID": id, "Attributes": labels }, "timeNano": now });
        let line = format!("{event}\n");
        let chunk = format!("{:x}\r\n{line}\r\n", line.len());
        self.streams.retain_mut(|stream| stream.write_all(chunk.as_bytes()).is_ok());
    }
}

fn now() -> std::time::Duration {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap()
}

fn listed(state: &State, query: &str) -> Value {
    let filters = query.split('&').find_map(|pair| pair.strip_prefix("filters=")).map(decoded).unwrap_or_default();
    let filters: Value = serde_json::from_str(&filters).unwrap();
    let wanted: Vec<(&str, &str)> =
        filters["label"].as_array().unwrap().iter().filter_map(|label| label.as_str()?.split_once('=')).collect();
    let fits = |one: &&Value| wanted.iter().all(|(key, value)| one["Labels"][*key] == **value);
    state.containers.values().filter(fits).cloned().collect()
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        rest = after;
        match (first, after) {
            (b'%', [high, low, after @ ..]) => {
                let digits = [*high, *low];
                bytes.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap());
                rest = after;
            }
            (b'+', _) => bytes.push(b' '),
            (byte, _) => bytes.push(*byte),
        }
    }
    String::from_utf8(bytes).unwrap()
}
