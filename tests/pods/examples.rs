//! The pods of `examples/pods/`, each as it stands: what their comments promise. What differs is in [`Example`] alone: the
//! image is the tests' own (with another command where the image's own program is wanted), ports are free ones, and paths of
//! the device are below the test's directory.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::device::{lines, until_true};
use super::place::{Place, kill9};
use super::service::{image, limits};
use super::specs::free_port;

const IMAGES: &str = "image: docker.io/library/";

/// A file of `examples/pods/`, made to run on the machine of the tests.
struct Example {
    /// The workload's name in it, which is the file's unless said.
    name: String,
    text: String,
}

impl Example {
    fn new(place: &Place, file: &str, workload: &str) -> Example {
        let path = format!("{}/examples/pods/{file}.yaml", env!("CARGO_MANIFEST_DIR"));
        let text = std::fs::read_to_string(&path).unwrap_or_else(|why| panic!("{path}: {why}"));
        let name = place.name(workload);
        let own = |text: &str, key: &str| text.replace(&format!("{key}: {workload} }}"), &format!("{key}: {name} }}"));
        let head = "kind: EdgeWorkload\nmetadata: { name";
        let mut example = Example { text: own(&own(&text, head), "claimName"), name: name.clone() };
        assert!(example.text.contains(&name), "{path}: no workload {workload}");
        let srv = format!("path: {}/", place.path("srv").display());
        example.text = example.text.replace("path: /srv/", &srv);
        // The tests' own image for every other one; each is one that everybody can fetch.
        let lines: Vec<String> = example
            .text
            .lines()
            .map(|line| match line.split_once(IMAGES) {
                Some((before, _)) => format!("{before}image: {}", image()),
                None => line.to_owned(),
            })
            .collect();
        assert!(text.contains(IMAGES) && !lines.iter().any(|line| line.contains("docker.io")), "{path}: its images");
        example.text = lines.join("\n");
        if limits().is_none() {
            example.swap("limits: { memory: 64Mi }", "limits: {}");
        }
        example
    }

    /// Exactly this, for that.
    fn swap(&mut self, from: &str, to: &str) {
        self.text = self.text.replace(from, to);
    }

    /// What the image's own program does, as far as the promise goes. For a pod of one container.
    fn runs(mut self, script: &str) -> Example {
        let line = format!("image: {}", image());
        let column = self.text.lines().find_map(|text| text.find(&line)).expect("an image");
        let command = format!("{line}\n{}command: [ /bin/sh, -c, '{script}' ]", " ".repeat(column));
        self.swap(&line, &command);
        self
    }

    /// A free port instead of this one.
    fn on_free_port(&mut self, port: u16) -> u16 {
        let free = free_port();
        assert!(self.text.contains(&format!("hostPort: {port},")));
        self.swap(&format!("hostPort: {port},"), &format!("hostPort: {free},"));
        free
    }

    fn put(&self, place: &Place) {
        place.manifest("example.yaml", &self.text);
    }
}

/// All of the answer, if it is a good one.
fn ask(port: u16, path: &str) -> Option<String> {
    // While a pod takes another's place, what is sent to its port may be lost.
    let wait = Duration::from_secs(2);
    let mut stream = TcpStream::connect_timeout(&([127, 0, 0, 1], port).into(), wait).ok()?;
    stream.set_read_timeout(Some(wait)).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.lines().next()?.contains(" 200 ").then_some(answer)
}

fn fetch(port: u16, path: &str) -> Option<String> {
    Some(ask(port, path)?.split_once("\r\n\r\n")?.1.trim().to_owned())
}

const END: &str = "trap \"exit 0\" TERM;";

#[test]
fn nginx_serves_the_page_of_its_config_map_and_the_new_one_when_it_is_edited() {
    let Some(mut place) = Place::new() else { return };
    let mut example = Example::new(&place, "nginx-configmap", "nginx")
        .runs(&format!("{END} httpd -p 80 -h /usr/share/nginx/html; sleep 100000 & wait"));
    let port = example.on_free_port(8000);
    example.put(&place);
    place.start();
    let running = place.agent().until_state(&example.name, "running");
    until_true("the page", || fetch(port, "/").as_deref() == Some("<h1>Served by the device itself</h1>"));
    example.swap("Served by the device itself", "Edited");
    example.put(&place);
    let hash = running["hash"].clone();
    place.agent().until(&example.name, "replaced", |w| w["state"] == "running" && w["hash"] != hash);
    until_true("the edited page", || fetch(port, "/").as_deref() == Some("<h1>Edited</h1>"));
}

#[test]
fn a_sidecar_serves_what_the_program_beside_it_writes_and_each_is_started_again_alone() {
    let Some(mut place) = Place::new() else { return };
    let mut example = Example::new(&place, "sidecar", "sidecar");
    let port = example.on_free_port(8001);
    example.swap("  type: pod", "  type: pod\n  retry: { constantBackoff: { periodSeconds: 1 } }");
    example.put(&place);
    place.start();
    place.agent().until_state(&example.name, "running");
    until_true("a measurement", || fetch(port, "/last").is_some_and(|text| text.starts_with("load ")));
    let (measure, serve) = (place.one("sidecar", "measure"), place.one("sidecar", "serve"));
    kill9(&measure);
    until_true("it is started again", || {
        let now = place.one("sidecar", "measure");
        now["State"] == "running" && now["Pid"] != measure["Pid"]
    });
    assert_eq!(place.one("sidecar", "serve")["Pid"], serve["Pid"], "the other one runs on");
}

#[test]
fn the_backup_is_made_when_it_is_asked_for_and_of_eight_the_oldest_goes() {
    let Some(mut place) = Place::new() else { return };
    let example = Example::new(&place, "cron-backup", "cron-backup");
    let srv = place.path("srv");
    for dir in ["data", "backup"] {
        std::fs::create_dir_all(srv.join(dir)).expect("made");
    }
    std::fs::write(srv.join("data/precious"), "kept").expect("written");
    let old = |day: u8| srv.join(format!("backup/2001-01-0{day}.tar.gz"));
    (1..=7).for_each(|day| std::fs::write(old(day), "").expect("written"));
    example.put(&place);
    place.start();
    let waits = place.agent().until_state(&example.name, "ready");
    assert_eq!(waits["reason"], "CronWait", "{waits}");
    let (code, said) = place.client(&["workload", "run", &example.name]);
    assert_eq!(code, 0, "{said}");
    place.agent().until(&example.name, "the run is done", |w| w["last_exit_code"] == 0 && w["reason"] == "CronWait");
    assert!(!old(1).exists() && old(2).exists(), "the last seven stay");
    let made = std::fs::read_dir(srv.join("backup")).expect("readable").flatten().map(|entry| entry.path());
    let new = made.filter(|path| !path.to_string_lossy().contains("2001-")).collect::<Vec<_>>();
    let [new] = new.as_slice() else { panic!("one backup: {new:?}") };
    let listed = Command::new("tar").arg("-xzOf").arg(new).arg("./precious").output().expect("tar");
    assert_eq!(String::from_utf8_lossy(&listed.stdout), "kept");
}

#[test]
fn what_a_gateway_on_the_devices_own_network_publishes_to_127_0_0_1_is_a_metric() {
    let Some(mut place) = Place::new() else { return };
    place.start();
    let http = place.agent().http.clone();
    let example = Example::new(&place, "modbus-gateway", "modbus-gateway").runs(&format!(
        "{END} grep -q flotta/metrics/meter /etc/telegraf/telegraf.conf && wget -q -O - --post-data \"{{\\\"name\\\":\\\"meter.temperature\\\",\\\"value\\\":21.5}}\" http://{http}/metrics; sleep 100000 & wait"
    ));
    example.put(&place);
    place.agent().until_state(&example.name, "running");
    until_true("the metric", || {
        let metrics = place.agent().get("/api/v1/metrics");
        metrics.as_array().expect("a list").iter().any(|one| one["name"] == "meter.temperature" && one["value"] == 21.5)
    });
}

#[test]
fn what_arrives_on_a_serial_port_is_kept_and_a_port_that_is_not_there_yet_is_waited_for() {
    let Some(mut place) = Place::new() else { return };
    // A device that every machine has, and of which lines come: no serial port has to be there. (No terminal: the kernel opens
    // those in their own file system only, and a container has a device under a name of its own.)
    let plug = place.path("ttyUSB0");
    let mut example = Example::new(&place, "serial-device", "serial-device");
    example.swap("path: /dev/ttyUSB0", &format!("path: {}", plug.display()));
    example.swap("periodSeconds: 10", "periodSeconds: 1");
    example.put(&place);
    place.start();
    let missing = place.agent().until(&example.name, "it says what is missing", |w| {
        w["message"].as_str().is_some_and(|text| text.contains("ttyUSB0"))
    });
    assert!(matches!(missing["state"].as_str(), Some("error" | "ready")), "{missing}");
    std::os::unix::fs::symlink("/dev/urandom", &plug).expect("plugged in");
    place.agent().until_state(&example.name, "running");
    let last = || std::fs::read(place.path("srv/serial/last")).unwrap_or_default();
    until_true("a line arrives", || !last().is_empty());
    let first = last();
    until_true("another one takes its place", || !last().is_empty() && last() != first);
}

#[test]
fn a_pod_follows_the_profile_and_is_held_to_a_fifth_of_a_core_without_a_restart() {
    let Some(mut place) = Place::new() else { return };
    let mut example = Example::new(&place, "gated-by-profile", "gated-by-profile");
    // The one device there is, under the name that the tests' clean-up knows.
    place.delete("device.yaml");
    example.swap("{ name: my-device }", &format!("{{ name: {} }}", place.id()));
    example.put(&place);
    place.start();
    place.agent().until_state(&example.name, "inactive");
    place.agent().set("battery", 80.0);
    place.agent().until_state(&example.name, "running");
    let before = place.one("gated-by-profile", "worker");
    if limits().is_some() {
        place.agent().set("battery", 30.0);
        // No change of state: nothing rings.
        until_true("a fifth of a core", || {
            let all = place.agent().get("/api/v1/workloads");
            all.as_array()
                .expect("a list")
                .iter()
                .any(|w| w["name"] == example.name.as_str() && w["cpu_quota_us"] == 20_000)
        });
        assert_eq!(place.one("gated-by-profile", "worker")["Pid"], before["Pid"], "without a restart");
    }
    place.agent().set("battery", 10.0);
    let stopped = place.agent().until_state(&example.name, "inactive");
    assert_eq!(stopped["reason"], "ConditionFalse");
}

#[test]
fn a_job_is_prepared_tried_again_and_stopped_when_it_has_ended_well() {
    let Some(mut place) = Place::new() else { return };
    let example = Example::new(&place, "job", "job");
    example.put(&place);
    place.start();
    let tried = place.agent().until(&example.name, "its first try failed", |w| w["reason"] == "BackOff");
    assert!(tried["message"].as_str().is_some_and(|text| text.contains("not yet")), "{tried}");
    let done = place.agent().until_state(&example.name, "stopped");
    assert_eq!((&done["reason"], &done["last_exit_code"]), (&json!("Completed"), &json!(0)));
    assert_eq!(lines(&place.path("srv/job/result")), ["5050"]);
}

#[test]
fn a_database_keeps_its_rows_when_it_is_replaced_and_its_password_is_nowhere_in_podmans_words() {
    let Some(mut place) = Place::new() else { return };
    let rows = "mkdir -p $PGDATA && echo \"$(cat $POSTGRES_PASSWORD_FILE)\" >> $PGDATA/rows";
    let mut example = Example::new(&place, "database", "database")
        .runs(&format!("{END} {rows}; httpd -p 5432 -h $PGDATA; sleep 100000 & wait"));
    let port = example.on_free_port(5432);
    example.put(&place);
    place.start();
    let running = place.agent().until_state(&example.name, "running");
    until_true("the first row", || fetch(port, "/rows").as_deref() == Some("change-me"));
    let id = place.one("database", "postgres")["Id"].as_str().expect("an id").to_owned();
    let shown = place.podman.inspect("containers", &id).to_string();
    assert!(!shown.contains("change-me"), "{shown}");
    example.swap("password: change-me", "password: changed");
    example.put(&place);
    let hash = running["hash"].clone();
    place.agent().until(&example.name, "replaced", |w| w["state"] == "running" && w["hash"] != hash);
    until_true("both rows", || fetch(port, "/rows").as_deref() == Some("change-me\nchanged"));
    place.delete("example.yaml");
    let pod = format!("pods: {}", example.name);
    until_true("the pod is gone", || !place.podman.named(&example.name).iter().any(|one| one.starts_with(&pod)));
    let volumes = || place.podman.named(&place.tag()).into_iter().filter(|one| one.starts_with("volumes: ")).count();
    assert_eq!(volumes(), 1, "the claim stays: {:?}", place.podman.named(&place.tag()));
}

#[test]
fn a_web_application_is_deploying_running_not_ready_and_started_again_as_its_probes_say() {
    let Some(mut place) = Place::new() else { return };
    // Steered from outside: what is asked for below /cgi-bin/ is done.
    let deeds = [("on", "echo well > /tmp/w/healthz"), ("off", "rm /tmp/w/healthz"), ("die", "killall httpd")];
    let scripts: Vec<String> = deeds
        .iter()
        .map(|(name, what)| format!("printf \"#!/bin/sh\\necho; {what}\\n\" > {name}; chmod 755 {name};"))
        .collect();
    let mut example = Example::new(&place, "web-probes", "web-probes").runs(&format!(
        "{END} grep -q /healthz /etc/nginx/conf.d/default.conf && mkdir -p /tmp/w/cgi-bin && cd /tmp/w/cgi-bin && {} httpd -p 8080 -h /tmp/w; sleep 100000 & wait",
        scripts.concat()
    ));
    let port = example.on_free_port(8002);
    example.swap("  type: pod", "  type: pod\n  retry: { constantBackoff: { periodSeconds: 1 } }");
    example.swap("periodSeconds: 5", "periodSeconds: 1");
    example.put(&place);
    place.start();
    place.agent().until_state(&example.name, "deploying");
    until_true("it is told to be well", || ask(port, "/cgi-bin/on").is_some());
    place.agent().until_state(&example.name, "running");
    let before = place.one("web-probes", "web");
    until_true("it is told not to be", || ask(port, "/cgi-bin/off").is_some());
    let unready = place.agent().until_state(&example.name, "degraded");
    assert_eq!(unready["reason"], "NotReady", "{unready}");
    until_true("it is well again", || ask(port, "/cgi-bin/on").is_some());
    place.agent().until_state(&example.name, "running");
    assert_eq!(place.one("web-probes", "web")["Pid"], before["Pid"], "not ready is no reason to restart");
    let _ = ask(port, "/cgi-bin/die");
    until_true("it is started again", || {
        let now = place.one("web-probes", "web");
        now["State"] == "running" && now["Pid"] != before["Pid"]
    });
}

#[test]
fn root_in_a_rootless_pod_is_a_user_of_the_device() {
    let Some(mut place) = Place::rootless() else { return };
    let mut example = Example::new(&place, "rootless", "rootless")
        .runs(&format!("{END} mkdir /tmp/w; id -u > /tmp/w/index.html; httpd -p 80 -h /tmp/w; sleep 100000 & wait"));
    let port = example.on_free_port(8003);
    example.put(&place);
    place.start();
    let running = place.agent().until_state(&example.name, "running");
    assert_eq!(running["rootless"], true);
    until_true("the page", || fetch(port, "/").as_deref() == Some("0"));
    let process = format!("/proc/{}", super::place::pid(&place.one("rootless", "web")));
    let owner = std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(&process).expect("it runs"));
    assert_eq!(owner, super::service::user().uid, "root there is that user here");
}
