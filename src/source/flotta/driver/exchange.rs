//! What is sent, and carrying it out.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::super::client::{Client, Got, Request as Asked};
use super::super::heartbeat::events::Batch;
use super::super::identity::Request;
use super::super::session::{Amount, Exchange};
use super::super::wire::message::{
    DeviceState, Directive, Enrolment, Features, Heartbeat, Message, Registration, Status,
};
use super::{Driver, Scope};
use crate::clock;
use crate::model::time::{Mono, Now, Wall};
use crate::node::hardware::{self, Hardware};

/// How often it is tried, while the device waits for its approval, whether a certificate could be kept: it costs a write.
const PROBE: Duration = Duration::from_secs(3_600);
/// The machine is read within this, or the message goes without.
const READING: Duration = Duration::from_secs(10);

/// What went out with an exchange and is needed with its answer.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// The key for which a certificate is asked.
    pub request: Option<Request>,
    /// Events, and how many had been dropped before.
    pub batch: Option<(Batch, u64)>,
    /// The hardware.
    pub hardware: Option<Hardware>,
    /// It carries neither hardware nor events, since the server refused more.
    pub least: bool,
    /// The agent itself failed, and what it carried is not known any more.
    pub broken: bool,
    message: Outgoing,
}

#[derive(Debug, Default)]
enum Outgoing {
    #[default]
    Nothing,
    Enrolment {
        namespace: String,
        amount: Amount,
    },
    Registration(Amount),
    Heartbeat(Box<Heartbeat>, Wanted),
}

/// Whether a heartbeat carries the hardware.
#[derive(Debug)]
enum Wanted {
    No,
    Always,
    /// Only what differs from what the server has; and then all of it, since it replaces the whole.
    Changed(Option<Box<Hardware>>),
}

/// An exchange that began.
#[derive(Clone, Copy)]
pub(super) struct Begun {
    pub exchange: Exchange,
    pub epoch: u64,
    pub at: Mono,
}

/// An exchange that is over.
pub(super) struct Done {
    pub begun: Begun,
    pub got: Got,
    pub sent: Sent,
}

impl Driver {
    /// What an exchange says.
    pub(super) fn sent(&mut self, exchange: Exchange, now: Now) -> Result<Sent, String> {
        let amount = self.session.amount(exchange);
        let mut sent = Sent::default();
        match exchange {
            Exchange::Get | Exchange::Control => {}
            Exchange::Enrol => {
                sent.message = Outgoing::Enrolment { namespace: self.setting.namespace.clone(), amount };
            }
            Exchange::Register | Exchange::Renew => {
                // The answer to the first one cannot be had twice.
                if exchange == Exchange::Register && self.probed.is_none_or(|at| now.mono.since(at) >= PROBE) {
                    self.store.probe()?;
                    self.probed = Some(now.mono);
                }
                sent.request = Some(Request::new(&self.setting.device)?);
                sent.message = Outgoing::Registration(amount);
            }
            Exchange::Heartbeat => self.beat(amount, &mut sent),
        }
        Ok(sent)
    }

    fn beat(&mut self, amount: Amount, sent: &mut Sent) {
        let batch = match amount {
            // Nobody knows what the server dislikes: the events are given up rather than the heartbeat.
            Amount::Least => None,
            Amount::Full | Amount::NoHardware => (!self.carrying).then(|| self.events.batch()),
        };
        let board = &self.ports.board;
        let workloads = self.told.workloads(self.configured.workloads(), |id| board.workload(id));
        let crashed = workloads.iter().any(|workload| workload.status == Status::Crashed);
        let status = match crashed || board.has_problems("state") || board.has_problems("mounts") {
            true => DeviceState::Degraded,
            false => DeviceState::Up,
        };
        let events = batch.as_ref().map(|batch| batch.events.clone()).unwrap_or_default();
        let version = self.ports.applied.borrow().clone();
        let content = Heartbeat { status, version, workloads, events, hardware: None };
        let wanted = match (amount, self.configured.hardware()) {
            (Amount::Full, _) if self.introduce => Wanted::Always,
            (Amount::Full, Some(Scope::Full)) => Wanted::Always,
            (Amount::Full, Some(Scope::Delta)) => Wanted::Changed(self.hardware.clone().map(Box::new)),
            (Amount::NoHardware | Amount::Least, _) | (_, None) => Wanted::No,
        };
        self.carrying |= batch.is_some();
        sent.least = amount == Amount::Least;
        sent.batch = batch.map(|batch| (batch, self.events.dropped()));
        sent.message = Outgoing::Heartbeat(Box::new(content), wanted);
    }
}

/// Makes an exchange.
pub(super) async fn make(client: Client, begun: Begun, mut sent: Sent, reading: Arc<Semaphore>) -> Done {
    let asked = match begun.exchange {
        Exchange::Get => Ok(Asked::Configuration),
        Exchange::Control => Ok(Asked::Control),
        Exchange::Enrol | Exchange::Register | Exchange::Renew | Exchange::Heartbeat => {
            message(&mut sent, &reading).await
        }
    };
    let got = match asked {
        Ok(asked) => client.exchange(asked).await,
        Err(why) => Got::Unreachable(why),
    };
    Done { begun, got, sent }
}

/// An exchange that panicked is over all the same: one that never came back would hold up its kind for ever.
pub(super) fn broken(begun: Begun, why: &tokio::task::JoinError) -> Done {
    let got = Got::Unreachable(format!("an error of the agent itself, please report it: {why}"));
    Done { begun, got, sent: Sent { broken: true, ..Sent::default() } }
}

async fn message(sent: &mut Sent, reading: &Arc<Semaphore>) -> Result<Asked, String> {
    let now = clock::wall();
    let bytes = match std::mem::take(&mut sent.message) {
        Outgoing::Nothing => return Err("nothing to say".into()),
        Outgoing::Enrolment { namespace, amount } => {
            let hardware = match amount {
                Amount::Full => read(reading).await,
                Amount::NoHardware | Amount::Least => None,
            };
            let features = Features { hardware: hardware.unwrap_or_else(Hardware::minimal) };
            bytes(Directive::Enrolment, &Enrolment { target_namespace: namespace, features }, now)
        }
        Outgoing::Registration(amount) => {
            let certificate_request = sent.request.as_ref().map(|request| request.csr().to_owned()).unwrap_or_default();
            let hardware = match amount {
                Amount::Full => read(reading).await,
                Amount::NoHardware | Amount::Least => None,
            };
            bytes(Directive::Registration, &Registration { certificate_request, hardware }, now)
        }
        Outgoing::Heartbeat(mut content, wanted) => {
            content.hardware = match wanted {
                Wanted::No => None,
                Wanted::Always => read(reading).await,
                Wanted::Changed(before) => read(reading).await.filter(|now| before.as_deref() != Some(now)),
            };
            sent.hardware.clone_from(&content.hardware);
            bytes(Directive::Heartbeat, content.as_ref(), now)
        }
    };
    bytes.map(Asked::Post)
}

fn bytes<T: serde::Serialize>(directive: Directive, content: &T, now: Wall) -> Result<Vec<u8>, String> {
    serde_json::to_vec(&Message::new(directive, content, now))
        .map_err(|why| format!("the message cannot be written: {why}"))
}

/// Reads the machine, off the runtime and one at a time: a device's file may hang. `None`: it took too long.
async fn read(reading: &Arc<Semaphore>) -> Option<Hardware> {
    let read = async {
        let permit = reading.clone().acquire_owned().await.ok()?;
        let read = tokio::task::spawn_blocking(move || {
            let _until_it_is_read = permit;
            hardware::read(Path::new("/"))
        });
        read.await.ok()
    };
    tokio::time::timeout(READING, read).await.ok().flatten()
}
