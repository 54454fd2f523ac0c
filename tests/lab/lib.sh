# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What lab and machine tests are written with. A test sources it first:
#
#   source "$(dirname "$0")/lib.sh"
#
# Lines at its top that tests/lab/run-tests reads: "# time limit: SECONDS", where 120 are too few, and "# not sanitized: WHY", where under ASan
# the test would cost much and run no code of ours that others do not.
#
# Each test has its container or machine for itself. Any command that fails ends the test; what it printed before says
# where it was. $vm is a VM name of the test's own, $guest the folder with kernel, initrd and images, $work an empty folder.

set -euo pipefail

# shellcheck disable=SC2034
vm=$(basename "$0" .test)
guest=${LAB_GUEST:-/lab/guest}
work=$(mktemp -d)
slow=1
[[ -z ${SANITIZE:-} ]] || slow=3
slow=${LAB_SLOW:-$slow} # all time limits are multiplied by it
guest_accelerator=tcg
guest_memory=256M
# What a boot needs not do, a quarter of it when emulated: copies byte by byte, and what is only there to be traced; and a check that panics
# where the host is too busy for a tick in time.
guest_haste='no_timer_check cryptomgr.notests noreplace-smp init_on_alloc=0 clearcpuid=erms,fsrm'
guest_haste+=' initcall_blacklist=init_kprobes,init_kprobe_trace,event_trace_init,trace_eval_init,tracer_init_tracefs'
export SYSTEMD_PAGER='' SYSTEMD_COLORS=0 DBUS_SYSTEM_BUS_ADDRESS=unix:path=/run/dbus/system_bus_socket

trap 'status=$?; echo "$(basename "$0"):${BASH_LINENO[0]:-}: \"$BASH_COMMAND\" failed with $status (line $LINENO)"' ERR
set -E

# In the foreground it sends no SIGCONT after its signal. That one would take away the SIGSTOP with which LeakSanitizer stops
# a program at its end, and both would wait for ever.
timeout() { command timeout --foreground "$@"; }

# The story of a test, and where it was when it failed.
given() { echo "given $*"; }
when() { echo "when $*"; }
expect() { echo "then $*"; }

fail() {
    echo "FAILED: $*"
    local file
    for file in "$work"/*.out; do
        [[ -s $file ]] || continue
        echo "the end of $(basename "$file" .out)'s console:"
        tail -n 15 "$file"
    done
    exit 1
}

skip() {
    echo "$*"
    exit 77
}

# --- comparing

assert_equal() { # assert_equal WHAT EXPECTED ACTUAL
    [[ $2 == "$3" ]] || fail "$1: expected \"$2\", got \"$3\""
}

assert_matches() { # assert_matches WHAT EXTENDED-REGEX TEXT
    grep -qE -- "$2" <<< "$3" || fail "$1: nothing matches \"$2\" in: $3"
}

assert_lacks() { # assert_lacks WHAT EXTENDED-REGEX TEXT
    ! grep -qE -- "$2" <<< "$3" || fail "$1: \"$2\" should not be in: $3"
}

# eventually SECONDS COMMAND...: until it succeeds. A function that may fail() has its body in ( ), as else the first time ends the test.
eventually() {
    local deadline=$((SECONDS + $1 * slow))
    shift
    until "$@" > /dev/null 2>&1; do
        [[ $SECONDS -lt $deadline ]] || fail "still not so after its time: $*"
        sleep 0.1
    done
}

# fails COMMAND...: it must fail; what it says is in $output, its status in $status.
fails() {
    local limit=(timeout $((60 * slow)))
    [[ $(type -t "$1") == file ]] || limit=()
    status=0
    output=$("${limit[@]}" "$@" 2>&1 < /dev/null) || status=$?
    [[ $status -ne 0 ]] || fail "this should have failed: $*"
    [[ $status -ne 124 ]] || fail "this should have failed, but hangs: $*"
}

# fails_with ERROR METHOD...: a D-Bus call (see below) fails with org.vmd1.Error.ERROR; its message is in $output.
fails_with() {
    local error=$1
    shift
    fails call "$@"
    [[ $output == *"org.vmd1.Error.$error: "* ]] || fail "$*: expected the error $error, got: $output"
    output=${output#*"org.vmd1.Error.$error: "}
}

# --- D-Bus, without vmctl

# call METHOD ARGUMENT...: of the manager, in GVariant's text form: call GetVM web. Or call NAME.METHOD ARGUMENT...: of a VM.
call() {
    local target=/org/vmd1 interface=Manager method=$1
    shift
    if [[ $method == *.* ]]; then
        target=$(path_of "${method%.*}")
        interface=VM
        method=${method##*.}
    fi
    gdbus call --system --timeout $((120 * slow)) -d org.vmd1 -o "$target" -m "org.vmd1.$interface.$method" -- "$@"
}

path_of() { # path_of NAME
    local name=$1 path='' c i
    for ((i = 0; i < ${#name}; i++)); do
        c=${name:i:1}
        if [[ $c == [A-Za-z0-9] && ! ($i -eq 0 && $c == [0-9]) ]]; then
            path+=$c
        else
            path+=$(printf '_%02x' "'$c")
        fi
    done
    echo "/org/vmd1/vm/$path"
}

property() { # property NAME PROPERTY
    busctl --json=short get-property org.vmd1 "$(path_of "$1")" org.vmd1.VM "$2" | jq -r .data
}

state() {
    local said
    said=$(busctl get-property org.vmd1 "$(path_of "$1")" org.vmd1.VM State) || return
    said=${said#*\"}
    echo "${said%\"}"
}

wait_for_state() { # wait_for_state NAME STATE [SECONDS]
    local deadline=$((SECONDS + ${3:-30} * slow)) now
    while :; do
        now=$(state "$1" || true)
        [[ $now != "$2" ]] || return 0
        [[ $SECONDS -lt $deadline ]] || fail "$1 is \"$now\" and not \"$2\""
        sleep 0.1
    done
}

# --- systemd

unit_property() { systemctl show --value -P "$2" "$1"; }    # unit_property UNIT PROPERTY
unit_is() { [[ $(unit_property "$1" ActiveState) == "$2" ]]; } # unit_is UNIT STATE
journal_of() { journalctl -q --sync > /dev/null 2>&1 || true; journalctl -q --no-pager -o cat "$@"; }

vmd_pid() { unit_property vmd.service MainPID; }

# restart_vmd: the daemon is killed and comes back, by a call, as another process.
restart_vmd() {
    local before
    before=$(vmd_pid)
    kill -KILL "$before"
    eventually 10 vmd_is_another "$before"
}
# systemd may not have noticed yet that the old one has gone.
vmd_is_another() {
    systemctl start vmd.service
    [[ $(vmd_pid) != "$1" && $(vmd_pid) -gt 0 ]]
}

# lay_out NAME: the files of a package that no host is to have installed for the tests (see unpack), in this container.
lay_out() {
    local packages=${LAB_PACKAGES:-/lab/packages}
    [[ -d $packages/$1 ]] || skip "the package of $1 could not be fetched"
    # No folders: tar would close those that are there for a moment, and others run.
    (cd "$packages/$1" && find . ! -type d -print0 | tar --null --no-recursion -T - -c) |
        tar -C / -x --keep-directory-symlink --no-same-owner
    systemd-sysusers
    systemctl daemon-reload
    systemctl reload dbus.service
}

# load_kvm: in a machine of the tests, whose CPU has what KVM needs. The guests that are defined from now on run on it, in less
# than a fifth of the time.
load_kvm() {
    modprobe kvm_amd 2> /dev/null || modprobe kvm_intel
    eventually 5 test -c /dev/kvm
    guest_accelerator=kvm
}

# guest_prints_on_kvm NAME TEXT: a KVM inside an emulated machine hangs now and then, which is no failure of ours: the test is
# tried once more.
guest_prints_on_kvm() {
    watched "$1" || watch_console "$1"
    (guest_prints "$1" "$2" 30) || { echo "the nested KVM hung"; exit 75; }
}

# alice COMMAND...: as the unprivileged user alice, in her session.
alice() {
    [[ -S /run/user/1000/bus ]] || eventually 20 test -S /run/user/1000/bus
    setpriv --reuid=alice --regid=alice --init-groups env HOME=/home/alice USER=alice XDG_RUNTIME_DIR=/run/user/1000 \
        DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus "$@"
}

# at_seat WHO COMMAND...: as that user, in a session that is active on the seat, as on a desktop.
at_seat() {
    local who=$1
    shift
    systemd-run --quiet --wait --pipe --collect --uid="$who" --working-directory=/ -p PAMName=login --setenv=XDG_SEAT=seat0 \
        --setenv=XDG_SESSION_TYPE=wayland --setenv=XDG_SESSION_CLASS=user --setenv=SYSTEMD_COLORS=0 -- "$@"
}

# reboot_machine: the last thing that a machine test does in one of its boots.
reboot_machine() {
    touch /job/again
    systemctl --no-block reboot
    exit 0
}

# --- VMs

# guest_kernel [SETTING...]: the file of it that boots fastest with these settings.
guest_kernel() {
    # Firmware has the kernel unpack itself; only then does the kernel learn of a text screen, and of what a TPM is told at the start.
    if [[ -e $guest/vmlinux && $* != *VM.Firmware=* && $* != *Display.* && $* != *TPM.* ]]; then
        echo "$guest/vmlinux"
    else
        echo "$guest/vmlinuz"
    fi
}

# define_vm NAME [SECTION.KEY=VALUE | guest=WORD,WORD | kernel=ARGUMENTS]...: the tests' guest, under TCG unless load_kvm was
# called. See ../guest/init for the words.
define_vm() {
    local name=$1 words='' kernel='' setting options=()
    shift
    for setting; do
        case $setting in
        guest=*) words=${setting#*=} ;;
        kernel=*) kernel=${setting#*=} ;;
        *) options+=(-p "$setting") ;;
        esac
    done
    vmctl create "$name" --cpus=1 --memory="$guest_memory" --accelerator="$guest_accelerator" --kernel="$(guest_kernel "$@")" --initrd="$guest/initrd" \
        --command-line="console=ttyS0 quiet $guest_haste $kernel vmd.test=$words" "${options[@]}"
}

# use_graphical_guest: the VMs that are defined from now on have what desktops have (../guest/graphical); in_guest NAME desktop starts it.
use_graphical_guest() {
    [[ -e $guest/graphical/initrd ]] || skip "no graphical guest could be made"
    guest=$guest/graphical
    guest_memory=512M
}

# use_qemu_tree NAME: $tree is a folder with another QEMU for [QEMU] Root= (../guest/qemu-tree): "without-spice", this machine's own, or
# that of a Debian, "trixie", or "trixie-without-spice". Nothing is to be written there.
use_qemu_tree() {
    tree=/lab/trees/$1
    [[ -d $tree ]] || skip "no tree $1 with a QEMU could be made"
}

# start_vm NAME: and wait until the guest says that it is ready.
start_vm() {
    vmctl start "$1"
    watch_console "$1"
    mark_console "$1"
    guest_prints "$1" "GUEST READY" 60
}

declare -A console_input=() console_pid=() console_mark=()

watch_console() { # watch_console NAME: collects what NAME's console prints; called by what needs it
    local name=$1 fd
    rm -f "$work/$name.in"
    mkfifo "$work/$name.in"
    : >> "$work/$name.out"
    vmctl console "$name" < "$work/$name.in" >> "$work/$name.out" 2> "$work/$name.err" &
    console_pid[$name]=$!
    exec {fd}> "$work/$name.in"
    console_input[$name]=$fd
}

watched() {
    [[ -n ${console_pid[$1]:-} ]] && kill -0 "${console_pid[$1]}" 2> /dev/null
}

# screen_size VM: of its first head, "1280x800".
screen_size() { vmctl screenshot "$1" | python3 -c 'import struct, sys; print("%dx%d" % struct.unpack(">II", sys.stdin.buffer.read()[16:24]))'; }

n_viewers() { busctl --json=short get-property org.vmd1 "$(path_of "$1")" org.vmd1.VM DisplayClients | jq '.data | length'; } # n_viewers VM
n_viewers_are() { [[ $(n_viewers "$1") == "$2" ]]; }

printed() { # printed NAME: since the mark
    tail -c +$((${console_mark[$1]:-0} + 1)) "$work/$1.out" 2> /dev/null | tr -d '\r'
}

# mark_console NAME: guest_prints looks only at what comes after it.
mark_console() {
    watched "$1" || watch_console "$1"
    console_mark[$1]=$(stat -c %s "$work/$1.out" 2> /dev/null || echo 0)
}

# guest_prints NAME TEXT [SECONDS]: waits until the guest's console has a line with TEXT.
guest_prints() {
    local name=$1 text=$2 deadline=$((SECONDS + ${3:-30} * slow))
    watched "$name" || watch_console "$name"
    until prints_soon "$name" "$text"; do
        if [[ $SECONDS -ge $deadline ]]; then
            cat "$work/$name.err"
            fail "the guest $name did not print \"$text\""
        fi
        if ! watched "$name" && [[ $(state "$name" || true) == running ]]; then
            watch_console "$name"
        fi
    done
}

# prints_soon NAME TEXT: within a second. One process waits for the text: one for each look would cost more than the guest's boot. They have
# a shell of their own, so that $! stays the caller's.
prints_soon() (
    grep -qF -m 1 -- "$2" < <(exec timeout 1 tail -c +$((${console_mark[$1]:-0} + 1)) -s 0.05 -f "$work/$1.out" 2> /dev/null)
)

type_in() { # type_in NAME TEXT: and return, in the guest's shell
    watched "$1" || watch_console "$1"
    printf '%s\n' "$2" >&"${console_input[$1]}"
}

# in_guest NAME COMMAND: what the command prints in the guest (one line or more).
in_guest() {
    local name=$1 token=$RANDOM$RANDOM
    mark_console "$name"
    type_in "$name" "echo BEGIN''$token; $2; echo END''$token"
    guest_prints "$name" "END$token" 30
    printed "$name" | sed -n "/BEGIN$token/,/END$token/p" | sed '1d;$d'
}

# make_certificate NAME: of a host for its displays, as vmd.vm(5) has it, and good for 127.0.0.1 too.
make_certificate() {
    local tls=/etc/vmd/tls
    install -d -m 700 "$tls"
    openssl genpkey -algorithm EC -pkeyopt group:P-256 -out "$tls/ca-key.pem"
    openssl req -x509 -days 3650 -subj "/CN=CA of $1" -key "$tls/ca-key.pem" -out "$tls/ca-cert.pem"
    openssl genpkey -algorithm EC -pkeyopt group:P-256 -out "$tls/server-key.pem"
    openssl req -x509 -days 3650 -subj "/CN=$1" -key "$tls/server-key.pem" -out "$tls/server-cert.pem" -CA "$tls/ca-cert.pem" -CAkey "$tls/ca-key.pem" \
        -addext basicConstraints=critical,CA:FALSE -addext "subjectAltName=DNS:$1,IP:127.0.0.1"
}

qemu_pid() { property "$1" QEMUProcess; }

# no_leftovers NAME: of a VM that does not run there is no scope, no process, no socket and no run-time file.
no_leftovers() {
    local name=$1
    eventually 5 scope_is_gone "$name"
    eventually 5 no_process_of "$name"
    [[ ! -e /run/vmd/vm/$name ]] || fail "/run/vmd/vm/$name is left: $(find "/run/vmd/vm/$name")"
    ! grep -F "/$name/" /proc/net/unix || fail "sockets are left"
}
scope_is_gone() { [[ $(unit_property "vm-$1.scope" LoadState) == not-found ]] || unit_is "vm-$1.scope" inactive; }
no_process_of() { ! pgrep -af -- "(qemu-system|vmd-guard|swtpm).*[=,/ ]$1([,./ ]|\$)"; }
