#!/bin/sh
# The hostile clients in their long forms, one attack after the other; prints the table of docs/hostile.md.
set -u
cd "$(dirname "$0")/.."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
HOSTILE_FULL=${HOSTILE_FULL:-1} ${CARGO:-cargo} test --release --test hostile -- --nocapture --test-threads 1 >"$log" 2>&1
status=$?
echo "| attack | what was done | good: sent | lost | p50 ms | p99 ms | max ms | MiB before | peak | after | log lines |"
echo "|---|---|---|---|---|---|---|---|---|---|---|"
grep '^| ' "$log"
[ "$status" = 0 ] || grep -A 1 -E 'panicked at|^test result|^error' "$log" >&2
exit "$status"
