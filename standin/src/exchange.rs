//! The log of exchanges, and waiting for one.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;

use crate::client::Client;
use crate::fault::Operation;

/// How an exchange ended, as seen by the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// An answer was given to the connection.
    Answered,
    /// The connection or stream was aborted before any answer.
    Aborted,
    /// The answer was given, to be cut after so many bytes.
    Cut(u64),
}

/// One request and what became of it.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// Its place in the log, from 0; nothing is left out.
    pub number: u64,
    /// The server's time when it was answered, in milliseconds since 1970.
    pub at_ms: i64,
    /// What was asked for.
    pub operation: Operation,
    /// The device in the path; empty for unknown paths.
    pub device: String,
    /// The method.
    pub method: String,
    /// The path as it came.
    pub path: String,
    /// The certificate of the connection.
    pub client: Arc<Client>,
    /// The connection: its number, from 0.
    pub connection: u64,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// The status that was answered, or would have been.
    pub status: u16,
    /// How it ended.
    pub end: End,
    /// A fault had its hand in it.
    pub faulty: bool,
    /// The request's Content-Type.
    pub content_type: Option<String>,
    /// What the device accepts.
    pub accept: Option<String>,
    /// The request's body, where it is JSON and the options keep it; otherwise null.
    pub request: Value,
    /// Bytes of the request's body.
    pub request_bytes: usize,
    /// Bytes of the answer's body.
    pub answer_bytes: usize,
}

impl Exchange {
    /// The content of the request's message; null where there is none.
    #[must_use]
    pub fn content(&self) -> &Value {
        &self.request["content"]
    }
}

/// What was waited for did not happen in time. Says what happened last.
#[derive(Debug, thiserror::Error)]
pub struct Missed {
    waited: Duration,
    tail: Vec<Arc<Exchange>>,
}

impl fmt::Display for Missed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no such exchange within {:?}; the last ones:", self.waited)?;
        for one in &self.tail {
            write!(f, "\n  {} {:?} {} {} {:?}", one.number, one.operation, one.device, one.status, one.end)?;
        }
        Ok(())
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    kept: Mutex<VecDeque<Arc<Exchange>>>,
    next: watch::Sender<u64>,
    limit: usize,
}

impl Log {
    pub(crate) fn new(limit: usize) -> Self {
        Self { kept: Mutex::default(), next: watch::Sender::new(0), limit: limit.max(1) }
    }

    pub(crate) fn add(&self, mut exchange: Exchange) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        exchange.number = *self.next.borrow();
        let next = exchange.number.saturating_add(1);
        if kept.len() >= self.limit {
            kept.pop_front();
        }
        kept.push_back(Arc::new(exchange));
        self.next.send_replace(next);
    }

    /// How many there were, also those that are no longer kept.
    pub(crate) fn count(&self) -> u64 {
        *self.next.borrow()
    }

    /// Those kept with this number or a later one.
    pub(crate) fn since(&self, number: u64) -> Vec<Arc<Exchange>> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let first = kept.partition_point(|one| one.number < number);
        kept.iter().skip(first).cloned().collect()
    }
}

/// A place in the log, from which one waits for exchanges in their order.
#[derive(Debug, Clone)]
pub struct Watch {
    pub(crate) log: Arc<Log>,
    pub(crate) next: u64,
    pub(crate) deadline: Duration,
}

impl Watch {
    /// The next exchange that fits. What came before it, and it itself, are behind the watch then.
    ///
    /// # Errors
    /// None came before the deadline of the options; the watch stays where it was.
    pub async fn next(&mut self, fits: impl Fn(&Exchange) -> bool) -> Result<Arc<Exchange>, Missed> {
        let mut changed = self.log.next.subscribe();
        let mut from = self.next;
        let search = async {
            loop {
                changed.borrow_and_update();
                for one in self.log.since(from) {
                    if fits(&one) {
                        return one;
                    }
                    from = one.number.saturating_add(1);
                }
                if changed.changed().await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        match tokio::time::timeout(self.deadline, search).await {
            Ok(found) => {
                self.next = found.number.saturating_add(1);
                Ok(found)
            }
            Err(_) => {
                let tail = self.log.since(self.log.count().saturating_sub(10));
                Err(Missed { waited: self.deadline, tail })
            }
        }
    }

    /// What came since, and is still kept; the watch moves behind it.
    pub fn drain(&mut self) -> Vec<Arc<Exchange>> {
        let all = self.log.since(self.next);
        if let Some(last) = all.last() {
            self.next = last.number.saturating_add(1);
        }
        all
    }
}
