#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a virtiofsd could become that a guest has taken over, for a-hostile-virtiofsd-is-contained.test: it tries what it can, writes into the
folder how each attempt ended ("tried"), and then is the virtiofsd that QEMU waits for."""

import os
import re
import signal
import socket
import sys

from attempts import attempt, call, connect, look_around, note, read, write

OWN = re.search(r"source=([^,]*)", " ".join(sys.argv)).group(1)


def read_disk():
    os.mknod(OWN + "/disk", 0o60666, os.makedev(254, 0))
    read(OWN + "/disk")


def write_file_of_root():
    os.setresuid(0, 0, 0)
    write(OWN + "/roots")


def join_namespace():
    with open("/proc/self/ns/user", "rb") as namespace:
        call("setns", namespace.fileno(), 0)


def climb_out():
    """The old way out of a chroot()."""
    os.mkdir("/tmp/inner")
    os.chroot("/tmp/inner")
    os.chdir("../../../../../..")
    os.chroot(".")
    os.listdir("home")


attempt("own", write, OWN + "/made")
for path in ("/etc/shadow", "/run/vmd/spawn", "/home", "/root", "/dev/kvm", "/dev/mem", "/srv/secret", "/var/lib/vmd/saved", "/proc/1/root",
             OWN + "/../srv/secret", OWN + "/../../srv/secret", OWN + "/out", OWN + "/absolute", "/proc/sys/kernel/core_pattern"):
    attempt("read" + path.replace(OWN, ""), read, path)
for path in ("/usr/bin/made", "/made", "/dev/made", OWN + "/../etc/made", "/etc/made", "/proc/sys/kernel/core_pattern", "/proc/sys/fs/file-max"):
    attempt("write" + path.replace(OWN, ""), write, path)
attempt("disk", read_disk)
attempt("foreign", write_file_of_root)
attempt("all", os.kill, -1, signal.SIGTERM)
attempt("tcp", connect, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 4321))
attempt("abstract", connect, socket.AF_UNIX, socket.SOCK_STREAM, b"\0hostile-swtpm")
attempt("netlink", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0)
attempt("vsock", socket.socket, 40, socket.SOCK_STREAM, 0)
attempt("mount", call, "mount", b"none", b"/tmp", b"tmpfs", 0, None)
attempt("proc", call, "mount", b"proc", b"/tmp", b"proc", 0, None)
attempt("remount", call, "mount", b"none", OWN.encode(), None, 0x1020, None)
attempt("umount", call, "umount2", b"/", 2)
attempt("user-namespace", call, "unshare", 0x10000000)
attempt("mount-namespace", call, "unshare", 0x20000)
attempt("setns", join_namespace)
attempt("hostname", socket.sethostname, "hostile")
attempt("hard-link", os.link, "/usr/bin/env", OWN + "/env")
look_around()
results = os.open(OWN + "/tried", os.O_WRONLY | os.O_CREAT, 0o644)
if os.fork() == 0:
    attempt("climb", climb_out)
    attempt("user-namespace-outside", call, "unshare", 0x10000000)
    note(results)
    os._exit(0)
os.wait()
os.execv("/usr/lib/qemu/virtiofsd", ["/usr/lib/qemu/virtiofsd", *sys.argv[1:]])
