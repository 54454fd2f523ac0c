#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""remote-client.py ACTION HOST PORT [ARGUMENT...]: a viewer on another host.

spice PASSWORD CA: spice-gtk's client: says how large the screen is and how many channels there are, when all are open, or why it is not let in; then waits for the
end of stdin, or of the connection; not with $LOOK_ONLY. vnc PASSWORD CA: the same by VeNCrypt (X509Vnc), which Python's TLS and openssl's DES do.
plain, vnc-plain: tries it without TLS. silent N: makes so many connections, says nothing, and how many were closed when stdin ends."""

import os
import select
import socket
import ssl
import struct
import subprocess
import sys

action, host, port, *rest = sys.argv[1:]


once = "LOOK_ONLY" in os.environ


def say(*words):
    print(*words, flush=True)


def connect():
    peer = socket.create_connection((host, int(port)), timeout=30)
    return peer


def wait(peer):
    ready, _, _ = select.select([sys.stdin, peer], [], [])
    say("closed" if peer in ready else "left")


def spice(password, ca):
    import gi
    gi.require_version("SpiceClientGLib", "2.0")
    from gi.repository import GLib, GObject, SpiceClientGLib as Spice
    on = GObject.Object.connect
    loop, offered, opened, said = GLib.MainLoop(), set(), set(), []
    session = Spice.Session(host=host, tls_port=port, password=password, ca_file=ca)

    def on_event(channel, event):
        if event == Spice.ChannelEvent.OPENED:
            opened.add(channel)
        elif event == Spice.ChannelEvent.CLOSED or event.value_nick.startswith("error"):
            say("spice:", event.value_nick)
            loop.quit()

    def on_seen(width, height):
        if opened < offered and not once:
            return True
        say(f"spice: {width}x{height} on {len(opened)} channels")
        if once:
            loop.quit()
        return False

    def on_primary(_channel, _format, width, height, *_rest):
        if not said:
            said.append(True)
            GLib.timeout_add(500, on_seen, width, height)

    def on_new(_session, channel):
        offered.add(channel)
        on(channel, "channel-event", on_event)
        if isinstance(channel, Spice.DisplayChannel):
            on(channel, "display-primary-create", on_primary)
        if not isinstance(channel, Spice.MainChannel):
            Spice.Channel.connect(channel)

    on(session, "channel-new", on_new)
    if not once:
        GLib.io_add_watch(sys.stdin, GLib.PRIORITY_DEFAULT, GLib.IOCondition.IN | GLib.IOCondition.HUP, lambda *_: loop.quit())
    Spice.Session.connect(session)
    loop.run()


def encrypt(password, challenge):
    """DES as VNC has it: each byte of the key the other way round. Three times with one key is once."""
    key = bytes(int(f"{byte:08b}"[::-1], 2) for byte in password.encode()[:8].ljust(8, b"\0"))
    command = ["openssl", "enc", "-des-ede3-ecb", "-nopad", "-K", (key * 3).hex()]
    return subprocess.run(command, input=challenge, capture_output=True, check=True).stdout


def take(peer, n):
    data = b""
    while len(data) < n:
        piece = peer.recv(n - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def vnc(password, ca):
    peer = connect()
    take(peer, 12)
    peer.sendall(b"RFB 003.008\n")
    kinds = take(peer, take(peer, 1)[0])
    assert kinds == bytes([19]), f"other ways in: {list(kinds)}"
    peer.sendall(bytes([19]))
    take(peer, 2)
    peer.sendall(bytes([0, 2]))
    assert take(peer, 1) == b"\0"
    ways = struct.unpack(f">{(n := take(peer, 1)[0])}I", take(peer, 4 * n))
    assert ways == (261,), f"other ways in: {ways}"
    peer.sendall(struct.pack(">I", 261))
    assert take(peer, 1) == b"\1"
    peer = ssl.create_default_context(cafile=ca).wrap_socket(peer, server_hostname=host)
    peer.sendall(encrypt(password, take(peer, 16)))
    if struct.unpack(">I", take(peer, 4))[0] != 0:
        return say("vnc:", take(peer, struct.unpack(">I", take(peer, 4))[0]).decode().rstrip("\0"))
    peer.sendall(b"\1")
    width, height = struct.unpack(">HH", take(peer, 20)[:4])
    name = take(peer, struct.unpack(">I", take(peer, 4))[0]).decode()
    say(f"vnc: {width}x{height} {name}")
    if not once:
        wait(peer)


def plain():
    peer = connect()
    message = struct.pack("<IBBIII", 0, 1, 0, 0, 0, 18)
    peer.sendall(struct.pack("<4sIII", b"REDQ", 2, 2, len(message)) + message)
    try:
        answer = peer.recv(100)
    except ConnectionError:
        answer = b""
    say("plain: answered" if b"REDQ" in answer else "plain: refused")


def vnc_plain():
    peer = connect()
    take(peer, 12)
    peer.sendall(b"RFB 003.008\n")
    kinds = take(peer, take(peer, 1)[0])
    peer.sendall(bytes([2])) # VNC's password, without more
    try:
        answer = peer.recv(100)
    except ConnectionError:
        answer = b""
    # It may say why not; it does not give a challenge of 16 bytes.
    say("plain: refused" if kinds == bytes([19]) and len(answer) != 16 else f"plain: answered {answer!r}")


def silent(n):
    peers = []
    for _ in range(int(n)):
        peers.append(connect())
    say("silent")
    sys.stdin.read()
    closed = 0
    for peer in peers:
        peer.settimeout(0.01)
        try:
            closed += peer.recv(100) == b""
        except TimeoutError:
            pass
        except ConnectionError:
            closed += 1
    say(f"closed: {closed}")


try:
    {"spice": spice, "vnc": vnc, "plain": plain, "vnc-plain": vnc_plain, "silent": silent}[action](*rest)
except (EOFError, ConnectionError):
    say(f"{action}: closed")
except ssl.SSLCertVerificationError:
    say(f"{action}: another certificate")
