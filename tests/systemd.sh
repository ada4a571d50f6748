#!/bin/sh
# The agent as a service of systemd (deploy/flotta-agent.service) in an emulated Debian 13: ready, watchdog, restart, stop, and
# nothing that was adopted is lost or restarted.
set -eu
cd "$(dirname "$0")/.."
tests/vm.sh build
cargo build --bins
cargo build --example power
target=${CARGO_TARGET_DIR:-target}/debug
exec tests/vm.sh run --copy "$target/flotta-agent:/opt/flotta/flotta-agent" --copy "$target/flotta-shim:/opt/flotta/flotta-shim" \
    --copy "$target/examples/power:/opt/flotta/power" --copy "$PWD/deploy/flotta-agent.service:/opt/flotta/flotta-agent.service" \
    -- /opt/flotta/power systemd
