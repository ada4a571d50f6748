#!/bin/sh
# The agent and a Flotta server, measured from outside: bytes, time, memory, CPU, and 2 000 devices. `make bench` runs it.
# Arguments (pairs, idle, start, crowd) run only these parts; BENCH_DEVICES and BENCH_IDLE_PERIODS shorten it. Needs `ss`.
set -eu
cd "$(dirname "$0")/.."
cargo build --release --example server
# Alone and last: built together with an example, the binaries would get the features of its dependencies too.
cargo build --release --bins
exec "${CARGO_TARGET_DIR:-target}/release/examples/server" "${CARGO_TARGET_DIR:-target}/release/flotta-agent" "$@"
