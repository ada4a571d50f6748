//! What the machine is made of, as Linux tells it without root's tools: `/proc`, `/sys`, `/dev`, udev's records, and one
//! question to the kernel for addresses.
//!
//! - Nothing that changes by itself is in it: two readings of an unchanged machine are equal, so that a difference is news.
//! - It obeys the server's rules whatever the files hold: no null, `flags` always there, numbers in range, a host name and
//!   five other texts of which the server can make labels. One mistake here costs every heartbeat (500).
//! - Reading blocks: call it on a thread for that. Each file is bounded, each list has a limit, nothing panics.
//!
//! [`read`] is all that a caller needs; [`survey`] also tells what it cost.

mod addresses;
mod cpu;
mod devices;
mod disks;
mod gpus;
mod interfaces;
mod limits;
mod machine;
mod mounts;
mod text;
mod tree;
mod udev;
mod wire;

pub use addresses::Address;
pub use limits::MAX_HARDWARE_BYTES;
pub(in crate::node) use mounts::unescape;
pub use wire::{Boot, Cpu, Disk, Gpu, Hardware, HostDevice, Interface, IoPerf, Memory, Mount, SystemVendor};

use std::path::Path;
use tree::Tree;

impl Hardware {
    /// The smallest object that the server accepts: nothing known, every list there.
    pub fn minimal() -> Self {
        Self::default()
    }
}

/// What is asked of the kernel and not read from files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Kernel {
    /// `uname -m`.
    pub machine: Option<String>,
    /// `uname -n`.
    pub nodename: Option<String>,
    /// Addresses of network interfaces.
    pub addresses: Vec<Address>,
}

impl Kernel {
    /// What this machine's kernel says.
    pub fn of_this_machine() -> Self {
        let uname = rustix::system::uname();
        let text = |text: &std::ffi::CStr| text::clean(text.to_bytes());
        Self {
            machine: text(uname.machine()),
            nodename: text(uname.nodename()),
            addresses: addresses::of_this_machine(),
        }
    }
}

/// A reading, and what it took.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Survey {
    /// What was read.
    pub hardware: Hardware,
    /// Files and directories that were opened.
    pub opened: u32,
    /// Things that did not fit into a limit and are missing.
    pub left_out: u32,
}

/// Reads the machine whose files are below `root`: `/` on a device. Only there is the kernel asked, too.
pub fn read(root: &Path) -> Hardware {
    survey(root).hardware
}

/// As [`read`], with what it took.
pub fn survey(root: &Path) -> Survey {
    let kernel = if root == Path::new("/") { Kernel::of_this_machine() } else { Kernel::default() };
    survey_with(root, &kernel)
}

/// As [`survey`], with the kernel's answers given.
pub fn survey_with(root: &Path, kernel: &Kernel) -> Survey {
    let tree = Tree::at(root);
    let cpu = cpu::read(&tree, kernel.machine.as_deref());
    let mut hardware = Hardware {
        hostname: machine::hostname(&tree, kernel.nodename.as_deref()),
        memory: machine::memory(&tree),
        boot: machine::boot(&tree),
        system_vendor: machine::vendor(&tree, &cpu.flags),
        disks: disks::read(&tree),
        gpus: gpus::read(&tree),
        interfaces: interfaces::read(&tree, &kernel.addresses),
        host_devices: devices::read(&tree),
        mounts: mounts::read(&tree),
        cpu,
    };
    tree.leave_out(limits::fit(&mut hardware));
    Survey { hardware, opened: tree.opened(), left_out: tree.left_out() }
}
