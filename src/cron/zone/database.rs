//! The time zone database of the system: where its files are, and which of them is the device's own.
//!
//! It is the system's and not one inside the binary, since laws change more often than agents are replaced, and since it would
//! make the binary larger by 1.9 MB.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::Zone;
use super::table::Table;
use super::tzif;

/// Where systems keep it.
const DIRECTORIES: [&str; 3] = ["/usr/share/zoneinfo", "/usr/lib/zoneinfo", "/etc/zoneinfo"];
/// The zone that is set.
const LOCALTIME: &str = "/etc/localtime";
/// The largest file of a zone that is read; the largest there is has 4 KB.
const LARGEST: u64 = 64 << 10;
/// The longest name; the longest there is has 32 characters.
const LONGEST_NAME: usize = 100;

/// Where to look.
#[derive(Clone, Debug)]
pub(super) struct Database {
    pub(super) directories: Vec<PathBuf>,
    pub(super) localtime: PathBuf,
    /// The variable TZ.
    pub(super) tz: Option<String>,
}

impl Database {
    pub fn of_the_system() -> Database {
        let own = std::env::var_os("TZDIR").filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let usual = DIRECTORIES.iter().map(PathBuf::from);
        Database {
            directories: own.into_iter().chain(usual).collect(),
            localtime: LOCALTIME.into(),
            tz: std::env::var("TZ").ok(),
        }
    }

    /// By its IANA name.
    pub fn named(&self, name: &str) -> Result<Zone, String> {
        // No file is needed for it.
        if ["UTC", "Etc/UTC"].contains(&name) {
            return Ok(Zone::of(name, Table::fixed(0)));
        }
        if !is_name(name) {
            let short: String = name.chars().take(40).collect();
            return Err(format!("{short:?} is no time zone; write its IANA name, as in Europe/Berlin, or UTC"));
        }
        for directory in &self.directories {
            let path = directory.join(name);
            // What is there and is no zone (a directory, a list) is as unknown as what is not.
            if let Some(table) = bytes(&path).and_then(|bytes| tzif::read(&bytes).ok()) {
                return Ok(Zone::of(name, table));
            }
        }
        Err(self.unknown(name))
    }

    fn unknown(&self, name: &str) -> String {
        let Some(directory) = self.directories.iter().find(|directory| directory.is_dir()) else {
            return format!(
                "the time zone {name} is not known, since this device has no time zone database; install the package \
                 tzdata, or write UTC"
            );
        };
        let hint = match spelled(directory, name) {
            Some(right) => format!("did you mean {right}?"),
            None => "write an IANA name, as in Europe/Berlin (old names, as US/Eastern, may need the package \
                     tzdata-legacy)"
                .into(),
        };
        format!("there is no time zone {name} in {}; {hint}", directory.display())
    }

    /// The device's own.
    pub fn local(&self) -> Result<Zone, String> {
        if let Some(tz) = &self.tz {
            return self.by_variable(tz);
        }
        let link = std::fs::read_link(&self.localtime).ok();
        let name = link.as_deref().and_then(name_in_path).filter(|name| is_name(name));
        let Some(bytes) = bytes(&self.localtime) else {
            // A link into a database that is not there still says the name.
            return match name {
                Some(name) => self.named(&name),
                None => Ok(Zone::utc()),
            };
        };
        let table = tzif::read(&bytes)
            .map_err(|why| format!("{} is no file of a time zone: {why}", self.localtime.display()))?;
        Ok(Zone::of(name.as_deref().unwrap_or("local"), table))
    }

    /// `Europe/Berlin`, `:Europe/Berlin`, `/usr/share/zoneinfo/Europe/Berlin` or `CET-1CEST,M3.5.0,M10.5.0/3`.
    fn by_variable(&self, tz: &str) -> Result<Zone, String> {
        let name = tz.strip_prefix(':').unwrap_or(tz);
        if name.is_empty() {
            return Ok(Zone::utc());
        }
        let path = Path::new(name);
        if path.is_absolute() {
            let read = bytes(path).ok_or_else(|| "it cannot be read".to_owned()).and_then(|bytes| tzif::read(&bytes));
            let table = read.map_err(|why| format!("TZ={tz}: {why}"))?;
            return Ok(Zone::of(name_in_path(path).as_deref().unwrap_or("local"), table));
        }
        self.named(name).or_else(|why| match tzif::rule(name) {
            Ok(table) => Ok(Zone::of("local", table)),
            Err(_) => Err(format!("TZ={tz}: {why}")),
        })
    }
}

/// Nothing that leads out of a directory.
fn is_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.split('/').all(|part| {
            part.bytes().next().is_some_and(|first| first.is_ascii_alphabetic())
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(&byte))
        })
}

/// What stands after `zoneinfo/`.
fn name_in_path(path: &Path) -> Option<String> {
    let path = path.to_str()?;
    let (_, name) = path.rsplit_once("zoneinfo/")?;
    let name = name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name);
    is_name(name).then(|| name.to_owned())
}

fn bytes(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|about| about.is_file()))?;
    file.take(LARGEST).read_to_end(&mut bytes).ok()?;
    Some(bytes)
}

/// The name as the database spells it, where only capitals or `_` are wrong.
fn spelled(directory: &Path, name: &str) -> Option<String> {
    let mut found = PathBuf::new();
    for part in name.split('/') {
        let entries = std::fs::read_dir(directory.join(&found)).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let same = names.filter(|entry| entry.replace('_', "").eq_ignore_ascii_case(&part.replace('_', "")));
        found.push(same.min()?);
    }
    let file = bytes(&directory.join(&found))?;
    tzif::read(&file).ok()?;
    found.to_str().map(str::to_owned)
}
