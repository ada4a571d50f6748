//! The one table of configuration keys. Parsing, the environment's names, "did you mean" and docs/configuration.md are
//! derived from it.

use std::time::Duration;

use super::key::Fallback::{Found, Is, Unset};
pub use super::key::{ENV_PREFIX, FLAGS, Fallback, Key, find};
use super::read;
use super::types::{Config, LogFormat, LogLevel, OnEnd};
use super::value::Value;

const fn key(
    path: &'static str,
    kind: &'static str,
    default: Fallback,
    meaning: &'static str,
    set: fn(&mut Config, &Value<'_>) -> Result<(), String>,
) -> Key {
    Key { path, kind, default, meaning, set }
}

macro_rules! put {
    ($($field:ident).+, $reader:ident $(, $arg:expr)*) => {
        |config, value| { config.$($field).+ = value.$reader($($arg),*)?; Ok(()) }
    };
    ($($field:ident).+ = $reader:path) => {
        |config, value| { config.$($field).+ = $reader(value)?; Ok(()) }
    };
}

const LEVELS: &[(&str, LogLevel)] = &[
    ("trace", LogLevel::Trace),
    ("debug", LogLevel::Debug),
    ("info", LogLevel::Info),
    ("warn", LogLevel::Warn),
    ("warning", LogLevel::Warn),
    ("error", LogLevel::Error),
];
const FORMATS: &[(&str, LogFormat)] =
    &[("auto", LogFormat::Auto), ("text", LogFormat::Text), ("json", LogFormat::Json)];
const ENDS: &[(&str, OnEnd)] = &[("leave", OnEnd::Leave), ("stop", OnEnd::Stop)];

/// Every key, in the order of the docs. `XDG_RUNTIME_DIR` is first: paths may begin with it.
pub const KEYS: &[Key] = &[
    key(
        "XDG_RUNTIME_DIR",
        "path",
        Found("the environment's `XDG_RUNTIME_DIR`, else `/run/user/<uid>`"),
        "The runtime directory of the user whose podman runs rootless workloads (`podman.rootless_user`); `$XDG_RUNTIME_DIR` at the beginning of any other path stands for it.",
        put!(xdg_runtime_dir, path),
    ),
    key(
        "DEVICE_ID",
        "name",
        Found("the only EdgeDevice of the manifests, else `/etc/machine-id`, else one made and kept"),
        "Who this device is: lower-case letters, digits, `-` and `.`; not `register`.",
        put!(device_id = read::device_id),
    ),
    key(
        "LOG_LEVEL",
        "`trace`, `debug`, `info`, `warn` or `error`",
        Is("info"),
        "The least important line that is logged.",
        put!(log.level, choice, LEVELS),
    ),
    key(
        "log.format",
        "`auto`, `text` or `json`",
        Is("auto"),
        "How log lines look; `auto` is text on a terminal and JSON elsewhere.",
        put!(log.format, choice, FORMATS),
    ),
    key(
        "GRACEFUL_SHUTDOWN",
        "duration",
        Is("30s"),
        "How long the agent's own shutdown may take.",
        put!(graceful_shutdown, duration, Duration::ZERO),
    ),
    key(
        "SERVER",
        "URL",
        Unset,
        "The Flotta server: `https://` and the port of its edge API (8043). Not set: none. How it is talked to: flotta-server.md.",
        put!(server.url = read::server_url),
    ),
    key(
        "CA_ROOT",
        "path",
        Unset,
        "The CA that signs the server's certificate, or a bundle of several; no other is believed.",
        put!(server.ca_root, optional_path),
    ),
    key(
        "CERT",
        "path",
        Unset,
        "The certificate this device registers with. Only read, never written.",
        put!(server.cert, optional_path),
    ),
    key("KEY", "path", Unset, "The key that belongs to `CERT`.", put!(server.key, optional_path)),
    key(
        "NAMESPACE",
        "name",
        Is("default"),
        "The cluster's namespace for workloads of the kinds `k8s` and `microshift`.",
        put!(namespace = read::namespace),
    ),
    key(
        "KUBECONFIG",
        "path",
        Unset,
        "How the cluster of the kinds `k8s` and `microshift` is reached.",
        put!(kubeconfig, optional_path),
    ),
    key(
        "state.dir",
        "path",
        Found("`/var/lib/flotta-agent`; when not root `$XDG_STATE_HOME/flotta-agent`"),
        "What survives the agent is kept here; one agent per directory.",
        put!(state.dir, path),
    ),
    key(
        "control.socket",
        "path",
        Found("`run/control.sock` in `state.dir`"),
        "The unix socket that takes commands (`host lock`, `workload run`): at most 107 bytes long, for the agent's user and root only.",
        put!(control.socket, path),
    ),
    key(
        "manifests.dir",
        "path",
        Is("/etc/flotta-agent/manifests"),
        "The directory of YAML and JSON files that say what should run; watched.",
        put!(manifests.dir, path),
    ),
    key(
        "http.listen",
        "address:port",
        Is("127.0.0.1:8080"),
        "Where HTTP is served; port 0 is any free one.",
        put!(http.listen, listen),
    ),
    key(
        "http.hosts",
        "list of names",
        Is(""),
        "What the `Host` of a request may be, beside loopback names and addresses; all others get 403.",
        put!(http.hosts = read::hosts),
    ),
    key(
        "mqtt.root",
        "topic",
        Is("flotta"),
        "The first level of every topic; no wildcards.",
        put!(mqtt.root = read::topic_root),
    ),
    key(
        "mqtt.broker",
        "`embedded`, `none` or URL",
        Is("embedded"),
        "The broker: our own, none, or an external one as `mqtt://host:1883`. `mqtts://` is not supported by this version yet.",
        put!(mqtt.broker = read::broker),
    ),
    key(
        "mqtt.listen",
        "address:port",
        Is("127.0.0.1:1883"),
        "Where the embedded broker listens; port 0 is any free one. Loopback only, until TLS and users exist.",
        put!(mqtt.listen, listen),
    ),
    key(
        "mqtt.limits.connections",
        "number",
        Is("256"),
        "Clients of the embedded broker at a time.",
        put!(mqtt.limits.connections, integer, 1, 100_000),
    ),
    key(
        "mqtt.limits.packet_bytes",
        "bytes",
        Is("262144"),
        "The largest packet that the embedded broker takes.",
        put!(mqtt.limits.packet_bytes, integer, 1024, 268_435_455),
    ),
    key(
        "mqtt.limits.messages_per_second",
        "number",
        Is("0"),
        "How many messages a second one client may publish to the embedded broker, with a burst of as many; what is more waits. 0: no limit.",
        put!(mqtt.limits.messages_per_second = read::rate),
    ),
    key(
        "mqtt.limits.queue_bytes",
        "bytes",
        Is("524288"),
        "Messages that wait for one client of the embedded broker; beyond, the oldest are dropped and counted.",
        put!(mqtt.limits.queue_bytes, integer, 4096, 1 << 30),
    ),
    key(
        "mqtt.limits.queues_bytes",
        "bytes",
        Is("8388608"),
        "Messages that wait for all clients of the embedded broker together; beyond, each may have its share only.",
        put!(mqtt.limits.queues_bytes, integer, 4096, 1 << 30),
    ),
    key(
        "mqtt.limits.retained_messages",
        "number",
        Is("4096"),
        "Retained messages of others that the embedded broker keeps.",
        put!(mqtt.limits.retained_count, integer, 0, 10_000_000),
    ),
    key(
        "mqtt.limits.retained_bytes",
        "bytes",
        Is("4194304"),
        "Topics and payloads of these, together.",
        put!(mqtt.limits.retained_bytes, integer, 0, 1 << 30),
    ),
    key(
        "mqtt.limits.filters_bytes",
        "bytes",
        Is("4194304"),
        "Memory for the filters of all clients of the embedded broker; beyond, each client may have its first eight only.",
        put!(mqtt.limits.filters_bytes, integer, 4096, 1 << 30),
    ),
    key(
        "mqtt.limits.sessions",
        "number",
        Is("32"),
        "Sessions that the embedded broker keeps for clients that are away (until the agent ends).",
        put!(mqtt.limits.parked_sessions, integer, 0, 100_000),
    ),
    key(
        "mqtt.alive",
        "duration",
        Is("60s"),
        "How often the device object is sent again; at least 1s.",
        put!(mqtt.alive, duration, Duration::from_secs(1)),
    ),
    key(
        "mqtt.keep_alive",
        "duration",
        Is("30s"),
        "How long an external broker may be silent before it is asked for a sign; 1s to 18h. After half of that again, or 5s, the connection is given up and made anew.",
        put!(mqtt.keep_alive, duration, Duration::from_secs(1)),
    ),
    key("mqtt.ca", "path", Unset, "The CA of an `mqtts://` broker. No effect yet.", put!(mqtt.ca, optional_path)),
    key(
        "mqtt.cert",
        "path",
        Unset,
        "A client certificate for an `mqtts://` broker. No effect yet.",
        put!(mqtt.cert, optional_path),
    ),
    key(
        "mqtt.key",
        "path",
        Unset,
        "The key that belongs to `mqtt.cert`. No effect yet.",
        put!(mqtt.key, optional_path),
    ),
    key(
        "mqtt.username",
        "text",
        Unset,
        "Who we are at an external broker.",
        put!(mqtt.username, optional_text, "write a name"),
    ),
    key(
        "mqtt.password_file",
        "path",
        Unset,
        "A file that holds the password for an external broker and nothing else.",
        put!(mqtt.password_file, optional_path),
    ),
    key(
        "metrics.ttl",
        "duration",
        Is("0s"),
        "How long a metric counts after it arrived, where it says nothing itself; `0s` is for ever.",
        put!(metrics.ttl, duration, Duration::ZERO),
    ),
    key(
        "metrics.restart_grace",
        "duration",
        Is("120s"),
        "After a restart: how long a condition keeps its stored truth while its metrics have not arrived.",
        put!(metrics.restart_grace, duration, Duration::ZERO),
    ),
    key(
        "podman.socket",
        "path",
        Is("/run/podman/podman.sock"),
        "Where root's podman listens.",
        put!(podman.socket, path),
    ),
    key(
        "podman.rootless_user",
        "text",
        Found("the agent's own user; where the agent is root, the owner of `podman.rootless_socket`"),
        "Whose podman runs rootless workloads: a name or a number. Its runtime directory is `/run/user/<uid>`, unless the key `XDG_RUNTIME_DIR` is set; the environment's own `XDG_RUNTIME_DIR` does not count then.",
        put!(podman.rootless_user = read::user),
    ),
    key(
        "podman.rootless_socket",
        "path",
        Found("`podman/podman.sock` in the runtime directory of that user"),
        "Where the podman for rootless workloads listens; for the place it wins over `podman.rootless_user` and `XDG_RUNTIME_DIR`. An agent that is root talks to it only if it belongs to that user, or to root in a directory of root's.",
        put!(podman.rootless_socket, some_path),
    ),
    key(
        "podman.runtime_dir",
        "path",
        Found("`/run/flotta-agent`; when not root `$XDG_RUNTIME_DIR/flotta-agent/system`"),
        "Where files and variables of pods are while the pods are here, among them Secrets: should be in memory (tmpfs), and podman must see it under the same path. Those of rootless pods are in `flotta-agent` in the runtime directory of their podman's user.",
        put!(podman.runtime_dir, path),
    ),
    key(
        "workloads.on_exit",
        "`leave` or `stop`",
        Is("leave"),
        "What an orderly end of the agent does to running workloads.",
        put!(workloads.on_exit, choice, ENDS),
    ),
    key(
        "workloads.max_operations",
        "number",
        Is("16"),
        "How many workloads are started or stopped at the same time, 1 to 1024.",
        put!(workloads.max_operations, integer, 1, 1024),
    ),
    key(
        "cron.trust_clock",
        "boolean",
        Is("false"),
        "Run workloads at their times even while the clock shows a time before this version was made; else they wait until it is set.",
        put!(cron.trust_clock, boolean),
    ),
    key(
        "shim",
        "path",
        Found("`flotta-shim` beside the agent's executable"),
        "The program that is the parent of each shell run.",
        put!(shim, path),
    ),
    key(
        "remote.host_paths",
        "`allow`, `deny` or list of absolute paths",
        Is("allow"),
        "Which paths of the device a server's workload may mount; some, such as `/` and `/etc`, are always refused.",
        put!(remote.host_paths = read::host_paths),
    ),
    key(
        "remote.privileged",
        "boolean",
        Is("false"),
        "Whether a server may ask for privileged containers, for capabilities beyond the usual ones, for hostPID and hostIPC, and for no seccomp or masks.",
        put!(remote.privileged, boolean),
    ),
    key(
        "remote.host_network",
        "boolean",
        Is("true"),
        "Whether a server may ask for the device's own network (hostNetwork, or the annotation project-flotta.io/network: host).",
        put!(remote.host_network, boolean),
    ),
    key(
        "remote.shell",
        "boolean",
        Is("false"),
        "Whether a server may ask for workloads of the kind `shell`.",
        put!(remote.shell, boolean),
    ),
    key(
        "remote.ansible",
        "boolean",
        Is("false"),
        "Whether a server may ask for workloads of the kind `ansible`.",
        put!(remote.ansible, boolean),
    ),
    key(
        "remote.mounts",
        "boolean",
        Is("true"),
        "Whether what the server's `configuration.mounts` asks for is mounted (as root, with `nosuid,nodev`, never over the system's own directories): server-configuration.md.",
        put!(remote.mounts, boolean),
    ),
    key(
        "remote.on_removal",
        "`leave` or `stop`",
        Is("stop"),
        "What becomes of a server's workloads when it removes this device.",
        put!(remote.on_removal, choice, ENDS),
    ),
    key(
        "remote.namespace",
        "name",
        Is("default"),
        "The server's namespace that the device asks to be enrolled in.",
        put!(remote.namespace = read::namespace),
    ),
];
