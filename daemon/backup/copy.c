/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The disks are copied into the targets, one after the other. */

#include "cleanup.h"
#include "work.h"

static void copy_next(BackupWork *work);

/* A qcow2 image; an increment's holds what has changed. While it is written there is something below it that is not zero, so that zeros
 * count as written. */
static void add_target(BackupWork *work, Script *script, const Disk *disk)
{
    g_autofree char *file = backup_node(disk, NODE_COPY_FILE), *copy = backup_node(disk, NODE_COPY), *nothing = backup_node(disk, NODE_NOTHING);
    unsigned set = backup_set(work, disk, 1);
    g_autofree char *filename = g_strdup_printf("/dev/fdset/%u", set);
    json_t *options = json_pack("{ss ss sI}", "driver", "qcow2", "file", file, "size", (json_int_t) disk->size);
    bool over = disk->since && disk->backing && *disk->backing;
    script_add_fds(script, set, &disk->target_fd, 1);
    script_add_call(script, "blockdev-add", json_pack("{ss ss ss}", "driver", "file", "node-name", file, "filename", filename));
    if (over)
        (void) json_object_update_new(options, json_pack("{ss ss}", "backing-file", disk->backing, "backing-fmt", "qcow2"));
    script_add_job(script, "blockdev-create", json_pack("{so}", "options", options));
    if (disk->since)
        script_add_call(script, "blockdev-add", json_pack("{ss ss sI sb}", "driver", "null-co", "node-name", nothing, "size", (json_int_t) disk->size,
            "read-zeroes", 0));
    script_add_call(script, "blockdev-add", json_pack("{ss ss ss so}", "driver", "qcow2", "node-name", copy, "file", file, "backing",
        disk->since ? json_string(nothing) : json_null()));
}

static void add_copy(const BackupWork *work, Script *script, const Disk *disk)
{
    g_autofree char *point = work->live ? backup_node(disk, disk->nvram ? NODE_SCRATCH : NODE_POINT) : g_strdup(disk->node), *copy = backup_node(disk, NODE_COPY);
    json_t *arguments = json_pack("{ss ss ss sb}", "device", point, "target", copy, "sync", disk->since ? "bitmap" : "full", "compress", work->compress);
    if (disk->since)
        (void) json_object_update_new(arguments, json_pack("{ss ss}", "bitmap", BITMAP_COPY, "bitmap-mode", "never"));
    if (work->bandwidth > 0)
        (void) json_object_set_new(arguments, "speed", json_integer((json_int_t) work->bandwidth));
    script_add_job(script, "blockdev-backup", arguments);
    /* What has changed is told to who pulls, and stored with the rest. */
    if (work->pull && disk->since) {
        json_t *source = json_pack("{ss ss}", "node", point, "name", BITMAP_COPY);
        script_add_call(script, "block-dirty-bitmap-add", json_pack("{ss ss sb sb si}", "node", copy, "name", BITMAP_COPY, "persistent", 1, "disabled", 1,
            "granularity", BITMAP_GRANULARITY));
        script_add_call(script, "block-dirty-bitmap-merge", json_pack("{ss ss s[o]}", "node", copy, "target", BITMAP_COPY, "bitmaps", source));
    }
    /* Closed, so that all of it is in the file. */
    script_add_call(script, "blockdev-del", json_pack("{ss}", "node-name", copy));
}

static void copied(BackupWork *work)
{
    work->copied += work->copying->size;
    copy_next(work);
}

static void copy_next(BackupWork *work)
{
    guint i = 0;
    if (work->copying) {
        (void) g_ptr_array_find(work->disks, work->copying, &i);
        i++;
    }
    work->copying = i < work->disks->len ? work->disks->pdata[i] : NULL;
    if (!work->copying)
        return backup_next(work);
    Script *script = backup_script(work);
    add_target(work, script, work->copying);
    add_copy(work, script, work->copying);
    backup_run(work, copied);
}

void backup_tell(BackupWork *work)
{
    g_autofree BackupDisk *disks = g_new0(BackupDisk, work->disks->len);
    for (guint i = 0; i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        disks[i] = (BackupDisk){.name = disk->name, .size = disk->size, .incremental = disk->since, .checkpoint = disk->checkpoint};
    }
    BackupBegun begun = work->begun;
    work->begun = NULL;
    begun(work->job->path, work->quiesced, disks, work->disks->len, NULL, work->begun_userdata);
}

void backup_copy(BackupWork *work)
{
    if (!work->pull)
        backup_tell(work);
    copy_next(work);
}
