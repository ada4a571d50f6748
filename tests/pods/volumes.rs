//! Claims, emptyDirs, devices and paths that are not there yet, on both podmans.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::{Value as Json, json};

use super::device::{lines, until_true};
use super::place::{Place, kill9};
use super::specs::{SOON, WAITS};

/// A device that containers may not open unless it is given to them, and that does nothing when it is opened: fuse.
const FUSE: (u32, u32) = (10, 229);

/// The command line of `gc --volumes` on this device.
fn collect(place: &Place, more: &[&str]) -> (i32, String) {
    let socket = place.path("state/run/control.sock").display().to_string();
    place.client(&[&["gc", "--volumes", "--socket", &socket], more].concat())
}

/// The podman volume of a claim of this test, if it is there.
fn claimed(place: &Place, claim: &str) -> Option<Json> {
    let (code, volume) = place.podman.call("GET", &format!("volumes/default_{}/json", place.name(claim)), None);
    (code == 200).then_some(volume)
}

/// Where its files are.
fn files(place: &Place, claim: &str) -> PathBuf {
    claimed(place, claim).expect("the claim is there")["Mountpoint"].as_str().expect("a directory").into()
}

/// A pod of one container with these volumes (of the pod) and mounts (of the container).
fn with_volumes(place: &Place, name: &str, head: &str, script: &str, volumes: &str, mounts: &str) {
    let container = place.container("c", script);
    let container = container.trim_end_matches('}');
    place.pod(
        name,
        head,
        &format!(
            "{{ terminationGracePeriodSeconds: 5, volumes: [ {volumes} ], containers: [ {container}, volumeMounts: [ {mounts} ] }} ] }}"
        ),
    );
}

fn claim(place: &Place, volume: &str, claim: &str) -> String {
    format!("{{ name: {volume}, persistentVolumeClaim: {{ claimName: {} }} }}", place.name(claim))
}

/// A container of a user's podman has to be let through to paths of this test.
fn open(path: &Path) {
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("opened");
}

fn plug_in(path: &Path, (major, minor): (u32, u32)) {
    mknodat(CWD, path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor)).expect("made");
    fs::set_permissions(path, fs::Permissions::from_mode(0o666)).expect("opened");
}

#[test]
fn a_claim_outlives_its_pod_its_versions_and_the_agent_until_it_is_collected() {
    for mut place in Place::each() {
        let write = |place: &Place, word: &str| {
            let script = format!("echo {word} >> /data/log; {WAITS}");
            let volumes = claim(place, "data", "db");
            with_volumes(place, "w", "", &script, &volumes, "{ name: data, mountPath: /data }");
        };
        place.manifest(
            "claim.yaml",
            &format!("apiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{ name: {} }}\nspec: {{ accessModes: [ ReadWriteOnce ], resources: {{ requests: {{ storage: 1Gi }} }} }}\n", place.name("db")),
        );
        write(&place, "one");
        place.start();
        place.until_state("w", "running");
        assert_eq!(place.agent().get("/api/v1/device")["problems"], json!([]), "a claim's document is taken quietly");
        let log = files(&place, "db").join("log");
        until_true("it wrote", || lines(&log) == ["one"]);
        write(&place, "two");
        until_true("the next version wrote too", || lines(&log) == ["one", "two"]);
        let labels = claimed(&place, "db").expect("there")["Labels"].clone();
        assert_eq!(
            (&labels["project-flotta.io/namespace"], &labels["project-flotta.io/claim"]),
            (&json!("default"), &json!(place.name("db")))
        );
        // Wanted, it is not collected.
        let (code, said) = collect(&place, &[]);
        assert!(code == 0 && said.contains("nothing to remove") && !said.contains(&place.name("db")), "{code} {said}");
        place.delete("w.yaml");
        until_true("the pod is gone", || place.podman.named(&place.name("w")).is_empty());
        // The next agent sweeps what earlier pods left: this it does not.
        place.kill();
        place.start();
        until_true("the agent has looked", || {
            let (code, said) = collect(&place, &["--dry-run"]);
            code == 0
                && said.contains(&format!("claim default/{}", place.name("db")))
                && said.contains("would be removed")
        });
        assert_eq!(lines(&log), ["one", "two"]);
        let (code, said) = collect(&place, &[]);
        assert!(code == 0 && said.contains("removed, ") && said.contains("1 claim removed"), "{code} {said}");
        assert!(claimed(&place, "db").is_none() && !log.exists());
        place.is_empty();
    }
}

#[test]
fn workloads_of_a_namespace_share_a_claim_and_any_user_may_write_but_where_it_is_read_only() {
    for mut place in Place::each() {
        let volumes = format!("{}, {{ name: scratch, emptyDir: {{}} }}", claim(&place, "data", "shared"));
        let mounts = "{ name: data, mountPath: /data }, { name: scratch, mountPath: /scratch }";
        let container = place.container("c", &format!("echo mine > /scratch/x; cp /scratch/x /data/x; {WAITS}"));
        let container = container.trim_end_matches('}');
        place.pod(
            "writer",
            "",
            &format!("{{ terminationGracePeriodSeconds: 5, volumes: [ {volumes} ], containers: [ {container}, securityContext: {{ runAsUser: 1000 }}, volumeMounts: [ {mounts} ] }} ] }}"),
        );
        let script = format!(
            "until [ -s /data/x ]; do sleep 0.1; done; (cat /data/x; touch /data/y || echo refused) > /out/new 2>/dev/null; mv /out/new /out/said; {WAITS}"
        );
        let volumes = format!(
            "{{ name: data, persistentVolumeClaim: {{ claimName: {}, readOnly: true }} }}, {}",
            place.name("shared"),
            claim(&place, "out", "out")
        );
        with_volumes(
            &place,
            "reader",
            "",
            &script,
            &volumes,
            "{ name: data, mountPath: /data }, { name: out, mountPath: /out }",
        );
        place.start();
        place.until_state("writer", "running");
        place.until_state("reader", "running");
        let said = files(&place, "out").join("said");
        until_true("the reader read", || said.exists());
        assert_eq!(lines(&said), ["mine", "refused"]);
        for file in ["writer.yaml", "reader.yaml"] {
            place.delete(file);
        }
        let gone = |name: &str| place.podman.named(&place.name(name)).is_empty();
        until_true("both are gone", || gone("writer") && gone("reader"));
        let (code, said) = collect(&place, &[]);
        assert!(code == 0 && said.contains("2 claims removed"), "{code} {said}");
    }
}

#[test]
fn a_volume_of_somebody_else_with_a_claims_name_is_said_and_not_touched() {
    let Some(mut place) = Place::new() else { return };
    let name = format!("default_{}", place.name("theirs"));
    let (code, made) = place.podman.call("POST", "volumes/create", Some(&json!({ "Name": name })));
    assert_eq!(code, 201, "{made}");
    let theirs = PathBuf::from(made["Mountpoint"].as_str().expect("a directory")).join("theirs");
    fs::write(&theirs, "precious").expect("written");
    let script = format!("rm -f /data/theirs; {WAITS}");
    with_volumes(&place, "w", SOON, &script, &claim(&place, "data", "theirs"), "{ name: data, mountPath: /data }");
    place.start();
    let failed = place.until_state("w", "error");
    let message = failed["message"].as_str().expect("a sentence");
    assert!(
        failed["reason"] == "StartFailed" && message.contains(&name) && message.contains("not touched"),
        "{failed}"
    );
    let (code, said) = collect(&place, &[]);
    assert!(code == 0 && said.contains("nothing to remove"), "{code} {said}");
    assert_eq!(fs::read_to_string(&theirs).expect("still there"), "precious");
    let (code, _) = place.podman.call("DELETE", &format!("volumes/{name}"), None);
    assert_eq!(code, 204);
    place.until_state("w", "running");
}

#[test]
fn an_empty_dir_in_memory_is_limited_and_one_on_disk_is_limited_or_said_not_to_be() {
    for mut place in Place::each() {
        let volumes = format!(
            "{{ name: memory, emptyDir: {{ medium: Memory, sizeLimit: 1Mi }} }}, {{ name: disk, emptyDir: {{ sizeLimit: 1Mi }} }}, {}",
            claim(&place, "out", "out")
        );
        let script = format!(
            "for at in memory disk; do if dd if=/dev/zero of=/$at/x bs=1M count=2 2>/dev/null; then echo $at took; else echo $at full; fi; done > /out/new; mv /out/new /out/said; {WAITS}"
        );
        let mounts =
            "{ name: memory, mountPath: /memory }, { name: disk, mountPath: /disk }, { name: out, mountPath: /out }";
        with_volumes(&place, "w", "", &script, &volumes, mounts);
        place.start();
        let running = place.until_state("w", "running");
        let said = files(&place, "out").join("said");
        until_true("it tried", || said.exists());
        let warned = running["warnings"].as_array().is_some_and(|all| {
            all.iter().any(|w| {
                w.as_str().is_some_and(|w| w.starts_with("LimitNotEnforced: the sizeLimit of emptyDir disk: "))
            })
        });
        assert_eq!(lines(&said), ["memory full", if warned { "disk took" } else { "disk full" }], "{running}");
        assert!(place.podman.named("flotta-probe").is_empty());
        place.delete("w.yaml");
        until_true("it is gone", || place.podman.named(&place.name("w")).is_empty());
        let (code, said) = collect(&place, &[]);
        assert!(code == 0 && said.contains("1 claim removed"), "{code} {said}");
        place.is_empty();
    }
}

#[test]
fn a_workload_waits_for_its_device_gets_it_as_one_and_gets_it_again_under_another_number() {
    for mut place in Place::each() {
        open(&place.path(""));
        let (out, modem) = (place.path("out"), place.path("modem"));
        fs::create_dir(&out).expect("made");
        fs::set_permissions(&out, fs::Permissions::from_mode(0o777)).expect("opened");
        let script = format!(
            "if (exec 3<>/dev/modem); then echo opened; else echo shut; fi >> /out/log; stat -c %t:%T /dev/modem >> /out/log; {WAITS}"
        );
        let volumes = format!(
            "{{ name: modem, hostPath: {{ path: \"{}\", type: CharDevice }} }}, {{ name: out, hostPath: {{ path: \"{}\" }} }}",
            modem.display(),
            out.display()
        );
        with_volumes(
            &place,
            "w",
            SOON,
            &script,
            &volumes,
            "{ name: modem, mountPath: /dev/modem }, { name: out, mountPath: /out }",
        );
        place.start();
        let waiting = place.until_state("w", "ready");
        let message = waiting["message"].as_str().expect("a sentence");
        assert!(waiting["reason"] == "VolumeWait" && message.contains(&modem.display().to_string()), "{waiting}");
        assert_eq!(waiting["restarts"], 0);
        plug_in(&modem, FUSE);
        place.until_state("w", "running");
        let log = out.join("log");
        until_true("it was opened", || lines(&log).len() == 2);
        assert_eq!(lines(&log), ["opened", "a:e5"]);
        // Unplugged: what becomes of the workload is its own affair, here it ends.
        fs::remove_file(&modem).expect("unplugged");
        kill9(&place.one("w", "c"));
        place.until("w", "it waits again", |w| w["reason"] == "VolumeWait");
        plug_in(&modem, (1, 3));
        place.until_state("w", "running");
        until_true("the other one was opened", || lines(&log).len() == 4);
        assert_eq!(lines(&log)[2..], ["opened", "1:3"]);
        place.delete("w.yaml");
        place.is_empty();
    }
}

#[test]
fn a_path_that_appears_starts_what_waits_for_it_and_a_wrong_one_is_an_error() {
    let Some(mut place) = Place::new() else { return };
    let late = place.path("late/er");
    let file = place.path("file");
    fs::write(&file, "").expect("written");
    for (name, path, kind) in [("late", &late, "Directory"), ("wrong", &file, "Directory")] {
        let volumes = format!("{{ name: v, hostPath: {{ path: \"{}\", type: {kind} }} }}", path.display());
        with_volumes(&place, name, "", WAITS, &volumes, "{ name: v, mountPath: /v }");
    }
    place.start();
    let wrong = place.until_state("wrong", "error");
    assert!(wrong["message"].as_str().is_some_and(|why| why.contains("is no directory")), "{wrong}");
    let waiting = place.until_state("late", "ready");
    assert_eq!(waiting["reason"], "VolumeWait", "{waiting}");
    fs::create_dir_all(&late).expect("made");
    place.until_state("late", "running");
}
