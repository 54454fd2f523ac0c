# SPDX-License-Identifier: LGPL-2.1-or-later
"""libvirt beside vmd: the same machines, defined as close to vmd's as its XML allows."""

import json
import re
import subprocess
import tempfile
import time

from lab import DISK, HALT_DISK, MIB, memory_of, pss_kb, run

DAEMONS = ("libvirtd", "virtlogd", "virtlockd", "libvirt-dbus")

# No console log and no security driver's relabelling: what vmd does not do is not asked for.
DOMAIN = """<domain type='{type}'>
  <name>{name}</name>
  <memory unit='MiB'>{memory}</memory>
  <memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>
  <vcpu>1</vcpu>
  <os><type machine='{machine}'>hvm</type><boot dev='hd'/></os>
  <features><acpi/><vmport state='off'/></features>
  <cpu mode='{cpu}'/>
  <clock offset='utc'><timer name='hpet' present='no'/></clock>
  <on_crash>destroy</on_crash>
  <devices>
    <emulator>{binary}</emulator>
    <controller type='usb' model='none'/>
    <controller type='virtio-serial'/>
    {disk}
    <serial type='pty'><target port='0'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
    <video><model type='none'/></video>
    <memballoon model='virtio' freePageReporting='on'/>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <panic model='isa'/>
  </devices>
</domain>
"""

DISK_XML = """<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='{cache}' io='{io}' discard='unmap'/>
      <source file='{path}'/><target dev='vda' bus='virtio'/></disk>"""
HALT_DISK_XML = """<disk type='file' device='disk'><driver name='qemu' type='raw' cache='{cache}' io='{io}'/>
      <source file='{path}'/><target dev='vda' bus='virtio'/><readonly/></disk>"""


class Libvirt:
    def __init__(self, bench):
        self.bench = bench

    def prepare(self):
        run("systemctl", "start", "virtlogd.socket", "virtlockd.socket", "libvirtd.socket", "libvirtd-ro.socket",
            "libvirtd.service")
        run("systemctl", "reload", "dbus.service")
        run("virsh", "-q", "list")

    def xml(self, name, settings):
        words = self.bench.command["bench" if DISK in settings else "tiny-001"]
        option = dict(zip(words, words[1:]))
        file = next(json.loads(value) for value in words if '"driver":"file"' in value)
        disk = (DISK_XML if DISK in settings else HALT_DISK_XML).format(
            path=DISK if DISK in settings else HALT_DISK, io=file["aio"],
            cache="none" if file["cache"]["direct"] else "writeback")
        kvm = self.bench.accelerator == "kvm"
        return DOMAIN.format(type="kvm" if kvm else "qemu", name=name, memory=memory_of(settings) // MIB, disk=disk,
                             machine=option["-machine"].split(",")[0], cpu="host-passthrough" if kvm else "maximum",
                             binary=words[0])

    def define(self, names, settings):
        with tempfile.TemporaryDirectory() as folder:
            commands = []
            for name in names:
                path = f"{folder}/{name}.xml"
                with open(path, "w") as file:
                    file.write(self.xml(name, settings))
                commands.append(f"define {path}")
            subprocess.run(["virsh", "-q"], input="\n".join(commands), text=True, check=True, stdout=subprocess.DEVNULL)

    def undefine(self, names):
        subprocess.run(["virsh", "-q"], input="\n".join(f"undefine {name}" for name in names), text=True, check=True,
                       stdout=subprocess.DEVNULL)

    def destroy(self, names):
        for name in names:
            self.bench.client.ask("libvirt-destroy", name)

    def pss_kb(self):
        """All of its daemons that run."""
        names = "|".join(DAEMONS)
        pids = subprocess.run(["pgrep", "-x", names], check=True, capture_output=True, text=True).stdout.split()
        return sum(pss_kb(pid) for pid in pids)

    def first_answer(self, count):
        for attempt in range(5):
            run("systemctl", "--quiet", "stop", "libvirtd.service")
            # Stopped many times a minute, its socket gives up, or resets the connection that activates it.
            run("systemctl", "--quiet", "reset-failed", "libvirtd.service", "libvirtd.socket")
            run("systemctl", "--quiet", "start", "libvirtd.socket")
            time.sleep(0.2 + attempt)
            try:
                ms, running = self.bench.client.ask("libvirt-list")
                break
            except RuntimeError:
                if attempt == 4:
                    raise
        if running != count:
            raise RuntimeError(f"libvirt's first answer has {running:.0f} running domains")
        return ms

    def reads(self, name, count):
        uuid = subprocess.run(["virsh", "-q", "domuuid", name], check=True, capture_output=True, text=True).stdout.strip()
        path = "/org/libvirt/QEMU/domain/_" + re.sub("-", "_", uuid)
        return self.bench.client.ask("get", "org.libvirt", path, "org.libvirt.Domain", "Active", count)[0]
