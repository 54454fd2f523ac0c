#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a swtpm could become that a guest has taken over, for a-hostile-swtpm-is-contained.test: it tries what it can, writes into its folder how
each attempt ended ("tried": WORD OUTCOME, an errno or DONE), forks, and then is the swtpm that QEMU waits for."""

import ctypes
import errno
import os
import re
import signal
import socket
import sys

libc = ctypes.CDLL(None, use_errno=True)
OWN = re.search(r"dir=([^,]*)", " ".join(sys.argv)).group(1)
TRIED = []


def attempt(word, function, *arguments):
    try:
        function(*arguments)
        outcome = "DONE"
    except OSError as error:
        outcome = errno.errorcode[error.errno]
    TRIED.append(f"{word} {outcome}")


def call(name, *arguments):
    ctypes.set_errno(0)
    if getattr(libc, name)(*arguments) == -1:
        raise OSError(ctypes.get_errno(), name)


def connect(family, kind, address):
    with socket.socket(family, kind) as sock:
        sock.settimeout(2)
        sock.connect(address)


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


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def write(path):
    with open(path, "wb") as file:
        file.write(b"x")


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
TRIED.append("fds " + ",".join(sorted(re.sub(r"\[.*", "", os.readlink(f"/proc/self/fd/{fd}")) for fd in os.listdir("/proc/self/fd")
                                      if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}"))))
TRIED.append("root " + ",".join(sorted(os.listdir("/"))))
with open(f"{OWN}/tried", "w", encoding="utf-8") as results:
    results.write("\n".join(TRIED) + "\n")
if os.fork() == 0:  # what it leaves behind, in a session of its own
    os.setsid()
    os.execv("/usr/bin/sleep", ["sleep", "1000"])
os.execv("/usr/bin/swtpm", ["/usr/bin/swtpm", *sys.argv[1:]])
