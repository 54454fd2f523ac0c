# SPDX-License-Identifier: LGPL-2.1-or-later
"""What the phases of the bench stand on: the measuring client, samples, VMs, and how a command line is made again."""

import json
import os
import re
import socket
import statistics
import subprocess
import time

CLIENT = "/usr/libexec/vmd-bench/bench-client"
VMD, ROOT, MANAGER, VM = "org.vmd1", "/org/vmd1", "org.vmd1.Manager", "org.vmd1.VM"
EMPTY, EMPTY_PATH = "org.vmd1.Bench", "/org/vmd1/Bench"
PROPERTIES = "org.freedesktop.DBus.Properties"


class Client:
    """bench-client, which takes each sample."""

    def __init__(self):
        self.process = subprocess.Popen([CLIENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)

    def ask(self, *words):
        self.process.stdin.write("\t".join(map(str, words)) + "\n")
        reply = self.process.stdout.readline().split()
        if not reply or reply[0] != "ok":
            raise RuntimeError(f"{words[0]}: {' '.join(reply[1:]) or 'bench-client died'}")
        return [float(number) for number in reply[1:]]

    def vm(self, name, method):
        return self.ask("call", VMD, vm_path(name), VM, method)[0]

    def running(self):
        return int(self.ask("list", VMD)[2])


class Samples(dict):
    """Lists of numbers by name."""

    def add(self, name, value):
        self.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self[name]) if self.get(name) else None

    def to_json(self):
        return json.dumps({name: [round(value, 4) for value in values] for name, values in self.items()}, indent=1)


def run(*command):
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def vm_path(name):
    """As sd_bus_path_encode() does."""
    def encode(match):
        return f"_{ord(match.group()):02x}"
    return f"{ROOT}/vm/{re.sub(r'[^A-Za-z0-9]|^[0-9]', encode, name)}"


def vm_property(name, prop):
    reply = subprocess.run(["busctl", "--json=short", "get-property", VMD, vm_path(name), VM, prop], check=True,
                           capture_output=True, text=True).stdout
    return json.loads(reply)["data"]


def define(name, settings):
    with open(f"/etc/vmd/{name}.vm.new", "w") as file:
        file.write(settings)
    os.rename(f"/etc/vmd/{name}.vm.new", f"/etc/vmd/{name}.vm")


def memory_of(settings):
    return int(re.search(r"^Memory=(\d+)M$", settings, re.M).group(1)) * MIB


def forget(names):
    for name in names:
        os.unlink(f"/etc/vmd/{name}.vm")


def wait_for_count(client, count):
    """Until vmd, which notices files by itself, knows that many VMs."""
    deadline = time.monotonic() + 60
    while int(client.ask("list", VMD)[1]) != count:
        if time.monotonic() > deadline:
            raise RuntimeError(f"vmd does not list {count} VMs")
        time.sleep(0.1)


def unit_pid(unit):
    return int(subprocess.run(["systemctl", "show", "--value", "-P", "MainPID", unit], check=True, capture_output=True,
                              text=True).stdout)


def pss_kb(pid):
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return int(re.search(r"^Pss:\s+(\d+)", file.read(), re.M).group(1))


def processor_times():
    with open("/proc/stat") as file:
        numbers = [int(number) for number in file.readline().split()[1:9]]
    return sum(numbers), numbers[3] + numbers[4]


WAITS = {"calm": 0, "busy": 0}


def settle(limit=15, span=0.25):
    """Until the processors have little to do, so that nothing else, and nothing started before, is measured too."""
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        before = processor_times()
        time.sleep(span)
        after = processor_times()
        if after[1] - before[1] > 0.85 * (after[0] - before[0]):
            WAITS["calm"] += 1
            return
    WAITS["busy"] += 1


def fd_recipes(words):
    """How each descriptor that a command line of vmd's names can be made again; see process.h."""
    recipes, sets, files = {}, {}, {}
    for option, value in zip(words, words[1:]):
        if option == "-chardev" and (match := re.search(r"\bfd=(\d+)", value)):
            listens = "server=on" in value
            recipes[match.group(1)] = "monitor" if listens and "id=monitor," in value else "listen" if listens else "pair"
        elif option == "-netdev" and (match := re.search(r"^tap,.*\bfd=(\d+)", value)):
            recipes[match.group(1)] = f"tap:{TAP}"
            if match := re.search(r"\bvhostfd=(\d+)", value):
                recipes[match.group(1)] = f"open:{os.O_RDWR:o}:/dev/vhost-net"
        elif option == "-add-fd":
            fd, number = re.fullmatch(r"fd=(\d+),set=(\d+)", value).groups()
            sets.setdefault(number, []).append(fd)
        elif option == "-blockdev" and "/dev/fdset/" in value:
            node = json.loads(value)
            files[node["filename"].rsplit("/", 1)[1]] = node
    for number, fds in sets.items():
        node = files[number]
        modes = [os.O_RDONLY] if node["read-only"] else [os.O_RDWR, os.O_RDONLY]
        direct = os.O_DIRECT if node["cache"]["direct"] else 0
        for fd, mode in zip(fds, modes):
            recipes[fd] = f"open:{mode | direct:o}:{HALT_DISK if node['read-only'] else DISK}"
    named = set(re.findall(r"\bfd=(\d+)|/proc/self/fd/(\d+)", " ".join(words)))
    missing = {a or b for a, b in named} - set(recipes)
    if missing:
        raise RuntimeError(f"the bench cannot make these descriptors of vmd's QEMU again: {missing}")
    return recipes


MIB = 1024 * 1024
TAP = "bench-start"  # there already
DISK, HALT_DISK = "/var/tmp/bench.qcow2", "/var/tmp/halt.img"


def write_halt_disk():
    """A boot sector that halts the processor for good: a guest that runs, and costs nothing while it does."""
    with open(HALT_DISK, "wb") as file:
        file.write(b"\xfa\xf4\xeb\xfd".ljust(510, b"\0") + b"\x55\xaa")
        file.truncate(MIB)  # firmware boots no disk that is smaller than a cylinder


def write_template(pid, path):
    """The command line of a QEMU that vmd has started, for bench-client to start without vmd."""
    with open(f"/proc/{pid}/cmdline") as file:
        words = file.read().rstrip("\0").split("\0")
    recipes = [f"{fd}={recipe}" for fd, recipe in fd_recipes(words).items()]
    with open(path, "w") as file:
        file.write("\0".join([*recipes, "", *words]) + "\0")


def words_of(name):
    with open(f"/proc/{vm_property(name, 'QEMUProcess')}/cmdline") as file:
        return file.read().rstrip("\0").split("\0")


def by_hand(name, replace=lambda word: word):
    """The command line of a VM that runs, for a QEMU that is started by hand: with names in place of descriptors, its monitor at
    monitor_of(name) and nothing at other sockets. `replace` is asked first, of each word, and gives None for one that is to go, with the
    option before it."""
    words, pid, plain = words_of(name), vm_property(name, "QEMUProcess"), []
    for word in map(replace, words):
        if word is None:
            plain.pop()
            continue
        word = re.sub(r"^/proc/self/fd/(\d+)$", lambda match: os.readlink(f"/proc/{pid}/fd/{match[1]}"), word)
        word = re.sub(r"^socket,id=monitor,fd=\d+", f"socket,id=monitor,path={monitor_of(name)}", word)
        plain.append(re.sub(r"^socket,id=([\w-]+),fd=.*", r"null,id=\1", word))
    left = [word for word in plain if re.search(r"\bfd=\d|/proc/self/fd/|/dev/fdset/", word)]
    if left:
        raise RuntimeError(f"the bench cannot make these words of vmd's again: {left}")
    return plain


def monitor_of(name):
    return f"/run/{name}.monitor"


def connect(path):
    """To a unix socket whose owner may not be there yet, or not listen."""
    deadline = time.monotonic() + 60
    while True:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        try:
            connection.connect(path)
            return connection
        except OSError:
            connection.close()
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def let_go(name):
    """Lets a QEMU go on that was started stopped, as vmd's are."""
    path = monitor_of(name)
    with connect(path) as monitor:
        monitor.sendall(b'{"execute":"qmp_capabilities"}\n{"execute":"cont","id":"cont"}\n')
        # Whoever hangs up before QEMU listens has said nothing.
        if not any('"id": "cont"' in line for line in monitor.makefile()):
            raise RuntimeError(f"the QEMU of {path} does not go on")


def finish(samples, rows, about, as_text, as_markdown):
    """What a bench prints, and leaves where its script looks."""
    calm = f"{WAITS['calm']} of {sum(WAITS.values())} waits before samples found the processors idle"
    about = f"{os.cpu_count()} processors, {about}; {calm}"
    print(about, "", as_text(rows), sep="\n")
    with open("/lab/share/samples.json", "w") as file:
        file.write(samples.to_json() + "\n")
    with open("/lab/share/table.md", "w") as file:
        file.write(f"{about}\n\n{as_markdown(rows)}\n")
