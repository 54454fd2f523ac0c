#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a QEMU could become that its guest has taken over, for the tests that source hostile-qemu.sh.

Put in QEMU's place by [QEMU] Binary=, it answers the monitors just well enough to be "running", tries all that
docs/security.md has in its table, and prints on the VM's console a line for each attempt:

    TRY WORD ATTEMPT OUTCOME

WORD is the row of the table; OUTCOME is the errno, DONE when the attempt succeeded, or what was found. After TRIED it does
what is typed on the console: fill, flood, bomb, eat, kill-all, lie. The file "facts" beside it (JSON) says where on the host to aim,
and where the real QEMU is. It has no seccomp filter, which QEMU would give itself.
"""

import ctypes
import errno
import json
import mmap
import os
import re
import select
import signal
import socket
import stat
import struct
import sys

FACTS = json.load(open(os.path.join(os.path.dirname(os.path.abspath(__file__)), 'facts')))
COMMAND = ' '.join(sys.argv)
if re.search(r' (-machine none|-M none|-help|--version)\b', COMMAND):
    os.execv(FACTS['real'], [FACTS['real'], *sys.argv[1:]])

libc = ctypes.CDLL(None, use_errno=True)
# A user's QEMU is the first process of a PID namespace: its guard has no number there, nor has anybody else.
ALONE = os.getpid() == 1
GUARD = FACTS['no_pid'] if ALONE else os.getppid()
X86 = os.uname().machine == 'x86_64'
NUMBERS = {'clone': 56 if X86 else 220, 'add_key': 248 if X86 else 217, 'keyctl': 250 if X86 else 219,
           'perf_event_open': 298 if X86 else 241, 'kcmp': 312 if X86 else 272, 'bpf': 321 if X86 else 280,
           'userfaultfd': 323 if X86 else 282, 'x32_socket': 0x40000000 + 41, 'clone3': 435, 'open_tree': 428, 'fsopen': 430,
           'pidfd_getfd': 438, 'io_uring_setup': 425, 'io_uring_enter': 426}
PTRACE_ATTACH, PTRACE_SEIZE = 16, 0x4206


def call(name, *arguments):
    """A function of libc's or, where that has none, a system call. Numbers go as longs; a failure is an OSError."""
    arguments = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    ctypes.set_errno(0)
    if name in NUMBERS:
        result = libc.syscall(ctypes.c_long(NUMBERS[name]), *arguments)
    else:
        result = getattr(libc, name)(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), name)
    return result


# --- what QEMU is asked

def descriptor(pattern):
    return int(re.search(pattern + r',fd=(\d+)', COMMAND).group(1))


LIES = ['STOP', 'RESUME', 'RESET', 'POWERDOWN', 'SUSPEND', 'WAKEUP', 'DEVICE_DELETED', 'BLOCK_IO_ERROR', 'MIGRATION', 'NO_SUCH']


def serve_monitors(told):
    """In a process of its own: the greeting, and an empty answer to whatever is asked. When told to, lies."""
    call('prctl', 1, signal.SIGKILL, 0, 0, 0)
    listening = socket.socket(fileno=descriptor('id=monitor'))
    connections = {}

    def add(connection):
        connections[connection.fileno()] = [connection, b'']
        connection.sendall(b'{"QMP": {"version": {"qemu": {"major": 7, "minor": 2, "micro": 1}, "package": ""}, '
                           b'"capabilities": []}}\n')

    add(socket.socket(fileno=descriptor('id=guard')))
    while True:
        for fd in select.select([told, listening.fileno(), *connections], [], [])[0]:
            if fd == told:
                os.read(told, 1)
                for connection, _ in connections.values():
                    for name in LIES:
                        event = {'event': name, 'data': {'status': 'completed', 'id': name}}
                        connection.sendall(json.dumps(event).encode() + b'\n')
                    connection.sendall(b'{"return": {}, "id": "nobody asked"}\n')
                continue
            if fd == listening.fileno():
                add(listening.accept()[0])
                continue
            connection, before = connections[fd]
            data = connection.recv(65536)
            if not data:
                del connections[fd]
                continue
            *lines, connections[fd][1] = (before + data).split(b'\n')
            for line in filter(bytes.strip, lines):
                asked = json.loads(line)
                answer = {'return': {'running': True, 'status': 'running'} if asked['execute'] == 'query-status' else {}}
                if 'id' in asked:
                    answer['id'] = asked['id']
                connection.sendall(json.dumps(answer).encode() + b'\n')


# --- attempts

console = socket.socket(fileno=descriptor('id=console'))


def say(*words):
    console.sendall((' '.join(map(str, words)) + '\r\n').encode())


def outcome_of(function, arguments):
    try:
        result = function(*arguments)
        return result if isinstance(result, str) else 'DONE'
    except OSError as error:
        return errno.errorcode.get(error.errno, str(error.errno))
    except Exception as error:  # A bug here must not look like a refusal.
        return f'BUG-{error!r}'.replace(' ', '-')


def attempt(word, name, function, *arguments):
    """In a process of its own, which may break itself as it likes."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writing, outcome_of(function, arguments).encode())
        os._exit(0)
    os.close(writing)
    outcome = b''
    while data := os.read(reading, 65536):
        outcome += data
    os.close(reading)
    os.waitpid(child, 0)
    say('TRY', word, name, outcome.decode() or 'NOTHING')


def read_path(path):
    with open(path, 'rb') as file:
        file.read(1)


def write_path(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o666))


def list_path(path):
    return ','.join(sorted(os.listdir(path))) or 'empty'


def connect(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as s:
        s.settimeout(3)
        s.connect(address)


def make_socket(*arguments):
    socket.socket(*arguments).close()


def odd_families(make):
    """Families of sockets that there are, other than the unix and the internet ones."""
    there = set()
    for family in set(range(64)) - {socket.AF_UNIX, socket.AF_INET, socket.AF_INET6}:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_SEQPACKET):
            try:
                make(family, kind)
            except OSError as error:
                if error.errno == errno.EAFNOSUPPORT:
                    continue
            there.add(family)
    return ','.join(map(str, sorted(there))) or 'none'


def socket_of_i386():
    """AF_VSOCK by int 0x80. A kernel without that ends the process."""
    if not X86:
        return 'NOTHING'
    code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    code.write(b'\x53\xb8' + struct.pack('=I', 359) + b'\xbb' + struct.pack('=I', socket.AF_VSOCK) +
               b'\xb9' + struct.pack('=I', socket.SOCK_STREAM) + b'\x31\xd2\xcd\x80\x5b\xc3')
    result = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(code)))()
    if result < 0:
        raise OSError(-result, 'int 0x80')


def network_interfaces():
    """By number, which needs no netlink."""
    names = []
    for number in range(1, 100):
        try:
            names.append(socket.if_indextoname(number))
        except OSError:
            continue
    return ','.join(names)


def ptrace(request, pid):
    call('ptrace', request, pid, 0, 0)


def read_memory(pid):
    buffer = ctypes.create_string_buffer(8)
    here = (ctypes.c_void_p * 2)(ctypes.addressof(buffer), 8)
    there = (ctypes.c_void_p * 2)(0x400000, 8)
    call('process_vm_readv', pid, here, 1, there, 1, 0)


def take_descriptor(pid):
    pidfd = os.pidfd_open(pid)
    call('pidfd_getfd', pidfd, 0, 0)


def enter_namespaces(pid):
    call('setns', os.pidfd_open(pid), 0x00020000 | 0x40000000)  # CLONE_NEWNS | CLONE_NEWNET


def clone_user_namespace(name):
    """By the system calls themselves: a new process in a new user namespace, which ends at once."""
    flags = 0x10000000  # CLONE_NEWUSER
    if name == 'clone3':
        arguments = (struct.pack('=8Q', flags, 0, 0, 0, signal.SIGCHLD, 0, 0, 0), 64)
    else:
        arguments = (flags | signal.SIGCHLD, 0, 0, 0, 0)
    child = call(name, *arguments)
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def set_link_up():
    """RTM_NEWLINK: the loopback's IFF_UP."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.send(struct.pack('=IHHIIBxHiII', 32, 16, 5, 1, 0, 0, 0, 1, 1, 1))
        code = -struct.unpack_from('=i', s.recv(4096), 16)[0]
        if code:
            raise OSError(code, 'netlink')


def capset():
    header = struct.pack('=Ii', 0x20080522, 0)
    call('capset', header, struct.pack('=6I', 0x200000, 0x200000, 0, 0, 0, 0))  # CAP_SYS_ADMIN


def run_setuid():
    """What a program with the set-uid bit says is its effective uid."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(writing, 1)
        os.execv(FACTS['setuid'], ['id', '-u'])
    os.close(writing)
    uid = os.read(reading, 100).decode().strip()
    os.waitpid(child, 0)
    return 'DONE' if uid == '0' else 'no-gain' if uid == str(os.getuid()) else f'uid-{uid}'


def open_by_io_uring(path):
    """IORING_OP_OPENAT, which no filter of system calls would see."""
    parameters = ctypes.create_string_buffer(120)
    ring = call('io_uring_setup', 4, parameters)
    sq_head, sq_tail, sq_mask, _, _, _, sq_array = struct.unpack_from('=7I', parameters, 40)
    _, _, cq_mask, _, _, cqes = struct.unpack_from('=6I', parameters, 80)
    queue = mmap.mmap(ring, 4096)  # IORING_FEAT_SINGLE_MMAP: both rings
    entries = mmap.mmap(ring, 4096, offset=0x10000000)
    name = ctypes.create_string_buffer(path.encode())
    struct.pack_into('=BBHiQQIIQ', entries, 0, 18, 0, 0, -100, 0, ctypes.addressof(name), 0, os.O_RDONLY, 7)
    struct.pack_into('=I', queue, sq_array, 0)
    struct.pack_into('=I', queue, sq_tail, 1)
    call('io_uring_enter', ring, 1, 1, 1, 0, 0)
    result = struct.unpack_from('=Qi', queue, cqes)[1]
    if result < 0:
        raise OSError(-result, path)


def others_in_proc():
    """The processes that /proc lists and that are not this one's or its children."""
    others = [p for p in os.listdir('/proc') if p.isdigit() and os.stat(f'/proc/{p}').st_uid != os.getuid()]
    return ','.join(others) or 'none'


def descriptors():
    """What there is open, each as what the test can compare."""
    for fd in sorted(map(int, os.listdir('/proc/self/fd'))):
        try:
            status = os.fstat(fd)
            link = os.readlink(f'/proc/self/fd/{fd}')
        except OSError:
            continue  # the listing's own
        if stat.S_ISSOCK(status.st_mode):
            with socket.socket(fileno=os.dup(fd)) as s:
                listens = s.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
                name = os.path.basename(s.getsockname()) if listens else s.getsockname() + s.getpeername() or 'pair'
            kind = f'{s.family.name}:{name}'
        elif link.startswith('/memfd:'):
            kind = link.split(' ')[0]
        elif stat.S_ISREG(status.st_mode):
            kind = f'file:{status.st_ino}:{"written" if writable(fd) else "read"}'
        else:
            kind = link.split(':')[0]
        say('TRY', 'fds', 'given', kind)


def writable(fd):
    with open(f'/proc/self/fdinfo/{fd}', encoding='ascii') as info:
        return int(re.search(r'flags:\s*(\d+)', info.read()).group(1), 8) & os.O_ACCMODE != os.O_RDONLY


def reopen(inode):
    """Opens for writing what was given for reading."""
    for fd in map(int, os.listdir('/proc/self/fd')):
        try:
            is_it = os.fstat(fd).st_ino == inode and not writable(fd)
        except OSError:
            continue  # the listing's own
        if is_it:
            os.close(os.open(f'/proc/self/fd/{fd}', os.O_RDWR))
            return 'DONE'
    return 'not-there'


def try_all():
    """A row of the table after the other."""
    other = FACTS['other_qemu']
    everybody = {'vmd': FACTS['vmd'], 'guard': GUARD, 'init': FACTS['no_pid'] if ALONE else 1, 'other-qemu': other,
                 'other-guard': FACTS['other_guard']}

    attempt('image', 'open', read_path, FACTS['image'])
    attempt('image', 'proc-fd', list_path, f'/proc/{other}/fd')
    attempt('image', 'proc-root', read_path, f'/proc/{other}/root{FACTS["image"]}')
    attempt('image', 'pidfd-getfd', take_descriptor, other)
    attempt('image', 'io-uring', open_by_io_uring, FACTS['image'])

    attempt('memory', 'proc-mem', read_path, f'/proc/{other}/mem')
    attempt('memory', 'process-vm-readv', read_memory, other)
    attempt('memory', 'ptrace-attach', ptrace, PTRACE_ATTACH, other)
    attempt('memory', 'ptrace-seize', ptrace, PTRACE_SEIZE, other)

    for name in ('monitor', 'agent', 'console'):
        attempt('sockets', name, connect, socket.AF_UNIX, f'{FACTS["runtime"]}/vm/{FACTS["other"]}/{name}')
    attempt('sockets', 'folder', list_path, f'{FACTS["runtime"]}/vm')

    attempt('shadow', 'open', read_path, '/etc/shadow')
    attempt('shadow', 'io-uring', open_by_io_uring, '/etc/shadow')

    attempt('host-files', 'passwd', read_path, '/etc/passwd')
    for path in ('/', '/etc', '/var/tmp'):
        attempt('host-files', path, list_path, path)
    for path in ('/home', '/root', '/run', '/sys', '/boot', '/proc/sys', '/proc/1/root', '/proc/guard/root', '/proc/guard/cwd'):
        attempt('host-files', path, list_path, path.replace('guard', str(GUARD)))

    attempt('processes', 'list', others_in_proc)
    for name, pid in everybody.items():
        attempt('processes', f'see-{name}', read_path, f'/proc/{pid}/cmdline')
        attempt('processes', f'kill-{name}', os.kill, pid, signal.SIGKILL)
    attempt('processes', 'pidfd-kill', lambda: signal.pidfd_send_signal(os.pidfd_open(other), signal.SIGKILL))
    attempt('processes', 'prlimit', lambda: call('prlimit', other, 7, struct.pack('=QQ', 3, 3), None))

    attempt('dbus', 'system', connect, socket.AF_UNIX, '/run/dbus/system_bus_socket')
    attempt('dbus', 'user', connect, socket.AF_UNIX, '/run/user/1000/bus')
    attempt('dbus', 'private', connect, socket.AF_UNIX, '/run/systemd/private')
    attempt('dbus', 'journal', connect, socket.AF_UNIX, '/run/systemd/journal/socket', socket.SOCK_DGRAM)
    attempt('dbus', 'abstract', connect, socket.AF_UNIX, '\0' + FACTS['abstract'])

    attempt('devices', 'mknod-char', os.mknod, '/tmp/mem', 0o600 | stat.S_IFCHR, os.makedev(1, 1))
    attempt('devices', 'mknod-block', os.mknod, '/tmp/sda', 0o600 | stat.S_IFBLK, os.makedev(8, 0))
    attempt('devices', 'mem', read_path, '/dev/mem')
    attempt('devices', 'sda', read_path, '/dev/sda')
    attempt('devices', 'list', list_path, '/dev')
    attempt('devices', 'kvm', lambda: os.close(os.open('/dev/kvm', os.O_RDWR)))
    attempt('devices', 'node-of-host', read_path, FACTS['node'])

    attempt('raw-socket', 'inet', make_socket, socket.AF_INET, socket.SOCK_RAW, 1)
    attempt('raw-socket', 'inet6', make_socket, socket.AF_INET6, socket.SOCK_RAW, 58)
    attempt('packet-socket', 'raw', make_socket, socket.AF_PACKET, socket.SOCK_RAW, 0x300)
    attempt('packet-socket', 'dgram', make_socket, socket.AF_PACKET, socket.SOCK_DGRAM, 0x300)

    attempt('network', 'tcp', connect, socket.AF_INET, ('127.0.0.1', FACTS['tcp']))
    attempt('network', 'tcp-host', connect, socket.AF_INET, (FACTS['address'], FACTS['tcp']))
    attempt('network', 'tcp6', connect, socket.AF_INET6, ('::1', FACTS['tcp']))
    attempt('network', 'interfaces', network_interfaces)
    attempt('netlink', 'link-up', set_link_up)
    attempt('families', 'vsock', connect, socket.AF_VSOCK, (1, FACTS['vsock']))
    attempt('families', 'socket', odd_families, lambda *kind: socket.socket(*kind).close())
    attempt('families', 'socketpair', odd_families, lambda *kind: [s.close() for s in socket.socketpair(*kind)])
    attempt('families', 'i386', socket_of_i386)
    attempt('families', 'x32', lambda: call('x32_socket', socket.AF_VSOCK, socket.SOCK_STREAM, 0))

    for name, *arguments in (('add_key', b'user', b'hostile', b'x', 1, -3), ('keyctl', 1, None), ('bpf', 0, bytes(72), 72),
                             ('perf_event_open', bytes(112), 0, -1, -1, 0), ('userfaultfd', 1),
                             ('kcmp', os.getpid(), os.getpid(), 0, 0, 0)):
        attempt('calls', name, lambda name=name, arguments=arguments: call(name, *arguments))

    for name, pid in everybody.items():
        attempt('ptrace', f'attach-{name}', ptrace, PTRACE_ATTACH, pid)
        attempt('ptrace', f'seize-{name}', ptrace, PTRACE_SEIZE, pid)
        attempt('ptrace', f'read-{name}', read_memory, pid)

    attempt('mounts', 'mount', lambda: call('mount', b'none', b'/tmp', b'tmpfs', 0, None))
    attempt('mounts', 'bind', lambda: call('mount', b'/usr', b'/tmp', None, 4096, None))
    attempt('mounts', 'remount', lambda: call('mount', None, b'/', None, 32 | 4096, None))
    attempt('mounts', 'umount', lambda: call('umount2', b'/proc', 2))
    attempt('mounts', 'pivot-root', lambda: call('pivot_root', b'/tmp', b'/tmp'))
    attempt('mounts', 'chroot', os.chroot, '/tmp')
    attempt('mounts', 'open-tree', lambda: call('open_tree', -100, b'/', 1))
    attempt('mounts', 'fsopen', lambda: call('fsopen', b'proc', 0))
    attempt('mounts', 'setns', enter_namespaces, 1)
    attempt('mounts', 'setns-guard', enter_namespaces, GUARD)
    for name, flag in (('mount', 0x20000), ('net', 0x40000000), ('pid', 0x20000000)):
        attempt('mounts', f'unshare-{name}', lambda flag=flag: call('unshare', flag))

    attempt('user-namespace', 'unshare', lambda: call('unshare', 0x10000000))
    for name in ('clone', 'clone3'):
        attempt('user-namespace', name, clone_user_namespace, name)
    attempt('user-namespace', 'above', list_path, '/..')

    attempt('privileges', 'setuid', os.setuid, 0)
    attempt('privileges', 'setresuid-guard', lambda: os.setresuid(-1, FACTS['other_guard_uid'], -1))
    attempt('privileges', 'setgid', os.setgid, 0)
    attempt('privileges', 'setgroups', os.setgroups, [0])
    attempt('privileges', 'setuid-program', run_setuid)
    attempt('privileges', 'capset', capset)
    attempt('privileges', 'ambient', lambda: call('prctl', 47, 2, 21, 0, 0))
    attempt('privileges', 'no-new-privs-off', lambda: call('prctl', 38, 0, 0, 0, 0))

    for path in ('/file', '/usr/file', '/etc/ld.so.cache', '/dev/file', '/run/file', '/sys/file', '/proc/sys/kernel/hostname',
                 FACTS['writable'], '/proc/guard/oom_score_adj'):
        attempt('write', path, write_path, path.replace('guard', str(GUARD)))
    attempt('write', 'read-only-disk', reopen, FACTS['read_only_inode'])
    attempt('write', 'oom-score', lambda: os.write(os.open('/proc/self/oom_score_adj', os.O_WRONLY), b'-1000'))


# --- what is typed

def fill():
    """/tmp by one file, then by empty ones."""
    written = 0
    try:
        with open('/tmp/big', 'wb', buffering=0) as file:
            while written < 1 << 30:
                written += file.write(bytes(1 << 20))
    except OSError as error:
        say('TRY', 'fill', 'tmp', f'{errno.errorcode[error.errno]}-at-{written >> 20}-MiB')
    os.unlink('/tmp/big')
    files = 0
    try:
        while files < 1000000:
            os.close(os.open(f'/tmp/{files}', os.O_WRONLY | os.O_CREAT))
            files += 1
    except OSError as error:
        say('TRY', 'fill', 'files', f'{errno.errorcode[error.errno]}-at-{files}')
    attempt('fill', 'run', write_path, '/run/file')
    attempt('fill', 'shm', write_path, '/dev/shm/file')
    attempt('fill', 'status', write_path, f'{FACTS["runtime"]}/vm/{FACTS["self"]}/status')


def flood():
    for _ in range(256):
        console.sendall(b'flood ' * 2730 + b'\r\n')  # 4 MiB in all
        os.write(2, b'flood\n' * 1000)


def bomb():
    children = []
    outcome = 'no-end'
    while len(children) < FACTS['bomb']:
        try:
            child = os.fork()
        except OSError as error:
            outcome = errno.errorcode[error.errno]
            break
        if child == 0:
            signal.pause()
        children.append(child)
    say('TRY', 'bomb', 'fork', f'{outcome}-at-{len(children)}')
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def eat():
    """Memory, in a child that is killed for it, or stops at 1 GiB."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        eaten = []
        while len(eaten) < 1024:
            eaten.append(b'x' * (1 << 20))
            os.write(writing, b'.')
        os._exit(0)
    os.close(writing)
    eaten = 0
    while data := os.read(reading, 65536):
        eaten += len(data)
    os.close(reading)
    status = os.waitpid(child, 0)[1]
    say('TRY', 'eat', 'memory', f'signal-{status & 127}-at-{eaten}-MiB')


def main():
    descriptors()
    told, tell = os.pipe()
    if os.fork() == 0:
        serve_monitors(told)
    try_all()
    say('TRIED')
    typed = b''
    while True:
        typed += console.recv(4096)
        *lines, typed = typed.split(b'\n')
        for line in lines:
            word = line.decode().strip()
            if word == 'kill-all':
                os.kill(-1, signal.SIGKILL)  # its own children hear it
            elif word == 'lie':
                os.write(tell, b'!')
            else:
                {'fill': fill, 'flood': flood, 'bomb': bomb, 'eat': eat}[word]()
            say('DID', word)


main()
