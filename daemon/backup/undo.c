/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a backup has put into QEMU is taken out again, whatever there is of it: each command alone, and that it fails means that it was
 * not there. Of a VM that goes on running the devices get their own nodes back. */

#include "cleanup.h"
#include "work.h"

static void call(Qmp *qmp, const char *command, json_t *arguments)
{
    (void) qmp_call(qmp, command, arguments, -1, 0, NULL, NULL);
}

static void delete_node(Qmp *qmp, const Disk *disk, const char *what)
{
    g_autofree char *node = backup_node(disk, what);
    call(qmp, "blockdev-del", json_pack("{ss}", "node-name", node));
}

static void remove_bitmap(Qmp *qmp, const Disk *disk, const char *bitmap)
{
    call(qmp, "block-dirty-bitmap-remove", json_pack("{ss ss}", "node", disk->node, "name", bitmap));
}

static void undo_live(const BackupWork *work, Qmp *qmp, const Disk *disk)
{
    g_autofree char *id = machine_disk_id(disk->name), *device = g_strdup_printf("/machine/peripheral/%s", id);
    delete_node(qmp, disk, NODE_POINT);
    /* QEMU 7.2 aborts where it is told to do what is done. */
    if (disk->filtered)
        call(qmp, "qom-set", json_pack("{ss ss ss}", "path", device, "property", "drive", "value", disk->node));
    delete_node(qmp, disk, NODE_FILTER);
    delete_node(qmp, disk, NODE_SCRATCH);
    remove_bitmap(qmp, disk, BITMAP_COPY);
    remove_bitmap(qmp, disk, BITMAP_NEW);
}

/* The image is closed, and stores its bitmaps. */
static void undo_worker(Qmp *qmp, const Disk *disk)
{
    remove_bitmap(qmp, disk, BITMAP_COPY);
    remove_bitmap(qmp, disk, BITMAP_NEW);
    for (unsigned i = 0; i < disk->depth; i++) {
        g_autofree char *node = blockdev_node_name(disk->stem, i), *file = blockdev_file_name(disk->stem, i);
        call(qmp, "blockdev-del", json_pack("{ss}", "node-name", node));
        call(qmp, "blockdev-del", json_pack("{ss}", "node-name", file));
    }
}

static void on_undone(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    BackupWork *work = userdata;
    if (work->live)
        backup_forget_record(work->vm);
    work->undoing = work->in_qemu = work->holding = false;
    g_clear_pointer(&work->worker, worker_free);
    if (work->error)
        backup_finish(work);
    else
        backup_next(work);
}

static void undo(BackupWork *work, Qmp *qmp)
{
    for (guint i = 0; i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        delete_node(qmp, disk, NODE_COPY);
        delete_node(qmp, disk, NODE_COPY_FILE);
        delete_node(qmp, disk, NODE_NOTHING);
    }
    /* As at the moment (fix.c). */
    bool runs = work->live && (work->was_running || work->vm->state == VM_RUNNING);
    work->holding = runs && work->vm->state == VM_RUNNING;
    if (runs)
        call(qmp, "stop", NULL);
    for (guint i = 0; i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        if (disk->node && work->live)
            undo_live(work, qmp, disk);
        else if (disk->node)
            undo_worker(qmp, disk);
    }
    if (runs)
        call(qmp, "cont", NULL);
    for (guint i = 0; work->live && i < work->disks->len * SETS_OF_DISK; i++)
        call(qmp, "remove-fd", json_pack("{si}", "fdset-id", (int) (work->sets + i)));
    int r = qmp_call(qmp, "query-status", NULL, -1, BACKUP_QMP_USEC, on_undone, work);
    if (r < 0)
        backup_finish(work);
}

static void on_blocks(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    BackupWork *work = userdata;
    size_t i;
    json_t *block;
    json_array_foreach((json_t *) result, i, block) {
        const char *node = json_string_value(json_object_get(json_object_get(block, "inserted"), "node-name"));
        for (guint j = 0; node && j < work->disks->len; j++) {
            Disk *disk = work->disks->pdata[j];
            g_autofree char *filter = backup_node(disk, NODE_FILTER);
            disk->filtered |= g_str_equal(node, filter);
        }
    }
    if (backup_qmp(work))
        undo(work, qmp);
    else
        backup_finish(work);
}

void backup_undo(BackupWork *work)
{
    Qmp *qmp = backup_qmp(work);
    work->undoing = true;
    vm_quiesce_end(g_steal_pointer(&work->quiescing));
    if (!qmp)
        return backup_finish(work);
    if (!work->live)
        return undo(work, qmp);
    int r = qmp_call(qmp, "query-block", NULL, -1, BACKUP_QMP_USEC, on_blocks, work);
    if (r < 0)
        backup_finish(work);
}

/* Of a VM that does not run it stays, and goes with the oldest. */
void backup_take_back(BackupWork *work)
{
    Qmp *qmp = work->live ? backup_qmp(work) : NULL;
    for (guint i = 0; qmp && i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        if (disk->checkpoint)
            remove_bitmap(qmp, disk, disk->checkpoint);
    }
}
