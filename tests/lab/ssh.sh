# shellcheck shell=bash
# SPDX-License-Identifier: LGPL-2.1-or-later
#
# A guest that has an SSH server, one of this host's, and a key that gets in. To be sourced after lib.sh.

# shellcheck disable=SC2154 # lib.sh has it

# add_ssh_server INITRD: that initramfs with sshd, its settings in /etc/ssh/config, two keys of its own, /etc/ssh/first and second, and root, who
# lets /root/.ssh/id_ed25519 in, which is made.
add_ssh_server() {
    local root=$work/root program library
    mkdir -p "$root"/{etc/ssh,run/sshd,root/.ssh,usr/sbin,usr/lib/openssh} /root/.ssh
    chmod 755 "$work"
    chmod 700 "$root/run/sshd"
    [[ -e /root/.ssh/id_ed25519 ]] || ssh-keygen -q -t ed25519 -N '' -f /root/.ssh/id_ed25519
    cp /root/.ssh/id_ed25519.pub "$root/root/.ssh/authorized_keys"
    ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/first"
    ssh-keygen -q -t ed25519 -N '' -f "$root/etc/ssh/second"
    for program in /usr/sbin/sshd /usr/lib/openssh/sftp-server; do
        cp "$program" "$root$program"
        while read -r library; do
            install -D -m 755 "$library" "$root/$library"
        done < <(ldd "$program" | sed -n 's|^\t\(.* => \)\{0,1\}\(/[^ ]*\) (.*|\2|p')
    done
    printf 'root:x:0:0:root:/root:/bin/sh\nsshd:x:100:100::/run/sshd:/bin/false\n' > "$root/etc/passwd"
    printf 'root:*:1::::::\n' > "$root/etc/shadow"
    printf 'Subsystem sftp /usr/lib/openssh/sftp-server\nUsePAM no\nStrictModes no\nPermitRootLogin yes\nSetEnv PATH=/bin\n' > "$root/etc/ssh/config"
    cat "$1"
    (cd "$root" && find . ! -name . | cpio --quiet -o -H newc -R 0:0)
}

# start_ssh_server NAME first|second: in the guest NAME, in place of the one that runs. sshd is in the background before it listens.
start_ssh_server() {
    local listens="grep -q ':0016 00000000:0000 0A' /proc/net/tcp"
    in_guest "$1" "killall sshd 2> /dev/null; while $listens; do sleep 0.1; done; /usr/sbin/sshd -f /etc/ssh/config -h /etc/ssh/$2; until $listens; do sleep 0.1; done" > /dev/null
}

# serve_ssh PORT: this host's, on 127.0.0.1, which lets root in by /root/.ssh/id_ed25519 and has the PID file /run/sshd-PORT.pid.
serve_ssh() {
    local port=$1 key
    mkdir -p /run/sshd /root/.ssh
    chmod 700 /root /root/.ssh
    for key in /root/.ssh/id_ed25519 /etc/ssh/vmd_test_key; do
        [[ -e $key ]] || ssh-keygen -q -t ed25519 -N '' -f "$key"
    done
    cp /root/.ssh/id_ed25519.pub /root/.ssh/authorized_keys
    /usr/sbin/sshd -f /dev/null -p "$port" -h /etc/ssh/vmd_test_key -o ListenAddress=127.0.0.1 -o PermitRootLogin=yes -o UsePAM=no -o StrictModes=no \
        -o PidFile="/run/sshd-$port.pid"
    eventually 10 bash -c ": < /dev/tcp/127.0.0.1/$port"
}
