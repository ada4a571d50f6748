#!/bin/sh
# Pods, measured from outside against a real podman; needs root. `make bench` runs it. BENCH_IDLE_SECONDS shortens the
# idle part, BENCH_PROBED_PODS and BENCH_PROBED_SECONDS make that of probes smaller; arguments (latency, calls, fifty, idle,
# probes) run only these parts.
set -eu
cd "$(dirname "$0")/.."
podman=$(tests/podman.sh start)
for line in $podman; do export "${line?}"; done
cargo build --release --example pods
# Alone and last: built together with an example, the binaries would get the features of its dependencies too.
cargo build --release --bins
exec "${CARGO_TARGET_DIR:-target}/release/examples/pods" "${CARGO_TARGET_DIR:-target}/release/flotta-agent" "$@"
