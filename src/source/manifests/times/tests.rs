//! What becomes of `cron…` and `retry` as people write them.

use std::time::Duration;

use crate::cron::Zone;
use crate::model::workload::{Exponential, Payload, RestartPolicy, Retry, Workload};
use crate::source::manifests::{Directory, Outcome, Settings};
use crate::source::reading::retry::DEFAULT;
use crate::spec_hash::DeviceKey;

const POD: &str = "  pod: { spec: { containers: [ { name: c, image: i } ] } }\n";
const SHELL: &str = "  shell: { script: \"true\" }\n";

/// A workload `x` with these lines under `spec:`, from line 5 on.
fn manifest(spec: &str) -> String {
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: x }}\nspec:\n{spec}"
    )
}

fn outcome(directory: &mut Directory) -> Outcome {
    let key = DeviceKey::new([0; 32]);
    directory.outcome(&Settings { device_id: None, fallback_id: "d".into(), key })
}

fn read(spec: &str) -> (Workload, Outcome) {
    let mut directory = Directory::default();
    directory.put("manifests", "a.yaml", Ok(&manifest(spec)));
    let outcome = outcome(&mut directory);
    let workload = outcome.desired.workloads.values().next().expect("a workload");
    ((**workload).clone(), outcome)
}

fn all(problems: &[crate::model::problem::Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[test]
fn a_cron_workload_has_its_times_its_zone_and_no_second_try() {
    let (workload, outcome) = read(&format!(
        "  type: shell\n  cron: \"30 3 * * mon-fri\"\n  cronTimeZone: Europe/Berlin\n  cronCatchUp: true\n{SHELL}"
    ));
    let cron = workload.cron.expect("times");
    assert_eq!((cron.schedule.expression(), cron.schedule.zone().name()), ("30 3 * * mon-fri", "Europe/Berlin"));
    assert!(cron.catch_up);
    assert_eq!((workload.restart, workload.retry), (RestartPolicy::Never, Retry::DEFAULT));
    assert_eq!((all(&outcome.desired.problems), workload.warnings), (String::new(), Vec::new()));

    let (workload, _) = read(&format!("  cron: \"@daily\"\n{POD}"));
    let cron = workload.cron.expect("times");
    assert_eq!((cron.schedule.zone(), cron.catch_up), (&Zone::local(), false));
    assert_eq!(workload.restart, RestartPolicy::Never, "a pod's is Always where there is no cron");
    let (workload, _) = read(POD);
    assert_eq!((workload.cron, workload.restart), (None, RestartPolicy::Always));
}

#[test]
fn wrong_times_are_an_error_with_their_place_their_column_and_what_would_be_right() {
    for (spec, says) in [
        (
            "  cron: \"0 25 * * *\"\n",
            "manifests/a.yaml:5:9: spec.cron: \"0 25 * * *\", column 3: hour: \"25\" is out of range; write 0 to 23",
        ),
        ("  cron: \"0 0 3 * * *\"\n", "spec.cron: \"0 0 3 * * *\", column 11: 6 fields; there are five"),
        ("  cron: \"@reboot\"\n", "manifests/a.yaml:5:9: spec.cron: \"@reboot\", column 1: @reboot is no time"),
        ("  cron: \"\"\n", "manifests/a.yaml:5:9: spec.cron: \"\", column 1: is empty; write five fields"),
        ("  cron: 5\n", "manifests/a.yaml:5:9: spec.cron: must be text, not the number 5"),
        (
            "  cron: \"0 0 * * *\"\n  cronTimeZone: Europe/Berlim\n",
            "manifests/a.yaml:6:17: spec.cronTimeZone: there is no time zone Europe/Berlim",
        ),
        ("  cron: \"0 0 * * *\"\n  cronTimeZone: 1\n", "manifests/a.yaml:6:17: spec.cronTimeZone: must be text"),
        (
            "  cron: \"0 0 * * *\"\n  cronCatchUp: \"yes\"\n",
            "manifests/a.yaml:6:16: spec.cronCatchUp: must be true or false, not the text \"yes\"",
        ),
    ] {
        let (workload, outcome) = read(&format!("{spec}{POD}"));
        let said = all(&outcome.desired.problems);
        assert!(said.contains(says), "{spec}{said}");
        assert!(matches!(&workload.payload, Payload::Invalid(why) if said.contains(why)), "{spec}{workload:?}");
    }
}

#[test]
fn the_last_good_times_stay_in_force() {
    let mut directory = Directory::default();
    let good = format!("  cron: \"0 4 * * *\"\n{POD}");
    directory.put("manifests", "a.yaml", Ok(&manifest(&good)));
    let before = outcome(&mut directory).desired.workloads;
    directory.put("manifests", "a.yaml", Ok(&manifest(&good.replace("0 4", "0 44"))));
    let after = outcome(&mut directory).desired;
    assert!(all(&after.problems).contains("column 3: hour: \"44\""), "{}", all(&after.problems));
    assert_eq!(after.workloads, before);
    directory.put("manifests", "a.yaml", Ok(&manifest(&good.replace("0 4", "0 5"))));
    let mended = outcome(&mut directory).desired;
    let (old, new) = (before.values().next().expect("one"), mended.workloads.values().next().expect("one"));
    assert_eq!((old.hash.clone(), &old.payload), (new.hash.clone(), &new.payload), "times are no part of the version");
    assert_ne!(old.cron, new.cron);
}

#[test]
fn what_is_ignored_is_warned_about_with_its_place() {
    for (spec, says) in [
        (
            "  type: k8s\n  cron: \"0 0 * * *\"\n",
            "a.yaml:6:3: spec.cron: is ignored for type k8s: there, a CronJob does it",
        ),
        ("  type: microshift\n  cron: nonsense\n  cronTimeZone: no\n", "spec.cron: is ignored for type microshift"),
        (
            "  type: k8s\n  retry: { constantBackoff: { periodSeconds: 5 } }\n",
            "a.yaml:6:3: spec.retry: is ignored for type k8s",
        ),
        ("  cronTimeZone: Europe/Berlin\n", "a.yaml:5:3: spec.cronTimeZone: is ignored without spec.cron"),
        ("  cronCatchUp: true\n", "a.yaml:5:3: spec.cronCatchUp: is ignored without spec.cron"),
        (
            "  cron: \"0 0 * * *\"\n  retry: { constantBackoff: { periodSeconds: 5 } }\n",
            "a.yaml:6:3: spec.retry: is ignored beside spec.cron",
        ),
        (
            "  retry:\n    constantBackoff: { periodSeconds: 5 }\n    exponentialBackoff: {}\n",
            "a.yaml:6:5: spec.retry.constantBackoff: is ignored, since exponentialBackoff is there too",
        ),
        ("  retry: { exponentialBackoff: { factor: 2 } }\n", "spec.retry.exponentialBackoff.factor: unknown field"),
    ] {
        let (workload, outcome) = read(&format!("{spec}{POD}"));
        assert!(all(&outcome.warnings).contains(says), "{spec}{}", all(&outcome.warnings));
        assert!(workload.warnings.iter().any(|warning| warning.contains(says)), "{spec}{:?}", workload.warnings);
        assert_eq!(all(&outcome.desired.problems), "", "{spec}");
        assert_eq!(workload.cron.is_some(), spec.contains("cron: \"") && !spec.contains("k8s"), "{spec}");
    }
    for (policy, warned) in [("Always", true), ("OnFailure", true), ("Never", false)] {
        let (workload, _) = read(&format!(
            "  cron: \"0 0 * * *\"\n{}",
            POD.replace("spec: {", &format!("spec: {{ restartPolicy: {policy},"))
        ));
        assert_eq!(workload.restart, RestartPolicy::Never);
        let said = workload.warnings.join("\n");
        assert_eq!(said.contains(&format!("restartPolicy: {policy} is ignored beside spec.cron")), warned, "{said}");
    }
}

#[test]
fn a_growing_wait_is_read_with_defaults_and_numbers_out_of_range_are_replaced_and_said() {
    let retry = |exponential: &str| read(&format!("  retry: {{ exponentialBackoff: {exponential} }}\n{POD}"));
    assert_eq!(retry("{}").0.retry, Retry::Exponential(DEFAULT));
    let (workload, _) =
        retry("{ initialIntervalSeconds: 2, multiplier: 1.5, randomizationFactor: 0, maxIntervalSeconds: 60 }");
    let expected = Exponential {
        initial: Duration::from_secs(2),
        multiplier: 1.5,
        randomization: 0.0,
        max: Duration::from_secs(60),
    };
    assert_eq!((workload.retry, workload.warnings), (Retry::Exponential(expected), Vec::new()));
    for (written, says) in [
        (
            "{ multiplier: 0.9 }",
            "a.yaml:5:46: spec.retry.exponentialBackoff.multiplier: must be 1 or more, not 0.9: 2 is used",
        ),
        (
            "{ initialIntervalSeconds: -1 }",
            "exponentialBackoff.initialIntervalSeconds: must be seconds from 1 to 86400, not -1: 1 is used",
        ),
        (
            "{ randomizationFactor: 2 }",
            "exponentialBackoff.randomizationFactor: must be from 0 to below 1, not 2: 0.1 is used",
        ),
        (
            "{ initialIntervalSeconds: 9, maxIntervalSeconds: 3 }",
            "a.yaml:5:81: spec.retry.exponentialBackoff.maxIntervalSeconds: 3 is less than the first wait: 9 is used",
        ),
    ] {
        let (workload, outcome) = retry(written);
        assert!(workload.warnings.iter().any(|warning| warning.contains(says)), "{:?}", workload.warnings);
        assert!(matches!(workload.retry, Retry::Exponential(_)) && outcome.desired.problems.is_empty());
    }
    let (_, outcome) = retry("{ multiplier: two }");
    assert!(all(&outcome.desired.problems).contains("exponentialBackoff.multiplier: must be a number, not the text"));
}
