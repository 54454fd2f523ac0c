#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a swtpm could become that a guest has taken over, for a-hostile-swtpm-is-contained.test: it tries what it can, writes into its folder how
each attempt ended ("tried": WORD OUTCOME, an errno or DONE), forks, and then is the swtpm that QEMU waits for."""

import errno
import os
import re
import signal
import socket
import sys

from attempts import attempt, call, connect, look_around, note, read, write

OWN = re.search(r"dir=([^,]*)", " ".join(sys.argv)).group(1)


def large_file():
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        with open(f"{OWN}/large", "wb") as file:
            for _ in range(64):
                file.write(bytes(1 << 20))
                file.flush()
        os._exit(0)
    status = os.waitpid(pid, 0)[1]
    os.unlink(f"{OWN}/large")
    if os.WIFSIGNALED(status):
        raise OSError(errno.EFBIG, "large")


for path in ("/etc/shadow", "/run/vmd/spawn", "/home", "/root", "/dev/kvm", "/dev/mem", "/srv/disk.qcow2", "/var/lib/vmd/saved"):
    attempt("read" + path, read, path)
attempt("other", os.listdir, os.path.dirname(OWN) + "/other")
for path in ("/usr/bin/made", "/made", "/dev/made", OWN + "/../made", "/etc/made", "/proc/sys/kernel/hostname"):
    attempt("write" + path.replace(OWN, ""), write, path)
attempt("own", write, OWN + "/made")
attempt("hard-link", os.link, "/usr/bin/env", OWN + "/env")
attempt("large-file", large_file)
attempt("all", os.kill, -1, signal.SIGTERM)
attempt("setuid", os.setuid, 0)
attempt("setgroups", os.setgroups, [0])
attempt("tcp", connect, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 4321))
attempt("abstract", connect, socket.AF_UNIX, socket.SOCK_STREAM, b"\0hostile-swtpm")
attempt("netlink", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0)
attempt("packet", socket.socket, socket.AF_PACKET, socket.SOCK_RAW, 0)
attempt("vsock", socket.socket, 40, socket.SOCK_STREAM, 0)
attempt("mount", call, "mount", b"none", b"/tmp", b"tmpfs", 0, None)
attempt("user-namespace", call, "unshare", 0x10000000)
attempt("mknod", os.mknod, OWN + "/node", 0o20666, os.makedev(1, 1))
attempt("chroot", os.chroot, "/tmp")
look_around()
note(f"{OWN}/tried")
if os.fork() == 0:  # what it leaves behind, in a session of its own
    os.setsid()
    os.execv("/usr/bin/sleep", ["sleep", "1000"])
os.execv("/usr/bin/swtpm", ["/usr/bin/swtpm", *sys.argv[1:]])
