#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a vmd-spice could become that a client has taken over, for a-hostile-vmd-spice-is-contained.test: it tries what it can and says on stderr how each attempt
ended; then, the first time, it is a vmd-spice that answers and shows nothing, and later one that says what vmd does not want to hear."""

import os
import re
import signal
import socket
import sys

from attempts import TRIED, attempt, call, connect, look_around, read, write

words = " ".join(sys.argv)
listening = socket.socket(fileno=int(re.search(r"--listen=(\d+)", words).group(1)))
name = re.search(r"--name=(\S+)", words).group(1)
ports = f"/run/vmd/vm/{name}/ports"

for path in ("/etc/shadow", "/run/vmd/spawn", "/home", "/root", "/dev/kvm", "/dev/mem", "/srv/disk.qcow2", "/var/lib/vmd/saved", "/proc/1/root",
             ports + "/../record", ports + "/../monitor"):
    attempt("read" + path.replace(ports, ""), read, path)
for path in ("/usr/bin/made", "/made", "/dev/made", ports + "/made", "/etc/made", "/proc/sys/kernel/hostname"):
    attempt("write" + path.replace(ports, ""), write, path)
for place in ("../monitor", "../agent", "../console", "../bridge", "../../other/ports/vdagent"):
    attempt("unix/" + place, connect, socket.AF_UNIX, socket.SOCK_STREAM, os.path.join(ports, place))
attempt("own", connect, socket.AF_UNIX, socket.SOCK_STREAM, ports + "/vdagent")
attempt("unlink", os.unlink, ports + "/vdagent")
attempt("all", os.kill, -1, signal.SIGTERM)
attempt("tcp", connect, socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 4321))
attempt("abstract", connect, socket.AF_UNIX, socket.SOCK_STREAM, b"\0hostile-spice")
attempt("netlink", socket.socket, socket.AF_NETLINK, socket.SOCK_RAW, 0)
attempt("setuid", os.setuid, 0)
attempt("mount", call, "mount", b"none", b"/tmp", b"tmpfs", 0, None)
attempt("umount", call, "umount2", b"/", 2)
attempt("user-namespace", call, "unshare", 0x10000000)
attempt("chroot", os.chroot, "/tmp")
look_around()
print("\n".join(f"TRY {line}" for line in TRIED), file=sys.stderr, flush=True)

vmd, _ = listening.accept()
if name == "talks":
    vmd.recv(512)  # else it is not a vmd-spice yet
    while True:
        vmd.send(b"pong 1")
elif name == "lies":
    vmd.recv(512)
    vmd.send(b"initialized " + b"\xff" * 200)
elif name == "wants":
    vmd.recv(512)
    vmd.send(b"wants ../monitor")
elif name == "asks":
    while True:
        vmd.recv(512)
        vmd.send(b"display-lost")
while word := vmd.recv(512):
    if word.startswith(b"ping"):
        vmd.send(b"pong" + word[4:])
