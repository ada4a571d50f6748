//! A device whose state directory is on a disk of its own, so small that a test can fill it.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::ops::{Deref, DerefMut};
use std::path::PathBuf;
use std::process::Command;

use super::device::Device;

const SIZE: &str = "size=2m";

/// The disk goes with the device, after it.
pub struct SmallDisk<D: Deref<Target = Device>> {
    device: Option<D>,
    at: PathBuf,
}

/// Whether a disk can be mounted here; `None`: not, with the reason printed.
pub fn can_mount() -> Option<()> {
    if rustix::process::geteuid().is_root() {
        return Some(());
    }
    // Past the test runner, which keeps to itself what a passing test prints.
    let _ = writeln!(std::io::stderr(), "skipped: only root can mount a small disk");
    None
}

impl<D: Deref<Target = Device>> SmallDisk<D> {
    /// Before the device's first agent.
    pub fn under(device: D) -> SmallDisk<D> {
        let at = device.path("state");
        std::fs::create_dir(&at).expect("made");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", SIZE, "none"]).arg(&at).status();
        assert!(mounted.expect("mount").success(), "a tmpfs cannot be mounted");
        SmallDisk { device: Some(device), at }
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }

    /// Not a byte of room is left.
    pub fn fill(&self) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.ballast()).expect("a file");
        loop {
            match file.write(&[0; 4096]) {
                Ok(_) => {}
                Err(why) if why.kind() == ErrorKind::StorageFull => return,
                Err(why) => panic!("{why}"),
            }
        }
    }

    /// There is room again.
    pub fn free(&self) {
        File::create(self.ballast()).expect("emptied");
        std::fs::remove_file(self.ballast()).expect("removed");
    }

    /// What the device says of its disk.
    pub fn said(&self) -> String {
        let device = self.agent().get("/api/v1/device");
        let problems = device["problems"].as_array().cloned().unwrap_or_default();
        let of_disk = problems.iter().filter_map(|p| p["message"].as_str()).filter(|m| m.contains("No space left"));
        of_disk.map(str::to_owned).collect::<Vec<_>>().join("; ")
    }

    #[allow(dead_code, reason = "not every test of a full disk asks")]
    /// What the agent counts under this name.
    pub fn count(&self, name: &str) -> u64 {
        let text = self.agent().request("GET", "/metrics", &[], b"").1;
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("{name}_total ")).map(str::to_owned));
        line.and_then(|number| number.parse::<f64>().ok()).map_or(0, |number| number as u64)
    }

    #[allow(dead_code, reason = "not every test of a full disk asks")]
    /// What an object holds on disk.
    pub fn stored(&self, name: &str) -> String {
        std::fs::read_to_string(self.at.join(format!("{name}.json"))).unwrap_or_default()
    }

    #[allow(dead_code, reason = "not every test of a full disk asks")]
    /// Its manifests are gone from now on: what a later agent runs is what was stored.
    pub fn lose_manifests(&self) {
        std::fs::rename(self.path("manifests"), self.path("manifests-gone")).expect("renamed");
    }
}

impl<D: Deref<Target = Device>> Drop for SmallDisk<D> {
    fn drop(&mut self) {
        // The device's own end may need room.
        let _ = std::fs::remove_file(self.ballast());
        self.device = None;
        let _ = Command::new("umount").arg("-l").arg(&self.at).status();
        if let Some(home) = self.at.parent() {
            let _ = std::fs::remove_dir_all(home);
        }
    }
}

impl<D: Deref<Target = Device>> Deref for SmallDisk<D> {
    type Target = D;

    fn deref(&self) -> &D {
        self.device.as_ref().expect("until it is dropped")
    }
}

impl<D: Deref<Target = Device> + DerefMut> DerefMut for SmallDisk<D> {
    fn deref_mut(&mut self) -> &mut D {
        self.device.as_mut().expect("until it is dropped")
    }
}
