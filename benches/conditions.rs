//! What a metric costs: reading an expression once, judging it for each value, refusing rubbish.
#![allow(missing_docs, reason = "criterion's macros")]

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use flotta_agent::condition::{compile, payload};
use flotta_agent::gates::{Gates, Settings};
use flotta_agent::model::metric::{MetricSource, MetricUpdate};
use flotta_agent::model::profile::{ConditionSpec, ProfileSpec};
use flotta_agent::model::time::{Mono, Now, Wall};

const FOUR: &str = "cpu < 50% && mem < 2Gi || temp >= 30 C && fan != nil";
const NOW: Now = Now { mono: Mono(1), wall: Wall(1_790_000_000_000) };

fn conditions(criterion: &mut Criterion) {
    let program = compile(FOUR).expect("an expression");
    let values = [Some(20.0), Some(3e9), Some(31.0), None];
    criterion.bench_function("evaluate 4 comparisons", |b| {
        b.iter(|| black_box(&program).eval(|at| black_box(&values)[at]));
    });
    criterion.bench_function("compile 4 comparisons", |b| b.iter(|| compile(black_box(FOUR))));
    for (what, text) in [("brackets", "("), ("operators", "x<1&&"), ("digits", "1")] {
        let text = text.repeat(1_000_000 / text.len());
        criterion.bench_function(&format!("refuse 1 MB of {what}"), |b| b.iter(|| compile(black_box(&text)).is_err()));
    }
    criterion.bench_function("read a payload of 2 digits", |b| b.iter(|| payload::read(black_box(b"20"))));
}

fn gates(criterion: &mut Criterion) {
    let condition =
        ConditionSpec { name: "c".into(), expression: FOUR.into(), hold_off: Duration::ZERO, hold: Duration::ZERO };
    let mut gates = Gates::new(Settings::default());
    gates.set_profiles(&[ProfileSpec { name: "p".into(), conditions: vec![condition] }], NOW);
    for (what, name) in [("used by one condition", "cpu"), ("used by none", "other")] {
        let mut value = 0.0;
        criterion.bench_function(&format!("take a metric {what}"), |b| {
            b.iter(|| {
                value = if value > 90.0 { 0.0 } else { value + 1.0 };
                let one =
                    MetricUpdate { name: name.into(), value: Some(value), unit: None, timestamp: None, ttl: None };
                gates.apply(black_box(&[one]), MetricSource::Mqtt, NOW)
            });
        });
    }
}

criterion_group!(benches, conditions, gates);
criterion_main!(benches);
