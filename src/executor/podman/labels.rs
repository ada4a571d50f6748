//! What stands on the pods and containers of ours (SPEC "Identity").
//!
//! The first five are for everybody; the others are this executor's memory: what a restarted agent has to know of a pod
//! whose spec may have changed meanwhile.

/// The first 12 hex digits of the version.
pub const VERSION: &str = "project-flotta.io";
/// The device's id.
pub const DEVICE: &str = "project-flotta.io/device";
/// The agent's own mark: ours = same owner.
pub const OWNER: &str = "project-flotta.io/owner";
/// The workload's namespace.
pub const NAMESPACE: &str = "project-flotta.io/namespace";
/// The workload's name.
pub const NAME: &str = "project-flotta.io/name";
/// The whole version.
pub const HASH: &str = "project-flotta.io/hash";
/// On a pod: how many containers it has when it is whole.
pub const CONTAINERS: &str = "project-flotta.io/containers";
/// On a pod: seconds between TERM and KILL.
pub const GRACE: &str = "project-flotta.io/grace";
/// On a pod: its podman volumes, separated by commas.
pub const VOLUMES: &str = "project-flotta.io/volumes";
/// On a pod: how many variables of it podman asks for (see [`super::secrets`]).
pub const SECRETS: &str = "project-flotta.io/secrets";
/// On a pod: what the machine does not enforce of its spec, a line each.
pub const WARNINGS: &str = "project-flotta.io/warnings";
/// On a container: its name in the pod.
pub const CONTAINER: &str = "project-flotta.io/container";
/// On a container: `init` or `main`, a dot, and its place in the spec.
pub const ROLE: &str = "project-flotta.io/role";
/// On a container: its own CPU limit in µs per 100 ms, if it has one.
pub const CPU: &str = "project-flotta.io/cpu";
/// On a container: variables of it come from Secrets.
pub const SECRET_ENV: &str = "project-flotta.io/secret-env";
/// On a volume: the pod it belongs to.
pub const POD: &str = "project-flotta.io/pod";
/// No label of a manifest may begin like ours.
pub const PREFIX: &str = "project-flotta.io";
