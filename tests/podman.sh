#!/bin/sh
# A real podman service for the tests, as root, on a unix socket of its own.
#   tests/podman.sh start  installs what is missing, makes the image, starts the service; then prints, and again when
#                          all of that is there already:
#       FLOTTA_PODMAN_SOCKET   FLOTTA_PODMAN_IMAGE   FLOTTA_PODMAN_VERSION   FLOTTA_PODMAN_CGROUPS  1 or 2
#       FLOTTA_PODMAN_LIMITS   1: cpu and memory limits can be applied, 0: not
#       FLOTTA_PODMAN_SERVICE  a program: `$FLOTTA_PODMAN_SERVICE SOCKET` is one more service, in the foreground;
#                              with a second argument, a directory: one that has nothing in common with it but the network
#       FLOTTA_PODMAN_CLI      a program: podman's command line over the same containers
#   tests/podman.sh env    prints only
#   tests/podman.sh stop   removes the pods of tests, ends the service
# FLOTTA_TEST_DIR, FLOTTA_TEST_RUN: its directories.
set -eu
umask 022

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
dir=$(absolute "${FLOTTA_TEST_DIR:-/var/lib/flotta-agent-test}")
run=$(absolute "${FLOTTA_TEST_RUN:-/run/flotta-agent-test}")
socket=$run/podman.sock
image=localhost/flotta-test/busybox:1
path=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
# Debian keeps podman's helpers where no PATH has them.
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin:/usr/lib/podman:/usr/libexec/podman"

say() { echo "podman: $*" >&2; }
die() { say "$*"; exit 1; }

cgroup2() { [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; }
systemd() { [ -d /run/systemd/system ]; }
# Bit 24 is CAP_SYS_RESOURCE.
sys_resource() { [ $((0x$(awk '/^CapEff:/ { print $2 }' /proc/self/status) >> 24 & 1)) = 1 ]; }

install_missing() {
    missing=""
    need() { command -v "$1" >/dev/null || missing="$missing $2"; }
    need podman podman
    need netavark netavark
    need aardvark-dns aardvark-dns
    need catatonit catatonit
    need curl curl
    # The network's rules: netavark calls iptables in Debian 12 and nft since.
    if grep -qs '^VERSION_CODENAME=bookworm' /etc/os-release; then need iptables iptables; else need nft nftables; fi
    # crun refuses the hybrid of cgroup v1 and v2.
    cgroup2 || need runc runc
    if ! busybox=$(command -v busybox) || ldd "$busybox" 2>/dev/null | grep -q '=>'; then
        missing="$missing busybox-static"
    fi
    if [ -n "$missing" ]; then
        if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
            die "these packages are missing:$missing (Debian, Ubuntu: sudo apt-get install$missing)"
        fi
        say "installing$missing"
        apt-get update -qq >&2
        DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >&2
    fi
    [ "$(id -u)" = 0 ] || die "only root can start the podman service that the tests use: sudo make test"
}

# Renamed into place: a test may be reading the old one.
put() {
    cat >"$1.new"
    chmod "$2" "$1.new"
    mv "$1.new" "$1"
}

# The hard limit $1 of this process, $2 at most.
limit() {
    awk -v name="Max $1 " -v most="$2" 'index($0, name) == 1 {
        hard = $(NF - 1)
        print (hard == "unlimited" || hard + 0 > most + 0) ? most : hard
    }' /proc/self/limits
}

# An ordinary machine gets none: there podman runs as its package configures it.
containers_conf() {
    if cgroup2 && systemd && sys_resource; then
        rm -f "$dir/containers.conf"
        return
    fi
    # This file replaces the system's, so it begins with what Debian has there.
    {
        echo '[containers]'
        echo 'default_capabilities = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"]'
        echo 'default_sysctls = ["net.ipv4.ping_group_range=0 0"]'
        # podman's own are above the hard limits, which only that capability may raise. Soft and hard are equal,
        # because podman 4.3 exchanges them in pods made through its API; and its service has no more processes
        # than pid_max.
        files=$(limit 'open files' 65536)
        processes=$(limit processes "$(cat /proc/sys/kernel/pid_max)")
        sys_resource || echo "default_ulimits = [\"nofile=$files:$files\", \"nproc=$processes:$processes\"]"
        systemd || echo 'log_driver = "k8s-file"'
        echo '[engine]'
        cgroup2 || echo 'runtime = "runc"'
        systemd || printf 'cgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        # Else images from before netavark was there make podman look for CNI.
        printf '[network]\nnetwork_backend = "netavark"\n'
    } | put "$dir/containers.conf" 644
}

programs() {
    environment="HOME=/root PATH=$path"
    [ ! -e "$dir/containers.conf" ] || environment="$environment CONTAINERS_CONF='$dir/containers.conf'"
    # podman runs health checks by timers of systemd: without it, it would complain at each start.
    systemd || environment="$environment DISABLE_HC_SYSTEMD=true"
    printf '#!/bin/sh\nexec env -i %s podman "$@"\n' "$environment" | put "$dir/podman" 755
    {
        printf '#!/bin/sh\nset -- "$1" ${2:+--root "$2/root" --runroot "$2/run" --tmpdir "$2/tmp"}\n'
        printf 'socket=$1\nshift\nexec env -i %s podman "$@" system service --time=0 "unix://$socket"\n' "$environment"
    } | put "$dir/podman-service" 755
}

make_image() {
    if "$dir/podman" image exists $image; then return; fi
    say "making $image"
    rm -rf "$dir/image"
    mkdir -p "$dir/image/bin" "$dir/image/etc" "$dir/image/tmp"
    chmod 1777 "$dir/image/tmp"
    cp "$(command -v busybox)" "$dir/image/bin/busybox"
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "$dir/image/bin/$applet"
    done
    echo root:x:0:0:root:/:/bin/sh >"$dir/image/etc/passwd"
    # A container of a pod has no PATH but its image's.
    tar -c --owner=0 --group=0 -C "$dir/image" . |
        "$dir/podman" import -q --change ENV=PATH=/bin --change 'CMD=["/bin/sh"]' - $image >/dev/null
    rm -rf "$dir/image"
}

get() { curl -s -m "$1" --unix-socket "$socket" "http://podman$2"; }
answers() { [ "$(get 3 /_ping)" = OK ]; }
ours() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qxF "podman system service --time=0 unix://$socket "; }

start_service() {
    if answers; then return; fi
    end_service
    say "starting the service"
    # Nothing of whoever called is held open: neither its output, nor a pipe of make, nor the lock.
    (cd / && exec setsid "$dir/podman-service" "$socket") \
        </dev/null >"$dir/service.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    echo $! >"$run/pid"
    for _ in $(seq 150); do
        if answers; then return; fi
        sleep 0.1
    done
    tail -n 5 "$dir/service.log" >&2
    end_service
    die "the service does not answer, see $dir/service.log"
}

end_service() {
    pid=$(cat "$run/pid" 2>/dev/null) || pid=""
    if [ -n "$pid" ] && ours "$pid"; then
        kill "$pid"
        for _ in $(seq 100); do
            ours "$pid" || break
            sleep 0.1
        done
        ! ours "$pid" || kill -9 "$pid"
    fi
    rm -f "$run/pid" "$socket"
}

remove_pods() {
    pods=$(
        "$dir/podman" pod ps -q --no-trunc --filter label=flotta-test
        for pod in $("$dir/podman" pod ps -q --no-trunc --filter label=project-flotta.io/owner); do
            case $("$dir/podman" pod inspect --format '{{index .Labels "project-flotta.io/device"}}' "$pod") in
                test-*) echo "$pod" ;;
            esac
        done
    )
    [ -n "$pods" ] || return 0
    say "removing the pods of tests"
    # Killed first, and seen so by podman: else each container that ignores SIGTERM takes ten seconds.
    "$dir/podman" pod kill $pods >/dev/null 2>&1 || true
    for _ in $(seq 50); do
        "$dir/podman" pod inspect --format '{{.State}}' $pods 2>/dev/null | grep -qE 'Running|Degraded' || break
        sleep 0.1
    done
    "$dir/podman" pod rm -f -i -t 0 $pods >/dev/null
}

print() {
    info=$(get 10 /v4.0.0/libpod/info | tr -d ' \n') || info=""
    [ -n "$info" ] || die "no service answers on $socket: $0 start starts it"
    field() { printf '%s\n' "$info" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
    limits=0
    case $(printf '%s\n' "$info" | grep -o '"cgroupControllers":\[[^]]*\]') in
        *'"cpu"'*'"memory"'* | *'"memory"'*'"cpu"'*) limits=1 ;;
    esac
    echo "FLOTTA_PODMAN_SOCKET=$socket"
    echo "FLOTTA_PODMAN_IMAGE=$image"
    echo "FLOTTA_PODMAN_VERSION=$(field APIVersion)"
    echo "FLOTTA_PODMAN_CGROUPS=$(field cgroupVersion | tr -d v)"
    echo "FLOTTA_PODMAN_LIMITS=$limits"
    echo "FLOTTA_PODMAN_SERVICE=$dir/podman-service"
    echo "FLOTTA_PODMAN_CLI=$dir/podman"
}

# One at a time.
lock() {
    mkdir -p "$dir" "$run"
    exec 9>"$run/lock"
    flock 9
}

case ${1:-} in
    start)
        [ "$(id -u)" != 0 ] || lock
        install_missing
        containers_conf
        programs
        make_image
        start_service
        print
        ;;
    env) print ;;
    stop)
        [ -e "$dir/podman" ] || exit 0
        lock
        remove_pods || say "not all pods of tests could be removed"
        end_service
        ;;
    *) die "start, env or stop" ;;
esac
