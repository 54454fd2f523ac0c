/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What QEMU has: which node is each disk's, how large it is, and which checkpoints its image knows. */

#include <stdio.h>
#include <string.h>

#include "cleanup.h"
#include "work.h"

/* A VM has tens of nodes; a QEMU that lists more is not believed. */
#define NODES_MAX 4096U

/* Of a VM that runs. */
static bool on_blocks(const json_t *result, void *userdata, Error **ret_error)
{
    BackupWork *work = userdata;
    for (guint j = 0; j < work->disks->len; j++) {
        Disk *disk = work->disks->pdata[j];
        disk->node = g_strdup(machine_disk_find_node(result, disk->name));
        if (!disk->node)
            return error_set(ret_error, ERROR_NO_SUCH_DEVICE, disk->section, "Restart the VM, which has other disks than its settings",
                "its QEMU has no such disk");
    }
    return true;
}

/* "vmd-1700000000000000-monday": its name, and when; NULL: none of ours. */
static const char *parse_bitmap(const char *name, unsigned long long *ret_time)
{
    int n = 0;
    return sscanf(name, BITMAP_PREFIX "%llu-%n", ret_time, &n) == 1 && n > 0 ? name + n : NULL;
}

typedef struct Found {
    const char *bitmap;
    unsigned long long time;
} Found;

static gint compare_times(gconstpointer a, gconstpointer b)
{
    const Found *x = a, *y = b;
    return (x->time > y->time) - (x->time < y->time);
}

/* Whether all changes are in it. */
static bool is_good(const json_t *bitmap)
{
    return json_is_true(json_object_get(bitmap, "recording")) && json_is_true(json_object_get(bitmap, "persistent")) &&
        !json_is_true(json_object_get(bitmap, "inconsistent")) && !json_is_true(json_object_get(bitmap, "busy"));
}

/* Which one is asked for; which are of no use, and the oldest of those that would be too many. */
static bool sort_bitmaps(const BackupWork *work, Disk *disk, const json_t *bitmaps, Error **ret_error)
{
    g_autoptr(GArray) good = g_array_new(FALSE, FALSE, sizeof(Found));
    const char *since = work->pull || *disk->backing ? work->since : NULL;
    bool spoilt = false;
    size_t i;
    json_t *bitmap;
    json_array_foreach((json_t *) bitmaps, i, bitmap) {
        Found found = {.bitmap = json_string_value(json_object_get(bitmap, "name"))};
        const char *name = found.bitmap ? parse_bitmap(found.bitmap, &found.time) : NULL;
        if (!name)
            continue;
        if (!is_good(bitmap)) {
            spoilt |= since && g_str_equal(name, since);
            g_ptr_array_add(disk->stale, g_strdup(found.bitmap));
            continue;
        }
        g_array_append_val(good, found);
        if (work->checkpoint && g_str_equal(name, work->checkpoint))
            return error_set(ret_error, ERROR_EXISTS, work->checkpoint, "Choose another name", "[%s] has a checkpoint of this name", disk->section);
        if (since && g_str_equal(name, since) && !disk->since)
            disk->since = g_strdup(found.bitmap);
    }
    if (since && !disk->since)
        return error_set(ret_error, ERROR_NO_SUCH_CHECKPOINT, since, "Make a full backup", spoilt ?
            "QEMU was killed while it noted what changes on [%s]" : "[%s] does not know what has changed since: QEMU was killed, or something else has changed the disk", disk->section);
    g_array_sort(good, compare_times);
    for (guint j = 0; work->checkpoint && j + CHECKPOINTS_MAX <= good->len; j++)
        g_ptr_array_add(disk->stale, g_strdup(g_array_index(good, Found, j).bitmap));
    return true;
}

/* Bitmaps are stored in qcow2 images of version 3 alone. */
static bool can_store(const json_t *node)
{
    const json_t *image = json_object_get(node, "image");
    const json_t *specific = json_object_get(json_object_get(json_object_get(image, "format-specific"), "data"), "compat");
    return g_strcmp0(json_string_value(json_object_get(node, "drv")), "qcow2") == 0 && g_strcmp0(json_string_value(specific), "0.10") != 0;
}

static bool look_at(BackupWork *work, Disk *disk, const json_t *node, Error **ret_error)
{
    json_int_t size = json_integer_value(json_object_get(json_object_get(node, "image"), "virtual-size"));
    if (size <= 0)
        return error_set(ret_error, ERROR_QEMU_FAILED, disk->section, NULL, "its size is not known");
    disk->size = (uint64_t) size;
    disk->has_bitmaps = !disk->nvram && can_store(node);
    if (!disk->has_bitmaps)
        return true;
    if (!sort_bitmaps(work, disk, json_object_get(node, "dirty-bitmaps"), ret_error))
        return false;
    if (work->checkpoint)
        disk->checkpoint = g_strdup_printf(BITMAP_PREFIX "%" G_GINT64_FORMAT "-%s", g_get_real_time(), work->checkpoint);
    return true;
}

static bool on_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    BackupWork *work = userdata;
    if (json_array_size(result) > NODES_MAX)
        return error_set(ret_error, ERROR_QEMU_FAILED, work->vm->name, NULL, "its QEMU has too many block nodes");
    for (guint j = 0; j < work->disks->len; j++) {
        Disk *disk = work->disks->pdata[j];
        const json_t *found = blockdev_find_node(result, disk->node);
        if (!found)
            return error_set(ret_error, ERROR_QEMU_FAILED, disk->section, NULL, "its QEMU has no such node");
        if (!look_at(work, disk, found, ret_error))
            return false;
    }
    return true;
}

/* Nothing of the asking stays in QEMU; of a Worker all goes with it, in good order (undo.c). */
void backup_look(BackupWork *work)
{
    Script *script = backup_script(work);
    for (guint i = 0; !work->live && i < work->disks->len; i++) {
        Disk *disk = work->disks->pdata[i];
        disk->node = blockdev_node_name(disk->stem, 0);
        worker_add_image(work->worker, disk->image, disk->stem);
        work->in_qemu = true;
    }
    if (work->live)
        script_add_question(script, "query-block", NULL, on_blocks, work);
    script_add_question(script, "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_nodes, work);
    backup_run(work, backup_next);
}
