//! `GET /metrics`: the agent's own counters and what arrived, as Prometheus text.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use crate::board::Board;
use crate::clock;
use crate::intake::Intake;

use super::{Shared, refusal};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Counters of parts that HTTP does not know.
pub trait Counters: Send + Sync + 'static {
    /// All of them, as they are now.
    fn families(&self) -> Vec<Family>;
}

/// One metric with its samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// Without `_total`, which a counter gets by itself.
    pub name: &'static str,
    /// One sentence, without a full stop.
    pub help: &'static str,
    /// Whether it only ever grows.
    pub counts: bool,
    /// Each with its labels.
    pub samples: Vec<(Vec<(&'static str, String)>, f64)>,
}

impl Family {
    /// A counter with one sample and no labels.
    #[must_use]
    pub fn counter(name: &'static str, help: &'static str, value: u64) -> Family {
        Family { name, help, counts: true, samples: vec![(Vec::new(), as_f64(value))] }
    }

    /// A gauge with one sample and no labels.
    #[must_use]
    pub fn gauge(name: &'static str, help: &'static str, value: f64) -> Family {
        Family { name, help, counts: false, samples: vec![(Vec::new(), value)] }
    }
}

/// A count as Prometheus has it.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "2^53 events are far away")]
pub fn as_f64(count: u64) -> f64 {
    count as f64
}

#[derive(Debug)]
struct Snapshot(Vec<Family>);

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        for family in &self.0 {
            let kind = if family.counts { MetricType::Counter } else { MetricType::Gauge };
            let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
            for (labels, value) in &family.samples {
                if labels.is_empty() {
                    write(&mut metric, family.counts, *value)?;
                } else {
                    let labels: Vec<(&str, &str)> = labels.iter().map(|(k, v)| (*k, v.as_str())).collect();
                    write(&mut metric.encode_family(&labels)?, family.counts, *value)?;
                }
            }
        }
        Ok(())
    }
}

fn write(encoder: &mut MetricEncoder<'_>, counts: bool, value: f64) -> Result<(), std::fmt::Error> {
    if counts {
        encoder.encode_counter::<[(&str, &str); 0], _, f64>(&value, None)
    } else {
        encoder.encode_gauge(&value)
    }
}

pub(super) async fn scrape(State(shared): State<Shared>) -> Response {
    let mut families = of_board(&shared.board);
    families.extend(of_intake(&shared.intake));
    families.extend(shared.counters.families());
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Snapshot(families)));
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &registry) {
        Ok(()) => ([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response(),
        Err(why) => refusal(axum::http::StatusCode::INTERNAL_SERVER_ERROR, format!("cannot write the metrics: {why}")),
    }
}

fn of_board(board: &Arc<Board>) -> Vec<Family> {
    let workloads = board.workloads();
    let of =
        |w: &crate::model::status::WorkloadStatus| vec![("namespace", w.namespace.clone()), ("name", w.name.clone())];
    let states = workloads.iter().map(|w| {
        let mut labels = of(w);
        labels.push(("state", w.state.as_str().to_owned()));
        (labels, 1.0)
    });
    let restarts = workloads.iter().map(|w| (of(w), as_f64(w.restarts)));
    let device = board.device(clock::now());
    let (_, plans) = board.progress();
    vec![
        Family {
            name: "flotta_workload_state",
            help: "1 for the state that the workload is in",
            counts: false,
            samples: states.collect(),
        },
        Family {
            name: "flotta_workload_restarts",
            help: "Starts after an end of its own",
            counts: true,
            samples: restarts.collect(),
        },
        Family::gauge("flotta_problems", "What a person should mend", as_f64(device.problems.len() as u64)),
        Family::counter("flotta_plans", "Turns of the reconcile loop", plans),
        Family {
            name: "flotta_agent_info",
            help: "The agent's version",
            counts: false,
            samples: vec![(vec![("version", device.version), ("device_id", device.device_id)], 1.0)],
        },
    ]
}

fn of_intake(intake: &Arc<Intake>) -> Vec<Family> {
    let (metrics, accepted, evaluations) = {
        let gates = intake.gates();
        (gates.metrics(clock::now()), gates.counters().accepted, gates.counters().evaluations)
    };
    let values = metrics.into_iter().map(|metric| (vec![("name", metric.name)], metric.value));
    let refused = intake.refused().into_iter().map(|(what, count)| (vec![("what", what.to_owned())], as_f64(count)));
    vec![
        Family {
            name: "flotta_metric_value",
            help: "The value held of each metric that arrived",
            counts: false,
            samples: values.collect(),
        },
        Family {
            name: "flotta_refused",
            help: "What was refused, by what it was",
            counts: true,
            samples: refused.collect(),
        },
        Family::counter("flotta_metrics_accepted", "Metric values taken", accepted),
        Family::counter("flotta_condition_evaluations", "Conditions evaluated", evaluations),
    ]
}
