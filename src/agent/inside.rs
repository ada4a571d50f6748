//! An agent in a container whose podman is outside of it: podman looks for the files that it mounts into pods on the device,
//! so they have to be there under the path that the agent knows.

use std::path::{Path, PathBuf};

use crate::model::problem::Problem;

/// Where container engines leave a mark of themselves.
const MARKS: [&str; 2] = ["/run/.containerenv", "/.dockerenv"];

/// What has to be mended, as far as it can be seen at the start; of each podman its socket, and where the files of its pods
/// are.
pub(super) fn problems(podmans: &[(PathBuf, PathBuf)]) -> Vec<Problem> {
    if !MARKS.iter().any(|mark| Path::new(mark).exists()) {
        return Vec::new();
    }
    let Ok(mounts) = std::fs::read_to_string("/proc/self/mountinfo") else { return Vec::new() };
    let there = podmans.iter().filter(|(socket, _)| socket.exists());
    there.filter_map(|(socket, dir)| Some(Problem::new("podman", elsewhere(&mounts, socket, dir)?))).collect()
}

/// Podman, which listens at `socket`, sees another directory under the path `dir` than the agent, whose mounts these are: a
/// sentence.
fn elsewhere(mountinfo: &str, socket: &Path, dir: &Path) -> Option<String> {
    let mounts: Vec<Mount> = mountinfo.lines().filter_map(Mount::read).collect();
    let of = |path: &Path| {
        // Of two at the same place the later one is seen.
        let around = mounts.iter().filter(|mount| path.starts_with(&mount.at));
        around.max_by_key(|mount| mount.at.components().count())
    };
    let (listens, kept) = (of(socket)?, of(dir)?);
    // Podman is in the same container, or what is mounted has both in it.
    if listens.at == kept.at || listens.at == Path::new("/") {
        return None;
    }
    let part = kept.part.strip_prefix("/").unwrap_or(&kept.part);
    // A part of a file system that is mounted under its own name. Where all of one is mounted, nothing says its name
    // outside; but every container has a /dev of its own.
    let own = kept.at == Path::new("/") || (part == Path::new("") && kept.at.starts_with("/dev"));
    let same_name = !own && kept.at.ends_with(part);
    (!same_name).then(|| {
        let dir = dir.display();
        format!(
            "the agent is in a container and podman at {} is not, so podman does not find the files that pods get from ConfigMaps and Secrets: give the agent's container -v {dir}:{dir} (the directory has to be there, with mode 0700)",
            socket.display()
        )
    })
}

struct Mount {
    /// What of its file system is mounted.
    part: PathBuf,
    /// Where.
    at: PathBuf,
}

impl Mount {
    /// `36 35 0:33 /part /at rw,noatime master:1 - tmpfs tmpfs rw`.
    fn read(line: &str) -> Option<Mount> {
        let mut fields = line.split(' ').skip(3);
        let (part, at) = (fields.next()?, fields.next()?);
        Some(Mount { part: plain(part), at: plain(at) })
    }
}

/// Blanks and the like are written as a backslash and three octal digits.
fn plain(text: &str) -> PathBuf {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match code {
            Some(code) => {
                out.push(char::from(code));
                rest = &after[3..];
            }
            None => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOCKET: &str = "/run/podman/podman.sock";
    const DIR: &str = "/run/flotta-agent";
    /// A container of podman's with the directory of its socket.
    const CONTAINER: &str = "\
540 480 0:57 / / rw,relatime - overlay overlay rw,lowerdir=/l
541 540 0:60 / /proc rw,nosuid - proc proc rw
560 540 0:25 /podman /run/podman rw,nosuid - tmpfs tmpfs rw,mode=755
";

    fn said(more: &str) -> Option<String> {
        elsewhere(&format!("{CONTAINER}{more}"), Path::new(SOCKET), Path::new(DIR))
    }

    #[test]
    fn a_directory_that_podman_does_not_see_is_said_with_what_to_add() {
        let why = said("").expect("said");
        assert!(why.contains("-v /run/flotta-agent:/run/flotta-agent") && why.contains(SOCKET), "{why}");
        for wrong in [
            // A named volume; another directory; one whose name only ends alike.
            "561 540 8:1 /var/lib/containers/storage/volumes/run/_data /run/flotta-agent rw - ext4 /dev/sda1 rw",
            "561 540 8:1 /srv/flotta /run/flotta-agent rw - ext4 /dev/sda1 rw",
            "561 540 0:25 /my-flotta-agent /run/flotta-agent rw - tmpfs tmpfs rw",
            "561 540 0:25 /flotta-agent /run/other rw - tmpfs tmpfs rw",
        ] {
            assert!(said(wrong).is_some(), "{wrong}");
        }
    }

    #[test]
    fn a_directory_that_podman_sees_under_the_same_path_is_right() {
        for right in [
            "561 540 0:25 /flotta-agent /run/flotta-agent rw,nosuid - tmpfs tmpfs rw",
            // Where /run is no file system of its own.
            "561 540 8:1 /run/flotta-agent /run/flotta-agent rw - ext4 /dev/sda1 rw",
            // A directory above it, and a file system that is mounted there on the device too.
            "561 540 0:25 / /run rw,nosuid - tmpfs tmpfs rw",
            "561 540 0:99 / /run/flotta-agent rw,nosuid - tmpfs tmpfs rw",
        ] {
            assert_eq!(said(right), None, "{right}");
        }
        let both = "1 0 0:57 / / rw - overlay overlay rw\n2 1 0:25 / /run rw - tmpfs tmpfs rw\n";
        assert_eq!(elsewhere(both, Path::new(SOCKET), Path::new(DIR)), None, "all of /run");
    }

    #[test]
    fn the_containers_own_dev_is_not_the_devices() {
        let said = |more: &str| {
            let mounts = format!(
                "{CONTAINER}545 540 0:63 / /dev rw - tmpfs tmpfs rw\n546 545 0:64 / /dev/shm rw - tmpfs shm rw\n{more}"
            );
            elsewhere(&mounts, Path::new(SOCKET), Path::new("/dev/shm/x"))
        };
        assert!(said("").is_some());
        assert_eq!(said("547 546 0:24 /x /dev/shm/x rw - tmpfs tmpfs rw"), None);
    }

    #[test]
    fn with_podman_in_the_same_container_nothing_is_said() {
        let alone = "1 0 0:57 / / rw - overlay overlay rw\n2 1 0:60 / /proc rw - proc proc rw\n";
        assert_eq!(elsewhere(alone, Path::new(SOCKET), Path::new(DIR)), None);
        assert_eq!(elsewhere("", Path::new(SOCKET), Path::new(DIR)), None, "nothing is known");
    }

    #[test]
    fn names_with_blanks_are_read() {
        assert_eq!(plain(r"/mnt/my\040disk\134x\"), Path::new(r"/mnt/my disk\x\"));
        assert_eq!(plain(r"\04\zzé"), Path::new(r"\04\zzé"));
    }
}
