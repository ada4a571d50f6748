//! The machine that the tests run on, beside what its own tools say. A tool that is not there is named and not asked.

use crate::accepted::accepted;
use flotta_agent::node::hardware::{Hardware, read, survey};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

fn told() -> Hardware {
    read(Path::new("/"))
}

/// What a tool writes as JSON.
fn asked(program: &str, args: &[&str]) -> Option<Value> {
    let output = match Command::new(program).args(args).env("LC_ALL", "C").output() {
        Ok(output) if output.status.success() => output,
        other => {
            println!("{program} {args:?} cannot be asked here: {other:?}");
            return None;
        }
    };
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn this_machine_is_told_as_the_server_wants_it() {
    let hardware = told();
    let value = serde_json::to_value(&hardware).unwrap();
    assert_eq!(accepted(&value), Ok(()), "{value}");
    assert!(hardware.cpu.architecture.is_some() && hardware.cpu.count > Some(0));
    assert!(hardware.memory.usable_bytes > Some(0) && hardware.memory.physical_bytes >= hardware.memory.usable_bytes);
    assert!(hardware.mounts.iter().any(|mount| mount.directory == "/"));
}

/// Others on the machine may change it between two readings: so several tries, of which one must find it unchanged.
#[test]
fn two_readings_of_an_unchanged_machine_are_equal() {
    let pairs: Vec<(Hardware, Hardware)> = (0..5).map(|_| (told(), told())).collect();
    let (first, second) = &pairs[0];
    assert!(pairs.iter().any(|(first, second)| first == second), "{first:#?}\n{second:#?}");
    // What cannot be changed by anybody while the tests run.
    assert_eq!((&first.cpu, &first.boot, &first.system_vendor), (&second.cpu, &second.boot, &second.system_vendor));
}

#[test]
fn the_processor_is_the_one_that_lscpu_shows() {
    let Some(lscpu) = asked("lscpu", &["-J"]) else { return };
    let field = |name: &str| {
        let fields = lscpu["lscpu"].as_array().unwrap();
        let field = fields.iter().find(|field| field["field"] == format!("{name}:"))?;
        field["data"].as_str().map(str::to_owned)
    };
    let cpu = told().cpu;
    assert_eq!(cpu.architecture, field("Architecture"));
    assert_eq!(cpu.count.map(|count| count.to_string()), field("CPU(s)"));
    if cpu.architecture.as_deref() == Some("x86_64") {
        assert_eq!(cpu.model_name, field("Model name"));
        assert_eq!(Some(cpu.flags.join(" ")), field("Flags"));
    }
}

#[test]
fn the_disks_are_those_that_lsblk_shows() {
    // Without loop, ram, compressed memory, floppy and RAID; and without those that have no size.
    let columns = "NAME,TYPE,SIZE,ROTA,MODEL,SERIAL";
    let Some(lsblk) = asked("lsblk", &["-J", "-b", "-d", "-e", "1,2,7,9,43", "-o", columns]) else { return };
    let shown: BTreeSet<(String, i64)> = lsblk["blockdevices"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|disk| disk["type"] == "disk" || disk["type"] == "rom")
        .map(|disk| (disk["name"].as_str().unwrap().to_owned(), disk["size"].as_i64().unwrap()))
        .filter(|(name, size)| *size > 0 && !name.starts_with("zram") && !name.contains("boot"))
        .collect();
    let told = told().disks.into_iter().map(|disk| (disk.name.unwrap(), disk.size_bytes.unwrap()));
    assert_eq!(told.collect::<BTreeSet<_>>(), shown);
}

#[test]
fn the_addresses_are_those_that_ip_shows() {
    let Some(shown) = asked("ip", &["-j", "addr"]) else { return };
    let interfaces = told().interfaces;
    assert!(!interfaces.is_empty());
    for interface in interfaces {
        let name = interface.name.unwrap();
        let shown = shown.as_array().unwrap().iter().find(|shown| shown["ifname"] == *name).unwrap();
        let addresses = |family: &str| -> BTreeSet<String> {
            let all = shown["addr_info"].as_array().unwrap().iter();
            let wanted = all.filter(|info| info["family"] == family && info["scope"] != "link");
            wanted.map(|info| format!("{}/{}", info["local"].as_str().unwrap(), info["prefixlen"])).collect()
        };
        assert_eq!(BTreeSet::from_iter(interface.ipv4_addresses), addresses("inet"), "{name}");
        assert_eq!(BTreeSet::from_iter(interface.ipv6_addresses), addresses("inet6"), "{name}");
        assert_eq!(
            (interface.mtu, interface.mac_address.as_deref()),
            (shown["mtu"].as_i64(), shown["address"].as_str())
        );
        let up = shown["flags"].as_array().unwrap().iter().any(|flag| flag == "UP");
        assert_eq!(interface.flags.iter().any(|flag| flag == "up"), up, "{name}");
    }
}

#[test]
fn device_nodes_are_told_with_their_numbers() {
    let devices = told().host_devices;
    let null = devices.iter().find(|device| device.path == "/dev/null").unwrap();
    assert_eq!((&*null.device_type, null.major, null.minor), ("char", 1, 3));
    let told: BTreeSet<&str> = devices.iter().map(|device| &*device.path).collect();
    assert!(!told.contains("/dev/tty1") && !told.contains("/dev/vcs1"));
    assert!(!told.iter().any(|path| path.starts_with("/dev/pts/")));
}

#[test]
fn a_reading_opens_few_files() {
    let survey = survey(Path::new("/"));
    let size = serde_json::to_vec(&survey.hardware).unwrap().len();
    println!("{} files opened, {} things left out, {size} bytes", survey.opened, survey.left_out);
    // Of a machine with a hundred disks, cards and interfaces it may be more; no machine of tests has them.
    assert!((1..1500).contains(&survey.opened), "{}", survey.opened);
}
