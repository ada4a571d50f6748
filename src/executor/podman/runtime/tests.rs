use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use super::*;

fn file(path: &str, mode: u32, text: &str) -> NewFile {
    NewFile { path: path.into(), mode, bytes: text.into() }
}

fn at(path: PathBuf, owner: Owner) -> Runtime {
    Runtime::new(Box::new(move || Some(RuntimeDir { path: path.clone(), owner })), "us")
}

fn runtime(base: &Path) -> Runtime {
    at(base.join("run"), None)
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

#[test]
fn files_have_their_modes_below_directories_that_only_their_owner_may_enter_and_are_gone_with_the_pod() {
    let base = tempfile::tempdir().expect("a directory");
    let runtime = runtime(base.path());
    assert!(!runtime.has("web-1") && runtime.pods().is_empty());
    let files = [file("v/a", 0o644, "x"), file("v/deep/er/b", 0o400, "y"), file(".env/0", 0o600, "z")];
    runtime.write("web-1", &files, ["v", "empty"].into_iter()).expect("written");
    let dir = runtime.path("web-1");
    let inside = |path: &str| dir.join(path);
    assert_eq!(fs::read_to_string(inside("v/deep/er/b")).expect("read"), "y");
    let modes: Vec<u32> = ["v", "v/a", "v/deep", "v/deep/er/b", "empty", ".env/0", ".", "..", "../.."]
        .iter()
        .map(|path| mode(&inside(path)))
        .collect();
    assert_eq!(modes, [0o755, 0o644, 0o755, 0o400, 0o755, 0o600, 0o700, 0o700, 0o700]);
    assert!(runtime.has("web-1"));
    assert_eq!(runtime.pods(), ["web-1"]);

    runtime.write("web-1", &[file("v/a", 0o644, "new")], ["v"].into_iter()).expect("written anew");
    assert!(!inside("v/deep").exists(), "nothing of before is left");
    runtime.write("other-2", &[file("v/a", 0o644, "x")], ["v"].into_iter()).expect("written");
    runtime.remove("web-1").expect("removed");
    assert!(!dir.exists() && runtime.has("other-2"));
    runtime.remove("other-2").expect("removed");
    runtime.remove("other-2").expect("as before");
    assert_eq!(fs::read_dir(base.path().join("run")).expect("read").count(), 0, "nothing is left");
    runtime.write("none", &[], std::iter::empty()).expect("nothing to write");
    assert_eq!(fs::read_dir(base.path().join("run")).expect("read").count(), 0, "a pod without files has no directory");
}

#[test]
fn files_that_were_not_all_written_are_not_there_but_are_found_and_removed() {
    let base = tempfile::tempdir().expect("a directory");
    let runtime = runtime(base.path());
    // Not a relative path with a name: refused in the middle of writing.
    let files = [file("v/a", 0o644, "x"), file("..", 0o644, "x")];
    runtime.write("web-1", &files, ["v"].into_iter()).expect_err("refused");
    assert!(!runtime.has("web-1"), "half of it is not taken for the whole");
    assert_eq!(runtime.pods(), ["web-1"], "and is found");
    runtime.remove("web-1").expect("removed");
    assert!(runtime.pods().is_empty());
}

#[test]
fn a_directory_that_others_could_enter_is_closed_and_links_in_it_are_not_followed() {
    let base = tempfile::tempdir().expect("a directory");
    let runtime = runtime(base.path());
    fs::create_dir_all(base.path().join("run/pods")).expect("made");
    fs::set_permissions(base.path().join("run/pods"), fs::Permissions::from_mode(0o777)).expect("set");
    runtime.write("web-1", &[file("v/a", 0o644, "x")], ["v"].into_iter()).expect("written");
    assert_eq!(mode(&base.path().join("run/pods")), 0o700);

    let elsewhere = tempfile::tempdir().expect("a directory");
    fs::write(elsewhere.path().join("kept"), "k").expect("written");
    fs::remove_dir_all(base.path().join("run/pods/us")).expect("removed");
    symlink(elsewhere.path(), base.path().join("run/pods/us")).expect("linked");
    runtime.write("web-1", &[file("v/a", 0o644, "x")], ["v"].into_iter()).expect_err("a link is no directory");
    assert!(runtime.remove("kept").is_err() || elsewhere.path().join("kept").exists());
    assert_eq!(fs::read_dir(elsewhere.path()).expect("read").count(), 1, "nothing was written there");
}

#[test]
fn for_another_users_podman_everything_is_his_and_a_path_of_his_is_not_followed() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let theirs = (12_345, 12_346);
    let base = tempfile::tempdir().expect("a directory");
    std::os::unix::fs::chown(base.path(), Some(theirs.0), Some(theirs.1)).expect("his");
    let runtime = at(base.path().join("a/b"), Some(theirs));
    runtime.write("web-1", &[file("v/a", 0o440, "x")], ["v"].into_iter()).expect("written");
    for path in [".", "v", "v/a", "..", "../..", "../../.."] {
        let found = fs::metadata(runtime.path("web-1").join(path)).expect("there");
        assert_eq!((found.uid(), found.gid()), theirs, "{path}");
    }
    assert_eq!(mode(&runtime.path("web-1").join("v/a")), 0o440);

    let elsewhere = tempfile::tempdir().expect("a directory");
    fs::remove_dir_all(base.path().join("a")).expect("removed");
    symlink(elsewhere.path(), base.path().join("a")).expect("linked");
    runtime.write("web-1", &[file("v/a", 0o440, "x")], ["v"].into_iter()).expect_err("his link is not followed");
    assert_eq!(fs::read_dir(elsewhere.path()).expect("read").count(), 0);

    fs::write(elsewhere.path().join("config.json"), "{}").expect("written");
    remove_theirs(&elsewhere.path().join("config.json"), theirs.0).expect_err("it is not his");
    assert!(elsewhere.path().join("config.json").exists());
}

#[test]
fn a_directory_on_a_disk_is_said_and_one_in_memory_is_not() {
    let said = |path: &str| at(path.into(), None).on_disk();
    let proc = said("/proc/self").expect("not a tmpfs");
    assert!(proc.starts_with("SecretsOnDisk: /proc/self is not in memory") && proc.contains("podman.runtime_dir"));
    let in_memory =
        fs::read_to_string("/proc/mounts").expect("read").lines().any(|line| line.starts_with("tmpfs /dev/shm "));
    if in_memory {
        assert_eq!(said("/dev/shm/not/there/yet"), None);
    }
}
