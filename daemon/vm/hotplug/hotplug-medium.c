/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What is in the CD drive [Disk NAME], changed: the new image is opened, claimed and made a node before anything is done to the drive,
 * so that what cannot be leaves the old one where it is.
 *
 *     .open         files, claimed beside those of what is in the drive
 *     .add          nodes                              blockdev-add
 *       open_tray   a guest that has locked it is asked, and has a while: again and again, since many a guest locks it only as long as it
 *                   reads, and hears of no question
 *       take_out    put_in    close_tray
 *       drop_old    nodes and claims of what was there */

#include <errno.h>

#include "claims.h"
#include "hotplug-nodes.h"
#include "live.h"
#include "manager.h"
#include "sources.h"

#define UNLOCK_USEC (10 * G_USEC_PER_SEC)
#define ASK_AGAIN_USEC (250 * 1000)

typedef struct Medium {
    SourcesOpening *opening;
    MachineParts parts;   /* the drive, alone, with the image where there is one */
    GArray *before, *now; /* ImageIdentity: claims */
    HotplugNodes nodes;
    Script *script;
    uint64_t asked; /* the guest, first: CLOCK_MONOTONIC; 0: not yet */
} Medium;

static void free_medium(Hotplug *hotplug)
{
    Medium *own = hotplug->own;
    sources_abandon(own->opening);
    script_free(own->script);
    hotplug_nodes_clear(&own->nodes);
    if (own->parts.disks) /* else there are no descriptors */
        sources_close(&own->parts);
    g_clear_pointer(&own->before, g_array_unref);
    g_clear_pointer(&own->now, g_array_unref);
}

static bool check_medium(Hotplug *hotplug, Error **ret_error)
{
    g_autofree char *path = instance_settings_path(hotplug->vm->instance), *text = settings_read_text(path, ret_error);
    g_autoptr(Settings) running = text ? settings_parse_partial(&vm_schema, text, strlen(text), path, ret_error) : NULL;
    if (!running)
        return false;
    return (settings_section_origin(running, hotplug->section) && machine_disk_is_cdrom(running, hotplug->section)) ||
        error_set(ret_error, ERROR_NO_SUCH_DEVICE, hotplug->section, "Restart the VM", "the VM still runs without this drive");
}

/* ---- the host's side ---- */

/* Both are claimed until one has gone. */
static bool claim_new(Hotplug *hotplug, const Image *image, Error **ret_error)
{
    Medium *own = hotplug->own;
    VM *vm = hotplug->vm;
    claim_release_disk(vm, hotplug->name);
    bool ok = claim_disk(vm, hotplug->name, image, ret_error);
    own->now = claim_copy_disk(vm, hotplug->name);
    g_array_append_vals(vm->instance->images, own->before->data, own->before->len);
    /* On disk before QEMU has it, so that a vmd that comes after this one knows. */
    return ok && instance_write_record(vm->instance, ret_error);
}

static void on_sources(void *data, void *userdata)
{
    Hotplug *hotplug = userdata;
    Medium *own = hotplug->own;
    g_autoptr(Error) error = NULL;
    own->opening = NULL;
    if (sources_take(data, &own->parts, &error)) {
        own->nodes.disk = own->parts.disks->pdata[0];
        (void) claim_new(hotplug, own->nodes.disk->image, &error);
    }
    hotplug_opened(hotplug, error);
}

static bool open_medium(Hotplug *hotplug, Error **ret_error)
{
    Medium *own = hotplug->own;
    own->parts.kernel_fd = own->parts.initrd_fd = -1;
    own->before = claim_copy_disk(hotplug->vm, hotplug->name);
    hotplug_nodes_init(&own->nodes, hotplug);
    return sources_open_one(hotplug->vm, hotplug->settings, hotplug->section, HOTPLUG_OPEN_USEC, on_sources, hotplug, &own->opening, ret_error);
}

static void have_claims(Hotplug *hotplug, const GArray *images)
{
    claim_reset_disk(hotplug->vm, hotplug->name, images);
    (void) instance_write_record(hotplug->vm->instance, NULL);
}

static void close_medium(Hotplug *hotplug)
{
    const Medium *own = hotplug->own;
    have_claims(hotplug, own->before);
}

/* ---- QEMU's side, last step first ---- */

static void ask(Hotplug *hotplug, const char *command, json_t *arguments, QmpReply reply)
{
    g_autoptr(Error) error = NULL;
    int r = qmp_call(hotplug->vm->instance->qmp, command, arguments, -1, HOTPLUG_QMP_USEC, reply, hotplug);
    if (r >= 0)
        return;
    error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
    hotplug_added(hotplug, error);
}

static json_t *this_drive(const Hotplug *hotplug)
{
    return json_pack("{ss}", "id", hotplug->device);
}

static void on_old_gone(const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    Medium *own = hotplug->own;
    g_clear_pointer(&own->script, script_free);
    if (error) {
        g_autofree char *message = error_message(error);
        g_warning("VM %s: what was in [%s] stays open until the VM ends: %s", hotplug->vm->name, hotplug->section, message);
    } else
        have_claims(hotplug, own->now);
    hotplug_added(hotplug, NULL);
}

static void drop_old(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    Medium *own = hotplug->own;
    own->script = script_new(hotplug->vm->manager->event, HOTPLUG_SCRIPT_ID);
    own->nodes.keep = own->nodes.disk->image ? (int) own->nodes.number : -1;
    hotplug_nodes_remove(&own->nodes, own->script);
    script_run(own->script, qmp, on_old_gone, NULL, hotplug);
}

/* The drive is as it should be; where its tray stays open the guest can close it. */
static void close_tray(Hotplug *hotplug)
{
    ask(hotplug, "blockdev-close-tray", this_drive(hotplug), drop_old);
}

static void on_put_in(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    const Medium *own = hotplug->own;
    if (!error)
        return close_tray(hotplug);
    if (own->nodes.inserted)
        (void) qmp_call(qmp, "blockdev-insert-medium", json_pack("{ss ss}", "id", hotplug->device, "node-name", own->nodes.inserted), -1, 0, NULL, NULL);
    (void) qmp_call(qmp, "blockdev-close-tray", this_drive(hotplug), -1, 0, NULL, NULL);
    hotplug_added(hotplug, error);
}

static void put_in(Hotplug *hotplug)
{
    const Medium *own = hotplug->own;
    if (!own->nodes.disk->image)
        return close_tray(hotplug);
    g_autofree char *node = hotplug_nodes_top(&own->nodes);
    ask(hotplug, "blockdev-insert-medium", json_pack("{ss ss}", "id", hotplug->device, "node-name", node), on_put_in);
}

static void open_tray(Hotplug *hotplug);

static int on_locked(sd_event_source *source, uint64_t usec, void *userdata)
{
    Hotplug *hotplug = userdata;
    const Medium *own = hotplug->own;
    g_autoptr(Error) error = NULL;
    hotplug->timer = sd_event_source_disable_unref(hotplug->timer);
    if (usec < own->asked + UNLOCK_USEC) {
        open_tray(hotplug);
        return 0;
    }
    error_set(&error, ERROR_GUEST_UNRESPONSIVE, hotplug->section, "Unmount it in the guest, or use --force ('vmctl eject --force')",
        "the guest keeps the tray locked");
    hotplug_added(hotplug, error);
    return 0;
}

/* The guest was asked to unlock it, and may: that comes as an event. */
static void wait_for_guest(Hotplug *hotplug)
{
    Medium *own = hotplug->own;
    g_autoptr(Error) error = NULL;
    uint64_t now = (uint64_t) g_get_monotonic_time();
    own->asked = own->asked ? own->asked : now;
    int r = sd_event_add_time(hotplug->vm->manager->event, &hotplug->timer, CLOCK_MONOTONIC, now + ASK_AGAIN_USEC, 1, on_locked, hotplug);
    if (r >= 0)
        return;
    error_set_errno(&error, r, hotplug->section, "the guest cannot be waited for");
    hotplug_added(hotplug, error);
}

static void on_taken_out(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    if (!error)
        return put_in(hotplug);
    if (error->cause && g_str_has_suffix(error->cause, "is not open"))
        return wait_for_guest(hotplug);
    hotplug_added(hotplug, error);
}

static void take_out(Hotplug *hotplug)
{
    ask(hotplug, "blockdev-remove-medium", this_drive(hotplug), on_taken_out);
}

static bool medium_event(Hotplug *hotplug, const char *name, const json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "id"));
    bool open = json_is_true(json_object_get(data, "tray-open"));
    if (!g_str_equal(name, "DEVICE_TRAY_MOVED") || !hotplug->timer || !open || g_strcmp0(device, hotplug->device) != 0)
        return false;
    hotplug->timer = sd_event_source_disable_unref(hotplug->timer);
    take_out(hotplug);
    return true;
}

static void on_tray(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    if (error)
        return hotplug_added(hotplug, error);
    take_out(hotplug);
}

static void open_tray(Hotplug *hotplug)
{
    ask(hotplug, "blockdev-open-tray", json_pack("{ss sb}", "id", hotplug->device, "force", (int) hotplug->force), on_tray);
}

static void on_nodes(const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    Medium *own = hotplug->own;
    g_clear_pointer(&own->script, script_free);
    if (error)
        return hotplug_added(hotplug, error);
    open_tray(hotplug);
}

static int add_medium(Hotplug *hotplug)
{
    Medium *own = hotplug->own;
    own->script = script_new(hotplug->vm->manager->event, HOTPLUG_SCRIPT_ID);
    hotplug_nodes_find(&own->nodes, own->script);
    hotplug_nodes_add(&own->nodes, own->script);
    script_run(own->script, hotplug->vm->instance->qmp, on_nodes, NULL, hotplug);
    return 0;
}

/* ---- undo ---- */

static void on_new_gone(const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    Medium *own = hotplug->own;
    g_clear_pointer(&own->script, script_free);
    if (error) {
        g_autofree char *message = error_message(error);
        g_warning("VM %s: what was meant for [%s] stays open until the VM ends: %s", hotplug->vm->name, hotplug->section, message);
        g_array_append_vals(own->before, own->now->data, own->now->len);
    }
    hotplug_removed(hotplug);
}

static int remove_medium(Hotplug *hotplug)
{
    Medium *own = hotplug->own;
    g_clear_pointer(&own->script, script_free);
    if (!own->nodes.found)
        return -ENOENT;
    own->script = script_new(hotplug->vm->manager->event, HOTPLUG_SCRIPT_ID);
    own->nodes.only = (int) own->nodes.number;
    hotplug_nodes_remove(&own->nodes, own->script);
    script_run(own->script, hotplug->vm->instance->qmp, on_new_gone, NULL, hotplug);
    return 0;
}

static void attached(Hotplug *hotplug)
{
    if (machine_disk_has_limits(hotplug->settings, hotplug->section))
        (void) live_limit_disk(hotplug->vm->instance, hotplug->settings, hotplug->section, NULL, NULL);
}

const HotplugKind hotplug_medium = {
    .section = "Disk",
    .device = "disk",
    .size = sizeof(Medium),
    .check = check_medium,
    .open = open_medium,
    .close = close_medium,
    .add = add_medium,
    .remove = remove_medium,
    .event = medium_event,
    .attached = attached,
    .free = free_medium,
};
