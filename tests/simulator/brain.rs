//! What decides, and nothing else: the one place where the simulator meets the agent's mind.

use flotta_agent::agent::core::{Core, News, Recalled, Save, Setting, StoredLock, Turn, object};
use flotta_agent::gates::{Changed, Gates, Settings, StoredTruths};
use flotta_agent::model::command::Command;
use flotta_agent::model::desired::Desired;
use flotta_agent::model::metric::{MetricSource, MetricUpdate};
use flotta_agent::model::policy::{HostPaths, Policy};
use flotta_agent::model::time::{Now, Wall};
use flotta_agent::scheduler::memory::StoredBooks;
use flotta_agent::scheduler::{Input, Limits};
use flotta_agent::source::merge::merge;

use crate::clock::EPOCH;
use crate::machine::EXECUTORS;
use crate::mutation::Mutation;
use crate::store::Store;

/// Schedules wait until the wall clock shows this: thirty days before the simulation begins.
pub const CLOCK_FROM: Wall = Wall(EPOCH - 30 * 86_400_000);
/// How much may go on at once.
pub const LIMITS: Limits = Limits { starts: 3, ends: 5 };

pub struct Brain {
    pub core: Core,
    pub gates: Gates,
    of_manifests: Desired,
    of_server: Desired,
    /// What is in force.
    pub desired: Desired,
}

fn policy() -> Policy {
    Policy { host_paths: HostPaths::Allow, host_network: true, mounts: true, ..Policy::default() }
}

impl Brain {
    /// As `agent::run` puts it together.
    pub fn load(
        store: &mut Store,
        boot: u64,
        last_event: u64,
        broken: Option<Mutation>,
        now: Now,
    ) -> Result<Brain, String> {
        let truths = store.load::<StoredTruths>(object::TRUTHS)?;
        let books = store.load::<StoredBooks>(object::WORKLOADS)?;
        let lock = store.load::<StoredLock>(object::LOCK)?;
        let mut gates = Gates::new(Settings::default());
        gates.restore(truths.unwrap_or_default(), now);
        let setting = Setting {
            limits: LIMITS,
            policy: policy(),
            executors: EXECUTORS.to_vec(),
            clock_from: CLOCK_FROM,
            seed: 7,
            boot: format!("boot-{boot}"),
        };
        let mut recalled = Recalled { books: books.unwrap_or_default(), lock: lock.unwrap_or_default(), last_event };
        if broken == Some(Mutation::ForgetsBooks) {
            recalled.books = StoredBooks::default();
        }
        Ok(Brain {
            core: Core::new(setting, recalled),
            gates,
            of_manifests: Desired::default(),
            of_server: Desired::default(),
            desired: Desired::default(),
        })
    }

    pub fn wish(&mut self, news: &News, now: Now) {
        match news {
            News::Manifests(update) => self.of_manifests.clone_from(&update.desired),
            News::Flotta(update) => self.of_server.clone_from(&update.desired),
        }
        self.desired = merge(&self.of_manifests, &self.of_server);
        policy().apply(&mut self.desired.workloads);
        self.core.wish(news, &mut self.gates, now);
    }

    pub fn input(&mut self, input: Input, now: Now) {
        self.core.handle(input, now);
    }

    pub fn metric(&mut self, update: MetricUpdate, now: Now) -> Changed {
        self.gates.apply(&[update], MetricSource::Mqtt, now).unwrap_or_default()
    }

    pub fn command(&mut self, command: &Command, now: Now) -> (Option<Save>, Result<String, String>) {
        self.core.command(command, &self.gates, now)
    }

    pub fn turn(&mut self, now: Now) -> Turn {
        self.core.turn(&mut self.gates, now)
    }
}
