//! What is done about a mount now. Pure.

use std::path::PathBuf;

use super::wish::{Source, Wish};
use crate::model::policy::Policy;

/// What a look found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// Where the directory leads, links resolved as far as it is there.
    pub directory: PathBuf,
    /// What is mounted there.
    pub mounted: Mounted,
    /// What the source is.
    pub source: Found,
    /// The agent may mount.
    pub is_root: bool,
}

/// What is mounted on the directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mounted {
    Nothing,
    Something,
    /// Of a device that is gone.
    Stale,
}

/// What is where the source should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing has to be.
    Unneeded,
    Nothing,
    /// A block device, and where it is mounted already, if it is.
    Device(PathBuf, Option<PathBuf>),
    /// A directory, and where it really is.
    Directory(PathBuf),
    Else,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is there.
    There,
    /// It cannot be now: why.
    Wait(String),
    /// It is mounted now. `stale`: what is left of a device that is gone is taken away first.
    Mount { stale: bool },
}

/// Decides.
pub(super) fn next(wish: &Wish, facts: &Facts, policy: &Policy) -> Next {
    let stale = match facts.mounted {
        Mounted::Something => return Next::There,
        Mounted::Stale => true,
        Mounted::Nothing => false,
    };
    let shown = &wish.mount.device;
    match (&wish.source, &facts.source) {
        (Source::Device(path, _), Found::Nothing) => {
            return Next::Wait(format!("the device {shown} is not there ({}): plug it in", path.display()));
        }
        (Source::Bind(path), Found::Nothing) => return Next::Wait(format!("{} is not there", path.display())),
        (Source::Device(..), Found::Device(_, Some(elsewhere))) if wish.remote => {
            // It may be what the system lives on, which no server gets at.
            return Next::Wait(format!("{shown} is mounted on {} already: unmount it there", elsewhere.display()));
        }
        (Source::Device(..), Found::Device(..))
        | (Source::Bind(_), Found::Directory(_))
        | (Source::Memory | Source::Network(_), _) => {}
        (Source::Device(..), _) => return Next::Wait(format!("{shown} is no block device")),
        (Source::Bind(_), _) => return Next::Wait(format!("{shown} is no directory")),
    }
    if !facts.is_root {
        return Next::Wait("the agent does not run as root, so it cannot mount: mount it yourself (/etc/fstab)".into());
    }
    if wish.remote {
        if let Err(why) = policy.mount_point(&facts.directory) {
            return Next::Wait(why);
        }
        if let Found::Directory(real) = &facts.source
            && let Err(why) = policy.host_path(real)
        {
            return Next::Wait(why);
        }
    }
    Next::Mount { stale }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::mount::{Mount, Wanted};
    use crate::model::policy::HostPaths;

    fn policy() -> Policy {
        Policy { host_paths: HostPaths::Allow, mounts: true, ..Policy::default() }
    }

    fn of(device: &str, options: &str, remote: bool, mounted: Mounted, source: Found, is_root: bool) -> String {
        let mount =
            Mount { device: device.into(), directory: "/mnt/x".into(), kind: String::new(), options: options.into() };
        let wish = Wish::read(&Wanted { mount, remote }, &policy()).unwrap();
        let facts = Facts { directory: "/mnt/x".into(), mounted, source, is_root };
        match next(&wish, &facts, &policy()) {
            Next::There => "there".into(),
            Next::Wait(why) => why,
            Next::Mount { stale } => format!("mount {stale}"),
        }
    }

    #[test]
    fn each_situation_has_its_step_or_its_sentence() {
        use Mounted::{Nothing, Something, Stale};
        let disk = || Found::Device("/dev/sdb1".into(), None);
        for (device, options, remote, mounted, source, is_root, expected) in [
            ("/dev/sdb1", "", true, Something, Found::Nothing, false, "there"),
            ("/dev/sdb1", "", true, Nothing, Found::Nothing, true, "plug it in"),
            ("/dev/sdb1", "", true, Stale, Found::Nothing, true, "plug it in"),
            ("/dev/sdb1", "", true, Nothing, disk(), true, "mount false"),
            ("/dev/sdb1", "", true, Stale, disk(), true, "mount true"),
            ("/dev/sdb1", "", true, Nothing, disk(), false, "not run as root"),
            ("/dev/sdb1", "", true, Nothing, Found::Else, true, "no block device"),
            (
                "/dev/vda1",
                "",
                true,
                Nothing,
                Found::Device("/dev/vda1".into(), Some("/".into())),
                true,
                "mounted on / already",
            ),
            ("/dev/vda1", "", false, Nothing, Found::Device("/dev/vda1".into(), Some("/".into())), true, "mount false"),
            ("/srv/a", "bind", true, Nothing, Found::Directory("/srv/a".into()), true, "mount false"),
            ("/srv/a", "bind", true, Nothing, Found::Directory("/etc".into()), true, "remote.host_paths"),
            ("/srv/a", "bind", false, Nothing, Found::Directory("/etc".into()), true, "mount false"),
            ("/srv/a", "bind", true, Nothing, Found::Nothing, true, "is not there"),
            ("/srv/a", "bind", true, Nothing, Found::Else, true, "no directory"),
        ] {
            let said = of(device, options, remote, mounted, source.clone(), is_root);
            assert!(said.contains(expected), "{device} {options} {mounted:?} {source:?}: {said}");
        }
    }
}
