//! The workloads of the device, and what of them should run.

use serde_json::{Value, json};

use super::guest::{MANIFESTS, exists};

pub struct Workload {
    pub name: &'static str,
    pub pod: bool,
    /// Behind the gate that the metric x opens.
    pub gated: bool,
    /// Its manifest is taken away and put back.
    pub toggled: bool,
}

const fn workload(name: &'static str, pod: bool, gated: bool, toggled: bool) -> Workload {
    Workload { name, pod, gated, toggled }
}

pub const ALL: [Workload; 6] = [
    workload("shell", false, false, false),
    workload("gated-shell", false, true, false),
    workload("toggled-shell", false, false, true),
    workload("pod", true, false, false),
    workload("gated-pod", true, true, false),
    workload("still-pod", true, false, false),
];
/// Comes from the server, which is gone after the first cut.
pub const OF_SERVER: &str = "server";

const WAITS: &str = "trap \"exit 0\" TERM; sleep 100000 & wait";
const IMAGE: &str = "localhost/flotta-test/busybox:1";
const DEVICE: &str = "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeDevice\nmetadata: { name: power }\nspec:\n  profiles: [ { name: load, conditions: [ { name: \"on\", expression: \"x == 1\" } ] } ]\n";

fn manifest(of: &Workload, number: u64) -> String {
    let name = of.name;
    let gate = if of.gated { "  profiles: [ { name: load, conditions: [ \"on\" ] } ]\n" } else { "" };
    let what = if of.pod {
        format!(
            "  type: pod\n  pod: {{ spec: {{ terminationGracePeriodSeconds: 5, containers: [ {{ name: c, image: \"{IMAGE}\", command: [ /bin/sh, -c, '{WAITS}' ], env: [ {{ name: POWER_N, value: {name} }}, {{ name: POWER_V, value: \"{number}\" }} ] }} ] }} }}\n"
        )
    } else {
        format!(
            "  type: shell\n  shell:\n    env: {{ POWER_N: {name}, POWER_V: \"{number}\" }}\n    command: [ /usr/bin/sleep, \"100000\" ]\n    terminationGracePeriodSeconds: 2\n"
        )
    };
    format!(
        "apiVersion: management.project-flotta.io/v1alpha1\nkind: EdgeWorkload\nmetadata: {{ name: {name} }}\nspec:\n  retry: {{ constantBackoff: {{ periodSeconds: 2 }} }}\n{gate}{what}"
    )
}

/// Puts the manifest of a workload, or takes it away.
pub fn put(of: &Workload, number: u64, here: bool) -> Result<(), String> {
    let file = format!("{MANIFESTS}/{}.yaml", of.name);
    let beside = format!("{MANIFESTS}/.{}", of.name);
    let done = if here {
        std::fs::write(&beside, manifest(of, number)).and_then(|()| std::fs::rename(&beside, &file))
    } else if exists(&file) {
        std::fs::remove_file(&file)
    } else {
        Ok(())
    };
    done.map_err(|why| format!("{file}: {why}"))
}

/// The whole directory at once: an empty one would say that nothing is wanted.
pub fn put_all(those: &[(&Workload, u64)]) -> Result<(), String> {
    let beside = format!("{MANIFESTS}.new");
    let done = || -> std::io::Result<()> {
        std::fs::create_dir_all(&beside)?;
        std::fs::write(format!("{beside}/device.yaml"), DEVICE)?;
        for (of, number) in those {
            std::fs::write(format!("{beside}/{}.yaml", of.name), manifest(of, *number))?;
        }
        std::fs::rename(&beside, MANIFESTS)
    };
    done().map_err(|why| format!("{MANIFESTS}: {why}"))
}

/// The one that the server assigns.
pub fn of_server(number: u64) -> Value {
    // Servers fail on a literal `env`.
    let script = format!("trap \"exit 0\" TERM; POWER_N={OF_SERVER} POWER_V={number} sleep 100000 & wait");
    json!([{ "name": OF_SERVER, "kind": "pod", "specification": {
        "terminationGracePeriodSeconds": 5,
        "containers": [{ "name": "c", "image": IMAGE, "command": ["/bin/sh", "-c", script] }],
    } }])
}
