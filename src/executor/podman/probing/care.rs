//! What a pod asks to be done for its containers: its probes, its hooks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::executor::podman::translate::expand_open;
use crate::model::pod::{Container, EnvValue, Lifecycle, Probe, ProbeAction, Probes};
use crate::model::workload::{Payload, Workload};
use crate::probes::prober::{Kind, Pace, Paces};

/// Of a pod.
#[derive(Debug)]
pub(in crate::executor::podman) struct PodCare {
    /// Between TERM and KILL.
    pub(super) grace: Duration,
    /// It has the device's own network.
    pub(super) host_network: bool,
    /// By the containers' names; those that ask for nothing are left out.
    pub(super) containers: BTreeMap<String, Arc<Care>>,
}

/// Of a container.
#[derive(Debug)]
pub(in crate::executor::podman) struct Care {
    /// Its probes.
    pub(super) probes: Probes,
    /// Its hooks.
    pub(super) lifecycle: Lifecycle,
}

impl PodCare {
    /// `None`: it asks for nothing.
    pub(in crate::executor::podman) fn of(workload: &Workload) -> Option<PodCare> {
        let Payload::Pod(job) = &workload.payload else { return None };
        let asks = |one: &&Container| !one.probes.is_empty() || one.lifecycle != Lifecycle::default();
        let care = |one: &Container| {
            let care = Care { probes: expanded(one), lifecycle: one.lifecycle.clone() };
            (one.name.clone(), Arc::new(care))
        };
        let containers: BTreeMap<_, _> = job.spec.containers.iter().filter(asks).map(care).collect();
        let found = PodCare { grace: job.spec.grace, host_network: job.spec.host_network, containers };
        (!found.containers.is_empty()).then_some(found)
    }
}

/// As in Kubernetes: `$(NAME)` in a probe's command stands for what is written in the manifest itself.
fn expanded(container: &Container) -> Probes {
    let literal = |variable: &crate::model::pod::EnvVar| match &variable.value {
        EnvValue::Literal(value) => Some((variable.name.clone(), value.clone())),
        _ => None,
    };
    let env: BTreeMap<String, String> = container.env.iter().filter_map(literal).collect();
    let mut probes = container.probes.clone();
    for probe in [&mut probes.startup, &mut probes.readiness, &mut probes.liveness].into_iter().flatten() {
        if let ProbeAction::Exec(command) = &mut probe.action {
            command.iter_mut().for_each(|word| *word = expand_open(word, &env));
        }
    }
    probes
}

impl Care {
    pub(super) fn probe(&self, kind: Kind) -> Option<&Probe> {
        match kind {
            Kind::Startup => self.probes.startup.as_ref(),
            Kind::Readiness => self.probes.readiness.as_ref(),
            Kind::Liveness => self.probes.liveness.as_ref(),
        }
    }

    pub(super) fn paces(&self) -> Paces {
        let pace = |probe: &Option<Probe>| {
            probe.as_ref().map(|probe| Pace {
                initial_delay: probe.initial_delay,
                period: probe.period,
                successes: probe.success_threshold,
                failures: probe.failure_threshold,
            })
        };
        let Probes { startup, readiness, liveness } = &self.probes;
        Paces { startup: pace(startup), readiness: pace(readiness), liveness: pace(liveness) }
    }
}
