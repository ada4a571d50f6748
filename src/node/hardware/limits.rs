//! The limit of the whole object.

use super::wire::Hardware;

/// Bytes of the object as JSON. The server keeps it in etcd, where an object ends at 1.5 MB, and it crosses the wire with
/// every heartbeat that asks for it.
pub const MAX_HARDWARE_BYTES: usize = 256 * 1024;

/// Halves lists, those that matter least first, until the object fits. Returns how many things were left out.
pub(super) fn fit(hardware: &mut Hardware) -> usize {
    let mut left_out = 0_usize;
    while !fits(hardware) {
        let lists: [&mut dyn Halve; 6] = [
            &mut hardware.host_devices,
            &mut hardware.mounts,
            &mut hardware.cpu.flags,
            &mut hardware.interfaces,
            &mut hardware.disks,
            &mut hardware.gpus,
        ];
        match lists.into_iter().find_map(Halve::halve) {
            Some(count) => left_out = left_out.saturating_add(count),
            None => break,
        }
    }
    left_out
}

fn fits(hardware: &Hardware) -> bool {
    serde_json::to_vec(hardware).is_ok_and(|bytes| bytes.len() <= MAX_HARDWARE_BYTES)
}

trait Halve {
    /// Drops the second half; none if there is nothing to drop.
    fn halve(&mut self) -> Option<usize>;
}

impl<T> Halve for Vec<T> {
    fn halve(&mut self) -> Option<usize> {
        let before = self.len();
        self.truncate(before / 2);
        (before > 0).then(|| before - self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::hardware::{Disk, Mount};

    #[test]
    fn an_object_that_is_too_large_loses_what_matters_least() {
        let mount = |n: usize| Mount { directory: format!("/{n}/{}", "x".repeat(4000)), ..Mount::default() };
        let disk = Disk { name: Some("sda".into()), ..Disk::default() };
        let mut hardware = Hardware { mounts: (0..128).map(mount).collect(), disks: vec![disk], ..Hardware::default() };
        let left_out = fit(&mut hardware);
        assert!(fits(&hardware));
        assert_eq!((hardware.mounts.len(), left_out), (64, 64));
        assert_eq!(hardware.disks.len(), 1);
    }

    #[test]
    fn an_object_that_fits_is_left_alone() {
        let mut hardware = Hardware { hostname: Some("lab".into()), ..Hardware::default() };
        assert_eq!(fit(&mut hardware), 0);
        assert_eq!(hardware.hostname.as_deref(), Some("lab"));
    }
}
