//! What goes wrong around the agent, at any moment.

use flotta_agent::executor::ExecutorId;

use crate::due::Due;
use crate::machine::EXECUTORS;
use crate::store::Health;
use crate::tally::Fault;
use crate::trace::What;
use crate::world::World;

/// On average.
const EVERY: u64 = 1_500_000;
const MINUTE: u64 = 60_000;
const YEAR: i64 = 365 * 86_400_000;

impl World {
    pub fn trouble_soon(&mut self) {
        let wait = self.dice.around(EVERY);
        self.later(wait, Due::Trouble);
    }

    pub fn trouble(&mut self) {
        if !self.faulty {
            return;
        }
        match self.dice.below(20) {
            0..=3 if self.agent.is_some() => {
                self.tally.fault(Fault::Killed);
                self.kill();
            }
            0..=3 => {}
            4 => self.power_cut("just so"),
            5 | 6 => {
                self.note(What::Said("the power will go in the middle of a write"));
                self.store.set_fuse();
            }
            7 => self.stop_agent(),
            8 => {
                let by = match self.dice.below(6) {
                    0 => -(self.dice.between(1, 7_200_000) as i64),
                    1 => self.dice.between(1, 7_200_000) as i64,
                    2 => -(self.dice.between(1, 3_000) as i64),
                    3 => self.dice.between(1, 3_000) as i64,
                    4 => 3 * YEAR,
                    _ => -60 * YEAR,
                };
                self.jump(by);
                let right = self.dice.around(20 * MINUTE);
                self.later(right, Due::ClockRight);
            }
            9 => {
                self.tally.fault(Fault::ClockSlew);
                let ppm = if self.dice.one_in(2) { 500 } else { -500 };
                self.clock.slew(ppm);
                self.watch.clock_is_odd = true;
                self.watch.clock_was_odd = true;
                let right = self.dice.around(60 * MINUTE);
                self.later(right, Due::ClockRight);
            }
            10 => {
                self.tally.fault(Fault::Suspend);
                let asleep = self.dice.around(10 * MINUTE);
                self.note(What::Number("the device sleeps, ms", asleep));
                self.clock.now += asleep;
                self.store.slept(asleep);
                self.watch.slept(asleep);
                if let Some(promised) = self.agent.as_mut().and_then(|agent| agent.promised.as_mut()) {
                    promised.0 += asleep;
                }
            }
            11 | 12 => {
                let by = *self.dice.pick(&EXECUTORS);
                self.executor_goes(by);
            }
            13 | 14 => {
                self.tally.fault(Fault::BrokerAway);
                self.broker.away = true;
                self.note(What::Said("the broker goes away"));
                let back = self.dice.around(15 * MINUTE);
                self.later(back, Due::BrokerBack);
            }
            15 | 16 => {
                self.tally.fault(Fault::ServerAway);
                self.server.away = true;
                let back = self.dice.around(60 * MINUTE);
                self.later(back, Due::ServerBack);
            }
            17 => self.disk_sick(Fault::DiskFull, Health::Full),
            18 => {
                let every = self.dice.between(2, 4);
                self.disk_sick(Fault::DiskError, Health::Errors(every));
            }
            _ => {
                self.tally.fault(Fault::DirectoryGone);
                self.operator.directory_gone = true;
                self.note(What::Said("the directory of manifests is gone"));
                let back = self.dice.around(10 * MINUTE);
                self.later(back, Due::DirectoryBack);
            }
        }
        self.trouble_soon();
    }

    fn executor_goes(&mut self, by: ExecutorId) {
        self.tally.fault(Fault::ExecutorAway);
        self.machine.away.insert(by);
        self.note(What::Text("an executor goes away:", format!("{by:?}")));
        let back = self.dice.around(3 * MINUTE);
        self.later(back, Due::ExecutorBack(by));
    }

    fn disk_sick(&mut self, fault: Fault, health: Health) {
        self.tally.fault(fault);
        self.note(What::Text("the disk is", format!("{health:?}")));
        self.store.set_health(health, self.clock.now);
        let well = self.dice.around(10 * MINUTE);
        self.later(well, Due::DiskWell);
    }

    pub fn disk_well(&mut self) {
        self.note(What::Said("the disk is well"));
        self.store.set_health(Health::Well, self.clock.now);
    }

    fn jump(&mut self, by: i64) {
        self.tally.fault(Fault::ClockJump);
        self.note(What::Text("the wall clock is set by ms:", by.to_string()));
        self.watch.clock_was_odd = true;
        self.clock.jump(by);
        self.clock_was_set();
    }

    pub fn clock_right(&mut self) {
        self.note(What::Said("the wall clock is right"));
        self.clock.set_right();
        self.watch.clock_is_odd = false;
        self.clock_was_set();
    }

    /// The loop hears of it from the kernel.
    fn clock_was_set(&mut self) {
        self.watch.forget_times();
        self.turn_after(0);
    }

    /// From here on all is well: whatever was late comes soon, and nothing ends by itself but runs by schedule.
    pub fn end_of_trouble(&mut self) {
        self.note(What::Said("from here on nothing goes wrong"));
        self.faulty = false;
        self.busy = false;
        let machine = &self.machine;
        let cron = &self.watch.by_schedule;
        let asking = self.watch.asking.is_some();
        self.queue.retain(|due| match due {
            Due::Dies(handle, ..) => machine.things.get(handle).is_some_and(|thing| cron.contains(&thing.marker)),
            Due::Metric | Due::Edit | Due::ServerEdit | Due::Trouble => false,
            Due::Command => asking,
            _ => true,
        });
        self.queue.hurry(self.clock.now + 5_000);
        for by in self.machine.away.clone() {
            self.executor_back(by);
        }
        self.broker_back();
        self.server_back();
        self.disk_well();
        self.clock_right();
        if self.operator.directory_gone {
            self.directory_back();
        }
    }
}
