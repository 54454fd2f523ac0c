/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A pull: a Worker offers what was copied, each disk by its name; what has changed is an export's dirty bitmap "vmd-copy". QEMU's own NBD
 * server would offer it without a copy, but aborts in 7.2, and its guest with it, when a client leaves while the disk has an iothread. */

#include <errno.h>
#include <fcntl.h>

#include "cleanup.h"
#include "work.h"

#define SOCKET_NAME "vmd-backup"

static void on_offered(Worker *worker, const Error *error, void *userdata)
{
    BackupWork *work = userdata;
    if (error)
        return backup_fail(work, error_copy(error));
    work->offered = true;
    backup_tell(work);
}

static bool add_image(BackupWork *work, const Disk *disk, Error **ret_error)
{
    g_autofree char *self = g_strdup_printf("/proc/self/fd/%d", disk->target_fd);
    const Image image = {.format = IMAGE_QCOW2, .read_only = true, .fd = open(self, O_RDONLY | O_CLOEXEC), .read_fd = -1, .size = disk->size};
    fd_cleanup int fd = image.fd;
    if (fd < 0)
        return error_set_errno(ret_error, errno, disk->section, "what was copied of it cannot be opened");
    worker_add_image(work->server, &image, disk->stem);
    return true;
}

static void add_export(Script *script, const Disk *disk)
{
    g_autofree char *id = backup_node(disk, "export"), *node = blockdev_node_name(disk->stem, 0);
    json_t *arguments = json_pack("{ss ss ss ss}", "type", "nbd", "id", id, "node-name", node, "name", disk->name);
    if (disk->since)
        (void) json_object_set_new(arguments, "bitmaps", json_pack("[s]", BITMAP_COPY));
    script_add_call(script, "block-export-add", arguments);
}

void backup_serve(BackupWork *work)
{
    Manager *manager = work->vm->manager;
    Error *error = NULL;
    g_autofree char *binary = qemu_default_binary(&error), *unit = worker_unit();
    work->serving = true;
    work->server = worker_new(manager->event, manager->scopes, manager->user);
    Script *script = worker_script(work->server);
    for (guint i = 0; i < work->disks->len && !error; i++)
        (void) add_image(work, work->disks->pdata[i], &error);
    script_add_fd(script, "getfd", json_pack("{ss}", "fdname", SOCKET_NAME), work->socket);
    script_add_call(script, "nbd-server-start", json_pack("{s{ss s{ss}}}", "addr", "type", "fd", "data", "str", SOCKET_NAME));
    for (guint i = 0; i < work->disks->len; i++)
        add_export(script, work->disks->pdata[i]);
    if (error || !worker_start(work->server, binary, unit, on_offered, NULL, work, &error))
        backup_fail(work, error);
}
