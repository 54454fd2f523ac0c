/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "schema.h"

#include <glib.h>
#include <string.h>

#include "value.h"

#define KiB (UINT64_C(1) << 10)
#define MiB (UINT64_C(1) << 20)

const SettingSection setting_sections[] = {
        {"VM", false, "The machine itself: processors, memory, and what happens when it stops."},
        {"Boot", false, "What the guest boots; without Kernel= the firmware looks for a boot disk."},
        {"Disk", true, "A disk or a CD; the name is free, the order of sections is the order of disks."},
        {"Console", false, "The console that vmctl console attaches to."},
        {"Scope", false, "Resource control of the VM's scope: any property of systemd.resource-control(5)."},
        {"QEMU", false, "What the other sections have no key for."},
        {NULL},
};

const SettingKey setting_keys[] = {
        {"VM", "Description", SETTING_STRING, .max = 512, .live = true, .option = "description", .metavar = "TEXT",
                .summary = "What the VM is for, shown by list and status."},
        {"VM", "Owner", SETTING_STRING, .max = 256, .live = true, .option = "owner", .metavar = "USER",
                .summary = "Whose VM it is, by name or number: who may manage it as an own one, and with whose rights "
                           "its files are opened; unset, root."},
        {"VM", "UUID", SETTING_UUID, .option = "uuid", .metavar = "UUID",
                .summary = "The machine's UUID as the guest sees it; unset, it is derived from the host's "
                           "machine "
                           "ID and the name, so it stays the same."},
        {"VM", "CPUs", SETTING_UINT, "2", .min = 1, .max = 4096, .option = "cpus", .metavar = "N",
                .summary = "How many virtual CPUs."},
        {"VM", "Memory", SETTING_SIZE, "2G", .min = MiB, .option = "memory", .metavar = "BYTES",
                .summary = "The guest's memory."},
        {"VM", "Machine", SETTING_STRING, .max = 256, .option = "machine-type", .metavar = "TYPE",
                .summary = "QEMU's machine type; unset, q35 on x86 and virt on ARM."},
        {"VM", "CPU", SETTING_STRING, .max = 1024, .option = "cpu", .metavar = "MODEL",
                .summary = "QEMU's CPU model; unset, host under KVM and max under TCG."},
        {"VM", "Accelerator", SETTING_ENUM, "auto", "auto|kvm|tcg", .option = "accelerator",
                .metavar = "NAME",
                .summary =
                        "How guest code runs: auto takes KVM where it is proved to run a guest, else TCG."},
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

        {"Boot", "Kernel", SETTING_PATH, .option = "kernel", .metavar = "PATH",
                .summary = "A Linux kernel to boot directly; unset, the firmware boots from a disk."},
        {"Boot", "Initrd", SETTING_PATH, .option = "initrd", .metavar = "PATH",
                .summary = "The initial RAM disk for Kernel=."},
        {"Boot", "CommandLine", SETTING_STRING, .max = 2048, .option = "command-line", .metavar = "TEXT",
                .summary = "The kernel's command line; unset, console=ttyS0 (ttyAMA0 on ARM) where Kernel= "
                           "is set."},

        {"Disk", "Source", SETTING_PATH, .required = true, .option = "disk", .metavar = "PATH",
                .summary = "The image file or block device."},
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

        {"Console", "Type", SETTING_ENUM, "serial", "serial|virtio|none", .option = "console",
                .metavar = "TYPE", .summary = "A serial port, a virtio console, or none."},
        {"Console", "LogSize", SETTING_SIZE, "1M", .min = 64 * KiB, .max = 64 * MiB,
                .summary = "How much of what was printed is kept for replay."},

        {"Scope", "*", SETTING_PROPERTY,
                .summary = "A property of systemd.resource-control(5) as a unit file spells it, such as "
                           "MemoryMax=4G."},

        {"QEMU", "Binary", SETTING_PATH, .option = "qemu", .metavar = "PATH",
                .summary = "The QEMU program; unset, the host's own."},
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

/* What errors name, and the D-Bus signature of a reply. */
static const struct {
    const char *noun, *signature;
} types[_SETTING_TYPE_MAX] = {
        [SETTING_BOOL] = {"yes or no", "b"},
        [SETTING_UINT] = {"a whole number", "u"},
        [SETTING_SIZE] = {"a size such as 2G", "t"},
        [SETTING_DURATION] = {"a time such as 90s or \"5min 20s\"", "t"},
        [SETTING_STRING] = {"one line of text", "s"},
        [SETTING_PATH] = {"an absolute path without \"..\"", "s"},
        [SETTING_ENUM] = {"one of certain words", "s"},
        [SETTING_UUID] = {"a UUID such as 3e3fce64-0ab0-4b0b-a2a4-0e2a3e8e2f10", "s"},
        [SETTING_WORDS] = {"words, quoted as in a shell", "as"},
        [SETTING_PROPERTY] = {"a property of systemd.resource-control(5)", "s"},
};

const SettingSection *setting_section_find(const char *section)
{
    for (const SettingSection *s = setting_sections; s->name; s++)
        if (strcmp(s->name, section) == 0)
            return s;
    return NULL;
}

const SettingKey *setting_key_find(const char *section, const char *key)
{
    for (const SettingKey *k = setting_keys; k->section; k++)
        if (strcmp(k->section, section) == 0 && (strcmp(k->key, key) == 0 || strcmp(k->key, "*") == 0))
            return k;
    return NULL;
}

const char *setting_type_to_string(SettingType type)
{
    g_assert((unsigned) type < _SETTING_TYPE_MAX);
    return types[type].noun;
}

const char *setting_type_to_signature(SettingType type)
{
    g_assert((unsigned) type < _SETTING_TYPE_MAX);
    return types[type].signature;
}
