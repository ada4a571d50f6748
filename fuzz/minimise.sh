#!/bin/sh
# After a run: keeps of fuzz/work, per target, the fewest inputs that reach as much as all of them: fuzz/minimise.sh [target…]
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- $(cargo +nightly fuzz list)
for target in "$@"; do
    all="fuzz/work/$target"
    few="fuzz/work/$target.few"
    [ -d "$all" ] || continue
    rm -rf "$few"
    mkdir "$few"
    cargo +nightly fuzz run --sanitizer none "$target" "$few" "fuzz/corpus/$target" "$all" -- \
        -merge=1 -set_cover_merge=1 -max_len=8192 -timeout=10
    echo "== $target: $(ls "$all" | wc -l) inputs, $(ls "$few" | wc -l) are enough"
    rm -rf "$all"
    mv "$few" "$all"
done
