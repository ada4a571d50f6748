//! The Flotta server, where one is configured: what is in force until it answers, and the task that talks to it.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;

use crate::board::Board;
use crate::config::{Config, OnEnd};
use crate::model::problem::Problem;
use crate::source::flotta::{self, Configured, Counts, Files, Ports, Setting};
use crate::spec_hash::DeviceKey;
use crate::state::{self, Saves, StateDir};

use super::core::object;
use super::sources::Sources;
use super::vital::Vital;

/// Prepared, and not started: the first plan knows already what the server wanted last.
pub(super) struct Server {
    ready: Option<(Setting, Configured, Ports)>,
    counts: Option<Arc<Counts>>,
    reread: Arc<Notify>,
    stop: Arc<Notify>,
}

/// Talked to.
pub(super) struct Talking {
    task: Option<JoinHandle<()>>,
    stop: Arc<Notify>,
}

impl Server {
    pub fn prepare(
        config: &Config,
        state: &StateDir,
        device: &str,
        key: DeviceKey,
        (board, saves, before): (&Arc<Board>, Saves, u64),
        sources: &mut Sources,
    ) -> Server {
        let (reread, stop) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let Some(server) = config.server.url.clone() else {
            return Server { ready: None, counts: None, reread, stop };
        };
        let (stored, damaged) = state::load(state.path(), object::FLOTTA);
        board.set_problems("desired-flotta", damaged.into_iter().collect::<Vec<Problem>>());
        let settings = flotta::desired::Settings { device_id: device.to_owned(), key };
        let (configured, first) = Configured::restored(settings, stored);
        let (updates, inbox) = mpsc::channel(4);
        let applied = sources.add_flotta(first, inbox);
        let files = Files::of(&config.server);
        let setting = Setting {
            server,
            files,
            device: device.to_owned(),
            namespace: config.remote.namespace.clone(),
            leave: config.remote.on_removal == OnEnd::Leave,
            state: state.path().to_path_buf(),
            before,
        };
        let counts = Arc::new(Counts::default());
        let (board, reread_too, stop_too) = (board.clone(), reread.clone(), stop.clone());
        let ports =
            Ports { updates, applied, board, reread: reread_too, stop: stop_too, saves, counts: counts.clone() };
        Server { ready: Some((setting, configured, ports)), counts: Some(counts), reread, stop }
    }

    pub fn counts(&self) -> Option<Arc<Counts>> {
        self.counts.clone()
    }

    /// Rung by SIGHUP.
    pub fn reread(&self) -> Arc<Notify> {
        self.reread.clone()
    }

    pub fn start(self, vital: &Vital) -> Talking {
        let run = |(setting, configured, ports)| {
            vital.spawn("what talks to the server", flotta::run(setting, configured, ports))
        };
        Talking { task: self.ready.map(run), stop: self.stop }
    }
}

impl Talking {
    /// What is not stored yet is stored.
    pub async fn end(self) {
        self.stop.notify_one();
        if let Some(task) = self.task {
            // It panicked, and said so.
            let _ = task.await;
        }
    }
}
