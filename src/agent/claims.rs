//! `gc --volumes`: claims that nobody refers to any more.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use crate::executor::{Executor, ExecutorId};
use crate::model::pod::Volume;
use crate::model::status::Reason;
use crate::model::workload::{Kind, Payload, Workload};

/// Why nothing is removed yet.
pub(super) const UNKNOWN: &str = "the server has not said yet what runs here, so nobody knows which claims are wanted: nothing is removed; try again when it has";

/// Claims that somebody refers to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Whose podman has it, its namespace and its name.
    wanted: BTreeSet<(ExecutorId, String, String)>,
    /// Namespaces in which a workload cannot be read, and which one: it may refer to any claim there.
    unclear: BTreeMap<String, String>,
}

impl Kept {
    /// Those of all workloads there are.
    #[must_use]
    pub fn of<'a>(workloads: impl Iterator<Item = &'a Workload>) -> Kept {
        let mut kept = Kept::default();
        for workload in workloads {
            let namespace = workload.id.namespace();
            match &workload.payload {
                Payload::Pod(job) => {
                    let claims = job.spec.volumes.values().filter_map(|volume| match volume {
                        Volume::Claim { name, .. } => Some(name.clone()),
                        Volume::Empty { .. } | Volume::HostPath { .. } | Volume::Files(_) => None,
                    });
                    let by = ExecutorId::of(workload.kind, workload.rootless);
                    kept.wanted.extend(claims.map(|claim| (by, namespace.to_owned(), claim)));
                }
                Payload::Invalid(_) | Payload::Forbidden(_) if workload.kind == Kind::Pod => {
                    kept.unclear.insert(namespace.to_owned(), workload.id.to_string());
                }
                _ => {}
            }
        }
        kept
    }

    /// Why a claim stays; `None`: nobody wants it.
    fn why(&self, by: ExecutorId, namespace: &str, name: &str) -> Option<String> {
        if self.wanted.contains(&(by, namespace.to_owned(), name.to_owned())) {
            return Some(String::new());
        }
        let unclear = self.unclear.get(namespace)?;
        Some(format!("kept: what workload {unclear} refers to cannot be read"))
    }
}

/// Removes what nobody wants, or only says so; what was done, a line each.
pub(super) async fn collect(
    executors: &BTreeMap<ExecutorId, Arc<dyn Executor>>,
    kept: &Kept,
    dry_run: bool,
) -> Result<String, String> {
    let (mut said, mut freed, mut count, mut asked, mut unasked) = (String::new(), 0_u64, 0_usize, false, Vec::new());
    for (id, executor) in
        executors.iter().filter(|(id, _)| matches!(id, ExecutorId::Podman | ExecutorId::PodmanRootless))
    {
        let whose = if *id == ExecutorId::PodmanRootless { " (rootless)" } else { "" };
        let claims = match executor.claims().await {
            Ok(claims) => claims,
            Err(why) => {
                unasked.push(format!("claims{whose} are left alone: {}", why.message));
                continue;
            }
        };
        asked = true;
        for claim in claims {
            let name = format!("{}/{}", claim.namespace, claim.name);
            let size = claim.bytes.map_or_else(|| "of unknown size".to_owned(), shown);
            let what = match kept.why(*id, &claim.namespace, &claim.name) {
                Some(why) if why.is_empty() => continue,
                Some(why) => why,
                None if dry_run => {
                    (freed, count) = (freed.saturating_add(claim.bytes.unwrap_or(0)), count.saturating_add(1));
                    "would be removed".to_owned()
                }
                None => match executor.remove_claim(claim.namespace.clone(), claim.name.clone()).await {
                    Ok(()) => {
                        tracing::info!(claim = name, bytes = claim.bytes, "a claim that nobody refers to is removed");
                        (freed, count) = (freed.saturating_add(claim.bytes.unwrap_or(0)), count.saturating_add(1));
                        "removed".to_owned()
                    }
                    Err(why) if why.reason == Reason::ExecutorUnreachable => return Err(why.message),
                    Err(why) => format!("not removed: {}", why.message),
                },
            };
            let _ = writeln!(said, "claim {name}{whose}, {size}: {what}");
        }
    }
    if !asked {
        return Err(unasked.join("; "));
    }
    for why in unasked {
        let _ = writeln!(said, "{why}");
    }
    let claims = if count == 1 { "claim" } else { "claims" };
    let _ = match (count, dry_run) {
        (0, _) => write!(said, "nothing to remove: every other claim is referred to by a workload"),
        (_, true) => write!(said, "{count} {claims} would be removed, {} freed", shown(freed)),
        (_, false) => write!(said, "{count} {claims} removed, {} freed", shown(freed)),
    };
    Ok(said)
}

/// Bytes as people read them.
fn shown(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1024 => format!("{bytes} B"),
        1024..0x10_0000 => format!("{} KiB", tenths(1024)),
        0x10_0000..0x4000_0000 => format!("{} MiB", tenths(0x10_0000)),
        _ => format!("{} GiB", tenths(0x4000_0000)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::executor::{Call, Claim, End, ExecutorError, Handle, Instance};
    use crate::model::pod::PodSpec;
    use crate::model::workload::SharedWorkload;

    /// Has claims and nothing else; `busy` is in use.
    struct Store(Mutex<Vec<Claim>>, Option<&'static str>);

    impl Executor for Store {
        fn list(&self) -> Call<'_, Vec<Instance>> {
            Box::pin(async { Err(ExecutorError { reason: Reason::NotSupported, message: String::new() }) })
        }
        fn start(&self, _: SharedWorkload, _: Option<u32>) -> Call<'_, Instance> {
            Box::pin(async { Err(ExecutorError { reason: Reason::NotSupported, message: String::new() }) })
        }
        fn stop(&self, _: Handle) -> Call<'_, End> {
            Box::pin(async { Err(ExecutorError { reason: Reason::NotSupported, message: String::new() }) })
        }
        fn remove(&self, _: Handle) -> Call<'_, ()> {
            Box::pin(async { Err(ExecutorError { reason: Reason::NotSupported, message: String::new() }) })
        }
        fn claims(&self) -> Call<'_, Vec<Claim>> {
            Box::pin(async {
                match self.1 {
                    Some(why) => Err(ExecutorError { reason: Reason::ExecutorUnreachable, message: why.into() }),
                    None => Ok(self.0.lock().unwrap().clone()),
                }
            })
        }
        fn remove_claim(&self, namespace: String, name: String) -> Call<'_, ()> {
            Box::pin(async move {
                if name == "busy" {
                    return Err(ExecutorError { reason: Reason::StopFailed, message: "it is in use".into() });
                }
                self.0.lock().unwrap().retain(|claim| claim.namespace != namespace || claim.name != name);
                Ok(())
            })
        }
    }

    fn store(names: &[(&str, &str, Option<u64>)]) -> Arc<Store> {
        let claim = |(namespace, name, bytes): &(&str, &str, Option<u64>)| Claim {
            namespace: (*namespace).into(),
            name: (*name).into(),
            bytes: *bytes,
        };
        Arc::new(Store(Mutex::new(names.iter().map(claim).collect()), None))
    }

    fn workload(claim: &str) -> Workload {
        let volume = Volume::Claim { name: claim.into(), read_only: false };
        let volumes = BTreeMap::from([("v".to_owned(), volume)]);
        Workload::pod("default", "w", PodSpec { volumes, ..PodSpec::default() })
    }

    fn left(store: &Store) -> Vec<String> {
        store.0.lock().unwrap().iter().map(|claim| format!("{}/{}", claim.namespace, claim.name)).collect()
    }

    #[tokio::test]
    async fn only_claims_that_no_workload_of_that_podman_refers_to_are_removed() {
        let root = store(&[
            ("default", "db", Some(5)),
            ("default", "old", Some(3 << 20)),
            ("other", "db", None),
            ("default", "busy", Some(1)),
        ]);
        let user = store(&[("default", "db", Some(2048))]);
        let all: BTreeMap<ExecutorId, Arc<dyn Executor>> =
            BTreeMap::from([(ExecutorId::Podman, root.clone() as _), (ExecutorId::PodmanRootless, user.clone() as _)]);
        let workloads = [workload("db")];
        let kept = Kept::of(workloads.iter());
        let dry = collect(&all, &kept, true).await.unwrap();
        assert_eq!((left(&root).len(), left(&user).len()), (4, 1), "{dry}");
        assert!(dry.contains("claim default/old, 3.0 MiB: would be removed"), "{dry}");
        assert!(dry.contains("claim other/db, of unknown size: would be removed"), "{dry}");
        assert!(dry.contains("claim default/db (rootless), 2.0 KiB: would be removed"), "{dry}");
        let said = collect(&all, &kept, false).await.unwrap();
        assert_eq!(
            (left(&root), left(&user)),
            (vec!["default/db".into(), "default/busy".into()], Vec::<String>::new())
        );
        assert!(said.contains("default/busy, 1 B: not removed: it is in use"), "{said}");
        assert!(said.ends_with("3 claims removed, 3.0 MiB freed"), "{said}");
    }

    #[tokio::test]
    async fn where_a_workload_cannot_be_read_the_claims_of_its_namespace_stay() {
        let root = store(&[("default", "old", Some(5)), ("other", "old", Some(5))]);
        let all: BTreeMap<ExecutorId, Arc<dyn Executor>> = BTreeMap::from([(ExecutorId::Podman, root.clone() as _)]);
        let workloads = [Workload { payload: Payload::Invalid("broken".into()), ..workload("old") }];
        let said = collect(&all, &Kept::of(workloads.iter()), false).await.unwrap();
        assert_eq!(left(&root), ["default/old"]);
        assert!(said.contains("default/old") && said.contains("default/w refers to cannot be read"), "{said}");
    }

    #[tokio::test]
    async fn a_podman_that_does_not_answer_is_said_and_one_is_enough() {
        let away = Arc::new(Store(Mutex::default(), Some("nobody answers")));
        let mut all: BTreeMap<ExecutorId, Arc<dyn Executor>> =
            BTreeMap::from([(ExecutorId::PodmanRootless, away as _)]);
        let none = collect(&all, &Kept::default(), false).await;
        assert!(none.unwrap_err().contains("nobody answers"));
        all.insert(ExecutorId::Podman, store(&[]));
        let said = collect(&all, &Kept::default(), false).await.unwrap();
        assert!(
            said.contains("(rootless) are left alone: nobody answers") && said.contains("nothing to remove"),
            "{said}"
        );
    }
}
