#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""A hostile client of org.vmd1, for a-hostile-bus-client-gets-nothing.test. It speaks D-Bus itself, since libraries send
nothing that is wrong. Each mode prints what it did, and fails with a line for each thing that should not have been:

  refused     every method of every object, with every kind of wrong argument: only reads may succeed
  flood       thousands of calls at once, and connections that leave in the middle of theirs
  malformed   what is no D-Bus message at all, and messages nested to the limit and beyond
  hold        calls that polkit asks this client's own agent about, which never answers; until it is killed
  forge       signals in the name of systemd, about the unit of the VM "forged"
  let-in      as somebody who may manage VMs: tries to get QEMU arguments, other owners and other disks into settings
"""

import collections
import functools
import os
import select
import socket
import struct
import sys
import time
import xml.etree.ElementTree as tree

CALL, RETURN, ERROR, SIGNAL = 1, 2, 3, 4
NO_REPLY, INTERACTIVE = 1, 4
BUS, VMD, DBUS = "/run/dbus/system_bus_socket", "org.vmd1", "org.freedesktop.DBus"
FIXED = {"y": "B", "n": "h", "q": "H", "i": "i", "u": "I", "b": "I", "h": "I", "x": "q", "t": "Q", "d": "d"}
ALIGNMENT = dict({t: struct.calcsize(c) for t, c in FIXED.items()}, s=4, o=4, g=1, v=1, a=4, **{"(": 8, "{": 8})


# ---- messages

def one_type(signature):
    """The first complete type of it."""
    if signature[0] == "a":
        return "a" + one_type(signature[1:])
    if signature[0] not in "({":
        return signature[0]
    depth = 0
    for i, c in enumerate(signature):
        depth += (c in "({") - (c in ")}")
        if depth == 0:
            return signature[:i + 1]
    raise ValueError(signature)


def types_of(signature):
    types = []
    while signature:
        types.append(one_type(signature))
        signature = signature[len(types[-1]):]
    return types


def write(out, t, value, fds):
    """Appends a value; a variant is (signature, value), a descriptor is its number, a dictionary a list of pairs."""
    out += bytes(-len(out) % ALIGNMENT[t[0]])
    if t == "h":
        fds.append(value)
        out += struct.pack("<I", len(fds) - 1)
    elif t in FIXED:
        out += struct.pack("<" + FIXED[t], value)
    elif t == "g":
        out += bytes([len(value)]) + value.encode() + b"\0"
    elif t in "so":
        text = value if isinstance(value, bytes) else value.encode()
        out += struct.pack("<I", len(text)) + text + b"\0"
    elif t == "v":
        write(out, "g", value[0], fds)
        write(out, value[0], value[1], fds)
    elif t == "ay":
        out += struct.pack("<I", len(value)) + bytes(value)
    elif t[0] == "a":
        at = len(out)
        out += bytes(4)
        out += bytes(-len(out) % ALIGNMENT[t[1]])
        start = len(out)
        for item in value:
            write(out, t[1:], item, fds)
        struct.pack_into("<I", out, at, len(out) - start)
    else:
        for part, item in zip(types_of(t[1:-1]), value):
            write(out, part, item, fds)


def read_string(data, at):
    at += -at % 4
    n = struct.unpack_from("<I", data, at)[0]
    return data[at + 4:at + 4 + n].decode(), at + 5 + n


class Message:
    def __init__(self, path, interface, member, signature="", body=(), flags=0, kind=CALL, destination=VMD):
        self.path, self.interface, self.member, self.signature = path, interface, member, signature
        self.body, self.flags, self.kind, self.destination = body, flags, kind, destination

    def __str__(self):
        return f"{self.interface}.{self.member}({self.signature}{str(self.body)[:100]}) of {self.path[:60]}"

    def pack(self, serial):
        body, fds = bytearray(), []
        for t, value in zip(types_of(self.signature), self.body):
            write(body, t, value, fds)
        fields = [(1, ("o", self.path)), (3, ("s", self.member)), (6, ("s", self.destination))]
        if self.interface:
            fields.append((2, ("s", self.interface)))
        if self.signature:
            fields.append((8, ("g", self.signature)))
        if fds:
            fields.append((9, ("u", len(fds))))
        out = bytearray(struct.pack("<BBBBII", ord("l"), self.kind, self.flags, 1, len(body), serial))
        write(out, "a(yv)", fields, [])
        out += bytes(-len(out) % 8)
        return out + body, fds


class Reply:
    def __init__(self, data):
        self.kind = data[1]
        self.serial, self.error = 0, ""
        length = struct.unpack_from("<I", data, 12)[0]
        at, end = 16, 16 + length
        while at < end:
            at += -at % 8
            code, t = data[at], chr(data[at + 2])
            at += 4
            if t in "so":
                value, at = read_string(data, at)
            elif t == "g":
                at += data[at] + 2
                continue
            else:
                at += -at % 4
                value = struct.unpack_from("<I", data, at)[0]
                at += 4
            if code == 5:
                self.serial = value
            elif code == 4:
                self.error = value
        self.body = data[end + -end % 8:]

    def string(self):
        return read_string(self.body, 0)[0]

    def first_file(self):
        """The text of the first file of GetFiles' a(ss)."""
        return read_string(self.body, read_string(self.body, 8)[1])[0]


class Bus:
    def __init__(self):
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(60)
        self.socket.connect(BUS)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\nNEGOTIATE_UNIX_FD\r\nBEGIN\r\n")
        self.data, self.serial = b"", 0
        greeting = b""
        while greeting.count(b"\r\n") < 2:
            greeting += self.socket.recv(1)
        if not greeting.startswith(b"OK") or b"AGREE" not in greeting:
            raise SystemExit(f"the bus says {greeting}")
        self.call(Message("/org/freedesktop/DBus", DBUS, "Hello", destination=DBUS))

    def send(self, message):
        self.serial += 1
        data, fds = message.pack(self.serial)
        sent = socket.send_fds(self.socket, [data], fds) if fds else 0
        self.socket.sendall(data[sent:])
        return self.serial

    def receive(self):
        """One message; whatever file descriptors came with it are closed."""
        while True:
            if len(self.data) >= 16:
                body, fields = struct.unpack_from("<I", self.data, 4)[0], struct.unpack_from("<I", self.data, 12)[0]
                size = 16 + fields + -fields % 8 + body
                if len(self.data) >= size:
                    message, self.data = self.data[:size], self.data[size:]
                    return Reply(message)
            data, fds, _, _ = socket.recv_fds(self.socket, 1 << 20, 16)
            for fd in fds:
                os.close(fd)
            if not data:
                raise ConnectionError("the bus has closed the connection")
            self.data += data

    def call(self, message):
        serial = self.send(message)
        while True:
            reply = self.receive()
            if reply.kind in (RETURN, ERROR) and reply.serial == serial:
                return reply

    def calls(self, messages, window=100):
        """Makes the calls, a hundred at a time; yields each with its reply. The bus allows 128."""
        waiting, rest = {}, collections.deque(messages)
        while rest or waiting:
            while rest and len(waiting) < window and not (waiting and select.select([self.socket], [], [], 0)[0]):
                message = rest.popleft()
                waiting[self.send(message)] = message
            try:
                reply = self.receive()
            except TimeoutError:
                for message in waiting.values():
                    yield message, None
                return
            if reply.kind in (RETURN, ERROR) and reply.serial in waiting:
                yield waiting.pop(reply.serial), reply

    def barrier(self):
        """Until vmd has seen all that was sent before, and polkit too."""
        self.call(Message("/org/vmd1", "org.vmd1.Manager", "Reload"))


# ---- hostile arguments

NULL = os.open("/dev/null", os.O_RDWR)
MEGABYTE = "x" * 1000000
INJECTIONS = [f"x{end}{what}" for end in ("\n", "\r", "\\\n", "\v", "\u2028")
              for what in ("[QEMU]\nArguments=-snapshot", "Owner=root")] + ["\n[QEMU]\nArguments=-snapshot\n", "x\\", "\\", "#", "[QEMU]", "x]"]
STRINGS = ["", ".", "../../etc/passwd", "/etc/vmd/running", "running", "running.vm", "_72unning", "_2f_2e_2e", "%s%n%d", "$(reboot)", "-p", "a" * 65,
           "x" * 100000, "\x01\x1b[31m\x7f", "\u202e\ufeff\ufffe", "running\n[QEMU]\nArguments=-snapshot", "vm-running.scope"]
NUMBERS = [0, 1, 2, 3, 1 << 31, 1 << 63, (1 << 64) - 1]


def nested(t, value, depth):
    for _ in range(depth):
        t, value = "v", (t, value)
    return t, value


# One value of each type there is.
ANY = [("y", 255), ("b", 1), ("n", -32768), ("q", 65535), ("i", -1), ("u", 1 << 31), ("x", -1 << 63), ("t", (1 << 64) - 1),
       ("d", float("nan")), ("s", "x"), ("o", "/"), ("g", "a{sv}"), ("h", NULL), ("v", ("s", "x")), ("as", ["x", "\n", ""]),
       ("ay", b"\xff" * 1000), ("ah", [NULL] * 10), ("(ss)", ("a", "b")), ("a{sv}", [("a", ("h", NULL))]), ("av", [("u", 1)] * 100),
       ("a" * 32 + "s", []), ("(" * 30 + "s" + ")" * 30, None), nested("s", "x", 50)]
ANY[-2] = (ANY[-2][0], functools.reduce(lambda value, _: (value,), range(30), "x"))


def hostile_settings():
    """All that may be sent as a{sa{sv}}."""
    def one(section, key, value):
        return [(section, [(key, value if isinstance(value, tuple) else ("s", value))])]
    owned = [("VM", [("Description", ("s", "x"))])]
    for text in INJECTIONS:
        for section, key in (("VM", "Description"), ("Boot", "CommandLine"), ("Disk d", "Source"), ("Scope", "CPUWeight")):
            yield one(section, key, text)
            yield one(section, key, ("as", [text, "x"]))
        yield one("VM", text, "x")
        yield one("VM]" + text, "Description", "x")
        yield one("Disk " + text, "Source", "/x")
        yield one("Scope", "DeviceAllow", ("as", [text]))
    for section in ("QEMU", " QEMU", "QEMU ", "QEMU\t", "QEMU x", "qemu", "[QEMU]", "QEMU]", "VM]\n[QEMU"):
        for key in ("Arguments", " Arguments", "Arguments ", "Arguments\t", "Arguments=x\nArguments", "#\nArguments"):
            yield one(section, key, "-snapshot")
            yield one(section, key, ("as", ["-snapshot"]))
        yield one(section, "Binary", "/bin/sh")
        yield one(section, "BindPaths", ("as", ["/"]))
        yield one(section, "BindReadOnlyPaths", "/etc")
        yield [(section, [])]
        yield owned + one(section, "Arguments", "-snapshot")
    for owner in ("root", "0", "00", "+0", " root", "root ", "alice\nOwner=root", "", " ", "nobody", "-1", "4294967295", "4294967296", "1001",
                  "root:x:0", ("u", 0), ("t", 0), ("i", -1), ("b", 0), ("as", ["root"]), ("as", []), ("v", ("s", "root"))):
        yield one("VM", "Owner", owner)
        yield [("VM", [("Owner", ("s", "alice")), ("Owner", owner if isinstance(owner, tuple) else ("s", owner))])]
    for key in (" Owner", "Owner ", "owner", "Owner=root\nOwner", "Owner\0"[:5] + "\t", "\ufeffOwner"):
        yield one("VM", key, "root")
    yield [("VM", [])]
    yield owned + [("VM", [])]
    yield owned + one("VM", "Owner", "root")
    for source in ("/etc/shadow", "etc/shadow", "/dev/vda", "/proc/self/fd/3", "/", "/etc/../etc/shadow", "/dev/null", "x" * 5000):
        yield one("Disk data", "Source", source)
        yield [("Disk  data", [("Source", ("s", source))]), ("Disk data ", [("Source", ("s", source))])]
    for image_format in ("qcow2", "", "raw,file=/etc/shadow", "vmdk"):
        yield one("Disk data", "Format", image_format)
    for key, value in (("BPFProgram", "device:/sys/fs/bpf/x"), ("IPIngressFilterPath", "/sys/fs/bpf/x"), ("IPEgressFilterPath", "/sys/fs/bpf/x"),
                       ("DevicePolicy", "auto"), ("DeviceAllow", "block-* rwm"), ("DeviceAllow", ("as", ["/dev/mem rw", "char-* rwm"])),
                       ("Delegate", "yes"), ("User", "root"), ("ExecStart", "/bin/sh")):
        yield one("Scope", key, value)
    for contents in ANY:
        for section, key in (("VM", "Memory"), ("VM", "Description"), ("QEMU", "Arguments"), ("Scope", "TasksMax"), ("nobody", "x")):
            yield one(section, key, contents)
    for key, value in (("CPUs", "0"), ("CPUs", str(1 << 64)), ("Memory", "99999999999999999999E"), ("Memory", ("t", (1 << 64) - 1)),
                       ("StopTimeout", "infinity"), ("StartTimeout", ("t", 1 << 63)), ("UUID", "x" * 36), ("Machine", "pc,accel=tcg,kernel=/etc/shadow"),
                       ("CPU", "host,-snapshot")):
        yield one("VM", key, value)
    yield []
    yield [(f"Disk d{i}", [("Source", ("s", f"/d{i}"))]) for i in range(300)]
    yield [(f"Disk d{i}", []) for i in range(5000)]
    yield [("VM", [(f"Key{i}", ("s", "x")) for i in range(5000)])]
    yield [("VM", [("Description", ("s", "x"))] * 1000)]


def huge_settings():
    yield [("VM", [("Description", ("s", MEGABYTE))])]
    yield [("QEMU", [("Arguments", ("as", ["-x"] * 20000))])]
    yield [("QEMU", [("Arguments", ("s", MEGABYTE + "\n[QEMU]\n"))])]
    yield [(MEGABYTE, [(MEGABYTE, ("s", MEGABYTE))])]
    yield [("VM", [("Description", ("ay", MEGABYTE.encode()))])]
    yield [("VM", [(f"Key{i}", ("as", [])) for i in range(5000)])]


@functools.cache
def values_for(t):
    if t == "s":
        return STRINGS
    if t == "a{sa{sv}}":
        return [*hostile_settings(), *huge_settings()]
    if t in ("t", "u"):
        return [n for n in NUMBERS if n < 1 << 32 or t == "t"]
    return [value for a, value in ANY if a == t] or [[]]


def right_bodies(signature):
    """Arguments of the right types: each hostile value once, beside harmless ones."""
    types = types_of(signature)
    harmless = [{"s": "x", "a{sa{sv}}": [], "t": 0, "v": ("s", "x")}.get(t, values_for(t)[0]) for t in types]
    yield harmless
    for i, t in enumerate(types):
        for value in values_for(t):
            yield harmless[:i] + [value] + harmless[i + 1:]


def wrong_bodies(signature):
    for t, value in [("", None), *ANY]:
        for wrong in (t, signature + t, t + signature):
            if wrong != signature and len(wrong) < 255:
                values = [values_for(s)[0] for s in types_of(signature)]
                own = [] if not t else [value]
                yield wrong, {t: own, signature + t: values + own, t + signature: own + values}[wrong]


# ---- the objects

READS = {"Introspect", "Ping", "GetMachineId", "Get", "GetAll", "GetManagedObjects", "GetVM", "ListVMs", "GetNetwork", "ListNetworks", "GetPool", "ListPools", "ListVolumes", "GetVolume", "ListSnapshots", "GetSnapshot", "Refresh", "GetLeases", "GetPorts", "ListJobs", "ListQEMUs", "ListUSBDevices",
         "GetSettings", "GetFiles", "GetStatistics", "GetAllStatistics"}
REFUSALS = {"org.vmd1.Error." + name for name in ("NotAuthorized", "InvalidName", "InvalidSettings")} | {DBUS + ".Error." + name for name in (
    "InvalidArgs", "UnknownMethod", "UnknownObject", "UnknownInterface", "UnknownProperty", "PropertyReadOnly", "AccessDenied")}
MISSES = {"org.vmd1.Error.NoSuchVM", "org.vmd1.Error.NoSuchNetwork", "org.vmd1.Error.NoSuchPool", "org.vmd1.Error.NoSuchVolume", "org.vmd1.Error.NoSuchSnapshot", "org.vmd1.Error.NotRunning", "org.vmd1.Error.InvalidName", "org.vmd1.Error.Failed"}
IMAGINARY = ["/", "/org", "/org/vmd1/vm", "/org/vmd1/job", "/org/vmd1/vm/nobody", "/org/vmd1/vm/_", "/org/vmd1/vm/_2f", "/org/vmd1/vm/_2e_2e_2fetc",
             "/org/vmd1/vm/_00", "/org/vmd1/vm/_zz", "/org/vmd1/vm/_72unning", "/org/vmd1/vm/running/x", "/org/vmd1/vm/running_2evm", "/org/vmd1/vm/" + "a" * 60000,
             "/org/vmd1/vm/_72" * 1000, "/org/vmd1/job/0", "/org/vmd1/job/4294967296", "/org/vmd1/job/_31", "/org/vmd1/nothing"]


def walk(bus, path="/"):
    """All that introspection shows: {path: {interface: {method: signature}}}, and the properties."""
    root = tree.fromstring(bus.call(Message(path, DBUS + ".Introspectable", "Introspect")).string())
    found = {path: {}}
    for interface in root.iter("interface"):
        found[path][interface.get("name")] = {
            method.get("name"): "".join(a.get("type") for a in method.iter("arg") if a.get("direction") == "in")
            for method in interface.iter("method")}
    for node in root.iter("node"):
        name = node.get("name")
        if name and name != path:
            found.update(walk(bus, name if name.startswith("/") else path.rstrip("/") + "/" + name))
    return found


def all_calls(objects):
    methods = {}
    for interfaces in objects.values():
        for interface, members in interfaces.items():
            methods.setdefault(interface, {}).update(members)
    for path, interfaces in objects.items():
        for interface, members in interfaces.items():
            for member, signature in members.items():
                few = "{" in signature and (member, path) not in (("CreateVM", "/org/vmd1"), ("SetSettings", "/org/vmd1/vm/running"))
                for body in [*right_bodies(signature)][::7 if few else 1]:
                    yield Message(path, interface, member, signature, body)
                first = path in ("/org/vmd1", "/org/vmd1/vm/running") or "/job/" in path
                for wrong, body in [*wrong_bodies(signature)][::1 if first else 9]:
                    yield Message(path, interface, member, wrong, body)
    for path in [*objects, *IMAGINARY]:
        for interface, members in methods.items():
            for member, signature in members.items():
                if interface in objects.get(path, {}):
                    continue
                body = next(right_bodies(signature))
                for name in (interface, "", "org.vmd1.Nothing"):
                    yield Message(path, name, member, signature, body)
        for name in ("", "org.vmd1.VM", "org.vmd1.Manager", "org.vmd1.Job", "x." * 100 + "x", DBUS + ".Properties"):
            for prop in ("", "State", "Owner", "Problems", "\n"):
                yield Message(path, DBUS + ".Properties", "Get", "ss", (name, prop))
                for contents in ANY if prop == "Owner" and path not in IMAGINARY else [("u", 1000)]:
                    yield Message(path, DBUS + ".Properties", "Set", "ssv", (name, prop, contents))
            yield Message(path, DBUS + ".Properties", "GetAll", "s", (name,))


class Findings:
    def __init__(self):
        self.outcomes, self.wrong = collections.Counter(), []

    def judge(self, message, reply):
        if not reply:
            self.wrong.append(f"{message}: no answer")
            return
        name = reply.error.rpartition(".")[2] or "success"
        kind = "read" if message.member in READS else "other"
        self.outcomes[kind, name] += 1
        if not reply.error:
            ok = kind == "read"
        else:
            ok = reply.error in REFUSALS or (kind == "read" and reply.error in MISSES)
        if not ok:
            self.wrong.append(f"{message}: {reply.error or 'it succeeded'}: {reply.string()[:200] if reply.error else ''}")

    def report(self):
        for (kind, name), n in sorted(self.outcomes.items()):
            print(f"  {n:6} {kind}: {name}")
        for line in self.wrong[:30]:
            print("WRONG:", line.encode(errors="replace").decode().encode("unicode_escape").decode())
        return 1 if self.wrong else 0


def refused():
    bus, findings = Bus(), Findings()
    objects = walk(bus)
    print(f"{len(objects)} objects: {' '.join(objects)}")
    if "/org/vmd1/vm/running" not in objects or not any(path.startswith("/org/vmd1/job/") for path in objects):
        findings.wrong.append("introspection shows no VM, or no job")
    every = list(all_calls(objects))
    for message, reply in bus.calls(every):
        findings.judge(message, reply)
        if not reply or reply.error == DBUS + ".Error.NoReply":
            return findings.report()
    right = [m for m in every if m.member not in READS and objects.get(m.path, {}).get(m.interface, {}).get(m.member) == m.signature]
    for m in right:
        m.flags = INTERACTIVE
    for message, reply in bus.calls(right[::3]):
        findings.judge(message, reply)
    for i, m in enumerate(right):
        m.flags = NO_REPLY | INTERACTIVE
        bus.send(m)
        if i % 20 == 0:
            bus.barrier()
    bus.barrier()
    print(f"{len(every)} calls, {len(right)} of them once more without a reply")
    refusals = [findings.outcomes["other", name] for name in ("NotAuthorized", "InvalidSettings", "InvalidName")]
    if sum(refusals) < 1000 or refusals[0] < 500 or findings.outcomes["read", "success"] < 50:
        findings.wrong.append("too few calls came that far")
    return findings.report()


# ---- many, and none at all

def flood(seconds):
    """In rounds, without descriptors, of which the bus lets only 64 wait: each with thousands of calls in flight, and with connections that leave before the answers."""
    end, rounds, findings = time.monotonic() + seconds, 0, Findings()
    some = [Message("/org/vmd1/vm/running", "org.vmd1.VM", "Terminate"), Message("/org/vmd1/vm/running", "org.vmd1.VM", "OpenConsole"),
            Message("/org/vmd1", "org.vmd1.Manager", "CreateVM", "sa{sa{sv}}", ("x", [("QEMU", [("Arguments", ("s", "-snapshot"))])])),
            Message("/org/vmd1/vm/running", "org.vmd1.VM", "SetFile", "ss", ("", "x" * 20000)),
            Message("/org/vmd1/vm/running", DBUS + ".Properties", "GetAll", "s", ("org.vmd1.VM",))]
    silent = Message("/org/vmd1/vm/running", "org.vmd1.VM", "SetFile", "ss", ("", "x" * 10000), flags=NO_REPLY)
    while rounds == 0 or time.monotonic() < end:
        buses, leaving = [Bus() for _ in range(25)], [Bus() for _ in range(15)]
        waiting = [{bus.send(m): m for m in some * 20} for bus in buses]
        for bus in leaving:
            for m in (some + [silent]) * 15:
                bus.send(m)
            bus.socket.close()
        for bus, sent in zip(buses, waiting):
            while sent:
                reply = bus.receive()
                if reply.serial in sent and reply.error != DBUS + ".Error.LimitsExceeded":
                    findings.judge(sent[reply.serial], reply)
                sent.pop(reply.serial, None)
            bus.barrier()
            bus.socket.close()
        rounds += 1
    print(f"{rounds} rounds with 2500 calls at once, and 1350 more whose caller left")
    return findings.report()


def malformed():
    good, _ = Message("/org/vmd1", "org.vmd1.Manager", "CreateVM", "sa{sa{sv}}", ("x", [("VM", [("Memory", ("s", "1G"))])])).pack(2)
    bad = [b"", b"\0" * 100, b"l" * 4000, good[:-1], b"B" + bytes(good[1:]), b"l\1\0\2" + bytes(good[4:]), good.replace(b"Memory", b"\xff\xfe\0\0\0\0"),
           good.replace(b"/org/vmd1\0", b"/org//md1\0"), good.replace(b"sa{sa{sv}}", b"sa{va{sv}}"), good.replace(b"sa{sa{sv}}", b"(((((((((("),
           b"l\1\0\1" + struct.pack("<II", 0x7fffffff, 2) + bytes(good[12:]), bytes(good) * 3 + b"\0"]
    bad += [bytes(good[:i]) + bytes([good[i] ^ 0x81]) + bytes(good[i + 1:]) for i in range(0, len(good), 3)]
    for data in bad:
        bus = Bus()
        bus.socket.sendall(data)
        bus.socket.close()
    cut = 0
    for depth in (1, 31, 32, 33, 60, 61, 62, 63, 64, 65, 100, 300):
        bus = Bus()
        message = Message("/org/vmd1", "org.vmd1.Manager", "CreateVM", "sa{sa{sv}}", ("x", [("VM", [("Memory", nested("s", "x", depth))])]))
        try:
            if not bus.call(message).error:
                print(f"WRONG: it succeeded at depth {depth}")
                return 1
        except ConnectionError:
            cut += 1
        bus.socket.close()
    print(f"{len(bad)} malformed messages; {cut} of 12 nested ones were too much for the bus itself")
    return 0


def hold():
    bus, agent = Bus(), Bus()
    start = open("/proc/self/stat").read().rpartition(")")[2].split()[19]
    subject = ("unix-process", [("pid", ("u", os.getpid())), ("start-time", ("t", int(start))), ("uid", ("i", os.getuid()))])
    reply = agent.call(Message("/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority", "RegisterAuthenticationAgent",
                               "(sa{sv})ss", (subject, "C", "/agent"), destination="org.freedesktop.PolicyKit1"))
    if reply.error:
        print("polkit has no such agent:", reply.error, reply.string())
        return 77
    for i in range(1000):
        bus.send(Message("/org/vmd1/vm/running", "org.vmd1.VM", "SetFile", "ss", ("", f"{i}" + "x" * 1000), flags=INTERACTIVE | NO_REPLY))
    agent.receive()
    print("holding", flush=True)
    while True:
        agent.receive()


def forge():
    bus, systemd = Bus(), "/org/freedesktop/systemd1"
    def signal(path, interface, member, signature, body):
        bus.send(Message(path, interface, member, signature, body, kind=SIGNAL))
    for i in range(3000):
        signal(systemd, "org.freedesktop.systemd1.Manager", "UnitNew", "so", (f"vm-{i}-" + "x" * 5000 + ".scope", "/x"))
        signal(systemd, "org.freedesktop.systemd1.Manager", "JobRemoved", "uoss", (i, f"{systemd}/job/{i}", "vm-forged.scope", "failed"))
    signal(systemd, "org.freedesktop.systemd1.Manager", "UnitNew", "so", ("vm-forged.scope", "/x"))
    signal("/org/freedesktop/DBus", DBUS, "NameOwnerChanged", "sss", (VMD, VMD, ""))
    signal("/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority", "Changed", "", ())
    bus.barrier()
    return 0


# ---- as somebody who may manage

def reached(text, owner):
    """What a settings file has that its author may not set."""
    section, found, owners = "", [], []
    for line in text.lstrip("\ufeff").split("\n"):
        line = line.strip(" \t\r")
        if line.startswith("["):
            section = line
        elif "=" in line and not line.startswith("#"):
            key, value = (part.strip(" \t") for part in line.split("=", 1))
            if not value: # takes nothing back, as the first file there is
                continue
            if section == "[QEMU]" or (section == "[Scope]" and key in ("DeviceAllow", "DevicePolicy", "BPFProgram", "IPIngressFilterPath", "IPEgressFilterPath")):
                found.append(section + line)
            if section == "[VM]" and key == "Owner":
                owners.append(value)
    if owners != owner:
        found.append(f"Owner={owners}")
    return found


HOSTILE_TEXTS = [
    "[QEMU]\nArguments=-snapshot\n", "\ufeff[QEMU]\nArguments=-snapshot\n", "\r[QEMU]\rArguments=-snapshot\r", "[QEMU]\r\nArguments=-snapshot\r\n",
    " [QEMU] \n Arguments = -snapshot \n", "[Disk x]\nReadOnly=yes\n[QEMU]\nArguments=-snapshot\n", "[Disk x]\nReadOnly=yes\n[Scope]\nDeviceAllow=block-* rwm\n",
    "[Disk x]\n[VM]\nOwner=root\n", "[Disk x]\n[QEMU]\nBinary=/bin/sh\n", "[VM]\nOwner=root\n", "[VM]\nOwner=0\n", "[VM]\nOwner=\n", "[VM]\nOwner=nobody\n",
    "[Unknown]\n[QEMU]\nArguments=-snapshot\n", "[VM]\nUnknown=x\n[QEMU]\nArguments=-snapshot\n", "[VM]\nMemory=x\n[QEMU]\nArguments=-snapshot\n",
    "[Scope]\nDeviceAllow=block-* rwm\n", "[Scope]\nBPFProgram=device:/sys/fs/bpf/x\n", "[Disk data]\nSource=/etc/shadow\n", "[Disk y]\nSource=/etc/shadow\n",
    "[Disk data]\nFormat=qcow2\n", "[Boot]\nKernel=/etc/shadow\n", "[Boot]\nInitrd=/etc/shadow\n", "# " + "x" * 300000 + "\n[QEMU]\n", "#\v[QEMU]\n", "[QEMU]\nArguments=\n",
    "[QEMU]\n# nothing\n"]


def let_in():
    bus, wrong, made, outcomes = Bus(), [], [], collections.Counter()

    def call(path, interface, member, signature, body):
        reply = bus.call(Message(path, interface, member, signature, body))
        outcomes[member, reply.error.rpartition(".")[2] or "success"] += 1
        if reply.error.startswith("org.freedesktop.DBus.Error.") and reply.error not in REFUSALS:
            wrong.append(f"{member}{str(body)[:200]}: {reply.error}")
        return reply

    def text_of(path):
        reply = call(path, "org.vmd1.VM", "GetFiles", "", ())
        return None if reply.error else reply.first_file()

    def check(path, before, what):
        text = text_of(path)
        if text is None:
            wrong.append(f"{path} has no file after {what[:200]}")
            return
        if path in roots:
            kept = [line for line in before.split("\n") if line.startswith(("Source", "Kernel", "Initrd", "Format"))]
            now = [line.strip(" \t\r") for line in text.split("\n")]
            got = reached(text, []) + [line for line in kept if line not in now]
            got += [line for line in now if line.startswith(("Source", "Kernel", "Initrd", "Format")) and line not in kept]
        else:
            got = reached(text, ["alice"])
        if got:
            wrong.append(f"{path} got {got} by {what[:200]}")
            call(path, "org.vmd1.VM", "SetFile", "ss", (text, before))

    mine, roots = "/org/vmd1/vm/mine", ("/org/vmd1/vm/other", "/org/vmd1/vm/running")
    call("/org/vmd1", "org.vmd1.Manager", "CreateVM", "sa{sa{sv}}", ("mine", [("Disk data", [("Source", ("s", "/home/alice/disk")), ("Format", ("s", "raw"))])]))
    originals = {path: text_of(path) for path in (mine, *roots)}
    for path, original in originals.items():
        if original is None:
            wrong.append(f"{path} is not there")
            continue
        for text in HOSTILE_TEXTS:
            for new in (original + text, original + "\n" + text, text + original, text):
                if path == mine and "Owner=alice" not in new:
                    new = "[VM]\nOwner=alice\n" + new
                if path in roots and new == text:
                    continue # who may manage may take the disks away
                if not call(path, "org.vmd1.VM", "SetFile", "ss", (text_of(path), new)).error:
                    check(path, original, f"SetFile {new[-200:]!r}")
                    call(path, "org.vmd1.VM", "SetFile", "ss", (text_of(path), original))
    for i, settings in enumerate([*hostile_settings(), *huge_settings()]):
        for path, original in originals.items():
            if original and (path == mine or i % 2) and not call(path, "org.vmd1.VM", "SetSettings", "a{sa{sv}}", (settings,)).error:
                check(path, original, f"SetSettings {settings!r}")
        name = f"evil{i}"
        if not call("/org/vmd1", "org.vmd1.Manager", "CreateVM", "sa{sa{sv}}", (name, settings)).error:
            made.append(name)
            check(f"/org/vmd1/vm/{name}", "", f"CreateVM {settings!r}")
            if len(made) > 60: # short of the limit; those that are left are looked at by root, too
                call(f"/org/vmd1/vm/{made.pop()}", "org.vmd1.VM", "Delete", "t", (0,))
        if i % 10 == 0:
            call("/org/vmd1", "org.vmd1.Manager", "RunVM", "sa{sa{sv}}",
                 (f"run{i}", settings + [("Boot", [("Kernel", ("s", "/nonexistent"))])]))
    for name in STRINGS + INJECTIONS:
        call("/org/vmd1", "org.vmd1.Manager", "CreateVM", "sa{sa{sv}}", (name, []))
        call("/org/vmd1", "org.vmd1.Manager", "GetVM", "s", (name,))
    for flags in NUMBERS[2:]:
        call(mine, "org.vmd1.VM", "Delete", "t", (flags,))
    for (member, name), n in sorted(outcomes.items()):
        print(f"  {n:6} {member}: {name}")
    print(f"made and left: {len(made)}")
    if outcomes["CreateVM", "success"] < 10 or outcomes["SetSettings", "success"] < 10 or outcomes["SetFile", "success"] < 2:
        wrong.append("she was not let in")
    for line in wrong[:30]:
        print("WRONG:", line.encode("unicode_escape").decode())
    return 1 if wrong else 0


if __name__ == "__main__":
    modes = {"refused": refused, "flood": lambda: flood(float(sys.argv[2])), "malformed": malformed, "hold": hold, "forge": forge, "let-in": let_in}
    sys.exit(modes[sys.argv[1]]())
