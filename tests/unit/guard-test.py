#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmd-guard with real QEMUs, with a real guest in some, and with a program in QEMU's place that means ill.

VMD_GUARD is the guard, VMD_GUEST_BUILD the program that builds the tests' guest. Skips (77) where QEMU is missing."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import unittest
import unittest.mock

import guard_harness
from guard_harness import GUARD_UID, QEMU, QEMU_UID, SLOW, TRACE, Guarded, guest, process_status, qemu, wait_for

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.geteuid() == 0
GUEST = None
PYTHON = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable


def play(part):
    return lambda run: [PYTHON, f"{GUEST}/guard-player.py", part, str(run.fd("qmp")), str(run.fd("console"))]


def player(part, *options, **others):
    """A hostile QEMU, which needs no uid of its own."""
    return Guarded(play(part), *options, ids=False, **others)


@contextlib.contextmanager
def small_file_system():
    """A folder that is one, of 256 KiB."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k,mode=755", "tmpfs", folder], check=True)
        try:
            yield folder
        finally:
            subprocess.run(["umount", folder], check=True)


def fill(folder):
    subprocess.run(["dd", "if=/dev/zero", f"of={folder}/filler", "bs=4096"], check=False, stderr=subprocess.DEVNULL)


class Ends(unittest.TestCase):
    """QEMU's ends, without a guest."""

    def end(self, run, code, **expected):
        self.assertEqual(run.wait(), code, run.stderr())
        status = run.status()
        self.assertEqual(status.pop("Ended"), "yes")
        self.assertGreater(int(status.pop("Pid")), 1)
        output = status.pop("Output")
        self.assertEqual(status, expected)
        return output

    def test_killed(self):
        with Guarded(qemu("-S")).started() as run:
            self.assertEqual(set(run.status()), {"Pid"})
            os.kill(run.qemu, signal.SIGKILL)
            self.end(run, 137, Signal="9")
            self.assertIn("died of signal 9", run.stderr())

    def test_terminated_on_purpose(self):
        for mark in (signal.SIGUSR1, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            with self.subTest(mark), Guarded(qemu("-S")).started() as run:
                os.kill(run.pid, mark)
                os.kill(run.qemu, signal.SIGKILL)
                self.end(run, 0, Signal="9", Reason="terminated")
                self.assertEqual(run.stderr(), "")

    def test_quit(self):
        with Guarded(qemu("-S", *TRACE)).started() as run:
            run.negotiated()
            run.monitor().call("quit")
            self.end(run, 0, Code="0", Reason="host-qmp-quit")

    def test_bad_argument(self):
        with Guarded(qemu("-device", "no-such-device")) as run:
            self.assertIn("no-such-device", self.end(run, 1, Code="1"))
            self.assertIn("no-such-device", run.stderr())
            self.assertIn("exited with code 1", run.stderr())

    def test_cannot_execute(self):
        with tempfile.NamedTemporaryFile(dir="/var/tmp") as file:
            for path, message in (("/no/such/qemu", "No such file or directory"), (file.name, "Permission denied")):
                with self.subTest(path), Guarded(lambda run, path=path: [path, "-S"]) as run:
                    output = self.end(run, 71, Code="71", Executed="no")
                    self.assertIn(path, output)
                    self.assertIn(message, output)
                    self.assertIn(path, run.stderr())

    @unittest.skipUnless(ROOT, "needs another uid")
    def test_ids_that_cannot_be_taken(self):
        with Guarded(qemu("-S"), f"--uid={QEMU_UID}", f"--gid={QEMU_UID}", ids=False, drop=GUARD_UID) as run:
            self.assertIn("Operation not permitted", self.end(run, 71, Code="71", Executed="no"))

    def test_wrong_options(self):
        for option in ("--nonsense=1", "--qmp=x", "--qmp=999", "--uid=5", "--log-size=-1",
                       "--log-size=99999999999999999999", "--groups=1,,2", "--groups=1,", "--filter=maybe", "--press-interval="):
            with self.subTest(option), Guarded(qemu("-S"), option, ids=False) as run:
                self.assertEqual(run.wait(), 64)
                self.assertNotEqual(run.stderr(), "")
                self.assertEqual(run.status(), {})

    def test_go(self):
        with Guarded(qemu("-S"), go=True) as run:
            time.sleep(0.3 * SLOW)
            self.assertEqual(run.status(), {})
            os.write(run.go, b"x")
            run.started()
            os.kill(run.qemu, signal.SIGKILL)
            self.end(run, 137, Signal="9")

    def test_start_given_up(self):
        for how in ("end of file", guard_harness.POWER, signal.SIGTERM, signal.SIGUSR1):
            with self.subTest(how), Guarded(qemu("-S"), go=True) as run:
                time.sleep(0.3 * SLOW)
                if how == "end of file":
                    os.close(run.go)
                else:
                    os.kill(run.pid, how)
                self.assertEqual(run.wait(), 0)
                self.assertEqual(run.status(), {})

    def test_guard_killed(self):
        with Guarded(qemu("-S")).started() as run:
            run.process.kill()
            wait_for(lambda: not os.path.exists(f"/proc/{run.qemu}") or process_status(run.qemu)["State"][0] == "Z", 5,
                     "QEMU's death")


class Confinement(unittest.TestCase):
    def check(self, pid):
        status = process_status(pid)
        for word in ("CapPrm", "CapEff", "CapInh", "CapAmb"):
            self.assertEqual(int(status[word], 16), 0, word)
        self.assertEqual(status["CapBnd"], "0000000000000000")
        self.assertEqual(status["NoNewPrivs"], "1")
        return status

    @unittest.skipUnless(ROOT, "needs other uids")
    def test_ids_and_capabilities(self):
        with Guarded(qemu("-S", *TRACE)).started() as run:
            run.negotiated()
            status = self.check(run.qemu)
            self.assertEqual(status["Uid"].split(), [str(QEMU_UID)] * 4)
            self.assertEqual(status["Gid"].split(), [str(QEMU_UID)] * 4)
            self.assertEqual(status["Groups"].split(), ["64010", "64011"])
            ignored = int(status["SigIgn"], 16)
            self.assertTrue(ignored >> (guard_harness.POWER - 1) & 1)
            status = self.check(run.pid)
            uids = status["Uid"].split()
            self.assertEqual((uids[0], uids[2]), (str(GUARD_UID), str(GUARD_UID)))
            self.assertEqual(status["Gid"].split(), [str(GUARD_UID)] * 4)
            self.assertEqual(status["Groups"], "")
            self.assertEqual(os.stat(f"/proc/{run.pid}/mem").st_uid, 0)  # not dumpable
            os.kill(run.qemu, guard_harness.POWER)  # ignored
            os.kill(run.qemu, signal.SIGTERM)  # not blocked
            self.assertEqual(run.wait(), 0)
            self.assertEqual(run.status()["Reason"], "host-signal")

    @unittest.skipUnless(ROOT, "needs other uids")
    def test_qemu_cannot_reach_the_guard(self):
        attack = ("import ctypes, os, sys\n"
                  "for attempt in (lambda: os.kill(os.getppid(), 9), lambda: open(f'/proc/{os.getppid()}/mem', 'rb'),\n"
                  "                lambda: os.listdir(f'/proc/{os.getppid()}/fd')):\n"
                  "    try:\n        attempt()\n        sys.exit(1)\n    except (PermissionError, FileNotFoundError):\n        pass\n"
                  "r = ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)\n"  # PTRACE_ATTACH
                  "sys.exit(9 if r == -1 else 2)\n")
        with Guarded(lambda run: [PYTHON, "-c", attack]) as run:
            self.assertEqual(run.wait(), 9, run.stderr())

    @unittest.skipUnless(ROOT, "needs another uid")
    def test_as_a_user(self):
        with Guarded(qemu("-S"), ids=False, drop=GUARD_UID).started() as run:
            self.check(run.qemu)
            self.check(run.pid)
            for namespace in ("user", "mnt", "net", "ipc", "pid"):
                self.assertNotEqual(os.readlink(f"/proc/{run.qemu}/ns/{namespace}"), os.readlink(f"/proc/self/ns/{namespace}"))
            os.kill(run.qemu, signal.SIGKILL)
            self.assertEqual(run.wait(), 137)

    def test_jail(self):
        look = ("import os, socket, sys\n"
                "assert sorted(os.listdir('/')) == sorted(set(os.listdir('/')) & {'bin', 'dev', 'etc', 'lib', 'lib32', 'lib64',"
                " 'libx32', 'proc', 'sbin', 'tmp', 'usr', 'var'}), os.listdir('/')\n"
                "assert os.listdir('/etc') in ([], ['ld.so.cache']), os.listdir('/etc')\n"
                "assert set(os.listdir('/dev')) <= {'null', 'zero', 'full', 'random', 'urandom', 'kvm'}, os.listdir('/dev')\n"
                "assert {os.stat('/proc/' + p).st_uid for p in os.listdir('/proc') if p.isdigit()} == {os.getuid()}, os.listdir('/proc')\n"
                "assert socket.if_indextoname(1) == 'lo'\n"
                "try:\n    sys.exit(socket.if_indextoname(2) + ' is there')\nexcept OSError:\n    pass\n"
                "for path in ('/x', '/usr/x', '/etc/x', '/dev/x', '/var/x'):\n"
                "    try:\n        open(path, 'w')\n        sys.exit(path + ' can be written')\n    except OSError:\n        pass\n"
                "open('/tmp/x', 'w').close()\n"
                "sys.exit(9)\n")
        with Guarded(lambda run: [PYTHON, "-c", look]) as run:
            self.assertEqual(run.wait(), 9, run.stderr())

    @unittest.skipUnless(ROOT, "needs another uid")
    def test_proc_of_a_masked_host(self):
        """Where parts of /proc are covered, as in many a container, a user cannot mount one."""
        look = ("import os, sys\n"
                "others = [p for p in os.listdir('/proc') if p.isdigit() and p != str(os.getpid())]\n"
                "os.listdir('/proc/self/fd')\n"
                "sys.exit(f'{len(others)} others are there' if others else 9)\n")
        cover = 'mount -t tmpfs none /proc/tty && exec unshare -U --map-user=1000 --map-group=1000 "$@"'
        masked = ["unshare", "-Urm", "sh", "-c", cover, "sh"]
        with unittest.mock.patch.object(guard_harness, "WRAPPER", masked):
            with Guarded(lambda run: [PYTHON, "-c", look], ids=False, drop=GUARD_UID) as run:
                self.assertEqual(run.wait(), 9, run.stderr())

    def test_filter(self):
        if "--filter=no" in guard_harness.OPTIONS or os.environ.get("VMD_GUARD_SANITIZED"):
            self.skipTest("there is none in this run")
        with Guarded(qemu("-S")).started() as run:
            wait_for(lambda: process_status(run.pid)["Seccomp"] == "2", 2, "a filter")
            os.kill(run.qemu, signal.SIGKILL)
            run.wait()

    def test_descriptors(self):
        with Guarded(qemu("-S")).started() as run:
            run.monitor()
            kept = len(os.listdir(f"/proc/{run.pid}/fd"))
            # 0 to 2, status, QMP, console, its listener, its log, signals, QEMU's output, its failure
            self.assertLessEqual(kept, 11 + (6 if guard_harness.WRAPPER else 0))
            paths = [os.readlink(f"/proc/{run.qemu}/fd/{fd}") for fd in os.listdir(f"/proc/{run.qemu}/fd")]
            self.assertFalse([path for path in paths if path in (run.status_path, run.log_path)])
            os.kill(run.qemu, signal.SIGKILL)
            run.wait()

    def test_devices_of_the_host(self):
        """What a PCI device of the host's needs: its part of sysfs, and locked memory."""
        look = ("import os, resource, sys\n"
                "assert os.listdir('/sys') == ['kernel'], os.listdir('/sys')\n"
                "assert os.listdir('/sys/kernel'), 'nothing'\n"
                "assert os.statvfs('/sys/kernel').f_flag & os.ST_RDONLY\n"
                "assert resource.getrlimit(resource.RLIMIT_MEMLOCK) == (65536, 65536)\n"
                "sys.exit(9)\n")
        with Guarded(lambda run: [PYTHON, "-c", look], "--bind-read-only=/sys/kernel", "--locked-memory=65536") as run:
            self.assertEqual(run.wait(), 9, run.stderr())

    def test_connections_of_the_host(self):
        """What a display that is offered to other hosts needs: a key that nobody else can read, and no way to turn a connection elsewhere."""
        look = ("import ctypes, errno, os, socket, sys\n"
                "for name in ('ca-cert', 'server-cert', 'server-key'):\n"
                "    path = f'/tls/{name}.pem'\n"
                "    assert open(path).read() == name, name\n"
                "    assert os.stat(path).st_mode & 0o777 == 0o400 and os.stat(path).st_uid == os.getuid(), name\n"
                "assert os.statvfs('/tls').f_flag & os.ST_RDONLY\n"
                "peer = socket.socket(fileno=int(sys.argv[1]))\n"
                "peer.sendall(b'x')\n"
                "for call, *arguments in ((socket.socket.connect, peer, ('127.0.0.1', 1)), (peer.listen,)):\n"
                "    try:\n        call(*arguments)\n        sys.exit('it leads elsewhere')\n    except OSError:\n        pass\n"
                "libc = ctypes.CDLL(None, use_errno=True)\n"
                "for number in (libc.connect(peer.fileno(), bytes(16), 16), libc.syscall(425, 1, bytes(120))):\n"
                "    assert number == -1\n"
                "    assert ctypes.get_errno() == errno.EPERM, ctypes.get_errno()\n"
                "sys.exit(9)\n")
        listener = socket.create_server(("127.0.0.1", 0))
        with socket.create_connection(listener.getsockname()) as peer, listener.accept()[0] as ours, contextlib.ExitStack() as stack:
            files = [stack.enter_context(tempfile.TemporaryFile()) for _ in range(3)]
            for file, name in zip(files, (b"ca-cert", b"server-cert", b"server-key")):
                file.write(name)
                file.flush()
            options = [f"--tls-{name}={file.fileno()}" for file, name in zip(files, ("ca", "cert", "key"))]
            fds = [file.fileno() for file in files] + [ours.fileno()]
            with Guarded(lambda run: [PYTHON, "-c", look, str(ours.fileno())], *options, fds=fds) as run:
                self.assertEqual(run.wait(), 9, run.stderr())
            self.assertEqual(peer.recv(1), b"x")
            with Guarded(lambda run: [PYTHON, "-c", "pass"], *options[:2], fds=fds) as run:
                self.assertEqual(run.wait(), 64)
        listener.close()

    def test_no_other_device(self):
        for device in ("/dev/null", "/dev/vfio/../null", "/dev/dri/../null", "/dev/dri/nothing", "/etc/passwd"):
            with Guarded(lambda run: [PYTHON, "-c", "pass"], f"--device={device}") as run:
                self.assertNotEqual(run.wait(), 0)
                self.assertNotEqual(run.status().get("Executed"), "yes")
                self.assertEqual(run.status().get("Pid", "0"), "0")

    def test_short_command_line(self):
        with Guarded(qemu("-S")).started() as run:
            with open(f"/proc/{run.pid}/cmdline", "rb") as file:
                words = file.read().rstrip(b"\0").split(b"\0")
            if not guard_harness.WRAPPER:
                self.assertEqual(words, [guard_harness.GUARD.encode(), b"test"])
            os.kill(run.qemu, signal.SIGKILL)
            run.wait()


class Guest(unittest.TestCase):
    """A real guest."""

    def orderly(self, run, watcher):
        watcher.until("GUEST POWERING OFF")
        self.assertEqual(run.wait(20), 0, run.stderr())
        status = run.status()
        self.assertEqual((status["Code"], status["Reason"]), ("0", "guest-shutdown"))

    def test_console_and_power_button(self):
        with Guarded(guest(GUEST)).started() as run:
            first, second, stopped = run.watch(), run.watch(), run.watch()
            first.until("GUEST READY")
            second.until("GUEST READY")
            late, silent = run.watch(), run.watch()
            silent.socket.shutdown(1)
            late.until("GUEST READY", 2)
            self.assertTrue(first.seen.startswith(late.seen) or late.seen.startswith(first.seen))
            second.type("echo typed $((6 * 7))\n")
            for watcher in (first, second, late, silent):
                watcher.until("typed 42")
            hasty = run.watch()
            hasty.type("echo hasty $((7 * 7))\n")
            hasty.close()
            first.until("hasty 49")
            run.press()
            self.orderly(run, first)
            for watcher in (first, silent, late, stopped):
                watcher.until_end()
                self.assertIn(b"GUEST POWERING OFF", watcher.seen)
            self.assertEqual(late.seen, first.seen)
            self.assertEqual(stopped.seen, first.seen)
            with open(run.log_path, "rb") as log:
                self.assertEqual(log.read(), first.seen)

    def test_button_resumes_a_paused_guest(self):
        with Guarded(guest(GUEST)).started() as run:
            watcher = run.watch()
            watcher.until("GUEST READY")
            run.monitor().call("stop")
            run.press()
            self.orderly(run, watcher)

    def test_button_wakes_a_suspended_guest(self):
        with Guarded(guest(GUEST), "--press-interval=2000000").started() as run:
            watcher = run.watch()
            watcher.until("GUEST READY")
            monitor = run.monitor()
            watcher.type("echo mem > /sys/power/state; echo woken\n")
            wait_for(lambda: monitor.call("query-status")["return"]["status"] == "suspended", 10, "suspension")
            run.press()
            self.orderly(run, watcher)

    def test_button_before_the_guest_listens(self):
        with Guarded(guest(GUEST), "--press-interval=500000").started() as run:
            run.press()
            watcher = run.watch()
            self.orderly(run, watcher)
            self.assertGreater(run.stderr().count("power button"), 2)

    def test_panic(self):
        with Guarded(guest(GUEST, "panic", "-device", "pvpanic")).started() as run:
            self.assertEqual(run.wait(30), 70)
            status = run.status()
            self.assertEqual((status["Code"], status["Panicked"], status["Reason"]), ("0", "yes", "guest-panic"))
            self.assertIn("panicked", run.stderr())

    def test_flood(self):
        with Guarded(guest(GUEST, "flood"), "--log-size=65536").started() as run:
            watcher, stopped = run.watch(), run.watch()
            watcher.until("GUEST READY")
            end = time.monotonic() + 4
            while time.monotonic() < end:
                watcher.read(0.1)
                self.assertLessEqual(run.log_kept()[1], 65536)
            self.assertGreater(run.log_kept()[0], 65536)
            late = run.watch()
            late.until("GUEST FLOOD", 2)
            self.assertTrue(late.seen.startswith(b"GUEST FLOOD"), late.seen[:200])
            run.press()
            self.orderly(run, watcher)


class Hostile(unittest.TestCase):
    """A QEMU that its guest has taken over."""

    def idle(self, run):
        """Nothing makes the guard spin."""
        before = run.cpu_seconds()
        time.sleep(1)
        self.assertLess(run.cpu_seconds() - before, 0.2 * SLOW)

    def test_mute_monitor(self):
        with player("mute", "--press-interval=100000") as run:
            wait_for(run.status, 5, "a status")
            run.press()
            self.idle(run)
            self.assertEqual(run.wait(), 3)

    def test_deaf_monitor(self):
        with player("deaf", "--press-interval=1000") as run:
            wait_for(run.status, 5, "a status")
            run.press()
            self.assertEqual(run.wait(), 5)

    def test_half_closed(self):
        with player("half-closed", "--press-interval=100000") as run:
            watcher = run.watch()
            watcher.until("still here")
            watcher.type("hello")
            run.press()
            self.idle(run)
            self.assertEqual(run.wait(), 0)
            self.assertEqual(run.status()["Reason"], "guest-shutdown")

    def test_closed(self):
        with player("closed") as run:
            watcher = run.watch()
            watcher.type("hello")
            self.idle(run)
            self.assertEqual(run.wait(), 0)
            watcher.until_end()

    def test_endless_line(self):
        with player("endless-line") as run:
            self.assertEqual(run.wait(), 0)
            self.assertEqual(run.status()["Reason"], "guest-reset")

    def test_lies(self):
        with player("lies") as run:
            self.assertEqual(run.wait(), 0)
            self.assertNotIn("Reason", run.status())

    def test_reasons(self):
        with player("reasons") as run:
            self.assertEqual(run.wait(), 0)
            self.assertEqual(set(run.status()), {"Pid", "Ended", "Code", "Output"})

    def test_flood_of_events(self):
        with player("flood") as run:
            wait_for(run.status, 5, "a status")
            run.press()
            self.assertEqual(run.wait(60), 0)
            self.assertEqual(run.status()["Reason"], "guest-shutdown")

    def test_off_already(self):
        with player("off", "--press-interval=300000") as run:
            wait_for(run.status, 5, "a status")
            run.press()
            self.assertEqual(run.wait(), 0)
            self.assertEqual(run.status()["Reason"], "guest-shutdown")

    def test_presses_go_on(self):
        with player("presses", "--press-interval=300000") as run:
            wait_for(run.status, 5, "a status")
            run.press()
            start = time.monotonic()
            self.assertEqual(run.wait(), 0)
            self.assertGreater(time.monotonic() - start, 0.5)

    def test_panic(self):
        with player("panic") as run:
            self.assertEqual(run.wait(), 70)
            self.assertEqual(run.status()["Panicked"], "yes")
        with player("panic-and-reset") as run:
            self.assertEqual(run.wait(), 0)
            self.assertNotIn("Panicked", run.status())

    def test_noise(self):
        start = time.monotonic()
        with player("noise") as run:
            self.assertEqual(run.wait(60), 0)
            lines = run.stderr().splitlines()
            seconds = time.monotonic() - start + 1
            noise = [line for line in lines if "noise" in line]
            self.assertGreaterEqual(len(noise), 990)
            self.assertLessEqual(len(noise), 1000 + 200 * seconds)
            self.assertEqual(lines[0], "<4><0>[31mred ä ?  tab\there")
            self.assertTrue([line for line in lines if "lines dropped" in line])
            output = run.status()["Output"]
            self.assertLessEqual(len(output), 4096)
            self.assertTrue(output.endswith('yyy\nlast words: "quoted" \\ and no newline\n'))

    def test_journal_that_does_not_read(self):
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        with player("noise", stderr=writer) as run:
            os.close(writer)
            self.assertEqual(run.wait(60), 0)
            os.close(reader)

    def test_console_ring(self):
        with player("print", "--log-size=131072") as run:
            watcher, stopped = run.watch(), run.watch()
            run.wait(60)
            watcher.until_end()
            lines = watcher.seen.split(b"\r\n")
            self.assertTrue(lines[-3].startswith(b"00065535"))
            size, kept = run.log_kept()
            self.assertEqual(size, 65536 * 64 + len("THE END\r\n"))
            self.assertLessEqual(kept, 131072)
            self.assertGreater(kept, 100000)
            stopped.until_end()
            self.assertTrue(stopped.seen.startswith(b"00000000"))
            self.assertNotIn(b"\0", stopped.seen)

    @unittest.skipUnless(ROOT, "mounts a small file system")
    def test_full_file_system(self):
        for filler in (0, 1 << 20):
            with self.subTest(filler), small_file_system() as folder, player("print", "--log-size=16777216", folder=folder) as run:
                watcher = run.watch()
                wait_for(run.status, 5, "a status")
                if filler:
                    fill(folder)
                end = time.monotonic() + 30
                while watcher.read(0.05) and time.monotonic() < end:
                    pass
                self.assertEqual(run.wait(), 0)
                self.assertIn(b"THE END", watcher.seen[-4096:])
                self.assertNotIn(b"\0", watcher.seen)
                self.assertEqual(run.status()["Code"], "0")
                output = run.status()["Output"]
                self.assertTrue(output.endswith("the end\n"))
                if not filler:
                    self.assertGreater(len(output), 1500)
                    with open(run.log_path, "rb") as log:
                        self.assertIn(b"THE END", log.read()[-4096:])

    @unittest.skipUnless(ROOT, "mounts a small file system")
    def test_last_words_on_a_full_file_system(self):
        with small_file_system() as folder, player("last-words", folder=folder) as run:
            watcher = run.watch()
            wait_for(run.status, 5, "a status")
            fill(folder)
            watcher.socket.send(b"x")
            self.assertEqual(run.wait(), 0)
            self.assertRegex(run.status()["Output"], "^ä+the end\\.\n$")

    def test_typing_that_nobody_reads(self):
        with player("no-typing") as run:
            watcher, typist, gone = run.watch(), run.watch(), run.watch()
            watcher.until("tick")
            typist.socket.setblocking(False)
            gone.socket.setblocking(False)
            sent = 0
            for _ in range(50):
                for one in (typist, gone):
                    try:
                        sent += one.socket.send(b"x" * 65536)
                    except BlockingIOError:
                        time.sleep(0.01)
            self.assertLess(sent, 4 << 20)
            gone.close()
            self.idle(run)
            before = len(watcher.seen)
            watcher.read(1)
            self.assertGreater(len(watcher.seen), before)
            self.qemu_dies(run)

    def test_too_many_watchers(self):
        with player("echo") as run:
            watchers = [run.watch() for _ in range(32)]
            watchers[0].type("hello\r\n")
            for watcher in watchers:
                watcher.until("hello")
            extra = run.watch()
            extra.until_end()
            self.assertIn(b"too many", extra.seen)
            watchers[5].close()
            watchers[6].socket.shutdown(2)
            self.idle(run)
            again = run.watch()
            again.until("hello")
            watchers[31].type("bye\r\n")
            for watcher in watchers[:5] + watchers[7:] + [again]:
                watcher.until("bye")
            self.qemu_dies(run)

    def qemu_dies(self, run):
        os.kill(int(run.status()["Pid"]), signal.SIGKILL)
        self.assertEqual(run.wait(), 137)


if __name__ == "__main__":
    if not os.access(guard_harness.GUARD, os.X_OK):
        sys.exit("VMD_GUARD does not name a guard")
    if not QEMU:
        print("there is no qemu-system-x86_64")
        sys.exit(77)
    with tempfile.TemporaryDirectory() as GUEST:
        os.chmod(GUEST, 0o755)
        shutil.copy(f"{HERE}/guard-player.py", GUEST)
        builder = os.environ.get("VMD_GUEST_BUILD", f"{HERE}/../guest/build")
        if subprocess.run([builder, GUEST], check=False).returncode != 0:
            print("the tests' guest cannot be built")
            sys.exit(77)
        unittest.main(verbosity=2)
