//! The machine as a whole: its name, its maker, its memory, how it was started, whether it is virtual.

use super::text;
use super::tree::Tree;
use super::wire::{Boot, Memory, SystemVendor};

/// Bytes of `/proc/meminfo`: what is wanted is in its first line.
const MAX_MEMINFO_BYTES: u64 = 4096;
/// Bytes of the kernel's command line.
const MAX_CMDLINE_BYTES: u64 = 8192;

/// What DMI says in virtual machines. Not the names of clouds: they rent out whole machines too.
const VIRTUAL_PRODUCTS: [&str; 14] = [
    "KVM",
    "QEMU",
    "VirtualBox",
    "innotek",
    "VMware",
    "VMW",
    "Virtual Machine",
    "Bochs",
    "Parallels",
    "BHYVE",
    "AHV",
    "HVM domU",
    "OpenStack",
    "KubeVirt",
];

/// The host name, fit for a label. `nodename` is what `uname -n` says, for a `/proc` without it.
pub(super) fn hostname(tree: &Tree, nodename: Option<&str>) -> Option<String> {
    let name = tree.value("proc/sys/kernel/hostname").or_else(|| nodename.map(str::to_owned));
    name.or_else(|| tree.value("etc/hostname")).and_then(|name| text::hostname(&name))
}

/// The memory built in, and what the kernel can give away; neither changes with use.
pub(super) fn memory(tree: &Tree) -> Memory {
    let usable = tree.lines("proc/meminfo", MAX_MEMINFO_BYTES).iter().find_map(|line| {
        let kib = line.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim();
        kib.parse::<i64>().ok()?.checked_mul(1024).filter(|bytes| *bytes > 0)
    });
    // Blocks are rounded up, and there are none on kernels without memory hotplug: then it is what is usable.
    Memory { physical_bytes: blocks(tree).max(usable), usable_bytes: usable }
}

fn blocks(tree: &Tree) -> Option<i64> {
    let directory = "sys/devices/system/memory";
    let size = i64::from_str_radix(&tree.value(&format!("{directory}/block_size_bytes"))?, 16).ok()?;
    let is_block = |name: &&String| {
        name.strip_prefix("memory")
            .is_some_and(|number| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit()))
    };
    let count = tree.names(directory).iter().filter(is_block).count();
    i64::try_from(count).ok()?.checked_mul(size).filter(|bytes| *bytes > 0)
}

/// UEFI or not, and the interface that a network boot came in by.
pub(super) fn boot(tree: &Tree) -> Boot {
    let mode = if tree.has("sys/firmware/efi") { "uefi" } else { "bios" };
    let cmdline = tree.bytes("proc/cmdline", MAX_CMDLINE_BYTES).unwrap_or_default();
    let cmdline = String::from_utf8_lossy(&cmdline);
    let bootif = cmdline.split_whitespace().find_map(|word| word.strip_prefix("BOOTIF="));
    Boot {
        current_boot_mode: tree.has("sys/firmware").then(|| mode.to_owned()),
        pxe_interface: bootif.and_then(text::clean_str),
    }
}

/// Maker, product and serial number: from DMI on PCs, from the device tree on boards.
pub(super) fn vendor(tree: &Tree, flags: &[String]) -> SystemVendor {
    let dmi = |name: &str| tree.value(&format!("sys/class/dmi/id/{name}")).and_then(|text| text::firmware(&text));
    let board = |name: &str| {
        let value = tree.value(&format!("sys/firmware/devicetree/base/{name}"));
        value.or_else(|| tree.value(&format!("proc/device-tree/{name}")))
    };
    let compatible = board("compatible");
    let (manufacturer, product_name) = (dmi("sys_vendor"), dmi("product_name"));
    let says_virtual = [&manufacturer, &product_name]
        .into_iter()
        .flatten()
        .any(|text| VIRTUAL_PRODUCTS.iter().any(|product| text.contains(product)));
    let virtual_board = compatible
        .as_deref()
        .is_some_and(|name| name == "linux,dummy-virt" || name.starts_with("qemu,"))
        || ["sys/firmware/devicetree/base/hypervisor", "proc/device-tree/hypervisor"].iter().any(|node| tree.has(node));
    let nothing_known = flags.is_empty() && manufacturer.is_none() && product_name.is_none() && compatible.is_none();
    let virtual_machine =
        says_virtual || virtual_board || flags.iter().any(|flag| flag == "hypervisor") || xen_guest(tree);
    SystemVendor {
        // "raspberrypi,4-model-b": the maker comes first.
        manufacturer: manufacturer.or_else(|| {
            let compatible = compatible.as_deref()?;
            text::firmware(compatible.split_once(',').map_or(compatible, |(maker, _)| maker))
        }),
        product_name: product_name.or_else(|| board("model").and_then(|text| text::firmware(&text))),
        serial_number: dmi("product_serial").or_else(|| board("serial-number").and_then(|text| text::firmware(&text))),
        virtual_machine: (virtual_machine || !nothing_known).then_some(virtual_machine),
    }
}

/// Xen shows its hypervisor to the first domain too, which owns the machine.
fn xen_guest(tree: &Tree) -> bool {
    let owner = tree.value("proc/xen/capabilities").is_some_and(|text| text.contains("control_d"));
    tree.has("sys/hypervisor/type") && !owner
}
