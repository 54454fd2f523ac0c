/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The NVRAM in snapshots: a whole copy, since it is small, beside the snapshot's record; so QEMU writes to one and the same raw file for ever
 * (vm/start/nvram.h). Of a VM that runs the copy is a job that begins in the transaction by which the disks are frozen:
 * it has what the NVRAM held at that moment. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "copy.h"
#include "identity.h"
#include "name.h"
#include "nvram.h"
#include "work.h"

#define COPY_USEC (60 * G_USEC_PER_SEC)
/* QEMU writes to it: it may be anything. */
#define NVRAM_MAX (INT64_C(256) * 1024 * 1024)

/* A file that is copied, or an empty one. The thread's own while that runs. */
typedef struct Copying {
    uid_t owner;  /* whose the new file is */
    char *from;
    char *to;
    bool empty;   /* only made, as large, and left open */
    int fd, read_fd;
    Error *error;
} Copying;

static void copying_free(void *userdata)
{
    Copying *copying = userdata;
    close_fd(&copying->fd);
    close_fd(&copying->read_fd);
    g_free(copying->from);
    g_free(copying->to);
    error_free(copying->error);
    g_free(copying);
}

/* ---- in a thread ---- */

static bool copy_content(const Copying *copying, int from, Error **ret_error)
{
    CopyState state = {0};
    int r = copy_file(from, copying->fd, &state);
    if (r >= 0 && fsync(copying->fd) < 0)
        r = -errno;
    return r >= 0 || error_set_errno(ret_error, r, copying->from, "the NVRAM cannot be copied");
}

static bool copy_nvram(Copying *copying, Error **ret_error)
{
    struct stat st;
    int r = identity_make_for(copying->owner);
    if (r < 0)
        return error_set_errno(ret_error, r, copying->to, "a file cannot be made for the VM's owner");
    fd_cleanup int from = open(copying->from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (from < 0 || fstat(from, &st) < 0)
        return error_set_errno(ret_error, errno, copying->from, "the NVRAM cannot be opened");
    if (!S_ISREG(st.st_mode) || st.st_size > NVRAM_MAX)
        return error_set(ret_error, ERROR_FAILED, copying->from, "Delete it, and the next start makes an empty one", "it is larger than any NVRAM");
    /* What a vmd that was killed has left. */
    (void) unlink(copying->to);
    copying->fd = open(copying->to, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    copying->read_fd = copying->fd < 0 ? -1 : open(copying->to, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (copying->read_fd < 0)
        return error_set_errno(ret_error, errno, copying->to, "the NVRAM cannot be copied");
    if (!copying->empty)
        return copy_content(copying, from, ret_error);
    return ftruncate(copying->fd, st.st_size) == 0 || error_set_errno(ret_error, errno, copying->to, "it cannot be made as large");
}

static void run_copy(void *userdata)
{
    Copying *copying = userdata;
    if (!copy_nvram(copying, &copying->error))
        (void) unlink(copying->to);
}

/* What QEMU has made; zeros take no room. */
static void run_sync(void *userdata)
{
    Copying *copying = userdata;
    CopyState state = {0};
    (void) copy_dig_holes(copying->fd, &state);
    if (fsync(copying->fd) < 0)
        (void) error_set_errno(&copying->error, errno, copying->to, "it cannot be written to disk");
}

/* ---- on the loop ---- */

static void on_copied(void *data, void *userdata)
{
    SnapshotWork *work = userdata;
    Copying *copying = data;
    Error *error = NULL;
    work->task = NULL;
    if (work->ended) {
        if (copying)
            copying_free(copying);
        return snapshot_instance_ended(work);
    }
    if (!copying)
        error_set(&error, ERROR_TIMED_OUT, work->vm->name, "Look at the file system that it is on", "its NVRAM could not be copied in time");
    else if (copying->error)
        error = g_steal_pointer(&copying->error);
    else if (copying->empty) {
        work->nvram_fds[0] = steal_fd(&copying->fd);
        work->nvram_fds[1] = steal_fd(&copying->read_fd);
    }
    if (copying)
        copying_free(copying);
    if (error)
        work_fail(work, error);
    else
        work_next(work);
}

/* Takes it. */
static void begin(SnapshotWork *work, TaskRun run, Copying *copying)
{
    const TaskSpec spec = {.run = run, .done = on_copied, .free_data = copying_free, .timeout_usec = COPY_USEC};
    Error *error = NULL;
    int r = task_new(work->vm->manager->event, &spec, copying, work, &work->task);
    if (r >= 0)
        return;
    copying_free(copying);
    error_set_errno(&error, r, work->vm->name, "no thread can be made to copy its NVRAM");
    work_fail(work, error);
}

/* Takes the names. */
static void begin_copy(SnapshotWork *work, uid_t owner, char *from, char *to, bool empty)
{
    Copying *copying = g_new0(Copying, 1);
    *copying = (Copying){.owner = owner, .from = from, .to = to, .empty = empty, .fd = -1, .read_fd = -1};
    begin(work, run_copy, copying);
}

/* ---- a snapshot is made ---- */

void work_nvram_find(SnapshotWork *work, const Settings *settings)
{
    work->snapshot->nvram = vm_find_nvram(work->vm, settings);
}

void work_nvram_keep(SnapshotWork *work)
{
    if (!work->snapshot->nvram)
        return work_next(work);
    begin_copy(work, geteuid(), g_strdup(work->snapshot->nvram), snapshot_file(work->tree, work->snapshot, "nvram"), work->vm->instance);
}

static char *copy_name(const SnapshotWork *work)
{
    g_autofree char *stem = machine_disk_stem(NVRAM_DISK);
    return g_strdup_printf("%s-s%u", stem, work->snapshot->id);
}

void work_nvram_add_nodes(SnapshotWork *work)
{
    static const BlockdevOptions options;
    const Image image = {.format = IMAGE_RAW};
    g_autofree char *name = copy_name(work);
    unsigned set = work_overlay_set(work, SNAPSHOT_DISKS_MAX);
    if (work->nvram_fds[0] < 0)
        return;
    script_add_fds(work->live, set, work->nvram_fds, G_N_ELEMENTS(work->nvram_fds));
    script_add_call(work->live, "blockdev-add", blockdev_file(&image, name, 0, set, &options));
}

void work_nvram_add_freeze(SnapshotWork *work, json_t *actions, ScriptAnswer frozen)
{
    g_autofree char *name = copy_name(work), *file = blockdev_file_name(name, 0);
    if (!work->nvram_node) {
        script_add_question(work->live, "transaction", json_pack("{so}", "actions", actions), frozen, work);
        return;
    }
    json_t *job = json_pack("{ss ss ss}", "device", work->nvram_node, "target", file, "sync", "full");
    script_add_transaction(work->live, actions, "blockdev-backup", job, frozen, work);
    /* Closed, so that all of it is in the file. */
    script_add_call(work->live, "blockdev-del", json_pack("{ss}", "node-name", file));
    script_add_call(work->live, "remove-fd", json_pack("{si}", "fdset-id", (int) work_overlay_set(work, SNAPSHOT_DISKS_MAX)));
}

void work_nvram_remove_nodes(SnapshotWork *work)
{
    Qmp *qmp = work->vm->instance ? work->vm->instance->qmp : NULL;
    g_autofree char *name = copy_name(work), *file = blockdev_file_name(name, 0), *job = work_script_id(work);
    unsigned set = work_overlay_set(work, SNAPSHOT_DISKS_MAX);
    if (!work->snapshot->nvram || !qmp)
        return;
    (void) qmp_call(qmp, "job-dismiss", json_pack("{ss}", "id", job), -1, 0, NULL, NULL);
    (void) qmp_call(qmp, "blockdev-del", json_pack("{ss}", "node-name", file), -1, 0, NULL, NULL);
    (void) qmp_call(qmp, "remove-fd", json_pack("{si}", "fdset-id", (int) set), -1, 0, NULL, NULL);
}

void work_nvram_sync(SnapshotWork *work)
{
    if (work->nvram_fds[0] < 0)
        return work_next(work);
    Copying *copying = g_new0(Copying, 1);
    *copying = (Copying){.to = snapshot_file(work->tree, work->snapshot, "nvram"), .fd = steal_fd(&work->nvram_fds[0]), .read_fd = -1};
    begin(work, run_sync, copying);
}

/* ---- one is gone back to ---- */

static char *part_name(const SnapshotWork *work)
{
    g_autofree char *folder = g_path_get_dirname(work->snapshot->nvram), *name = g_path_get_basename(work->snapshot->nvram);
    return g_strdup_printf("%s/.%s.part", folder, name);
}

void work_nvram_fetch(SnapshotWork *work)
{
    if (!work->snapshot->nvram)
        return work_next(work);
    begin_copy(work, work->vm->owner, snapshot_file(work->tree, work->snapshot, "nvram"), part_name(work), false);
}

void work_nvram_put(SnapshotWork *work)
{
    Error *error = NULL;
    g_autofree char *part = work->snapshot->nvram ? part_name(work) : NULL;
    if (!part || rename(part, work->snapshot->nvram) == 0)
        return work_next(work);
    error_set_errno(&error, errno, work->snapshot->nvram, "it cannot be replaced");
    work_fail(work, error);
}

void work_nvram_unfetch(SnapshotWork *work)
{
    g_autofree char *part = work->snapshot->nvram ? part_name(work) : NULL;
    if (part)
        (void) unlink(part);
}
