# shellcheck shell=bash disable=SC2154
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# What tests share that put hostile-qemu.py in QEMU's place, in a container and in a whole machine. To be sourced after lib.sh:
#
#   prepare_host USER       makes what is worth having to that user, and the VM "other"
#   prepare_devices         sets $device_policy to "yes" where the kernel has them
#   take_over SETTING...    starts the VM "taken" and waits until it has tried everything; sets $tried
#   all_is_refused USER     holds all rows but "fds" to what they have to be
#   has_what_was_given      holds the row "fds" to what was given to take_over's VM
#   refused ROW ATTEMPT=... holds one row; $rows are those that were
#   does WORD               has "taken" do what is typed
#   victims_now             who is alive of $victims; as it was before: $victims_before

real=$(readlink -f "$(command -v qemu-system-x86_64 || command -v qemu-system-aarch64)")
rows=() victims=() device_policy='' tried=''

prepare_host() {
    local owner=$1 runtime=/run/vmd
    [[ $owner == root ]] || runtime=/run/user/$(id -u "$owner")/vmd
    mkdir -p /srv/images /opt/taken
    truncate -s 1M /srv/images/{others,own,shared}
    chown "$owner:" /srv/images/*
    define_vm other "Disk a.Source=/srv/images/others"
    vmctl start other
    install -m 755 "$(dirname "$0")/hostile-qemu.py" /opt/taken/qemu
    install -m 4755 "$(command -v id)" /usr/local/bin/hostile-qemu-id
    install -m 666 /dev/null /usr/local/share/hostile-qemu-file
    mknod -m 666 /opt/taken/node c 1 5 # /dev/zero
    head -c 1 /opt/taken/node > "$work/zero"
    ip link add hostile0 type veth peer hostile1
    ip address add 192.0.2.1/24 dev hostile0
    ip link set hostile0 up
    socat -u TCP-LISTEN:4321,fork,reuseaddr OPEN:/dev/null &
    socat -u ABSTRACT-LISTEN:hostile-qemu,fork OPEN:/dev/null &
    eventually 5 socat -u /dev/null TCP:127.0.0.1:4321
    eventually 5 socat -u /dev/null TCP:192.0.2.1:4321
    eventually 5 socat -u /dev/null ABSTRACT-CONNECT:hostile-qemu

    jq -n --arg real "$real" --argjson vmd "$(vmd_pid)" --argjson qemu "$(qemu_pid other)" \
        --argjson guard "$(property other Leader)" \
        --argjson guard_uid "$(awk '/^Uid:/ { print $2 }' "/proc/$(property other Leader)/status")" \
        --argjson shared "$(stat -c %i /srv/images/shared)" --arg runtime "$runtime" \
        '{real: $real, runtime: $runtime, no_pid: 4194303, vmd: $vmd, other: "other", other_qemu: $qemu, other_guard: $guard,
          other_guard_uid: $guard_uid, self: "taken", image: "/srv/images/others", setuid: "/usr/local/bin/hostile-qemu-id",
          writable: "/usr/local/share/hostile-qemu-file", node: "/opt/taken/node", read_only_inode: $shared, tcp: 4321, vsock: 4321,
          address: "192.0.2.1", abstract: "hostile-qemu", bomb: 200}' > /opt/taken/facts
    victims+=(1 "$(vmd_pid)" "$(qemu_pid other)" "$(property other Leader)" "$(unit_property dbus.service MainPID)"
        "$(unit_property systemd-journald.service MainPID)" "$(unit_property user@1000.service MainPID)")
}

# in_scope COMMAND...: as root in the scope of "other": what it prints. It shows whether the kernel does what systemd was told.
in_scope() {
    # shellcheck disable=SC2016
    bash -c 'echo $$ > "$0/cgroup.procs" && exec "$@" 2>&1' "/sys/fs/cgroup$(unit_property vm-other.scope ControlGroup)" "$@" || true
}

# A container may have no device policies. Where there are, /dev/kvm is for all by its mode.
prepare_devices() {
    local mode=660
    mknod /root/none b 240 0
    if [[ $(in_scope head -c 1 /root/none) == *"Operation not permitted"* ]]; then
        device_policy=yes mode=666
        mknod /root/mem c 1 1
        assert_matches "root reads memory in a VM's scope" "Operation not permitted" "$(in_scope head -c 1 /root/mem)"
    fi
    # Not the host's own, whose mode may be anything.
    umount /dev/kvm 2> /dev/null || true
    rm -f /dev/kvm
    mknod -m "$mode" /dev/kvm c 10 232 || echo "this container gets no /dev/kvm"
}

take_over() {
    define_vm taken QEMU.Binary=/opt/taken/qemu "Disk a.Source=/srv/images/own" "Disk b.Source=/srv/images/shared" \
        "Disk b.ReadOnly=yes" "$@"
    vmctl start taken
    guest_prints taken TRIED 30
    victims+=("$(property taken Leader)")
    victims_before=$(victims_now)
    assert_equal "the number of victims" ${#victims[@]} "$(wc -l <<< "$victims_before")"
    tried=$(printed taken | sed -n 's/^TRY //p')
}

victims_now() { ps -o pid=,lstart=,comm= -p "$(IFS=,; echo "${victims[*]}")"; }

# refused ROW ATTEMPT=OUTCOME...: these were all the attempts of the row, and they ended so; OUTCOME is an extended regex.
refused() {
    local row=$1 one there
    shift
    there=$(sed -n "s/^$row //p" <<< "$tried")
    for one; do
        assert_matches "$row" "^${one%%=*} (${one#*=})\$" "$there"
    done
    assert_equal "attempts of $row" $# "$(wc -l <<< "$there")"
    rows+=("$row")
}

for_each_victim() { # for_each_victim PREFIX OUTCOME: attempts in $each
    each+=("$1-vmd=$2" "$1-guard=$2" "$1-init=$2" "$1-other-qemu=$2" "$1-other-guard=$2")
}

all_is_refused() {
    local each root='bin,dev,etc,lib(,lib32)?(,lib64)?(,libx32)?,opt,proc,sbin,tmp,usr,var'
    local process=EPERM id=EPERM guard_uid=EPERM init_root=ENOENT reopened=EACCES
    if [[ $1 != root ]]; then
        # Others are not there in its PID namespace, where it is init itself; its user namespace has no other ids, and the one
        # that it has is its guard's and the images' owner.
        process=ESRCH id=EINVAL guard_uid=DONE init_root=$root reopened=DONE
    fi
    local no_ring='ENOENT|EPERM|ENOSYS' # io_uring may be off altogether
    refused image open=ENOENT proc-fd=ENOENT proc-root=ENOENT pidfd-getfd=$process io-uring="$no_ring"
    refused memory proc-mem=ENOENT process-vm-readv=EPERM ptrace-attach=EPERM ptrace-seize=EPERM
    refused sockets monitor=ENOENT agent=ENOENT console=ENOENT folder=ENOENT
    refused shadow open=ENOENT io-uring="$no_ring"
    refused host-files passwd=ENOENT /="$root" /etc=ld.so.cache /var/tmp=empty \
        /proc/1/root="$init_root" {/home,/root,/run,/sys,/boot,/proc/sys,/proc/guard/root,/proc/guard/cwd}=ENOENT
    each=()
    for_each_victim see ENOENT
    for_each_victim kill $process
    refused processes list=none "${each[@]}" {pidfd-kill,prlimit}=$process
    refused dbus system=ENOENT user=ENOENT private=ENOENT journal=ENOENT abstract=ECONNREFUSED
    refused devices mknod-char=EPERM mknod-block=EPERM mem=ENOENT sda=ENOENT list='full(,kvm)?,null,random,urandom,zero' \
        kvm="$([[ -n $device_policy ]] && echo EPERM || echo EACCES)|ENOENT" node-of-host=EACCES
    refused raw-socket inet=EPERM inet6='EPERM|EAFNOSUPPORT'
    refused packet-socket raw=EAFNOSUPPORT dgram=EAFNOSUPPORT
    refused network {tcp,tcp-host}=ENETUNREACH tcp6='EADDRNOTAVAIL|ENETUNREACH|EAFNOSUPPORT' interfaces=lo
    refused netlink link-up=EAFNOSUPPORT
    refused families vsock=EAFNOSUPPORT socket=none socketpair=none i386='ENOSYS|NOTHING' x32=ENOSYS
    refused calls {add_key,keyctl,bpf,perf_event_open,userfaultfd,kcmp}=EPERM
    each=()
    for_each_victim attach EPERM
    for_each_victim seize EPERM
    for_each_victim read EPERM
    refused ptrace "${each[@]}"
    refused mounts {mount,bind,remount,umount,pivot-root,chroot,open-tree,fsopen,setns}=EPERM setns-guard=$process \
        unshare-{mount,net,pid}=EPERM
    refused user-namespace {unshare,clone,clone3}=EPERM above=empty
    refused privileges {setuid,setgid}=$id setresuid-guard=$guard_uid {setgroups,capset,ambient}=EPERM setuid-program=no-gain \
        no-new-privs-off=EINVAL
    refused write {/file,/usr/file,/dev/file,/usr/local/share/hostile-qemu-file}=EROFS /etc/ld.so.cache='EACCES|EROFS' \
        {/run/file,/sys/file,/proc/sys/kernel/hostname,/proc/guard/oom_score_adj}=ENOENT read-only-disk=$reopened oom-score=EACCES
}

has_what_was_given() {
    inode() { stat -c %i "$1"; }
    printf '%s\n' /dev/null /memfd:ram pipe pipe "file:$(inode "$(guest_kernel)"):read" "file:$(inode "$guest/initrd"):read" \
        "file:$(inode /srv/images/own):"{read,written} "file:$(inode /srv/images/shared):read" \
        AF_UNIX:{monitor,agent,pair,pair} | sort > "$work/given"
    rows+=(fds)
    assert_equal "its descriptors" "$(cat "$work/given")" "$(sed -n 's/^fds given //p' <<< "$tried" | sort)"
}

does() { # does WORD: and has done it
    mark_console taken
    type_in taken "$1"
    guest_prints taken "DID $1" 30
    tried=$(printed taken | sed -n 's/^TRY //p')
}
