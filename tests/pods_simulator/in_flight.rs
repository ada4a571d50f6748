//! Calls that change something and are waited for: one at a time per workload.

use flotta_agent::executor::podman::transport::Request;

use crate::machine::Machine;
use crate::podman::Podman;

/// A mutating call that is waited for: one at a time per workload, but for stops (or kills) side by side.
pub struct InFlight {
    podman: Podman,
    of: Option<(String, String)>,
}

impl InFlight {
    pub fn of(podman: &Podman, request: &Request) -> InFlight {
        let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
        let mut machine = podman.machine();
        let labels = match (request.method, path.as_slice(), &request.body) {
            ("POST", ["pods" | "containers", "create"], Some(body)) => {
                serde_json::from_value(body["labels"].clone()).ok()
            }
            ("DELETE", ["pods", id], _) | ("POST", ["pods", id, _], _) => {
                machine.pods.get(*id).map(|pod| pod.labels.clone())
            }
            ("POST", ["containers", id, _], _) => machine.containers.get(*id).map(|one| one.labels.clone()),
            _ => None,
        };
        let verb = format!("{} {}", request.method, path.last().unwrap_or(&""));
        let of = labels.as_ref().and_then(Machine::whose).map(|whose| (whose, verb));
        if let Some((whose, verb)) = &of {
            let others = machine.in_flight.entry(whose.clone()).or_default();
            let side_by_side = verb.ends_with(" stop") || verb.ends_with(" kill");
            let clash = others.iter().find(|other| !side_by_side || *other != verb).cloned();
            others.push(verb.clone());
            if let Some(other) = clash {
                machine.violated(format!("{whose}: {verb} while {other} is under way"));
            }
        }
        drop(machine);
        InFlight { podman: podman.clone(), of }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some((whose, verb)) = &self.of else { return };
        let mut machine = self.podman.machine();
        let others = machine.in_flight.entry(whose.clone()).or_default();
        if let Some(at) = others.iter().position(|other| other == verb) {
            others.remove(at);
        }
    }
}
