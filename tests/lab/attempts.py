# SPDX-License-Identifier: LGPL-2.1-or-later
"""What hostile-swtpm.py and hostile-virtiofsd.py try things with: TRIED has a line for each attempt, WORD OUTCOME, an errno or DONE."""

import ctypes
import errno
import os
import re
import socket

libc = ctypes.CDLL(None, use_errno=True)
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


def read(path):
    with open(path, "rb") as file:
        file.read(1)


def write(path):
    with open(path, "wb") as file:
        file.write(b"x")


def look_around():
    """What descriptors there are, and what is in the root."""
    TRIED.append("fds " + ",".join(sorted(re.sub(r"\[.*", "", os.readlink(f"/proc/self/fd/{fd}")) for fd in os.listdir("/proc/self/fd")
                                          if int(fd) > 2 and os.path.exists(f"/proc/self/fd/{fd}"))))
    TRIED.append("root " + ",".join(sorted(os.listdir("/"))))


def note(path):
    with open(path, "w", encoding="utf-8") as results:
        results.write("\n".join(TRIED) + "\n")
