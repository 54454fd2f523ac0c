/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A pool's start and stop, step by step:
 *
 *     begin      Type=dir: the folder is made where it is not there         in a thread
 *                else: systemd mounts it                                     a transient mount unit
 *     on_look    what is in it                                              in a thread
 *
 * A mount is systemd's from then on: it outlives vmd, and is found again in the list of mounts. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "instance.h"
#include "manager.h"
#include "pool.h"
#include "service.h"

#define FOLDER_MODE 0711 /* volumes have rights of their own */

static void failed(Pool *pool, const Error *error)
{
    g_autofree char *message = error_message(error);
    g_autoptr(Error) copy = error_copy(error);
    pool_unwatch(pool);
    pool_forget_volumes(pool);
    pool_set_state(pool, POOL_FAILED, message);
    pool_tell(&pool->starters, copy);
    manager_check_idle(pool->manager);
}

static void on_look(const Error *error, void *userdata)
{
    Pool *pool = userdata;
    if (error)
        return failed(pool, error);
    pool_set_state(pool, POOL_RUNNING, NULL);
    pool_tell(&pool->starters, NULL);
}

/* ---- a folder ---- */

typedef struct Folder {
    char *path;
    bool with_parents;
    int error;
} Folder;

static void folder_free(void *userdata)
{
    Folder *folder = userdata;
    g_free(folder->path);
    g_free(folder);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Folder, folder_free)

static void make_folder(void *userdata)
{
    Folder *folder = userdata;
    int r = folder->with_parents ? g_mkdir_with_parents(folder->path, FOLDER_MODE) : mkdir(folder->path, FOLDER_MODE);
    folder->error = r < 0 && errno != EEXIST ? -errno : 0;
}

static void on_folder(void *data, void *userdata)
{
    Pool *pool = userdata;
    g_autoptr(Folder) folder = data;
    g_autoptr(Error) error = NULL;
    pool->look = NULL;
    if (!folder)
        error_set(&error, ERROR_TIMED_OUT, pool->path, "Look at the disk that it is on", "its file system does not answer");
    else if (folder->error < 0)
        error_set_errno(&error, folder->error, pool->path, "the folder cannot be made");
    if (error)
        return failed(pool, error);
    pool_clean_and_look(pool, on_look, pool);
}

static bool is_below(const char *path, const char *dir)
{
    size_t n = strlen(dir);
    return strncmp(path, dir, n) == 0 && path[n] == '/';
}

static void begin_folder(Pool *pool)
{
    const TaskSpec spec = {.run = make_folder, .done = on_folder, .free_data = folder_free, .timeout_usec = pool->timeout};
    g_autoptr(Error) error = NULL;
    Folder *folder = g_new0(Folder, 1);
    folder->path = g_strdup(pool->path);
    folder->with_parents = is_below(pool->path, pool->manager->dirs->pools);
    int r = task_new(pool->manager->event, &spec, folder, pool, &pool->look);
    if (r >= 0)
        return;
    folder_free(folder);
    error_set_errno(&error, r, pool->path, "no thread can be made to look at it");
    failed(pool, error);
}

/* ---- a mount ---- */

static void on_mount(const Error *error, void *userdata)
{
    Pool *pool = userdata;
    pool->mount = NULL;
    if (error)
        return failed(pool, error);
    pool_clean_and_look(pool, on_look, pool);
}

/* One that the administrator has mounted there counts, too. */
static bool is_mounted(const char *path)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL))
        return false;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line; line++) {
        g_auto(GStrv) fields = g_strsplit(*line, " ", 6);
        g_autofree char *where = g_strv_length(fields) > 4 ? g_strcompress(fields[4]) : NULL;
        if (where && g_str_equal(where, path))
            return true;
    }
    return false;
}

static void begin_mount(Pool *pool)
{
    g_autoptr(Error) error = NULL;
    g_autoptr(Settings) settings = pool_load_settings(pool, &error);
    g_autofree char *unit = pool_unit(pool), *description = g_strdup_printf("Pool %s of Virtual Machines", pool->name);
    if (!settings)
        return failed(pool, error);
    if (is_mounted(pool->path))
        return pool_clean_and_look(pool, on_look, pool);
    const char *type = settings_get_string(settings, "Pool", "FSType") ?: pool->type == POOL_NFS ? "nfs" : "auto";
    const ServiceProperty properties[] = {
        {"Description", 's', .text = description},
        {"What", 's', .text = settings_get_string(settings, "Pool", "What")},
        {"Where", 's', .text = pool->path},
        {"Type", 's', .text = type},
        {"Options", 's', .text = settings_get_string(settings, "Pool", "Options") ?: ""},
        {"TimeoutUSec", 't', .number = pool->timeout},
        /* A server that is dead is no reason to keep a stop waiting; nobody writes to it any more. */
        {"LazyUnmount", 'b', .number = pool->type == POOL_NFS},
        {"CollectMode", 's', .text = "inactive-or-failed"},
        {NULL},
    };
    const ServiceSpec spec = {.unit = unit, .properties = properties};
    pool->mount = service_start(pool->manager->scopes, &spec, on_mount, pool, &error);
    if (!pool->mount)
        failed(pool, error);
}

static void refuse(PoolDone done, void *userdata, ErrorCode code, const char *thing, const char *remedy, const char *cause)
{
    g_autoptr(Error) error = NULL;
    error_set(&error, code, thing, remedy, "%s", cause);
    if (done)
        done(error, userdata);
}

void pool_start(Pool *pool, PoolDone done, void *userdata)
{
    g_autofree char *thing = g_strdup_printf("Pool \"%s\"", pool->name);
    if (pool->state == POOL_RUNNING) {
        if (done)
            done(NULL, userdata);
        return;
    }
    if (pool->problem)
        return refuse(done, userdata, ERROR_INVALID_SETTINGS, thing, "Mend its file", pool->problem);
    if (pool->state == POOL_STOPPING)
        return refuse(done, userdata, ERROR_BUSY, thing, "Try again", "it is just being stopped");
    pool_add_waiter(pool->starters, done, userdata);
    if (pool->state == POOL_STARTING)
        return;
    pool_set_state(pool, POOL_STARTING, NULL);
    if (pool->type == POOL_DIR)
        begin_folder(pool);
    else
        begin_mount(pool);
}

/* ---- stop ---- */

static void stopped(Pool *pool)
{
    pool_set_state(pool, POOL_STOPPED, NULL);
    pool_read_settings(pool);
    pool_tell(&pool->stoppers, NULL);
    manager_settle_pool(pool->manager, pool);
}

static void on_unmount(const Error *error, void *userdata)
{
    Pool *pool = userdata;
    pool->mount = NULL;
    if (!error)
        return stopped(pool);
    g_autoptr(Error) copy = error_copy(error);
    pool_set_state(pool, POOL_RUNNING, NULL);
    pool_tell(&pool->stoppers, copy);
    pool_look(pool, NULL, NULL);
}

/* Which VM has an image on its file system; only a mount is a file system of its own. */
static const VM *user_of(const Pool *pool)
{
    GHashTableIter iter;
    gpointer value;
    if (pool->type == POOL_DIR || pool->dev == 0)
        return NULL;
    g_hash_table_iter_init(&iter, pool->manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VM *vm = value;
        for (guint i = 0; vm->instance && i < vm->instance->images->len; i++)
            if (g_array_index(vm->instance->images, ImageIdentity, i).dev == pool->dev)
                return vm;
    }
    return NULL;
}

void pool_stop(Pool *pool, PoolDone done, void *userdata)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *thing = g_strdup_printf("Pool \"%s\"", pool->name), *unit = pool_unit(pool), *path = pool_object_path(pool);
    const VM *vm = user_of(pool);
    if (pool->state == POOL_STARTING || pool->state == POOL_STOPPING)
        return refuse(done, userdata, ERROR_BUSY, thing, "Try again", "it is just being started or stopped");
    if (pool->state != POOL_RUNNING)
        return refuse(done, userdata, ERROR_NOT_RUNNING, thing, NULL, "it does not run");
    if (vm) {
        g_autofree char *cause = g_strdup_printf("VM \"%s\" has a disk on it", vm->name);
        return refuse(done, userdata, ERROR_IN_USE, thing, "Stop that first", cause);
    }
    if (job_find(pool->manager->jobs, path))
        return refuse(done, userdata, ERROR_BUSY, thing, "Wait for it, or cancel it (vmctl jobs)", "a job works on one of its volumes");
    pool_unwatch(pool);
    pool_forget_volumes(pool);
    pool_add_waiter(pool->stoppers, done, userdata);
    if (!unit)
        return stopped(pool);
    pool_set_state(pool, POOL_STOPPING, NULL);
    pool->mount = service_stop(pool->manager->scopes, unit, on_unmount, pool, &error);
    if (!pool->mount)
        on_unmount(error, pool);
}

void pools_recover(Manager *manager)
{
    size_t n;
    g_autofree Pool **pools = manager_list_pools(manager, &n);
    for (size_t i = 0; i < n; i++) {
        Pool *pool = pools[i];
        if (!pool->problem && (pool->type == POOL_DIR || pool->autostart || is_mounted(pool->path)))
            pool_start(pool, NULL, NULL);
    }
}

bool pools_are_starting(const Manager *manager)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->pools);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Pool *pool = value;
        if (pool->type == POOL_DIR && pool->state == POOL_STARTING)
            return true;
    }
    return false;
}

void pools_make_first(const Manager *manager)
{
    static const char *const first[][2] = {
        {"default", "[Pool]\nDescription=Disks of virtual machines\n"},
        {"images", "[Pool]\nDescription=Images that disks are made from\n"},
    };
    for (size_t i = 0; manager->user && i < G_N_ELEMENTS(first); i++) {
        g_autofree char *folder = g_build_filename(manager->dirs->pools, first[i][0], NULL);
        g_autofree char *file = g_strdup_printf("%s/%s.pool", manager->dirs->settings, first[i][0]);
        /* The folder's being there says that the file has been, and was deleted on purpose. */
        if (access(folder, F_OK) == 0)
            continue;
        int r = settings_write(file, first[i][1], 0644, true);
        if (r < 0 && r != -EEXIST)
            g_warning("%s: it cannot be written: %s", file, strerror(-r));
    }
}
