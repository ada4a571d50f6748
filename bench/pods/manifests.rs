//! What the agents under test are told to run.

/// The device's name begins like those whose pods the tests' own clean-up takes away.
pub const DEVICE: &str = "test-bench";
/// On every pod of these benchmarks, whoever made it.
pub const LABEL: &str = "flotta-test=bench";
/// What every container runs: a sleep, below a shell that obeys SIGTERM (the first process of a container ignores it
/// unless it says otherwise, and then every stop would take its whole grace period).
pub const COMMAND: [&str; 3] = ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"];

/// How many are started and stopped together.
pub const PODS: usize = 50;

const HEAD: &str = "apiVersion: management.project-flotta.io/v1alpha1\n";

/// Two gates: `low` by the metric cpu, `big` by mem; open below 50.
pub fn device() -> (String, String) {
    let text = format!(
        "{HEAD}kind: EdgeDevice\nmetadata: {{ name: {DEVICE} }}\nspec: {{ profiles: [ {{ name: g, conditions: [ {{ name: low, expression: \"cpu < 50\" }}, {{ name: big, expression: \"mem < 50\" }} ] }} ] }}\n"
    );
    ("device.yaml".into(), text)
}

/// A pod of one container.
pub fn pod(name: &str, image: &str, gate: Option<&str>) -> (String, String) {
    workload(name, gate, &format!("containers: [ {} ]", container("c", image, "")))
}

/// A pod of one container with a server on port 8000, which comes back 1.5 s after it was killed, and this probe.
pub fn probed_pod(name: &str, image: &str, probe: &str, rootless: bool) -> (String, String) {
    let script = "trap 'exit 0' TERM; while :; do httpd -f -p 8000 -h / & wait $!; sleep 1.5; done";
    let command = serde_json::json!(["sh", "-c", script]);
    let (file, text) =
        workload(name, None, &format!("containers: [ {{ name: c, image: {image}, command: {command}, {probe} }} ]"));
    (file, if rootless { text.replace("  type: pod\n", "  type: pod\n  rootless: true\n") } else { text })
}

/// A pod of two containers, an init container, a ConfigMap's files and an emptyDir.
pub fn big_pod(name: &str, image: &str, gate: &str) -> (String, String) {
    let mounts = ", volumeMounts: [ { name: settings, mountPath: /settings }, { name: scratch, mountPath: /scratch } ]";
    let spec = format!(
        "{{ initContainers: [ {{ name: i, image: {image}, command: [ \"true\" ] }} ], containers: [ {}, {} ], volumes: [ {{ name: settings, configMap: {{ name: settings }} }}, {{ name: scratch, emptyDir: {{}} }} ] }}",
        container("a", image, mounts),
        container("b", image, mounts),
    );
    let (file, text) = workload(name, Some(gate), spec.trim_start_matches("{ ").trim_end_matches(" }"));
    let map = "---\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: settings }\ndata: { a.conf: \"x = 1\" }\n";
    (file, text + map)
}

fn container(name: &str, image: &str, mounts: &str) -> String {
    format!("{{ name: {name}, image: {image}, command: {}{mounts} }}", serde_json::json!(COMMAND))
}

fn workload(name: &str, gate: Option<&str>, spec: &str) -> (String, String) {
    let gate = gate.map_or(String::new(), |gate| format!("  profiles: [ {{ name: g, conditions: [ {gate} ] }} ]\n"));
    let label = LABEL.replace('=', ": ");
    let text = format!(
        "{HEAD}kind: EdgeWorkload\nmetadata: {{ name: {name}, labels: {{ {label} }} }}\nspec:\n  type: pod\n{gate}  retry: {{ constantBackoff: {{ periodSeconds: 1 }} }}\n  pod: {{ spec: {{ {spec} }} }}\n"
    );
    (format!("{name}.yaml"), text)
}
