//! The manifests' watcher: what `source::manifests::run` does around the real [`Directory`].
//!
//! [`Directory`]: flotta_agent::source::manifests::Directory

use flotta_agent::agent::core::News;
use flotta_agent::source::manifests::{Settings, Update};
use flotta_agent::spec_hash::DeviceKey;

use crate::agent::RESCAN;
use crate::due::{Due, Life};
use crate::mutation::Mutation;
use crate::tally::Fault;
use crate::world::World;

/// No event for this long: whoever writes is done.
const QUIET: u64 = 100;

fn settings() -> Settings {
    Settings { device_id: Some("toto".into()), fallback_id: "toto".into(), key: DeviceKey::new([7; 32]) }
}

impl World {
    /// The kernel tells the watcher, if it does.
    pub fn files_changed(&mut self, paths: Vec<String>) {
        if self.operator.directory_gone || self.fault(Fault::EventLost, 20) {
            return;
        }
        let life = self.life;
        let Some(agent) = &mut self.agent else { return };
        let quiet = agent.changed.is_empty();
        agent.changed.extend(paths);
        if quiet {
            self.later(QUIET, Due::FilesQuiet(life));
        }
    }

    pub fn files_quiet(&mut self, life: Life) {
        if self.alive(life).is_some() {
            self.read_files(false);
        }
    }

    pub fn rescan(&mut self, life: Life) {
        if self.alive(life).is_some() {
            self.read_files(true);
            self.later(RESCAN, Due::Rescan(life));
        }
    }

    /// Reads what changed; with `all`, whatever differs from what was read.
    pub fn read_files(&mut self, all: bool) {
        let misses = self.broken == Some(Mutation::MissesEdits) && self.dice.one_in(3);
        let Some(agent) = &mut self.agent else { return };
        let named = std::mem::take(&mut agent.changed);
        if !self.operator.directory_gone {
            let files = &self.operator.files;
            let gone: Vec<String> =
                agent.directory.names().filter(|name| !files.contains_key(*name)).cloned().collect();
            for name in gone {
                agent.directory.remove(&name);
                agent.read.remove(&name);
            }
            for (name, file) in files {
                let differs = agent.read.get(name) != Some(&file.version);
                if !(named.contains(name) || (all && differs)) {
                    continue;
                }
                agent.read.insert(name.clone(), file.version);
                if misses && agent.last_update.is_some() {
                    continue;
                }
                let text = if file.readable { Ok(file.text.as_str()) } else { Err("cannot be read".to_owned()) };
                agent.directory.put("manifests", name, text);
            }
        }
        let update = Update { desired: agent.directory.outcome(&settings()).desired, stored: agent.directory.stored() };
        if agent.last_update.as_ref() != Some(&update) {
            agent.last_update = Some(update.clone());
            self.wish(News::Manifests(update));
        }
    }

    pub fn directory_back(&mut self) {
        self.operator.directory_gone = false;
        let all = self.operator.files.keys().cloned().collect();
        self.files_changed(all);
    }
}
