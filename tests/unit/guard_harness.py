# SPDX-License-Identifier: LGPL-2.1-or-later
"""Starts a vmd-guard the way vmd does, and looks at it from all sides."""

import json
import os
import re
import select
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time

GUARD = os.environ.get("VMD_GUARD", "vmd-guard")
# valgrind's command line, for example; then VMD_GUARD_OPTIONS=--filter=no
WRAPPER = shlex.split(os.environ.get("VMD_GUARD_WRAPPER", ""))
OPTIONS = shlex.split(os.environ.get("VMD_GUARD_OPTIONS", ""))
QEMU = shutil.which("qemu-system-x86_64")
TRACE = ("-trace", "monitor_qmp_respond")
POWER = 34 + 4  # SIGRTMIN+4, as systemd counts
QEMU_UID, GUARD_UID = 64001, 64002
SLOW = 10 if WRAPPER else 1


class Timeout(Exception):
    pass


def wait_for(condition, seconds, what):
    end = time.monotonic() + seconds * SLOW
    while not (value := condition()):
        if time.monotonic() > end:
            raise Timeout(what)
        time.sleep(0.02)
    return value


class Watcher:
    """One who watches the console."""

    def __init__(self, path):
        self.seen = b""
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)

    def read(self, seconds):
        """Takes what comes within the time. False at the end of the connection."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return True
        try:
            data = self.socket.recv(1 << 20)
        except ConnectionResetError:
            data = b""
        self.seen += data
        return bool(data)

    def until(self, text, seconds=30):
        end = time.monotonic() + seconds * SLOW
        while text.encode() not in self.seen:
            if time.monotonic() > end:
                raise Timeout(f"no {text!r} on the console, but {self.seen[-2000:]!r}")
            if not self.read(0.1):
                raise EOFError(f"no {text!r} before the end, but {self.seen[-2000:]!r}")

    def until_end(self, seconds=10):
        end = time.monotonic() + seconds * SLOW
        while self.read(0.1):
            if time.monotonic() > end:
                raise Timeout("the console does not end")

    def type(self, text):
        self.socket.sendall(text.encode())

    def close(self):
        self.socket.close()


class Monitor:
    """The test's own monitor of QEMU, beside the guard's."""

    def __init__(self, sock):
        self.file = sock.makefile("rw")
        json.loads(self.file.readline())
        self.call("qmp_capabilities")

    def call(self, command, **arguments):
        self.file.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self.file.flush()
        while True:
            answer = json.loads(self.file.readline())
            if "event" not in answer:
                return answer


def folders_of(argv):
    """The folders of the files that a command names: what vmd would open for QEMU, or show in its jail."""
    return {os.path.dirname(word) for word in argv if word.startswith("/") and os.path.isfile(word)} - {"/dev"}


class Guarded:
    """A running guard. `command` gets this object and returns the argv to be guarded; it may use self.fd(NAME)."""

    def __init__(self, command, *options, folder=None, go=False, ids=None, stderr=None, drop=None, fds=()):
        self.folder = tempfile.mkdtemp(prefix="guard-test-")
        os.chmod(self.folder, 0o755)
        data = folder or self.folder
        self.sockets, self.watchers = {}, []
        for name in ("qmp", "console", "test"):
            ours, theirs = socket.socketpair()
            self.sockets[name] = (ours, theirs)
        self.status_path = os.path.join(data, "status")
        self.log_path = os.path.join(data, "log")
        self.console_path = os.path.join(self.folder, "console")
        status = os.open(self.status_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        log = os.open(self.log_path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.console_path)
        os.chmod(self.console_path, 0o666)
        listener.listen(64)
        passed = [status, log, listener.fileno(), self.fd("qmp", 0), self.fd("qmp"), self.fd("console", 0),
                  self.fd("console"), self.fd("test"), *fds]
        arguments = ["--name=test", f"--status={status}", f"--qmp={self.fd('qmp', 0)}",
                     f"--console={self.fd('console', 0)}", f"--console-listen={listener.fileno()}",
                     f"--console-log={log}", *OPTIONS, *options]
        self.go = None
        if go:
            waits, self.go = os.pipe()
            passed.append(waits)
            arguments.append(f"--go={waits}")
        if ids is None:
            ids = os.geteuid() == 0
        if ids:
            arguments += [f"--uid={QEMU_UID}", f"--gid={QEMU_UID}", "--groups=64010,64011",
                          f"--guard-uid={GUARD_UID}", f"--guard-gid={GUARD_UID}"]
        argv = command(self)
        arguments += [f"--bind-read-only={folder}" for folder in sorted(folders_of(argv[1:]))]
        program = GUARD
        if drop is not None:  # the build may lie where others cannot look
            program = shutil.copy(GUARD, self.folder)
        self.stderr_path = os.path.join(self.folder, "stderr")
        with open(self.stderr_path, "wb") as file:
            self.process = subprocess.Popen(
                [*WRAPPER, program, *arguments, "--", *argv], stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL, stderr=file if stderr is None else stderr, pass_fds=passed, user=drop,
                group=drop, extra_groups=None if drop is None else [])
        for fd in [status, log] + ([waits] if go else []):
            os.close(fd)
        for sock in (listener, *self.sockets["qmp"], *self.sockets["console"], self.sockets["test"][1]):
            sock.close()
        self.pid = self.process.pid
        self.qemu = None

    def fd(self, name, side=1):
        return self.sockets[name][side].fileno()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, traceback):
        if self.process.poll() is None:
            if self.qemu:
                try:
                    os.kill(self.qemu, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.kill()
        self.process.wait()
        for sock in [self.sockets["test"][0]] + [watcher.socket for watcher in self.watchers]:
            sock.close()
        if kind is not None:
            print(f"guard's stderr:\n{self.stderr()[-3000:]}\nstatus: {self.status()}")
        shutil.rmtree(self.folder, ignore_errors=True)

    def stderr(self):
        with open(self.stderr_path, errors="replace") as file:
            return file.read()

    def status(self):
        """The status file as a dict, Output= unescaped."""
        with open(self.status_path, encoding="utf-8") as file:
            lines = file.read().splitlines()
        if not lines:
            return {}
        assert lines[0] == "[Guard]", lines
        values = dict(line.split("=", 1) for line in lines[1:])
        if "Output" in values:
            raw = re.sub(r"\\([0-7]{3})|\\(.)", lambda m: chr(int(m[1], 8)) if m[1] else {"n": "\n", "t": "\t"}.get(
                m[2], m[2]), values["Output"])
            values["Output"] = raw.encode("latin-1").decode()
        return values

    def started(self):
        """Waits for QEMU to be there and remembers its PID."""
        try:
            self.qemu = int(wait_for(self.status, 5, "a status")["Pid"])
            wait_for(lambda: os.readlink(f"/proc/{self.qemu}/exe") != os.readlink(f"/proc/{self.pid}/exe"), 5, "exec")
        except BaseException as error:  # no `with` has begun that would clean up
            self.__exit__(type(error), error, None)
            raise
        return self

    def watch(self):
        self.watchers.append(Watcher(self.console_path))
        return self.watchers[-1]

    def monitor(self):
        sock = self.sockets["test"][0]
        sock.settimeout(20 * SLOW)
        return Monitor(sock)

    def negotiated(self):
        """Waits until QEMU has taken the guard's qmp_capabilities; QEMU is to run with TRACE."""
        wait_for(lambda: '{"return": {}}' in self.stderr(), 10, "the guard's monitor")

    def press(self):
        os.kill(self.pid, POWER)

    def wait(self, seconds=10):
        return self.process.wait(seconds * SLOW)

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def log_kept(self):
        return os.stat(self.log_path)[stat.ST_SIZE], os.stat(self.log_path).st_blocks * 512


def process_status(pid):
    with open(f"/proc/{pid}/status") as file:
        return {key: value.strip() for key, _, value in (line.partition(":") for line in file)}


def qemu(*arguments):
    """QEMU without a guest, with the guard's monitor, the console and a monitor for the test."""

    def command(run):
        argv = [QEMU, "-accel", "tcg", "-nodefaults", "-display", "none", "-m", "128", "-sandbox", "on"]
        for name in ("qmp", "test"):
            argv += ["-chardev", f"socket,id={name},fd={run.fd(name)}", "-mon", f"chardev={name},mode=control"]
        return [*argv, "-chardev", f"socket,id=console,fd={run.fd('console')}", "-serial", "chardev:console",
                *arguments]

    return command


def guest(folder, words="", *arguments):
    """QEMU with the tests' guest; `words` are for its init. See guest_haste and guest_kernel of ../lab/lib.sh."""
    kernel = f"{folder}/vmlinux"
    return qemu("-kernel", kernel if os.path.exists(kernel) else f"{folder}/vmlinuz", "-initrd", f"{folder}/initrd", "-append",
                f"console=ttyS0 quiet no_timer_check cryptomgr.notests init_on_alloc=0 clearcpuid=erms,fsrm vmd.test={words}", *arguments)
