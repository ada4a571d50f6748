#!/bin/bash
# A real Debian guest for tests: systemd as PID 1, cgroup v2, podman, mosquitto. Emulated, so it needs no KVM.
#   tests/vm.sh build                                             installs QEMU where missing, makes the image (root)
#   tests/vm.sh run [--copy HOSTFILE:GUESTPATH]... -- COMMAND...  runs it as root in a fresh guest; its exit code,
#                                                                 124: took too long, 125: the guest failed
#   tests/vm.sh disk FILE                                         a disk for `cut`: a copy of the image's
#   tests/vm.sh cut DISK [--volatile] [--clock DATE] [--boot WORDS] [--copy …]... -- COMMAND...
#                                                                 the same on that disk, which stays as it is then. When COMMAND
#                                                                 prints the line "cut the power", the guest's power is cut: 86.
#                                                                 --volatile: so is that of the disk, which then loses whatever
#                                                                 it was not told to flush. --clock: what the guest's clock says. --boot: for its kernel
#   tests/vm.sh clean                                             removes the image
# FLOTTA_VM_DIR: where the image is; FLOTTA_VM_MIRROR: a Debian mirror; FLOTTA_VM_TIMEOUT: seconds for one run.
set -euo pipefail
umask 022
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"

dir=${FLOTTA_VM_DIR:-/var/lib/flotta-agent-vm}
limit=${FLOTTA_VM_TIMEOUT:-1500}
suite=trixie
packages=linux-image-cloud-amd64,systemd-sysv,udev,kmod,dbus,dbus-user-session,libpam-systemd
packages+=,podman,crun,netavark,aardvark-dns,nftables,catatonit,passt,uidmap
packages+=,mosquitto,mosquitto-clients,curl,busybox-static,iproute2,procps,ca-certificates
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
image=localhost/flotta-test/busybox:1
tmp='' qemu='' unfinished='' nbd=''
# What `cut` says of the guest.
disk='' volatile='' clock='' words='' cutting=''

say() { echo "vm: $*" >&2; }
die() { say "$*"; exit 1; }
cleanup() {
    trap '' INT TERM HUP PIPE
    [ -z "$qemu" ] || kill "$qemu" 2>/dev/null || true
    [ -z "$nbd" ] || kill "$nbd" 2>/dev/null || true
    wait
    rm -rf --one-file-system ${tmp:+"$tmp"} ${unfinished:+"$unfinished"}
}
trap cleanup EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

# ---- what the image is made of

debian_mirror() {
    apt-get indextargets --format '$(LABEL) $(REPO_URI)' 'Created-By: Packages' | awk '$1 == "Debian" && !n++ { print $2 }'
}

install_tools() {
    local missing=() from=() lists
    command -v qemu-system-x86_64 >/dev/null || missing+=(qemu-system-x86)
    command -v nbdkit >/dev/null || missing+=(nbdkit)
    command -v xz >/dev/null || missing+=(xz-utils)
    command -v mmdebstrap >/dev/null || missing+=(mmdebstrap)
    command -v mke2fs >/dev/null || missing+=(e2fsprogs)
    [ -e "$keyring" ] || missing+=(debian-archive-keyring)
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        die "these packages are missing: ${missing[*]} (Debian, Ubuntu: sudo apt-get install ${missing[*]})"
    fi
    say "installing ${missing[*]}"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Where a part of QEMU is from backports the release's own QEMU would push it out: then QEMU is taken from
    # backports too, through a source that only this call sees.
    if ! apt-get install -s --no-remove --no-install-recommends "${missing[@]}" >/dev/null 2>&1; then
        lists=$tmp/apt
        mkdir -p "$lists/partial"
        chmod 755 "$tmp"
        {
            cat /etc/apt/sources.list 2>/dev/null || true
            echo "deb ${FLOTTA_VM_MIRROR:-$(debian_mirror)} $(. /etc/os-release && echo "$VERSION_CODENAME")-backports main"
        } >"$tmp/sources.list"
        from=(-o "Dir::Etc::SourceList=$tmp/sources.list" -o "Dir::State::Lists=$lists"
            -t "$(. /etc/os-release && echo "$VERSION_CODENAME")-backports")
        apt-get "${from[@]}" update -qq
    fi
    apt-get "${from[@]}" install -y -qq --no-remove --no-install-recommends "${missing[@]}" >/dev/null
}

# What the guest does after each boot: unpacks what comes on its second disk, runs the command, says how it ended.
guest_job() {
    ports=/dev/virtio-ports
    systemctl is-system-running --wait >/dev/null
    until [ -b /dev/vda ] && [ -e $ports/status ]; do sleep 0.1; done
    # Folders that the guest has, or has as links (/bin), stay what they are.
    tar -x -C / --no-overwrite-dir --keep-directory-symlink -f /dev/vda || exit
    mapfile -d '' -t command </run/flotta-vm/command
    echo "vm: the guest is $(systemctl is-system-running) after $(cut -d. -f1 /proc/uptime) s; running ${command[0]##*/}" >$ports/err
    cd /run/flotta-vm || exit
    mkfifo out err
    cat out >$ports/out &
    cat err >$ports/err &
    # The shell stays between: it makes 127 and 128+signal of what systemd has no exit code for.
    # An argument's $ is its own: systemd-run would expand it. What the command leaves behind is killed at once:
    # podman's monitors, which stay in the unit, do not heed SIGTERM.
    systemd-run --quiet --pipe --wait --collect --expand-environment=no --unit=flotta-test \
        --property=OOMPolicy=continue --property=KillSignal=SIGKILL \
        --working-directory=/root --setenv=HOME=/root --setenv=USER=root --setenv=LANG=C.UTF-8 \
        --setenv=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        -- /bin/sh -c '"$@"; exit $?' sh "${command[@]}" >out 2>err
    code=$?
    # Not for ever: what the command left running may hold its output open.
    for _ in {1..50}; do
        jobs -r | grep -q . || break
        sleep 0.1
    done
    sync
    echo $code >$ports/status
}

# Once, in the guest, as the container images are best stored by the podman that will use them.
guest_images() {
    set -e
    cd /
    mkdir -p /tmp/image/bin /tmp/image/etc /tmp/image/tmp
    cp /bin/busybox /tmp/image/bin/
    for applet in $(busybox --list); do
        [ "$applet" = busybox ] || ln -s busybox "/tmp/image/bin/$applet"
    done
    echo root:x:0:0:root:/:/bin/sh >/tmp/image/etc/passwd
    tar -c -C /tmp/image . | podman import -q --change ENV=PATH=/bin --change 'CMD=["/bin/sh"]' - "$1" >/dev/null
    podman save -q "$1" | runuser -u edge -- env XDG_RUNTIME_DIR=/run/user/"$(id -u edge)" podman load -q >/dev/null
    rm -r /tmp/image
}

guest_files() {
    local root=$1 unit
    echo flotta-vm >"$root/etc/hostname"
    printf '127.0.0.1 localhost flotta-vm\n::1 localhost\n' >"$root/etc/hosts"
    # podman's name server does not start without this file.
    rm -f "$root/etc/resolv.conf"
    echo 'nameserver 127.0.0.1' >"$root/etc/resolv.conf"
    # With an id the boot is not taken for the first one, which would set every unit to its preset.
    tr -d - </proc/sys/kernel/random/uuid >"$root/etc/machine-id"
    # An address, for what looks for one, but no route.
    echo 'ACTION=="add", SUBSYSTEM=="net", DRIVERS=="virtio_net", RUN+="/bin/ip address add 10.0.2.15/24 dev $name", RUN+="/bin/ip link set $name up"' \
        >"$root/etc/udev/rules.d/90-flotta-vm.rules"
    chroot "$root" useradd --create-home --shell /bin/bash edge
    mkdir -p "$root/var/lib/systemd/linger"
    touch "$root/var/lib/systemd/linger/edge"

    printf '#!/bin/bash\n%s\nguest_job\n' "$(declare -f guest_job)" >"$root/usr/local/sbin/flotta-vm-job"
    chmod 755 "$root/usr/local/sbin/flotta-vm-job"
    # Type=exec, so that the boot counts as done while the command runs. Off at once: an orderly end would wait 90 s
    # for a container that does not heed SIGTERM.
    cat >"$root/etc/systemd/system/flotta-vm-job.service" <<'UNIT'
[Unit]
Description=The command this guest was started for
SuccessAction=poweroff-immediate
FailureAction=poweroff-immediate
[Service]
Type=exec
ExecStart=/usr/local/sbin/flotta-vm-job
StandardError=journal+console
[Install]
WantedBy=multi-user.target
UNIT
    for unit in podman.socket flotta-vm-job.service; do
        systemctl --quiet --root="$root" enable "$unit"
    done
}

stamp() { { echo "$suite $packages $image" && declare -f guest_job guest_images guest_files; } | sha256sum; }
up_to_date() { [ "$(cat "$dir/image/stamp" 2>/dev/null)" = "$(stamp)" ]; }

build() {
    local mirror new=$dir/new
    [ "$(uname -m)" = x86_64 ] || die "the guest is made for x86_64 only"
    install_tools
    if up_to_date; then
        say "the image is there: $dir/image"
        return
    fi
    [ "$(id -u)" = 0 ] || die "the image is made by root: sudo $0 build"
    mkdir -p "$dir"
    exec 9>"$dir/lock"
    flock 9
    if up_to_date; then return; fi
    mirror=${FLOTTA_VM_MIRROR:-$(debian_mirror)}
    if [ -z "$mirror" ]; then
        apt-get update -qq
        mirror=$(debian_mirror)
    fi
    [ -n "$mirror" ] || die "apt's sources name no Debian mirror: set FLOTTA_VM_MIRROR to one"

    unfinished=$new
    rm -rf --one-file-system "$new"
    mkdir "$new"
    say "Debian $suite by mmdebstrap: about a minute"
    # A mount namespace of its own: whatever happens, nothing stays mounted below $new.
    unshare --mount mmdebstrap --quiet --mode=root --variant=essential --include="$packages" --keyring="$keyring" \
        --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
        --dpkgopt='path-exclude=/usr/share/locale/*' "$suite" "$new/root" "deb $mirror $suite main" >"$tmp/log" 2>&1 9>&- || {
        tail -n 20 "$tmp/log" >&2
        die "mmdebstrap failed"
    }
    guest_files "$new/root"
    mv "$new"/root/boot/vmlinuz-* "$new/vmlinuz"
    say "the disk, after $SECONDS s"
    # All of it laid out now: else each guest goes on with it in the background.
    mke2fs -q -t ext4 -E lazy_itable_init=0,lazy_journal_init=0 -d "$new/root" "$new/disk" 6G >/dev/null
    rm -rf --one-file-system "$new/root"
    say "the container image, in the guest's first boot, after $SECONDS s"
    boot "$new" off bash -c "$(declare -f guest_images); guest_images $image" || die "the first boot failed"
    # The guest was switched off, not shut down: its journal is gone through here, not in each boot.
    e2fsck -fp "$new/disk" >"$tmp/log" || [ $? = 1 ] || die "the disk is damaged: $(cat "$tmp/log")"
    stamp >"$new/stamp"
    rm -rf "$dir/image"
    mv "$new" "$dir/image"
    unfinished=''
    say "the image is made, $(du -sh "$dir/image" | cut -f1), after $SECONDS s: $dir/image"
}

# ---- one guest

# The kernel reaches an NVMe disk by itself, but QEMU's forgets which writes were to go past its cache. A disk of `cut` is a
# virtio one, whose driver is a module: it is loaded from here, out of the image:
# debugfs does not open the disk itself while the kernel has not gone through its journal after a cut.
make_initrd() {
    local root=$tmp/initrd image=$dir/image/disk module
    mkdir -p "$root"/{bin,dev,new}
    module=$(debugfs -R 'ls -p /lib/modules' "$image" 2>/dev/null | awk -F/ '$6 ~ /^[0-9]/ { print $6 }')
    module=/usr/lib/modules/$module/kernel/drivers/block/virtio_blk.ko
    debugfs -R "dump /usr/bin/busybox $root/bin/busybox" "$image" >/dev/null 2>&1
    debugfs -R "dump $module.xz $root/virtio_blk.ko.xz" "$image" >/dev/null 2>&1
    xz -d "$root/virtio_blk.ko.xz"
    cat >"$root/init" <<'INIT'
#!/bin/busybox sh
b=/bin/busybox
$b mount -t devtmpfs dev /dev
$b insmod /virtio_blk.ko
until [ -b /dev/vdb ]; do $b usleep 10000; done
$b mount -t ext4 /dev/vdb /new
$b mount -o move /dev /new/dev
exec $b switch_root /new /sbin/init
INIT
    chmod 755 "$root/init" "$root/bin/busybox"
    (cd "$root" && find . | bin/busybox cpio -o -H newc >"$tmp/initrd.img" 2>/dev/null)
}

# What the guest prints, passed on, until it asks for the end: the disk's first, so that the guest's end flushes nothing.
cut_at_the_word() {
    local line
    while IFS= read -r line; do
        printf '%s\n' "$line"
        [ "$line" = "cut the power" ] || continue
        touch "$tmp/cut"
        kill -KILL $nbd "$(cat "$tmp/pid")"
    done
}

# boot FOLDER on|off COMMAND...: on throws away what the guest writes. What is in $tmp/job goes along.
boot() {
    local from=$1 snapshot=$2 start=$SECONDS code=0 drive root=nvme0n1 device=(-device nvme,drive=root,serial=root)
    shift 2
    # Nothing here is written through to the machine's own disk, but the guest's flushes reach what the guest has as one.
    drive=format=raw,cache=unsafe,snapshot=$snapshot,file=${disk:-$from/disk}
    if [ -n "$volatile" ]; then
        # The filter keeps what is written in a file of its own until it is told to flush.
        nbdkit --foreground --unix "$tmp/nbd" --filter=cache file "$disk" cache=writeback </dev/null >"$tmp/nbdkit" 2>&1 9>&- &
        nbd=$!
        until [ -S "$tmp/nbd" ]; do
            kill -0 "$nbd" 2>/dev/null || { cat "$tmp/nbdkit" >&2; die "nbdkit does not start"; }
            sleep 0.05
        done
        drive=format=raw,cache=writeback,file.driver=nbd,file.server.type=unix,file.server.path=$tmp/nbd
    fi
    if [ -n "$disk" ]; then
        make_initrd
        root=vdb device=(-device virtio-blk-pci,drive=root,addr=0x10 -initrd "$tmp/initrd.img")
    fi
    mkdir -p "$tmp/job/run/flotta-vm"
    printf '%s\0' "$@" >"$tmp/job/run/flotta-vm/command"
    # A tar as the disk itself. Hard links would not unpack from one file system to another.
    tar -c -h --hard-dereference --owner=0 --group=0 -C "$tmp/job" -f "$tmp/job.tar" . || return 125
    : >"$tmp/out" >"$tmp/err" >"$tmp/status" >"$tmp/console"
    # The kernel has NVMe and ext4 built in, so there is no initrd. The death signal is for a kill -9 of this script.
    setpriv --pdeathsig TERM timeout -k 5 "$limit" qemu-system-x86_64 \
        -nodefaults -no-user-config -display none -no-reboot -M q35 -accel tcg -cpu max -smp 2 -m 2048 \
        -kernel "$from/vmlinuz" -append "root=/dev/$root rootfstype=ext4 rw console=ttyS0 TERM=dumb quiet panic=-1 net.ifnames=0 mitigations=off nokaslr $words" \
        -drive "if=none,id=root,$drive" "${device[@]}" -pidfile "$tmp/pid" ${clock:+-rtc "base=$clock"} \
        -drive "if=none,id=job,format=raw,readonly=on,file=$tmp/job.tar" -device virtio-blk-pci,drive=job,addr=0x8 \
        -netdev user,id=net,ipv6=off,restrict=on -device virtio-net-pci,netdev=net,romfile= -serial "file:$tmp/console" \
        -device virtio-serial-pci,max_ports=4 \
        -chardev "file,id=out,path=$tmp/out" -device virtserialport,chardev=out,name=out \
        -chardev "file,id=err,path=$tmp/err" -device virtserialport,chardev=err,name=err \
        -chardev "file,id=status,path=$tmp/status" -device virtserialport,chardev=status,name=status \
        </dev/null >"$tmp/qemu" 2>&1 9>&- &
    qemu=$!
    if [ -n "$cutting" ]; then
        setpriv --pdeathsig TERM tail -s 0.05 --pid="$qemu" -c +1 -f "$tmp/out" 9>&- | cut_at_the_word &
    else
        setpriv --pdeathsig TERM tail -s 0.2 --pid="$qemu" -c +1 -f "$tmp/out" 9>&- &
    fi
    setpriv --pdeathsig TERM tail -s 0.2 --pid="$qemu" -c +1 -f "$tmp/err" >&2 9>&- &
    # The shell need not tell who was killed.
    wait "$qemu" 2>/dev/null || code=$?
    qemu=''
    [ -z "$nbd" ] || kill "$nbd" 2>/dev/null || true
    nbd=''
    wait 2>/dev/null
    if [ -e "$tmp/cut" ]; then
        say "the power was cut after $((SECONDS - start)) s"
        return 86
    fi
    if [ -s "$tmp/status" ]; then
        code=$(cat "$tmp/status")
        say "exit code $code; the guest is off after $((SECONDS - start)) s"
    elif [ $code = 124 ] || [ $code = 137 ]; then
        say "not done within $limit s: the guest is ended"
        code=124
    else
        tail -n 20 "$tmp/console" "$tmp/qemu" >&2
        say "the guest ended before the command did"
        code=125
    fi
    return "$code"
}

run() {
    local host guest
    while :; do
        case ${1:-} in
            --copy) ;;
            --volatile) [ -n "$cutting" ] && volatile=yes && shift && continue ;;
            --boot) [ -n "$cutting" ] && words=$2 && shift 2 && continue ;;
            --clock) [ -n "$cutting" ] && clock=$2 && shift 2 && continue ;;
        esac
        [ "${1:-}" = --copy ] || break
        [[ ${2:-} == ?*:/?* ]] || die "--copy wants HOSTFILE:/GUEST/PATH, not '${2:-}'"
        host=${2%:*} guest=${2##*:}
        [ -r "$host" ] || die "cannot read $host"
        mkdir -p "$tmp/job$(dirname "$guest")"
        ln -s "$(realpath "$host")" "$tmp/job$guest"
        shift 2
    done
    [ "${1:-}" != -- ] || shift
    [ $# -gt 0 ] || die "run what?"
    command -v qemu-system-x86_64 >/dev/null && up_to_date || die "no image, or an old one: $0 build makes it"
    say "booting a guest, about 20 s"
    boot "$dir/image" "${cutting:-on}" "$@"
}

tmp=$(mktemp -d "${TMPDIR:-/var/tmp}/flotta-vm.XXXXXX")
case ${1:-} in
    build) build ;;
    run)
        shift
        run "$@"
        ;;
    disk)
        up_to_date || die "no image, or an old one: $0 build makes it"
        cp --sparse=always --reflink=auto "$dir/image/disk" "${2:?which file?}"
        ;;
    cut)
        disk=$(realpath "${2:?which disk?}") cutting=off
        shift 2
        run "$@"
        ;;
    clean)
        rm -rf --one-file-system "$dir/image" "$dir/new" "$dir/lock"
        if [ -d "$dir" ]; then rmdir --ignore-fail-on-non-empty "$dir"; fi
        ;;
    *) die "build, run [--copy HOSTFILE:GUESTPATH]... -- COMMAND..., disk, cut, or clean" ;;
esac
