//! Desired state of both sources, and what is in force.

use tokio::sync::{mpsc, watch};

use crate::model::desired::Desired;
use crate::source::{flotta, manifests, merge};

/// Something new from a source.
#[derive(Debug)]
pub(super) enum News {
    Manifests(manifests::Update),
    Flotta(flotta::Update),
}

/// The sources, and the latest of each.
pub(super) struct Sources {
    manifests: mpsc::Receiver<manifests::Update>,
    flotta: Option<mpsc::Receiver<flotta::Update>>,
    of_manifests: Desired,
    of_flotta: Desired,
    first: Vec<News>,
    applied: watch::Sender<Option<String>>,
}

impl Sources {
    pub fn new(first: Option<manifests::Update>, manifests: mpsc::Receiver<manifests::Update>) -> Sources {
        Sources {
            manifests,
            flotta: None,
            of_manifests: Desired::default(),
            of_flotta: Desired::default(),
            first: first.map(News::Manifests).into_iter().collect(),
            applied: watch::Sender::default(),
        }
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

    /// Takes it over: all of desired state, as it is then.
    pub fn take(&mut self, news: &News) -> Desired {
        match news {
            News::Manifests(update) => self.of_manifests.clone_from(&update.desired),
            News::Flotta(update) => self.of_flotta.clone_from(&update.desired),
        }
        merge::merge(&self.of_manifests, &self.of_flotta)
    }

    /// It is in force.
    pub fn applied(&self, news: &News) {
        if let News::Flotta(update) = news {
            self.applied.send_replace(update.version.clone());
        }
    }
}
