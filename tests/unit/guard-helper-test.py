#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""vmd-guard as the parent of a helper (daemon/guard/helper.h), with shells in the helper's place.

VMD_GUARD is the guard."""

import os
import shutil
import signal
import subprocess
import tempfile
import unittest

from guard_harness import GUARD, GUARD_UID, POWER, process_status, wait_for

ROOT = os.geteuid() == 0
UID = 64003


def ended(pid):
    try:
        return process_status(pid)["State"][0] == "Z"
    except OSError:
        return True


class Helper:
    """A running one, its VM a process that sleeps."""

    def __init__(self, command, *options, ids=ROOT, go=False):
        self.base = tempfile.mkdtemp(prefix="guard-test-", dir="/var/tmp")
        os.chmod(self.base, 0o755)
        self.status_path = os.path.join(self.base, "status")
        self.vm = subprocess.Popen(["sleep", "1000"])
        status = os.open(self.status_path, os.O_RDWR | os.O_CREAT, 0o600)
        life = os.pidfd_open(self.vm.pid)
        passed = [status, life]
        arguments = ["--helper=yes", "--name=test", f"--status={status}", f"--life={life}", *options]
        if ids:
            arguments += [f"--uid={UID}", f"--gid={UID}", f"--guard-uid={GUARD_UID}", f"--guard-gid={GUARD_UID}"]
        if go:
            waits, self.go = os.pipe()
            passed.append(waits)
            arguments.append(f"--go={waits}")
        self.process = subprocess.Popen([GUARD, *arguments, "--", "/bin/sh", "-c", command], pass_fds=passed,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for fd in passed:
            os.close(fd)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in (self.vm, self.process):
            process.kill()
            process.wait()
        self.process.stdout.close()
        shutil.rmtree(self.base)

    def status(self):
        with open(self.status_path) as file:
            return dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)

    def started(self):
        return int(wait_for(lambda: self.status().get("Pid"), 10, "its start"))

    def end(self, seconds=10):
        code = self.process.wait(seconds)
        return code, self.status(), self.process.stdout.read()


class Ends(unittest.TestCase):
    def test_with_its_vm(self):
        with Helper("exec sleep 1000") as run:
            pid = run.started()
            run.vm.kill()
            run.vm.wait()
            code, status, output = run.end()
            self.assertEqual((code, output), (0, ""))
            self.assertNotIn("Ended", status)
            wait_for(lambda: ended(pid), 5, "the helper's end")

    def test_with_its_guard(self):
        with Helper("exec sleep 1000") as run:
            pid = run.started()
            run.process.kill()
            wait_for(lambda: ended(pid), 5, "the helper's end")

    def test_killed(self):
        with Helper("exec sleep 1000") as run:
            os.kill(run.started(), signal.SIGKILL)
            code, status, output = run.end()
            self.assertEqual((code, status["Signal"], status["Ended"]), (137, "9", "yes"))
            self.assertIn("/bin/sh of test has ended, and the VM goes on without it", output)

    def test_last_words(self):
        with Helper("echo it is broken >&2; exit 3") as run:
            code, status, output = run.end()
            self.assertEqual((code, status["Code"]), (3, "3"))
            self.assertIn("it is broken", status["Output"])
            self.assertIn("it is broken", output)

    def test_a_moment_before_its_vm(self):
        with Helper("exit 0") as run:
            wait_for(lambda: "Ended" in run.status(), 10, "the helper's end")
            self.assertIsNone(run.process.poll())
            run.vm.kill()
            run.vm.wait()
            self.assertEqual(run.end()[::2], (0, ""))

    def test_signals_of_the_scope(self):
        with Helper("exec sleep 1000") as run:
            pid = run.started()
            for sig in (POWER, signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                os.kill(run.process.pid, sig)
            os.kill(pid, POWER)
            with self.assertRaises(subprocess.TimeoutExpired):
                run.process.wait(0.5)
            self.assertFalse(ended(pid))

    def test_cannot_execute(self):
        with Helper("exec /no/such/helper") as run:
            self.assertEqual(run.end()[1]["Code"], "127")

    def test_start_given_up(self):
        for how in ("end of file", "end of the VM"):
            with self.subTest(how), Helper("exec sleep 1000", go=True) as run:
                if how == "end of file":
                    os.close(run.go)
                else:
                    run.vm.kill()
                    run.vm.wait()
                self.assertEqual(run.end()[:2], (0, {}))

    def test_go(self):
        with Helper("exit 4", go=True) as run:
            self.assertEqual(run.status(), {})
            os.write(run.go, b"x")
            self.assertEqual(run.end()[1]["Code"], "4")

    def test_wrong_options(self):
        for options in (["--helper=yes"], ["--helper=yes", "--life=999"], ["--helper=maybe"]):
            result = subprocess.run([GUARD, *options, "--", "/bin/true"], stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
            self.assertEqual(result.returncode, 64, options)
            self.assertNotEqual(result.stderr, b"")


@unittest.skipUnless(ROOT, "needs other uids")
class Confinement(unittest.TestCase):
    def test_ids_and_capabilities(self):
        with Helper("exec sleep 1000") as run:
            for pid, uids in ((run.started(), [UID] * 4), (run.process.pid, [GUARD_UID, UID, GUARD_UID, UID])):
                status = process_status(pid)
                self.assertEqual(status["Uid"].split(), [str(uid) for uid in uids])
                self.assertEqual(status["Groups"].split(), [])
                self.assertEqual(int(status["CapEff"], 16) | int(status["CapPrm"], 16) | int(status["CapBnd"], 16), 0)
                self.assertEqual(status["NoNewPrivs"], "1")
                if not os.environ.get("VMD_GUARD_SANITIZED"):
                    self.assertEqual(status["Seccomp"], "2")

    def test_own(self):
        base = tempfile.mkdtemp(prefix="guard-test-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, base)
        own, elsewhere = os.path.join(base, "own"), os.path.join(base, "elsewhere")
        os.mkdir(own, 0o700)
        for path in (elsewhere, os.path.join(own, "state")):
            with open(path, "w") as file:
                file.write("what was there")
        os.symlink("../elsewhere", os.path.join(own, "link"))
        os.link(elsewhere, os.path.join(own, "hard"))
        command = f"cd {own} && cat state && echo new > state && echo more > made && ls {base} / /dev && cat link"
        with Helper(command, f"--own={own}") as run:
            _, status, output = run.end()
        self.assertIn("what was there", output)
        self.assertEqual(status["Code"], "1")  # of the last command: the link leads nowhere
        for word in ("elsewhere\n", "home\n", "root\n", "kvm\n"):
            self.assertNotIn(word, output)
        for name, uid in (("state", UID), ("made", UID), ("link", 0), ("hard", 0), (".", UID)):
            self.assertEqual(os.lstat(os.path.join(own, name)).st_uid, uid, name)
        self.assertEqual(os.stat(elsewhere).st_uid, 0)
        with open(os.path.join(own, "state")) as file:
            self.assertEqual(file.read(), "new\n")

    def test_forks(self):
        for who in ("vm", "process"):
            with self.subTest(who), Helper("echo $$ $PPID; setsid sleep 1234 & setsid sleep 1234 & exec sleep 1234") as run:
                pid = run.started()

                def forks():
                    with open(f"/proc/{pid}/task/{pid}/children", encoding="utf-8") as file:
                        return [int(word) for word in file.read().split()]

                children = wait_for(lambda: len(forks()) == 2 and forks(), 5, "its forks")
                getattr(run, who).kill()
                getattr(run, who).wait()
                for child in children:
                    wait_for(lambda child=child: ended(child), 5, "the end of what it forked")
                self.assertIn("1 0\n", run.end()[2])

    def test_file_size(self):
        own = tempfile.mkdtemp(prefix="guard-test-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, own)
        with Helper(f"exec head -c 100000 /dev/zero > {own}/file", f"--own={own}", "--file-size=65536") as run:
            self.assertIn("File too large", run.end()[1]["Output"]) # PID 1 of a namespace gets no SIGXFSZ
        self.assertEqual(os.stat(f"{own}/file").st_size, 65536)


if __name__ == "__main__":
    unittest.main(verbosity=2)
