/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The moment. Of a VM that runs: scratch files are given to QEMU, the guest's file systems are at rest where its agent can do that, the
 * guest is stopped for some milliseconds, filters are put before its disks, and it goes on. Whatever changes from then on is noted in
 * a bitmap of each disk, which becomes the checkpoint when the backup is whole. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "tpm.h"
#include "work.h"

/* A scratch file that does not answer for so long costs the backup, and the guest no more than that. */
#define SCRATCH_SECONDS 30

static json_t *bitmap_of(const Disk *disk, const char *bitmap)
{
    return json_pack("{ss ss}", "node", disk->node, "name", bitmap);
}

/* ---- before it ---- */

static bool give_scratch(BackupWork *work, Script *script, const Disk *disk, Error **ret_error)
{
    g_autofree char *node = backup_node(disk, NODE_SCRATCH);
    unsigned set = backup_set(work, disk, 0);
    g_autofree char *file = g_strdup_printf("/dev/fdset/%u", set);
    if (ftruncate(disk->scratch_fd, (off_t) disk->size) < 0)
        return error_set_errno(ret_error, errno, disk->section, "its scratch file cannot be made as large");
    script_add_fds(script, set, &disk->scratch_fd, 1);
    script_add_call(script, "blockdev-add", json_pack("{ss ss ss ss s{sb}}", "driver", "file", "node-name", node, "filename", file, "locking", "off",
        "cache", "no-flush", 1));
    return true;
}

/* ---- at it ---- */

static void add_bitmaps(Script *script, const Disk *disk)
{
    if (disk->since) {
        json_t *bitmap = bitmap_of(disk, BITMAP_COPY);
        (void) json_object_update_new(bitmap, json_pack("{sb si}", "disabled", 1, "granularity", BITMAP_GRANULARITY));
        script_add_call(script, "block-dirty-bitmap-add", bitmap);
        script_add_call(script, "block-dirty-bitmap-merge", json_pack("{ss ss s[s]}", "node", disk->node, "target", BITMAP_COPY, "bitmaps", disk->since));
    }
    if (disk->checkpoint) {
        json_t *bitmap = bitmap_of(disk, BITMAP_NEW);
        (void) json_object_set_new(bitmap, "granularity", json_integer(BITMAP_GRANULARITY));
        script_add_call(script, "block-dirty-bitmap-add", bitmap);
    }
}

/* What an increment leaves out need not be kept; but who pulls may read all of it. */
static void add_filter(const BackupWork *work, Script *script, const Disk *disk)
{
    g_autofree char *filter = backup_node(disk, NODE_FILTER), *scratch = backup_node(disk, NODE_SCRATCH);
    g_autofree char *id = machine_disk_id(disk->name), *device = g_strdup_printf("/machine/peripheral/%s", id);
    json_t *node = json_pack("{ss ss ss ss ss si}", "driver", "copy-before-write", "node-name", filter, "file", disk->node, "target", scratch,
        "on-cbw-error", "break-snapshot", "cbw-timeout", SCRATCH_SECONDS);
    if (disk->since && !work->pull)
        (void) json_object_set_new(node, "bitmap", bitmap_of(disk, BITMAP_COPY));
    script_add_call(script, "blockdev-add", node);
    script_add_call(script, "qom-set", json_pack("{ss ss ss}", "path", device, "property", "drive", "value", filter));
}

static void add_point(Script *script, const Disk *disk)
{
    g_autofree char *filter = backup_node(disk, NODE_FILTER), *point = backup_node(disk, NODE_POINT);
    script_add_call(script, "blockdev-add", json_pack("{ss ss ss}", "driver", "snapshot-access", "node-name", point, "file", filter));
    if (!disk->since)
        return;
    script_add_call(script, "block-dirty-bitmap-add", json_pack("{ss ss sb si}", "node", point, "name", BITMAP_COPY, "disabled", 1, "granularity",
        BITMAP_GRANULARITY));
    script_add_call(script, "block-dirty-bitmap-merge", json_pack("{ss ss s[o]}", "node", point, "target", BITMAP_COPY, "bitmaps", bitmap_of(disk, BITMAP_COPY)));
}

/* Half a megabyte. */
static void add_nvram_copy(Script *script, const Disk *disk)
{
    g_autofree char *scratch = backup_node(disk, NODE_SCRATCH);
    script_add_job(script, "blockdev-backup", json_pack("{ss ss ss}", "device", disk->node, "target", scratch, "sync", "full"));
}

/* The guest, if any, stands still. */
static bool read_tpm(BackupWork *work, Error **ret_error)
{
    if (work->tpm_fd < 0)
        return true;
    g_autofree char *state = tpm_state_read(work->vm, ret_error);
    if (!state)
        return false;
    size_t length = strlen(state);
    return pwrite(work->tpm_fd, state, length, 0) == (ssize_t) length || error_set_errno(ret_error, errno ?: EIO, "tpm", "it cannot be written");
}

static bool on_still(const json_t *result, void *userdata, Error **ret_error)
{
    return read_tpm(userdata, ret_error);
}

static void let_go(BackupWork *work)
{
    work->holding = false;
    vm_quiesce_end(g_steal_pointer(&work->quiescing));
    backup_next(work);
}

/* While the guest stands still its disks belong to QEMU's main thread: nodes that are put over one whose iothread is at work make QEMU 7.2
 * abort. */
static void hold(BackupWork *work)
{
    Error *error = NULL;
    bool runs = work->live && work->vm->state == VM_RUNNING;
    if (!runs && !read_tpm(work, &error))
        return backup_fail(work, error);
    Script *script = backup_script(work);
    work->holding = work->live;
    if (runs)
        script_add_call(script, "stop", NULL);
    for (guint i = 0; i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        add_bitmaps(script, disk);
        if (!work->live)
            continue;
        if (disk->nvram) {
            add_nvram_copy(script, disk);
            continue;
        }
        add_filter(work, script, disk);
        add_point(script, disk);
    }
    if (runs) {
        script_add_question(script, "query-status", NULL, on_still, work);
        script_add_call(script, "cont", NULL);
    }
    backup_run(work, let_go);
}

static void on_quiesced(bool frozen, const Error *why_not, void *userdata)
{
    BackupWork *work = userdata;
    work->quiesced = frozen;
    if (!frozen && work->quiesce == QUIESCE_YES)
        return backup_fail(work, error_copy(why_not));
    hold(work);
}

/* A guest that is paused has nobody to ask. */
static void quiesce(BackupWork *work)
{
    Error *error = NULL;
    bool runs = work->vm->state == VM_RUNNING;
    if (runs && work->quiesce != QUIESCE_NO) {
        work->quiescing = vm_quiesce_begin(work->vm, on_quiesced, work);
        return;
    }
    if (work->quiesce == QUIESCE_YES) {
        error_set(&error, ERROR_GUEST_UNRESPONSIVE, work->vm->name, "Resume it first", "it is paused, so its agent cannot be asked");
        return backup_fail(work, error);
    }
    hold(work);
}

void backup_fix(BackupWork *work)
{
    Error *error = NULL;
    if (!work->live)
        return hold(work);
    Script *script = backup_script(work);
    work->in_qemu = true;
    for (guint i = 0; i < work->disks->len; i++)
        if (!give_scratch(work, script, work->disks->pdata[i], &error))
            return backup_fail(work, error);
    backup_run(work, quiesce);
}

/* ---- when it is whole ---- */

/* One transaction: all disks have the checkpoint, or none. */
void backup_commit(BackupWork *work)
{
    json_t *actions = json_array();
    for (guint i = 0; i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        for (guint j = 0; j < disk->stale->len; j++)
            json_array_append_new(actions, json_pack("{ss so}", "type", "block-dirty-bitmap-remove", "data", bitmap_of(disk, disk->stale->pdata[j])));
        if (!disk->checkpoint)
            continue;
        json_t *bitmap = bitmap_of(disk, disk->checkpoint);
        (void) json_object_update_new(bitmap, json_pack("{sb si}", "persistent", 1, "granularity", BITMAP_GRANULARITY));
        json_array_append_new(actions, json_pack("{ss so}", "type", "block-dirty-bitmap-add", "data", bitmap));
        json_array_append_new(actions, json_pack("{ss s{ss ss s[s]}}", "type", "block-dirty-bitmap-merge", "data", "node", disk->node, "target",
            disk->checkpoint, "bitmaps", BITMAP_NEW));
    }
    if (json_array_size(actions) == 0) {
        json_decref(actions);
        return backup_next(work);
    }
    script_add_call(backup_script(work), "transaction", json_pack("{so}", "actions", actions));
    backup_run(work, backup_next);
}
