//! Events for the server, through power cuts: stored as the queue that they wait in.

use std::path::Path;
use std::time::Duration;

use flotta_agent::model::status::{Event, Reason, State};
use flotta_agent::model::time::{Mono, Wall};
use flotta_agent::source::flotta::heartbeat::events::{AT_ONCE, Events};
use flotta_agent::state::{Next, Saving, load_on, sealed};

use super::disk::{Fault, Sim};
use super::machine::DIR;

const OBJECT: &str = "server-events";

struct Life {
    disk: Sim,
    saving: Saving,
    now: Mono,
    events: Events,
    /// The queue as it last got onto disk for certain.
    stored: Option<Events>,
    newest: Vec<Events>,
}

impl Life {
    fn new(disk: Sim) -> Life {
        let (saving, now, events) = (Saving::default(), Mono(1_000), Events::default());
        Life { disk, saving, now, events, stored: None, newest: Vec::new() }
    }

    fn save(&mut self) {
        self.newest.push(self.events.clone());
        self.saving.save(OBJECT, sealed(OBJECT, &self.events).expect("sealed"), false);
        while let Next::Write(write) = self.saving.next(self.now) {
            let result = write.carry_out(&self.disk, Path::new(DIR));
            if result.is_ok() {
                self.stored = self.newest.last().cloned();
            }
            self.saving.settle(OBJECT, result, self.now);
        }
        self.now = self.now.plus(Duration::from_secs(1));
    }

    fn live(&mut self) {
        for seq in 0..120 {
            self.events.push(&Event {
                seq,
                time: Wall(0),
                namespace: "default".into(),
                name: format!("w{seq}"),
                from: None,
                to: Some(State::Running),
                reason: Some(Reason::Running),
                message: "runs".into(),
            });
            if seq % 20 == 19 {
                self.save();
            }
        }
        for _ in 0..2 {
            let batch = self.events.batch();
            assert_eq!(batch.events.len(), AT_ONCE);
            self.events.delivered(&batch, 0);
            self.save();
        }
    }
}

fn messages(events: &Events) -> Vec<String> {
    let (mut events, mut all) = (events.clone(), Vec::new());
    while events.waiting() > 0 {
        let batch = events.batch();
        all.extend(batch.events.iter().map(|event| event.message.clone()));
        events.delivered(&batch, 0);
    }
    all
}

#[test]
fn after_a_power_cut_the_server_hears_what_waited_in_order_and_nothing_that_was_stored_as_delivered() {
    let mut whole = Life::new(Sim::new(Path::new(DIR)));
    whole.live();
    assert_eq!(whole.events.waiting(), 20);
    let mut cuts = 0;
    for step in 1..=whole.disk.steps() {
        let disk = Sim::new(Path::new(DIR));
        disk.at(step, Fault::PowerCut);
        let mut life = Life::new(disk);
        life.live();
        for survivor in [vec![life.disk.killed()], life.disk.survivors()].concat() {
            let (found, problem) = load_on::<Events>(&survivor, Path::new(DIR), OBJECT);
            assert_eq!(problem, None, "call {step}");
            let Some(stored) = &life.stored else { continue };
            let found = messages(&found.expect("once stored, there"));
            // As it was stored last, or as it became after that.
            let at = life.newest.iter().position(|it| messages(it) == messages(stored)).expect("one of them");
            let may = life.newest[at..].iter().any(|it| messages(it) == found);
            assert!(may, "call {step}: {} wait: {:?}…", found.len(), found.first());
            cuts += 1;
        }
    }
    assert!(cuts > 50, "{cuts}");
}
