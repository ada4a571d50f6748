//! What the agent was told of each instance: a status may claim nothing else.

use std::collections::{BTreeMap, BTreeSet};

use flotta_agent::executor::{ExecutorEvent, Handle, Instance, Phase};
use flotta_agent::model::id::WorkloadId;
use flotta_agent::scheduler::Input;
use flotta_agent::scheduler::plan::StepAction;
use flotta_agent::scheduler::reconciler::Outcome;

/// Instances of one workload that are remembered.
const KNOWN: usize = 16;

#[derive(Clone, Copy, Debug)]
struct Told {
    look: u64,
    runs: bool,
}

/// Of one start of the agent.
#[derive(Debug, Default)]
pub struct Evidence {
    told: BTreeMap<WorkloadId, BTreeMap<Handle, Told>>,
    ended: BTreeSet<WorkloadId>,
}

impl Evidence {
    fn saw(&mut self, instance: &Instance) {
        let runs = !matches!(instance.phase, Phase::Ended(_));
        self.put(&instance.id, &instance.handle, instance.look, runs);
    }

    fn put(&mut self, id: &WorkloadId, handle: &Handle, look: u64, runs: bool) {
        if !runs && !self.ended.contains(id) {
            self.ended.insert(id.clone());
        }
        let of = self.told.entry(id.clone()).or_default();
        let told = of.entry(handle.clone()).or_insert(Told { look, runs });
        if look >= told.look {
            *told = Told { look, runs };
        }
        if of.len() > KNOWN {
            // Handles are numbered.
            of.pop_first();
        }
    }

    fn forget(&mut self, instance: &Instance) {
        if let Some(of) = self.told.get_mut(&instance.id)
            && of.get(&instance.handle).is_some_and(|told| told.look == u64::MAX)
        {
            of.remove(&instance.handle);
        }
    }

    fn knows(&self, instance: &Instance) -> bool {
        self.told.get(&instance.id).is_some_and(|of| of.contains_key(&instance.handle))
    }

    /// Before the agent hears of it. While something is under way of a workload, a list says nothing new of it: what is
    /// new or gone, the outcome tells.
    pub fn take(&mut self, input: &Input, at_work: &BTreeSet<WorkloadId>) {
        match input {
            Input::Told(_, ExecutorEvent::Changed(instance)) => self.saw(instance),
            Input::Listed(_, _, Ok(instances)) => {
                for instance in
                    instances.iter().filter(|i| !at_work.contains(&i.id) || self.knows(i)).collect::<Vec<_>>()
                {
                    if !at_work.contains(&instance.id) && !matches!(instance.phase, Phase::Ended(_)) {
                        // It was said to be stopped, and is not.
                        self.forget(instance);
                    }
                    self.saw(instance);
                }
            }
            Input::Done(step, Ok(outcome)) => match (outcome, &step.action) {
                (Outcome::Resumed(instance), _) => {
                    // What was stopped was started again: the stop is history.
                    self.forget(instance);
                    self.saw(instance);
                }
                (Outcome::Started(instance) | Outcome::Limited(instance), _) => self.saw(instance),
                // Of one that had ended already it says nothing new.
                (Outcome::Stopped(_), StepAction::Stop(handle)) => {
                    let told = self.told.get(&step.id).and_then(|of| of.get(handle));
                    if told.is_none_or(|told| told.runs) {
                        self.put(&step.id, handle, u64::MAX, false);
                    }
                }
                _ => {}
            },
            _ => {}
        }
    }

    /// Whether it was last told of one that it runs.
    pub fn runs(&self, id: &WorkloadId) -> bool {
        self.told.get(id).is_some_and(|of| of.values().any(|told| told.runs))
    }

    /// All that was told of one, for a person.
    pub fn of(&self, id: &WorkloadId) -> String {
        format!("{:?}", self.told.get(id))
    }

    /// Whether it was told anything of it.
    pub fn ended(&self, id: &WorkloadId) -> bool {
        self.ended.contains(id)
    }
}
