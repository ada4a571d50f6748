//! The processors.

use super::text;
use super::tree::Tree;
use super::wire::Cpu;

/// Bytes of `/proc/cpuinfo`: the first processors of a machine of any size; what follows repeats them.
const MAX_CPUINFO_BYTES: u64 = 64 * 1024;
/// Flags of a processor; today's have up to 200.
const MAX_FLAGS: usize = 512;
/// Frequency domains.
const MAX_POLICIES: usize = 256;
/// Above this it is no frequency in MHz.
const MAX_MHZ: f64 = 1e6;
/// The highest number a processor can have; Linux ends at 8192.
const MAX_CPUS: u32 = 65_536;

/// Cores of ARM by the number that the processor tells: `/proc/cpuinfo` has no names.
const ARM_CORES: [(&str, &str); 24] = [
    ("0xb76", "ARM1176"),
    ("0xc05", "Cortex-A5"),
    ("0xc07", "Cortex-A7"),
    ("0xc08", "Cortex-A8"),
    ("0xc09", "Cortex-A9"),
    ("0xc0f", "Cortex-A15"),
    ("0xd03", "Cortex-A53"),
    ("0xd04", "Cortex-A35"),
    ("0xd05", "Cortex-A55"),
    ("0xd07", "Cortex-A57"),
    ("0xd08", "Cortex-A72"),
    ("0xd09", "Cortex-A73"),
    ("0xd0a", "Cortex-A75"),
    ("0xd0b", "Cortex-A76"),
    ("0xd0c", "Neoverse-N1"),
    ("0xd0d", "Cortex-A77"),
    ("0xd40", "Neoverse-V1"),
    ("0xd41", "Cortex-A78"),
    ("0xd42", "Cortex-A78AE"),
    ("0xd46", "Cortex-A510"),
    ("0xd47", "Cortex-A710"),
    ("0xd49", "Neoverse-N2"),
    ("0xd4b", "Cortex-A78C"),
    ("0xd4f", "Neoverse-V2"),
];

/// Reads what the kernel says of the processors. `machine` is `uname -m`, for kernels that have no file for it.
pub(super) fn read(tree: &Tree, machine: Option<&str>) -> Cpu {
    let info = tree.bytes("proc/cpuinfo", MAX_CPUINFO_BYTES).unwrap_or_default();
    let info = String::from_utf8_lossy(&info);
    let info = CpuInfo(&info);
    let flags = flags(tree, &info);
    let model_name = model_name(tree, &info);
    Cpu {
        architecture: tree
            .value("proc/sys/kernel/arch")
            .or_else(|| machine.map(str::to_owned))
            .and_then(|name| text::labelled(&name)),
        count: online(tree).or_else(|| info.processors()),
        frequency: frequency(tree, &info, &flags, model_name.as_deref()),
        model_name,
        flags,
    }
}

/// `/proc/cpuinfo`: lines of key, colon and value.
struct CpuInfo<'a>(&'a str);

impl<'a> CpuInfo<'a> {
    fn pairs(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.0.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()))
    }

    fn first(&self, key: &str) -> Option<&'a str> {
        self.pairs().find(|(found, value)| *found == key && !value.is_empty()).map(|(_, value)| value)
    }

    fn processors(&self) -> Option<i64> {
        let count = self.pairs().filter(|(key, _)| *key == "processor").count();
        i64::try_from(count).ok().filter(|count| *count > 0)
    }
}

/// Counts `0-3,8`.
fn online(tree: &Tree) -> Option<i64> {
    let list = tree.value("sys/devices/system/cpu/online")?;
    let mut count: i64 = 0;
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= MAX_CPUS {
            return None;
        }
        count = count.saturating_add(i64::from(last.checked_sub(first)?) + 1);
    }
    Some(count)
}

/// The highest frequency of any core, which does not change; never the one of this moment.
fn frequency(tree: &Tree, info: &CpuInfo<'_>, flags: &[String], model: Option<&str>) -> Option<f64> {
    let cpufreq = "sys/devices/system/cpu/cpufreq";
    let khz = tree
        .names(cpufreq)
        .iter()
        .filter(|name| name.starts_with("policy"))
        .take(MAX_POLICIES)
        .filter_map(|name| tree.number(&format!("{cpufreq}/{name}/cpuinfo_max_freq")))
        .max();
    #[expect(clippy::cast_precision_loss, reason = "kHz of a processor are far below 2^52")]
    let told = khz.map(|khz| khz as f64 / 1000.0);
    let sane = |mhz: &f64| mhz.is_finite() && *mhz > 0.0 && *mhz < MAX_MHZ;
    told.filter(sane).or_else(|| model.and_then(nominal).filter(sane)).or_else(|| {
        // Where the kernel can measure, "cpu MHz" is the frequency of this moment.
        let measured = flags.iter().any(|flag| flag == "aperfmperf");
        let steady = (!measured).then(|| info.first("cpu MHz")).flatten()?;
        steady.parse().ok().filter(sane)
    })
}

/// The frequency that Intel writes into the name: `… @ 2.40GHz`.
fn nominal(model: &str) -> Option<f64> {
    let (_, end) = model.rsplit_once('@')?;
    let ghz: f64 = end.trim().strip_suffix("GHz")?.trim().parse().ok()?;
    Some((ghz * 1000.0).round())
}

fn model_name(tree: &Tree, info: &CpuInfo<'_>) -> Option<String> {
    // x86 and 32-bit ARM, MIPS, POWER, RISC-V.
    ["model name", "cpu model", "cpu", "uarch"]
        .iter()
        .find_map(|key| info.first(key))
        .map(str::to_owned)
        .or_else(|| arm_core(info))
        .or_else(|| tree.value("sys/firmware/devicetree/base/model"))
        .or_else(|| tree.value("proc/device-tree/model"))
        .or_else(|| Some(format!("implementer {} part {}", info.first("CPU implementer")?, info.first("CPU part")?)))
        .and_then(|name| text::labelled(&name))
}

fn arm_core(info: &CpuInfo<'_>) -> Option<String> {
    // 0x41 is ARM itself; other makers number their own cores.
    if info.first("CPU implementer")? != "0x41" {
        return None;
    }
    let part = info.first("CPU part")?;
    ARM_CORES.iter().find(|(number, _)| *number == part).map(|(_, name)| format!("ARM {name}"))
}

fn flags(tree: &Tree, info: &CpuInfo<'_>) -> Vec<String> {
    let words = ["flags", "Features", "ASEs implemented"].iter().find_map(|key| info.first(key));
    let words = match (words, info.first("isa")) {
        (Some(words), _) => words.split_whitespace().collect::<Vec<_>>(),
        // RISC-V: rv64imafdc_zicsr_zifencei
        (None, Some(isa)) => isa.split('_').collect(),
        (None, None) => Vec::new(),
    };
    let mut flags = words.into_iter().filter_map(text::clean_str).collect();
    tree.keep(&mut flags, MAX_FLAGS);
    flags
}
