/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a NAME.vm may hold. */

#include "schema.h"

#include "value.h"

#define KiB (UINT64_C(1) << 10)
#define MiB (UINT64_C(1) << 20)

static const SettingSection sections[] = {
        {"VM", false, "The machine itself: processors, memory, and what happens when it stops."},
        {"Boot", false, "What the guest boots; without Kernel= the firmware looks for a boot disk."},
        {"NUMA", true, "A NUMA node that the guest sees; the name is free, the order of sections is the order of nodes."},
        {"Disk", true, "A disk or a CD; the name is free, the order of sections is the order of disks."},
        {"Network", true, "A network interface; the name is free, the order of sections is the order of interfaces."},
        {"Share", true, "A folder of the host that the guest can mount; the name is what it mounts."},
        {"Console", false, "The console that vmctl console attaches to."},
        {"Serial", true, "A serial port of the host's that the guest has as one of its own; the name is free."},
        {"Parallel", true, "A parallel port of the host's that the guest has as one of its own; the name is free."},
        {"TPM", false, "A TPM of the guest's own."},
        {"Display", false, "What the guest shows, and how it is looked at (vmctl view)."},
        {"Sound", false, "The sound card."},
        {"USB", true, "A USB device of the host's that the guest gets whenever it is plugged in; the name is free."},
        {"PCI", true, "A PCI device of the host's that the guest has while it runs, and nobody else; the name is free."},
        {"Credentials", false, "What a guest with systemd is given as system credentials."},
        {"CloudInit", false, "What a guest with cloud-init is given."},
        {"Scope", false, "Resource control of the VM's scope: any property of systemd.resource-control(5)."},
        {"QEMU", false, "What the other sections have no key for."},
        {NULL},
};

static const SettingKey keys[] = {
        {"VM", "Description", SETTING_STRING, .max = 512, .live = true, .option = "description", .metavar = "TEXT",
                .summary = "What the VM is for, shown by list and status."},
        {"VM", "Owner", SETTING_STRING, .max = 256, .live = true, .option = "owner", .metavar = "USER",
                .summary = "Whose VM it is, by name or number: who may manage it as an own one, and with whose rights "
                           "its files are opened; unset, root."},
        {"VM", "UUID", SETTING_UUID, .option = "uuid", .metavar = "UUID",
                .summary = "The machine's UUID as the guest sees it; unset, it is derived from the host's "
                           "machine "
                           "ID and the name, so it stays the same."},
        {"VM", "CPUs", SETTING_UINT, "2", .min = 1, .max = 4096, .ranged = true, .option = "cpus", .metavar = "N[/MAX]",
                .summary = "How many virtual CPUs, and to how many that can change while the VM runs."},
        {"VM", "PinCPUs", SETTING_WORDS, .live = true,
                .summary = "On which of the host's CPUs the virtual ones run, such as 0:4 1-3:5-7, or auto: each on one of those of "
                           "AllowedCPUs=; repeated lines append."},
        {"VM", "Memory", SETTING_SIZE, "2G", .min = MiB, .ranged = true, .option = "memory", .metavar = "BYTES[/MAX]",
                .summary = "The guest's memory, and to how much that can change while the VM runs."},
        {"VM", "HugePages", SETTING_ENUM, "no", "no|yes|64K|2M|32M|512M|1G|16G", .option = "huge-pages", .metavar = "SIZE",
                .summary = "Whether the memory is made of the host's huge pages, and of which; yes: of those that its kernel prefers."},
        {"VM", "Machine", SETTING_STRING, .max = 256, .option = "machine-type", .metavar = "TYPE",
                .summary = "QEMU's machine type; unset, q35 on x86 and virt on ARM."},
        {"VM", "Firmware", SETTING_ENUM, .words = "bios|uefi", .option = "firmware", .metavar = "NAME",
                .summary = "What the machine boots by; unset, bios on x86, and elsewhere uefi where the host has it and Kernel= is "
                           "not set."},
        {"VM", "SecureBoot", SETTING_BOOL, "no", .option = "secure-boot", .metavar = "BOOL",
                .summary = "Whether UEFI boots only what is signed by a key that it knows."},
        {"VM", "CPU", SETTING_STRING, .max = 1024, .option = "cpu", .metavar = "MODEL",
                .summary = "QEMU's CPU model; unset, host under KVM and max under TCG."},
        {"VM", "Clock", SETTING_ENUM, "utc", "utc|localtime", .option = "clock", .metavar = "NAME",
                .summary = "What the machine's clock shows when it starts: UTC, or the host's local time, as Windows expects."},
        {"VM", "HyperV", SETTING_BOOL, "no", .option = "hyperv", .metavar = "BOOL",
                .summary = "Whether a guest under KVM sees what Hyper-V offers its guests, which Windows needs to be quick."},
        {"VM", "Accelerator", SETTING_ENUM, "auto", "auto|kvm|tcg", .option = "accelerator",
                .metavar = "NAME",
                .summary =
                        "How guest code runs: auto takes KVM where it is proved to run a guest, else TCG."},
        {"VM", "VSock", SETTING_BOOL, "no", .option = "vsock", .metavar = "BOOL",
                .summary = "Whether guest and host reach each other by vsock, without a network; a guest with systemd then says when it has booted."},
        {"VM", "VSockCID", SETTING_UINT, .min = 3, .max = 0x7fffffff,
                .summary = "The guest's address on vsock; unset, one that is free, and the same as last time where that is."},
        {"VM", "StartTimeout", SETTING_DURATION, "1min", .min = USEC_PER_SEC,
                .summary = "How long a start may take until the guest runs; a start that takes longer is "
                           "undone."},
        {"VM", "StopTimeout", SETTING_DURATION, "90s", .min = USEC_PER_SEC, .option = "stop-timeout",
                .metavar = "TIME", .summary = "How long an orderly stop may take."},
        {"VM", "StopTimeoutAction", SETTING_ENUM, "fail", "fail|terminate",
                .summary = "What a stop does when StopTimeout= is over: fail and leave the guest running, or "
                           "terminate it."},
        {"VM", "PowerButtonInterval", SETTING_DURATION, "10s", .min = USEC_PER_SEC,
                .summary = "After what time the power button is pressed again while a stop goes on."},
        {"VM", "OnPanic", SETTING_ENUM, "stop", "stop|pause",
                .summary = "What happens when the guest's kernel panics."},
        {"VM", "Watchdog", SETTING_ENUM, .words = "reset|pause|nmi", .option = "watchdog", .metavar = "ACTION",
                .summary = "What happens when the guest stops feeding its watchdog, an i6300esb; unset, it has none."},

        {"Boot", "Kernel", SETTING_PATH, .option = "kernel", .metavar = "PATH",
                .summary = "A Linux kernel to boot directly; unset, the firmware boots from a disk."},
        {"Boot", "Initrd", SETTING_PATH, .option = "initrd", .metavar = "PATH",
                .summary = "The initial RAM disk for Kernel=."},
        {"Boot", "CommandLine", SETTING_STRING, .max = 2048, .option = "command-line", .metavar = "TEXT",
                .summary = "The kernel's command line; unset, console=ttyS0 (ttyAMA0 on ARM) where Kernel= "
                           "is set."},

        {"NUMA", "CPUs", SETTING_STRING, .max = 1024, .summary = "Which of the virtual CPUs are on it, such as 0-3,8; unset, none."},
        {"NUMA", "Memory", SETTING_SIZE, .min = MiB, .required = true, .summary = "How much of the memory is on it."},
        {"NUMA", "HostNodes", SETTING_STRING, .max = 1024, .summary = "From which of the host's nodes this memory comes, such as 0 or 0-1; unset, from any."},
        {"NUMA", "Policy", SETTING_ENUM, .words = "bind|preferred|interleave",
                .summary = "Whether it comes from those alone, from those while they have some, or from each in turn; unset, from those alone."},

        {"Disk", "Source", SETTING_SOURCE, .required = true, .unless = "Type=cdrom", .option = "disk", .metavar = "SOURCE",
                .summary = "The volume, as POOL/VOLUME, or the path of an image file or block device."},
        {"Disk", "Format", SETTING_ENUM, .words = "raw|qcow2",
                .summary =
                        "The image's format; unset, qcow2 where the file's name ends in .qcow2, else raw."},
        {"Disk", "Type", SETTING_ENUM, .words = "disk|cdrom",
                .summary =
                        "What the guest sees; unset, cdrom where the file's name ends in .iso, else disk."},
        {"Disk", "ReadOnly", SETTING_BOOL, "no",
                .summary = "Whether the guest may only read; a CD always is."},
        {"Disk", "BootOrder", SETTING_UINT, .min = 1, .max = 255,
                .summary = "Its place in the order in which the firmware tries disks, 1 first; unset, after "
                           "those "
                           "that have one."},
        {"Disk", "Bus", SETTING_ENUM, .words = "virtio|scsi|sata",
                .summary = "How it is attached; unset, virtio for disks, and for CDs sata on x86 and scsi "
                           "elsewhere."},
        {"Disk", "Serial", SETTING_STRING, .max = 20, .summary = "The serial number that the guest reads."},
        {"Disk", "Discard", SETTING_BOOL, "yes",
                .summary = "Whether blocks that the guest discards are freed."},
        {"Disk", "Cache", SETTING_ENUM, .words = "none|writeback|writethrough|unsafe",
                .summary = "How the host caches; unset, none where the file system can, else writeback."},
        {"Disk", "IOPSMax", SETTING_UINT, .max = 1000000000, .live = true,
                .summary = "How many reads and writes a second the guest can do at most."},
        {"Disk", "BandwidthMax", SETTING_SIZE, .live = true,
                .summary = "How many bytes a second it reads and writes at most, both together."},

        {"Network", "Network", SETTING_STRING, .live = true, .max = 32, .option = "network", .metavar = "NAME",
                .summary = "The network that it is on (vmctl network list); unset, default, unless one of the "
                           "next three is set."},
        {"Network", "Bridge", SETTING_STRING, .live = true, .max = 15, .option = "bridge", .metavar = "LINK",
                .summary = "A bridge of the host that it is a port of, or auto: the one that holds the default "
                           "route."},
        {"Network", "Macvtap", SETTING_STRING, .max = 15,
                .summary = "A link of the host that it shares by a macvtap: the guest reaches the network "
                           "beyond, not the host."},
        {"Network", "User", SETTING_BOOL, "no", .option = "user-network", .metavar = "BOOL",
                .summary = "Whether it reaches what any program of the host does, by passt, without a link "
                           "on the host."},
        {"Network", "MAC", SETTING_STRING, .max = 17,
                .summary = "The interface's MAC address; unset, it is derived from the VM's UUID and the "
                           "section's name, so it stays the same."},
        {"Network", "Model", SETTING_ENUM, "virtio", "virtio|e1000e|e1000|rtl8139",
                .summary = "The network card that the guest sees."},
        {"Network", "Queues", SETTING_UINT, .min = 1, .max = 64,
                .summary = "How many pairs of queues a virtio card has; unset, one for each virtual CPU, at "
                           "most 8."},
        {"Network", "MTU", SETTING_UINT, .min = 576, .max = 65535,
                .summary = "The largest packet that the guest is told to send; unset, that of the network."},
        {"Network", "Forward", SETTING_WORDS, .live = true,
                .summary = "Ports of the host that lead to the guest, such as tcp:2222:22, udp:5000-5010 or "
                           "tcp:192.0.2.1:80:8080; repeated lines append."},
        {"Network", "Filter", SETTING_BOOL, "no", .live = true,
                .summary = "Whether only traffic with the guest's own MAC and IP addresses is let through; a "
                           "network with Filter=yes does so anyway."},
        {"Network", "Link", SETTING_ENUM, "up", "up|down", .live = true, .summary = "Whether the cable is plugged in."},
        {"Network", "ReceiveMax", SETTING_SIZE, .live = true,
                .summary = "How many bytes a second the guest receives at most."},
        {"Network", "SendMax", SETTING_SIZE, .live = true, .summary = "How many bytes a second it sends at most."},

        {"Share", "Path", SETTING_PATH, .required = true, .option = "share", .metavar = "PATH",
                .summary = "The folder, which the VM's owner must be able to read."},
        {"Share", "ReadOnly", SETTING_BOOL, "no", .summary = "Whether the guest may only read."},

        {"Console", "Type", SETTING_ENUM, "serial", "serial|virtio|none", .option = "console",
                .metavar = "TYPE", .summary = "A serial port, a virtio console, or none."},
        {"Console", "LogSize", SETTING_SIZE, "1M", .min = 64 * KiB, .max = 64 * MiB,
                .summary = "How much of what was printed is kept for replay."},

        {"Serial", "Device", SETTING_PATH, .required = true, .summary = "The port, such as /dev/ttyUSB0 or one in /dev/serial/by-id."},
        {"Parallel", "Device", SETTING_PATH, .required = true, .summary = "The port, such as /dev/parport0."},

        {"TPM", "Type", SETTING_ENUM, "none", "none|tpm2|tpm1.2", .option = "tpm", .metavar = "TYPE",
                .summary = "Which TPM the guest has, by swtpm; what is in it stays with the VM."},

        {"Display", "Type", SETTING_ENUM, "none", "spice|vnc|dbus|none", .option = "display", .metavar = "TYPE",
                .summary = "What viewers speak with it: SPICE, which has clipboard, sound, USB and sizes that follow the window, VNC, "
                           "QEMU's D-Bus interface, or nothing, and then there is no graphics card."},
        {"Display", "Heads", SETTING_UINT, "1", .min = 1, .max = 16, .summary = "How many screens the guest can have."},
        {"Display", "Video", SETTING_ENUM, "virtio", "virtio|qxl|vga|bochs",
                .summary = "The graphics card that the guest sees."},
        {"Display", "GL", SETTING_BOOL, "no", .option = "gl", .metavar = "BOOL",
                .summary = "Whether the guest can draw in three dimensions (OpenGL), which a graphics processor of the host's then does."},
        {"Display", "RenderNode", SETTING_PATH,
                .summary = "By which one it does so, such as /dev/dri/renderD129; unset, the first that the VM's owner can open."},
        {"Display", "Clipboard", SETTING_BOOL, "yes",
                .summary = "Whether what is copied in the guest can be pasted in a SPICE viewer, and the reverse; the guest needs spice-vdagent."},
        {"Display", "FileTransfer", SETTING_BOOL, "yes",
                .summary = "Whether a SPICE viewer can send files and share a folder; the guest needs spice-vdagent and spice-webdavd."},
        {"Display", "USBRedirection", SETTING_UINT, "4", .max = 8,
                .summary = "How many USB devices of its user's a SPICE viewer can plug into the guest."},

        {"Display", "Listen", SETTING_STRING, .max = 128, .option = "listen", .metavar = "ADDRESS[:PORT]",
                .summary = "The address of this host's, or *, at which viewers of other hosts are let in, with TLS and a password of vmctl invite; unset, nowhere."},

        {"Sound", "Type", SETTING_ENUM, .words = "spice|none",
                .summary = "Where it is heard; unset, in the viewer where the display's type is spice, else there is none."},

        {"USB", "Port", SETTING_STRING, .max = 64,
                .summary = "Where it is plugged in, as vmctl usb list shows it, such as 1-2 or 1-2.3."},
        {"USB", "Device", SETTING_STRING, .max = 9, .summary = "Its vendor and product, such as 0951:1666."},
        {"USB", "Serial", SETTING_STRING, .max = 512, .summary = "Its serial number."},

        {"PCI", "Address", SETTING_STRING, .max = 12, .summary = "Where it is on the host, such as 0000:01:00.0."},
        {"PCI", "Device", SETTING_STRING, .max = 9,
                .summary = "Its vendor and product, such as 10de:1b80: the first that no VM has."},
        {"PCI", "MediatedDevice", SETTING_UUID, .summary = "The UUID of a mediated device, a part of one that its driver has made."},

        {"Credentials", "Load", SETTING_WORDS,
                .summary = "A credential from a file, as ID:PATH, such as ssh.authorized_keys.root:/root/.ssh/id_ed25519.pub; "
                           "repeated lines append."},
        {"Credentials", "Set", SETTING_WORDS, .option = "credential", .metavar = "ID:VALUE",
                .summary = "A credential that is no secret, such as system.hostname:web; repeated lines append."},

        {"CloudInit", "User", SETTING_STRING, .max = 32, .summary = "A user that is made, who may do all by sudo; unset, the image's own."},
        {"CloudInit", "SSHKeys", SETTING_WORDS,
                .summary = "Public keys that this user is let in with by SSH, as ssh-keygen writes them; repeated lines append."},
        {"CloudInit", "Hostname", SETTING_STRING, .max = 253, .summary = "The guest's host name; unset, the VM's name."},
        {"CloudInit", "UserData", SETTING_PATH, .summary = "A file with the user data, in place of what User= and SSHKeys= make."},
        {"CloudInit", "NetworkConfig", SETTING_PATH, .summary = "A file with the network configuration; unset, DHCP."},

        {"Scope", "*", SETTING_PROPERTY,
                .summary = "A property of systemd.resource-control(5) as a unit file spells it, such as "
                           "MemoryMax=4G."},

        {"QEMU", "Binary", SETTING_PATH, .option = "qemu", .metavar = "PATH",
                .summary = "The QEMU program; unset, the host's own, or that of Root=."},
        {"QEMU", "Root", SETTING_PATH, .option = "qemu-root", .metavar = "PATH",
                .summary = "A distribution's root that QEMU is run from, with its modules, firmware and helpers: a folder, or an image; unset, the host's."},
        {"QEMU", "Arguments", SETTING_WORDS,
                .summary = "More arguments for QEMU, quoted as in a shell and passed on as they are; "
                           "repeated lines "
                           "append."},
        {"QEMU", "BindReadOnlyPaths", SETTING_WORDS,
                .summary = "Paths of the host that QEMU sees, read-only, beside its own programs: what "
                           "Arguments= names. "
                           "Its uid must be let in too."},
        {"QEMU", "BindPaths", SETTING_WORDS, .summary = "The same, where QEMU may also write."},
        {NULL},
};

const Schema vm_schema = {"vmd.vm(5)", sections, keys};
