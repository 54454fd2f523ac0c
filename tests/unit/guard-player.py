#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Stands in QEMU's place and behaves as badly as a QEMU that its guest has taken over.

guard-player.py PART QMP-FD CONSOLE-FD"""

import os
import socket
import sys
import time

part, qmp, console = sys.argv[1], socket.socket(fileno=int(sys.argv[2])), socket.socket(fileno=int(sys.argv[3]))
GREETING = b'{"QMP": {"version": {"qemu": {"micro": 0, "minor": 2, "major": 7}}, "capabilities": []}}\r\n'
SHUTDOWN = b'{"timestamp": {"seconds": 1}, "event": "SHUTDOWN", "data": {"guest": true, "reason": "%s"}}\r\n'
RESET = b'{"event": "RESET", "data": {"guest": true, "reason": "guest-reset"}}\r\n'
PANICKED = b'{"event": "GUEST_PANICKED", "data": {"action": "pause"}}\r\n'


def negotiate():
    qmp.sendall(GREETING)
    line = b""
    while not line.endswith(b"\n"):
        line += qmp.recv(1)
    qmp.sendall(b'{"return": {}}\r\n')


def expect(words):
    """Reads commands until all the words have come."""
    seen = b""
    while not all(word in seen for word in words):
        data = qmp.recv(4096)
        if not data:
            sys.exit(4)
        seen += data


def lie_about_events():
    """Texts that look like events where none can be; none of these is one."""
    event = b'\\"event\\": \\"SHUTDOWN\\", \\"data\\": {\\"reason\\": \\"lie\\"}'
    for line in (
            b'{"timestamp": "' + event + b'"}',
            b'{"data": {"event": "SHUTDOWN", "reason": "lie"}, "event": "RTC_CHANGE"}',
            b'["event", "SHUTDOWN"]',
            b'{"x": [{"event": "SHUTDOWN", "data": {"reason": "lie"}}]}',
            b'{"event": "SHUTDOWN", "data": {"reason": "lie"}',
            b'{"event": "SHUTDOWN", "data": {"reason": "lie"',
            b'{"event": "SHUT\\u0044OWN", "data": {"reason": "lie"}}',
            b'{{{{{{{{', b'}}}}', b'"', b'\\', b'\0\0\0', b'{"event":}', b'{"event"', b'{"event": "', b'[' * 1500):
        qmp.sendall(line + b"\n")


def ignore_pipe_errors(action):
    try:
        action()
    except (BrokenPipeError, ConnectionResetError):
        pass


if part == "mute":  # never greets, closes its monitor early, ends later with a code of its own
    qmp.close()
    time.sleep(1.5)
    sys.exit(3)
elif part == "deaf":  # greets, and reads no command ever
    qmp.sendall(GREETING + b'{"return": {}}\r\n' * 100)
    time.sleep(2)
    sys.exit(5)
elif part == "half-closed":  # takes no more of the monitor and the console, without closing them
    negotiate()
    qmp.shutdown(socket.SHUT_RD)
    console.shutdown(socket.SHUT_RD)
    console.sendall(b"still here\r\n")
    time.sleep(2)
    qmp.sendall(SHUTDOWN % b"guest-shutdown")
elif part == "endless-line":
    negotiate()
    qmp.sendall(SHUTDOWN % b"guest-reset")
    for _ in range(200):
        qmp.sendall(b" " * 65536)
    qmp.sendall(SHUTDOWN % b"lie")  # were the line cut at a power of two, this would be one
elif part == "lies":
    negotiate()
    lie_about_events()
elif part == "reasons":  # SHUTDOWN with reasons that may not get into the status file
    negotiate()
    for reason in (b"good-one", b"a\\nPanicked=yes", b"UPPER", b"x" * 200, b"sp ace", b"=", b"\xff"):
        qmp.sendall(SHUTDOWN % reason)
elif part == "flood":  # events without end while the button is pressed; then an orderly end
    negotiate()
    for _ in range(20000):
        qmp.sendall(RESET + b'{"event": "RTC_CHANGE", "data": {"offset": 0}}\n')
    expect([b"cont", b"system_powerdown"])
    qmp.sendall(SHUTDOWN % b"guest-shutdown")
elif part == "off":  # the guest is off and QEMU waits for a word, as in the middle of a reboot
    negotiate()
    qmp.sendall(SHUTDOWN % b"guest-shutdown")
    expect([b"quit"])
elif part == "presses":  # is content only after three presses
    negotiate()
    expect([b"system_wakeup", b"cont", b"system_powerdown"])
    expect([b"system_wakeup", b"cont", b"system_powerdown"])
    expect([b"system_wakeup", b"cont", b"system_powerdown"])
    qmp.sendall(SHUTDOWN % b"guest-shutdown")
elif part == "panic":
    negotiate()
    qmp.sendall(PANICKED)
elif part == "panic-and-reset":
    negotiate()
    qmp.sendall(PANICKED + RESET)
elif part == "noise":  # on stderr, with what a terminal or a journal would take badly
    os.write(2, b"<0>\x1b[31mred\x07\x00 \xc3\xa4 \xff \xc2\x9b tab\there\r\n")
    for n in range(100000):
        os.write(2, b"noise %d\n" % n)
    os.write(2, b"y" * 10000 + b"\nlast words: \"quoted\" \\ and no newline")
elif part == "print":  # 4 MiB on the console, each line numbered
    for n in range(65536):
        console.sendall(b"%08d " % n + b"." * 53 + b"\r\n")
    time.sleep(0.5)
    console.sendall(b"THE END\r\n")
    os.write(2, b"\xc3\xa4" * 1500 + b"\n" + b"." * 100 + b"the end\n")
elif part == "last-words":  # when something is typed; of its later half, or the half of that, the first byte is none of a character
    console.recv(1)
    os.write(2, b"\xc3\xa4" * 1000 + b"the end.\n")
elif part == "no-typing":  # does not read what is typed, but prints
    while True:
        console.sendall(b"tick\r\n")
        time.sleep(0.1)
elif part == "echo":
    while data := console.recv(65536):
        console.sendall(data)
elif part == "closed":  # closes everything that it has of the guard and stays
    for fd in (1, 2):
        os.close(fd)
    qmp.close()
    console.close()
    time.sleep(3)
else:
    sys.exit(f"no such part: {part}")
