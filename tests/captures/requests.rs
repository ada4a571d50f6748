//! Our requests beside the captured ones.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use flotta_agent::model::time::Wall;
use flotta_agent::node::hardware::{self, Hardware};
use flotta_agent::source::flotta::identity;
use flotta_agent::source::flotta::session::Exchange;
use flotta_agent::source::flotta::wire::message::{
    DeviceState, Directive, Enrolment, Event, Features, Heartbeat, Message, Registration, Severity, Status,
    WorkloadState,
};
use serde_json::Value;

use super::known::{self, Type};
use super::sent::Sent;
use super::table::{Request, TABLE};
use super::{capture, never, recording};

/// The captured requests of a kind, of those rows that `counts` takes.
fn captured(counts: impl Fn(&Request) -> Option<Exchange>) -> Vec<(&'static str, Exchange, Sent)> {
    let rows = TABLE.iter().filter_map(|row| Some((row.number, counts(&row.request)?)));
    rows.map(|(number, kind)| (number, kind, Sent::captured(capture::numbered(number)))).collect()
}

fn ours(kind: Exchange) -> Vec<&'static Sent> {
    recording::all().iter().filter(|sent| sent.exchange() == Some(kind)).collect()
}

fn with_id(sent: &Sent) -> String {
    sent.path.replace(&format!("/{}/", sent.device), "/{id}/")
}

fn media_type(sent: &Sent) -> Option<&str> {
    sent.content_type.as_deref().and_then(|kind| kind.split(';').next())
}

#[test]
fn our_requests_have_the_method_the_path_and_the_type_of_those_that_the_server_took() {
    let all = captured(|request| match request {
        Request::Like(kind) | Request::State(kind) => Some(*kind),
        _ => None,
    });
    for (number, kind, captured) in &all {
        assert_eq!(captured.exchange(), Some(*kind), "{number} is of that kind");
        let ours = ours(*kind);
        assert!(!ours.is_empty(), "{number}: no {kind:?} was recorded");
        for sent in ours {
            assert_eq!((&sent.method, with_id(sent)), (&captured.method, with_id(captured)), "{number}");
            assert_eq!(media_type(sent), media_type(captured), "{number}");
            assert_eq!(sent.message()["directive"], captured.message()["directive"], "{number}");
            let theirs: BTreeMap<String, Type> = known::paths(&captured.message()).into_iter().collect();
            for (path, kind) in known::paths(&sent.message()) {
                let same = theirs.get(&path).is_none_or(|theirs| kind.fits(*theirs) || theirs.fits(kind));
                assert!(same, "{number}: {path} is {kind:?} and was {:?}", theirs[&path]);
            }
        }
    }
    let kinds: BTreeSet<Exchange> = all.iter().map(|(_, kind, _)| *kind).collect();
    assert_eq!(kinds.len(), Exchange::ALL.len(), "{kinds:?}");
    println!("{} captured requests compared with {} of ours", all.len(), recording::all().len());
}

/// Keys and types of all that real servers took.
fn taken() -> &'static BTreeMap<String, Type> {
    static TAKEN: OnceLock<BTreeMap<String, Type>> = OnceLock::new();
    TAKEN.get_or_init(union)
}

fn union() -> BTreeMap<String, Type> {
    let single = captured(|request| match request {
        Request::Like(kind) => Some(*kind),
        _ => None,
    });
    let single = single.into_iter().map(|(_, _, sent)| sent.message());
    let several = capture::numbered("c0")["exchanges"].as_array().expect("exchanges").clone();
    let several = several.into_iter().map(|mut exchange| exchange["request"]["body"].take());
    let mut taken = BTreeMap::new();
    for (path, kind) in single.chain(several).flat_map(|message| known::paths(&message)) {
        let before = taken.entry(path.clone()).or_insert(kind);
        assert!(kind.fits(*before) || before.fits(kind), "{path} was {kind:?} and {before:?}");
        *before = (*before).max(kind);
    }
    taken
}

#[test]
fn the_captured_requests_and_the_contract_know_the_same_keys() {
    let (taken, contract) = (taken(), known::contract());
    for (path, kind) in taken {
        let wanted = contract.get(path.as_str());
        assert!(wanted.is_some_and(|wanted| kind.fits(*wanted)), "{path}: {kind:?}, and the contract says {wanted:?}");
    }
    println!("{} keys were captured, {} are the contract's alone", taken.len(), contract.len() - taken.len());
    assert!(taken.len() > 70, "{}", taken.len());
}

/// What is wrong with a message of ours.
fn faults(message: &Value) -> Vec<String> {
    let (taken, contract) = (taken(), known::contract());
    let mut wrong = Vec::new();
    let paths = known::paths(message);
    for (path, kind) in &paths {
        match taken.get(path).or(contract.get(path.as_str())) {
            None => wrong.push(format!("{path}: nobody knows it")),
            Some(wanted) if !kind.fits(*wanted) => wrong.push(format!("{path}: {kind:?} instead of {wanted:?}")),
            Some(_) => {}
        }
    }
    let mut needs: Vec<String> =
        ["directive", "type", "message_id", "version", "sent", "content"].map(|key| format!("message.{key}")).into();
    let directive = message["directive"].as_str().unwrap_or_default();
    let content: &[&str] = match directive {
        "enrolment" => &["target_namespace", "features", "features.hardware"],
        "registration" => &["certificate_request"],
        "heartbeat" => &["status", "workloads", "events"],
        _ => &[],
    };
    needs.extend(content.iter().map(|key| format!("{directive}.{key}")));
    wrong.extend(
        needs
            .into_iter()
            .filter(|key| !paths.iter().any(|(path, _)| path == key))
            .map(|key| format!("{key} is missing")),
    );
    if message["type"] != "data" || message["version"] != 1 {
        wrong.push(format!("type {} and version {}", message["type"], message["version"]));
    }
    let text = |key: &str| message[key].as_str().unwrap_or_default().to_owned();
    if chrono::DateTime::parse_from_rfc3339(&text("sent")).is_err() {
        wrong.push(format!("sent: {}", text("sent")));
    }
    let id = uuid::Uuid::parse_str(&text("message_id"));
    if !id.is_ok_and(|id| id.get_version_num() == 4 && id.get_variant() == uuid::Variant::RFC4122) {
        wrong.push(format!("message_id: {}", text("message_id")));
    }
    let content = &message["content"];
    wrong.extend([&content["features"]["hardware"], &content["hardware"]].into_iter().flat_map(of_hardware));
    wrong
}

/// API 5.4: what Kubernetes refuses.
fn of_hardware(hardware: &Value) -> Vec<String> {
    let mut wrong = Vec::new();
    if hardware.get("cpu").is_some_and(|cpu| !cpu["flags"].is_array()) {
        wrong.push("hardware.cpu without flags".to_owned());
    }
    let list = |of: &str| hardware[of].as_array().cloned().unwrap_or_default();
    if list("interfaces").iter().any(|interface| !interface["flags"].is_array()) {
        wrong.push("an interface without flags".to_owned());
    }
    for device in list("host_devices") {
        let negative = |key: &str| device[key].as_i64().is_some_and(|number| number < 0);
        if ["uid", "gid", "major", "minor"].into_iter().any(negative) {
            wrong.push(format!("a negative number in {device}"));
        }
    }
    if hardware["hostname"].as_str().is_some_and(|name| name.len() > 63) {
        wrong.push(format!("hostname {} is longer than a label", hardware["hostname"]));
    }
    wrong
}

#[test]
fn every_message_of_the_running_agent_has_what_the_server_needs_and_nothing_that_it_does_not_know() {
    let messages: Vec<Value> =
        recording::all().iter().map(Sent::message).filter(|message| !message.is_null()).collect();
    for message in &messages {
        assert_eq!(faults(message), Vec::<String>::new(), "{message:#}");
    }
    let ids: BTreeSet<&str> = messages.iter().filter_map(|message| message["message_id"].as_str()).collect();
    assert_eq!(ids.len(), messages.len(), "each message has an id of its own");
    // The life had everything in it.
    let some = |what: &str, is: &dyn Fn(&Value) -> bool| assert!(messages.iter().any(is), "no {what} was recorded");
    let holds = |message: &Value, key: &str| message["content"].get(key).is_some();
    let filled = |message: &Value, key: &str| message["content"][key].as_array().is_some_and(|all| !all.is_empty());
    some("enrolment", &|message| message["directive"] == "enrolment");
    some("registration with hardware", &|message| holds(message, "certificate_request") && holds(message, "hardware"));
    some("registration without", &|message| holds(message, "certificate_request") && !holds(message, "hardware"));
    some("heartbeat with hardware", &|message| holds(message, "status") && holds(message, "hardware"));
    some("heartbeat without", &|message| holds(message, "status") && !holds(message, "hardware"));
    some("heartbeat with workloads", &|message| filled(message, "workloads"));
    some("heartbeat with events", &|message| filled(message, "events"));
    some("heartbeat with a version", &|message| message["content"]["version"].is_string());
    println!("{} messages of the running agent checked", messages.len());
}

/// What does not happen in that life, from the types that it is made with.
#[test]
fn every_message_that_can_be_made_has_what_the_server_needs_and_nothing_that_it_does_not_know() {
    fn value<T: serde::Serialize>(directive: Directive, content: &T) -> Value {
        serde_json::to_value(Message::new(directive, content, Wall(1_795_219_200_123))).expect("JSON")
    }
    let request = identity::Request::new("lab-dev-1").expect("a request");
    let mut checked = 0;
    let mut check = |message: Value| {
        assert_eq!(faults(&message), Vec::<String>::new(), "{message:#}");
        checked += 1;
    };
    for hardware in [hardware::read(std::path::Path::new("/")), Hardware::minimal()] {
        let features = Features { hardware: hardware.clone() };
        check(value(Directive::Enrolment, &Enrolment { target_namespace: "default".into(), features }));
        for hardware in [None, Some(hardware)] {
            let certificate_request = request.csr().to_owned();
            check(value(Directive::Registration, &Registration { certificate_request, hardware: hardware.clone() }));
            let workloads = [Status::Deploying, Status::Running, Status::Crashed, Status::Stopped];
            let events = [Severity::Info, Severity::Warn];
            let beat = Heartbeat {
                status: DeviceState::Degraded,
                version: None,
                workloads: workloads.map(|status| WorkloadState { name: "w".into(), status }).into(),
                events: events.map(|kind| Event { kind, reason: "R".into(), message: "m".into() }).into(),
                hardware,
            };
            check(value(Directive::Heartbeat, &beat));
            check(value(
                Directive::Heartbeat,
                &Heartbeat { status: DeviceState::Up, version: Some("1".into()), ..beat },
            ));
        }
    }
    assert_eq!(checked, 14);
}

#[test]
fn no_request_of_ours_has_what_a_captured_one_was_refused_for() {
    let mut named = BTreeSet::new();
    for row in TABLE {
        let Request::Never(name) = row.request else { continue };
        let captured = Sent::captured(capture::numbered(row.number));
        assert!(never::has(&captured, name), "{}: {name:?} is not found in it", row.number);
        for sent in recording::all() {
            assert!(!never::has(sent, name), "{}: ours has {name:?}: {sent:#?}", row.number);
        }
        named.insert(name);
    }
    let all: BTreeSet<&str> = never::PROPERTIES.iter().map(|(name, _)| *name).collect();
    assert_eq!(named, all, "each is in a capture");
    println!("{} properties, none of them in {} requests of ours", all.len(), recording::all().len());
}

/// 12 and 43: what was refused for what had been before.
#[test]
fn a_device_registers_once_with_the_registration_certificate_and_after_it_has_enrolled() {
    let all = recording::all();
    let order: Vec<(Exchange, u64)> = all.iter().filter_map(|sent| Some((sent.exchange()?, sent.status))).collect();
    assert_eq!(order.len(), all.len(), "nothing but the six exchanges");
    let first = order.iter().position(|(kind, _)| *kind == Exchange::Register).expect("it registered");
    assert!(order[..first].contains(&(Exchange::Enrol, 200)), "{order:?}");
    let issued = order.iter().rposition(|(kind, _)| *kind == Exchange::Register).expect("it registered");
    assert_eq!(order[issued].1, 200);
    let count = order.iter().filter(|one| **one == (Exchange::Register, 200)).count();
    assert!(count <= 2, "one that was aborted, and one that was not: {order:?}");
    assert!(order[issued..].iter().all(|(kind, _)| *kind != Exchange::Enrol), "{order:?}");
}
