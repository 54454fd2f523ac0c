# SPDX-License-Identifier: LGPL-2.1-or-later
"""The phases of the bench. Each fills samples; what is compared with each other is measured in turns.

A name of a sample is "what.who": who is vmd, bare (the same without vmd), another of systemd's ways, or libvirt.
"""

import os
import subprocess
import time

from lab import (DISK, EMPTY, EMPTY_PATH, HALT_DISK, PROPERTIES, ROOT, VM, VMD, define, forget, pss_kb, run, settle, unit_pid,
                 vm_path, vm_property, wait_for_count, write_halt_disk, write_template)

LATENCY = "bench"
TINY = [f"tiny-{n:03}" for n in range(1, 201)]
CROWD = TINY[:50]
WORKERS = 8
DEFINED = [f"defined-{n:03}" for n in range(1, 501)]
TEMPLATE, TINY_TEMPLATE = "/run/vmd-bench.template", "/run/vmd-bench.tiny"
PAUSE = 0.1  # between samples, at least: systemd unloads the scope of the last one


def pause():
    settle(limit=1, span=PAUSE)

LATENCY_SETTINGS = f"[VM]\nCPUs=1\nMemory=256M\nAccelerator=auto\n\n[Disk root]\nSource={DISK}\n"
TINY_SETTINGS = f"[VM]\nCPUs=1\nMemory=64M\nAccelerator=auto\n\n[Disk halt]\nSource={HALT_DISK}\nFormat=raw\nReadOnly=yes\n"


def set_accelerator(name):
    global LATENCY_SETTINGS, TINY_SETTINGS
    LATENCY_SETTINGS = LATENCY_SETTINGS.replace("=auto", f"={name}")
    TINY_SETTINGS = TINY_SETTINGS.replace("=auto", f"={name}")


def prepare(bench):
    os.makedirs("/etc/vmd", exist_ok=True)
    write_halt_disk()
    run("qemu-img", "create", "-q", "-f", "qcow2", DISK, "1G")
    for name, settings in ((LATENCY, LATENCY_SETTINGS), (TINY[0], TINY_SETTINGS)):
        define(name, settings)
    wait_for_count(bench.client, 2)
    for name, template in ((LATENCY, TEMPLATE), (TINY[0], TINY_TEMPLATE)):
        bench.client.vm(name, "Start")
        time.sleep(0.5)
        write_template(vm_property(name, "QEMUProcess"), template)
        bench.accelerator = vm_property(name, "Accelerator")
        with open(f"/proc/{vm_property(name, 'QEMUProcess')}/cmdline") as file:
            bench.command[name] = file.read().rstrip("\0").split("\0")
        bench.client.vm(name, "Terminate")


def latency(bench, rounds):
    """One start, and one end at once, by each way."""
    client, samples = bench.client, bench.samples

    def by_vmd(_):
        samples.add("start.vmd", client.vm(LATENCY, "Start"))
        samples.add("end.vmd", client.vm(LATENCY, "Terminate"))

    def by_vmctl(_):
        samples.add("start-process.vmd", client.ask("run", "vmctl", "start", LATENCY)[0])
        client.vm(LATENCY, "Terminate")

    def bare(_):
        start, end = client.ask("qemu", TEMPLATE)
        samples.add("start.bare", start)
        samples.add("end.bare", end)

    def transient(n):
        samples.add("wait.systemd", client.ask("transient", f"bench-transient-{n}.scope", "vms.slice")[0])

    def systemd_run(n):
        start, _ = client.ask("qemu", TEMPLATE, "systemd-run", "-q", "--scope", "--collect", "--slice=vms.slice",
                              f"--unit=bench-run-{n}", "--")
        samples.add("start.systemd-run", start)

    def libvirt(_):
        samples.add("start.libvirt", client.ask("libvirt-start", LATENCY)[0])
        samples.add("end.libvirt", client.ask("libvirt-destroy", LATENCY)[0])

    ways = [by_vmd, bare, transient, systemd_run, by_vmctl] + ([libvirt] if bench.peer else [])
    for n in range(rounds + 1):
        if n == 1:
            samples.clear()  # the first round only warms up
        for i in range(len(ways)):
            ways[(n + i) % len(ways)](n)
            pause()


def terminate(bench, names):
    for name in names:
        bench.client.vm(name, "Terminate")


def crowd(bench, rounds):
    """50 starts by 8 callers at once."""
    client, samples = bench.client, bench.samples

    def by_vmd():
        paths = [vm_path(name) for name in CROWD]
        samples.add("crowd.vmd", client.ask("crowd-call", WORKERS, VMD, VM, "Start", *paths)[0])
        terminate(bench, CROWD)

    def bare():
        samples.add("crowd.bare", client.ask("crowd-qemu", WORKERS, len(CROWD), TINY_TEMPLATE)[0])

    def libvirt():
        samples.add("crowd.libvirt", client.ask("libvirt-crowd-start", WORKERS, *CROWD)[0])
        bench.peer.destroy(CROWD)

    ways = [bare, by_vmd] + ([libvirt] if bench.peer else [])
    for n in range(rounds):
        for i in range(len(ways)):
            settle()
            ways[(n + i) % len(ways)]()


def restart_vmd():
    run("systemctl", "stop", "vmd.service")


def fifty_running(bench, rounds):
    """What 50 running VMs cost in memory, and how long vmd needs to find them again."""
    client, samples = bench.client, bench.samples
    restart_vmd()
    client.running()
    before = pss_kb(unit_pid("vmd.service"))
    for name in CROWD:
        client.vm(name, "Start")
    settle()
    after = pss_kb(unit_pid("vmd.service"))
    guards = [pss_kb(vm_property(name, "Leader")) for name in CROWD]
    samples.add("pss-50.vmd", after)
    samples.add("pss-guard.vmd", sum(guards) / len(guards))
    samples.add("pss-each.vmd", (after - before + sum(guards)) / len(guards))

    if bench.peer:
        for name in CROWD:
            client.ask("libvirt-start", name)
        settle()
        samples.add("pss-50.libvirt", bench.peer.pss_kb())
    for _ in range(rounds):
        restart_vmd()
        pause()
        ms, _, running = client.ask("list", VMD)
        if running != len(CROWD):
            raise RuntimeError(f"vmd's first answer has {running:.0f} running VMs")
        samples.add("answer.vmd", ms)
        run("systemctl", "stop", "bench-empty.service")
        pause()
        samples.add("answer.bare", client.ask("call", EMPTY, EMPTY_PATH, PROPERTIES, "GetAll", "s", EMPTY)[0])
        if bench.peer:
            samples.add("answer.libvirt", bench.peer.first_answer(len(CROWD)))
    for _ in range(rounds):
        pause()
        samples.add("statistics.vmd", client.ask("call", VMD, ROOT, "org.vmd1.Manager", "GetAllStatistics")[0])
    samples.add("pss-50-again.vmd", pss_kb(unit_pid("vmd.service")))
    if bench.peer:
        bench.peer.destroy(CROWD)
    terminate(bench, CROWD)


def last_of_many(bench, count, rounds):
    """The 200th start beside the first."""
    client, samples = bench.client, bench.samples
    last, others = TINY[count - 1], TINY[:count - 1]

    def turns(which, libvirt):
        for _ in range(rounds):
            samples.add(f"{which}.vmd", client.vm(last, "Start"))
            client.vm(last, "Terminate")
            pause()
            samples.add(f"{which}.bare", client.ask("qemu", TINY_TEMPLATE)[0])
            pause()
            if libvirt:
                samples.add(f"{which}.libvirt", client.ask("libvirt-start", last)[0])
                client.ask("libvirt-destroy", last)
                pause()

    settle()
    turns("first", bench.peer)
    for name in others:
        client.vm(name, "Start")
    settle(40)
    turns("last", False)
    terminate(bench, others)
    if bench.peer:
        for name in others:
            client.ask("libvirt-start", name)
        settle(40)
        for _ in range(rounds):
            samples.add("last.libvirt", client.ask("libvirt-start", last)[0])
            client.ask("libvirt-destroy", last)
            pause()
        bench.peer.destroy(others)


def many_defined(bench, rounds):
    """500 VMs that do not run."""
    client, samples = bench.client, bench.samples
    for name in DEFINED:
        define(name, TINY_SETTINGS)
    wait_for_count(client, len(DEFINED))
    if bench.peer:
        bench.peer.define(DEFINED, TINY_SETTINGS)
    settle()
    reads = 2000
    for n in range(rounds + 1):
        if n == 1:
            for name in ("list.vmd", "list.libvirt", "objects.vmd", "reads.vmd", "reads.bare", "reads.libvirt"):
                samples.pop(name, None)
        restart_vmd()
        pause()
        samples.add("answer-500.vmd", client.ask("list", VMD)[0])
        pause()
        samples.add("list.vmd", client.ask("run", "vmctl", "list", "--no-pager")[0])
        if bench.peer:
            samples.add("list.libvirt", client.ask("run", "virsh", "-q", "list", "--all")[0])
        samples.add("objects.vmd", client.ask("call", VMD, ROOT, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")[0])
        samples.add("reads.vmd", client.ask("get", VMD, vm_path(DEFINED[n]), VM, "State", reads)[0])
        samples.add("reads.bare", client.ask("get", EMPTY, EMPTY_PATH, EMPTY, "State", reads)[0])
        if bench.peer:
            samples.add("reads.libvirt", bench.peer.reads(DEFINED[n], reads))
    samples.add("pss-500.vmd", pss_kb(unit_pid("vmd.service")))
    if bench.peer:
        samples.add("pss-500.libvirt", bench.peer.pss_kb())
        bench.peer.undefine(DEFINED)
    forget(DEFINED)


def all_phases(bench, quick):
    prepare(bench)
    if bench.peer:
        bench.peer.prepare()
        bench.peer.define([LATENCY], LATENCY_SETTINGS)
    bench.say("single starts")
    latency(bench, 5 if quick else 30)
    for name in CROWD[1:]:
        define(name, TINY_SETTINGS)
    wait_for_count(bench.client, 1 + len(CROWD))
    if bench.peer:
        bench.peer.define(TINY, TINY_SETTINGS)
    bench.say("50 starts by 8 callers")
    crowd(bench, 1 if quick else 4)
    bench.say("50 running VMs")
    fifty_running(bench, 3 if quick else 10)
    for name in TINY[len(CROWD):]:
        define(name, TINY_SETTINGS)
    wait_for_count(bench.client, 1 + len(TINY))
    bench.say(f"the {bench.many}th start")
    last_of_many(bench, bench.many, 3 if quick else 15)
    forget([LATENCY, *TINY])
    if bench.peer:
        bench.peer.undefine([LATENCY, *TINY])
    bench.say("500 defined VMs")
    many_defined(bench, 3 if quick else 15)
