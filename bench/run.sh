#!/bin/sh
# The whole process, measured from outside. `make bench` runs it; BENCH_IDLE_SECONDS shortens the idle part.
set -eu
cd "$(dirname "$0")/.."
cargo build --release --example whole
# Alone and last: built together with an example, the binaries would get the features of its dependencies too.
cargo build --release --bins
exec "${CARGO_TARGET_DIR:-target}/release/examples/whole" "${CARGO_TARGET_DIR:-target}/release/flotta-agent"
