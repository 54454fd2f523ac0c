/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Disk NAME] as QEMU's arguments: its images as block nodes, and the device before them. */

#include <jansson.h>
#include <string.h>

#include "blockdev.h"
#include "machine-internal.h"

void machine_disk_free(MachineDisk *disk)
{
    if (!disk)
        return;
    g_free(disk->section);
    g_free(disk->name);
    image_free(disk->image);
    g_free(disk);
}

/* QEMU's own rule: a comma in a value of a key=value list is written twice. */
static char *escape(const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ",", -1);
    return g_strjoinv(",,", parts);
}

bool machine_disk_is_cdrom(const Settings *settings, const char *section)
{
    const char *type = settings_get_string(settings, section, "Type");
    const char *source = settings_get_string(settings, section, "Source");
    return type ? g_str_equal(type, "cdrom") : source && g_str_has_suffix(source, ".iso");
}

/* Two descriptors of a writable image go into one set: QEMU picks the one whose access mode it wants. */
static void add_image_fds(Command *command, const char *from, const Image *image, unsigned set)
{
    int fds[] = {image->fd, image->read_fd};
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++) {
        if (fds[i] < 0)
            continue;
        command_addf(command, from, "-add-fd", "fd=%d,set=%u", fds[i], set);
        command_add_fd(command, fds[i]);
    }
}

/* Cache=: none is opened with O_DIRECT (sources.c), unsafe leaves out the guest's flushes, writethrough is the device's. */
static bool cache_is(const MachineParts *parts, const MachineDisk *disk, const char *mode)
{
    const char *set = settings_get_string(parts->settings, disk->section, "Cache");
    return set && g_str_equal(set, mode);
}

static void add_node(Command *command, const char *from, json_t *node)
{
    g_autofree char *text = json_dumps(node, JSON_COMPACT);
    json_decref(node);
    command_add(command, from, "-blockdev", text, NULL);
}

/* The last file of the chain first, since each names the next. */
static void add_chain(Command *command, const MachineParts *parts, const MachineDisk *disk, const Image *image, unsigned depth,
    const BlockdevOptions *options, unsigned *set)
{
    const char *from = machine_origin(parts, disk->section, "Source");
    if (image->backing)
        add_chain(command, parts, disk, image->backing, depth + 1, options, set);
    unsigned mine = (*set)++;
    add_image_fds(command, from, image, mine);
    add_node(command, from, blockdev_file(image, disk->name, depth, mine, options));
    add_node(command, from, blockdev_format(image, disk->name, depth, options));
}

/* Firmware and guest find all three on every machine: virtio for speed, sata because any installer has it. */
typedef enum DiskBus { BUS_VIRTIO, BUS_SCSI, BUS_SATA, _BUS_MAX } DiskBus;
static const char *const disk_buses[_BUS_MAX] = {[BUS_VIRTIO] = "virtio", [BUS_SCSI] = "scsi", [BUS_SATA] = "sata"};

static DiskBus disk_bus(const MachineParts *parts, const MachineDisk *disk)
{
    const char *set = settings_get_string(parts->settings, disk->section, "Bus");
    for (DiskBus bus = 0; set && bus < _BUS_MAX; bus++)
        if (g_str_equal(set, disk_buses[bus]))
            return bus;
    return !disk->cdrom ? BUS_VIRTIO : machine_is_x86(parts->build) ? BUS_SATA : BUS_SCSI;
}

typedef struct DiskSlots {
    unsigned set;      /* next fdset */
    unsigned sata;     /* next port */
    bool scsi, iothread;
} DiskSlots;

static bool add_disk_device(Command *command, const MachineParts *parts, const MachineDisk *disk, DiskSlots *slots, Error **ret_error)
{
    const Settings *s = parts->settings;
    const char *from = machine_origin(parts, disk->section, "Source");
    g_autoptr(GString) device = g_string_new(NULL);

    switch (disk_bus(parts, disk)) {
    case BUS_VIRTIO:
        if (disk->cdrom)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, disk->section, "Use Bus=sata or Bus=scsi",
                "a CD-ROM cannot be on the bus virtio");
        if (!slots->iothread)
            command_add(command, DEFAULT, "-object", "iothread,id=io0", NULL);
        slots->iothread = true;
        g_string_append(device, "virtio-blk-pci,iothread=io0");
        break;
    case BUS_SCSI:
        if (!slots->scsi)
            command_add(command, from, "-device", "virtio-scsi-pci,id=scsi0", NULL);
        slots->scsi = true;
        g_string_append_printf(device, "%s,bus=scsi0.0", disk->cdrom ? "scsi-cd" : "scsi-hd");
        break;
    case BUS_SATA:
        if (!machine_is_x86(parts->build)) {
            return error_set(ret_error, ERROR_UNSUPPORTED, disk->section, "Use Bus=virtio or Bus=scsi", "this machine has no sata bus");
        }
        g_string_append_printf(device, "%s,bus=ide.%u", disk->cdrom ? "ide-cd" : "ide-hd", slots->sata++);
        break;
    case _BUS_MAX:
        g_assert_not_reached();
    }

    g_string_append_printf(device, ",id=disk-%s,drive=%s-node0", disk->name, disk->name);
    uint64_t order = settings_get_number(s, disk->section, "BootOrder");
    if (order > 0)
        g_string_append_printf(device, ",bootindex=%" G_GUINT64_FORMAT, order);
    const char *serial = settings_get_string(s, disk->section, "Serial");
    if (serial) {
        g_autofree char *escaped = escape(serial);
        g_string_append_printf(device, ",serial=%s", escaped);
    }
    if (cache_is(parts, disk, "writethrough") && !disk->cdrom)
        g_string_append(device, ",write-cache=off");
    command_add(command, from, "-device", device->str, NULL);
    return true;
}

#define SATA_PORTS 6

bool machine_add_disks(Command *command, const MachineParts *parts, Error **ret_error)
{
    DiskSlots slots = {.set = 1};
    for (guint i = 0; i < parts->disks->len; i++) {
        const MachineDisk *disk = parts->disks->pdata[i];
        const BlockdevOptions options = {
            .io_uring = parts->io_uring,
            .discard = settings_get_bool(parts->settings, disk->section, "Discard"),
            .no_flush = cache_is(parts, disk, "unsafe"),
        };
        add_chain(command, parts, disk, disk->image, 0, &options, &slots.set);
        if (!add_disk_device(command, parts, disk, &slots, ret_error))
            return false;
        if (slots.sata > SATA_PORTS)
            return error_set(ret_error, ERROR_UNSUPPORTED, disk->section, "Use Bus=virtio or Bus=scsi", "a machine has %d sata ports only",
                SATA_PORTS);
    }
    return true;
}

