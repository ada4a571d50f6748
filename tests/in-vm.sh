#!/bin/sh
# The tests of pods in a Debian 13 guest (tests/vm.sh): systemd, cgroup v2, podman 5.4. Emulated: half an hour. Arguments go to the test runner.
set -eu
cd "$(dirname "$0")/.."
tests/vm.sh build
cargo build --bins
# The test binary finds the agent and the script that starts podman where they were when it was built.
list=$(cargo test --no-run --message-format=json --test pods)
pods=$(printf '%s\n' "$list" | sed -n 's/.*"name":"pods".*"executable":"\([^"]*\)".*/\1/p')
target=$(dirname "$(dirname "$pods")")
[ -x "$pods" ] && [ -x "$target/flotta-agent" ] || { echo "in-vm: the test binary or the agent is not where it should be: $pods" >&2; exit 1; }
export FLOTTA_VM_TIMEOUT="${FLOTTA_VM_TIMEOUT:-3000}"
exec tests/vm.sh run --copy "$pods:$pods" --copy "$PWD/tests/podman.sh:$PWD/tests/podman.sh" \
    --copy "$target/flotta-agent:$target/flotta-agent" --copy "$target/flotta-shim:$target/flotta-shim" \
    -- env KILLS="${KILLS:-10}" FLOTTA_TEST_DEADLINE=300 RUST_BACKTRACE=0 "$pods" --test-threads=2 "$@"
