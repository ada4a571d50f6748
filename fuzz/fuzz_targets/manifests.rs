//! Manifests: two versions of one file and then other files, separated by NULs; up to the bodies that podman is sent.
#![no_main]

use flotta_agent::executor::podman::resolver::Resolver;
use flotta_agent::executor::podman::translate::{Place, translate};
use flotta_agent::gates::{Gates, Settings as GateSettings};
use flotta_agent::model::policy::{HostPaths, Policy};
use flotta_agent::model::time::Now;
use flotta_agent::model::workload::{Payload, Workload};
use flotta_agent::source::manifests::{Directory, Settings};
use flotta_agent::spec_hash::DeviceKey;
use flotta_fuzz::{is_sentence, texts};

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    let settings = Settings { device_id: None, fallback_id: "toto".into(), key: DeviceKey::new([7; 32]) };
    let mut directory = Directory::default();
    for (nth, text) in texts(data).into_iter().take(5).enumerate() {
        let name = if nth < 2 { "a.yaml".to_owned() } else { format!("{nth}.yaml") };
        directory.put("manifests", &name, Ok(text));
    }
    let outcome = directory.outcome(&settings);
    assert_eq!(directory.outcome(&settings), outcome, "the same every time");

    let problems = &outcome.desired.problems;
    for problem in problems.iter().chain(&outcome.notes).chain(&outcome.warnings) {
        is_sentence(&problem.message);
        assert!(problem.place.starts_with("manifests/") || problem.place == "DEVICE_ID", "{problem}");
    }
    let stored = directory.stored();
    let again = Directory::restored("manifests", &stored).outcome(&settings);
    if problems.is_empty() {
        assert_eq!(again, outcome, "a restart changes nothing");
    }
    for (id, workload) in &outcome.desired.workloads {
        assert_eq!(*id, workload.id);
        is_carried_out(workload);
    }

    let mut gates = Gates::new(GateSettings::default());
    gates.set_profiles(&outcome.desired.profiles, Now::default());
    for workload in outcome.desired.workloads.values() {
        let _ = gates.gate(&workload.gates);
        is_sentence(&format!("-{}", gates.explain(&workload.gates, Now::default())));
    }
});

fn is_carried_out(workload: &Workload) {
    let policy = Policy { host_paths: HostPaths::Prefixes(vec!["/srv".into()]), mounts: true, ours: vec!["/var/lib/flotta-agent".into()], ..Policy::default() };
    if let Err(why) = policy.check(workload) {
        is_sentence(&why);
    }
    match &workload.payload {
        Payload::Pod(job) => {
            let place = Place {
                owner: "owner".into(),
                device: "toto".into(),
                cpu: true,
                memory: true,
                cores: 4,
                memory_total: 1 << 30,
                no_limits: "",
                files: "/var/lib/flotta-agent/pods/x".into(),
                resolver: Resolver::default(),
            };
            for quota in [None, Some(1_000)] {
                let made = translate(workload, job, &place, quota);
                assert!(made.name.len() <= 253 + 13, "{}", made.name);
                assert!(!made.containers.is_empty(), "a pod has a container");
                // Nothing is written outside of the pod's own directory.
                for file in &made.files {
                    let sound = |part: &str| !part.is_empty() && part != "." && part != "..";
                    assert!(file.path.split('/').all(sound) && !file.path.contains('\0'), "{file:?}");
                }
                assert!(made.host_paths.iter().all(|(path, _)| path.starts_with('/')), "{:?}", made.host_paths);
            }
        }
        Payload::Shell(shell) => assert!(!shell.argv.is_empty()),
        Payload::Invalid(why) => is_sentence(why),
        Payload::Kube(_) | Payload::Ansible(_) | Payload::Forbidden(_) => {}
    }
}
