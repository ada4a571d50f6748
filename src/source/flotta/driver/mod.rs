//! Makes the exchanges: the thin shell around [`Session`]. One task; what it waits for are answers, changes of state, clock
//! steps and the next thing that is due.

mod clients;
mod events;
mod exchange;
mod report;
mod taking;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::{Notify, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::client::{Got, Peer, Traffic};
use super::desired::Scope;
use super::heartbeat::Told;
use super::heartbeat::events::Events;
use super::identity::Store;
use super::meaning::{Content, meaning};
use super::renewal::{Phase as Life, Renewal, renewal};
use super::session::{Exchange, Holds, Phase, Session, Verdict};
use super::tls::Time;
use super::trusted_time::TrustedTime;
use super::{Configured, Update};
use crate::board::Board;
use crate::clock::{self, Steps};
use crate::model::id::WorkloadId;
use crate::model::problem::Problem;
use crate::model::status::{self, CertificateStatus};
use crate::model::time::{Mono, Now, Wall};
use crate::node::hardware::Hardware;
use crate::state::Saves;

pub use clients::Files;

use clients::Clients;
use exchange::{Begun, Done, Sent};
use report::Report;

/// How often it is looked whether a file that was missing has appeared.
const LOOK: Duration = Duration::from_secs(2);
/// An answer to the first registration is awaited this long at the end: the server gives no second one.
const LAST_ANSWER: Duration = Duration::from_secs(10);
/// Events are given up when so many heartbeats were accepted without them and none with them: a server that was down for a
/// while and comes back at the wrong moment loses none.
const GIVE_UP: u32 = 2;
/// Names of the stored objects.
const EVENTS: &str = "server-events";
const TIME: &str = "server-time";

/// Whom to talk to, and as whom.
#[derive(Clone, Debug)]
pub struct Setting {
    /// `SERVER`.
    pub server: String,
    /// `CA_ROOT`, `CERT`, `KEY`.
    pub files: Files,
    /// The device id.
    pub device: String,
    /// `remote.namespace`: the server's namespace that the device asks to be in.
    pub namespace: String,
    /// `remote.on_removal: leave`.
    pub leave: bool,
    /// The state directory.
    pub state: PathBuf,
    /// Events up to this number were an earlier run's.
    pub before: u64,
}

/// What the driver is connected with.
pub struct Ports {
    /// Desired state, when it changes.
    pub updates: mpsc::Sender<Update>,
    /// The version of the configuration that is in force.
    pub applied: watch::Receiver<Option<String>>,
    /// What is observed, and where the server's state is said.
    pub board: Arc<Board>,
    /// Rung when the user's files are to be read again.
    pub reread: Arc<Notify>,
    /// Rung when it is over.
    pub stop: Arc<Notify>,
    /// For what has to survive the agent.
    pub saves: Saves,
    /// For `GET /metrics`.
    pub counts: Arc<Counts>,
}

/// What is counted.
#[derive(Debug, Default)]
pub struct Counts {
    /// On the wire.
    pub traffic: Arc<Traffic>,
    /// Exchanges that went wrong.
    pub troubles: AtomicU64,
    /// Configurations that differed from the one before.
    pub configurations: AtomicU64,
    /// Certificates received.
    pub certificates: AtomicU64,
    /// Events that wait for the server.
    pub events_waiting: AtomicU64,
    /// Events dropped.
    pub events_dropped: AtomicU64,
    /// 1: the last exchange reached the server.
    pub reached: AtomicU64,
    /// When the device's certificate ends, in seconds since 1970; 0: there is none.
    pub not_after: AtomicU64,
}

/// Talks to the server until it is told to stop.
pub async fn run(setting: Setting, configured: Configured, ports: Ports) {
    Driver::new(setting, configured, ports).run().await;
}

struct Driver {
    setting: Setting,
    ports: Ports,
    time: Time,
    boot: String,
    store: Store,
    clients: Clients,
    session: Session,
    report: Report,
    configured: Configured,
    told: Told,
    events: Events,
    /// Whose events the server hears of: workloads of its own, the last words of those that were its own too.
    known: std::collections::BTreeSet<WorkloadId>,
    changes: broadcast::Receiver<status::Event>,
    /// The number of the last event that was heard.
    seen: u64,
    /// A first registration is under way.
    registering: bool,
    /// A heartbeat with events is under way: no other may carry them.
    carrying: bool,
    /// Heartbeats without events that were accepted after ones with them were refused.
    spared: u32,
    /// The hardware that the server has.
    hardware: Option<Hardware>,
    /// Newly registered: the server has to hear of the hardware once, asked for or not.
    introduce: bool,
    /// When the server answered last.
    answered: Mono,
    /// At most one reading of it at a time.
    reading: Arc<Semaphore>,
    /// When it was last tried whether a certificate could be kept.
    probed: Option<Mono>,
    tasks: JoinSet<Done>,
    storing: Vec<Problem>,
}

impl Driver {
    fn new(setting: Setting, configured: Configured, ports: Ports) -> Driver {
        let (stored, damaged_time) = crate::state::load::<Wall>(&setting.state, TIME);
        let (events, damaged_events) = crate::state::load::<Events>(&setting.state, EVENTS);
        let time = Time::new(TrustedTime::new(stored), clock::now);
        let (store, mut storing) = Store::open(&setting.state, &setting.device);
        storing.extend(damaged_time.into_iter().chain(damaged_events));
        let peer = Peer { server: setting.server.clone(), id: setting.device.as_str().into(), time: time.clone() };
        let clients = Clients::new(peer, setting.files.clone(), ports.counts.traffic.clone());
        let holds = match (store.current(), store.candidate()) {
            (current, Some(_)) => Holds::Candidate(current.is_some()),
            (Some(_), None) => Holds::Proven,
            (None, None) => Holds::Nothing,
        };
        let seed = uuid::Uuid::new_v4().as_u64_pair().0;
        let session = Session::new(holds, configured.period(), seed, clock::mono());
        // What happened before is caught up with.
        let (_, changes) = ports.board.follow();
        let known = configured.workloads().cloned().collect();
        let mut driver = Driver {
            seen: setting.before,
            setting,
            time,
            boot: clock::boot_id(),
            store,
            clients,
            session,
            report: Report::default(),
            configured,
            told: Told::default(),
            events: events.unwrap_or_default(),
            known,
            changes,
            registering: false,
            carrying: false,
            spared: 0,
            hardware: None,
            introduce: false,
            answered: Mono(0),
            reading: Arc::new(Semaphore::new(1)),
            probed: None,
            tasks: JoinSet::new(),
            storing,
            ports,
        };
        driver.catch_up();
        driver
    }

    async fn run(mut self) {
        let mut steps = Steps::listen().map_err(|why| tracing::warn!("steps of the clock are not noticed: {why}")).ok();
        loop {
            let now = clock::now();
            let life = self.life(now);
            self.session.set_renewal(life.and_then(|life| match life.phase {
                Life::Unknown => None,
                Life::Fresh => life.due_at,
                Life::Due | Life::Expired => Some(now.mono),
            }));
            for exchange in self.session.next(now.mono) {
                self.begin(exchange, now);
            }
            self.say(life, now.wall);
            let lacks = self.clients.lacks(&self.store);
            let look = lacks.then(|| now.mono.plus(LOOK));
            let wake = self.session.wake().into_iter().chain(look).min().unwrap_or(Mono(u64::MAX));
            tokio::select! {
                Some(Ok(done)) = self.tasks.join_next() => self.done(done).await,
                change = self.changes.recv() => {
                    let closed = matches!(change, Err(RecvError::Closed));
                    self.heard(change);
                    if closed {
                        break;
                    }
                }
                Ok(()) = self.ports.applied.changed() => self.session.changed(clock::mono()),
                () = stepped(&mut steps) => self.again(),
                () = self.ports.reread.notified() => {
                    self.clients.forget();
                    self.session.refresh(clock::mono());
                }
                () = self.ports.stop.notified() => break,
                () = until(wake) => {
                    if lacks && !self.clients.lacks(&self.store) {
                        self.again();
                    }
                }
            }
        }
        self.end().await;
    }

    async fn end(mut self) {
        let last = clock::mono().plus(LAST_ANSWER);
        while self.registering {
            tokio::select! {
                Some(Ok(done)) = self.tasks.join_next() => self.done(done).await,
                () = until(last) => break,
            }
        }
        self.tasks.abort_all();
    }

    /// Whatever failed may go well now.
    fn again(&mut self) {
        if !self.report.is_reached() {
            self.clients.forget();
        }
        self.session.hurry(clock::mono());
    }

    fn life(&self, now: Now) -> Option<Renewal> {
        let issued = self.store.candidate().or(self.store.current())?;
        let not_after = issued.pair.certificate().not_after;
        Some(renewal(&issued.receipt, not_after, &self.boot, &self.time.lock(), now))
    }

    fn say(&mut self, life: Option<Renewal>, now: Wall) {
        let certificate = life.map(|life| CertificateStatus { not_after: life.not_after, renew_at: life.due });
        let version = self.ports.applied.borrow().clone();
        let (status, changed) = self.report.status(self.session.phase(), version, certificate, now);
        if changed {
            tracing::info!(server = self.setting.server, state = status.state, "the server's state");
        }
        self.ports.board.set_server(status);
        let unsaved = self.store.unsaved().map(|why| Problem::new("state", why));
        let problems: Vec<Problem> = self.storing.iter().cloned().chain(unsaved).collect();
        self.ports.board.set_problems("server", problems);
        let counts = &self.ports.counts;
        counts.events_waiting.store(u64::try_from(self.events.waiting()).unwrap_or(u64::MAX), Relaxed);
        counts.events_dropped.store(self.events.dropped(), Relaxed);
        counts.reached.store(u64::from(self.report.is_reached()), Relaxed);
        let not_after = certificate.map_or(0, |certificate| certificate.not_after.0 / 1000);
        counts.not_after.store(u64::try_from(not_after).unwrap_or(0), Relaxed);
    }

    fn begin(&mut self, exchange: Exchange, now: Now) {
        let proving = self.store.candidate().is_some();
        let sent = self.sent(exchange, now);
        let begun = Begun { exchange, epoch: self.session.epoch(), at: now.mono };
        self.registering |= exchange == Exchange::Register;
        match (self.clients.client(exchange, &self.store, proving), sent) {
            (Ok(client), Ok(sent)) => {
                let make = tokio::spawn(exchange::make(client, begun, sent, self.reading.clone()));
                self.tasks.spawn(async move { make.await.unwrap_or_else(|why| exchange::broken(begun, &why)) });
            }
            (Err(why), Ok(sent)) => self.fail(begun, why, sent),
            (_, Err(why)) => self.fail(begun, why, Sent::default()),
        }
    }

    /// It cannot even be asked; told by the same way as all else, so that waits grow.
    fn fail(&mut self, begun: Begun, why: String, sent: Sent) {
        let got = Got::Unreachable(why);
        self.tasks.spawn(async move { Done { begun, got, sent } });
    }

    async fn done(&mut self, done: Done) {
        let Done { begun: Begun { exchange, epoch, at: begun }, got, sent } = done;
        let now = clock::now();
        self.registering &= exchange != Exchange::Register;
        let mut date = None;
        if let Got::Status { date: Some(told), .. } = &got {
            let mut time = self.time.lock();
            date = time.heard(*told, now).then_some(*told);
            let stored = time.stored();
            drop(time);
            if let Some(stored) = stored {
                self.ports.saves.save(TIME, &stored);
            }
        }
        let mut meaning = meaning(exchange, &got, &self.setting.device);
        match std::mem::take(&mut meaning.content) {
            Content::Nothing => {}
            Content::Certificate(certificate) => {
                self.introduce |= exchange == Exchange::Register;
                self.take_certificate(&mut meaning, &certificate, sent.request.as_ref(), date, now)
            }
            // Asked before the server removed the device, or with another certificate: it is asked again where it counts.
            Content::Configuration(_) if epoch != self.session.epoch() => {}
            Content::Configuration(message) => self.take_configuration(&mut meaning, message).await,
        }
        if exchange == Exchange::Heartbeat {
            self.delivered(meaning.answer, &sent);
        }
        let reached = match got {
            Got::Status { .. } => Some(true),
            Got::Aborted(_) => None,
            // Others were answered while this one was under way: it is slow, and not away.
            Got::Unreachable(_) if self.answered > begun => None,
            Got::Unreachable(_) => Some(false),
        };
        if reached == Some(true) {
            self.answered = now.mono;
        }
        if matches!(got, Got::Unreachable(_)) {
            // Another attempt is another connection, and has another look at the files.
            self.clients.forget();
        }
        if self.report.exchanged(exchange, reached, meaning.trouble.as_deref(), now.wall)
            && let Some(trouble) = &meaning.trouble
        {
            self.ports.counts.troubles.fetch_add(1, Relaxed);
            tracing::warn!(exchange = exchange.as_str(), "{trouble}");
        }
        let verdict = self.session.answered(exchange, meaning.answer, epoch, now.mono);
        match verdict {
            None => {}
            Some(Verdict::Promote) => self.store.promote(),
            Some(Verdict::GoBack) => {
                tracing::warn!("the server refuses the new certificate; the one before it goes on");
                self.store.discard();
            }
            Some(Verdict::Removed) => self.removed().await,
        }
        // What is not tried any more has no troubles: a heartbeat that is taken ends a distrust, and the registration with it.
        match self.session.phase() {
            Phase::Registered => {
                self.report.forget(&[Exchange::Enrol, Exchange::Register, Exchange::Renew, Exchange::Control]);
            }
            Phase::Proving | Phase::Renewing => self.report.forget(&[Exchange::Enrol, Exchange::Register]),
            _ => {}
        }
        if self.store.unsaved().is_some() {
            // What fails again stands in `unsaved` again.
            let _ = self.store.save();
        }
    }
}

async fn until(at: Mono) {
    if at == Mono(u64::MAX) {
        return std::future::pending().await;
    }
    if clock::sleep_until(at).await.is_err() {
        // No timer to be had; the runtime's own does not go on through suspend, which is better than nothing.
        tokio::time::sleep(at.since(clock::mono())).await;
    }
}

async fn stepped(steps: &mut Option<Steps>) {
    let heard = match steps {
        Some(steps) => steps.next().await,
        None => std::future::pending().await,
    };
    if heard.is_err() {
        *steps = None;
    }
}
