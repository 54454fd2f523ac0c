/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Disk NAME] as QEMU's arguments: its images as block nodes, and the device before them. */

#include <jansson.h>
#include <string.h>

#include "blockdev.h"
#include "machine-internal.h"
#include "name.h"

/* QEMU's own limit. */
#define DISK_BANDWIDTH_MAX UINT64_C(1000000000000000)

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

bool machine_disk_is_written(const Settings *settings, const char *section)
{
    return settings_get_string(settings, section, "Source") && !machine_disk_is_cdrom(settings, section) &&
        !settings_get_bool(settings, section, "ReadOnly");
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
static bool cache_is(const Settings *settings, const MachineDisk *disk, const char *mode)
{
    const char *set = settings_get_string(settings, disk->section, "Cache");
    return set && g_str_equal(set, mode);
}

void machine_add_node(Command *command, const char *from, json_t *node)
{
    g_autofree char *text = json_dumps(node, JSON_COMPACT);
    json_decref(node);
    command_add(command, from, "-blockdev", text, NULL);
}

/* The last file of the chain first, since each names the next. */
void machine_add_image(Command *command, const char *from, const char *stem, const Image *image, unsigned depth, const BlockdevOptions *options,
    unsigned *set)
{
    if (image->backing)
        machine_add_image(command, from, stem, image->backing, depth + 1, options, set);
    unsigned mine = (*set)++;
    add_image_fds(command, from, image, mine);
    machine_add_node(command, from, blockdev_file(image, stem, depth, mine, options));
    machine_add_node(command, from, blockdev_format(image, stem, depth, options));
}

/* Firmware and guest find all three on every machine: virtio for speed, sata because any installer has it. */
static const char *const disk_buses[_DISK_BUS_MAX] = {[DISK_VIRTIO] = "virtio", [DISK_SCSI] = "scsi", [DISK_SATA] = "sata"};

DiskBus machine_disk_bus(const Settings *settings, const MachineDisk *disk, bool x86)
{
    const char *set = settings_get_string(settings, disk->section, "Bus");
    for (DiskBus bus = 0; set && bus < _DISK_BUS_MAX; bus++)
        if (g_str_equal(set, disk_buses[bus]))
            return bus;
    return !disk->cdrom ? DISK_VIRTIO : x86 ? DISK_SATA : DISK_SCSI;
}

BlockdevOptions machine_disk_options(const Settings *settings, const MachineDisk *disk, bool io_uring)
{
    return (BlockdevOptions){
        .io_uring = io_uring && !disk->cdrom && !machine_display_listens(settings),
        .discard = settings_get_bool(settings, disk->section, "Discard"),
        .no_flush = cache_is(settings, disk, "unsafe"),
    };
}

char *machine_disk_id(const char *name)
{
    return g_strdup_printf("disk-%s", name);
}

bool machine_disk_has_limits(const Settings *settings, const char *section)
{
    bool empty = !settings_has(settings, section, "Source");
    return !empty && (settings_has(settings, section, "IOPSMax") || settings_has(settings, section, "BandwidthMax"));
}

json_t *machine_disk_limits(const Settings *settings, const MachineDisk *disk, bool x86)
{
    g_autofree char *id = machine_disk_id(disk->name), *virtio = g_strdup_printf("/machine/peripheral/%s/virtio-backend", id);
    uint64_t operations = settings_get_number(settings, disk->section, "IOPSMax");
    uint64_t bytes = settings_get_number(settings, disk->section, "BandwidthMax");
    return json_pack("{ss sI sI si si si si}", "id", machine_disk_bus(settings, disk, x86) == DISK_VIRTIO ? virtio : id,
        "iops", (json_int_t) operations, "bps", (json_int_t) MIN(bytes, DISK_BANDWIDTH_MAX), "iops_rd", 0, "iops_wr", 0, "bps_rd", 0, "bps_wr", 0);
}

/* "disk-root", or "/machine/peripheral/disk-root/virtio-backend"; the NVRAM's is the second flash chip of the machine,
 * "/machine/system.flash1". */
bool machine_disk_is_device(const char *qdev, const char *name)
{
    if (g_str_equal(name, NVRAM_DISK))
        return g_str_has_suffix(qdev, ".flash1");
    g_auto(GStrv) parts = g_strsplit(qdev, "/", -1);
    g_autofree char *id = machine_disk_id(name);
    return g_strv_contains((const char *const *) parts, id);
}

const json_t *machine_disk_find_inserted(const json_t *blocks, const char *name)
{
    size_t i;
    json_t *block;
    json_array_foreach((json_t *) blocks, i, block) {
        const char *qdev = json_string_value(json_object_get(block, "qdev"));
        const json_t *inserted = json_object_get(block, "inserted");
        if (qdev && json_is_string(json_object_get(inserted, "node-name")) && machine_disk_is_device(qdev, name))
            return inserted;
    }
    return NULL;
}

const char *machine_disk_find_node(const json_t *blocks, const char *name)
{
    return json_string_value(json_object_get(machine_disk_find_inserted(blocks, name), "node-name"));
}

/* A node's name begins with a letter and has 31 bytes, some of which are for "-s123-node0". */
#define STEM_MAX 16

/* "root-s1" is what an overlay of "root" is called (snapshot/work.h). */
static bool is_overlay_stem(const char *name)
{
    const char *end = strrchr(name, '-');
    return end && end[1] == 's' && g_ascii_isdigit(end[2]) && strspn(end + 2, "0123456789") == strlen(end + 2);
}

char *machine_disk_stem(const char *name)
{
    if (strlen(name) <= STEM_MAX && g_ascii_isalpha(*name) && !is_overlay_stem(name))
        return g_strdup(name);
    g_autofree char *sum = g_compute_checksum_for_string(G_CHECKSUM_SHA256, name, -1);
    return g_strdup_printf("x%.*s", STEM_MAX - 1, sum);
}

json_t *machine_disk_device(const Settings *settings, const MachineDisk *disk, DiskBus bus, Error **ret_error)
{
    static const struct {
        const char *disk, *cdrom;
    } drivers[_DISK_BUS_MAX] = {
        [DISK_VIRTIO] = {"virtio-blk-pci", NULL}, [DISK_SCSI] = {"scsi-hd", "scsi-cd"}, [DISK_SATA] = {"ide-hd", "ide-cd"},
    };
    const char *driver = disk->cdrom ? drivers[bus].cdrom : drivers[bus].disk;
    if (!driver) {
        error_set(ret_error, ERROR_INVALID_SETTINGS, disk->section, "Use Bus=sata or Bus=scsi", "a CD-ROM cannot be on the bus virtio");
        return NULL;
    }
    g_autofree char *id = machine_disk_id(disk->name), *stem = machine_disk_stem(disk->name);
    g_autofree char *node = blockdev_node_name(stem, 0);
    json_t *device = json_pack("{ss ss}", "driver", driver, "id", id);
    if (disk->image)
        json_object_set_new(device, "drive", json_string(node));
    if (bus == DISK_VIRTIO)
        json_object_set_new(device, "iothread", json_string(MACHINE_IOTHREAD));
    if (bus == DISK_SCSI)
        json_object_set_new(device, "bus", json_string(MACHINE_SCSI ".0"));
    uint64_t order = settings_get_number(settings, disk->section, "BootOrder");
    if (order > 0)
        json_object_set_new(device, "bootindex", json_integer((json_int_t) order));
    const char *serial = settings_get_string(settings, disk->section, "Serial");
    if (serial)
        json_object_set_new(device, "serial", json_string(serial));
    if (disk->cdrom)
        return device;
    if (cache_is(settings, disk, "writethrough"))
        json_object_set_new(device, "write-cache", json_string("off"));
    /* Without room the guest waits until there is some; what else goes wrong it is told, as by any disk. */
    (void) json_object_update_new(device, json_pack("{ss ss}", "werror", "enospc", "rerror", "report"));
    return device;
}

typedef struct DiskSlots {
    unsigned sata;     /* next port */
    unsigned ports;    /* of PCI Express, that disks have */
    bool scsi, iothread;
} DiskSlots;

void machine_add_device(Command *command, const char *from, const json_t *device)
{
    g_autoptr(GString) text = g_string_new(json_string_value(json_object_get(device, "driver")));
    const char *key;
    json_t *value;
    json_object_foreach((json_t *) device, key, value) {
        if (g_str_equal(key, "driver"))
            continue;
        g_autofree char *escaped = json_is_string(value) ? escape(json_string_value(value)) : NULL;
        if (escaped)
            g_string_append_printf(text, ",%s=%s", key, escaped);
        else
            g_string_append_printf(text, ",%s=%" JSON_INTEGER_FORMAT, key, json_integer_value(value));
    }
    command_add(command, from, "-device", text->str, NULL);
}

/* What the device is on: as with an interface, a port of its own, so that it can go while the guest runs. */
static bool add_bus(Command *command, const MachineParts *parts, const MachineDisk *disk, DiskBus bus, json_t *device, DiskSlots *slots,
    Error **ret_error)
{
    const char *from = machine_origin(parts, disk->section, "Source");
    g_autofree char *port = NULL;
    if ((bus == DISK_SCSI && !machine_needs_device(parts->build, "virtio-scsi-pci", disk->section, ret_error)) ||
        !machine_needs_device(parts->build, json_string_value(json_object_get(device, "driver")), disk->section, ret_error))
        return false;
    switch (bus) {
    case DISK_VIRTIO:
        if (!slots->iothread)
            command_add(command, DEFAULT, "-object", "iothread,id=" MACHINE_IOTHREAD, NULL);
        slots->iothread = true;
        if (!machine_is_pcie(parts))
            return true;
        port = g_strdup_printf("diskport-%s", disk->name);
        command_addf(command, from, "-device", "pcie-root-port,id=%s,chassis=%u", port,
            MACHINE_SLOTS + (parts->interfaces ? parts->interfaces->len : 0) + ++slots->ports);
        json_object_set_new(device, "bus", json_string(port));
        return true;
    case DISK_SCSI:
        if (!slots->scsi)
            command_add(command, from, "-device", "virtio-scsi-pci,id=" MACHINE_SCSI, NULL);
        slots->scsi = true;
        return true;
    case DISK_SATA:
        if (!machine_is_x86(parts->build))
            return error_set(ret_error, ERROR_UNSUPPORTED, disk->section, "Use Bus=virtio or Bus=scsi", "this machine has no sata bus");
        port = g_strdup_printf("ide.%u", slots->sata++);
        json_object_set_new(device, "bus", json_string(port));
        return true;
    case _DISK_BUS_MAX:
        g_assert_not_reached();
    }
    return false;
}

#define SATA_PORTS 6

static bool add_disk_device(Command *command, const MachineParts *parts, const MachineDisk *disk, DiskSlots *slots, Error **ret_error)
{
    DiskBus bus = machine_disk_bus(parts->settings, disk, machine_is_x86(parts->build));
    json_t *device = machine_disk_device(parts->settings, disk, bus, ret_error);
    bool ok = device && add_bus(command, parts, disk, bus, device, slots, ret_error);
    if (ok)
        machine_add_device(command, machine_origin(parts, disk->section, "Source"), device);
    json_decref(device);
    if (ok && slots->sata > SATA_PORTS)
        return error_set(ret_error, ERROR_UNSUPPORTED, disk->section, "Use Bus=virtio or Bus=scsi", "a machine has %d sata ports only",
            SATA_PORTS);
    return ok;
}

bool machine_add_disks(Command *command, const MachineParts *parts, unsigned *set, Error **ret_error)
{
    DiskSlots slots = {0};
    for (guint i = 0; i < parts->disks->len; i++) {
        const MachineDisk *disk = parts->disks->pdata[i];
        const BlockdevOptions options = machine_disk_options(parts->settings, disk, parts->io_uring);
        const char *from = machine_origin(parts, disk->section, "Source");
        g_autofree char *stem = machine_disk_stem(disk->name);
        if (disk->image)
            machine_add_image(command, from, stem, disk->image, 0, &options, set);
        if (!add_disk_device(command, parts, disk, &slots, ret_error))
            return false;
    }
    return true;
}
