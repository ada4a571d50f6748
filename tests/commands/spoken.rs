//! What is said over the unix socket, request by request.

use std::io::Read;
use std::os::unix::net::UnixStream;

use flotta_agent::http::unix::MAX_CONNECTIONS;
use flotta_agent::model::command::Command;
use flotta_agent::model::id::WorkloadId;
use serde_json::json;

use super::desk::{Answer, Desk};
use super::device::deadline;

fn yes(_: &Command) -> Answer {
    Some(Ok("done".into()))
}

#[test]
fn each_command_is_a_post_and_answered_with_what_was_done() {
    let desk = Desk::with(&["default/x", "site/y"], yes);
    let run = |id: &str| Command::Run(WorkloadId::parse(id).unwrap());
    let table = [
        ("lock", r#"{"keep":true}"#, Command::Lock { keep: true }),
        ("lock", r#"{"keep":false}"#, Command::Lock { keep: false }),
        ("lock", "{}", Command::Lock { keep: false }),
        ("lock", "", Command::Lock { keep: false }),
        ("unlock", "", Command::Unlock),
        ("unlock", " {} ", Command::Unlock),
        ("run", r#"{"workload":"default/x"}"#, run("default/x")),
        ("run", r#"{"workload":"x"}"#, run("default/x")),
        ("run", r#"{"workload":"y"}"#, run("site/y")),
    ];
    for (verb, body, command) in table {
        let answer = desk.ask("POST", &format!("/api/v1/commands/{verb}"), body);
        assert_eq!(answer, (200, json!({"ok": true, "message": "done"})), "{verb} {body}");
        assert_eq!(desk.commands(), [command], "{verb} {body}");
    }
}

#[test]
fn what_the_agent_refuses_is_409_with_its_sentence() {
    let desk = Desk::with(&["default/x"], |_| Some(Err("the device is locked".into())));
    let answer = desk.ask("POST", "/api/v1/commands/run", r#"{"workload":"x"}"#);
    assert_eq!(answer, (409, json!({"ok": false, "error": "the device is locked"})));
    assert_eq!(desk.intake.refused().get("command"), Some(&1));
}

#[test]
fn an_agent_that_is_stopping_says_so() {
    let desk = Desk::with(&[], |_| None);
    let answer = desk.ask("POST", "/api/v1/commands/unlock", "");
    assert_eq!(answer, (409, json!({"ok": false, "error": "the agent is stopping"})));
}

#[test]
fn what_cannot_be_read_says_what_would_be_right_and_reaches_nobody() {
    let desk = Desk::with(&["default/backup", "site/backup2", "a/same", "b/same"], yes);
    let large = format!("{{\"workload\":\"{}\"}}", "x".repeat(5_000));
    let table = [
        ("POST", "lock", "{", 400, r#"the body is {"keep":true}, or nothing"#),
        ("POST", "lock", r#"{"keep":"yes"}"#, 400, "expected a boolean"),
        ("POST", "lock", r#"{"kep":true}"#, 400, "unknown field `kep`"),
        ("POST", "unlock", r#"{"keep":true}"#, 400, "the body is nothing"),
        ("POST", "unlock", "[1]", 400, "the body is nothing"),
        ("POST", "run", "", 400, "missing field `workload`"),
        ("POST", "run", r#"{"workload":7}"#, 400, r#"the body is {"workload":"default/name"}"#),
        ("POST", "run", &large, 413, "larger than 4096 bytes"),
        ("POST", "run", r#"{"workload":"bakup"}"#, 404, "did you mean default/backup?"),
        ("POST", "run", r#"{"workload":""}"#, 404, "no workload"),
        ("POST", "run", r#"{"workload":"zebra"}"#, 404, "there are a/same, b/same, default/backup, site/backup2"),
        ("POST", "run", r#"{"workload":"same"}"#, 404, "is the name of a/same, b/same: write one of them whole"),
        ("POST", "dance", "", 404, "there are lock, unlock, run and gc"),
        ("POST", "lock/", "", 404, "there are lock, unlock, run and gc"),
        ("GET", "lock", "", 405, "a command is a POST"),
        ("DELETE", "run", "", 405, "a command is a POST"),
    ];
    for (method, verb, body, code, words) in table {
        let (got, answer) = desk.ask(method, &format!("/api/v1/commands/{verb}"), body);
        let said = answer["error"].as_str().unwrap_or_default();
        assert!(got == code && answer["ok"] == false && said.contains(words), "{method} {verb} {body}: {got} {answer}");
    }
    assert_eq!(desk.commands(), []);
    assert_eq!(desk.intake.refused().get("command"), Some(&(table.len() as u64)));
}

#[test]
fn over_tcp_every_command_is_refused_with_the_place_where_it_is_taken() {
    let desk = Desk::with(&["default/x"], yes);
    for (method, path) in [
        ("POST", "/api/v1/commands/lock"),
        ("POST", "/api/v1/commands/unlock"),
        ("POST", "/api/v1/commands/run"),
        ("PUT", "/api/v1/commands/lock"),
        ("GET", "/api/v1/commands/x/y"),
    ] {
        let (code, answer) = desk.ask_over_tcp(method, path, r#"{"workload":"x"}"#);
        let said = answer["error"].as_str().unwrap_or_default();
        assert!(code == 403 && answer["ok"] == false, "{method} {path}: {code} {answer}");
        assert!(said.contains(&desk.socket.display().to_string()) && said.contains("flotta-agent host lock"), "{said}");
    }
    assert_eq!(desk.commands(), []);
    assert_eq!(desk.intake.refused().get("command_over_tcp"), Some(&5));
}

#[test]
fn the_objects_are_served_over_the_socket_too() {
    let desk = Desk::with(&["default/x"], yes);
    for path in ["/api/v1/device", "/api/v1/workloads", "/api/v1/profiles", "/api/v1/metrics", "/api/v1/events"] {
        let (here, there) = (desk.ask("GET", path, ""), desk.ask_over_tcp("GET", path, ""));
        assert_eq!((here.0, there.0), (200, 200), "{path}");
        let without_time = |mut object: serde_json::Value| {
            if let Some(object) = object.as_object_mut() {
                object.retain(|key, _| key != "observed_at" && key != "valid_until");
            }
            object
        };
        assert_eq!(without_time(here.1), without_time(there.1), "{path}");
    }
}

#[test]
fn idle_connections_keep_nobody_out_for_long() {
    let desk = Desk::with(&[], yes);
    let mut idle: Vec<UnixStream> = (0..MAX_CONNECTIONS).map(|_| UnixStream::connect(&desk.socket).unwrap()).collect();
    // Behind all of them; served when the agent has closed one that sent no request.
    assert_eq!(desk.ask("POST", "/api/v1/commands/unlock", "").0, 200);
    let first = &mut idle[0];
    first.set_read_timeout(Some(deadline())).unwrap();
    let mut said = Vec::new();
    first.read_to_end(&mut said).unwrap();
}
