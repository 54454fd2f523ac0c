/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sync.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "cleanup.h"

typedef struct Sync {
    int fd, error;
    SyncDone done;
} Sync;

static void sync_free(void *userdata)
{
    Sync *sync = userdata;
    close_fd(&sync->fd);
    g_free(sync);
}

static void run(void *userdata)
{
    Sync *sync = userdata;
    sync->error = fsync(sync->fd) < 0 ? -errno : 0;
}

static void on_end(void *data, void *userdata)
{
    Sync *sync = data;
    SyncDone done = sync->done;
    int error = sync->error;
    sync_free(sync);
    done(error, userdata);
}

int sync_begin(sd_event *event, int fd, SyncDone done, void *userdata, Task **ret)
{
    const TaskSpec spec = {.run = run, .done = on_end, .free_data = sync_free, .timeout_usec = UINT64_MAX};
    Sync *sync = g_new(Sync, 1);
    *sync = (Sync){.fd = fcntl(fd, F_DUPFD_CLOEXEC, 3), .done = done};
    int r = sync->fd < 0 ? -errno : task_new(event, &spec, sync, userdata, ret);
    if (r < 0)
        sync_free(sync);
    return r;
}

#define ROOM_MIN (UINT64_C(1) << 20)

void sync_explain(int fd, const char *thing, const char *what, const char *status, Error **ret_error)
{
    struct statvfs fs;
    bool full = fstatvfs(fd, &fs) == 0 && (uint64_t) fs.f_bavail * fs.f_frsize < ROOM_MIN;
    if (full)
        error_set(ret_error, ERROR_NO_SPACE, thing, "Make room there", "no space is left where %s is written", what);
    else
        error_set(ret_error, ERROR_QEMU_FAILED, thing, "See 'vmctl log'", "QEMU could not write %s (%s)", what, status);
}
