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
    call(qmp, "qom-set", json_pack("{ss ss ss}", "path", device, "property", "drive", "value", disk->node));
    delete_node(qmp, disk, NODE_FILTER);
    delete_node(qmp, disk, NODE_SCRATCH);
    remove_bitmap(qmp, disk, BITMAP_COPY);
    remove_bitmap(qmp, disk, BITMAP_NEW);
    for (unsigned i = 0; i < SETS_OF_DISK; i++)
        call(qmp, "remove-fd", json_pack("{si}", "fdset-id", (int) backup_set(work, disk, i)));
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
    backup_finish(work);
}

void backup_undo(BackupWork *work)
{
    Qmp *qmp = backup_qmp(work);
    work->undoing = true;
    vm_quiesce_end(g_steal_pointer(&work->quiescing));
    if (!qmp)
        return backup_finish(work);
    if (work->pull)
        call(qmp, "nbd-server-stop", NULL);
    for (guint i = 0; i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        if (!disk->node)
            continue;
        delete_node(qmp, disk, NODE_COPY);
        delete_node(qmp, disk, NODE_COPY_FILE);
        delete_node(qmp, disk, NODE_NOTHING);
        if (work->live)
            undo_live(work, qmp, disk);
        else
            undo_worker(qmp, disk);
    }
    if (work->live && work->holding && work->was_running)
        call(qmp, "cont", NULL);
    int r = qmp_call(qmp, "query-status", NULL, -1, BACKUP_QMP_USEC, on_undone, work);
    if (r < 0)
        backup_finish(work);
}
