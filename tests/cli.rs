//! The commands that ask a running agent, against a small server with fixed objects.

mod cli_server;

use std::io::Write;

use clap::Parser;
use cli_server::{Server, profiles, workloads};
use flotta_agent::cli::{Action, Cli, Exit, Screen, run_client};

struct Said {
    exit: Exit,
    out: String,
    err: String,
}

fn on_screen(words: &[&str], screen: Screen) -> Said {
    let cli = Cli::try_parse_from(["flotta-agent"].iter().chain(words)).expect("a sound command line");
    let Action::Client(command, settings) = cli.action() else { panic!("{words:?} is not a client's command") };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = run_client(&command, &settings, screen, &mut out, &mut err);
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Said { exit, out: text(out), err: text(err) }
}

fn say(words: &[&str]) -> Said {
    on_screen(words, Screen::default())
}

#[test]
fn status_is_a_table_under_a_line_about_the_device() {
    let server = Server::start();
    let said = say(&["status", "--url", &server.url]);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    let expected = "\
device toto: online, up 2h, version 0.1.0; broker connected, server disabled
problem: manifests/a.yaml:3:7: unknown kind

 WORKLOAD       STATE     REASON          SINCE  RESTARTS  MESSAGE
 default/nginx  inactive  ConditionFalse  5m     0         profile test: off is false, since x = 20 [LimitNotEnforced: cpu]
 site/logger    running   Running         3s     2         runs
";
    assert_eq!(said.out, expected);
}

#[test]
fn on_a_terminal_the_message_is_wrapped_to_its_width() {
    let server = Server::start();
    let said = on_screen(&["status", "--url", &server.url], Screen { width: Some(80) });
    assert!(said.out.lines().skip(3).all(|line| line.chars().count() <= 80), "{}", said.out);
    assert!(said.out.lines().count() > 6, "{}", said.out);
}

#[test]
fn status_as_json_is_the_objects_of_the_agent_whole() {
    let server = Server::start();
    let said = say(&["--url", &server.url, "status", "-o", "json"]);
    let objects: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(objects["device"]["device_id"], "toto");
    assert_eq!(objects["device"]["of_a_later_version"], 1, "fields of a later agent are not lost");
    assert_eq!(objects["workloads"], workloads());
}

#[test]
fn text_of_others_never_moves_the_cursor() {
    let server = Server::start();
    let said = say(&["status", "--url", &server.hostile()]);
    assert_eq!(said.exit, Exit::Done, "{}", said.err);
    assert!(!said.out.contains('\x1b') && !said.out.contains('\r'), "{:?}", said.out);
}

#[test]
fn why_leads_from_the_metric_to_the_decision() {
    let server = Server::start();
    let said = say(&["why", "nginx", "--url", &server.url]);
    assert_eq!((said.exit, said.err.as_str()), (Exit::Done, ""));
    let expected = "\
default/nginx (pod): inactive, ConditionFalse, for 5m
├─ profile test: off is false, since x = 20
├─ profile test: not active; needs one of these conditions
│  ├─ off: false, x<3% || x == nil
│  │  └─ x = 20 %, 1.2s ago over mqtt
│  ├─ warm: false (stale: as before the restart, until its metrics arrive), y>3
│  │  └─ y = nil: it never came, was cleared, or outlived its time
│  ├─ bad: false, z >> 3
│  │  └─ refused: column 4: expected a number
│  └─ lost: the profile has no condition of that name
├─ profile night: not active; the device has no profile of that name
├─ cpu: 20500 µs per 100 ms (20.5 % of one core)
├─ last run: 60m ago, exit code 1
├─ next run: in 20s (2026-11-21T08:00:20.000Z)
├─ warning: LimitNotEnforced: cpu
└─ what would make it run: one of these turning true: x<3% || x == nil; y>3; and giving the device a profile night
";
    assert_eq!(said.out, expected);

    let said = say(&["why", "site/logger", "--url", &server.url]);
    let expected = "\
site/logger (shell): running, Running, for 3s
├─ runs
├─ no profiles: it is always active
├─ restarts: 2
└─ what would stop it: removing it, or stopping the device
";
    assert_eq!(said.out, expected);
    assert_eq!(say(&["why", "logger", "--url", &server.url]).out, expected, "the only one of that name");
}

#[test]
fn why_of_a_workload_that_is_not_there_names_the_nearest() {
    let server = Server::start();
    let table = [
        ("ngin", "no workload \"ngin\" on this device: did you mean default/nginx?\n"),
        ("site/loger", "no workload \"site/loger\" on this device: did you mean site/logger?\n"),
        ("zebra", "no workload \"zebra\" on this device: there are default/nginx, site/logger\n"),
    ];
    for (name, line) in table {
        let said = say(&["why", name, "--url", &server.url]);
        assert_eq!((said.exit, said.err.as_str(), said.out.as_str()), (Exit::Wrong, line, ""));
    }
}

#[test]
fn metric_set_sends_and_says_what_was_set() {
    let server = Server::start();
    let set = |value: &str| say(&["metric", "set", "cpu", value, "--url", &server.url]);
    for (value, said_of_it) in [
        ("20", "cpu = 20\n"),
        ("20%", "cpu = 20 %\n"),
        ("-2.5 C", "cpu = -2.5 C\n"),
        ("true", "cpu = 1\n"),
        ("nil", "cpu is cleared\n"),
        ("", "cpu is cleared\n"),
    ] {
        let said = set(value);
        assert_eq!((said.exit, said.out.as_str(), said.err.as_str()), (Exit::Done, said_of_it, ""));
    }
    let expected = [
        r#"{"name":"cpu","value":20.0}"#,
        r#"{"name":"cpu","unit":"%","value":20.0}"#,
        r#"{"name":"cpu","unit":"C","value":-2.5}"#,
        r#"{"name":"cpu","value":1.0}"#,
        r#"{"name":"cpu","value":null}"#,
        r#"{"name":"cpu","value":null}"#,
    ];
    assert_eq!(server.posted(), expected);

    let said = set("5m");
    assert_eq!((said.exit, said.err.as_str(), said.out.as_str()), (Exit::Wrong, "unit m: write 0.5\n", ""));
    let said = set("high");
    assert_eq!(said.exit, Exit::Wrong);
    assert!(said.err.starts_with("\"high\" is not a value: write a number like 20"), "{}", said.err);
}

#[test]
fn no_agent_is_exit_3_and_a_sentence() {
    let url = cli_server::nobody();
    for words in [&["status"][..], &["status", "--watch"], &["why", "x"], &["metric", "set", "x", "1"]] {
        let said = say(&[words, &["--url", &url]].concat());
        let line = format!("no agent answers at {url}: is it running? start it with: flotta-agent run\n");
        assert_eq!((said.exit, said.err.as_str(), said.out.as_str()), (Exit::Unreachable, line.as_str(), ""));
    }
}

#[test]
fn what_is_not_an_agent_is_said() {
    let server = Server::start();
    let said = say(&["status", "--url", &format!("{}/elsewhere", server.url)]);
    assert_eq!(said.exit, Exit::Wrong);
    assert!(said.err.ends_with("/elsewhere/api/v1/device answers 404 Not Found: is that an agent?\n"), "{}", said.err);
    for url in ["https://127.0.0.1:1", "http://", "ftp://x", "http://[::1", "http://a b"] {
        let said = say(&["status", "--url", url]);
        assert_eq!(said.exit, Exit::Usage, "{url}: {}", said.err);
        assert_eq!(said.err.lines().count(), 1);
    }
}

#[test]
fn a_client_finds_the_agent_by_its_configuration_and_by_what_it_bound() {
    let server = Server::start();
    let address = server.url.strip_prefix("http://").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path().join("config.yaml");
    let with = |text: &str| {
        std::fs::write(&config, text).unwrap();
        say(&["status", "--config", config.to_str().unwrap()])
    };
    assert_eq!(with(&format!("http: {{ listen: \"{address}\" }}")).exit, Exit::Done);

    std::fs::create_dir_all(dir.path().join("state/run")).unwrap();
    std::fs::write(dir.path().join("state/run/endpoints.json"), format!("{{\"http\":\"{address}\"}}")).unwrap();
    assert_eq!(with("http: { listen: \"127.0.0.1:0\" }\nstate: { dir: state }").exit, Exit::Done);
    let taken = cli_server::nobody();
    let taken = taken.strip_prefix("http://").unwrap();
    assert_eq!(with(&format!("http: {{ listen: \"{taken}\" }}\nstate: {{ dir: state }}")).exit, Exit::Done);

    let said = with("http: { lisen: 1 }");
    assert_eq!(said.exit, Exit::Usage);
    assert!(
        said.err.ends_with("config.yaml:1:9: unknown key \"http.lisen\": did you mean http.listen?\n"),
        "{}",
        said.err
    );
}

/// A reader that has seen enough after a few screens, like `head`.
struct Full(usize, Vec<u8>);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.1.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0 = self.0.saturating_sub(1);
        if self.0 == 0 { Err(std::io::ErrorKind::BrokenPipe.into()) } else { Ok(()) }
    }
}

#[test]
fn watch_shows_again_on_an_event_and_ends_with_its_reader() {
    let server = Server::start();
    let cli = Cli::try_parse_from(["flotta-agent", "status", "--watch", "--url", &server.url]).unwrap();
    let Action::Client(command, settings) = cli.action() else { panic!("a client's command") };
    let (mut out, mut err) = (Full(3, Vec::new()), Vec::new());
    let exit = run_client(&command, &settings, Screen { width: Some(80) }, &mut out, &mut err);
    assert_eq!((exit, err.as_slice()), (Exit::Done, &b""[..]));
    let shown = String::from_utf8(out.1).unwrap();
    assert_eq!(shown.matches("\x1b[H\x1b[Jdevice toto: online").count(), 3);
}

#[test]
fn completions_and_the_manual_page_are_written() {
    for shell in ["bash", "zsh", "fish"] {
        let said = say(&["completions", shell]);
        assert_eq!(said.exit, Exit::Done);
        assert!(said.out.contains("flotta-agent") && said.out.contains("metric"), "{shell}");
    }
    assert!(say(&["man"]).out.contains(".SH NAME"));
}

#[test]
fn without_a_command_it_runs_and_flags_stand_on_either_side() {
    let action = |words: &[&str]| Cli::try_parse_from([&["flotta-agent"], words].concat()).map(Cli::action);
    let Ok(Action::Run(settings)) = action(&["--manifests", "a", "--config", "c.yaml"]) else { panic!("run") };
    assert_eq!(settings.flags, [("--manifests", "a".to_string())]);
    assert_eq!(settings.config.as_deref().and_then(|path| path.to_str()), Some("c.yaml"));
    let Ok(Action::Run(settings)) = action(&["--manifests", "a", "run", "--manifests", "b", "--config", "c"]) else {
        panic!("run")
    };
    assert_eq!(settings.flags.last(), Some(&("--manifests", "b".to_string())));
    assert!(settings.config.is_some());
    assert!(matches!(action(&["check", "--manifests", "b"]), Ok(Action::Check(_))));
    assert!(action(&["metric", "set", "cpu"]).is_err());
    assert!(action(&["dance"]).is_err());
    assert!(profiles().is_array());
}

#[test]
fn commands_are_sorted_and_a_socket_and_a_url_exclude_each_other() {
    let action = |words: &[&str]| Cli::try_parse_from([&["flotta-agent"], words].concat()).map(Cli::action);
    let Ok(Action::Client(command, settings)) = action(&["host", "lock", "--keep", "--socket", "s"]) else {
        panic!("a client's command")
    };
    assert_eq!(command, flotta_agent::cli::ClientCommand::HostLock { keep: true });
    assert_eq!(settings.socket.as_deref(), Some(std::path::Path::new("s")));
    assert!(action(&["status", "--socket", "s", "--url", "http://127.0.0.1:1"]).is_err());
    assert!(action(&["host", "unlock", "--keep"]).is_err(), "only a lock keeps");
    assert!(action(&["host"]).is_err() && action(&["workload", "run"]).is_err());
}
