/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Look: what is in a pool, and how full its file system is. A thread reads it; the result replaces what was known. */

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "manager.h"
#include "name.h"
#include "pool.h"
#include "volume-files.h"

/* A burst of changes is one. */
#define SETTLE_USEC (100 * 1000)
/* A file system that hangs takes a thread for each look; so many of them, and no more is tried. */
#define HANGING_MAX 2
#define VOLUMES_MAX 100000U
#define WATCH_MASK (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_CLOSE_WRITE | IN_ATTRIB | IN_DELETE_SELF | IN_ONLYDIR)
#define BLOCK 512U /* st_blocks counts these (stat(2)) */

/* The thread's own while that runs. */
typedef struct Look {
    char *path;
    int *in_flight;
    GPtrArray *volumes;
    char *part_suffix; /* of files to be removed; NULL: none */
    uint64_t capacity, available, dev;
    int error;
} Look;

static void look_free(void *userdata)
{
    Look *look = userdata;
    g_atomic_int_add(look->in_flight, -1);
    g_atomic_rc_box_release(look->in_flight);
    g_free(look->path);
    g_free(look->part_suffix);
    g_clear_pointer(&look->volumes, g_ptr_array_unref);
    g_free(look);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Look, look_free)

/* ---- in the thread ---- */

static Volume *read_volume(int dir, const char *name)
{
    struct stat st;
    if (!volume_name_is_valid(name) || fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
        return NULL;
    Volume *volume = g_new0(Volume, 1);
    ImageInfo info = {.format = IMAGE_RAW, .size = (uint64_t) st.st_size};
    /* One that cannot be read is listed all the same. */
    fd_cleanup int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd >= 0)
        image_read_info(fd, name, &info);
    volume->name = g_strdup(name);
    volume->format = info.format;
    volume->size = info.size;
    volume->backing = info.backing;
    volume->allocation = (uint64_t) st.st_blocks * BLOCK;
    volume->dev = st.st_dev;
    volume->inode = st.st_ino;
    volume->owner = st.st_uid;
    volume->readable = st.st_mode & S_IROTH;
    volume->modified = (uint64_t) st.st_mtim.tv_sec * G_USEC_PER_SEC + (uint64_t) st.st_mtim.tv_nsec / 1000;
    return volume;
}

static gint compare_volumes(gconstpointer a, gconstpointer b)
{
    const Volume *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

/* The time of change that counts is the file system's own: the other one is the uploader's to set. */
static bool is_old_upload(int dir, const char *name)
{
    struct stat st;
    return name[0] == '.' && g_str_has_suffix(name, UPLOAD_SUFFIX) && fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) >= 0 && S_ISREG(st.st_mode) &&
        st.st_ctim.tv_sec + UPLOAD_SECONDS < time(NULL);
}

static int read_folder(Look *look)
{
    struct statvfs vfs;
    struct stat st;
    int fd = open(look->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    DIR *dir = fdopendir(fd);
    if (!dir) {
        (void) close(fd);
        return -errno;
    }
    if (fstatvfs(fd, &vfs) >= 0) {
        look->capacity = (uint64_t) vfs.f_blocks * vfs.f_frsize;
        look->available = (uint64_t) vfs.f_bavail * vfs.f_frsize;
    }
    if (fstat(fd, &st) >= 0)
        look->dev = st.st_dev;
    const struct dirent *entry;
    while ((entry = readdir(dir)) && look->volumes->len < VOLUMES_MAX) {
        if (look->part_suffix && entry->d_name[0] == '.' && g_str_has_suffix(entry->d_name, look->part_suffix))
            (void) unlinkat(fd, entry->d_name, 0);
        if (is_old_upload(fd, entry->d_name))
            (void) unlinkat(fd, entry->d_name, 0);
        Volume *volume = read_volume(fd, entry->d_name);
        if (volume)
            g_ptr_array_add(look->volumes, volume);
    }
    (void) closedir(dir);
    g_ptr_array_sort(look->volumes, compare_volumes);
    return 0;
}

static void run(void *userdata)
{
    Look *look = userdata;
    look->error = read_folder(look);
}

/* ---- on the loop ---- */

static void begin(Pool *pool);

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
    pool_look(userdata, NULL, NULL);
    return 0;
}

static int on_change(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    Pool *pool = userdata;
    /* What is still being written is no volume yet. */
    if (event->len > 0 && event->name[0] == '.')
        return 0;
    if (!pool->settle)
        (void) sd_event_add_time_relative(pool->manager->event, &pool->settle, CLOCK_MONOTONIC, SETTLE_USEC, 1, on_settled, pool);
    else if (sd_event_source_get_enabled(pool->settle, NULL) == 0) {
        (void) sd_event_source_set_time_relative(pool->settle, SETTLE_USEC);
        (void) sd_event_source_set_enabled(pool->settle, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* After a look has shown that the file system answers: to watch it is to look its folder up. */
static void watch(Pool *pool)
{
    if (!pool->watch && pool->type == POOL_DIR)
        (void) sd_event_add_inotify(pool->manager->event, &pool->watch, pool->path, WATCH_MASK, on_change, pool);
}

void pool_unwatch(Pool *pool)
{
    pool->watch = sd_event_source_disable_unref(pool->watch);
    pool->settle = sd_event_source_disable_unref(pool->settle);
}

void pool_forget_volumes(Pool *pool)
{
    g_ptr_array_set_size(pool->volumes, 0);
    pool->capacity = pool->available = pool->allocation = pool->dev = 0;
}

static void take(Pool *pool, Look *look)
{
    g_ptr_array_unref(pool->volumes);
    pool->volumes = g_steal_pointer(&look->volumes);
    pool->capacity = look->capacity;
    pool->available = look->available;
    pool->dev = look->dev;
    pool->allocation = 0;
    for (guint i = 0; i < pool->volumes->len; i++)
        pool->allocation += ((const Volume *) pool->volumes->pdata[i])->allocation;
    pool_changed(pool, "Capacity", "Available", "Allocation", "Volumes", NULL);
}

static void on_look(void *data, void *userdata)
{
    Pool *pool = userdata;
    Manager *manager = pool->manager;
    g_autoptr(Look) look = data;
    g_autoptr(Error) error = NULL;
    pool->look = NULL;
    if (!look)
        error_set(&error, ERROR_TIMED_OUT, pool->path, "Look at the server or the disk that it is on", "its file system does not answer");
    else if (look->error < 0)
        error_set_errno(&error, look->error, pool->path, "the folder cannot be read");
    else {
        take(pool, look);
        watch(pool);
    }
    /* It may answer again; until then this is what there is to say. */
    if (pool->state == POOL_RUNNING) {
        g_autofree char *message = error ? error_message(error) : NULL;
        pool_set_state(pool, POOL_RUNNING, message);
    }
    if (pool->look_again && !error)
        begin(pool);
    else
        pool_tell(&pool->lookers, error); /* with the last job on it, it may be gone */
    manager_check_idle(manager);
}

static void cannot_begin(Pool *pool, int r)
{
    g_autoptr(Error) error = NULL;
    error_set_errno(&error, r, pool->path, "no thread can be made to look at it");
    pool_tell(&pool->lookers, error);
}

static void begin(Pool *pool)
{
    static const TaskSpec spec = {.run = run, .done = on_look, .free_data = look_free};
    TaskSpec with_limit = spec;
    with_limit.timeout_usec = pool->timeout;
    Look *look = g_new0(Look, 1);
    look->path = g_strdup(pool->path);
    look->volumes = g_ptr_array_new_with_free_func((GDestroyNotify) volume_free);
    look->in_flight = g_atomic_rc_box_acquire(pool->in_flight);
    g_atomic_int_inc(look->in_flight);
    look->part_suffix = pool->clean ? g_strdup(pool->manager->part_suffix) : NULL;
    pool->clean = pool->look_again = false;
    int r = task_new(pool->manager->event, &with_limit, look, pool, &pool->look);
    if (r >= 0)
        return;
    look_free(look);
    cannot_begin(pool, r);
}

void pool_look(Pool *pool, PoolDone done, void *userdata)
{
    pool_add_waiter(pool->lookers, done, userdata);
    if (pool->look) {
        /* It may have passed by what has changed since. */
        pool->look_again = true;
        return;
    }
    if (g_atomic_int_get(pool->in_flight) >= HANGING_MAX) {
        g_autoptr(Error) error = NULL;
        error_set(&error, ERROR_TIMED_OUT, pool->path, "Look at the server or the disk that it is on", "its file system has not answered for a while");
        return pool_tell(&pool->lookers, error);
    }
    begin(pool);
}

void pool_clean_and_look(Pool *pool, PoolDone done, void *userdata)
{
    pool->clean = true;
    pool_look(pool, done, userdata);
}
