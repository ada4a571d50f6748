//! Paths of the device that a pod mounts: looked at, made, or waited for, before each start; devices are given as devices.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::observe::Part;
use super::translate::Blueprint;
use super::user::User;
use super::waits::What;
use super::{Inner, devices, files, labels};
use crate::executor::ExecutorError;
use crate::model::pod::{HostPathType, PodJob, Volume};
use crate::model::policy::Policy;
use crate::model::status::Reason;
use crate::model::workload::{SourceKind, Workload};
use crate::path_watch::nearest;

/// What is at a path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    /// Without links.
    pub(super) real: PathBuf,
    /// It is a device: its major and minor number.
    pub(super) device: Option<(u32, u32)>,
    /// It is a device that the containers of this podman cannot open, and why.
    pub(super) shut: Option<String>,
}

/// Why a path is not mounted.
#[derive(Debug)]
enum PathError {
    /// The device does not give it to a server.
    Forbidden(String),
    /// It is not what it should be.
    Wrong(String),
    /// It is not there.
    Absent(String),
    /// A mount at or above it, which leads here, is not there, and why.
    Awaited(PathBuf, String),
}

/// Checks all paths of a pod that is to be made; what is a device becomes one in its containers.
pub(super) async fn check(
    inner: &Arc<Inner>,
    workload: &Workload,
    blueprint: &mut Blueprint,
) -> Result<(), ExecutorError> {
    let mut found = BTreeMap::new();
    for (path, kind) in &blueprint.host_paths {
        found.insert(path.clone(), one(inner, workload, path, *kind).await?);
    }
    inner.waits.forget(&workload.id);
    blueprint.warn(&found.values().filter_map(|found| found.shut.clone()).collect::<Vec<_>>());
    devices::give(blueprint, &found);
    Ok(())
}

/// Said of a device that a user's containers see and cannot open: they have none of that user's further groups.
fn shut_to(user: User, path: &str, real: &Path) -> Option<String> {
    device_at(real)?;
    let is = fs::metadata(real).ok()?;
    let mode = is.mode();
    let opens = match (is.uid() == user.uid, is.gid() == user.gid) {
        (true, _) => mode & 0o600 == 0o600,
        (false, true) => mode & 0o060 == 0o060,
        (false, false) => mode & 0o006 == 0o006,
    };
    (!opens).then(|| {
        format!(
            "the device {path} belongs to {}:{} with mode {:o}: rootless containers of user {} cannot open it for reading and writing; give it to that user by a udev rule (OWNER=, or MODE=\"0666\")",
            is.uid(),
            is.gid(),
            mode & 0o7777,
            user.uid
        )
    })
}

/// Checks the paths of those containers of a pod that is there already.
pub(super) async fn check_again(
    inner: &Arc<Inner>,
    workload: &Workload,
    job: &PodJob,
    containers: &[&str],
) -> Result<(), ExecutorError> {
    let all = job.spec.init_containers.iter().chain(&job.spec.containers);
    for mount in all.filter(|one| containers.contains(&one.name.as_str())).flat_map(|one| &one.mounts) {
        if let Some(Volume::HostPath { path, kind }) = job.spec.volumes.get(&mount.volume) {
            one(inner, workload, path, *kind).await?;
        }
    }
    inner.waits.forget(&workload.id);
    Ok(())
}

async fn one(inner: &Arc<Inner>, workload: &Workload, path: &str, kind: HostPathType) -> Result<Found, ExecutorError> {
    let (its, owned, remote) = (inner.clone(), path.to_owned(), workload.source == SourceKind::Flotta);
    let looked = inner.path_calls.call(Path::new(path), move || look(&its, remote, &owned, kind)).await;
    let error = |reason, message| Err(ExecutorError { reason, message });
    let waits = |what, message| {
        inner.waits.note(&workload.id, what);
        error(Reason::VolumeWait, message)
    };
    match looked {
        Ok(Ok(found)) => Ok(found),
        Ok(Err(PathError::Forbidden(message))) => error(Reason::ForbiddenByPolicy, message),
        Ok(Err(PathError::Wrong(message))) => error(Reason::StartFailed, message),
        Ok(Err(PathError::Absent(message))) => waits(What::Path(path.into()), message),
        Ok(Err(PathError::Awaited(real, why))) => {
            let message = format!("waits for hostPath {path}: {why}");
            waits(What::Mount(real, why), message)
        }
        // Nothing would tell when it answers again: tried again after the usual wait.
        Err(why) => error(Reason::VolumeWait, format!("waits for hostPath {path}: {why}")),
    }
}

fn look(inner: &Inner, remote: bool, path: &str, kind: HostPathType) -> Result<Found, PathError> {
    let real = nearest(Path::new(path));
    let awaited = inner.setting.awaited.borrow().at(&real).map(str::to_owned);
    if let Some(why) = awaited {
        return Err(PathError::Awaited(real, why));
    }
    let there = Path::new(path).exists();
    let mut found = host_path(path, kind, remote.then_some(&inner.setting.policy))?;
    if let Some(user) = inner.user() {
        // What was made now is for those in the pod, and root there is that user here.
        if !there && let Err(why) = user.own_path(path) {
            tracing::warn!(path, %why, "a hostPath that was made stays root's");
        }
        found.shut = shut_to(user, path, &found.real);
    }
    Ok(found)
}

/// Checks a path of the device, or makes it. The error: what is wrong and what would be right.
fn host_path(path: &str, kind: HostPathType, policy: Option<&Policy>) -> Result<Found, PathError> {
    use PathError::{Absent, Forbidden, Wrong};
    if let Some(policy) = policy {
        // Where it leads, not what it is called.
        policy.host_path(&nearest(Path::new(path))).map_err(Forbidden)?;
    }
    let found = match fs::metadata(path) {
        Ok(found) => Some(found),
        Err(why) if why.kind() == io::ErrorKind::NotFound => None,
        Err(why) => return Err(Wrong(format!("hostPath {path} cannot be looked at: {why}"))),
    };
    let made = |result: io::Result<()>| result.map_err(|why| Wrong(format!("hostPath {path} cannot be made: {why}")));
    let is = |right: fn(&fs::FileType) -> bool, what: &str, remedy: &str| match &found {
        Some(found) if right(&found.file_type()) => Ok(()),
        Some(_) => Err(Wrong(format!("hostPath {path} is there, but is no {what}"))),
        None => Err(Absent(format!("waits for hostPath {path}: it is not there ({remedy}); started when it is"))),
    };
    let (make_directory, make_file, plug) =
        ("make it, or write type: DirectoryOrCreate", "make it, or write type: FileOrCreate", "plug it in");
    match kind {
        HostPathType::DirectoryOrCreate if found.is_none() => {
            made(files::make_readable(Path::new("/"), Path::new(path.trim_start_matches('/'))))
        }
        HostPathType::FileOrCreate if found.is_none() => {
            let file = OpenOptions::new().write(true).create_new(true).mode(0o644).open(path);
            made(file.and_then(|file| file.set_permissions(Permissions::from_mode(0o644))))
        }
        HostPathType::Any => is(|_| true, "path", make_directory),
        HostPathType::Directory | HostPathType::DirectoryOrCreate => {
            is(fs::FileType::is_dir, "directory", make_directory)
        }
        HostPathType::File | HostPathType::FileOrCreate => is(fs::FileType::is_file, "file", make_file),
        HostPathType::Socket => is(|kind| kind.is_socket(), "socket", "start what listens there"),
        HostPathType::CharDevice => is(|kind| kind.is_char_device(), "character device", plug),
        HostPathType::BlockDevice => is(|kind| kind.is_block_device(), "block device", plug),
    }?;
    let gone = |why: io::Error| Absent(format!("waits for hostPath {path}: it is gone again ({why})"));
    let real = fs::canonicalize(path).map_err(gone)?;
    let device = device_at(&real);
    if device.is_some() && policy.is_some_and(|policy| !policy.privileged) {
        // Wherever it stands: a container may have made it, or a file system that was mounted may have it.
        return Err(Forbidden(format!(
            "hostPath {path} is a device, which is refused for workloads of a server; to allow it, set remote.privileged: true on the device"
        )));
    }
    Ok(Found { real, device, shut: None })
}

/// The number of the device at a path, if there is one.
pub(super) fn device_at(path: &Path) -> Option<(u32, u32)> {
    let is = fs::metadata(path).ok()?;
    let kind = is.file_type();
    let number = (rustix::fs::major(is.rdev()), rustix::fs::minor(is.rdev()));
    (kind.is_char_device() || kind.is_block_device()).then_some(number)
}

/// A device that a container was given has another number by now.
pub(super) fn has_other_devices(part: &Part) -> bool {
    let changed = |given: &str| devices::have_changed(given, |path| device_at(Path::new(path)));
    part.at.label(labels::DEVICES).is_some_and(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_takes_what_it_says_waits_for_what_is_missing_and_refuses_the_rest() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let path = |name: &str| root.join(name).display().to_string();
        fs::create_dir(root.join("dir")).unwrap();
        fs::write(root.join("file"), b"").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
        std::os::unix::fs::symlink("/dev/null", root.join("null")).unwrap();
        let of = |name: &str, kind| match host_path(&path(name), kind, None) {
            Ok(found) if found.device.is_some() => "device",
            Ok(_) => "there",
            Err(PathError::Absent(why)) => {
                assert!(why.contains(&path(name)) && why.contains("waits for"), "{why}");
                "waits"
            }
            Err(PathError::Wrong(_)) => "wrong",
            Err(PathError::Forbidden(_)) => "forbidden",
            Err(PathError::Awaited(..)) => "awaited",
        };
        use HostPathType::{Any, BlockDevice, CharDevice, Directory, DirectoryOrCreate, File, FileOrCreate, Socket};
        let all = [Any, Directory, DirectoryOrCreate, File, FileOrCreate, Socket, CharDevice, BlockDevice];
        for (name, expected) in [
            ("dir", ["there", "there", "there", "wrong", "wrong", "wrong", "wrong", "wrong"]),
            ("file", ["there", "wrong", "wrong", "there", "there", "wrong", "wrong", "wrong"]),
            ("socket", ["there", "wrong", "wrong", "wrong", "wrong", "there", "wrong", "wrong"]),
            ("null", ["device", "wrong", "wrong", "wrong", "wrong", "wrong", "device", "wrong"]),
        ] {
            assert_eq!(all.map(|kind| of(name, kind)), expected, "{name}");
        }
        for kind in [Any, Directory, File, Socket, CharDevice, BlockDevice] {
            assert_eq!(of("missing", kind), "waits", "{kind:?}");
        }
        assert_eq!((of("new/dir", DirectoryOrCreate), of("new/file", FileOrCreate)), ("there", "there"));
        assert!(root.join("new/dir").is_dir() && root.join("new/file").is_file());
        let null_of = |uid| shut_to(User { uid, gid: uid }, "/x", Path::new("/dev/null"));
        assert_eq!((null_of(0), null_of(4_000_000)), (None, None));
        assert_eq!(
            shut_to(User { uid: 4_000_000, gid: 0 }, "/x", Path::new("/dev/loop-control")).is_some(),
            Path::new("/dev/loop-control").exists()
        );
        let null = host_path(&path("null"), Any, None).expect("there");
        assert_eq!(null, Found { real: "/dev/null".into(), device: Some((1, 3)), shut: None });
    }
}
