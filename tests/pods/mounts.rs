//! Mounts that the EdgeDevice asks for, and the pods that wait for them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value as Json;

use super::device::until_true;
use super::place::Place;
use super::specs::WAITS;

/// Unmounts at the end, whatever becomes of the test.
struct Directory(PathBuf);

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}

/// A disk image as a block device that can be plugged in.
struct Disk {
    device: String,
    /// What it is known by, below /dev.
    link: PathBuf,
}

impl Disk {
    fn new(place: &Place) -> Disk {
        let image = place.path("disk.img");
        fs::File::create(&image).and_then(|file| file.set_len(16 << 20)).expect("made");
        run("mkfs.ext4", &["-q", &image.display().to_string()]);
        let device = run("losetup", &["--find", "--show", &image.display().to_string()]).trim().to_owned();
        Disk { device, link: PathBuf::from(format!("/dev/flotta-test-{}", place.tag())) }
    }

    fn plug_in(&self) {
        std::os::unix::fs::symlink(&self.device, &self.link).expect("plugged in");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.link);
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}

fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program)
        .args(arguments)
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap_or_else(|why| panic!("{program}: {why}"));
    assert!(output.status.success(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn want(place: &Place, mounts: &str) {
    let text = format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: {{ name: {} }}\nspec: {{ mounts: [ {mounts} ] }}\n",
        place.id()
    );
    place.manifest("device.yaml", &text);
}

/// A pod that writes into a directory below the mount.
fn writer(place: &Place, directory: &Path) {
    let container = place.container("c", &format!("echo here > /data/file; {WAITS}"));
    let container = container.trim_end_matches('}');
    let path = directory.join("data");
    place.pod(
        "w",
        "",
        &format!(
            "{{ terminationGracePeriodSeconds: 5, volumes: [ {{ name: data, hostPath: {{ path: \"{}\", type: DirectoryOrCreate }} }} ], containers: [ {container}, volumeMounts: [ {{ name: data, mountPath: /data }} ] }} ] }}",
            path.display()
        ),
    );
}

fn problems(place: &Place) -> String {
    place.agent().get("/api/v1/device")["problems"].to_string()
}

fn mounted(directory: &Path) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the kernel's");
    let on = |line: &&str| line.split(' ').nth(4) == directory.to_str();
    table.lines().filter(on).map(str::to_owned).collect()
}

#[test]
fn a_disk_is_mounted_when_it_is_plugged_in_and_what_lives_on_it_starts_then() {
    let Some(mut place) = Place::new() else { return };
    let disk = Disk::new(&place);
    let directory = Directory(place.path("mnt/disk"));
    want(
        &place,
        &format!(
            "{{ device: {}, directory: \"{}\", options: \"noatime,nosuid\" }}",
            disk.link.display(),
            directory.0.display()
        ),
    );
    writer(&place, &directory.0);
    place.start();
    let waiting = place.until_state("w", "ready");
    let message = waiting["message"].as_str().expect("a sentence");
    assert!(waiting["reason"] == "VolumeWait" && message.contains(&disk.link.display().to_string()), "{waiting}");
    until_true("the device says so too", || problems(&place).contains("plug it in"));
    assert!(!directory.0.join("data").exists(), "nothing is written where the disk is not");
    disk.plug_in();
    place.until_state("w", "running");
    let table = mounted(&directory.0);
    assert!(
        matches!(table.as_slice(), [one] if one.contains("noatime") && one.contains("nosuid") && one.contains(" ext4 ")),
        "{table:?}"
    );
    until_true("it wrote to the disk", || directory.0.join("data/file").exists());
    until_true("there is no problem any more", || problems(&place) == "[]");
    // Mounted already, it is not mounted again.
    place.kill();
    place.start();
    assert_eq!(place.until_state("w", "running")["reason"], "Adopted");
    // Taken away by somebody, it is mounted again.
    rustix::mount::unmount(&directory.0, rustix::mount::UnmountFlags::DETACH).expect("unmounted");
    until_true("it is mounted again", || mounted(&directory.0).len() == 1);
    place.delete("w.yaml");
    place.is_empty();
}

#[test]
fn memory_and_other_directories_are_mounted_and_what_cannot_be_is_a_problem_with_its_reason() {
    let Some(mut place) = Place::new() else { return };
    let (memory, bound) = (Directory(place.path("mnt/memory")), Directory(place.path("mnt/bound")));
    let (source, file) = (place.path("source"), place.path("file"));
    fs::write(&file, "").expect("written");
    let at = |path: &Path| path.display().to_string();
    want(
        &place,
        &[
            format!("{{ device: none, directory: \"{}\", type: tmpfs, options: \"size=64k,noexec\" }}", at(&memory.0)),
            format!("{{ device: \"{}\", directory: \"{}\", options: \"bind,ro\" }}", at(&source), at(&bound.0)),
            format!("{{ device: none, directory: \"{}\", type: tmpfs }}", at(&file)),
            "{ device: /dev/none, directory: /, type: ext4 }".to_owned(),
            format!("{{ device: proc, directory: \"{}\", type: proc }}", at(&place.path("mnt/proc"))),
        ]
        .join(", "),
    );
    place.start();
    until_true(
        "memory is mounted",
        || matches!(mounted(&memory.0).as_slice(), [one] if one.contains("noexec") && one.contains("size=64k")),
    );
    let said = |words: &str| until_true(words, || problems(&place).contains(words));
    ["is not there", "the directory cannot be opened", "not /", "type \\\"proc\\\" is not mounted"]
        .into_iter()
        .for_each(said);
    fs::create_dir(&source).expect("made");
    until_true(
        "it is bound read-only",
        || matches!(mounted(&bound.0).as_slice(), [one] if one.split(' ').nth(5).is_some_and(|options| options.starts_with("ro"))),
    );
    let all: Json = place.agent().get("/api/v1/device")["problems"].clone();
    assert_eq!(all.as_array().map(Vec::len), Some(3), "{all}");
}

/// In place of the program `mount`: of the file servers that it is asked for one never answers, one refuses, and one is good.
const MOUNT: &str = r#"#!/bin/sh
for directory; do :; done
case "$*" in
    *silent:/x*) echo $$ >> "$PIDS"; sleep 1000 & echo $! >> "$PIDS"; wait ;;
    *refuses:/x*) echo 'mount.nfs: Connection refused' >&2; exit 32 ;;
    *good:/x*) PATH=/usr/bin:/bin exec mount -t tmpfs -o size=64k none "$directory" ;;
    *) echo "unexpected: $*" >&2; exit 1 ;;
esac
"#;

#[test]
fn a_file_server_that_does_not_answer_holds_up_no_other_mount_and_leaves_no_process() {
    use std::os::unix::fs::PermissionsExt;
    let Some(mut place) = Place::new() else { return };
    fs::create_dir(place.path("bin")).expect("made");
    let (program, pids) = (place.path("bin/mount"), place.path("pids"));
    fs::write(&program, MOUNT).expect("written");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).expect("its mode");
    let server = |name: &str| {
        let directory = place.path(&format!("mnt/{name}"));
        let mount =
            format!("{{ device: \"{name}:/x\", directory: \"{}\", type: nfs, options: soft }}", directory.display());
        (Directory(directory), mount)
    };
    let (_silent, first) = server("silent");
    let (_refuses, second) = server("refuses");
    let (good, third) = server("good");
    want(&place, &[first, second, third].join(", "));
    writer(&place, &good.0);
    let path = format!("{}:{}", place.path("bin").display(), "/usr/bin:/bin");
    let pids = pids.display().to_string();
    place.start_with(&[("PATH", &path), ("PIDS", &pids)]);
    place.until_state("w", "running");
    assert!(matches!(mounted(&good.0).as_slice(), [one] if one.contains("size=64k")), "{:?}", mounted(&good.0));
    until_true("it wrote to the server", || good.0.join("data/file").exists());
    until_true("it is said of the one that refuses", || {
        problems(&place).contains("mount says: mount.nfs: Connection refused")
    });
    until_true("and of the one that does not answer", || problems(&place).contains("silent:/x on"));
    let stages = || {
        let table = fs::read_to_string("/proc/self/mountinfo").expect("the kernel's");
        table.lines().filter(|line| line.contains(&format!("/flotta-agent/mounting/{}-", place.agent().pid()))).count()
    };
    until_true("the agent's own place for it is free again", || stages() == 0);
    let all: Vec<i32> =
        fs::read_to_string(&pids).expect("it was called").lines().filter_map(|pid| pid.parse().ok()).collect();
    assert!(all.len() == 2 && all.iter().all(|pid| Path::new(&format!("/proc/{pid}")).exists()), "{all:?}");
    place.delete("w.yaml");
    place.is_empty();
    place.terminate();
    until_true("what hung ends with the agent", || all.iter().all(|pid| !Path::new(&format!("/proc/{pid}")).exists()));
}
