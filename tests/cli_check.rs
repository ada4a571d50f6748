//! What `check` says and how it ends.

use flotta_agent::cli::Exit;
use flotta_agent::cli::check::{CheckReport, CheckedCondition, CheckedCron, CheckedProfile, CheckedWorkload};
use flotta_agent::model::id::WorkloadId;
use flotta_agent::model::problem::Problem;
use flotta_agent::model::workload::Kind;

fn written(report: &CheckReport) -> String {
    let mut out = Vec::new();
    report.write(&mut out).expect("a vector takes everything");
    String::from_utf8(out).expect("UTF-8")
}

fn sound() -> CheckReport {
    CheckReport {
        problems: Vec::new(),
        warnings: vec![Problem::new("manifests/a.yaml:9:3", "unknown field spec.colour")],
        profiles: vec![CheckedProfile {
            name: "test".into(),
            conditions: vec![CheckedCondition {
                name: "off".into(),
                expression: "x<3% || x == nil".into(),
                understood: Ok("(x < 3) or (x is nil)".into()),
            }],
        }],
        workloads: vec![CheckedWorkload {
            id: WorkloadId::parse("nginx").expect("a name"),
            kind: Kind::Pod,
            origin: "manifests/a.yaml:12".into(),
            cron: Some(CheckedCron {
                expression: "30 3 * * *".into(),
                understood: "at 03:30, every day (UTC)".into(),
                next: vec!["03:30".into(), "Sun 22 Nov 03:30".into()],
            }),
            warnings: vec!["profiles stand under spec".into()],
        }],
    }
}

#[test]
fn a_sound_configuration_is_said_to_be_well() {
    let expected = "\
profile test
  off: x<3% || x == nil
    understood as: (x < 3) or (x is nil)
workload default/nginx (pod), manifests/a.yaml:12
  cron: 30 3 * * *
    understood as: at 03:30, every day (UTC)
    next: 03:30, Sun 22 Nov 03:30
  warning: profiles stand under spec
warning: manifests/a.yaml:9:3: unknown field spec.colour
1 workload, 1 profile: all is well
";
    assert_eq!(written(&sound()), expected);
    assert_eq!(sound().exit(), Exit::Done);
}

#[test]
fn a_broken_file_or_a_refused_expression_is_exit_1() {
    let mut report = sound();
    report.problems.push(Problem::new("manifests/b.yaml:3:7", "a tab in the indentation"));
    assert_eq!(report.exit(), Exit::Wrong);
    let mut report = sound();
    report.profiles[0].conditions[0].understood = Err("column 2: expected a number".into());
    assert_eq!(report.exit(), Exit::Wrong);
    assert!(written(&report).contains("    wrong: column 2: expected a number\n"));
    assert!(written(&report).ends_with("1 workload, 1 profile: 1 thing to mend\n"));
}
