//! One pod with everything in it, from its start to its removal.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::device::{lines, until_true};
use super::place::Place;
use super::service::{image, limits};
use super::specs::{GATED, free_port};

/// Everything that a pod may have in this version.
fn manifest(place: &Place, greeting: &str, port: u16) -> String {
    let (image, host, tag) = (image(), place.path("host").display().to_string(), place.tag());
    let limits = if limits().is_some() { "resources: { limits: { cpu: 500m, memory: 64Mi } }" } else { "" };
    format!(
        r#"
apiVersion: v1
kind: ConfigMap
metadata: {{ name: texts }}
data: {{ greeting: "{greeting}", motd: "be kind" }}
---
apiVersion: v1
kind: Secret
metadata: {{ name: keys }}
stringData: {{ pass: "s3cret" }}
---
apiVersion: management.project-flotta.io/v1alpha1
kind: EdgeWorkload
metadata: {{ name: {name} }}
spec:
  type: pod
{whose}{GATED}
  pod:
    spec:
      terminationGracePeriodSeconds: 5
      hostname: inside
      volumes:
        - {{ name: scratch, emptyDir: {{}} }}
        - {{ name: host, hostPath: {{ path: "{host}", type: DirectoryOrCreate }} }}
        - {{ name: texts, configMap: {{ name: texts }} }}
        - {{ name: keys, secret: {{ secretName: keys, defaultMode: 0400 }} }}
      initContainers:
        - name: prepare
          image: "{image}"
          command: [ /bin/sh, -c, 'echo prepared > /scratch/init' ]
          volumeMounts: [ {{ name: scratch, mountPath: /scratch }} ]
      containers:
        - name: web
          image: "{image}"
          command: [ /bin/sh, -c ]
          args: [ 'echo "$GREETING|$PASS|$motd|$WHO|$DEVICE_ID|$(cat /texts/motd)|$(cat /keys/pass)|$(stat -c %a /keys/pass)|$(cat /scratch/init)|$(hostname)|$(pwd)" >> /host/web; httpd -p 8000 -h /scratch; trap "exit 0" TERM; sleep 100000 & wait' ]
          workingDir: /tmp
          env:
            - {{ name: FLOTTA_TEST, value: "{tag}" }}
            - {{ name: GREETING, valueFrom: {{ configMapKeyRef: {{ name: texts, key: greeting }} }} }}
            - {{ name: PASS, valueFrom: {{ secretKeyRef: {{ name: keys, key: pass }} }} }}
            - {{ name: WHO, valueFrom: {{ fieldRef: {{ fieldPath: metadata.namespace }} }} }}
          envFrom: [ {{ configMapRef: {{ name: texts }} }}, {{ secretRef: {{ name: absent, optional: true }} }} ]
          ports: [ {{ containerPort: 8000, hostPort: {port}, hostIP: 127.0.0.1 }} ]
          {limits}
          volumeMounts:
            - {{ name: scratch, mountPath: /scratch }}
            - {{ name: host, mountPath: /host }}
            - {{ name: texts, mountPath: /texts }}
            - {{ name: keys, mountPath: /keys }}
        - name: side
          image: "{image}"
          command: [ /bin/sh, -c, 'touch /no 2>/dev/null || echo read-only >> /host/side; id -u >> /host/side; trap "exit 0" TERM; sleep 100000 & wait' ]
          env: [ {{ name: FLOTTA_TEST, value: "{tag}" }} ]
          securityContext: {{ readOnlyRootFilesystem: true, runAsUser: 0, capabilities: {{ drop: [ ALL ], add: [ DAC_OVERRIDE ] }} }}
          volumeMounts: [ {{ name: host, mountPath: /host }} ]
"#,
        name = place.name("web"),
        whose = place.whose(),
    )
}

pub fn fetch(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer.split_once("\r\n\r\n")?.1.trim().to_owned())
}

#[test]
fn a_whole_pod_is_started_observed_changed_stopped_and_removed_and_nothing_is_left_or_touched() {
    let Some(mut place) = Place::new() else { return };
    let other_owner = json!({ "project-flotta.io/owner": "somebody-else", "project-flotta.io/name": place.name("web"),
        "project-flotta.io/namespace": "default", "project-flotta.io": "0123456789ab", "flotta-test": "1" });
    let foreign = [
        place.podman.foreign(&format!("plain-{}", std::process::id()), json!({ "flotta-test": "1" })),
        place.podman.foreign(&format!("labelled-{}", std::process::id()), other_owner),
    ];
    let port = free_port();
    place.manifest("web.yaml", &manifest(&place, "hello", port));
    place.start();

    let idle = place.until_state("web", "inactive");
    assert_eq!(idle["reason"], "ConditionFalse");
    assert!(place.podman.named(&place.tag()).is_empty());

    place.agent().set("x", 1.0);
    let running = place.until_state("web", "running");
    assert!(running["kind"] == "pod" && place.warns_of_disks(&running), "{running}");
    let id = place.id();
    let said =
        |greeting: &str| format!("{greeting}|s3cret|be kind|default|{id}|be kind|s3cret|400|prepared|inside|/tmp");
    let (code, why) = place.client(&["why", &place.name("web"), "--url", &format!("http://{}", place.agent().http)]);
    assert!(code == 0 && why.contains("on (x == 1) is true"), "{code} {why}");
    let (host, port_of_mqtt) =
        place.agent().mqtt.rsplit_once(':').map(|(a, b)| (a.to_owned(), b.to_owned())).expect("host:port");
    let topic = format!("flotta/devices/{}/workloads/default/{}/status", place.id(), place.name("web"));
    let retained = Command::new("mosquitto_sub")
        .args(["-h", &host, "-p", &port_of_mqtt, "-t", &topic, "-C", "1", "-W", "20"])
        .output()
        .expect("mosquitto_sub is there: make test installs it");
    let retained: serde_json::Value = serde_json::from_slice(&retained.stdout).expect("the workload object");
    assert_eq!((&retained["state"], &retained["hash"]), (&json!("running"), &running["hash"]));
    let host = place.path("host");
    until_true("the web container said what it saw", || lines(&host.join("web")).len() == 1);
    assert_eq!(lines(&host.join("web")), [said("hello")]);
    until_true("the side container said what it saw", || lines(&host.join("side")).len() == 2);
    assert_eq!(lines(&host.join("side")), ["read-only", "0"]);
    until_true("the port answers", || fetch(port, "/init").as_deref() == Some("prepared"));

    let web = place.one("web", "web");
    let inspected = place.podman.inspect("containers", web["Id"].as_str().expect("an id"));
    if limits().is_some() {
        let limits = (&inspected["HostConfig"]["CpuQuota"], &inspected["HostConfig"]["Memory"]);
        assert_eq!(limits, (&json!(50_000), &json!(64 << 20)));
    }
    let labels = &web["Labels"];
    let hash = running["hash"].as_str().expect("a hash");
    assert_eq!(labels["project-flotta.io"], hash);
    assert_eq!(labels["project-flotta.io/device"], place.id());
    assert_eq!(web["PodName"], format!("{}-{hash}", place.name("web")));

    // Another content of a ConfigMap is another version: the old pod goes, the new one comes.
    place.manifest("web.yaml", &manifest(&place, "goodbye", port));
    let changed = place.until("web", "the new version", |w| w["state"] == "running" && w["hash"] != running["hash"]);
    until_true("the new web container said what it saw", || lines(&host.join("web")).len() == 2);
    assert_eq!(lines(&host.join("web"))[1], said("goodbye"));
    let pods = place.podman.pods(&format!("project-flotta.io/device={}", place.id()));
    assert_eq!(pods.len(), 1, "{pods:#?}");
    until_true("the port answers again", || fetch(port, "/init").as_deref() == Some("prepared"));

    place.agent().set("x", 0.0);
    let stopped = place.until_state("web", "inactive");
    assert_eq!((&stopped["reason"], &stopped["hash"]), (&json!("ConditionFalse"), &changed["hash"]));
    place.is_empty();
    assert!(fetch(port, "/init").is_none());

    place.delete("web.yaml");
    let name = place.name("web");
    place.agent().follow("web goes", |event| (event["name"] == name.as_str() && event["to"].is_null()).then_some(()));
    assert_eq!(place.terminate(), Some(0));
    place.is_empty();
    assert!(host.join("web").exists(), "what is in a hostPath is the user's");
    foreign.iter().for_each(super::service::Foreign::is_untouched);
}

#[test]
fn a_container_port_without_a_host_port_is_not_open_on_the_device() {
    let Some(mut place) = Place::new() else { return };
    let port = free_port();
    let serve = place.container("c", &format!("httpd -p {port} -h /bin; trap \"exit 0\" TERM; sleep 100000 & wait"));
    let serve = serve.trim_end_matches('}');
    place.pod("quiet", "", &format!("{{ containers: [ {serve}, ports: [ {{ containerPort: {port} }} ] }} ] }}"));
    place.start();
    place.until_state("quiet", "running");
    let quiet = place.one("quiet", "c");
    assert_eq!(quiet["Ports"], serde_json::Value::Null, "{quiet}");
    assert!(fetch(port, "/").is_none());
}

#[test]
fn two_pods_with_an_empty_dir_of_the_same_name_see_nothing_of_each_other() {
    let Some(mut place) = Place::new() else { return };
    let out = place.shared("out");
    for n in ["one", "two"] {
        let script = format!(
            "touch /shared/{n}; ls /shared > /out/{n}.new; mv /out/{n}.new /out/{n}; trap \"exit 0\" TERM; sleep 100000 & wait"
        );
        let container = place.container("c", &script);
        let container = container.trim_end_matches('}');
        place.pod(
            n,
            "",
            &format!(
                "{{ volumes: [ {{ name: same, emptyDir: {{}} }}, {{ name: out, hostPath: {{ path: \"{}\" }} }} ], containers: [ {container}, volumeMounts: [ {{ name: same, mountPath: /shared }}, {{ name: out, mountPath: /out }} ] }} ] }}",
                out.display()
            ),
        );
    }
    place.start();
    for n in ["one", "two"] {
        place.until_state(n, "running");
        until_true("it looked", || out.join(n).exists());
        assert_eq!(lines(&out.join(n)), [n]);
    }
    place.delete("one.yaml");
    place.delete("two.yaml");
    place.is_empty();
}

#[test]
fn what_a_pod_asks_for_and_does_not_get_yet_is_a_warning_with_its_place() {
    let Some(mut place) = Place::new() else { return };
    let container = place.container("c", super::specs::WAITS);
    let container = container.trim_end_matches('}');
    place.pod(
        "w",
        "",
        &format!("{{ nodeName: here, containers: [ {container}, resizePolicy: [], imagepullPolicy: Never }} ] }}"),
    );
    place.start();
    let running = place.until_state("w", "running");
    let warnings = running["warnings"].to_string();
    for part in ["resizePolicy", "imagepullPolicy", "nodeName", "w.yaml:"] {
        assert!(warnings.contains(part), "{part} in {warnings}");
    }
}
