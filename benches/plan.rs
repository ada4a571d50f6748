//! How long a plan takes, by the number of workloads. Goal: linear, 1 000 in at most 1 ms.
#![allow(missing_docs, reason = "criterion's macros")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use flotta_agent::executor::{ExecutorId, Handle, Instance, Phase, Quota};
use flotta_agent::gates::{Gates, Settings};
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::metric::{MetricSource, MetricUpdate};
use flotta_agent::model::profile::{ConditionRef, ConditionSpec, ProfileRef, ProfileSpec};
use flotta_agent::model::time::{Mono, Now, Wall};
use flotta_agent::model::workload::{Kind, Payload, RestartPolicy, Retry, ShellSpec, SourceKind, SpecHash, Workload};
use flotta_agent::scheduler::book::Book;
use flotta_agent::scheduler::decide::Reach;
use flotta_agent::scheduler::plan::{Limits, World, plan};

const NOW: Now = Now { mono: Mono(1), wall: Wall(1_790_000_000_000) };

fn gates() -> Gates {
    let condition = |name: &str, expression: String| ConditionSpec {
        name: name.into(),
        expression,
        hold_off: Duration::ZERO,
        hold: Duration::ZERO,
    };
    let profiles: Vec<ProfileSpec> = (0..100)
        .map(|n| ProfileSpec {
            name: format!("profile-{n}"),
            conditions: vec![
                condition("low", format!("m{n} < 50 && m{n} != nil")),
                condition("high", format!("m{n} >= 80 || x{n} == 1")),
            ],
        })
        .collect();
    let mut gates = Gates::new(Settings::default());
    gates.set_profiles(&profiles, NOW);
    for n in 0..100 {
        let update =
            MetricUpdate { name: format!("m{n}"), value: Some(f64::from(n)), unit: None, timestamp: None, ttl: None };
        gates.apply(&[update], MetricSource::Mqtt, NOW).expect("taken");
    }
    gates
}

/// Half of them gated, most of those that should run running.
fn books(count: usize) -> BTreeMap<WorkloadId, Book> {
    let book = |n: usize| {
        let id = WorkloadId::try_new("default", &format!("w{n}")).expect("a name");
        let gate = ProfileRef {
            name: format!("profile-{}", n % 100),
            conditions: vec![ConditionRef { name: "low".into(), cpu_quota_us: Some(20_000) }],
        };
        let workload = Workload {
            id: id.clone(),
            hash: SpecHash(format!("{n:064x}")),
            kind: Kind::Shell,
            rootless: false,
            payload: Payload::Shell(ShellSpec {
                argv: vec!["true".into()],
                env: BTreeMap::new(),
                working_dir: None,
                user: None,
                grace: Duration::from_secs(30),
            }),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            gates: if n.is_multiple_of(2) { vec![gate] } else { Vec::new() },
            cron: None,
            retry: Retry::DEFAULT,
            restart: RestartPolicy::OnFailure,
            priority: 0,
            source: SourceKind::Manifests,
            origin: "a.yaml:1".into(),
            warnings: Vec::new(),
        };
        let mut book = Book::new(id.clone());
        let instance = Instance {
            id: id.clone(),
            hash: workload.hash.clone(),
            handle: Handle(format!("h{n}").into()),
            phase: Phase::Running,
            started_at: NOW.wall,
            warnings: Vec::new(),
            look: 0,
            quota: Quota::Fixed,
            in_place: false,
            unready: Vec::new(),
        };
        book.set_desired(Some(Arc::new(workload)), NOW);
        if !n.is_multiple_of(10) {
            book.observe(ExecutorId::Shell, instance, NOW);
        }
        (id, book)
    };
    (0..count).map(book).collect()
}

fn planning(criterion: &mut Criterion) {
    let gates = gates();
    let reaches = BTreeMap::from([(ExecutorId::Shell, Reach::Reachable)]);
    let mut group = criterion.benchmark_group("plan with 100 profiles");
    for count in [10, 100, 1_000, 10_000] {
        let books = books(count);
        let world = World { reaches: &reaches, shutting_down: false, lock: None, limits: Limits::default() };
        group.throughput(Throughput::Elements(count as u64));
        group.bench_with_input(BenchmarkId::from_parameter(count), &books, |bencher, books| {
            bencher.iter(|| plan(black_box(books).values(), &gates, &world, NOW));
        });
    }
    group.finish();
}

criterion_group!(benches, planning);
criterion_main!(benches);
