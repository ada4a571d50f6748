//! The options of a mount, as `/etc/fstab` writes them: flags, and the file system's own words. Pure.

use rustix::mount::MountFlags;

/// The kernel takes a page of them.
const OPTIONS_MAX: usize = 4_000;
/// Words of fstab that say when and by whom, not how.
const OF_FSTAB: [&str; 11] =
    ["defaults", "auto", "noauto", "nofail", "_netdev", "user", "nouser", "users", "owner", "group", "silent"];
/// Words that ask for something else than a mount.
const ELSEWHERE: [&str; 12] = [
    "remount",
    "move",
    "loop",
    "shared",
    "rshared",
    "slave",
    "rslave",
    "private",
    "rprivate",
    "unbindable",
    "runbindable",
    "context",
];

/// What they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub flags: MountFlags,
    /// For the file system.
    pub data: String,
    /// A directory is to be seen at another place too.
    pub bind: bool,
    /// All that counts, as the program `mount` is told it.
    pub words: String,
}

/// What a word sets, and clears.
fn flag(word: &str) -> Option<(MountFlags, MountFlags)> {
    let none = MountFlags::empty();
    let atimes = MountFlags::NOATIME | MountFlags::RELATIME | MountFlags::STRICTATIME;
    Some(match word {
        "ro" => (MountFlags::RDONLY, none),
        "rw" => (none, MountFlags::RDONLY),
        "nosuid" => (MountFlags::NOSUID, none),
        "suid" => (none, MountFlags::NOSUID),
        "nodev" => (MountFlags::NODEV, none),
        "dev" => (none, MountFlags::NODEV),
        "noexec" => (MountFlags::NOEXEC, none),
        "exec" => (none, MountFlags::NOEXEC),
        "sync" => (MountFlags::SYNCHRONOUS, none),
        "async" => (none, MountFlags::SYNCHRONOUS),
        "dirsync" => (MountFlags::DIRSYNC, none),
        "noatime" => (MountFlags::NOATIME, atimes),
        "relatime" => (MountFlags::RELATIME, atimes),
        "strictatime" => (MountFlags::STRICTATIME, atimes),
        "atime" | "norelatime" | "nostrictatime" => (none, atimes),
        "nodiratime" => (MountFlags::NODIRATIME, none),
        "diratime" => (none, MountFlags::NODIRATIME),
        "lazytime" => (MountFlags::LAZYTIME, none),
        "nolazytime" => (none, MountFlags::LAZYTIME),
        "nosymfollow" => (MountFlags::NOSYMFOLLOW, none),
        "symfollow" => (none, MountFlags::NOSYMFOLLOW),
        _ => return None,
    })
}

impl Options {
    /// Reads them. `tamed`: `nosuid` and `nodev` unless they are asked away, which needs `free`.
    pub fn parse(text: &str, tamed: bool, free: bool) -> Result<Options, String> {
        if text.len() > OPTIONS_MAX || text.chars().any(char::is_control) {
            return Err(format!("its options are longer than {OPTIONS_MAX} characters, or have line ends in them"));
        }
        let mut flags = if tamed { MountFlags::NOSUID | MountFlags::NODEV } else { MountFlags::empty() };
        let (mut bind, mut data): (bool, Vec<&str>) = (false, Vec::new());
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let name = word.split('=').next().unwrap_or_default();
            if ELSEWHERE.contains(&name) {
                return Err(format!("its option {name:?} is not carried out: leave it out"));
            }
            if matches!(word, "suid" | "dev") && tamed && !free {
                return Err(format!(
                    "its option {word:?} is refused: a server's mounts are nosuid,nodev; to allow it, set remote.privileged: true on the device"
                ));
            }
            match flag(word) {
                _ if word == "bind" || word == "rbind" => {
                    bind = true;
                    flags |= MountFlags::BIND | if word == "rbind" { MountFlags::REC } else { MountFlags::empty() };
                }
                _ if OF_FSTAB.contains(&word) || name.starts_with("x-") || name == "comment" => {}
                Some((set, clear)) => flags = flags.difference(clear).union(set),
                None => data.push(word),
            }
        }
        let mut words = data.clone();
        words.extend(names(flags));
        Ok(Options { flags, bind, words: words.join(","), data: data.join(",") })
    }
}

fn names(flags: MountFlags) -> Vec<&'static str> {
    const ALL: [&str; 12] = [
        "ro",
        "nosuid",
        "nodev",
        "noexec",
        "sync",
        "dirsync",
        "noatime",
        "relatime",
        "strictatime",
        "nodiratime",
        "lazytime",
        "nosymfollow",
    ];
    ALL.into_iter().filter(|word| flag(word).is_some_and(|(set, _)| flags.contains(set))).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tame(text: &str) -> Options {
        Options::parse(text, true, false).unwrap()
    }

    #[test]
    fn known_words_are_flags_and_all_others_are_the_file_systems() {
        let both = MountFlags::NOSUID | MountFlags::NODEV;
        for (text, flags, data) in [
            ("", both, ""),
            ("defaults,nofail,x-systemd.automount,_netdev", both, ""),
            ("ro,noatime", both | MountFlags::RDONLY | MountFlags::NOATIME, ""),
            ("ro,rw", both, ""),
            ("noatime,relatime", both | MountFlags::RELATIME, ""),
            ("data=journal, sync,,uid=1000", both | MountFlags::SYNCHRONOUS, "data=journal,uid=1000"),
            ("noexec,exec,nosymfollow", both | MountFlags::NOSYMFOLLOW, ""),
            ("size=16m", both, "size=16m"),
        ] {
            let options = tame(text);
            assert_eq!((options.flags, options.data.as_str(), options.bind), (flags, data, false), "{text}");
        }
        let bind = tame("rbind,ro");
        assert!(bind.bind && bind.flags.contains(MountFlags::BIND | MountFlags::REC | MountFlags::RDONLY), "{bind:?}");
        assert_eq!(tame("uid=5,ro").words, "uid=5,ro,nosuid,nodev");
    }

    #[test]
    fn a_server_gets_rid_of_nosuid_and_nodev_only_where_it_may_ask_for_all() {
        for word in ["suid", "dev"] {
            let why = Options::parse(word, true, false).unwrap_err();
            assert!(why.contains(word) && why.contains("remote.privileged"), "{why}");
        }
        assert_eq!(Options::parse("suid", true, true).unwrap().flags, MountFlags::NODEV);
        assert_eq!(Options::parse("", false, false).unwrap().flags, MountFlags::empty());
    }

    #[test]
    fn what_is_no_mount_is_refused() {
        for text in ["remount,rw", "loop", "move", "rshared", "a\nb", "loop=/dev/loop0", &"x".repeat(5_000)] {
            assert!(Options::parse(text, true, true).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_written_a_servers_mount_is_tame(text in "[a-z=,]{0,40}|\\PC{0,40}") {
            if let Ok(options) = Options::parse(&text, true, false) {
                prop_assert!(options.flags.contains(MountFlags::NOSUID | MountFlags::NODEV));
            }
        }
    }
}
