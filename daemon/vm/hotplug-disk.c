/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Disk NAME] that comes or goes: its files, opened as at a start and claimed; descriptors in sets, block nodes over them, the device.
 *
 * Nothing of it is remembered: nodes are found by their names (qemu/blockdev.h, and those of overlays that snapshots have put over
 * them), and sets by what these nodes have open. So it makes no difference which vmd attached it, or whether it was there from the
 * start. */

#include <stdio.h>
#include <string.h>

#include "claims.h"
#include "hotplug-kind.h"
#include "live.h"
#include "machine.h"
#include "manager.h"
#include "script.h"
#include "sources.h"

/* Sets of what is attached; those of the start and of snapshots are below. */
#define SET_BASE (1U << 24)
#define OPEN_USEC (60 * G_USEC_PER_SEC)
#define SCRIPT_ID "vmd-hotplug"

typedef struct HotDisk {
    SourcesOpening *opening;
    MachineParts parts; /* the disk, alone */
    bool claimed;
    unsigned first, last; /* its sets while it is added */
    GArray *sets;         /* unsigned: those to be removed */
    Script *script;
} HotDisk;

static void free_own(Hotplug *hotplug)
{
    HotDisk *own = hotplug->own;
    sources_abandon(own->opening);
    script_free(own->script);
    g_clear_pointer(&own->parts.disks, g_ptr_array_unref);
    if (own->sets)
        g_array_unref(own->sets);
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
    if (!settings_get_string(hotplug->settings, hotplug->section, "Source"))
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
    /* On disk before QEMU has it, so that a vmd that comes after this one knows. */
    if (own->claimed)
        (void) instance_write_record(hotplug->vm->instance, &error);
    hotplug_opened(hotplug, error);
}

static bool open_disk(Hotplug *hotplug, Error **ret_error)
{
    HotDisk *own = hotplug->own;
    own->parts.kernel_fd = own->parts.initrd_fd = -1;
    return sources_open_disk(hotplug->vm, hotplug->settings, hotplug->section, OPEN_USEC, on_sources, hotplug, &own->opening, ret_error);
}

/* ---- nodes ---- */

static bool is_set(const json_t *sets, unsigned set)
{
    size_t i;
    json_t *one;
    json_array_foreach((json_t *) sets, i, one)
        if (json_integer_value(json_object_get(one, "fdset-id")) == set)
            return true;
    return false;
}

static bool on_free_sets(const json_t *result, void *userdata, Error **ret_error)
{
    Hotplug *hotplug = userdata;
    HotDisk *own = hotplug->own;
    const MachineDisk *disk = disk_of(hotplug);
    const BlockdevOptions options = machine_disk_options(hotplug->settings, disk, hotplug->vm->manager->io_uring);
    size_t i;
    json_t *one;
    unsigned last = SET_BASE;
    json_array_foreach((json_t *) result, i, one) {
        json_int_t set = json_integer_value(json_object_get(one, "fdset-id"));
        if (set > last && set < G_MAXINT - IMAGE_CHAIN_MAX)
            last = (unsigned) set;
    }
    own->first = last + 1;
    own->last = last;
    g_autofree char *stem = machine_disk_stem(disk->name);
    script_add_image_with(own->script, disk->image, stem, &options, &own->last);
    return true;
}

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
    own->script = script_new(hotplug->vm->manager->event, SCRIPT_ID);
    script_add_question(own->script, "query-fdsets", NULL, on_free_sets, hotplug);
    script_run(own->script, qmp, on_nodes, NULL, hotplug);
    return 0;
}

/* A node of the disk: "root-node1", and with a snapshot's overlay "root-s3-node0". */
typedef struct Node {
    char *name;
    unsigned snapshot, depth;
    bool file;
} Node;

static void node_clear(void *userdata)
{
    g_free(((Node *) userdata)->name);
}

static bool node_parse(const char *name, const char *disk, Node *ret)
{
    size_t length = strlen(disk);
    unsigned snapshot = 0, depth;
    int n = 0;
    if (strncmp(name, disk, length) != 0 || name[length] != '-')
        return false;
    const char *rest = name + length + 1;
    if (sscanf(rest, "s%u-%n", &snapshot, &n) == 1 && n > 0)
        rest += n;
    bool file = g_str_has_prefix(rest, "file");
    n = 0;
    if ((!file && !g_str_has_prefix(rest, "node")) || sscanf(rest + 4, "%u%n", &depth, &n) != 1 || rest[4 + n])
        return false;
    *ret = (Node){.name = g_strdup(name), .snapshot = snapshot, .depth = depth, .file = file};
    return true;
}

/* What stands on others first: the newest overlay, from the top of its chain down. */
static gint node_compare(gconstpointer a, gconstpointer b)
{
    const Node *x = a, *y = b;
    if (x->snapshot != y->snapshot)
        return x->snapshot > y->snapshot ? -1 : 1;
    return x->depth != y->depth ? (x->depth < y->depth ? -1 : 1) : (int) x->file - (int) y->file;
}

static bool on_all_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    Hotplug *hotplug = userdata;
    HotDisk *own = hotplug->own;
    g_autoptr(GArray) nodes = g_array_new(FALSE, FALSE, sizeof(Node));
    size_t i;
    json_t *one;
    g_autofree char *stem = machine_disk_stem(hotplug->name);
    g_array_set_clear_func(nodes, node_clear);
    json_array_foreach((json_t *) result, i, one) {
        const char *name = json_string_value(json_object_get(one, "node-name")), *file = json_string_value(json_object_get(one, "file"));
        Node node;
        unsigned set;
        if (!name || !node_parse(name, stem, &node))
            continue;
        g_array_append_val(nodes, node);
        if (node.file && file && sscanf(file, "/dev/fdset/%u", &set) == 1)
            g_array_append_val(own->sets, set);
    }
    g_array_sort(nodes, node_compare);
    for (guint j = 0; j < nodes->len; j++)
        script_add_call(own->script, "blockdev-del", json_pack("{ss}", "node-name", g_array_index(nodes, Node, j).name));
    return true;
}

static bool on_all_sets(const json_t *result, void *userdata, Error **ret_error)
{
    Hotplug *hotplug = userdata;
    HotDisk *own = hotplug->own;
    for (unsigned set = own->first; set > 0 && set <= own->last; set++)
        g_array_append_val(own->sets, set);
    for (guint i = 0; i < own->sets->len; i++) {
        unsigned set = g_array_index(own->sets, unsigned, i);
        bool again = false;
        for (guint j = 0; j < i; j++)
            again = again || g_array_index(own->sets, unsigned, j) == set;
        if (!again && is_set(result, set))
            script_add_call(own->script, "remove-fd", json_pack("{si}", "fdset-id", (int) set));
    }
    return true;
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
    }
    hotplug_removed(hotplug);
}

static int remove_nodes(Hotplug *hotplug)
{
    HotDisk *own = hotplug->own;
    g_clear_pointer(&own->script, script_free);
    own->sets = g_array_new(FALSE, FALSE, sizeof(unsigned));
    own->script = script_new(hotplug->vm->manager->event, SCRIPT_ID);
    script_add_question(own->script, "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_all_nodes, hotplug);
    script_add_question(own->script, "query-fdsets", NULL, on_all_sets, hotplug);
    script_run(own->script, hotplug->vm->instance->qmp, on_nodes_gone, NULL, hotplug);
    return 0;
}

static json_t *make_disk(Hotplug *hotplug)
{
    const MachineDisk *disk = disk_of(hotplug);
    return machine_disk_device(hotplug->settings, disk, bus_of(hotplug, disk), NULL);
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
    .attached = attached,
    .free = free_own,
};
