//! Where news of desired state come from, and what is told back.

use tokio::sync::{mpsc, watch};

use super::core::News;
use crate::source::{flotta, manifests};

/// The sources.
pub(super) struct Sources {
    manifests: mpsc::Receiver<manifests::Update>,
    flotta: Option<mpsc::Receiver<flotta::Update>>,
    first: Vec<News>,
    applied: watch::Sender<Option<String>>,
}

impl Sources {
    pub fn new(first: Option<manifests::Update>, manifests: mpsc::Receiver<manifests::Update>) -> Sources {
        let first = first.map(News::Manifests).into_iter().collect();
        Sources { manifests, flotta: None, first, applied: watch::Sender::default() }
    }

    /// There is a server too; `first` is what is in force until it answers. What is in force is told.
    pub fn add_flotta(
        &mut self,
        first: Option<flotta::Update>,
        updates: mpsc::Receiver<flotta::Update>,
    ) -> watch::Receiver<Option<String>> {
        self.first.extend(first.map(News::Flotta));
        self.flotta = Some(updates);
        self.applied.subscribe()
    }

    /// There is a server among them.
    pub fn has_server(&self) -> bool {
        self.flotta.is_some()
    }

    /// What is known before anything is waited for.
    pub fn first(&mut self) -> Vec<News> {
        std::mem::take(&mut self.first)
    }

    /// Waits for the next. May be dropped and called again.
    pub async fn next(&mut self) -> News {
        let of_flotta = async {
            match &mut self.flotta {
                Some(updates) => updates.recv().await,
                None => None,
            }
        };
        tokio::select! {
            Some(update) = self.manifests.recv() => News::Manifests(update),
            Some(update) = of_flotta => News::Flotta(update),
            else => std::future::pending().await,
        }
    }

    /// It is in force.
    pub fn applied(&self, news: &News) {
        if let News::Flotta(update) = news {
            self.applied.send_replace(update.version.clone());
        }
    }
}
