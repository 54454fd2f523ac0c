/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Disk NAME] that comes or goes: its files, opened as at a start and claimed; descriptors in sets, block nodes over them, the device. */

#include "claims.h"
#include "hotplug-nodes.h"
#include "live.h"
#include "manager.h"
#include "sources.h"
#include "trays.h"

typedef struct HotDisk {
    SourcesOpening *opening;
    MachineParts parts; /* the disk, alone */
    bool claimed;
    HotplugNodes nodes;
    Script *script;
} HotDisk;

static void free_own(Hotplug *hotplug)
{
    HotDisk *own = hotplug->own;
    sources_abandon(own->opening);
    script_free(own->script);
    if (own->parts.disks) /* else there are no descriptors */
        sources_close(&own->parts);
    hotplug_nodes_clear(&own->nodes);
}

static MachineDisk *disk_of(const Hotplug *hotplug)
{
    const HotDisk *own = hotplug->own;
    return own->parts.disks->pdata[0];
}

static DiskBus bus_of(const Hotplug *hotplug, const MachineDisk *disk)
{
    return machine_disk_bus(hotplug->settings, disk, machine_type_is_x86(hotplug->vm->instance->machine));
}

static bool check_disk(Hotplug *hotplug, Error **ret_error)
{
    const MachineDisk disk = {.section = hotplug->section, .name = hotplug->name, .cdrom = machine_disk_is_cdrom(hotplug->settings, hotplug->section)};
    DiskBus bus = bus_of(hotplug, &disk);
    if (bus == DISK_SATA)
        return error_set(ret_error, ERROR_UNSUPPORTED, hotplug->section, "Use Bus=virtio or Bus=scsi, or stop the VM first",
            "nothing comes or goes on the bus sata while a VM runs");
    if (!disk.cdrom && !settings_has(hotplug->settings, hotplug->section, "Source"))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, hotplug->section, "Give it one", "it has no Source=");
    json_t *device = machine_disk_device(hotplug->settings, &disk, bus, ret_error);
    json_decref(device);
    return device != NULL;
}

/* ---- the host's side ---- */

static void release(Hotplug *hotplug)
{
    HotDisk *own = hotplug->own;
    if (own->claimed) {
        claim_release_disk(hotplug->vm, hotplug->name);
        (void) instance_write_record(hotplug->vm->instance, NULL);
    }
    own->claimed = false;
}

static void on_sources(void *data, void *userdata)
{
    Hotplug *hotplug = userdata;
    HotDisk *own = hotplug->own;
    g_autoptr(Error) error = NULL;
    own->opening = NULL;
    own->claimed = sources_take(data, &own->parts, &error) && claim_disk(hotplug->vm, hotplug->name, disk_of(hotplug)->image, &error);
    /* Written down before QEMU has it, so that a vmd that comes after this one knows. */
    if (own->claimed)
        (void) instance_write_record(hotplug->vm->instance, &error);
    hotplug_opened(hotplug, error);
}

static bool open_disk(Hotplug *hotplug, Error **ret_error)
{
    HotDisk *own = hotplug->own;
    own->parts.kernel_fd = own->parts.initrd_fd = -1;
    return sources_open_one(hotplug->vm, hotplug->settings, hotplug->section, HOTPLUG_OPEN_USEC, on_sources, hotplug, &own->opening, ret_error);
}

/* ---- nodes ---- */

static void on_controller(Hotplug *hotplug, const Error *error)
{
    hotplug_added(hotplug, error);
}

/* Where no disk on it was there from the start the controller comes with the first one, and stays. */
static void on_scsi(Qmp *qmp, const json_t *result, const Error *missing, void *userdata)
{
    Hotplug *hotplug = userdata;
    if (!missing)
        return hotplug_added(hotplug, NULL);
    int r = hotplug_plug(hotplug, json_pack("{ss ss}", "driver", "virtio-scsi-pci", "id", MACHINE_SCSI), on_controller);
    if (r < 0) {
        g_autoptr(Error) error = NULL;
        error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
        hotplug_added(hotplug, error);
    }
}

static void on_nodes(const Error *failed, void *userdata)
{
    Hotplug *hotplug = userdata;
    HotDisk *own = hotplug->own;
    g_autoptr(Error) error = error_copy(failed);
    Qmp *qmp = hotplug->vm->instance->qmp;
    g_clear_pointer(&own->script, script_free);
    int r = error || bus_of(hotplug, disk_of(hotplug)) != DISK_SCSI ? 0 :
        qmp_call(qmp, "qom-list", json_pack("{ss}", "path", "/machine/peripheral/" MACHINE_SCSI), -1, HOTPLUG_QMP_USEC, on_scsi, hotplug);
    if (r < 0)
        error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
    if (error || bus_of(hotplug, disk_of(hotplug)) != DISK_SCSI)
        hotplug_added(hotplug, error);
}

static int add_nodes(Hotplug *hotplug)
{
    HotDisk *own = hotplug->own;
    Qmp *qmp = hotplug->vm->instance->qmp;
    /* An error where it is there already. */
    if (bus_of(hotplug, disk_of(hotplug)) == DISK_VIRTIO)
        (void) qmp_call(qmp, "object-add", json_pack("{ss ss}", "qom-type", "iothread", "id", MACHINE_IOTHREAD), -1, 0, NULL, NULL);
    hotplug_nodes_init(&own->nodes, hotplug);
    own->nodes.disk = disk_of(hotplug);
    own->script = script_new(hotplug->vm->manager->event, HOTPLUG_SCRIPT_ID);
    hotplug_nodes_add(&own->nodes, own->script);
    script_run(own->script, qmp, on_nodes, NULL, hotplug);
    return 0;
}

static void on_nodes_gone(const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    HotDisk *own = hotplug->own;
    g_clear_pointer(&own->script, script_free);
    if (error) {
        /* QEMU may still have the files open, so nobody else gets them before it ends. */
        g_autofree char *message = error_message(error);
        g_warning("VM %s: what was behind [%s] stays open until the VM ends: %s", hotplug->vm->name, hotplug->section, message);
        own->claimed = false;
    } else {
        own->claimed = true;
        release(hotplug);
        trays_forget(hotplug->vm->instance, hotplug->name);
    }
    hotplug_removed(hotplug);
}

static int remove_nodes(Hotplug *hotplug)
{
    HotDisk *own = hotplug->own;
    g_clear_pointer(&own->script, script_free);
    hotplug_nodes_init(&own->nodes, hotplug);
    own->script = script_new(hotplug->vm->manager->event, HOTPLUG_SCRIPT_ID);
    hotplug_nodes_remove(&own->nodes, own->script);
    script_run(own->script, hotplug->vm->instance->qmp, on_nodes_gone, NULL, hotplug);
    return 0;
}

static json_t *make_disk(Hotplug *hotplug)
{
    const MachineDisk *disk = disk_of(hotplug);
    return machine_disk_device(hotplug->settings, disk, bus_of(hotplug, disk), NULL);
}

/* QEMU forgets to close what was put into a drive that was empty at first. It goes without asking the guest, on the only bus where CD drives
 * go at all. */
static void empty_drive(Hotplug *hotplug)
{
    Qmp *qmp = hotplug->vm->instance->qmp;
    if (!machine_disk_is_cdrom(hotplug->settings, hotplug->section))
        return;
    (void) qmp_call(qmp, "blockdev-open-tray", json_pack("{ss sb}", "id", hotplug->device, "force", 1), -1, 0, NULL, NULL);
    (void) qmp_call(qmp, "blockdev-remove-medium", json_pack("{ss}", "id", hotplug->device), -1, 0, NULL, NULL);
}

static void attached(Hotplug *hotplug)
{
    if (machine_disk_has_limits(hotplug->settings, hotplug->section))
        (void) live_limit_disk(hotplug->vm->instance, hotplug->settings, hotplug->section, NULL, NULL);
}

const HotplugKind hotplug_disk = {
    .section = "Disk",
    .device = "disk",
    .size = sizeof(HotDisk),
    .check = check_disk,
    .open = open_disk,
    .close = release,
    .add = add_nodes,
    .remove = remove_nodes,
    .make_device = make_disk,
    .leaves = empty_drive,
    .attached = attached,
    .free = free_own,
};
