/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A volume gets another name, or goes; and who would miss it. */

#include <string.h>

#include "claims.h"
#include "manager.h"
#include "name.h"
#include "volume-files.h"
#include "volume.h"

typedef struct Rename {
    Pool *pool;
    PoolDone done;
    void *userdata;
} Rename;

static void on_looked(const Error *error, void *userdata)
{
    Rename *rename = userdata;
    rename->done(NULL, rename->userdata);
    g_free(rename);
}

static void on_renamed(void *data, void *userdata)
{
    Rename *rename = userdata;
    VolumeFiles *files = data;
    g_autoptr(Error) error = NULL;
    if (files)
        error = g_steal_pointer(&files->error);
    else
        error_set(&error, ERROR_TIMED_OUT, rename->pool->path, "Look at the server or the disk that it is on", "its file system does not answer");
    if (files)
        volume_files_unref(files);
    rename->pool->manager->busy--;
    /* So that who asks next sees it. */
    if (!error)
        return pool_look(rename->pool, on_looked, rename);
    rename->done(error, rename->userdata);
    g_free(rename);
}

void volume_rename(Pool *pool, const Volume *volume, const char *to, PoolDone done, void *userdata)
{
    const TaskSpec spec = {.run = volume_files_rename, .done = on_renamed, .free_data = volume_files_unref, .timeout_usec = pool->timeout};
    g_autoptr(Error) error = NULL;
    VolumeFiles *files = volume_files_new();
    Task *task;
    files->dir = g_strdup(pool->path);
    files->name = g_strdup(volume->name);
    files->part = g_strdup(to);
    Rename *rename = g_new(Rename, 1);
    *rename = (Rename){.pool = pool, .done = done, .userdata = userdata};
    int r = task_new(pool->manager->event, &spec, files, rename, &task);
    if (r >= 0) {
        pool->manager->busy++;
        return;
    }
    volume_files_unref(files);
    g_free(rename);
    error_set_errno(&error, r, volume->name, "no thread can be made for it");
    done(error, userdata);
}

void volume_discard_upload(Pool *pool, const char *name, uid_t owner, PoolDone done, void *userdata)
{
    g_autofree char *part = upload_name(name, owner);
    const Volume volume = {.name = part};
    volume_rename(pool, &volume, NULL, done, userdata);
}

/* Whether a backing file's name, as it stands in an image in `dir`, means this file. */
static bool names_file(const char *backing, const char *dir, const char *path)
{
    g_autofree char *full = g_path_is_absolute(backing) ? g_strdup(backing) : g_build_filename(dir, backing, NULL);
    g_autofree char *plain = g_canonicalize_filename(full, NULL);
    return g_str_equal(plain, path);
}

static char *find_overlay(const Manager *manager, const char *path)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->pools);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Pool *pool = value;
        for (guint i = 0; i < pool->volumes->len; i++) {
            const Volume *volume = pool->volumes->pdata[i];
            if (volume->backing && names_file(volume->backing, pool->path, path))
                return g_strdup_printf("volume \"%s/%s\"", pool->name, volume->name);
        }
    }
    return NULL;
}

static char *find_vm(const Manager *manager, const char *source, const char *path)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VM *vm = value;
        if (vm->sources && (g_strv_contains((const char *const *) vm->sources, source) || g_strv_contains((const char *const *) vm->sources, path)))
            return vm_thing(vm);
    }
    return NULL;
}

char *volume_user(const Pool *pool, const Volume *volume, bool *ret_running)
{
    g_autofree char *path = g_build_filename(pool->path, volume->name, NULL), *source = g_strdup_printf("%s/%s", pool->name, volume->name);
    char *user = claim_holder(pool->manager, NULL, volume->dev, volume->inode);
    *ret_running = user != NULL;
    if (!user)
        user = find_vm(pool->manager, source, path);
    return user ? user : find_overlay(pool->manager, path);
}

char *volume_overlay(const Pool *pool, const Volume *volume)
{
    g_autofree char *path = g_build_filename(pool->path, volume->name, NULL);
    return find_overlay(pool->manager, path);
}
