//! The life of one connection, in one task: reads and answers packets, writes what its session has for it, keeps the
//! deadlines. However it ends, [`Presence`] tells the rest of the broker.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::BufMut;
use rumqttd::protocol::Packet;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::connect::Will;
use crate::counters::Refusal;
use crate::fanout::{Fanout, Gone};
use crate::frame::write_ack;
use crate::hub::{Hub, Incoming};
use crate::packet::{self, Inbound, Publish};
use crate::registry::{Place, Registry};
use crate::session::Session;
use crate::topic::Bad;
use crate::wire::{Io, Wire};

/// Packets, or messages of the feed, in a row before others have their turn.
const BATCH: usize = 256;
/// With nothing to wait for, the timer is this far away.
const FAR: Duration = Duration::from_secs(86_400 * 365);

const PUBACK: u8 = 0x40;
const PUBREC: u8 = 0x50;
const PUBCOMP: u8 = 0x70;
const UNSUBACK: u8 = 0xb0;
const PINGRESP: &[u8] = &[0xd0, 0];

/// How a connection ended.
#[derive(Debug)]
pub(crate) enum End {
    /// DISCONNECT: no will.
    Goodbye,
    /// The client closed without one, or the network did.
    Lost,
    /// Another connection has the same client id.
    TakenOver,
    Shutdown,
    /// We closed it; counted.
    Refused(Refusal),
    /// The fan-out does not answer.
    Broken,
}

impl From<io::Error> for End {
    fn from(_: io::Error) -> Self {
        End::Lost
    }
}

impl From<Refusal> for End {
    fn from(why: Refusal) -> Self {
        End::Refused(why)
    }
}

impl From<Gone> for End {
    fn from(_: Gone) -> Self {
        End::Broken
    }
}

/// What the broker has to be told when a connection is no more, in this order: session, will, client id.
pub(crate) struct Presence {
    pub hub: Arc<Hub>,
    pub registry: Arc<Registry>,
    /// `Some` until dropped.
    pub session: Option<Session>,
    pub will: Option<Will>,
    pub place: Place,
}

impl Drop for Presence {
    fn drop(&mut self) {
        let Some(session) = self.session.take() else { return };
        let client = session.client.clone();
        if session.clean {
            drop(session);
        } else if self.registry.park(session, self.hub.limits.parked_sessions).is_some() {
            self.hub.counters.refuse(Refusal::ParkedSessions);
        }
        if let Some(will) = self.will.take() {
            let Will { topic, payload, qos, retain } = will;
            let will = Incoming { client: &client, topic: &topic, payload, qos, retain };
            // This may already be a panic (of a tap): a second one would end the process.
            catch_unwind(AssertUnwindSafe(|| self.hub.take(will))).ok();
        }
        self.hub.counters.connections.fetch_sub(1, Relaxed);
    }
}

/// A connected client.
pub(crate) struct Connection<S> {
    pub wire: Wire<S>,
    pub presence: Presence,
    /// One and a half keep-alives.
    pub silence: Option<Duration>,
    pub shutdown: watch::Receiver<bool>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Runs until the connection ends.
    pub async fn run(mut self) -> End {
        let Err(end) = self.serve().await else { return End::Lost };
        if let End::Refused(why) = end {
            self.presence.hub.counters.refuse(why);
        }
        if matches!(end, End::Goodbye) {
            self.presence.will = None;
        }
        end
    }

    /// Never `Ok`.
    async fn serve(&mut self) -> Result<(), End> {
        let hub = self.presence.hub.clone();
        let leave = self.presence.place.leave.clone();
        let mut heard = Instant::now();
        let mut stalled: Option<Instant> = None;
        let mut timer = pin!(sleep_until(heard + FAR));
        loop {
            let more = self.packets().await?;
            let session = session(&mut self.presence)?;
            session.advance(&mut self.wire.out);

            stalled = if self.wire.out.is_empty() { None } else { stalled.or_else(|| Some(Instant::now())) };
            let silent_at = self.silence.map(|silence| heard + silence);
            let stalled_at = stalled.map(|since| since + hub.limits.write_deadline);
            arm(timer.as_mut(), silent_at.into_iter().chain(stalled_at).min());

            let full = hub.fanout.is_full();
            let read = !more && !full && may_take(session, &self.wire, &hub);
            tokio::select! {
                io = self.wire.step(read) => match io? {
                    Io::Read => heard = Instant::now(),
                    Io::Wrote => stalled = None,
                    Io::End => return Err(End::Lost),
                },
                event = session.next() => {
                    session.event(event?);
                    drain(session);
                }
                () = hub.fanout.room(), if full => {}
                () = tokio::task::yield_now(), if more => {}
                () = leave.notified() => return Err(End::TakenOver),
                _ = self.shutdown.changed() => return Err(End::Shutdown),
                () = timer.as_mut() => {
                    let now = Instant::now();
                    if stalled_at.is_some_and(|at| at <= now) {
                        return Err(Refusal::SlowReader.into());
                    }
                    if silent_at.is_some_and(|at| at <= now) {
                        return Err(Refusal::KeepAlive.into());
                    }
                    timer.as_mut().reset(now + FAR);
                }
            }
        }
    }

    /// Takes the packets that are in the input; true when there may be more to take at once.
    async fn packets(&mut self) -> Result<bool, End> {
        let hub = self.presence.hub.clone();
        for _ in 0..BATCH {
            let session = session(&mut self.presence)?;
            if hub.fanout.is_full() || !may_take(session, &self.wire, &hub) {
                return Ok(false);
            }
            match packet::next(&mut self.wire.input, hub.limits.packet_bytes)? {
                Some(packet) => self.packet(packet).await?,
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    async fn packet(&mut self, packet: Inbound) -> Result<(), End> {
        let out = &mut self.wire.out;
        let session = session(&mut self.presence)?;
        match packet {
            Inbound::Publish(publish) => {
                let (pkid, qos) = (publish.pkid, publish.qos);
                let again = qos == 2 && session.unreleased.contains(&pkid);
                if qos == 2 && !again {
                    if session.unreleased.len() >= session.hub.limits.inflight_qos2 {
                        return Err(Refusal::InflightQos2.into());
                    }
                    session.unreleased.insert(pkid);
                }
                if !again {
                    publish_from(&session.hub, &session.client, publish)?;
                }
                match qos {
                    0 => {}
                    1 => write_ack(out, PUBACK, pkid),
                    _ => write_ack(out, PUBREC, pkid),
                }
                Ok(())
            }
            Inbound::Other(packet) => self.control(packet).await,
        }
    }

    async fn control(&mut self, packet: Packet) -> Result<(), End> {
        let out = &mut self.wire.out;
        let session = session(&mut self.presence)?;
        match packet {
            Packet::PubRel(pubrel, _) => {
                session.unreleased.remove(&pubrel.pkid);
                write_ack(out, PUBCOMP, pubrel.pkid);
            }
            Packet::PubAck(puback, _) => session.acknowledged(puback.pkid),
            Packet::Subscribe(subscribe, _) if subscribe.pkid != 0 => {
                let filters = subscribe.filters.into_iter().map(|filter| (filter.path, filter.qos as u8)).collect();
                session.subscribe(subscribe.pkid, filters).await?;
                session.advance(out);
            }
            Packet::Unsubscribe(unsubscribe, _) if unsubscribe.pkid != 0 && !unsubscribe.filters.is_empty() => {
                unsubscribe.filters.iter().for_each(|filter| session.unsubscribe(filter));
                write_ack(out, UNSUBACK, unsubscribe.pkid);
            }
            Packet::PingReq(_) => out.put_slice(PINGRESP),
            Packet::Disconnect(..) => return Err(End::Goodbye),
            // We send no QoS 2, so these answer nothing; other servers let them pass, too.
            Packet::PubRec(..) | Packet::PubComp(..) => {}
            _ => return Err(Refusal::Protocol.into()),
        }
        Ok(())
    }
}

fn publish_from(hub: &Hub, client: &Arc<str>, publish: Publish) -> Result<(), End> {
    let Publish { qos, retain, topic, payload, .. } = publish;
    let taken = hub.take(Incoming { client, topic: &topic, payload, qos, retain });
    taken.map_err(|_: Bad| Refusal::Protocol.into())
}

fn session(presence: &mut Presence) -> Result<&mut Session, End> {
    presence.session.as_mut().ok_or(End::Lost)
}

/// Whether there is room for the answers to another packet.
fn may_take<S>(session: &Session, wire: &Wire<S>, hub: &Hub) -> bool {
    !session.is_subscribing() && wire.out.len() < hub.limits.outbound_bytes.saturating_mul(2)
}

/// Takes the events that the feed has at hand.
fn drain(session: &mut Session) {
    let mut context = Context::from_waker(Waker::noop());
    for _ in 1..BATCH {
        let next = pin!(session.next()).poll(&mut context);
        match next {
            Poll::Ready(Ok(event)) => session.event(event),
            _ => return,
        }
    }
}

/// Moves the timer only if it would fire too late; one that fires too early is armed again then. So packets do not
/// touch it.
fn arm(mut timer: Pin<&mut Sleep>, at: Option<Instant>) {
    if let Some(at) = at
        && at < timer.deadline()
    {
        timer.as_mut().reset(at);
    }
}
