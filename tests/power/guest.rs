//! The guest: its files, the agent over HTTP and MQTT, systemd, processes.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::Value;

/// In memory: after a power cut nothing of it is left, and what the agent runs is what it had stored.
pub const MANIFESTS: &str = "/run/flotta-manifests";
const HTTP: &str = "127.0.0.1:8080";
/// Debian's own mosquitto has the usual port.
const MQTT: &str = "1884";
const CONFIG: &str = "DEVICE_ID: power\nmanifests: { dir: /run/flotta-manifests }\nmqtt: { listen: \"127.0.0.1:1884\" }\nmetrics: { restart_grace: 3600s }\nSERVER: https://127.0.0.1:8043\nCA_ROOT: /opt/flotta/server/ca.pem\nCERT: /opt/flotta/server/register.pem\nKEY: /opt/flotta/server/register.key\n";
const WRONG_CLOCK: &str = "[Service]\nExecStartPre=-/bin/sh -c 'at=$(sed -n \"s/.*power.clock=\\\\([0-9]*\\\\).*/\\\\1/p\" /proc/cmdline); [ -z \"$at\" ] || date -s \"@$at\"'\n";
/// An emulated machine beside others that work.
pub const PATIENCE: u64 = 900;

pub fn install() -> Result<(), String> {
    for name in ["flotta-agent", "flotta-shim"] {
        std::fs::copy(format!("/opt/flotta/{name}"), format!("/usr/local/bin/{name}"))
            .map_err(|why| why.to_string())?;
    }
    let write = |path: &str, text: &str| std::fs::write(path, text).map_err(|why| format!("{path}: {why}"));
    std::fs::create_dir_all("/etc/flotta-agent").map_err(|why| why.to_string())?;
    write("/etc/flotta-agent/config.yaml", CONFIG)?;
    let unit = std::fs::read_to_string("/opt/flotta/flotta-agent.service").map_err(|why| why.to_string())?;
    write("/etc/systemd/system/flotta-agent.service", &unit)?;
    // systemd sets a clock that is before its own time right, so a wrong one comes right before the agent.
    std::fs::create_dir_all("/etc/systemd/system/flotta-agent.service.d").map_err(|why| why.to_string())?;
    write("/etc/systemd/system/flotta-agent.service.d/clock.conf", WRONG_CLOCK)?;
    run(&["systemctl", "enable", "--quiet", "flotta-agent.service"])?;
    // The machine's own clock-setting is not to help.
    let _ = run(&["systemctl", "disable", "--quiet", "--now", "systemd-timesyncd.service"]);
    run(&["sync"]).map(|_| ())
}

/// A command; what it printed.
pub fn run(command: &[&str]) -> Result<String, String> {
    let output =
        Command::new(command[0]).args(&command[1..]).output().map_err(|why| format!("{}: {why}", command[0]))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(text);
    }
    Err(format!("{command:?}: {} {text}{}", output.status, String::from_utf8_lossy(&output.stderr)))
}

/// An object of the agent's.
pub fn get(path: &str) -> Result<Value, String> {
    let wrong = |why: std::io::Error| format!("{path}: {why}");
    let mut stream = TcpStream::connect(HTTP).map_err(wrong)?;
    stream.set_read_timeout(Some(Duration::from_secs(60))).map_err(wrong)?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {HTTP}\r\n\r\n").map_err(wrong)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).map_err(wrong)?;
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    if !head.contains(" 200 ") {
        return Err(format!("{path}: {head}"));
    }
    serde_json::from_str(body).map_err(|why| format!("{path}: {why}"))
}

pub fn publish(topic: &str, payload: &str, flags: &[&str]) -> Result<(), String> {
    let base = ["mosquitto_pub", "-p", MQTT, "-q", "1", "-t", topic, "-m", payload];
    run(&[&base[..], flags].concat()).map(|_| ())
}

/// The retained message of a topic; empty: there is none.
pub fn retained(topic: &str) -> String {
    run(&["mosquitto_sub", "-p", MQTT, "-t", topic, "-C", "1", "-W", "10"]).unwrap_or_default().trim().to_owned()
}

pub fn millis() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    u64::try_from(now.tv_sec.saturating_mul(1000).saturating_add(now.tv_nsec / 1_000_000)).unwrap_or(0)
}

#[expect(clippy::disallowed_methods, reason = "many parts of a machine are asked again, nothing rings for all of them")]
pub fn pause(millis: u64) {
    std::thread::sleep(Duration::from_millis(millis));
}

/// Asks until there is nothing wrong.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Result<T, String>) -> Result<T, String> {
    let (begin, mut told) = (millis(), millis());
    loop {
        match look() {
            Ok(found) => return Ok(found),
            Err(why) if millis() - told > 60_000 => {
                told = millis();
                eprintln!("{what}: not after {} s: {why}", (told - begin) / 1000);
            }
            Err(why) if millis() - begin > PATIENCE * 1000 => {
                return Err(format!("{what}: not within {PATIENCE} s: {why}"));
            }
            Err(_) => pause(200),
        }
    }
}

/// The workloads whose processes run, each with the versions of all that run; more than one is a double.
pub fn running() -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(environ) = std::fs::read(process.path().join("environ")) else { continue };
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&environ);
        let of = |name: &str| text.split('\0').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('='));
        // Of a container only its sleep counts, not the shell around it.
        if let (Some(name), Some(version), true) = (of("POWER_N"), of("POWER_V"), is_sleep(&command)) {
            found.entry(name.to_owned()).or_default().push(version.to_owned());
        }
    }
    found
}

fn is_sleep(command: &[u8]) -> bool {
    command.split(|byte| *byte == 0).next().is_some_and(|program| program.ends_with(b"sleep"))
}

/// Pids of what runs, to tell whether it is the same still.
pub fn pids() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for process in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let environ = std::fs::read(process.path().join("environ")).unwrap_or_default();
        let command = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&environ);
        let name = text.split('\0').find_map(|entry| entry.strip_prefix("POWER_N="));
        if let (Some(name), true) = (name, is_sleep(&command)) {
            found.insert(name.to_owned(), process.file_name().to_string_lossy().into_owned());
        }
    }
    found
}

pub fn exists(path: &str) -> bool {
    Path::new(path).exists()
}
