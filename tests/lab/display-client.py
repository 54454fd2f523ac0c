#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""display-client.py VM ACTION...: opens displays of a VM, as a program of the desktop does, and says what it finds.

spice, vnc, dbus: opens one, speaks the protocol's first words and prints the answer. garbage: a SPICE one that gets nonsense. fill: as many
as there may be. hold: waits until the other side closes them all, or stdin ends. rush N: N times opened and closed, nothing read.
deaf N: a SPICE client that wants the picture, and N VNC ones that ask for it without end; none of them reads it. knock N: tries N times to open a
SPICE one, and keeps what it gets. listen: a D-Bus one that is shown the screen, and says its size and most frequent colour.
look: a VNC one that does."""

import collections
import hashlib
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


LISTENER = """<node><interface name="org.qemu.Display1.Listener">
<method name="Scanout"><arg type="u" direction="in"/><arg type="u" direction="in"/><arg type="u" direction="in"/><arg type="u" direction="in"/>
<arg type="ay" direction="in"/></method></interface></node>"""


def listen():
    loop, found = GLib.MainLoop(), []

    def on_method(_connection, _sender, _path, _interface, _method, parameters, invocation):
        width, height, stride = (parameters.get_child_value(i).get_uint32() for i in range(3))
        pixels = parameters.get_child_value(4).get_data_as_bytes().get_data()
        colours = collections.Counter(pixels[y * stride + x:y * stride + x + 3] for y in range(height) for x in range(0, width * 4, 16))
        found.append(f"{width}x{height} {colours.most_common(1)[0][0][::-1].hex()}")
        invocation.return_value(None)
        loop.quit()

    def connect(peer, flags=Gio.DBusConnectionFlags.NONE):
        stream = Gio.Socket.new_from_fd(os.dup(peer.fileno())).connection_factory_create_connection()
        return Gio.DBusConnection.new_sync(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT | flags, None, None)

    there = connect(open_display("dbus"))
    ours, theirs = socket.socketpair()
    fds = Gio.UnixFDList.new()
    fds.append(theirs.fileno())
    # QEMU waits for the authentication before it answers.
    there.call_with_unix_fd_list(None, "/org/qemu/Display1/Console_0", "org.qemu.Display1.Console", "RegisterListener", GLib.Variant("(h)", (0,)), None, 0,
                                 30000, fds, None, None)
    here = connect(ours, Gio.DBusConnectionFlags.DELAY_MESSAGE_PROCESSING)
    here.register_object("/org/qemu/Display1/Listener", Gio.DBusNodeInfo.new_for_xml(LISTENER).interfaces[0], on_method, None, None)
    here.start_message_processing()
    GLib.timeout_add_seconds(20, loop.quit)
    loop.run()
    print(f"listen: {found[0] if found else 'nothing'}")


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


def read(peer, size):
    data = b""
    while len(data) < size:
        more = peer.recv(size - len(data))
        if not more:
            raise EOFError
        data += more
    return data


def ticket(key):
    """No password, for that key: RSA with OAEP, of 1024 bits."""
    def mask(data, seed):
        stream = b"".join(hashlib.sha1(seed + struct.pack(">I", i)).digest() for i in range(len(data) // 20 + 1))
        return bytes(a ^ b for a, b in zip(data, stream))

    seed = os.urandom(20)
    block = mask(hashlib.sha1().digest() + bytes(128 - 43) + b"\1\0", seed)
    padded = int.from_bytes(mask(seed, block) + block, "big")
    return pow(padded, 65537, int.from_bytes(key[29:157], "big")).to_bytes(128, "big")


def link(session, kind):
    """A channel of SPICE, up to where its messages begin."""
    peer = open_display("spice")
    message = struct.pack("<IBBIII", session, kind, 0, 0, 0, 18)
    peer.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, len(message)) + message)
    size = struct.unpack("<4sIII", read(peer, 16))[3]
    peer.sendall(ticket(read(peer, size)[4:]))
    assert read(peer, 4) == bytes(4)
    return peer


def vnc_session():
    """Of VNC, up to where the client speaks; how large the screen is."""
    peer = open_display("vnc")
    read(peer, 12)
    peer.sendall(b"RFB 003.008\n")
    read(peer, read(peer, 1)[0])
    peer.sendall(b"\x01")
    read(peer, 4)
    peer.sendall(b"\x01")
    width, height, size = struct.unpack(">HH16xI", read(peer, 24))
    read(peer, size)
    return peer, width, height


def look():
    peer, width, height = vnc_session()
    peer.sendall(struct.pack(">BBHi", 2, 0, 1, 0) + struct.pack(">BBHHHH", 3, 0, 0, 0, width, height))
    colours = collections.Counter()
    for _ in range(struct.unpack(">xxH", read(peer, 4))[0]):
        _x, _y, columns, lines, _encoding = struct.unpack(">HHHHi", read(peer, 12))
        pixels = read(peer, columns * lines * 4)
        colours.update(pixels[i:i + 3] for i in range(0, len(pixels), 16))
    print(f"look: {width}x{height} {colours.most_common(1)[0][0][::-1].hex()}")


def hold_vnc():
    peer, width, height = vnc_session()
    peer.sendall(struct.pack(">BBHI", 4, 1, 0, ord("a")) + struct.pack(">BBHH", 5, 1, width // 2, height // 2))
    print("hold-vnc")


def hold_dbus():
    stream = Gio.Socket.new_from_fd(os.dup(open_display("dbus").fileno())).connection_factory_create_connection()
    there = Gio.DBusConnection.new_sync(stream, None, Gio.DBusConnectionFlags.AUTHENTICATION_CLIENT, None, None)
    for interface, method, arguments in [("Keyboard", "Press", GLib.Variant("(u)", (30,))), ("Mouse", "SetAbsPosition", GLib.Variant("(uu)", (100, 100))),
                                         ("Mouse", "Press", GLib.Variant("(u)", (0,)))]:
        there.call_sync(None, "/org/qemu/Display1/Console_0", f"org.qemu.Display1.{interface}", method, arguments, None, 0, 30000, None)
    globals()["keep"] = there
    print("hold-dbus")


def deaf(times):
    main = link(0, 1)
    size = struct.unpack("<QHII", read(main, 18))[2]
    session = struct.unpack("<I", read(main, size)[:4])[0]
    body = struct.pack("<BqBi", 1, 1 << 20, 1, 1 << 20)
    link(session, 2).sendall(struct.pack("<QHII", 1, 101, len(body), 0) + body)
    for _ in range(int(times)):
        peer = vnc_session()[0]
        peer.setblocking(False)
        try:
            for _ in range(1000):
                peer.send(struct.pack(">BBHHHH", 3, 0, 0, 0, 4096, 4096) * 10)
        except BlockingIOError:
            pass
    print(f"deaf: {len(sockets)}")


def knock(times):
    refused = collections.Counter()
    for _ in range(int(times)):
        try:
            open_display("spice")
        except GLib.Error as error:
            refused[Gio.DBusError.get_remote_error(error)] += 1
    print(f"knock: {len(sockets)} {dict(refused)}")


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


actions = {"spice": spice, "vnc": vnc, "dbus": dbus, "listen": listen, "garbage": garbage, "fill": fill, "hold": hold, "rush": rush, "deaf": deaf, "knock": knock,
           "hold-vnc": hold_vnc, "hold-dbus": hold_dbus, "look": look}
words = iter(sys.argv[2:])
for word in words:
    try:
        actions[word](next(words)) if word in ("rush", "deaf", "knock") else actions[word]()
    except GLib.Error as error:
        print(f"{word}: {Gio.DBusError.get_remote_error(error)}")
    sys.stdout.flush()
