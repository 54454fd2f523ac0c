#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""redirection-client.py VM ACTION...: lends a VM USB devices by OpenUSBRedirection(), without any device.

open: opens one and prints how the other side calls itself. hold: waits until the other side has closed all, or stdin ends. fill: as many as there may
be. rush N: N times opened and closed. kick: two hellos, two devices and the end of both, in one connection. garbage: what is no usbredir."""

import os
import select
import socket
import struct
import sys

from gi.repository import Gio, GLib

bus = Gio.bus_get_sync(Gio.BusType.SYSTEM)
path = "/org/vmd1/vm/" + "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):02x}" for c in sys.argv[1])
sockets = []


def open_one(name="a test's"):
    reply, fds = bus.call_with_unix_fd_list_sync("org.vmd1", path, "org.vmd1.VM", "OpenUSBRedirection", GLib.Variant("(a{sv})", ({"name": GLib.Variant("s", name)},)),
                                                 GLib.VariantType("(h)"), Gio.DBusCallFlags.NONE, 30000, None, None)
    sockets.append(socket.socket(fileno=fds.get(reply[0])))
    sockets[-1].settimeout(30)
    return sockets[-1]


def packet(kind, body, id_size):
    return struct.pack("<II", kind, len(body)) + bytes(id_size) + body


HELLO = packet(0, b"a test's".ljust(64, b"\0") + struct.pack("<I", 0), 4)
DEVICE = packet(1, struct.pack("<BBBBHH", 2, 0, 0, 0, 0x951, 0x1666), 4)
GONE = packet(2, b"", 4)


def hello(peer):
    kind, _length, _id = struct.unpack("<III", peer.recv(12, socket.MSG_WAITALL))
    return f"{kind} {peer.recv(64, socket.MSG_WAITALL).split(bytes(1))[0].decode().split()[0]}"


def error(e):
    return Gio.DBusError.get_remote_error(e) or e.message


def main():
    words = iter(sys.argv[2:])
    for word in words:
        try:
            if word == "open":
                print("open:", hello(open_one()))
            elif word == "kick":
                peer = open_one()
                for part in (HELLO, DEVICE, HELLO, DEVICE, GONE, GONE, HELLO):
                    peer.sendall(part)
                print("kick:", hello(peer))
            elif word == "garbage":
                open_one().sendall(os.urandom(1 << 20))
                print("garbage: sent")
            elif word == "rush":
                for _ in range(int(next(words))):
                    open_one().close()
                print("rush: done")
            elif word == "fill":
                while True:
                    open_one()
            elif word == "hold":
                print("hold", flush=True)
                left = list(sockets)
                while left:
                    for ready in select.select([sys.stdin, *left], [], [])[0]:
                        if ready is sys.stdin:
                            return
                        try:
                            data = ready.recv(4096)
                        except ConnectionResetError:
                            data = b""
                        if not data:
                            left.remove(ready)
                print("all closed", flush=True)
                sys.stdin.read()
        except GLib.Error as e:
            print(f"{word}: {len(sockets)} {error(e)}", flush=True)
        except OSError as e:
            print(f"{word}: {e.strerror}", flush=True)


main()
