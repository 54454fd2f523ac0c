/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Files: of a VM that does not run its disks; of one that does a scratch file for each of them; and what a pull is copied to. The latter two are
 * beside the disk and without a name, so that nothing is left whatever happens. In threads, with the rights of the VM's owner. */

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "claims.h"
#include "cleanup.h"
#include "identity.h"
#include "work.h"

#define FILES_OF_DISK 2U
#define OPEN_USEC (60 * G_USEC_PER_SEC)

static void open_next(BackupWork *work);

/* ---- files without a name ---- */

typedef struct ScratchFile {
    char *dir;
    bool wanted, volume;
    int fd;
} ScratchFile;

/* The thread's own while that runs. */
typedef struct Scratch {
    uid_t owner;
    char *fallback; /* folder: vmd's own */
    GArray *files;  /* ScratchFile */
    Error *error;
} Scratch;

static void scratch_file_clear(void *userdata)
{
    ScratchFile *file = userdata;
    g_free(file->dir);
    close_fd(&file->fd);
}

static void scratch_free(void *userdata)
{
    Scratch *scratch = userdata;
    g_free(scratch->fallback);
    g_array_unref(scratch->files);
    error_free(scratch->error);
    g_free(scratch);
}

static int make_file(const char *dir)
{
    int fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    return fd < 0 ? -errno : fd;
}

/* Where a file system knows no files without a name, as NFS, or the owner may not write, it is vmd's own folder that takes it. */
static void make_scratch(void *userdata)
{
    Scratch *scratch = userdata;
    /* It counts for the owner, whoever makes it. */
    (void) identity_make_for(scratch->owner);
    for (guint i = 0; i < scratch->files->len; i++) {
        ScratchFile *file = &g_array_index(scratch->files, ScratchFile, i);
        if (file->wanted && file->volume)
            file->fd = make_file(file->dir);
        if (file->wanted && file->fd < 0)
            file->fd = make_file(scratch->fallback);
    }
    if (scratch->owner != geteuid() && identity_assume(scratch->owner) < 0)
        return;
    for (guint i = 0; i < scratch->files->len; i++) {
        ScratchFile *file = &g_array_index(scratch->files, ScratchFile, i);
        fd_cleanup int fd = file->volume || !file->wanted ? -1 : make_file(file->dir);
        if (fd >= 0) {
            close_fd(&file->fd);
            file->fd = steal_fd(&fd);
        }
    }
}

static void on_scratch(void *data, void *userdata)
{
    BackupWork *work = userdata;
    Scratch *scratch = data;
    Error *error = NULL;
    work->task = NULL;
    if (!scratch)
        error_set(&error, ERROR_TIMED_OUT, work->vm->name, "Look at the file systems that its disks are on", "no scratch file could be made in time");
    for (guint i = 0; scratch && i < scratch->files->len; i++) {
        Disk *disk = work->disks->pdata[i / FILES_OF_DISK];
        ScratchFile *file = &g_array_index(scratch->files, ScratchFile, i);
        if (file->fd < 0 && file->wanted)
            error_set_errno(&error, file->fd, disk->path, "no scratch file can be made beside it");
        else if (file->wanted)
            *(i % FILES_OF_DISK == 0 ? &disk->scratch_fd : &disk->target_fd) = steal_fd(&file->fd);
    }
    if (scratch)
        scratch_free(scratch);
    if (error)
        return backup_fail(work, error);
    if (work->live)
        backup_next(work);
    else
        open_next(work);
}

static void open_scratch(BackupWork *work)
{
    const TaskSpec spec = {.run = make_scratch, .done = on_scratch, .free_data = scratch_free, .timeout_usec = OPEN_USEC};
    Scratch *scratch = g_new0(Scratch, 1);
    Error *error = NULL;
    scratch->owner = work->vm->owner;
    scratch->fallback = g_strdup(work->vm->manager->dirs->state);
    scratch->files = g_array_new(FALSE, FALSE, sizeof(ScratchFile));
    g_array_set_clear_func(scratch->files, scratch_file_clear);
    for (guint i = 0; i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        const bool wanted[FILES_OF_DISK] = {work->live, work->pull};
        for (unsigned j = 0; j < FILES_OF_DISK; j++) {
            const ScratchFile file = {.dir = g_path_get_dirname(disk->path), .wanted = wanted[j], .volume = disk->volume, .fd = -1};
            g_array_append_val(scratch->files, file);
        }
    }
    int r = task_new(work->vm->manager->event, &spec, scratch, work, &work->task);
    if (r >= 0)
        return;
    scratch_free(scratch);
    error_set_errno(&error, r, work->vm->name, "no thread can be made for its scratch files");
    backup_fail(work, error);
}

/* ---- the disks of a VM that does not run ---- */

static void on_disk(void *data, void *userdata)
{
    BackupWork *work = userdata;
    Disk *disk = work->disks->pdata[work->opened++];
    MachineParts parts = {.kernel_fd = -1, .initrd_fd = -1};
    Error *error = NULL;
    work->opening = NULL;
    if (sources_take(data, &parts, &error)) {
        disk->image = g_steal_pointer(&((MachineDisk *) parts.disks->pdata[0])->image);
        for (const Image *image = disk->image; image; image = image->backing)
            disk->depth++;
        (void) claim_images(work->vm->manager, work->vm, work->images, disk->image, &error);
    }
    sources_close(&parts);
    if (error)
        return backup_fail(work, error);
    open_next(work);
}

static void open_next(BackupWork *work)
{
    Error *error = NULL;
    if (work->opened == work->disks->len)
        return backup_next(work);
    const Disk *disk = work->disks->pdata[work->opened];
    if (!sources_open_one(work->vm, work->settings, disk->section, OPEN_USEC, on_disk, work, &work->opening, &error))
        backup_fail(work, error);
}

void backup_open(BackupWork *work)
{
    if (work->live || work->pull)
        open_scratch(work);
    else
        open_next(work);
}
