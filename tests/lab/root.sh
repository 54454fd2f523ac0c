# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A root file system for a throw-away container or machine: an overlay over this machine's own /, on a tmpfs, without
# what this machine is configured to do. To be sourced; needs a mount namespace of the caller's own.

# They would cost time and show nothing.
common_masks=(systemd-{update-utmp,update-utmp-runlevel,networkd,resolved,timesyncd,hwdb-update}.service
    ldconfig.service e2scrub_reap.service console-getty.service getty.target timers.target remote-fs.target
    systemd-ask-password-wall.path modprobe@.service dev-{hugepages,mqueue}.mount sys-kernel-{debug,tracing,config}.mount
    sys-fs-fuse-connections.mount)

mount_root() { # mount_root DIR: makes DIR/root
    local dir=$1
    mkdir -p "$dir"
    mount -t tmpfs -o mode=755 lab "$dir"
    mkdir "$dir"/{upper,work,root}
    mount -t overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" lab "$dir/root"
}

mask_units() { # mask_units ROOT UNIT...
    local root=$1 unit
    shift
    for unit; do
        ln -sf /dev/null "$root/etc/systemd/system/$unit"
    done
}

# Units that an administrator enabled do not start in it; an unprivileged user, alice (uid 1000), is there and has a
# running user manager. Each STAGE is a tree, as DESTDIR= leaves it, that is laid over the root.
prepare_root() { # prepare_root ROOT STAGE...
    local root=$1 tree
    shift
    rm -f "$root/.dockerenv" "$root/etc/resolv.conf"
    systemd-id128 new > "$root/etc/machine-id"
    echo lab > "$root/etc/hostname"
    : > "$root/etc/fstab"
    : > "$root/etc/resolv.conf"
    rm -rf "$root"/etc/systemd/{system,user,network} "$root"/etc/systemd/*.conf.d "$root"/etc/rc?.d "$root"/var/log/journal
    mkdir -p "$root"/etc/systemd/{system,user,system-generators,journald.conf.d,system.conf.d}
    mask_units "$root" "${common_masks[@]}"
    printf '[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nForwardToConsole=no\n' \
        > "$root/etc/systemd/journald.conf.d/lab.conf"
    printf '[Manager]\nDefaultTimeoutStopSec=20s\n' > "$root/etc/systemd/system.conf.d/lab.conf"

    sed -i '/^[^:]*:[^:]*:1000:/d; /^alice:/d' "$root"/etc/{passwd,group}
    sed -i '/^alice:/d' "$root/etc/shadow"
    echo 'alice:x:1000:1000:Alice:/home/alice:/bin/bash' >> "$root/etc/passwd"
    echo 'alice:x:1000:' >> "$root/etc/group"
    echo 'alice:!:19000::::::' >> "$root/etc/shadow"
    rm -rf "$root/home/alice"
    install -d -m 700 -o 1000 -g 1000 "$root/home/alice"
    mkdir -p "$root/var/lib/systemd/linger"
    : > "$root/var/lib/systemd/linger/alice"

    for tree; do
        tar -C "$tree" -c . | tar -C "$root" -x --no-overwrite-dir --keep-directory-symlink --no-same-owner
    done
    systemd-sysusers --root="$root" > /dev/null 2>&1 || true
}
