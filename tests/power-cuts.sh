#!/bin/bash
# The power of an emulated Debian 13 (tests/vm.sh) is cut, again and again, while the agent there runs pods and shell runs and
# its manifests, gates and retained messages change. After each boot, with no network, no server, no manifests and a clock that
# may be wrong by decades: what the agent had acknowledged is there, and what should run runs.
#   tests/power-cuts.sh [CUTS [SEED]]    3 cuts unless said; as root; prints what was acknowledged and found, and counts
# Every second cut takes the disk's volatile cache along: what nobody flushed is gone then.
set -euo pipefail
cd "$(dirname "$0")/.."
cuts=${1:-3} seed=${2:-$RANDOM} load=${POWER_LOAD_SECONDS:-40}
export FLOTTA_VM_TIMEOUT="${FLOTTA_VM_TIMEOUT:-1800}"
home=$(mktemp -d "${TMPDIR:-/var/tmp}/flotta-power.XXXXXX")
trap 'rm -rf "$home"' EXIT
ledger=$home/ledger
: >"$ledger"

fail() {
    mkdir -p "$home.failed"
    cp --sparse=always "$ledger" "$home/disk" "$home.failed"
    echo "power-cuts.sh: FAILED: $1; the ledger and the disk are in $home.failed; the same again: $0 $cuts $seed" >&2
    exit 1
}

tests/vm.sh build
cargo build --bins
cargo build -p flotta-standin --bins
cargo build --example power
target=${CARGO_TARGET_DIR:-target}/debug
into=()
for file in "$target"/{flotta-agent,flotta-shim,flotta-standin} "$target/examples/power" deploy/flotta-agent.service; do
    into+=(--copy "$file:/opt/flotta/${file##*/}")
done
tests/vm.sh disk "$home/disk"

# A guest on the kept disk: $1 is cut or look. Its clock is right, far behind, or far ahead.
guest() {
    # What the agent does not need of a boot is left out of it.
    local what=$1 n=$2 code=0 first=() words="systemd.mask=mosquitto.service systemd.mask=user@1000.service"
    local how=()
    [ "$((n % 2))" = 0 ] || how+=(--volatile)
    case $((n % 3)) in
        1) how+=(--clock 2001-02-03T04:05:06) && words+=" power.clock=981173106" ;;
        2) how+=(--clock 2046-07-08T09:10:11) && words+=" power.clock=2414653811" ;;
    esac
    [ "$n" != 0 ] || first=("${into[@]}")
    echo "power-cuts.sh: boot $n of $cuts ${how[*]-}" >&2
    tests/vm.sh cut "$home/disk" --boot "$words" "${how[@]}" "${first[@]}" --copy "$ledger:/run/power/ledger" -- \
        /bin/sh -c "[ $n != 0 ] || /opt/flotta/power install || exit; exec /opt/flotta/power $what /run/power/ledger $((seed + n)) $load" |
        tee "$home/lines" || code=$?
    cat "$home/lines" >>"$ledger"
    [ "$code" = 86 ] || [ "$code" = 0 ] || fail "boot $n ended with $code"
    [ "$what" = look ] || [ "$code" = 86 ] || fail "boot $n was not cut"
}

echo "power-cuts.sh: $cuts cuts from seed $seed" >&2
for ((n = 0; n < cuts; n++)); do guest cut "$n"; done
guest look "$cuts"
looked=$(grep -c '^looked' "$ledger") || true
[ "$looked" = "$cuts" ] || fail "only $looked of $cuts boots were looked at"
echo "power-cuts.sh: $cuts power cuts ($((cuts / 2)) with the disk's volatile cache), $(grep -c '^ack' "$ledger") things acknowledged, $(grep -c '^found' "$ledger") looked at after the boots: 0 lost, 0 doubles; in $SECONDS s; seed $seed"
