//! A person who locks and unlocks the device and asks for runs; who asks again until there is an answer.

use flotta_agent::model::command::Command;
use flotta_agent::model::id::WorkloadId;
use flotta_agent::state::sealed;

use crate::due::Due;
use crate::mutation::Mutation;
use crate::operator::NAMES;
use crate::tally::Done;
use crate::trace::What;
use crate::watch::Locked;
use crate::world::World;

const RUN_EVERY: u64 = 7_200_000;
const LOCKED_FOR: u64 = 1_200_000;
const AGAIN: u64 = 20_000;

impl World {
    pub fn command(&mut self) {
        let command = match (&self.watch.asking, self.watch.locked) {
            (Some(command), _) => command.clone(),
            (None, Locked::Yes { .. } | Locked::Unsure) => Command::Unlock,
            (None, Locked::No) if self.dice.one_in(2) => Command::Lock { keep: self.dice.one_in(3) },
            (None, Locked::No) => {
                let name = *self.dice.pick(&NAMES);
                Command::Run(WorkloadId::parse(name).expect("a name"))
            }
        };
        self.ask(command);
    }

    /// Asks, and again if nothing is heard.
    pub fn ask(&mut self, command: Command) {
        let now = self.clock.read();
        let ms = self.clock.now;
        let run = matches!(command, Command::Run(_));
        self.watch.asking = Some(command.clone()).filter(|_| !run);
        self.later(AGAIN, Due::Command);
        let Some(agent) = self.agent.as_mut().filter(|agent| !agent.ending) else { return };
        self.trace.note(ms, What::Text("a person asks:", format!("{command:?}")));
        self.tally.done(Done::Command);
        let (save, result) = agent.brain.command(&command, now);
        if let (Command::Run(id), Ok(_)) = (&command, &result) {
            self.watch.asked_for.insert(id.clone());
            self.watch.excused.insert(id.clone());
        }
        self.turn_after(0);
        match save {
            Some(save) => {
                let bytes = sealed(save.name(), &save).expect("sealed");
                self.watch.locked = Locked::Unsure;
                match self.broken {
                    Some(Mutation::ForgetsLock) => self.answered(Ok(())),
                    Some(Mutation::SaysStoredTooEarly) => {
                        self.store.save(save.name(), bytes, false, ms);
                        self.answered(Ok(()));
                    }
                    _ => {
                        let ticket = self.store.save_now(save.name(), bytes, ms);
                        if let Some(agent) = &mut self.agent {
                            agent.asked.push(ticket);
                        }
                    }
                }
                self.told_stored();
                self.pump();
            }
            None => self.answered(result.map(|_| ())),
        }
    }

    /// A person hears that it is done.
    pub fn answered(&mut self, result: Result<(), String>) {
        let Some(command) = self.watch.asking.take() else {
            return self.next_command(RUN_EVERY);
        };
        if result.is_err() {
            self.watch.asking = Some(command);
            return;
        }
        match command {
            Command::Lock { keep } => {
                self.watch.locked = Locked::Yes { keep };
                self.next_command(LOCKED_FOR);
            }
            Command::Unlock => {
                self.watch.locked = Locked::No;
                self.next_command(RUN_EVERY);
            }
            Command::Run(_) | Command::CollectVolumes { .. } => self.next_command(RUN_EVERY),
        }
    }

    fn next_command(&mut self, every: u64) {
        self.queue.retain(|due| !matches!(due, Due::Command));
        let wait = self.dice.around(every);
        if self.busy {
            self.later(wait, Due::Command);
        }
    }
}
