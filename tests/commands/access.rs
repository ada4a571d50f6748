//! Who may give commands: the agent's user and root, and nobody else.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use super::desk::over;
use super::device::{Device, lines, until_true};

fn mode(path: &Path) -> u32 {
    std::fs::symlink_metadata(path).unwrap().mode() & 0o777
}

fn problem(device: &Device) -> String {
    let problems = device.agent().get("/api/v1/device")["problems"].clone();
    let of_socket = |problem: &&serde_json::Value| problem["where"] == "control.socket";
    let found = problems.as_array().unwrap().iter().find(of_socket).cloned();
    found.map(|problem| problem["message"].as_str().unwrap().to_owned()).unwrap_or_default()
}

#[test]
fn the_socket_is_in_the_state_directory_and_only_its_owners() {
    let mut device = Device::new();
    device.start();
    let socket = device.path("state/run/control.sock");
    assert_eq!((mode(&socket), mode(&device.path("state"))), (0o600, 0o700));
    let endpoints = std::fs::read_to_string(device.path("state/run/endpoints.json")).unwrap();
    let endpoints: serde_json::Value = serde_json::from_str(&endpoints).unwrap();
    assert_eq!(endpoints["control"], json!(socket));
    assert_eq!(over(&socket, "GET", "/api/v1/device", "").1["state"], "online");
    device.terminate();
    assert!(!socket.exists(), "an orderly end leaves no socket");
}

#[test]
fn over_tcp_the_agent_says_where_commands_are_taken() {
    let mut device = Device::new();
    let agent = device.start();
    let (code, answer) = agent.request("POST", "/api/v1/commands/lock", &[], b"{}");
    assert!(code == 403 && answer.contains("state/run/control.sock"), "{code} {answer}");
    let (_, counted) = agent.request("GET", "/metrics", &[], b"");
    assert!(counted.contains("flotta_refused_total{what=\"command_over_tcp\"} 1"), "{counted}");
    assert_eq!(agent.get("/api/v1/device")["locked"], false);
}

#[test]
fn the_next_agent_takes_over_the_socket_of_a_killed_one() {
    let mut device = Device::new();
    device.start();
    device.kill();
    let socket = device.path("state/run/control.sock");
    assert!(socket.exists(), "kill -9 leaves it behind");
    let (code, said) = device.client(&["host", "unlock"]);
    assert!(code == 3 && said.contains("is it running?"), "{code} {said}");
    device.start();
    assert_eq!(problem(&device), "");
    assert_eq!(over(&socket, "GET", "/healthz", "").0, 200);
}

#[test]
fn a_path_that_is_taken_is_said_and_tried_again_and_the_agent_goes_on() {
    let mut device = Device::new();
    let path = device.path("taken.sock");
    let other = UnixListener::bind(&path).unwrap();
    device.start_with(&[("EDGE_DEVICE_CONTROL_SOCKET", path.to_str().unwrap())]);
    let said = problem(&device);
    assert!(said.contains("another process listens there") && said.contains("taken.sock"), "{said}");
    assert!(device.agent().get("/api/v1/workloads").is_array());
    drop(other);
    until_true("the socket is the agent's", || problem(&device).is_empty());
    assert_eq!((mode(&path), over(&path, "GET", "/healthz", "").0), (0o600, 200));
}

#[test]
fn a_path_that_is_too_long_is_said_and_the_agent_goes_on() {
    let mut device = Device::new();
    let path = device.path(&"x".repeat(120));
    device.start_with(&[("EDGE_DEVICE_CONTROL_SOCKET", path.to_str().unwrap())]);
    let said = problem(&device);
    assert!(said.contains("at most 107; set control.socket to a shorter one"), "{said}");
}

#[test]
fn who_gave_a_command_is_logged() {
    let mut device = Device::new();
    let log = device.path("log");
    let mut command = device.command();
    command.stdout(Stdio::null()).stderr(std::fs::File::create(&log).unwrap());
    let mut agent = command.spawn().unwrap();
    let socket = device.path("state/run/control.sock");
    until_true("the socket answers", || UnixStream::connect(&socket).is_ok());
    let mut client = device.command().args(["host", "lock"]).stdout(Stdio::null()).spawn().unwrap();
    let pid = client.id();
    assert!(client.wait().unwrap().success());
    agent.kill().unwrap();
    agent.wait().unwrap();
    let uid = rustix::process::getuid().as_raw();
    let said = lines(&log);
    let said: Vec<serde_json::Value> = said.iter().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let of_command = said.iter().find(|line| line["uid"] == uid && line["pid"] == pid);
    let line = of_command.unwrap_or_else(|| panic!("no line has uid {uid} and pid {pid}: {said:?}"));
    assert_eq!((&line["level"], &line["command"]), (&json!("INFO"), &json!("lock")));
    // The lock is nobody's any more.
    device.start();
    assert_eq!(device.client(&["host", "unlock"]).0, 0);
}

/// To become somebody else takes root, which the tests have where CI runs them.
#[test]
fn nobody_else_may_connect_and_they_are_told_as_whom_to_run_it() {
    let mut device = Device::new();
    // Elsewhere, in a directory that all may enter: the socket's own mode keeps them out.
    let open = tempfile::tempdir().unwrap();
    std::fs::set_permissions(open.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    let socket = open.path().join("control.sock");
    device.start_with(&[("EDGE_DEVICE_CONTROL_SOCKET", socket.to_str().unwrap())]);
    assert_eq!(mode(&socket), 0o600);
    if !rustix::process::geteuid().is_root() {
        assert_eq!(std::fs::metadata(&socket).unwrap().uid(), rustix::process::geteuid().as_raw());
        return;
    }
    let program = open.path().join("flotta-agent");
    std::fs::copy(env!("CARGO_BIN_EXE_flotta-agent"), &program).unwrap();
    let as_nobody = |socket: &Path| {
        let mut command = Command::new(&program);
        command.args(["host", "lock", "--socket"]).arg(socket).env_clear().current_dir("/").uid(65534).gid(65534);
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (code, said) = as_nobody(&socket);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("permission denied: only root may do this; put sudo in front"), "{said}");
    let usual = device.path("state/run/control.sock");
    let (code, said) = as_nobody(&usual);
    assert!(code == Some(1) && said.contains("put sudo in front"), "{code:?} {said}");
    assert_eq!(device.agent().get("/api/v1/device")["locked"], false);
}
