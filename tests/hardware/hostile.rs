//! Whatever the files hold, the agent lives and the server takes the object.

use crate::accepted::accepted;
use crate::fixture::Machine;
use flotta_agent::node::hardware::{Address, Hardware, Kernel, survey_with};
use proptest::prelude::*;

/// Every file that is read, on a machine that has one of each kind.
const FILES: [&str; 50] = [
    "proc/cpuinfo",
    "proc/meminfo",
    "proc/cmdline",
    "proc/self/mountinfo",
    "proc/sys/kernel/hostname",
    "proc/sys/kernel/arch",
    "proc/xen/capabilities",
    "etc/hostname",
    "sys/devices/system/cpu/online",
    "sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq",
    "sys/devices/system/memory/block_size_bytes",
    "sys/devices/system/memory/memory0/online",
    "sys/class/dmi/id/sys_vendor",
    "sys/class/dmi/id/product_name",
    "sys/class/dmi/id/product_serial",
    "sys/firmware/devicetree/base/model",
    "sys/firmware/devicetree/base/compatible",
    "sys/firmware/devicetree/base/serial-number",
    "sys/block/sda/size",
    "sys/block/sda/dev",
    "sys/block/sda/hidden",
    "sys/block/sda/wwid",
    "sys/block/sda/serial",
    "sys/block/sda/queue/rotational",
    "sys/block/sda/device/vendor",
    "sys/block/sda/device/model",
    "sys/block/sda/device/scsi_device/0:0:0:0/x",
    "sys/block/sda/sda1/dev",
    "sys/block/dm-0/dm/uuid",
    "sys/block/dm-0/size",
    "run/udev/data/b8:0",
    "run/udev/data/b8:1",
    "sys/bus/pci/devices/0000:00:02.0/class",
    "sys/bus/pci/devices/0000:00:02.0/vendor",
    "sys/bus/pci/devices/0000:00:02.0/device",
    "usr/share/hwdata/pci.ids",
    "sys/class/net/eth0/ifindex",
    "sys/class/net/eth0/flags",
    "sys/class/net/eth0/address",
    "sys/class/net/eth0/mtu",
    "sys/class/net/eth0/carrier",
    "sys/class/net/eth0/speed",
    "sys/class/net/eth0/type",
    "sys/class/net/eth0/device/vendor",
    "sys/class/net/eth0/device/device",
    "sys/class/net/br0/ifindex",
    "sys/class/net/br0/uevent",
    "sys/class/net/br0/tun_flags",
    "sys/class/net/br0/brif/eth0/x",
    "dev/no-device",
];

fn told(machine: &Machine) -> Hardware {
    let address = |ip: &str| Address { interface: "eth0".into(), ip: ip.parse().unwrap(), prefix: 24 };
    let addresses = vec![address("10.0.2.15"), address("fe80::1"), address("fd00::2")];
    let survey = survey_with(machine.root(), &Kernel { addresses, ..Kernel::default() });
    let value = serde_json::to_value(&survey.hardware).unwrap();
    accepted(&value).unwrap_or_else(|why| panic!("{why}: {value}"));
    let back: Hardware = serde_json::from_value(value).unwrap();
    assert_eq!(back, survey.hardware);
    assert!(survey.opened <= 2000, "{}", survey.opened);
    survey.hardware
}

/// Bytes that look like what the files hold, nearly.
fn content() -> impl Strategy<Value = Vec<u8>> {
    let numbers = prop_oneof![
        Just("0".to_owned()),
        Just("-1".to_owned()),
        Just("9223372036854775807".to_owned()),
        Just("18446744073709551616".to_owned()),
        Just("0x030000".to_owned()),
        Just("0x1003".to_owned()),
        Just("0-4294967295".to_owned()),
        Just("3-1,7".to_owned()),
        Just("1e400".to_owned()),
        Just("NaN".to_owned()),
        Just("8:0".to_owned()),
        Just("mpath-x".to_owned()),
        Just("DEVTYPE=bridge".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
    ];
    let key = prop_oneof![
        Just("model name"),
        Just("flags"),
        Just("Features"),
        Just("cpu MHz"),
        Just("CPU implementer"),
        Just("CPU part"),
        Just("processor"),
        Just("isa"),
        Just("MemTotal"),
    ];
    let line =
        (key, "\\PC{0,90}|[0-9.kB GHz@]{0,20}|NaN|inf|1e999").prop_map(|(key, value)| format!("{key}\t: {value}\n"));
    let mount = ("[ -~]{0,40}", "[ -~]{0,10}").prop_map(|(a, b)| format!("1 2 3:4 / /{a} rw,{b} - ext4 /dev/{b} rw\n"));
    let udev =
        "(E:ID_(WWN|MODEL|SERIAL_SHORT|FS_TYPE|PART_ENTRY_FLAGS|PART_ENTRY_TYPE)=[ -~\\x00-\\x1f]{0,300}\n){0,5}";
    prop_oneof![
        2 => proptest::collection::vec(any::<u8>(), 0..200),
        3 => numbers.prop_map(String::into_bytes),
        2 => proptest::collection::vec(line, 0..12).prop_map(|lines| lines.concat().into_bytes()),
        1 => proptest::collection::vec(mount, 0..5).prop_map(|lines| lines.concat().into_bytes()),
        1 => udev.prop_map(String::into_bytes),
        1 => "\\PC{0,400}".prop_map(String::into_bytes),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn a_machine_full_of_garbage_is_told_as_the_server_wants_it(contents in proptest::collection::vec(content(), FILES.len())) {
        let machine = Machine::new();
        for (path, bytes) in FILES.iter().zip(&contents) {
            machine.file(path, bytes);
        }
        told(&machine);
    }
}

#[test]
fn an_empty_root_is_told_as_the_smallest_object() {
    assert_eq!(told(&Machine::new()), Hardware::minimal());
}

#[test]
fn a_root_that_is_not_there_is_told_as_the_smallest_object() {
    let machine = Machine::new();
    let gone = machine.root().join("gone");
    assert_eq!(survey_with(&gone, &Kernel::default()).hardware, Hardware::minimal());
}

#[test]
fn pipes_directories_and_links_in_circles_do_not_hold_the_reading_up() {
    let machine = Machine::new();
    for (at, path) in FILES.iter().enumerate() {
        match at % 3 {
            0 => machine.pipe(path),
            1 => machine.dir(path),
            _ => machine.link(path, path.rsplit('/').next().unwrap()),
        }
    }
    machine.link("dev/round", "..");
    machine.link("dev/disk/by-id/wwn-0x1", "../../..");
    told(&machine);
}

#[test]
fn huge_files_are_read_to_their_limit_only() {
    let machine = Machine::new();
    for path in FILES {
        machine.file(path, b"x");
        let file = std::fs::OpenOptions::new().write(true).open(machine.root().join(path)).unwrap();
        // A hole: takes no place on the disk, and 64 GB to read.
        file.set_len(64 << 30).unwrap();
    }
    told(&machine);
}

#[test]
fn what_there_is_too_much_of_is_cut_and_counted() {
    let machine = Machine::new();
    for n in 0..300 {
        machine.file(&format!("sys/block/sd{n}/size"), b"1000");
        machine.file(&format!("sys/block/sd{n}/device/model"), "\"".repeat(400).as_bytes());
        machine.file(&format!("sys/bus/pci/devices/{n:04}/class"), b"0x030000");
        machine.file(&format!("sys/class/net/eth{n}/ifindex"), b"1");
        machine.dir(&format!("sys/class/net/eth{n}/device"));
    }
    let line =
        |n: usize| format!("1 2 3:4 / /{n}/{} rw,{} - ext4 /dev/{n} rw\n", "\\134".repeat(200), "\"".repeat(250));
    machine.file("proc/self/mountinfo", (0..1000).map(line).collect::<String>().as_bytes());
    let flags: String = (0..10_000).map(|n| format!("flag{n}{} ", "x".repeat(20))).collect();
    machine.file("proc/cpuinfo", format!("flags : {flags}\n").as_bytes());
    let hardware = told(&machine);
    assert_eq!((hardware.disks.len(), hardware.gpus.len(), hardware.interfaces.len()), (64, 32, 64));
    assert_eq!((hardware.mounts.len(), hardware.cpu.flags.len()), (128, 512));
    let survey = survey_with(machine.root(), &Kernel::default());
    let too_much = [300 - 64, 300 - 32, 300 - 64, 1000 - 128].iter().sum::<u32>();
    assert!(survey.left_out > too_much, "{} of more than {too_much}", survey.left_out);
}
