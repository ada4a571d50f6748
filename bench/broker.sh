#!/bin/sh
# The embedded broker beside Mosquitto, measured from outside. `make bench` runs it. Arguments (through, into, latency,
# memory) run only these parts; BENCH_ROUNDS and BENCH_SECONDS shorten it.
set -eu
cd "$(dirname "$0")/.."
tests/needs.sh
cargo build --release --example broker
# Alone and last: built together with an example, the binaries would get the features of its dependencies too.
cargo build --release --bins
exec "${CARGO_TARGET_DIR:-target}/release/examples/broker" "${CARGO_TARGET_DIR:-target}/release/flotta-agent" "$@"
