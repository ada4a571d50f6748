#!/bin/sh
# Real podman services for the tests, root's and a user's, each on a unix socket of its own.
#   tests/podman.sh start  installs what is missing, makes the image, starts the service; then prints, and again when
#                          all of that is there already:
#       FLOTTA_PODMAN_SOCKET   FLOTTA_PODMAN_IMAGE   FLOTTA_PODMAN_VERSION   FLOTTA_PODMAN_CGROUPS  1 or 2
#       FLOTTA_PODMAN_LIMITS   1: cpu and memory limits can be applied, 0: not
#       FLOTTA_PODMAN_SERVICE  a program: `$FLOTTA_PODMAN_SERVICE SOCKET` is one more service, in the foreground;
#                              with a second argument, a directory: one that has nothing in common with it but the network
#       FLOTTA_PODMAN_CLI      a program: podman's command line over the same containers
#       FLOTTA_PODMAN_ROOTLESS_{SOCKET,LIMITS,SERVICE,CLI}   the same of the user's podman
#       FLOTTA_PODMAN_ROOTLESS_{USER,UID,GID,RUNTIME_DIR}    whose it is
#       FLOTTA_PODMAN_ROOTLESS_RUN    a program: `$FLOTTA_PODMAN_ROOTLESS_RUN COMMAND...` runs it as that user
#   tests/podman.sh env    prints only
#   tests/podman.sh stop   removes the pods of tests, ends the services
# FLOTTA_TEST_DIR, FLOTTA_TEST_RUN: its directories. FLOTTA_TEST_USER: the user, made where it is not there; the tests'
# alone: it stays, with its copy of the image, as the packages do.
set -eu
umask 022

absolute() { case $1 in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac; }
dir=$(absolute "${FLOTTA_TEST_DIR:-/var/lib/flotta-agent-test}")
run=$(absolute "${FLOTTA_TEST_RUN:-/run/flotta-agent-test}")
user=${FLOTTA_TEST_USER:-flotta-test}
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
    # A user's podman: the namespace's owner, and the network, which was slirp4netns before podman 5.
    need newuidmap uidmap
    need setpriv util-linux
    case $(podman --version 2>/dev/null) in
        *" "[34].*) need slirp4netns slirp4netns ;;
        '') missing="$missing slirp4netns passt" ;;
        *) need pasta passt ;;
    esac
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
        # The processes that exec probes leave: as deploy/containers.conf.d has it.
        echo 'exit_command_delay = 10'
        cgroup2 || echo 'runtime = "runc"'
        systemd || printf 'cgroup_manager = "cgroupfs"\nevents_logger = "file"\n'
        # Else images from before netavark was there make podman look for CNI.
        printf '[network]\nnetwork_backend = "netavark"\n'
    } | put "$dir/containers.conf" 644
}

uid() { id -u "$user"; }
home() { getent passwd "$user" | cut -d: -f6; }
runtime() { echo "/run/user/$(uid)"; }
user_socket() { echo "$(runtime)/podman/podman.sock"; }
# Where podman runs as its package configures it, its user's service is systemd's too.
by_systemd() { [ ! -e "$dir/containers.conf" ]; }
user_systemctl() { systemctl --user --machine="$user@.host" "$@"; }

make_user() { id "$user" >/dev/null 2>&1 || useradd --create-home --shell /bin/sh "$user"; }

# What a user's podman needs of the machine.
prepare_user() {
    # useradd gives an ordinary user these; an account of another kind has none.
    for ids in /etc/subuid /etc/subgid; do
        grep -qs "^$user:" "$ids" || awk -F: -v user="$user" '
            BEGIN { next_ = 100000 }
            $2 + $3 > next_ { next_ = $2 + $3 }
            END { print user ":" next_ ":65536" }' "$ids" >"$dir/ids"
        [ ! -e "$dir/ids" ] || { cat "$dir/ids" >>"$ids"; rm "$dir/ids"; }
    done
    if systemd; then
        loginctl enable-linger "$user"
        for _ in $(seq 100); do
            [ ! -d "$(runtime)" ] || break
            sleep 0.1
        done
    fi
    # logind makes it where there is one.
    [ -d "$(runtime)" ] || install -d -m 700 -o "$user" -g "$(id -g "$user")" "$(runtime)"
    [ -d "$(runtime)/podman" ] || install -d -m 700 -o "$user" -g "$(id -g "$user")" "$(runtime)/podman"
    # The user's network opens it; udev makes it everybody's.
    [ ! -c /dev/net/tun ] || "$dir/as-user" test -w /dev/net/tun || chmod 0666 /dev/net/tun
    # Left alone podman 4.3 copies each image whole (vfs), and remembers that.
    storage=$(home)/.local/share/containers/storage
    conf=$(home)/.config/containers/storage.conf
    if [ ! -e "$conf" ] && [ ! -e "$storage/libpod" ]; then
        "$dir/as-user" mkdir -p "${conf%/*}"
        printf '[storage]\ndriver = "overlay"\nrunroot = "%s/containers"\ngraphroot = "%s"\n' "$(runtime)" "$storage" |
            "$dir/as-user" sh -c 'cat >"$1"' sh "$conf"
    fi
}

programs() {
    environment="PATH=$path"
    [ ! -e "$dir/containers.conf" ] || environment="$environment CONTAINERS_CONF='$dir/containers.conf'"
    # podman runs health checks by timers of systemd: without it, it would complain at each start.
    systemd || environment="$environment DISABLE_HC_SYSTEMD=true"
    printf '#!/bin/sh\nexec env -i HOME=/root %s podman "$@"\n' "$environment" | put "$dir/podman" 755
    {
        printf '#!/bin/sh\nset -- "$1" ${2:+--root "$2/root" --runroot "$2/run" --tmpdir "$2/tmp"}\n'
        printf 'socket=$1\nshift\nexec env -i HOME=/root %s podman "$@" system service --time=0 "unix://$socket"\n' "$environment"
    } | put "$dir/podman-service" 755
    {
        printf '#!/bin/sh\ncd "%s"\nexec setpriv --reuid %s --regid %s --init-groups ' "$(home)" "$(uid)" "$(id -g "$user")"
        printf 'env -i HOME="%s" USER=%s LOGNAME=%s XDG_RUNTIME_DIR=%s ' "$(home)" "$user" "$user" "$(runtime)"
        ! systemd || printf 'DBUS_SESSION_BUS_ADDRESS=unix:path=%s/bus ' "$(runtime)"
        printf '%s "$@"\n' "$environment"
    } | put "$dir/as-user" 755
    printf '#!/bin/sh\nexec "%s" podman "$@"\n' "$dir/as-user" | put "$dir/podman-rootless" 755
    {
        printf '#!/bin/sh\nset -- "$1" ${2:+--root "$2/root" --runroot "$2/run" --tmpdir "$2/tmp"}\n'
        printf 'socket=$1\nshift\nexec "%s" podman "$@" system service --time=0 "unix://$socket"\n' "$dir/as-user"
    } | put "$dir/podman-rootless-service" 755
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

give_image() {
    if "$dir/podman-rootless" image exists $image; then return; fi
    say "giving $image to $user"
    # By a pipe: no file that the user could read is needed.
    "$dir/podman" save -q $image | "$dir/podman-rootless" load -q >/dev/null
}

# Of the service on the socket $2; within $1 seconds.
get() { curl -s -m "$1" --unix-socket "$2" "http://podman$3"; }
answers() { [ "$(get 3 "$1" /_ping)" = OK ]; }
ours() { tr '\0' ' ' 2>/dev/null <"/proc/$1/cmdline" | grep -qxF "podman system service --time=0 unix://$2 "; }

# $1 the program, $2 the socket, $3 its name: service or rootless-service.
start_service() {
    if answers "$2"; then return; fi
    end_service "$2" "$3"
    say "starting the $3"
    # Nothing of whoever called is held open: neither its output, nor a pipe of make, nor the lock.
    (cd / && exec setsid "$1" "$2") </dev/null >"$dir/$3.log" 2>&1 3>&- 4>&- 5>&- 6>&- 7>&- 8>&- 9>&- &
    echo $! >"$run/${3%service}pid"
    for _ in $(seq 150); do
        if answers "$2"; then return; fi
        sleep 0.1
    done
    tail -n 5 "$dir/$3.log" >&2
    end_service "$2" "$3"
    die "the $3 does not answer, see $dir/$3.log"
}

end_service() {
    pid=$(cat "$run/${2%service}pid" 2>/dev/null) || pid=""
    if [ -n "$pid" ] && ours "$pid" "$1"; then
        kill "$pid"
        for _ in $(seq 100); do
            ours "$pid" "$1" || break
            sleep 0.1
        done
        ! ours "$pid" "$1" || kill -9 "$pid"
    fi
    rm -f "$run/${2%service}pid" "$1"
}

start_user_service() {
    if by_systemd; then
        user_systemctl start podman.socket
        answers "$(user_socket)" || die "$user's podman.socket is there, and no service answers"
        return
    fi
    start_service "$dir/podman-rootless-service" "$(user_socket)" rootless-service
}

end_user_service() {
    if by_systemd; then
        user_systemctl stop podman.socket podman.service || true
        return
    fi
    end_service "$(user_socket)" rootless-service
    # What holds the user's namespace, when nothing is in it any more.
    holder=$(cat "$(runtime)/libpod/tmp/pause.pid" 2>/dev/null) || holder=""
    if [ -n "$holder" ] && [ -z "$("$dir/podman-rootless" ps -q)" ] &&
        [ "$(tr '\0' ' ' 2>/dev/null <"/proc/$holder/cmdline")" = "catatonit -P " ]; then
        kill "$holder"
        rm -f "$(runtime)/libpod/tmp/pause.pid"
    fi
}

# Of the podman whose command line is $1.
remove_pods() {
    pods=$(
        "$1" pod ps -q --no-trunc --filter label=flotta-test
        for pod in $("$1" pod ps -q --no-trunc --filter label=project-flotta.io/owner); do
            case $("$1" pod inspect --format '{{index .Labels "project-flotta.io/device"}}' "$pod") in
                test-*) echo "$pod" ;;
            esac
        done
    )
    [ -n "$pods" ] || return 0
    say "removing the pods of tests"
    # Killed first, and seen so by podman: else each container that ignores SIGTERM takes ten seconds.
    "$1" pod kill $pods >/dev/null 2>&1 || true
    for _ in $(seq 50); do
        "$1" pod inspect --format '{{.State}}' $pods 2>/dev/null | grep -qE 'Running|Degraded' || break
        sleep 0.1
    done
    "$1" pod rm -f -i -t 0 $pods >/dev/null
}

field() { printf '%s\n' "$info" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }

# Asks the service on the socket $1.
ask() {
    info=$(get 10 "$1" /v4.0.0/libpod/info | tr -d ' \n') || info=""
    [ -n "$info" ] || die "no service answers on $1: $0 start starts it"
    limits=0
    case $(printf '%s\n' "$info" | grep -o '"cgroupControllers":\[[^]]*\]') in
        *'"cpu"'*'"memory"'* | *'"memory"'*'"cpu"'*) limits=1 ;;
    esac
}

print() {
    ask "$socket"
    echo "FLOTTA_PODMAN_SOCKET=$socket"
    echo "FLOTTA_PODMAN_IMAGE=$image"
    echo "FLOTTA_PODMAN_VERSION=$(field APIVersion)"
    echo "FLOTTA_PODMAN_CGROUPS=$(field cgroupVersion | tr -d v)"
    echo "FLOTTA_PODMAN_LIMITS=$limits"
    echo "FLOTTA_PODMAN_SERVICE=$dir/podman-service"
    echo "FLOTTA_PODMAN_CLI=$dir/podman"
    ask "$(user_socket)"
    echo "FLOTTA_PODMAN_ROOTLESS_SOCKET=$(user_socket)"
    echo "FLOTTA_PODMAN_ROOTLESS_LIMITS=$limits"
    echo "FLOTTA_PODMAN_ROOTLESS_SERVICE=$dir/podman-rootless-service"
    echo "FLOTTA_PODMAN_ROOTLESS_CLI=$dir/podman-rootless"
    echo "FLOTTA_PODMAN_ROOTLESS_USER=$user"
    echo "FLOTTA_PODMAN_ROOTLESS_UID=$(uid)"
    echo "FLOTTA_PODMAN_ROOTLESS_GID=$(id -g "$user")"
    echo "FLOTTA_PODMAN_ROOTLESS_RUNTIME_DIR=$(runtime)"
    echo "FLOTTA_PODMAN_ROOTLESS_RUN=$dir/as-user"
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
        make_user
        programs
        prepare_user
        make_image
        give_image
        start_service "$dir/podman-service" "$socket" service
        start_user_service
        print
        ;;
    env) print ;;
    stop)
        [ -e "$dir/podman" ] || exit 0
        lock
        remove_pods "$dir/podman" || say "not all pods of tests could be removed"
        end_service "$socket" service
        [ -e "$dir/podman-rootless" ] || exit 0
        remove_pods "$dir/podman-rootless" || say "not all pods of $user could be removed"
        end_user_service
        ;;
    *) die "start, env or stop" ;;
esac
