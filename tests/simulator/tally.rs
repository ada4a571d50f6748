//! What was done, counted.

use std::collections::BTreeMap;

/// What goes wrong, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    Killed,
    PowerCut,
    ClockJump,
    ClockSlew,
    Suspend,
    CallFailed,
    CallFailedAndTookEffect,
    CallTookEffectLate,
    CallLied,
    CallHung,
    RunEnded,
    EventLost,
    EventDoubled,
    EventLate,
    ListFailed,
    ListLate,
    ExecutorAway,
    BrokerAway,
    BrokerLostConnection,
    ServerAway,
    ServerWrong,
    DiskFull,
    DiskError,
    ManifestBroken,
    ManifestUnreadable,
    DirectoryGone,
    WakeLate,
}

/// What is done, by kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Done {
    Metric,
    Start,
    Stop,
    Remove,
    Resume,
    Limit,
    List,
    DiskWrite,
    Edit,
    Command,
    Exchange,
    Publish,
    OrderlyStop,
    AgentStart,
}

#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub faults: BTreeMap<Fault, u64>,
    pub done: BTreeMap<Done, u64>,
    pub turns: u64,
    pub checks: u64,
    /// Of the simulation.
    pub ms: u64,
    pub runs: u64,
    /// The longest each queue was.
    pub longest: BTreeMap<&'static str, usize>,
}

impl Tally {
    pub fn fault(&mut self, fault: Fault) {
        *self.faults.entry(fault).or_default() += 1;
    }

    pub fn done(&mut self, done: Done) {
        *self.done.entry(done).or_default() += 1;
    }

    pub fn queue(&mut self, name: &'static str, length: usize) {
        let longest = self.longest.entry(name).or_default();
        *longest = (*longest).max(length);
    }

    pub fn add(&mut self, other: &Tally) {
        for (fault, count) in &other.faults {
            *self.faults.entry(*fault).or_default() += count;
        }
        for (done, count) in &other.done {
            *self.done.entry(*done).or_default() += count;
        }
        for (name, length) in &other.longest {
            self.queue(name, *length);
        }
        self.turns += other.turns;
        self.checks += other.checks;
        self.ms += other.ms;
        self.runs += other.runs;
    }

    pub fn count(&self, done: Done) -> u64 {
        self.done.get(&done).copied().unwrap_or(0)
    }

    pub fn all_done(&self) -> u64 {
        self.done.values().sum()
    }

    pub fn all_faults(&self) -> u64 {
        self.faults.values().sum()
    }

    /// A table for a person; `cpu`: seconds of the processor.
    #[expect(clippy::print_stdout, reason = "for who runs it")]
    pub fn print(&self, cpu: f64) {
        let days = self.ms as f64 / 86_400_000.0;
        let (done, faults) = (self.all_done(), self.all_faults());
        println!(
            "{} seeds, {days:.1} simulated days, {} turns of the loop, {} checks",
            self.runs, self.turns, self.checks
        );
        println!("operations: {done} {:?}", self.done);
        println!("faults: {faults} {:?}", self.faults);
        println!("longest queues: {:?}", self.longest);
        let each = |count: u64| count as f64 / days.max(1e-9);
        let metrics = self.count(Done::Metric);
        println!(
            "a simulated day: {:.0} metric changes, {:.0} operations, {:.0} faults",
            each(metrics),
            each(done),
            each(faults)
        );
        // The agent's own rhythm (lists, questions to the server, the device object) happens in a quiet day too.
        let rhythm = self.count(Done::List) + self.count(Done::Exchange) + self.count(Done::Publish);
        let rate = |count: u64| count as f64 / cpu.max(1e-9);
        println!(
            "{cpu:.2} CPU-seconds: {:.0} operations and faults each second, {:.0} without lists, exchanges and publishes",
            rate(done + faults),
            rate(done + faults - rhythm)
        );
    }
}
