//! What a person types, and what they are told.

use flotta_agent::cli::Exit;
use flotta_agent::model::command::Command;

use super::desk::{Answer, Desk, client};

fn yes(command: &Command) -> Answer {
    Some(Ok(format!("done: {command:?}")))
}

#[test]
fn what_was_done_is_said_in_the_agents_words() {
    let desk = Desk::with(&["default/x"], yes);
    let table = [
        (&["host", "lock"][..], "done: Lock { keep: false }\n"),
        (&["host", "lock", "--keep"], "done: Lock { keep: true }\n"),
        (&["host", "unlock"], "done: Unlock\n"),
        (&["workload", "run", "x"], "done: Run(default/x)\n"),
        (&["workload", "run", "default/x"], "done: Run(default/x)\n"),
        (&["gc", "--volumes"], "done: CollectVolumes { dry_run: false }\n"),
        (&["gc", "--volumes", "--dry-run"], "done: CollectVolumes { dry_run: true }\n"),
    ];
    for (words, said) in table {
        assert_eq!(desk.client(words), (Exit::Done, said.to_owned()), "{words:?}");
    }
    assert_eq!(desk.commands().len(), table.len());
}

#[test]
fn a_refusal_is_exit_1_with_its_sentence() {
    let desk = Desk::with(&["default/x"], |_| Some(Err("default/x runs already".into())));
    assert_eq!(desk.client(&["workload", "run", "x"]), (Exit::Wrong, "default/x runs already\n".into()));
    let (exit, said) = desk.client(&["workload", "run", "z"]);
    assert_eq!((exit, said.as_str()), (Exit::Wrong, "no workload \"z\" on this device: did you mean default/x?\n"));
}

#[test]
fn no_agent_is_exit_3_and_a_sentence() {
    let desk = Desk::with(&[], yes);
    let nobody = desk.path("nobody.sock");
    let dead = desk.path("dead.sock");
    drop(std::os::unix::net::UnixListener::bind(&dead).unwrap());
    for socket in [nobody, dead] {
        let socket = socket.to_str().unwrap();
        for words in [
            &["host", "lock"][..],
            &["host", "unlock"],
            &["host", "show"],
            &["workload", "run", "x"],
            &["gc", "--volumes"],
            &["status"],
        ] {
            let said = client(&[words, &["--socket", socket]].concat());
            let line = format!("no agent answers at {socket}: is it running? start it with: flotta-agent run\n");
            assert_eq!(said, (Exit::Unreachable, line), "{words:?}");
        }
    }
}

#[test]
fn a_command_never_goes_to_a_url() {
    let (exit, said) = client(&["host", "lock", "--url", "http://127.0.0.1:1"]);
    assert_eq!(exit, Exit::Usage);
    assert!(said.contains("leave --url out"), "{said}");
}

#[test]
fn a_socket_that_cannot_be_one_is_said() {
    let long = format!("/tmp/{}", "x".repeat(200));
    let (exit, said) = client(&["host", "lock", "--socket", &long]);
    assert!(exit == Exit::Wrong && said.contains("at most 107 bytes"), "{exit:?} {said}");
}

#[test]
fn the_socket_is_found_by_the_configuration() {
    let desk = Desk::with(&[], yes);
    let config = desk.path("config.yaml");
    let with = |text: &str| {
        std::fs::write(&config, text).unwrap();
        client(&["host", "unlock", "--config", config.to_str().unwrap()])
    };
    assert_eq!(with("control: { socket: control.sock }").0, Exit::Done);
    std::fs::create_dir_all(desk.path("state/run")).unwrap();
    std::os::unix::fs::symlink(&desk.socket, desk.path("state/run/control.sock")).unwrap();
    assert_eq!(with("state: { dir: state }").0, Exit::Done);
    let (exit, said) = with("state: { dir: elsewhere }");
    assert!(exit == Exit::Unreachable && said.contains("elsewhere/run/control.sock:"), "{exit:?} {said}");
    assert!(!said.contains(" or "), "an agent of another state directory is not meant: {said}");
}

#[test]
fn every_client_may_ask_over_the_socket() {
    let desk = Desk::with(&["default/x"], yes);
    let (exit, said) = desk.client(&["status"]);
    assert!(exit == Exit::Done && said.contains("default/x"), "{said}");
    assert_eq!(desk.client(&["metric", "set", "cpu", "20"]), (Exit::Done, "cpu = 20\n".into()));
    let (exit, said) = desk.client(&["why", "x"]);
    assert_eq!(exit, Exit::Done);
    assert!(said.contains("what would make it run: a changed spec, or flotta-agent workload run default/x"), "{said}");
}

#[test]
fn host_show_is_the_device_in_a_few_lines() {
    let desk = Desk::with(&["default/x", "default/y"], yes);
    let (exit, said) = desk.client(&["host", "show"]);
    assert_eq!(exit, Exit::Done, "{said}");
    let row = |what: &str| {
        let line = said.lines().find(|line| line.split_once(' ').is_some_and(|(first, _)| first == what));
        line.and_then(|line| line.split_once(' ')).map(|(_, text)| text.trim_start()).unwrap_or_default()
    };
    assert_eq!((row("device"), row("state"), row("locked")), ("toto", "online", "no"), "{said}");
    assert_eq!((row("workloads"), row("server"), row("problems")), ("2 stopped", "disabled", "none"), "{said}");
    let (exit, said) = desk.client(&["host", "show", "-o", "json"]);
    let device: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((exit, &device["locked"], &device["device_id"]), (Exit::Done, &false.into(), &"toto".into()));
}

#[test]
fn nothing_is_collected_that_was_not_named_and_nothing_before_the_workloads_are_known() {
    let desk = Desk::with(&["default/x"], yes);
    for body in ["{}", r#"{"volumes":false}"#, r#"{"dry_run":true}"#, r#"{"volumes":1}"#, r#"{"images":true}"#] {
        let (code, answer) = desk.ask("POST", "/api/v1/commands/gc", body);
        assert!(code == 400 && answer["error"].to_string().contains("volumes"), "{body}: {code} {answer}");
    }
    assert!(desk.commands().is_empty());
    let usage = <flotta_agent::cli::Cli as clap::Parser>::try_parse_from(["flotta-agent", "gc"]).unwrap_err();
    assert!(usage.to_string().contains("--volumes"), "{usage}");
}

#[test]
fn what_is_said_in_several_lines_stays_in_several_lines() {
    let desk = Desk::with(&[], |_| Some(Ok("claim a/b: removed\nclaim c/d:\u{1b}[2J kept".into())));
    let (exit, said) = desk.client(&["gc", "--volumes"]);
    assert_eq!((exit, said.as_str()), (Exit::Done, "claim a/b: removed\nclaim c/d: [2J kept\n"));
}
