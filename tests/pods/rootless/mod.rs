//! Pods of a user's podman, beside root's: `rootless: true`. What that podman cannot do here (limits on cgroup v1) is said,
//! not skipped. With FLOTTA_TEST_PODMAN=rootless all other tests of pods run on it too.

mod activation;
mod away;
mod limits;
mod moves;
mod whole;
mod whose;

/// A head for [`Place::pod`](super::place::Place::pod), where both podmans are at hand.
const ROOTLESS: &str = "  rootless: true\n  retry: { constantBackoff: { periodSeconds: 1 } }\n";
