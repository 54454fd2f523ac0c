/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A volume's file is opened for a caller, in a thread. */

#include "volume.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "claims.h"
#include "cleanup.h"
#include "lock.h"
#include "manager.h"
#include "volume-files.h"

/* The thread's own while that runs. */
typedef struct Opening {
    char *dir, *name;
    char *part; /* of an upload, else NULL */
    uid_t uid; /* with whose rights, or whose it is to be */
    int fd;
    Image image; /* what stands in claims */
    bool written; /* by a program that no claim is known of */
    Error *error;
} Opening;

/* The pool may be gone by the end. */
typedef struct Asker {
    Manager *manager;
    char *path;
    VolumeOpened opened;
    void *userdata;
} Asker;

static void asker_free(Asker *asker)
{
    g_free(asker->path);
    g_free(asker);
}

static void opening_free(void *userdata)
{
    Opening *opening = userdata;
    close_fd(&opening->fd);
    error_free(opening->error);
    g_free(opening->dir);
    g_free(opening->name);
    g_free(opening->part);
    g_free(opening);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Opening, opening_free)

/* ---- in the thread ---- */

static bool open_volume(Opening *opening, int dir, Error **ret_error)
{
    struct stat st;
    int r = opening->uid == geteuid() ? 0 : identity_assume(opening->uid);
    if (r < 0)
        return error_set_errno(ret_error, r, opening->name, "the rights of who may read it cannot be taken");
    opening->fd = openat(dir, opening->name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opening->fd < 0 || fstat(opening->fd, &st) < 0)
        return error_set_errno(ret_error, errno, opening->name, "it cannot be opened");
    if (!S_ISREG(st.st_mode))
        return error_set(ret_error, ERROR_NO_SUCH_VOLUME, opening->name, NULL, "it is no regular file");
    opening->image = (Image){.path = opening->name, .read_only = true, .dev = st.st_dev, .inode = st.st_ino};
    opening->written = lock_for_reading(opening->fd) < 0;
    return true;
}

/* The thread has root's rights to the folder: what it finds there counts only when it is the owner's own. */
static bool open_part(Opening *opening, int dir, Error **ret_error)
{
    struct stat st;
    if (fstatat(dir, opening->name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return error_set(ret_error, ERROR_EXISTS, opening->name, "Choose another name, or delete it first", "there is such a file in %s", opening->dir);
    int r = identity_make_for(opening->uid);
    if (r < 0)
        return error_set_errno(ret_error, r, opening->name, "it cannot be made for its owner");
    opening->fd = openat(dir, opening->part, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0600);
    if (opening->fd < 0 || fstat(opening->fd, &st) < 0)
        return error_set_errno(ret_error, errno, opening->name, "it cannot be made in %s", opening->dir);
    if (!S_ISREG(st.st_mode) || st.st_uid != opening->uid || st.st_nlink != 1)
        return error_set(ret_error, ERROR_EXISTS, opening->name, "Choose another name", "there is a file of somebody else's where it would be");
    if (lock_alone(opening->fd) < 0)
        return error_set(ret_error, ERROR_BUSY, opening->name, "Wait until that has ended", "another program uploads it");
    return true;
}

static bool open_file(Opening *opening, Error **ret_error)
{
    fd_cleanup int dir = open(opening->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return error_set_errno(ret_error, errno, opening->dir, "the pool's folder cannot be opened");
    if (!(opening->part ? open_part(opening, dir, ret_error) : open_volume(opening, dir, ret_error)))
        return false;
    (void) fcntl(opening->fd, F_SETFL, fcntl(opening->fd, F_GETFL) & ~O_NONBLOCK);
    return true;
}

static void run(void *userdata)
{
    Opening *opening = userdata;
    (void) open_file(opening, &opening->error);
}

/* ---- on the loop ---- */

/* A claim says who it is, and a VM that is about to start has no lock yet. */
static bool check_writers(const Manager *manager, const Opening *opening, Error **ret_error)
{
    g_autoptr(GArray) images = g_array_new(FALSE, FALSE, sizeof(ImageIdentity));
    if (!opening->part && !claim_images(manager, NULL, images, &opening->image, ret_error))
        return false;
    return !opening->written || error_set(ret_error, ERROR_IN_USE, opening->name, "Wait until that has ended", "another program writes it");
}

static void on_open(void *data, void *userdata)
{
    Asker *asker = userdata;
    g_autoptr(Opening) opening = data;
    g_autoptr(Error) error = NULL;
    asker->manager->busy--;
    if (!opening)
        error_set(&error, ERROR_TIMED_OUT, asker->path, "Look at the server or the disk that it is on", "its file system does not answer");
    else if (opening->error)
        error = g_steal_pointer(&opening->error);
    else
        (void) check_writers(asker->manager, opening, &error);
    int fd = opening && !error ? opening->fd : -1;
    if (fd >= 0)
        opening->fd = -1;
    asker->opened(fd, error, asker->userdata);
    asker_free(asker);
}

static void begin(Pool *pool, Opening *opening, VolumeOpened opened, void *userdata)
{
    const TaskSpec spec = {.run = run, .done = on_open, .free_data = opening_free, .timeout_usec = pool->timeout};
    g_autoptr(Error) error = NULL;
    Asker *asker = g_new(Asker, 1);
    Task *task;
    *asker = (Asker){.manager = pool->manager, .path = g_strdup(pool->path), .opened = opened, .userdata = userdata};
    int r = task_new(pool->manager->event, &spec, opening, asker, &task);
    if (r >= 0) {
        pool->manager->busy++;
        return;
    }
    error_set_errno(&error, r, opening->name, "no thread can be made for it");
    opening_free(opening);
    asker_free(asker);
    opened(-1, error, userdata);
}

void volume_open(Pool *pool, const Volume *volume, uid_t caller, VolumeOpened opened, void *userdata)
{
    Opening *opening = g_new0(Opening, 1);
    opening->dir = g_strdup(pool->path);
    opening->name = g_strdup(volume->name);
    opening->uid = volume->readable ? caller : volume->owner;
    opening->fd = -1;
    begin(pool, opening, opened, userdata);
}

void volume_open_upload(Pool *pool, const char *name, uid_t owner, VolumeOpened opened, void *userdata)
{
    Opening *opening = g_new0(Opening, 1);
    opening->dir = g_strdup(pool->path);
    opening->name = g_strdup(name);
    opening->part = upload_name(name, owner);
    opening->uid = owner;
    opening->fd = -1;
    begin(pool, opening, opened, userdata);
}
