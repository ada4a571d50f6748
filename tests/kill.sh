#!/bin/sh
# kill -9 of the agent at random moments, with real podman, shell runs, the embedded broker and manifests that change.
#   tests/kill.sh [KILLS [SEED]]    as root; 50 unless said; prints how it goes, what was counted, and the seed to go on from
# Exit code 1, and a sentence, on the first orphan, double, lost workload or needless restart.
set -eu
cd "$(dirname "$0")/.."
kills=${1:-50} seed=${2:-11}
[ "$(id -u)" = 0 ] || { echo "kill.sh: podman for the tests needs root: sudo $0" >&2; exit 1; }
cargo build --bins
tests/podman.sh start >/dev/null
if KILLS=$kills KILL_SEED=$seed RUST_BACKTRACE=0 cargo test --test pods -- --exact --nocapture \
    kill::kills_of_the_agent_leave_no_double_no_orphan_and_restart_nothing; then
    echo "kill.sh: after $kills rounds of kill -9 nothing was lost, doubled, orphaned or restarted"
else
    echo "kill.sh: something went wrong, as said above; the same again: $0 $kills $seed" >&2
    exit 1
fi
