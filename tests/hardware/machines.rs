//! Three machines we know, from their files.

use crate::accepted::accepted;
use crate::fixture::Machine;
use flotta_agent::node::hardware::{Address, Disk, Hardware, Kernel, survey_with};

fn told(machine: &Machine, kernel: &Kernel) -> Hardware {
    let survey = survey_with(machine.root(), kernel);
    assert_eq!(survey.left_out, 0);
    let value = serde_json::to_value(&survey.hardware).unwrap();
    assert_eq!(accepted(&value), Ok(()), "{value}");
    survey.hardware
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn address(interface: &str, ip: &str, prefix: u8) -> Address {
    Address { interface: interface.into(), ip: ip.parse().unwrap(), prefix }
}

fn disk<'a>(hardware: &'a Hardware, name: &str) -> &'a Disk {
    let names: Vec<_> = hardware.disks.iter().map(|disk| &disk.name).collect();
    let named = hardware.disks.iter().find(|disk| disk.name.as_deref() == Some(name));
    named.unwrap_or_else(|| panic!("no {name} among {names:?}"))
}

/// A PC with an NVMe, a SATA and a USB disk, a card reader without a card, a graphics card, two network cards, a bridge.
fn pc() -> Machine {
    let machine = Machine::with(&[
        ("proc/sys/kernel/hostname", "press-7.plant.example\n"),
        ("proc/sys/kernel/arch", "x86_64\n"),
        (
            "proc/cpuinfo",
            "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz\n\
             cpu MHz\t\t: 812.331\nflags\t\t: fpu vme aperfmperf sse4_2\n\nprocessor\t: 1\n",
        ),
        ("proc/meminfo", "MemTotal:       16261328 kB\nMemFree:          123456 kB\n"),
        ("proc/cmdline", "BOOT_IMAGE=/vmlinuz BOOTIF=01-52-54-00-00-00-01 quiet\n"),
        ("sys/devices/system/cpu/online", "0-5\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "4100000\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq", "812331\n"),
        ("sys/devices/system/memory/block_size_bytes", "8000000\n"),
        ("sys/class/dmi/id/sys_vendor", "Dell Inc.\n"),
        ("sys/class/dmi/id/product_name", "OptiPlex 7060\n"),
        ("sys/class/dmi/id/product_serial", "To Be Filled By O.E.M.\n"),
        // NVMe
        ("sys/block/nvme0n1/size", "1000215216\n"),
        ("sys/block/nvme0n1/dev", "259:0\n"),
        ("sys/block/nvme0n1/hidden", "0\n"),
        ("sys/block/nvme0n1/wwid", "eui.0025388b91b0f8a1\n"),
        ("sys/block/nvme0n1/queue/rotational", "0\n"),
        ("sys/block/nvme0n1/device/model", "Samsung SSD 970 EVO 500GB               \n"),
        ("sys/block/nvme0n1/device/serial", "S466NX0M123456A     \n"),
        ("sys/block/nvme0n1/nvme0n1p1/dev", "259:1\n"),
        (
            "run/udev/data/b259:1",
            "S:disk/by-uuid/1\nE:ID_PART_ENTRY_SCHEME=gpt\nE:ID_PART_ENTRY_TYPE=c12a7328-f81f-11d2-ba4b-00a0c93ec93b\n",
        ),
        // SATA
        ("sys/block/sda/size", "3907029168\n"),
        ("sys/block/sda/dev", "8:0\n"),
        ("sys/block/sda/queue/rotational", "1\n"),
        ("sys/block/sda/device/vendor", "ATA     \n"),
        ("sys/block/sda/device/model", "ST2000DM008-2FR1\n"),
        ("sys/block/sda/device/scsi_device/0:0:0:0/uevent", ""),
        (
            "run/udev/data/b8:0",
            "E:ID_SERIAL=ST2000DM008-2FR102_ZFL1\nE:ID_SERIAL_SHORT=ZFL1\nE:ID_WWN=0x5000c500a1b2c3d4\n",
        ),
        ("sys/block/sda/sda1/dev", "8:1\n"),
        ("run/udev/data/b8:1", "E:ID_PART_ENTRY_SCHEME=dos\nE:ID_PART_ENTRY_FLAGS=0x0\nE:ID_PART_ENTRY_TYPE=0x83\n"),
        // A USB stick with an installer on it
        ("sys/block/sdb/size", "60088320\n"),
        ("sys/block/sdb/dev", "8:16\n"),
        ("sys/block/sdb/queue/rotational", "1\n"),
        ("sys/block/sdb/removable", "1\n"),
        ("sys/block/sdb/device/vendor", "SanDisk \n"),
        ("sys/block/sdb/device/model", "Ultra           \n"),
        ("sys/block/sdb/device/wwid", "t10.SanDisk Ultra\n"),
        ("run/udev/data/b8:16", "E:ID_FS_TYPE=iso9660\nE:ID_SERIAL_SHORT=4C53\n"),
        // What is no disk of its own
        ("sys/block/sdc/size", "0\n"),
        ("sys/block/loop0/size", "8192\n"),
        ("sys/block/zram0/size", "8192\n"),
        ("sys/block/ram0/size", "8192\n"),
        ("sys/block/md0/size", "8192\n"),
        ("sys/block/dm-0/size", "8192\n"),
        ("sys/block/dm-0/dm/uuid", "LVM-abc\n"),
        ("sys/block/nvme0c0n1/size", "1000215216\n"),
        ("sys/block/nvme0c0n1/hidden", "1\n"),
        // Cards
        ("sys/bus/pci/devices/0000:00:02.0/class", "0x030000\n"),
        ("sys/bus/pci/devices/0000:00:02.0/vendor", "0x8086\n"),
        ("sys/bus/pci/devices/0000:00:02.0/device", "0x3e92\n"),
        ("sys/bus/pci/devices/0000:01:00.0/class", "0x030200\n"),
        ("sys/bus/pci/devices/0000:01:00.0/vendor", "0x10de\n"),
        ("sys/bus/pci/devices/0000:01:00.0/device", "0x1234\n"),
        ("sys/bus/pci/devices/0000:00:1f.6/class", "0x020000\n"),
        (
            "usr/share/misc/pci.ids",
            "# List\n10de  NVIDIA Corporation\n\t0020  NV4\n8086  Intel Corporation\n\t3e92  CoffeeLake-S GT2 [UHD Graphics 630]\n\
             \t\t1028 0869  OptiPlex\nC 03  Display controller\n\t00  VGA\n",
        ),
        // Network
        ("sys/class/net/lo/flags", "0x9\n"),
        ("sys/class/net/lo/ifindex", "1\n"),
        ("sys/class/net/eth0/ifindex", "2\n"),
        ("sys/class/net/eth0/flags", "0x1003\n"),
        ("sys/class/net/eth0/address", "52:54:00:00:00:01\n"),
        ("sys/class/net/eth0/mtu", "1500\n"),
        ("sys/class/net/eth0/carrier", "1\n"),
        ("sys/class/net/eth0/speed", "1000\n"),
        ("sys/class/net/eth0/type", "1\n"),
        ("sys/class/net/eth0/device/vendor", "0x8086\n"),
        ("sys/class/net/eth0/device/device", "0x15bb\n"),
        ("sys/class/net/usb0/ifindex", "3\n"),
        ("sys/class/net/usb0/flags", "0x1002\n"),
        ("sys/class/net/usb0/speed", "-1\n"),
        ("sys/devices/usb1/idVendor", "0bda\n"),
        ("sys/devices/usb1/idProduct", "8153\n"),
        ("sys/devices/usb1/1-1:1.0/uevent", "\n"),
        ("sys/class/net/veth1/ifindex", "4\n"),
        ("sys/class/net/podman0/ifindex", "5\n"),
        ("sys/class/net/podman0/uevent", "DEVTYPE=bridge\nINTERFACE=podman0\n"),
        ("sys/class/net/podman0/brif/veth1/x", ""),
        ("sys/class/net/br0/ifindex", "6\n"),
        ("sys/class/net/br0/uevent", "DEVTYPE=bridge\n"),
        ("sys/class/net/br0/brif/eth0/x", ""),
        ("sys/class/net/vlan7/ifindex", "7\n"),
        ("sys/class/net/vlan7/uevent", "DEVTYPE=vlan\n"),
        ("sys/class/net/ppp0/ifindex", "10\n"),
        ("sys/class/net/ppp0/uevent", "DEVTYPE=ppp\n"),
        ("sys/class/net/tun0/ifindex", "8\n"),
        ("sys/class/net/tun0/tun_flags", "0x1001\n"),
        ("sys/class/net/vnet0/ifindex", "9\n"),
        ("sys/class/net/vnet0/tun_flags", "0x1002\n"),
        ("sys/class/net/bonding_masters", "\n"),
        (
            "proc/self/mountinfo",
            "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
             27 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw,errors=remount-ro\n\
             28 27 8:1 / /mnt/my\\040disk rw,noexec - xfs /dev/sda1 rw\n\
             29 27 0:50 /sub /home rw - btrfs /dev/sda2 rw,subvol=/sub\n\
             30 27 0:51 / /srv rw - nfs4 store.example:/srv rw,vers=4.2\n\
             31 27 259:2 /var/lib/x /run/netns rw - ext4 /dev/nvme0n1p2 rw\n\
             32 27 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro\n\
             33 27 0:60 / /var/lib/containers/merged rw - overlay overlay rw\n",
        ),
    ]);
    machine.dir("sys/firmware/efi");
    for block in 0..136 {
        machine.dir(&format!("sys/devices/system/memory/memory{block}"));
    }
    machine.link("dev/disk/by-id/nvme-Samsung_SSD_970_EVO_500GB_S466", "../../nvme0n1");
    machine.link("dev/disk/by-id/nvme-eui.0025388b91b0f8a1", "../../nvme0n1");
    machine.link("dev/disk/by-id/nvme-eui.0025388b91b0f8a1-part1", "../../nvme0n1p1");
    machine.link("dev/disk/by-id/ata-ST2000DM008-2FR102_ZFL1", "../../sda");
    machine.link("dev/disk/by-path/pci-0000:00:17.0-ata-1.0", "../../sda");
    machine.link("dev/disk/by-path/pci-0000:00:17.0-ata-1", "../../sda");
    machine.link("sys/class/net/usb0/device", "../../../devices/usb1/1-1:1.0");
    machine
}

#[test]
fn a_pc_is_told_with_its_processor_memory_boot_and_maker() {
    let hardware = told(&pc(), &Kernel::default());
    assert_eq!(hardware.hostname, some("press-7.plant.example"));
    let cpu = &hardware.cpu;
    assert_eq!((&cpu.architecture, cpu.count, cpu.frequency), (&some("x86_64"), Some(6), Some(4100.0)));
    assert_eq!(cpu.model_name, some("Intel(R) Core(TM) i5-8500 CPU @ 3.00GHz"));
    assert_eq!(cpu.flags, ["fpu", "vme", "aperfmperf", "sse4_2"]);
    assert_eq!(hardware.memory.physical_bytes, Some(136 * 128 * 1024 * 1024));
    assert_eq!(hardware.memory.usable_bytes, Some(16_261_328 * 1024));
    assert_eq!(hardware.boot.current_boot_mode, some("uefi"));
    assert_eq!(hardware.boot.pxe_interface, some("01-52-54-00-00-00-01"));
    let vendor = &hardware.system_vendor;
    assert_eq!((&vendor.manufacturer, &vendor.product_name), (&some("Dell Inc."), &some("OptiPlex 7060")));
    assert_eq!((&vendor.serial_number, vendor.virtual_machine), (&None, Some(false)));
}

#[test]
fn a_frequency_of_the_moment_is_never_told() {
    let machine = pc();
    std::fs::remove_dir_all(machine.root().join("sys/devices/system/cpu/cpufreq")).unwrap();
    assert_eq!(told(&machine, &Kernel::default()).cpu.frequency, Some(3000.0), "from the name");
    machine.file("proc/cpuinfo", b"model name : Some\ncpu MHz : 812.331\nflags : fpu aperfmperf\n");
    assert_eq!(told(&machine, &Kernel::default()).cpu.frequency, None, "it is measured");
    machine.file("proc/cpuinfo", b"model name : Some\ncpu MHz : 2000.000\nflags : fpu\n");
    assert_eq!(told(&machine, &Kernel::default()).cpu.frequency, Some(2000.0), "it is constant");
}

#[test]
fn a_pcs_whole_disks_are_told_and_nothing_made_of_them() {
    let hardware = told(&pc(), &Kernel::default());
    let names: Vec<_> = hardware.disks.iter().filter_map(|disk| disk.name.as_deref()).collect();
    assert_eq!(names, ["nvme0n1", "sda", "sdb"]);
    let nvme = Disk {
        id: some("/dev/disk/by-id/nvme-eui.0025388b91b0f8a1"),
        name: some("nvme0n1"),
        path: some("/dev/nvme0n1"),
        by_id: some("/dev/disk/by-id/nvme-eui.0025388b91b0f8a1"),
        drive_type: some("SSD"),
        model: some("Samsung SSD 970 EVO 500GB"),
        serial: some("S466NX0M123456A"),
        wwn: some("eui.0025388b91b0f8a1"),
        size_bytes: Some(512_110_190_592),
        bootable: Some(true),
        ..Disk::default()
    };
    assert_eq!(disk(&hardware, "nvme0n1"), &nvme);
    let sata = Disk {
        id: some("/dev/disk/by-id/ata-ST2000DM008-2FR102_ZFL1"),
        name: some("sda"),
        path: some("/dev/sda"),
        by_id: some("/dev/disk/by-id/ata-ST2000DM008-2FR102_ZFL1"),
        by_path: some("/dev/disk/by-path/pci-0000:00:17.0-ata-1"),
        drive_type: some("HDD"),
        vendor: some("ATA"),
        model: some("ST2000DM008-2FR1"),
        serial: some("ZFL1"),
        wwn: some("0x5000c500a1b2c3d4"),
        hctl: some("0:0:0:0"),
        size_bytes: Some(2_000_398_934_016),
        ..Disk::default()
    };
    assert_eq!(disk(&hardware, "sda"), &sata);
    let usb = disk(&hardware, "sdb");
    assert_eq!((&usb.vendor, &usb.model, &usb.serial), (&some("SanDisk"), &some("Ultra"), &some("4C53")));
    assert_eq!((&usb.id, &usb.wwn, usb.is_installation_media), (&some("/dev/sdb"), &None, Some(true)));
}

#[test]
fn an_active_partition_and_a_disk_behind_several_paths_are_recognised() {
    let machine = pc();
    machine.file("run/udev/data/b8:1", b"E:ID_PART_ENTRY_SCHEME=dos\nE:ID_PART_ENTRY_FLAGS=0x80\n");
    machine.file("sys/block/dm-1/size", b"8192\n");
    machine.file("sys/block/dm-1/dm/uuid", b"mpath-3600\n");
    let hardware = told(&machine, &Kernel::default());
    assert_eq!(disk(&hardware, "sda").bootable, Some(true));
    assert_eq!(disk(&hardware, "dm-1").drive_type, some("Multipath"));
}

#[test]
fn graphics_cards_are_told_by_number_and_where_known_by_name() {
    let gpus = told(&pc(), &Kernel::default()).gpus;
    let told: Vec<_> = gpus
        .iter()
        .map(|gpu| {
            [&gpu.address, &gpu.vendor_id, &gpu.device_id, &gpu.vendor, &gpu.name]
                .map(|text| text.as_deref().unwrap_or("-"))
        })
        .collect();
    let intel = ["0000:00:02.0", "8086", "3e92", "Intel Corporation", "CoffeeLake-S GT2 [UHD Graphics 630]"];
    assert_eq!(told, [intel, ["0000:01:00.0", "10de", "1234", "NVIDIA Corporation", "-"]]);
}

#[test]
fn the_machines_own_interfaces_are_told_and_those_of_containers_are_not() {
    let addresses = vec![
        address("eth0", "10.0.2.15", 24),
        address("eth0", "fe80::1", 64),
        address("eth0", "fd00::2", 64),
        address("veth1", "10.88.0.2", 16),
        address("tun0", "10.9.0.1", 32),
    ];
    let interfaces = told(&pc(), &Kernel { addresses, ..Kernel::default() }).interfaces;
    let names: Vec<_> = interfaces.iter().filter_map(|interface| interface.name.as_deref()).collect();
    assert_eq!(names, ["br0", "eth0", "ppp0", "tun0", "usb0", "vlan7"]);
    let eth0 = &interfaces[1];
    assert_eq!((&eth0.mac_address, eth0.mtu, eth0.has_carrier), (&some("52:54:00:00:00:01"), Some(1500), true));
    assert_eq!(eth0.flags, ["up", "broadcast", "multicast"]);
    assert_eq!(
        (&eth0.ipv4_addresses, &eth0.ipv6_addresses),
        (&vec!["10.0.2.15/24".into()], &vec!["fd00::2/64".into()])
    );
    assert_eq!((eth0.speed_mbps, &eth0.vendor, &eth0.product), (Some(1000), &some("0x8086"), &some("0x15bb")));
    let usb0 = &interfaces[4];
    assert_eq!((usb0.speed_mbps, &usb0.vendor, &usb0.product), (None, &some("0x0bda"), &some("0x8153")));
    assert!(!usb0.has_carrier && usb0.ipv4_addresses.is_empty());
}

#[test]
fn mounts_of_disks_and_servers_are_told_and_those_of_containers_are_not() {
    let mounts = told(&pc(), &Kernel::default()).mounts;
    let told: Vec<_> = mounts.iter().map(|m| [&*m.device, &*m.directory, &*m.kind, &*m.options]).collect();
    let expected = [
        ["/dev/nvme0n1p2", "/", "ext4", "rw,relatime"],
        ["/dev/sda2", "/home", "btrfs", "rw"],
        ["/dev/sda1", "/mnt/my disk", "xfs", "rw,noexec"],
        ["store.example:/srv", "/srv", "nfs4", "rw"],
    ];
    assert_eq!(told, expected);
}

#[test]
fn a_raspberry_pi_is_told_from_its_device_tree() {
    let machine = Machine::with(&[
        ("proc/sys/kernel/hostname", "pi\n"),
        (
            "proc/cpuinfo",
            "processor\t: 0\nBogoMIPS\t: 108.00\nFeatures\t: fp asimd evtstrm crc32 cpuid\nCPU implementer\t: 0x41\nCPU part\t: 0xd08\n\n\
             processor\t: 1\n\nprocessor\t: 2\n\nprocessor\t: 3\n\nRevision\t: c03114\nModel\t\t: Raspberry Pi 4 Model B Rev 1.4\n",
        ),
        ("proc/meminfo", "MemTotal:        3885396 kB\n"),
        ("sys/devices/system/cpu/cpufreq/policy0/cpuinfo_max_freq", "1800000\n"),
        ("sys/firmware/devicetree/base/model", "Raspberry Pi 4 Model B Rev 1.4\0"),
        ("sys/firmware/devicetree/base/compatible", "raspberrypi,4-model-b\0brcm,bcm2711\0"),
        ("sys/firmware/devicetree/base/serial-number", "10000000abcdef01\0"),
        ("sys/block/mmcblk0/size", "62333952\n"),
        ("sys/block/mmcblk0/dev", "179:0\n"),
        ("sys/block/mmcblk0/device/name", "SC32G\n"),
        ("sys/block/mmcblk0/device/serial", "0x12345678\n"),
        ("sys/block/mmcblk0/queue/rotational", "0\n"),
        ("sys/block/mmcblk0boot0/size", "8192\n"),
        ("sys/block/ram0/size", "8192\n"),
        ("sys/class/net/eth0/ifindex", "2\n"),
        ("sys/class/net/eth0/device/uevent", "DRIVER=bcmgenet\n"),
        ("sys/class/net/wlan0/ifindex", "3\n"),
        ("sys/class/net/wlan0/uevent", "DEVTYPE=wlan\n"),
    ]);
    machine.link("dev/disk/by-id/mmc-SC32G_0x12345678", "../../mmcblk0");
    let kernel = Kernel { machine: some("aarch64"), nodename: some("not asked"), addresses: Vec::new() };
    let hardware = told(&machine, &kernel);
    assert_eq!(hardware.hostname, some("pi"));
    let cpu = &hardware.cpu;
    assert_eq!((&cpu.architecture, cpu.count, cpu.frequency), (&some("aarch64"), Some(4), Some(1800.0)));
    assert_eq!(cpu.model_name, some("ARM Cortex-A72"));
    assert_eq!(cpu.flags, ["fp", "asimd", "evtstrm", "crc32", "cpuid"]);
    assert_eq!(hardware.memory.physical_bytes, Some(3_885_396 * 1024));
    assert_eq!(hardware.boot.current_boot_mode, some("bios"));
    let vendor = &hardware.system_vendor;
    assert_eq!(vendor.manufacturer, some("raspberrypi"));
    assert_eq!(vendor.product_name, some("Raspberry Pi 4 Model B Rev 1.4"));
    assert_eq!((&vendor.serial_number, vendor.virtual_machine), (&some("10000000abcdef01"), Some(false)));
    assert_eq!(hardware.disks.len(), 1);
    let card = &hardware.disks[0];
    assert_eq!((&card.drive_type, &card.model, &card.serial), (&some("SSD"), &some("SC32G"), &some("0x12345678")));
    assert_eq!(card.by_id, some("/dev/disk/by-id/mmc-SC32G_0x12345678"));
    assert_eq!(hardware.interfaces.len(), 2);
    // A core that the table does not have is told by the board's name.
    machine.file("proc/cpuinfo", b"CPU implementer : 0x41\nCPU part : 0xfff\n");
    assert_eq!(told(&machine, &kernel).cpu.model_name, some("Raspberry Pi 4 Model B Rev 1.4"));
}

#[test]
fn a_virtual_machine_is_known_by_any_of_its_signs() {
    let signs: [&[(&str, &str)]; 5] = [
        &[("proc/cpuinfo", "flags : fpu hypervisor\n")],
        &[
            ("sys/class/dmi/id/sys_vendor", "QEMU\n"),
            ("sys/class/dmi/id/product_name", "Standard PC (Q35 + ICH9, 2009)\n"),
        ],
        &[("sys/class/dmi/id/product_name", "VMware Virtual Platform\n")],
        &[("sys/hypervisor/type", "xen\n")],
        &[("sys/firmware/devicetree/base/compatible", "linux,dummy-virt\0")],
    ];
    for files in signs {
        let vendor = told(&Machine::with(files), &Kernel::default()).system_vendor;
        assert_eq!(vendor.virtual_machine, Some(true), "{files:?}");
    }
    let owner =
        [("sys/hypervisor/type", "xen\n"), ("proc/xen/capabilities", "control_d\n"), ("proc/cpuinfo", "flags : fpu\n")];
    assert_eq!(told(&Machine::with(&owner), &Kernel::default()).system_vendor.virtual_machine, Some(false));
}

#[test]
fn a_virtual_disk_and_card_are_told_by_what_virtio_says() {
    let machine = Machine::with(&[
        ("sys/block/vda/size", "528482304\n"),
        ("sys/block/vda/queue/rotational", "1\n"),
        ("sys/block/vda/serial", "disk-1\n"),
        ("sys/block/vda/device/vendor", "0x1af4\n"),
        ("sys/class/net/eth0/ifindex", "2\n"),
        ("sys/class/net/eth0/speed", "-1\n"),
        ("sys/class/net/eth0/device/vendor", "0x1af4\n"),
        ("sys/class/net/eth0/device/device", "0x0001\n"),
    ]);
    let hardware = told(&machine, &Kernel::default());
    let vda = disk(&hardware, "vda");
    assert_eq!((vda.size_bytes, &vda.drive_type), (Some(270_582_939_648), &some("HDD")));
    assert_eq!((&vda.vendor, &vda.serial, &vda.id), (&some("0x1af4"), &some("disk-1"), &some("/dev/vda")));
    let eth0 = &hardware.interfaces[0];
    assert_eq!((&eth0.vendor, &eth0.product, eth0.speed_mbps), (&some("0x1af4"), &some("0x0001"), None));
}
