#!/bin/sh
# Clocks that lie, with a Flotta server: 1970, twenty years ahead, and set right again. It sets the machine's clock, so it
# runs in a guest only: tests/vm.sh build, then tests/server-clock.sh; `guest` is what it calls itself inside.
set -eu

if [ "${1:-}" != guest ]; then
    cd "$(dirname "$0")/.."
    cargo build --bins
    cargo build -p flotta-standin --bins
    target=${CARGO_TARGET_DIR:-target}/debug
    exec tests/vm.sh run --copy "$target/flotta-agent:/opt/flotta/flotta-agent" --copy "$target/flotta-shim:/opt/flotta/flotta-shim" \
        --copy "$target/flotta-standin:/opt/flotta/flotta-standin" --copy "$PWD/tests/server-clock.sh:/opt/flotta/server-clock.sh" \
        -- /opt/flotta/server-clock.sh guest
fi

cd /opt/flotta
control=http://127.0.0.1:8044
http=http://127.0.0.1:8080
years20=$((20 * 365 * 86400))
real=$(date +%s)
began=$(cut -d. -f1 /proc/uptime)

now() { echo $((real + $(cut -d. -f1 /proc/uptime) - began)); }
# The machine's clock shows $1 seconds too much; the server goes on with the right time.
clock() {
    date -s "@$(($(now) + $1))" >/dev/null
    curl -sf -X PUT -d "{\"offset_seconds\": $((-$1))}" $control/clock >/dev/null
}
says() { curl -sf $http/api/v1/device || true; }
registrations() { curl -sf $control/devices/clock | sed -n 's/.*"registrations": *\([0-9]*\).*/\1/p'; }
beats() { curl -sf $control/devices/clock | sed -n 's/.*"heartbeats": *\([0-9]*\).*/\1/p'; }
until_says() {
    tries=0
    until says | grep -q "$1"; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || { echo "not within a minute: $2; it says: $(says)"; tail -n 20 agent.log; exit 1; }
        sleep 0.2
    done
    echo "ok: $2"
}
# Heartbeats that come after this moment, over new connections.
until_beats() {
    curl -sf -X POST $control/restart >/dev/null || true
    # The control's address goes away for a moment too.
    tries=0
    until [ -n "$(beats)" ]; do tries=$((tries + 1)); [ $tries -lt 100 ] || exit 1; sleep 0.2; done
    from=$(beats)
    tries=0
    until [ "$(beats)" -gt $((from + 2)) ]; do
        tries=$((tries + 1))
        [ $tries -lt 300 ] || { echo "no heartbeats: $1; it says: $(says)"; tail -n 20 agent.log; exit 1; }
        sleep 0.2
    done
    echo "ok: $1"
}
start() { ./flotta-agent run --config config.yaml >>agent.log 2>&1 & agent=$!; }
stop() { kill -9 $agent; wait $agent 2>/dev/null || true; }

mkdir -p manifests
./flotta-standin --dir server --listen 127.0.0.1:8043 --control 127.0.0.1:8044 --certificate-seconds 30 >standin.log 2>&1 &
until [ -s server/register.key ]; do sleep 0.2; done
cat >config.yaml <<EOF
DEVICE_ID: clock
SERVER: https://127.0.0.1:8043
CA_ROOT: server/ca.pem
CERT: server/register.pem
KEY: server/register.key
state: { dir: state }
manifests: { dir: manifests }
EOF
start
until_says '"state":"connected"' "a first start with the right clock"
curl -sf -X PUT -d '{"heartbeat": {"period_seconds": 1}}' $control/devices/clock/configuration >/dev/null
kill -HUP $agent
until_beats "heartbeats every second, after a restart of the server"

clock $((-real + 1000))
until_beats "the clock falls back to 1970 while it runs"
stop; start
until_beats "killed and started in 1970"
stop; rm -rf state; curl -sf -X DELETE $control/devices/clock >/dev/null; start
until_says '"state":"connected"' "a first start in 1970, with nothing stored"

clock 0
until_says '"state":"connected"' "the clock is right again"
curl -sf -X PUT -d '{"heartbeat": {"period_seconds": 1}}' $control/devices/clock/configuration >/dev/null
kill -HUP $agent
before=$(registrations)
clock $years20
until_beats "the clock jumps twenty years ahead while it runs"
tries=0
until [ "$(registrations)" -ge $((before + 3)) ]; do tries=$((tries + 1)); [ $tries -lt 600 ] || { echo "no renewals"; exit 1; }; sleep 0.2; done
span=$(($(now) - real))
echo "ok: renewals go on: $(registrations) registrations in $span s of 30-second certificates"
stop; start
until_says 'is the device.s clock right' "started twenty years ahead: it says what is wrong"
clock 0
until_says '"state":"connected"' "the clock is set right: it connects at once"
stop
echo "all is well"
