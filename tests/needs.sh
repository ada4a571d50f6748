#!/bin/sh
# What the tests need beside Rust: installed on Debian and Ubuntu as root, else said.
set -eu
missing=""
need() { command -v "$1" >/dev/null 2>&1 || PATH="$PATH:/usr/sbin" command -v "$1" >/dev/null 2>&1 || missing="$missing $2"; }
need mosquitto_pub mosquitto-clients
need mosquitto_sub mosquitto-clients
need mosquitto mosquitto
need curl curl
# The time zones that schedules are tested in.
[ -e /usr/share/zoneinfo/Europe/Berlin ] || missing="$missing tzdata"
# By the system's own python: that is the one which Debian's packages are for.
/usr/bin/python3 -c 'import paho.mqtt.client' 2>/dev/null || missing="$missing python3-paho-mqtt"
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    echo "installing what the tests need:$missing"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
    # Debian starts a broker of its own where there is an init: the tests start theirs on free ports.
    exit 0
fi
echo "The tests need these programs, which are not here:$missing" >&2
echo "Install them (Debian, Ubuntu: sudo apt-get install$missing) and run make test again." >&2
exit 1
