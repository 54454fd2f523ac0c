#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""display-client.py VM ACTION...: opens displays of a VM, as a program of the desktop does, and says what it finds.

spice, vnc, dbus: opens one, speaks the protocol's first words and prints the answer. garbage: a SPICE one that gets nonsense. fill: as many
as there may be. hold: waits until the other side closes them all, or stdin ends. rush N: N times opened and closed, nothing read."""

import os
import select
import socket
import struct
import sys

from gi.repository import Gio, GLib

bus = Gio.bus_get_sync(Gio.BusType.SESSION if os.environ.get("USER_BUS") else Gio.BusType.SYSTEM)
path = "/org/vmd1/vm/" + "".join(c if c.isalnum() and c.isascii() else f"_{ord(c):02x}" for c in sys.argv[1])
sockets = []


def open_display(kind):
    reply, fds = bus.call_with_unix_fd_list_sync("org.vmd1", path, "org.vmd1.VM", "OpenDisplay", GLib.Variant("(s)", (kind,)),
                                                 GLib.VariantType("(h)"), Gio.DBusCallFlags.NONE, 30000, None, None)
    sockets.append(socket.socket(fileno=fds.get(reply[0])))
    sockets[-1].settimeout(30)
    return sockets[-1]


def spice():
    peer = open_display("spice")
    message = struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
    peer.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, len(message)) + message)
    magic, major, _minor, _size, error = struct.unpack("<4sIIII", peer.recv(20, socket.MSG_WAITALL))
    print(f"spice: {magic.decode()} {major} error {error}")


def vnc():
    print(f"vnc: {open_display('vnc').recv(12, socket.MSG_WAITALL).decode().strip()}")


def dbus():
    peer = open_display("dbus")
    stream = Gio.Socket.new_from_fd(os.dup(peer.fileno())).connection_factory_create_connection()
    there = Gio.DBusConnection.new_sync(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
    name = there.call_sync(None, "/org/qemu/Display1/VM", "org.freedesktop.DBus.Properties", "Get", GLib.Variant("(ss)", ("org.qemu.Display1.VM", "Name")),
                           None, 0, 30000, None)
    print(f"dbus: {name[0]}")
    globals()["keep"] = there


def garbage():
    peer = open_display("spice")
    peer.sendall(b"\xff" * 64)
    while peer.recv(4096):
        pass
    print("garbage: closed")


def fill():
    try:
        while True:
            open_display("vnc")
    except GLib.Error as error:
        print(f"fill: {len(sockets)} {Gio.DBusError.get_remote_error(error)}")


def rush(times):
    for _ in range(int(times)):
        for kind in ("spice", "vnc"):
            open_display(kind)
            sockets.pop().close()
    print("rush: done")


def hold():
    print("hold", flush=True)
    left = list(sockets)
    for peer in left:
        peer.setblocking(False)
    while left:
        ready, _, _ = select.select([sys.stdin, *left], [], [])
        if sys.stdin in ready:
            return
        for peer in ready:
            try:
                ended = not peer.recv(65536)
            except OSError:
                ended = True
            if ended:
                left.remove(peer)
    print("hold: all closed")


actions = {"spice": spice, "vnc": vnc, "dbus": dbus, "garbage": garbage, "fill": fill, "hold": hold}
words = iter(sys.argv[2:])
for word in words:
    try:
        rush(next(words)) if word == "rush" else actions[word]()
    except GLib.Error as error:
        print(f"{word}: {Gio.DBusError.get_remote_error(error)}")
    sys.stdout.flush()
