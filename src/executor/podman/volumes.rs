//! Volumes of podman's: a pod's own ones, which go with it, and those of claims, which stay.

use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use serde_json::json;

use super::client::ApiError;
use super::translate::{Blueprint, NewVolume, claim_volume};
use super::user::User;
use super::{Inner, labels, wire};
use crate::executor::{Claim, ExecutorError};
use crate::model::status::Reason;

/// Files of a volume that are counted for its size; it is said to be more then.
const COUNTED_MAX: usize = 100_000;
/// Of the volume by which is asked whether podman can limit volumes.
const PROBE_BYTES: u64 = 1 << 20;

fn failed(message: String) -> ExecutorError {
    ExecutorError { reason: Reason::StartFailed, message }
}

/// Limits of volumes on disk: kept where podman can, else said.
pub(super) async fn limit_sizes(inner: &Inner, blueprint: &mut Blueprint) -> Result<(), ExecutorError> {
    if blueprint.volumes.iter().all(|volume| volume.disk_limit.is_none()) {
        return Ok(());
    }
    let can = limits_sizes(inner).await;
    let can = can.map_err(|why| inner.error(Reason::StartFailed, "podman's abilities", why))?;
    let mut warnings = Vec::new();
    for volume in &mut blueprint.volumes {
        let Some(bytes) = volume.disk_limit else { continue };
        match &can {
            Ok(()) => volume.body["Options"] = json!({ "o": format!("size={bytes}") }),
            Err(why) => warnings.push(format!(
                "LimitNotEnforced: the sizeLimit of emptyDir {}: {why} (medium: Memory is limited everywhere)",
                volume.name.strip_prefix(&format!("{}-", blueprint.name)).unwrap_or(&volume.name)
            )),
        }
    }
    blueprint.warn(&warnings);
    Ok(())
}

/// Whether podman can limit volumes on this disk; the inner error: why not. Asked once for each connection, by making one.
async fn limits_sizes(inner: &Inner) -> Result<Result<(), String>, ApiError> {
    if let Some(known) = inner.sizes() {
        return Ok(known);
    }
    let name = format!("flotta-probe-{}", inner.setting.owner);
    // Left behind it is swept: there is no pod of that name.
    let label = json!({ labels::OWNER: inner.setting.owner, labels::POD: name });
    let body = json!({ "Name": name, "Driver": "local", "Options": { "o": format!("size={PROBE_BYTES}") }, "Label": label, "Labels": label });
    let can = match inner.client.create_volume(body).await {
        Ok(_) => Ok(()),
        Err(ApiError::Refused(_, words)) if words.contains("already exists") => Ok(()),
        Err(ApiError::Refused(_, words)) => Err(format!("podman says: {words}")),
        Err(why) => return Err(why),
    };
    if can.is_ok() {
        inner.client.remove_volume(&name).await?;
    }
    inner.learn_sizes(can.clone());
    Ok(can)
}

/// Makes a pod's own volumes, empty, and those of its claims that are not there yet.
pub(super) async fn make(inner: &Inner, blueprint: &Blueprint) -> Result<(), ExecutorError> {
    for volume in &blueprint.volumes {
        let cannot = |why| inner.error(Reason::StartFailed, &format!("volume {} cannot be made", volume.name), why);
        let made = match inner.client.create_volume(volume.body.clone()).await {
            // Left by an earlier start that was cut off: emptyDirs begin empty.
            Err(ApiError::Refused(_, words)) if words.contains("already exists") => {
                remove_own(inner, &volume.name).await?;
                inner.client.create_volume(volume.body.clone()).await
            }
            made => made,
        };
        open_to_all(inner, &made.map_err(cannot)?);
    }
    for claim in &blueprint.claims {
        make_claim(inner, claim).await?;
    }
    Ok(())
}

async fn remove_own(inner: &Inner, name: &str) -> Result<(), ExecutorError> {
    let error =
        |why| inner.error(Reason::StartFailed, &format!("volume {name} of an earlier start cannot be removed"), why);
    let there = inner.client.volume(name).await.map_err(error)?;
    let owner = there.and_then(|volume| volume.labels?.remove(labels::OWNER));
    if owner.is_some_and(|owner| owner == inner.setting.owner) {
        return inner.client.remove_volume(name).await.map_err(error);
    }
    Err(failed(format!("a volume {name} is there, and is not this agent's: remove or rename it")))
}

/// Makes a claim's volume unless it is there; another's of that name is not touched.
async fn make_claim(inner: &Inner, claim: &NewVolume) -> Result<(), ExecutorError> {
    let name = &claim.name;
    let error = |why| inner.error(Reason::StartFailed, &format!("volume {name} cannot be made"), why);
    for _ in 0..2 {
        match inner.client.volume(name).await.map_err(error)? {
            Some(there) if is_the_claim(inner, &there, claim) => return Ok(()),
            Some(_) => {
                return Err(failed(format!(
                    "a volume {name} is there, and is not of this agent's claim: it is not touched; remove it (podman volume rm {name}), or give the claim another name"
                )));
            }
            None => match inner.client.create_volume(claim.body.clone()).await {
                Ok(made) => {
                    open_to_all(inner, &made);
                    return Ok(());
                }
                // Somebody was quicker: maybe another workload with the same claim.
                Err(ApiError::Refused(_, words)) if words.contains("already exists") => {}
                Err(why) => return Err(error(why)),
            },
        }
    }
    Err(failed(format!("volume {name} cannot be made: it comes and goes")))
}

fn is_the_claim(inner: &Inner, there: &wire::Volume, claim: &NewVolume) -> bool {
    let label = |name| there.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    label(labels::OWNER) == Some(&inner.setting.owner)
        && label(labels::NAMESPACE) == claim.body["Labels"][labels::NAMESPACE].as_str()
        && label(labels::CLAIM) == claim.body["Labels"][labels::CLAIM].as_str()
}

/// Volumes belong to whoever runs in the pod.
fn open_to_all(inner: &Inner, volume: &wire::Volume) {
    if inner.is_anybodys() {
        return;
    }
    if let Err(why) = open_directory(Path::new(&volume.mountpoint), inner.user()) {
        tracing::debug!(volume = volume.name, %why, "a volume keeps podman's own permissions");
    }
}

/// What a user may have put there instead is not opened: only a directory of that user's, which the user could open as well.
fn open_directory(path: &Path, user: Option<User>) -> std::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let directory = rustix::fs::open(path, flags, Mode::empty())?;
    if let Some(user) = user
        && rustix::fs::fstat(&directory)?.st_uid != user.uid
    {
        return Err(std::io::Error::other("it is not that user's"));
    }
    Ok(rustix::fs::fchmod(&directory, Mode::from_raw_mode(0o777))?)
}

/// The volumes of all claims, whoever uses them.
pub(super) async fn claims(inner: &Inner) -> Result<Vec<Claim>, ExecutorError> {
    let error = |why| inner.error(Reason::ExecutorUnreachable, "podman cannot be asked for its volumes", why);
    // Whose podman it is comes first: another's volumes are none of these.
    inner.abilities().await.map_err(error)?;
    let mut found = Vec::new();
    for volume in inner.client.volumes(&[inner.owned()]).await.map_err(error)? {
        let mut labels = volume.labels.unwrap_or_default();
        let (Some(namespace), Some(name)) = (labels.remove(labels::NAMESPACE), labels.remove(labels::CLAIM)) else {
            continue;
        };
        if volume.name != claim_volume(&namespace, &name) {
            continue;
        }
        let at = PathBuf::from(volume.mountpoint);
        let bytes = tokio::task::spawn_blocking(move || size(&at)).await.ok().flatten();
        found.push(Claim { namespace, name, bytes });
    }
    found.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    Ok(found)
}

/// Removes a claim's volume with all that is in it, if it is ours and nothing uses it.
pub(super) async fn remove_claim(inner: &Inner, namespace: &str, claim: &str) -> Result<(), ExecutorError> {
    let name = claim_volume(namespace, claim);
    let error = |why| inner.error(Reason::StopFailed, &format!("volume {name} cannot be removed"), why);
    let Some(there) = inner.client.volume(&name).await.map_err(error)? else { return Ok(()) };
    let label = |name| there.labels.as_ref().and_then(|labels| labels.get(name)).map(String::as_str);
    if label(labels::OWNER) != Some(&inner.setting.owner) || label(labels::CLAIM) != Some(claim) {
        return Err(ExecutorError {
            reason: Reason::StopFailed,
            message: format!("volume {name} is not of this agent's claim any more"),
        });
    }
    inner.client.remove_volume(&name).await.map_err(error)
}

/// What it takes on disk; `None`: it cannot be looked at, or has too many files for a quick look.
fn size(directory: &Path) -> Option<u64> {
    use std::os::unix::fs::MetadataExt;
    let (mut bytes, mut counted) = (0_u64, 0_usize);
    let mut to_do = vec![directory.to_path_buf()];
    while let Some(at) = to_do.pop() {
        for entry in std::fs::read_dir(at).ok()? {
            let entry = entry.ok()?;
            counted = counted.saturating_add(1);
            if counted > COUNTED_MAX {
                return None;
            }
            // Never through a link: what it leads to is not the volume's.
            let is = entry.metadata().ok()?;
            bytes = bytes.saturating_add(is.blocks().saturating_mul(512));
            if is.is_dir() {
                to_do.push(entry.path());
            }
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_user_put_in_a_volumes_place_is_not_opened() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::fs::create_dir(&target).unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        let mode = || std::fs::metadata(&target).unwrap().permissions().mode() & 0o7777;
        let before = mode();
        assert!(open_directory(&link, None).is_err());
        let own = User::own();
        assert!(open_directory(&target, Some(User { uid: own.uid + 1, ..own })).is_err());
        assert_eq!(mode(), before);
        open_directory(&target, Some(own)).unwrap();
        assert_eq!(mode(), 0o777);
    }

    #[test]
    fn the_size_of_a_volume_is_what_it_takes_and_not_what_links_lead_to() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/file"), vec![1_u8; 100_000]).unwrap();
        std::os::unix::fs::symlink("/usr", dir.path().join("link")).unwrap();
        let bytes = size(dir.path()).unwrap();
        assert!((100_000..1_000_000).contains(&bytes), "{bytes}");
        assert_eq!(size(&dir.path().join("missing")), None);
    }
}
