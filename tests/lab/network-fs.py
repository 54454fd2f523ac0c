#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""network-fs.py FOLDER MOUNTPOINT: shows FOLDER at MOUNTPOINT by FUSE, as a file server would.

Nothing is cached, so once this process is stopped (SIGSTOP) whoever looks up or opens anything there waits, as with a server that is
dead. For tests of dead servers; folders can be listed, files read and written in place, and no more."""

import ctypes
import errno
import os
import struct
import sys

backing, mountpoint = sys.argv[1:]
libc = ctypes.CDLL(None, use_errno=True)
fuse = os.open('/dev/fuse', os.O_RDWR)
options = f'fd={fuse},rootmode=40000,user_id=0,group_id=0,allow_other,default_permissions'
if libc.mount(b'server', mountpoint.encode(), b'fuse', 6, options.encode()) < 0:  # MS_NOSUID | MS_NODEV
    sys.exit('cannot mount: ' + os.strerror(ctypes.get_errno()))

paths = {1: backing}  # of nodes
nodes = {backing: 1}


def attributes(path):
    st = os.stat(path)
    return struct.pack('=6Q10I', st.st_ino, st.st_size, st.st_blocks, int(st.st_atime), int(st.st_mtime), int(st.st_ctime),
                       0, 0, 0, st.st_mode, st.st_nlink, st.st_uid, st.st_gid, 0, 4096, 0)


def init(path, body):
    return struct.pack('=IIIIHHIIHHI7I', 7, 31, 131072, 0, 16, 12, 131072, 1, 0, 0, 0, *[0] * 7)


def lookup(path, body):
    path = os.path.join(path, os.fsdecode(body.rstrip(b'\0')))
    found = attributes(path)
    node = nodes.setdefault(path, len(nodes) + 1)
    paths[node] = path
    return struct.pack('=4Q2I', node, 0, 0, 0, 0, 0) + found


def getattr_(path, body):
    return struct.pack('=QII', 0, 0, 0) + attributes(path)


def open_(path, body):
    return struct.pack('=QII', os.open(path, struct.unpack_from('=I', body)[0] & os.O_ACCMODE), 0, 0)


def read(path, body):
    handle, offset, size = struct.unpack_from('=QQI', body)
    return os.pread(handle, size, offset)


def write(path, body):
    handle, offset, size = struct.unpack_from('=QQI', body)
    return struct.pack('=II', os.pwrite(handle, body[40:40 + size], offset), 0)


def statfs(path, body):
    return struct.pack('=5Q4I6I', 1 << 20, 1 << 19, 1 << 19, 1000, 1000, 4096, 255, 4096, *[0] * 7)


def release(path, body):
    os.close(struct.unpack_from('=Q', body)[0])
    return b''


def readdir(path, body):
    handle, offset, size = struct.unpack_from('=QQI', body)
    answer = b''
    for number, name in enumerate(sorted(os.listdir(path))[offset:], offset + 1):
        name = os.fsencode(name)
        entry = struct.pack('=QQII', number, number, len(name), 0) + name
        entry += bytes(-len(entry) % 8)
        if len(answer) + len(entry) > size:
            break
        answer += entry
    return answer


def opendir(path, body):
    return struct.pack('=QII', 0, 0, 0)


def nothing(path, body):
    return b''


CALLS = {1: lookup, 3: getattr_, 4: getattr_, 14: open_, 15: read, 16: write, 17: statfs, 18: release, 20: nothing, 25: nothing, 26: init,
         27: opendir, 28: readdir, 29: nothing}
WITHOUT_REPLY = {2, 36, 42}  # forget, interrupt, forget more

while True:
    try:
        request = os.read(fuse, 1 << 20)
    except InterruptedError:
        continue
    except OSError as error:
        if error.errno == errno.ENOENT:  # that request was interrupted
            continue
        break  # ENODEV: unmounted
    _, operation, unique, node = struct.unpack_from('=IIQQ', request)
    if operation in WITHOUT_REPLY:
        continue
    status, answer = 0, b''
    try:
        if operation not in CALLS:
            raise OSError(errno.ENOSYS, 'no such operation')
        answer = CALLS[operation](paths.get(node), request[40:])
    except OSError as error:
        status = -error.errno
    try:
        os.write(fuse, struct.pack('=IiQ', 16 + len(answer), status, unique) + answer)
    except OSError:
        pass  # whoever asked has gone
