//! As many messages as a broker takes, from some publishers in one thread, to one subscriber or to none.

use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::publisher::Publisher;
use crate::subscriber::{SILENCE, Sender, Sent, Subscriber};

/// Messages between publishers and subscriber at most, when they are kept in step: no queue overflows then.
pub const UNDER_WAY: u64 = 400;
/// In step, with nothing moving for this long, what is under way will not come.
const STUCK: Duration = Duration::from_secs(4);
/// Longer than a broker that lives takes for anything.
const DEADLINE: Duration = Duration::from_secs(10);

/// What is sent.
#[derive(Clone, Copy)]
pub struct Load {
    pub topic: &'static str,
    pub publishers: usize,
    pub qos: u8,
    pub amount: Amount,
    pub readers: Readers,
}

#[derive(Clone, Copy)]
pub enum Amount {
    For(Duration),
    Messages(u64),
}

/// Who reads it, and how the publishers go about that.
#[derive(Clone, Copy, PartialEq)]
pub enum Readers {
    /// Nobody over TCP.
    None,
    /// A subscriber in a thread of its own; publishers send as fast as they are read.
    FlatOut,
    /// A subscriber in the publishers' thread; they wait once [`UNDER_WAY`] messages have not come out.
    InStep,
}

/// What became of it.
pub struct Outcome {
    pub begin: Instant,
    pub sent: u64,
    /// The same of each publisher.
    pub each: Vec<u64>,
    /// Until the broker had taken (and acknowledged) all of it.
    pub taken_in: Duration,
    pub got: u64,
    pub doubled: u64,
    /// The broker stopped reading, or answering, and that for [`DEADLINE`].
    pub hung: Option<String>,
    /// Until the last message that came was read.
    pub delivered_in: Duration,
}

impl Load {
    /// Messages without answer, and messages in a write: for one publisher, and for each of many.
    fn window(&self) -> (usize, usize) {
        match (self.qos, self.publishers) {
            // As many as Mosquitto expects of a client by its defaults.
            (2, _) => (20, 20),
            (0, 1) => (20_000, 100),
            (0, many) => (20_000 / many, 20),
            (_, 1) => (1000, 100),
            _ => (100, 20),
        }
    }

    /// Connects everybody.
    pub fn open(&self, address: &str) -> Flood {
        let filter = format!("{}+", self.topic.strip_suffix('p').unwrap());
        let (window, batch) = self.window();
        let subscriber = (self.readers != Readers::None)
            .then(|| Subscriber::connect(address, &filter, self.qos.min(1), self.publishers));
        let connect = |number| Publisher::connect(address, self.topic, number, self.qos, window, batch);
        Flood { load: *self, publishers: (0..self.publishers).map(connect).collect(), subscriber }
    }
}

/// A load with its open connections.
pub struct Flood {
    load: Load,
    publishers: Vec<Publisher>,
    subscriber: Option<Subscriber>,
}

impl Flood {
    /// Until the last message came, or is given up.
    pub fn run(&mut self) -> Outcome {
        let Flood { load, publishers, subscriber } = self;
        let total = Sent::default();
        let begin = Instant::now();
        let (mut aside, mut in_step) = match load.readers {
            Readers::FlatOut => (subscriber.as_mut(), None),
            _ => (None, subscriber.as_mut()),
        };
        let mut hung = None;
        let taken_in = std::thread::scope(|scope| {
            let sender = Sender(&total);
            if let Some(subscriber) = aside.take() {
                scope.spawn(|| subscriber.follow(&total, |_, _| {}));
            }
            hung = drive(publishers, load.amount, in_step.as_deref_mut());
            let taken_in = begin.elapsed();
            sender.ended(publishers.iter().map(|publisher| publisher.sent).sum());
            if let Some(subscriber) = in_step {
                subscriber.follow(&total, |_, _| {});
            }
            taken_in
        });
        let subscriber = subscriber.as_ref();
        Outcome {
            begin,
            sent: publishers.iter().map(|publisher| publisher.sent).sum(),
            each: publishers.iter().map(|publisher| publisher.sent).collect(),
            taken_in,
            got: subscriber.map_or(0, |subscriber| subscriber.got),
            doubled: subscriber.map_or(0, Subscriber::doubled),
            hung,
            delivered_in: subscriber.map_or(Duration::ZERO, |subscriber| subscriber.last - begin),
        }
    }
}

/// Sends until the amount is sent, and until everything is taken; else says what was left.
fn drive(publishers: &mut [Publisher], amount: Amount, mut subscriber: Option<&mut Subscriber>) -> Option<String> {
    let begin = Instant::now();
    let (mut sent, mut first, mut stuck) = (0, 0, false);
    let mut moved = begin;
    loop {
        let left = match amount {
            _ if stuck => 0,
            Amount::For(time) => u64::from(begin.elapsed() < time) * u64::MAX,
            Amount::Messages(count) => count - sent,
        };
        let under_way = subscriber.as_ref().map_or(0, |subscriber| sent - subscriber.got);
        let room = if subscriber.is_some() { UNDER_WAY.saturating_sub(under_way) } else { u64::MAX };
        let mut now = room.min(left);
        let count = publishers.len();
        for n in 0..count {
            let publisher = &mut publishers[(first + n) % count];
            if left > 0 {
                let filled = publisher.fill(usize::try_from(now).unwrap_or(usize::MAX)) as u64;
                now -= filled;
                sent += filled;
            } else {
                publisher.finish();
            }
            publisher.write();
        }
        first = (first + 1) % count;
        if left == 0 && publishers.iter().all(Publisher::is_done) {
            return None;
        }
        // Somebody may go on at once: then it is only looked who else can.
        let idle = left == 0 || now == 0 || publishers.iter().all(Publisher::is_held);
        let ready = wait(publishers, subscriber.as_deref(), if idle { SILENCE } else { Duration::ZERO });
        for (publisher, ready) in publishers.iter_mut().zip(&ready) {
            if ready.contains(PollFlags::IN) {
                publisher.read();
            }
        }
        if let (Some(subscriber), Some(ready)) = (&mut subscriber, ready.get(count))
            && !ready.is_empty()
        {
            subscriber.step(|_, _| {});
        }
        let now = Instant::now();
        if !idle || ready.iter().any(|ready| !ready.is_empty()) {
            moved = now;
        }
        // What is under way does not come: lost. The rest of the amount is not sent.
        stuck |= subscriber.is_some() && now - moved >= STUCK;
        if now - moved >= DEADLINE {
            let left: Vec<&Publisher> = publishers.iter().filter(|publisher| !publisher.is_done()).collect();
            let first = left.first().map(|publisher| publisher.state()).unwrap_or_default();
            return Some(format!(
                "nothing went on for {DEADLINE:?} at {} publishers; one of them: {first}",
                left.len()
            ));
        }
    }
}

/// What each of the publishers can do now, and behind them the subscriber.
fn wait(publishers: &[Publisher], subscriber: Option<&Subscriber>, at_most: Duration) -> Vec<PollFlags> {
    let publishers = publishers.iter().map(|publisher| PollFd::new(&publisher.stream, publisher.wants()));
    let subscriber = subscriber.map(|subscriber| PollFd::new(&subscriber.stream, subscriber.wants()));
    let mut all: Vec<PollFd<'_>> = publishers.chain(subscriber).collect();
    let at_most = Timespec { tv_sec: at_most.as_secs().cast_signed(), tv_nsec: at_most.subsec_nanos().into() };
    poll(&mut all, Some(&at_most)).unwrap();
    all.iter().map(PollFd::revents).collect()
}
