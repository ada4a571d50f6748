//! `configuration.mounts`: carried out, tamely, and never over what the device lives by.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::device::until_true;
use super::site::{Site, quick};

/// A directory of this test below /mnt: temporary directories are no place for a server's mounts. Gone with the test.
struct Below(PathBuf);

impl Below {
    fn new(site: &Site) -> Below {
        let path = PathBuf::from(format!("/mnt/flotta-test-{}", site.device.tag()));
        fs::create_dir_all(&path).expect("made; the test runs as root, like all that need podman");
        Below(path)
    }

    fn at(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        for entry in fs::read_dir(&self.0).into_iter().flatten().flatten() {
            let _ = rustix::mount::unmount(entry.path(), rustix::mount::UnmountFlags::DETACH);
        }
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// The line of the kernel's table for this directory.
fn mounted(directory: &str) -> Option<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").expect("the kernel's");
    table.lines().find(|line| line.split(' ').nth(4) == Some(directory)).map(str::to_owned)
}

#[test]
fn what_the_server_wants_mounted_is_mounted_tamely_and_nothing_over_or_out_of_the_devices_own() {
    let mut site = Site::new();
    let below = Below::new(&site);
    fs::create_dir(below.0.join("full")).expect("made");
    fs::write(below.0.join("full/file"), "precious").expect("written");
    let mut wanted = quick();
    wanted["mounts"] = json!([
        { "device": "none", "directory": below.at("memory"), "type": "tmpfs", "options": "size=64k,noatime" },
        { "device": "none", "directory": "/etc/flotta-test", "type": "tmpfs", "options": "" },
        { "device": "none", "directory": below.at("suid"), "type": "tmpfs", "options": "suid" },
        { "device": "/etc", "directory": below.at("bound"), "type": "", "options": "bind" },
        { "device": "none", "directory": below.at("full"), "type": "tmpfs", "options": "" },
        { "device": "overlay", "directory": below.at("overlay"), "type": "overlay", "options": "lowerdir=/" },
    ]);
    site.join(wanted.clone(), json!([]));
    until_true("memory is mounted", || mounted(&below.at("memory")).is_some());
    let line = mounted(&below.at("memory")).expect("just seen");
    assert!(["nosuid", "nodev", "noatime", "size=64k"].iter().all(|word| line.contains(word)), "{line}");
    for words in [
        "nothing is mounted on /etc/flotta-test for a server",
        "remote.privileged: true",
        "no workload of a server gets /etc",
        "is not empty",
        "type \\\"overlay\\\" is not mounted",
    ] {
        until_true(words, || site.problems().contains(words));
    }
    for name in ["suid", "bound", "full", "overlay"] {
        assert_eq!(mounted(&below.at(name)), None, "{name}");
    }
    assert!(!Path::new("/etc/flotta-test").exists());
    // Taken out of the configuration it stays mounted: something may use it. The problems go.
    wanted["mounts"] = json!([]);
    site.server.set_configuration(super::site::ID, wanted);
    until_true("nothing is wrong any more", || !site.problems().contains("configuration.mounts"));
    assert!(mounted(&below.at("memory")).is_some());
}

#[test]
fn a_device_that_does_not_let_its_server_mount_says_so_and_mounts_nothing() {
    let mut site = Site::new();
    let below = Below::new(&site);
    site.set("REMOTE_MOUNTS", "false");
    let mut wanted = quick();
    wanted["mounts"] = json!([{ "device": "none", "directory": below.at("memory"), "type": "tmpfs", "options": "" }]);
    site.join(wanted, json!([]));
    until_true("it is said", || site.problems().contains("remote.mounts is false"));
    assert_eq!(mounted(&below.at("memory")), None);
    assert!(!below.0.join("memory").exists());
}
