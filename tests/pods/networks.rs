//! What a pod sees of the network: names, addresses, other pods, the device.

use serde_json::{Value as Json, json};

use super::device::{lines, until_true, until_true_or};
use super::place::Place;
use super::service::Podman;
use super::specs::{SOON, WAITS};

/// A network of podman's, gone with the test.
struct Network {
    podman: Podman,
    name: String,
}

impl Network {
    fn new(place: &Place, name: &str) -> Network {
        let network = Network { podman: place.podman.clone(), name: place.name(name) };
        let body = json!({ "name": network.name, "dns_enabled": true, "labels": { "flotta-test": "1" } });
        let (code, made) = network.podman.call("POST", "networks/create", Some(&body));
        assert_eq!(code, 200, "{made}");
        network
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.podman.call("DELETE", &format!("networks/{}?force=true", self.name), None);
    }
}

/// A pod whose one container tells in `out` what this script says, then waits; `more` stands in its spec.
fn teller(place: &Place, name: &str, annotations: &str, more: &str, script: &str) {
    let out = place.path("out");
    if !out.exists() {
        place.shared("out");
    }
    let container =
        place.container("c", &format!("( {script} ) > /out/.{name} 2>&1; mv /out/.{name} /out/{name}; {WAITS}"));
    let container = container.trim_end_matches('}');
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {}, annotations: {{ {annotations} }} }}\nspec:\n  type: pod\n{}{SOON}  pod: {{ spec: {{ terminationGracePeriodSeconds: 5, {more}volumes: [ {{ name: out, hostPath: {{ path: \"{}\" }} }} ], containers: [ {container}, volumeMounts: [ {{ name: out, mountPath: /out }} ] }} ] }} }}\n",
        place.name(name),
        place.whose(),
        out.display()
    );
    place.manifest(&format!("{name}.yaml"), &text);
}

fn told(place: &Place, name: &str) -> Vec<String> {
    let out = place.path("out").join(name);
    until_true_or(&format!("{name} says what it sees"), || {
        (!out.exists()).then(|| place.agent().get("/api/v1/workloads").to_string())
    });
    lines(&out)
}

fn has(all: &[String], line: &[&str]) -> bool {
    all.iter().any(|one| one.split_whitespace().eq(line.iter().copied()))
}

#[test]
fn names_are_found_as_dns_config_and_host_aliases_say_on_a_network_of_its_own_and_on_the_devices() {
    Place::each().for_each(names);
}

fn names(mut place: Place) {
    let more = "dnsPolicy: None, dnsConfig: { nameservers: [ 10.1.2.3, 10.1.2.4 ], searches: [ shop.example ], options: [ { name: ndots, value: \"2\" } ] }, hostAliases: [ { ip: 10.9.9.9, hostnames: [ meter, meter.example ] } ], ";
    let script = "cat /etc/resolv.conf /etc/hosts; hostname";
    teller(&place, "own", "", &format!("{more}hostname: inside, subdomain: shop, setHostnameAsFQDN: true, "), script);
    teller(&place, "device", "", &format!("{more}hostNetwork: true, "), script);
    teller(&place, "plain", "", "", "cat /etc/resolv.conf");
    place.start();
    for name in ["own", "device"] {
        let said = told(&place, name);
        let servers: Vec<&str> = said.iter().filter_map(|line| line.strip_prefix("nameserver ")).collect();
        assert_eq!(servers, ["10.1.2.3", "10.1.2.4"], "{name}: {said:#?}");
        for line in [
            &["search", "shop.example"][..],
            &["options", "ndots:2"],
            &["10.9.9.9", "meter"],
            &["10.9.9.9", "meter.example"],
        ] {
            let spread = said.iter().any(|one| {
                let words: Vec<&str> = one.split_whitespace().collect();
                words.first() == line.first() && line.iter().all(|word| words.contains(word))
            });
            assert!(spread, "{name}: {line:?} in {said:#?}");
        }
    }
    assert!(has(&told(&place, "own"), &["inside.shop"]));
    let devices = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let reachable = |line: &&str| line.starts_with("nameserver ") && !line.contains(" 127.");
    let devices: Vec<&str> = devices.lines().filter(reachable).collect();
    let said = told(&place, "plain");
    assert!(devices.iter().all(|line| said.iter().any(|one| one.trim() == line.trim())), "{devices:?} in {said:?}");
}

#[test]
fn pods_on_a_network_of_podmans_find_each_other_by_name_and_one_that_is_not_there_is_said_with_how_to_make_it() {
    Place::each().for_each(by_name);
}

fn by_name(mut place: Place) {
    let (lan, db, web) = (place.name("lan"), place.name("db"), place.name("web"));
    teller(
        &place,
        "db",
        &format!("project-flotta.io/network: \"{lan}:alias=store\""),
        "hostname: inner, ",
        "httpd -p 80 -h /etc; echo up",
    );
    place.start();
    let missing = place.until("db", "it says what is missing", |w| w["state"] == "error");
    let message = missing["message"].as_str().expect("a sentence");
    assert!(message.contains(&format!("network {lan} is not there")), "{message}");
    assert!(message.contains(&format!("podman network create {lan}")), "{message}");
    assert_eq!(place.containers("db"), [Json::Null; 0]);

    // Declared after the device, so gone before it: by then its pods are.
    let network = Network::new(&place, "lan");
    place.until_state("db", "running");
    told(&place, "db");
    let ask = |host: &str| format!("wget -q -O - http://{host}/passwd | head -n 1");
    let asks: Vec<String> = [db.as_str(), "inner", "store"].iter().map(|host| ask(host)).collect();
    teller(&place, "web", &format!("project-flotta.io/network: \"{lan}\""), "", &asks.join("; "));
    assert_eq!(told(&place, "web"), ["root:x:0:0:root:/:/bin/sh"; 3]);
    // One elsewhere does not.
    teller(
        &place,
        "alone",
        "project-flotta.io/network: none",
        "",
        "ls /sys/class/net; wget -q -T 2 http://store/ || echo nobody",
    );
    let alone = told(&place, "alone");
    assert!(alone.contains(&"lo".to_owned()) && !alone.contains(&"eth0".to_owned()), "{alone:?}");
    assert_eq!(alone.last().map(String::as_str), Some("nobody"), "{alone:?}");
    for name in ["db", "web", "alone"] {
        place.delete(&format!("{name}.yaml"));
    }
    until_true("they are gone", || place.podman.named(&db).is_empty() && place.podman.named(&web).is_empty());
    drop(network);
}

#[test]
fn the_devices_processes_its_own_sysctls_and_no_seccomp_are_what_a_pod_asks_for() {
    Place::each().for_each(open);
}

fn open(mut place: Place) {
    let look = "cat /proc/sys/net/core/somaxconn; grep ^Seccomp: /proc/self/status; readlink /proc/self/ns/ipc; ls -d /proc/AGENT && echo seen";
    let script = |agent: u32| look.replace("AGENT", &agent.to_string());
    place.start();
    let script = script(place.agent().pid());
    // A user's podman mounts the device's message queues: it needs a device that has some.
    let ipc = !place.podman.rootless || std::path::Path::new("/dev/mqueue").exists();
    teller(
        &place,
        "open",
        "",
        &format!(
            "hostIPC: {ipc}, hostPID: true, securityContext: {{ seccompProfile: {{ type: Unconfined }}, sysctls: [ {{ name: net.core.somaxconn, value: \"777\" }} ] }}, "
        ),
        &script,
    );
    teller(&place, "usual", "", "", &script);
    let (open, usual) = (told(&place, "open"), told(&place, "usual"));
    let device = std::fs::read_link("/proc/self/ns/ipc").expect("a link").display().to_string();
    assert!(
        has(&open, &["777"])
            && has(&open, &["Seccomp:", "0"])
            && (!ipc || has(&open, &[&device]))
            && has(&open, &["seen"]),
        "{open:?}"
    );
    assert!(!has(&usual, &["777"]) && !has(&usual, &[&device]) && !has(&usual, &["seen"]), "{usual:?}");
}
