//! What the driver does between two exchanges, without a server.

use serde_json::json;

use super::super::session::Answer;
use super::*;
use crate::model::status::{Reason, State};
use crate::source::flotta::desired::{Settings, StoredConfiguration};
use crate::spec_hash::DeviceKey;
use crate::state::Saver;

struct Bench {
    dir: tempfile::TempDir,
    board: Arc<Board>,
    saver: Saver,
    updates: mpsc::Receiver<Update>,
    inbox: Option<mpsc::Sender<Update>>,
}

fn stored(device: &str) -> StoredConfiguration {
    let content = json!({
        "device_id": device,
        "version": "1",
        "configuration": {},
        "workloads": [{"name": "web", "namespace": "default", "specification": "containers: [{name: c, image: localhost/i}]\n"}],
    });
    StoredConfiguration { version: "1".into(), content, earlier: Vec::new() }
}

fn settings() -> Settings {
    Settings { device_id: "toto".into(), key: DeviceKey::new([7; 32]) }
}

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().expect("a directory");
        let saver = Saver::start(dir.path().to_path_buf(), Box::new(|_| {})).expect("a thread");
        let (inbox, updates) = mpsc::channel(4);
        let board = Arc::new(Board::new("toto".into(), Wall(0), Duration::from_secs(60)));
        Bench { dir, board, saver, updates, inbox: Some(inbox) }
    }

    fn driver(&mut self, leave: bool) -> Driver {
        let setting = Setting {
            server: "https://127.0.0.1:1".into(),
            files: Files::default(),
            device: "toto".into(),
            namespace: "default".into(),
            leave,
            state: self.dir.path().to_path_buf(),
            before: 0,
        };
        let ports = Ports {
            updates: self.inbox.take().expect("one driver"),
            applied: watch::Sender::default().subscribe(),
            board: self.board.clone(),
            reread: Arc::default(),
            stop: Arc::default(),
            saves: self.saver.hand(),
            counts: Arc::default(),
        };
        let (configured, _) = Configured::restored(settings(), Some(Some(stored("toto"))));
        Driver::new(setting, configured, ports)
    }

    /// Changes of state, numbered from `first`.
    fn happens(&self, first: u64, last: u64) {
        let event = |seq| status::Event {
            seq,
            time: Wall(0),
            namespace: "default".into(),
            name: "web".into(),
            from: Some(State::Deploying),
            to: Some(State::Running),
            reason: Some(Reason::Running),
            message: format!("event {seq}"),
        };
        let events: Vec<status::Event> = (first..=last).map(event).collect();
        self.board.post(&[], &events, Mono(0));
    }
}

async fn hear(driver: &mut Driver) {
    while !driver.changes.is_empty() {
        let change = driver.changes.recv().await;
        driver.heard(change);
    }
}

#[tokio::test]
async fn what_happened_before_the_server_was_talked_to_is_told_and_once() {
    let mut bench = Bench::new();
    bench.happens(1, 3);
    let mut driver = bench.driver(false);
    assert_eq!(driver.events.waiting(), 3);
    bench.happens(4, 4);
    hear(&mut driver).await;
    assert_eq!((driver.events.waiting(), driver.events.dropped()), (4, 0));
}

#[tokio::test]
async fn a_burst_of_events_loses_none_that_the_board_still_has_and_the_rest_is_declared() {
    let mut bench = Bench::new();
    let mut driver = bench.driver(false);
    bench.happens(1, 900);
    hear(&mut driver).await;
    assert_eq!((driver.events.waiting(), driver.events.dropped()), (900, 0));
    driver.events = Events::default();
    bench.happens(901, 901 + 1_499);
    hear(&mut driver).await;
    assert_eq!((driver.events.waiting(), driver.events.dropped()), (1_000, 500));
}

#[tokio::test]
async fn workloads_that_are_left_running_at_a_removal_are_told_of_when_the_server_knows_the_device_again() {
    let mut bench = Bench::new();
    let mut driver = bench.driver(true);
    driver.removed().await;
    bench.happens(1, 1);
    hear(&mut driver).await;
    assert_eq!(driver.events.waiting(), 1);
    assert!(bench.updates.try_recv().is_err(), "they go on");
}

#[tokio::test]
async fn one_slow_kind_of_exchange_does_not_make_the_server_unreachable() {
    let mut bench = Bench::new();
    let mut driver = bench.driver(false);
    driver.session = Session::new(Holds::Proven, Duration::from_secs(60), 1, clock::mono());
    let epoch = driver.session.epoch();
    let asked = driver.session.next(clock::mono());
    assert_eq!(asked, [Exchange::Get, Exchange::Heartbeat]);
    let begun = |exchange| Begun { exchange, epoch, at: Mono(0) };
    let got = Got::Status { status: 500, body: Vec::new().into(), cut: None, date: None };
    driver.done(Done { begun: begun(Exchange::Get), got, sent: Sent::default() }).await;
    let got = Got::Unreachable("no answer in time".into());
    driver.done(Done { begun: begun(Exchange::Heartbeat), got, sent: Sent::default() }).await;
    assert!(driver.report.is_reached(), "GET was answered while the heartbeat was under way");
    let got = Got::Unreachable("no answer in time".into());
    let later = Begun { exchange: Exchange::Get, epoch, at: clock::mono().plus(Duration::from_secs(1)) };
    driver.done(Done { begun: later, got, sent: Sent::default() }).await;
    assert!(!driver.report.is_reached());
}

#[tokio::test]
async fn a_configuration_that_was_asked_for_before_the_removal_is_not_taken_after_it() {
    let mut bench = Bench::new();
    let mut driver = bench.driver(false);
    driver.session = Session::new(Holds::Proven, Duration::from_secs(60), 1, clock::mono());
    let epoch = driver.session.epoch();
    let answer = |exchange, status, body: String| {
        let got = Got::Status { status, body: body.into(), cut: None, date: None };
        Done { begun: Begun { exchange, epoch, at: clock::mono() }, got, sent: Sent::default() }
    };
    driver.session.next(clock::mono());
    driver.done(answer(Exchange::Heartbeat, 404, String::new())).await;
    assert_eq!(bench.updates.try_recv().expect("told").desired.workloads.len(), 0);
    let message = json!({"type": "data", "directive": "device", "content": stored("toto").content});
    driver.done(answer(Exchange::Get, 200, message.to_string())).await;
    assert_eq!(driver.session.phase(), Phase::Removed);
    assert!(bench.updates.try_recv().is_err(), "it comes into force again");
}

#[test]
fn the_configuration_that_another_device_id_left_behind_is_not_used() {
    let (configured, update) = Configured::restored(settings(), Some(Some(stored("other"))));
    assert!(update.is_none() && configured.workloads().next().is_none());
    assert!(Configured::restored(settings(), Some(Some(stored("TOTO")))).1.is_some(), "names have no case");
}

#[tokio::test]
async fn events_outlive_a_server_that_comes_back_while_they_are_left_out_and_are_given_up_only_if_they_are_the_reason()
{
    let mut bench = Bench::new();
    let mut driver = bench.driver(false);
    bench.happens(1, 3);
    hear(&mut driver).await;
    let least = || {
        let mut sent = Sent::default();
        sent.least = true;
        sent
    };
    let with = |driver: &Driver| {
        let mut sent = Sent::default();
        sent.batch = Some((driver.events.batch(), 0));
        sent
    };
    driver.delivered(Answer::Accepted, &least());
    assert_eq!((driver.events.waiting(), driver.events.dropped()), (3, 0));
    let sent = with(&driver);
    driver.delivered(Answer::Accepted, &sent);
    assert_eq!((driver.events.waiting(), driver.events.dropped()), (0, 0));
    bench.happens(4, 5);
    hear(&mut driver).await;
    for _ in 0..2 {
        let sent = with(&driver);
        driver.delivered(Answer::Aborted, &sent);
        driver.delivered(Answer::Accepted, &least());
    }
    assert_eq!((driver.events.waiting(), driver.events.dropped()), (0, 2), "declared");
}
