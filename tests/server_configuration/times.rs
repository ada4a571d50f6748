//! When a workload of the server runs, and how long it waits: `cron` and `retry` as the contract's model has them.

use std::time::Duration;

use flotta_agent::model::workload::{Exponential, RestartPolicy, Retry};
use serde_json::json;

use super::said::{invalid, outcome, problems, with, workload};

#[test]
fn a_wrong_cron_line_is_that_workloads_fault_with_its_column_and_what_would_be_right() {
    for (line, says) in [
        ("0 25 * * *", "workload wl-cron: spec.cron: \"0 25 * * *\", column 3: hour: \"25\" is out of range"),
        ("*/5 * * * * *", "spec.cron: \"*/5 * * * * *\", column 13: 6 fields; there are five"),
        ("0 0 30 2 *", "column 5: day of month: this date never comes"),
    ] {
        let outcome = outcome(&with("/workloads/2/cron", json!(line)));
        let why = invalid(&outcome, "wl-cron").unwrap_or_else(|| panic!("{line}: it is carried out"));
        assert!(problems(&outcome).contains(says) && problems(&outcome).contains(why), "{}", problems(&outcome));
    }
}

#[test]
fn a_cron_workload_is_not_tried_again_and_a_cluster_keeps_its_own_times() {
    let outcome_of = |pointer: &str, value| outcome(&with(pointer, value));
    let found = outcome_of("/workloads/2/retry", json!({"periodSeconds": 5}));
    let cron = workload(&found, "wl-cron");
    assert!(cron.warnings.join("\n").contains("spec.retry: is ignored beside spec.cron"), "{:?}", cron.warnings);
    assert_eq!((cron.retry, cron.restart), (Retry::DEFAULT, RestartPolicy::Never));

    let pod = "containers: [{name: a, image: b}]\nrestartPolicy: Always\n";
    let found = outcome_of("/workloads/2/specification", json!(pod));
    let cron = workload(&found, "wl-cron");
    assert!(cron.warnings.join("\n").contains("restartPolicy: Always is ignored"), "{:?}", cron.warnings);
    assert_eq!(cron.restart, RestartPolicy::Never);

    let found = outcome_of("/workloads/2/kind", json!("k8s"));
    let cron = workload(&found, "wl-cron");
    assert!(cron.warnings.join("\n").contains("spec.cron: is ignored for type k8s"), "{:?}", cron.warnings);
    assert_eq!(cron.cron, None);
}

#[test]
fn the_models_retry_is_constant_or_grows() {
    let second = Duration::from_secs(1);
    let grows = |initial: u64, multiplier, randomization| {
        Retry::Exponential(Exponential {
            initial: second * initial as u32,
            multiplier,
            randomization,
            max: second * 300,
        })
    };
    for (written, retry, says) in [
        (json!({}), Retry::DEFAULT, ""),
        (json!({"backoff": "constant", "periodSeconds": 7}), Retry::Constant(second * 7), ""),
        (json!({"backoff": "exponential"}), grows(1, 2.0, 0.1), ""),
        (json!({"backoff": "exponentialBackoff", "initialIntervalSeconds": 4}), grows(4, 2.0, 0.1), ""),
        (json!({"initialIntervalSeconds": 3, "randomizationFactor": 0.5, "multiplier": 1.5}), grows(3, 1.5, 0.5), ""),
        (json!({"multiplier": 0.5}), grows(1, 2.0, 0.1), "retry.multiplier: must be 1 or more, not 0.5: 2 is used"),
        (json!({"backoff": "constant", "multiplier": 3}), Retry::DEFAULT, ""),
        (
            json!({"backoff": "exponential", "periodSeconds": 7}),
            grows(1, 2.0, 0.1),
            "retry.periodSeconds: is ignored, since the backoff is exponential",
        ),
        (
            json!({"backoff": "linear"}),
            Retry::DEFAULT,
            "retry.backoff: must be exponential or constant, not \"linear\"",
        ),
    ] {
        let found = outcome(&with("/workloads/0/retry", written.clone()));
        let pod = workload(&found, "wl-pod");
        assert_eq!(pod.retry, retry, "{written}");
        let said: Vec<&String> = pod.warnings.iter().filter(|warning| warning.contains("retry")).collect();
        assert_eq!(said.len(), usize::from(!says.is_empty()), "{written}: {said:?}");
        assert!(said.iter().all(|warning| warning.contains(says)), "{written}: {said:?}");
    }
}

#[test]
fn a_constant_wait_out_of_range_is_that_workloads_fault() {
    let found = outcome(&with("/workloads/0/retry", json!({"periodSeconds": -5})));
    assert!(invalid(&found, "wl-pod").is_some());
    let said = problems(&found);
    assert!(said.contains("workloads[0].retry.periodSeconds: must be whole seconds"), "{said}");
}
