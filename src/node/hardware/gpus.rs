//! Graphics and compute cards: PCI devices of class 03.

use super::text;
use super::tree::Tree;
use super::wire::Gpu;
use std::io::{BufRead, BufReader, Read};

/// PCI devices that are looked at.
const MAX_PCI_DEVICES: usize = 1024;
/// Cards.
const MAX_GPUS: usize = 32;
/// Bytes of the list of names; it has about 1.5 MB.
const MAX_PCI_IDS_BYTES: u64 = 8 * 1024 * 1024;
/// Bytes of one line in it.
const MAX_LINE_BYTES: u64 = 4096;
/// Where distributions keep the list of names.
const PCI_IDS: [&str; 3] = ["usr/share/hwdata/pci.ids", "usr/share/misc/pci.ids", "var/lib/pciutils/pci.ids"];

/// Reads all cards.
pub(super) fn read(tree: &Tree) -> Vec<Gpu> {
    let mut addresses = tree.names("sys/bus/pci/devices");
    tree.keep(&mut addresses, MAX_PCI_DEVICES);
    let mut gpus: Vec<Gpu> = addresses.into_iter().filter_map(|address| gpu(tree, address)).collect();
    tree.keep(&mut gpus, MAX_GPUS);
    // The list of names is long: only for somebody who is in it.
    if !gpus.is_empty() {
        name(tree, &mut gpus);
    }
    gpus
}

fn gpu(tree: &Tree, address: String) -> Option<Gpu> {
    let value = |file: &str| tree.value(&format!("sys/bus/pci/devices/{address}/{file}"));
    let id = |file: &str| text::clean_str(value(file)?.strip_prefix("0x")?);
    if !value("class")?.starts_with("0x03") {
        return None;
    }
    Some(Gpu { vendor_id: id("vendor"), device_id: id("device"), address: Some(address), vendor: None, name: None })
}

/// Fills in the names. A vendor is a line `8086  Intel Corporation`; its devices follow, each after a tab.
fn name(tree: &Tree, gpus: &mut [Gpu]) {
    let Some(file) = PCI_IDS.iter().find_map(|path| tree.open(path)) else { return };
    let mut file = BufReader::new(file.take(MAX_PCI_IDS_BYTES));
    let (mut vendor, mut line) = (None, Vec::new());
    loop {
        line.clear();
        match (&mut file).take(MAX_LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let Ok(text) = std::str::from_utf8(&line) else { continue };
        let entry = |text: &str| {
            let (id, name) = text.split_once("  ")?;
            Some((id.to_owned(), text::clean_str(name)?))
        };
        if text.starts_with('#') || text.starts_with("\t\t") || text.trim().is_empty() {
            continue;
        }
        if text.starts_with("C ") {
            return; // Classes come after all vendors, with numbers that look like a vendor's.
        }
        match text.strip_prefix('\t').map(entry) {
            None => vendor = entry(text),
            Some(Some((device, name))) => fill(gpus, vendor.as_ref(), Some((&device, &name))),
            Some(None) => {}
        }
        fill(gpus, vendor.as_ref(), None);
    }
}

fn fill(gpus: &mut [Gpu], vendor: Option<&(String, String)>, device: Option<(&str, &str)>) {
    let Some((vendor_id, vendor)) = vendor else { return };
    for gpu in gpus.iter_mut().filter(|gpu| gpu.vendor_id.as_deref() == Some(vendor_id)) {
        gpu.vendor.get_or_insert_with(|| vendor.clone());
        if let Some((_, name)) = device.filter(|(id, _)| gpu.device_id.as_deref() == Some(id)) {
            gpu.name = Some(name.to_owned());
        }
    }
}
