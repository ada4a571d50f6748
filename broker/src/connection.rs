//! The life of one connection, in one task: reads and answers packets, writes what its session has for it, keeps the
//! deadlines. However it ends, [`Presence`] tells the rest of the broker.

use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::BufMut;
use rumqttc::mqttbytes::v4::{Packet, Publish};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::Client;
use crate::bucket::Bucket;
use crate::counters::Refusal;
use crate::hub::Incoming;
use crate::letter::write_ack;
use crate::mailbox::Mailbox;
use crate::packet;
use crate::places;
use crate::presence::Presence;
use crate::session::Session;
use crate::topic::Bad;
use crate::waits::{Pause, Waits};
use crate::wire::{CHUNK_MAX, Io, Wire};

/// Packets in a row before others have their turn.
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

/// A connected client.
pub(crate) struct Connection<S> {
    wire: Wire<S>,
    presence: Presence,
    /// One and a half keep-alives.
    silence: Option<Duration>,
    shutdown: watch::Receiver<bool>,
    bucket: Bucket,
    /// A subscriber that this client has to wait for before it may say more.
    congested: Option<Arc<Mailbox>>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub fn new(
        wire: Wire<S>,
        presence: Presence,
        silence: Option<Duration>,
        shutdown: watch::Receiver<bool>,
    ) -> Connection<S> {
        let bucket = Bucket::new(presence.hub.limits.messages_per_second, presence.since);
        Connection { wire, presence, silence, shutdown, bucket, congested: None }
    }

    pub fn client(&self) -> Option<Arc<Client>> {
        self.presence.session.as_ref().map(|session| session.client.clone())
    }

    /// Runs until the connection ends.
    pub async fn run(mut self: Box<Self>) -> End {
        let Err(end) = self.serve().await else { return End::Lost };
        // Acknowledgements of what came before the end.
        self.wire.flush_now();
        self.count();
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
        let leave = self.presence.place.leave.clone();
        let now = Instant::now();
        let mut waits = Waits::new(now);
        let mut large: Option<places::Place> = None;
        let mut timer = pin!(sleep_until(now + FAR));
        loop {
            let (pause, took) = self.packets()?;
            let session = session(&mut self.presence)?;
            let more = session.advance(&mut self.wire.out);

            if pause != Pause::Partial {
                large = None;
            } else if large.is_none() && self.wire.input.len() > CHUNK_MAX {
                large = Some(session.hub.large.enter());
            }
            waits.update(pause, took, session, &self.wire);
            let deadline = waits.deadline(self.silence, session);
            let until = if let Pause::Rate(until) = pause { Some(until) } else { None };
            let at = [deadline.map(|(at, _)| at), until].into_iter().flatten().min();
            arm(timer.as_mut(), at);

            let read = matches!(pause, Pause::Empty | Pause::Partial);
            let mail = session.wants_mail(&self.wire.out);
            tokio::select! {
                io = self.wire.step(read) => match io? {
                    Io::Read => waits.heard = Instant::now(),
                    Io::Wrote => waits.stalled = None,
                    Io::End => return Err(End::Lost),
                },
                () = session.mail(), if mail => {}
                () = emptied(self.congested.as_ref()), if pause == Pause::Congested => self.congested = None,
                () = tokio::task::yield_now(), if more || pause == Pause::Turn => {}
                () = places::turned_out(large.as_ref()) => return Err(Refusal::SlowWriter.into()),
                () = leave.notified() => return Err(End::TakenOver),
                _ = self.shutdown.wait_for(|stop| *stop) => return Err(End::Shutdown),
                () = timer.as_mut() => {
                    let now = Instant::now();
                    if let Some((_, why)) = deadline.filter(|(at, _)| *at <= now) {
                        return Err(why.into());
                    }
                    timer.as_mut().reset(now + FAR);
                }
            }
            self.count();
        }
    }

    /// Takes the packets that are in the input: why it ended, and whether there were any.
    fn packets(&mut self) -> Result<(Pause, bool), End> {
        let limit = self.presence.hub.limits.packet_bytes;
        for took in 0..BATCH {
            let pause = |pause| Ok((pause, took > 0));
            let Some(byte1) = self.wire.input.first() else {
                self.congested = None;
                return pause(Pause::Empty);
            };
            if self.congested.is_some() {
                return pause(Pause::Congested);
            }
            if self.wire.out.len() >= self.presence.hub.limits.outbound_bytes.saturating_mul(2) {
                return pause(Pause::Answers);
            }
            if byte1 >> 4 == 3
                && let Some(until) = self.bucket.wait(Instant::now)
            {
                return pause(Pause::Rate(until));
            }
            let Some(packet) = packet::next(&mut self.wire.input, limit)? else { return pause(Pause::Partial) };
            self.presence.hub.counters.packets_in.fetch_add(1, Relaxed);
            if self.packet(packet)? {
                self.presence.hub.counters.answers.fetch_add(1, Relaxed);
            }
        }
        Ok((Pause::Turn, true))
    }

    /// Whether it was answered.
    fn packet(&mut self, packet: Packet) -> Result<bool, End> {
        let out = &mut self.wire.out;
        let session = session(&mut self.presence)?;
        match packet {
            Packet::Publish(publish) => return self.publish(publish),
            Packet::PubRel(pubrel) => {
                session.unreleased.remove(&pubrel.pkid);
                write_ack(out, PUBCOMP, pubrel.pkid);
            }
            Packet::PubAck(puback) => {
                session.acknowledged(puback.pkid);
                return Ok(false);
            }
            Packet::Subscribe(subscribe) => {
                let filters = subscribe.filters.into_iter().map(|filter| (filter.path, filter.qos as u8)).collect();
                session.subscribe(subscribe.pkid, filters, out);
            }
            Packet::Unsubscribe(unsubscribe) if !unsubscribe.topics.is_empty() => {
                unsubscribe.topics.iter().for_each(|filter| session.unsubscribe(filter));
                write_ack(out, UNSUBACK, unsubscribe.pkid);
            }
            Packet::PingReq => out.put_slice(PINGRESP),
            Packet::Disconnect => return Err(End::Goodbye),
            // We send no QoS 2, so these answer nothing; other servers let them pass, too.
            Packet::PubRec(_) | Packet::PubComp(_) => return Ok(false),
            _ => return Err(Refusal::Protocol.into()),
        }
        Ok(true)
    }

    fn publish(&mut self, publish: Publish) -> Result<bool, End> {
        self.bucket.pay(Instant::now);
        let session = session(&mut self.presence)?;
        let Publish { topic, payload, pkid, retain, .. } = publish;
        let qos = publish.qos as u8;
        let again = qos == 2 && session.unreleased.contains(&pkid);
        if qos == 2 && !again {
            if session.unreleased.len() >= session.hub.limits.inflight_qos2 {
                return Err(Refusal::InflightQos2.into());
            }
            session.unreleased.insert(pkid);
        }
        if !again {
            let message = Incoming { client: &session.client, topic: &topic, payload, qos, retain };
            let congested = session.hub.take(message).map_err(|_: Bad| Refusal::Protocol)?;
            // One who has said all that it had to say waits for nobody.
            self.congested = congested.filter(|_| !self.wire.input.is_empty());
        }
        match qos {
            0 => {}
            1 => write_ack(&mut self.wire.out, PUBACK, pkid),
            _ => write_ack(&mut self.wire.out, PUBREC, pkid),
        }
        Ok(qos > 0)
    }

    fn count(&mut self) {
        let (read, written) = std::mem::take(&mut self.wire.uncounted);
        let counters = &self.presence.hub.counters;
        if read > 0 {
            counters.bytes_in.fetch_add(read as u64, Relaxed);
        }
        if written > 0 {
            counters.bytes_out.fetch_add(written as u64, Relaxed);
        }
    }
}

async fn emptied(congested: Option<&Arc<Mailbox>>) {
    if let Some(mailbox) = congested {
        mailbox.emptied().await;
    }
}

fn session(presence: &mut Presence) -> Result<&mut Session, End> {
    presence.session.as_mut().ok_or(End::Lost)
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
