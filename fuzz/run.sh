#!/bin/sh
# Runs every fuzz target, or those named, for FUZZ_SECONDS each: FUZZ_SECONDS=600 fuzz/run.sh [target…]
set -eu
cd "$(dirname "$0")/.."
seconds=${FUZZ_SECONDS:-600}
cargo +nightly fuzz --version >/dev/null || {
    echo "needs a nightly compiler and cargo-fuzz: rustup toolchain install nightly && cargo install cargo-fuzz" >&2
    exit 2
}
[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
cargo +nightly fuzz build --sanitizer none
failed=
for target in "$@"; do
    mkdir -p "fuzz/work/$target"
    dictionary=
    [ ! -f "fuzz/dictionaries/$target" ] || dictionary="-dict=fuzz/dictionaries/$target"
    echo "== $target: $seconds s"
    # What is found goes to fuzz/work; the seeds stay as they are.
    cargo +nightly fuzz run --sanitizer none "$target" "fuzz/work/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=8192 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 $dictionary ||
        failed="$failed $target"
done
[ -z "$failed" ] || { echo "failed:$failed" >&2; exit 1; }
