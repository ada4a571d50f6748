//! Watching the directory: what was closed after writing or renamed is read again, after 100 ms of quiet.

use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::files::{self, Mark};
use super::{Directory, Settings, StoredManifests, Update};
use crate::clock;
use crate::model::problem::Problem;
use crate::readiness::readable;

/// No event for this long: whoever writes is done.
const QUIET: Duration = Duration::from_millis(100);
/// With events coming all the time, read at least this often.
const PATIENCE: Duration = Duration::from_millis(500);
/// What events missed is found by a look at all marks, this often.
const RESCAN: Duration = Duration::from_secs(30);
/// The same where the kernel gives no events, or the directory is not there.
const RESCAN_BLIND: Duration = Duration::from_secs(2);
/// Without an event, a file is read only when nobody has written to it for this long (it may be half-written).
const SETTLED_MS: i64 = 2_000;

/// Reads the directory and follows it, for ever. The first update comes at once.
pub async fn run(
    dir: PathBuf,
    settings: Settings,
    stored: StoredManifests,
    nudge: Arc<Notify>,
    out: mpsc::Sender<Update>,
) {
    let prefix = files::shown(&dir);
    let directory = Directory::restored(&prefix, &stored);
    let mut source = Source { dir, prefix, settings, directory, marks: BTreeMap::new(), missing: None };
    let mut watch = Watch::open();
    watch.follow(&source.dir);
    source.rescan(&BTreeSet::new(), true);
    let mut last: Option<Update> = None;
    loop {
        let update = source.update(&watch);
        if last.as_ref() != Some(&update) {
            if out.send(update.clone()).await.is_err() {
                return;
            }
            last = Some(update);
        }
        let blind = watch.fd.is_none() || source.missing.is_some();
        let rescan = tokio::time::sleep(if blind { RESCAN_BLIND } else { RESCAN });
        let mut changed = BTreeSet::new();
        let all = tokio::select! {
            _ = nudge.notified() => true,
            () = rescan => false,
            all = watch.quiet(&mut changed) => all,
        };
        if source.missing.is_some() || watch.lost {
            watch.follow(&source.dir);
        }
        source.rescan(&changed, all);
    }
}

struct Source {
    dir: PathBuf,
    prefix: String,
    settings: Settings,
    directory: Directory,
    marks: BTreeMap<String, Mark>,
    missing: Option<Problem>,
}

impl Source {
    /// Reads what changed: the files named, with `all` every one whose mark changed, else those that have settled.
    fn rescan(&mut self, named: &BTreeSet<String>, all: bool) {
        let found = match files::list(&self.dir) {
            Ok(found) => found,
            Err(why) => {
                self.missing = Some(files::missing(&self.dir, &why));
                return;
            }
        };
        self.missing = None;
        let known: Vec<String> = self.directory.names().cloned().collect();
        for name in known.iter().filter(|name| !found.contains_key(*name)) {
            self.directory.remove(name);
            self.marks.remove(name);
        }
        let now = clock::wall().0;
        for (name, mark) in found {
            let settled = now.saturating_sub(mark.modified.0.saturating_mul(1000)) > SETTLED_MS;
            let differs = self.marks.get(&name) != Some(&mark);
            if named.contains(&name) || (differs && (all || settled)) {
                let text = files::read(&self.dir.join(&name));
                self.directory.put(&self.prefix, &name, text.as_deref().map_err(Clone::clone));
                self.marks.insert(name, mark);
            }
        }
    }

    fn update(&mut self, watch: &Watch) -> Update {
        let outcome = self.directory.outcome(&self.settings);
        let mut desired = outcome.desired;
        desired.problems.extend(self.missing.clone());
        desired.problems.extend(watch.problem.clone());
        Update { desired, stored: self.directory.stored() }
    }
}

/// Events of the directory, or where it is missing, of the nearest directory above it.
struct Watch {
    fd: Option<AsyncFd<OwnedFd>>,
    problem: Option<Problem>,
    lost: bool,
}

impl Watch {
    fn open() -> Watch {
        let opened = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
            .map_err(std::io::Error::from)
            .and_then(readable);
        match opened {
            Ok(fd) => Watch { fd: Some(fd), problem: None, lost: false },
            Err(why) => Watch { fd: None, problem: Some(blind(&why)), lost: false },
        }
    }

    fn follow(&mut self, dir: &Path) {
        let Some(fd) = &self.fd else { return };
        self.lost = false;
        let flags = WatchFlags::CLOSE_WRITE
            | WatchFlags::MOVED_TO
            | WatchFlags::MOVED_FROM
            | WatchFlags::CREATE
            | WatchFlags::DELETE
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF;
        let mut at = Some(dir);
        while let Some(path) = at {
            let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
            match inotify::add_watch(fd.get_ref(), path, flags) {
                Ok(_) => {
                    self.problem = None;
                    return;
                }
                Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => at = path.parent(),
                Err(why) => {
                    self.problem = Some(blind(&why.into()));
                    self.fd = None;
                    return;
                }
            }
        }
    }

    /// Waits for events and then for quiet; the files to read go into `changed`. True: look at all of them.
    async fn quiet(&mut self, changed: &mut BTreeSet<String>) -> bool {
        let mut all = self.events(changed).await;
        let latest = Instant::now() + PATIENCE;
        loop {
            let until = latest.min(Instant::now() + QUIET);
            match tokio::time::timeout_at(until, self.events(changed)).await {
                Ok(more) => all |= more,
                Err(_) => return all,
            }
            if Instant::now() >= latest {
                return all;
            }
        }
    }

    async fn events(&mut self, changed: &mut BTreeSet<String>) -> bool {
        let Some(fd) = &self.fd else { return std::future::pending().await };
        let Ok(mut ready) = fd.readable().await else { return true };
        let mut buffer = [MaybeUninit::uninit(); 4096];
        let mut reader = inotify::Reader::new(fd.get_ref(), &mut buffer);
        let mut all = false;
        while let Ok(event) = reader.next() {
            let events = event.events();
            let name = event.file_name().and_then(|name| name.to_str().ok()).unwrap_or_default();
            if events.intersects(ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF | ReadFlags::IGNORED) {
                self.lost = true;
            }
            if events.contains(ReadFlags::QUEUE_OVERFLOW) || !files::counts(name) {
                // Links that are swapped as a whole (`..data`), directories that come back.
                all = true;
            } else if events.intersects(ReadFlags::CLOSE_WRITE | ReadFlags::MOVED_TO) {
                changed.insert(name.to_owned());
            }
            // A symbolic link or a directory is created whole; a file that is created is closed after writing.
            if events.contains(ReadFlags::CREATE) {
                all |= events.contains(ReadFlags::ISDIR);
            }
        }
        ready.clear_ready();
        all
    }
}

fn blind(why: &std::io::Error) -> Problem {
    Problem::new(
        "manifests.dir",
        format!(
            "the kernel gives no file events ({why}): the directory is looked at every {} s instead; raise fs.inotify.max_user_watches or max_user_instances",
            RESCAN_BLIND.as_secs()
        ),
    )
}
