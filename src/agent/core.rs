//! The agent's mind: everything that decides, put together, and nothing that waits. [`super::reconcile`] is the shell
//! around it; the simulator in `tests/` is another.
//!
//! ```text
//!  wishes of the sources ─► merge, policy ─┐                       ┌─► steps, lists to ask for
//!  commands ─► lock, runs asked for ───────┼─► Reconciler::turn ───┼─► statuses, events, profiles
//!  outcomes, events, lists ────────────────┘   (gates, both clocks)└─► what has to be saved
//! ```

use std::collections::BTreeSet;

use serde::Serialize;

use crate::executor::ExecutorId;
use crate::gates::{Gates, StoredTruths};
use crate::model::command::Command;
use crate::model::desired::Desired;
use crate::model::mount::Wanted;
use crate::model::policy::Policy;
use crate::model::problem::Problem;
use crate::model::status::ProfileStatus;
use crate::model::time::{Mono, Now, Wall};
use crate::scheduler::decide::Lock;
use crate::scheduler::memory::StoredBooks;
use crate::scheduler::{Input, Limits, Output, Reconciler};
use crate::source::flotta::desired::StoredConfiguration;
use crate::source::manifests::StoredManifests;
use crate::source::{flotta, manifests, merge};

use super::claims::Kept;

/// What the mind is made with.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How much goes on at once.
    pub limits: Limits,
    /// What a server may ask for.
    pub policy: Policy,
    /// The executors there are.
    pub executors: Vec<ExecutorId>,
    /// Schedules wait until the wall clock shows at least this.
    pub clock_from: Wall,
    /// Randomised waits of this device differ from those of others.
    pub seed: u64,
    /// Which boot of the machine this is.
    pub boot: String,
}

/// What was stored of it before a restart.
#[derive(Clone, Debug, Default)]
pub struct Recalled {
    /// Object `workloads`.
    pub books: StoredBooks,
    /// Object `device-lock`.
    pub lock: StoredLock,
    /// The number of the last event.
    pub last_event: u64,
}

/// Whether the device is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
pub struct StoredLock {
    /// `None`: it is not.
    pub lock: Option<Lock>,
}

/// Something new from a source.
#[derive(Clone, Debug)]
pub enum News {
    /// From the directory of files.
    Manifests(manifests::Update),
    /// From the Flotta server.
    Flotta(flotta::Update),
}

/// An object that has to be saved: it changed.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum Save {
    /// The last good texts of the files.
    Manifests(StoredManifests),
    /// The server's configuration; `None`: there is none any more, and nothing of the one before may stay.
    Flotta(Option<StoredConfiguration>),
    /// The conditions' truths.
    Truths(StoredTruths),
    /// What is remembered of the workloads.
    Books(StoredBooks),
    /// Whether the device is locked.
    Lock(StoredLock),
}

impl Save {
    /// The object's name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Save::Manifests(_) => object::MANIFESTS,
            Save::Flotta(_) => object::FLOTTA,
            Save::Truths(_) => object::TRUTHS,
            Save::Books(_) => object::WORKLOADS,
            Save::Lock(_) => object::LOCK,
        }
    }

    /// The generation before must not stay: removed Secrets.
    #[must_use]
    pub fn alone(&self) -> bool {
        matches!(self, Save::Flotta(None))
    }
}

/// Names of the stored objects.
pub mod object {
    /// The conditions' truths.
    pub const TRUTHS: &str = "truths";
    /// The last good texts of the files.
    pub const MANIFESTS: &str = "desired-manifests";
    /// The server's configuration.
    pub const FLOTTA: &str = "desired-flotta";
    /// Failures, retries, schedules, last runs.
    pub const WORKLOADS: &str = "workloads";
    /// Whether the device is locked.
    pub const LOCK: &str = "device-lock";
}

/// What follows from a turn.
#[derive(Debug, Default)]
pub struct Turn {
    /// Steps, statuses, events.
    pub output: Output,
    /// Profiles in which something changed.
    pub profiles: Vec<ProfileStatus>,
    /// To be saved, after all else.
    pub saves: Vec<Save>,
    /// The next turn is due then even if nothing happens.
    pub wake: Option<Mono>,
}

/// What follows from a source's news.
#[derive(Debug)]
pub struct Applied {
    /// What a person should mend.
    pub problems: Vec<Problem>,
    /// The profiles there are now.
    pub profiles: BTreeSet<String>,
}

/// The mind.
#[derive(Debug)]
pub struct Core {
    reconciler: Reconciler,
    policy: Policy,
    of_manifests: Desired,
    of_flotta: Desired,
    heard_of_server: bool,
    saves: Vec<Save>,
}

impl Core {
    /// With what it remembers.
    #[must_use]
    pub fn new(setting: Setting, recalled: Recalled) -> Core {
        let Setting { limits, policy, executors, clock_from, seed, boot } = setting;
        let mut reconciler = Reconciler::new(limits, &executors)
            .remembering(recalled.books, recalled.lock.lock, &boot)
            .with_clock_from(clock_from)
            .with_seed(seed);
        reconciler.start_seq(recalled.last_event);
        let (of_manifests, of_flotta) = (Desired::default(), Desired::default());
        Core { reconciler, policy, of_manifests, of_flotta, heard_of_server: false, saves: Vec::new() }
    }

    /// What it is made around, to be looked at.
    #[must_use]
    pub fn reconciler(&self) -> &Reconciler {
        &self.reconciler
    }

    /// Takes in what happened.
    pub fn handle(&mut self, input: Input, now: Now) {
        self.reconciler.handle(input, now);
    }

    /// Takes in what a source wants now.
    pub fn wish(&mut self, news: &News, gates: &mut Gates, now: Now) -> Applied {
        match news {
            News::Manifests(update) => {
                self.of_manifests.clone_from(&update.desired);
                self.saves.push(Save::Manifests(update.stored.clone()));
            }
            News::Flotta(update) => {
                self.of_flotta.clone_from(&update.desired);
                self.heard_of_server = true;
                self.saves.push(Save::Flotta(update.stored.clone()));
            }
        }
        let mut desired = merge::merge(&self.of_manifests, &self.of_flotta);
        self.policy.apply(&mut desired.workloads);
        gates.set_profiles(&desired.profiles, now);
        let profiles = desired.profiles.iter().map(|profile| profile.name.clone()).collect();
        let problems = desired.problems.clone();
        self.reconciler.handle(Input::Desired(Box::new(desired)), now);
        Applied { problems, profiles }
    }

    /// What the sources want mounted on the device, the device's own manifests first.
    #[must_use]
    pub fn mounts(&self) -> Vec<Wanted> {
        let of = |desired: &Desired, remote| -> Vec<Wanted> {
            desired.mounts.iter().map(|mount| Wanted { mount: mount.clone(), remote }).collect()
        };
        [of(&self.of_manifests, false), of(&self.of_flotta, true)].concat()
    }

    /// Which claims somebody refers to, also those of workloads that are not carried out.
    #[must_use]
    pub fn claims(&self) -> Kept {
        let of = |desired: &'_ Desired| desired.workloads.values().cloned().collect::<Vec<_>>();
        let all = [of(&self.of_manifests), of(&self.of_flotta)].concat();
        Kept::of(all.iter().map(AsRef::as_ref))
    }

    /// Whether the server's wishes are known, of now or of before a restart.
    #[must_use]
    pub fn knows_server(&self) -> bool {
        self.heard_of_server
    }

    /// Carries out what a person asks for. What has to be stored before it is answered, and the answer.
    pub fn command(&mut self, command: &Command, gates: &Gates, now: Now) -> (Option<Save>, Result<String, String>) {
        let before = self.reconciler.lock();
        let answer = self.reconciler.command(command, gates, now);
        let lock = self.reconciler.lock();
        let asks_lock = matches!(command, Command::Lock { .. } | Command::Unlock);
        // Also one that changes nothing: the one before may not have been stored.
        ((asks_lock || lock != before).then_some(Save::Lock(StoredLock { lock })), answer)
    }

    /// One turn: decide.
    pub fn turn(&mut self, gates: &mut Gates, now: Now) -> Turn {
        gates.advance(now);
        let mut output = self.reconciler.turn(gates, now);
        let profiles = gates.take_changed_profiles();
        let mut saves = std::mem::take(&mut self.saves);
        if !profiles.is_empty() {
            saves.push(Save::Truths(gates.truths()));
        }
        saves.extend(output.remember.take().map(Save::Books));
        let wake = match (output.wake, gates.next_deadline()) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        Turn { output, profiles, saves, wake }
    }
}
