/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "pool.h"

#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>

#include "manager.h"
#include "name.h"
#include "unit-name.h"

#define POOL_INTERFACE "org.vmd1.Pool"

static const char *const types[_POOL_TYPE_MAX] = {
    [POOL_DIR] = "dir",
    [POOL_NFS] = "nfs",
    [POOL_MOUNT] = "mount",
};

static const char *const states[_POOL_STATE_MAX] = {
    [POOL_STOPPED] = "stopped",
    [POOL_STARTING] = "starting",
    [POOL_RUNNING] = "running",
    [POOL_STOPPING] = "stopping",
    [POOL_FAILED] = "failed",
};

const char *pool_type_to_string(PoolType type)
{
    return types[type];
}

const char *pool_state_to_string(PoolState state)
{
    return states[state];
}

static PoolType type_from_string(const char *s)
{
    for (PoolType type = 0; type < _POOL_TYPE_MAX; type++)
        if (g_str_equal(s, types[type]))
            return type;
    return POOL_DIR;
}

void volume_free(Volume *volume)
{
    if (!volume)
        return;
    g_free(volume->name);
    g_free(volume->backing);
    g_free(volume);
}

Pool *pool_new(Manager *manager, const char *name)
{
    Pool *pool = g_new0(Pool, 1);
    pool->manager = manager;
    pool->name = g_strdup(name);
    pool->starters = g_array_new(FALSE, FALSE, sizeof(PoolWaiter));
    pool->stoppers = g_array_new(FALSE, FALSE, sizeof(PoolWaiter));
    pool->lookers = g_array_new(FALSE, FALSE, sizeof(PoolWaiter));
    pool->volumes = g_ptr_array_new_with_free_func((GDestroyNotify) volume_free);
    pool->in_flight = g_atomic_rc_box_new0(int);
    return pool;
}

void pool_free(Pool *pool)
{
    if (!pool)
        return;
    scope_job_forget(pool->mount);
    task_abandon(pool->look);
    pool_unwatch(pool);
    g_array_unref(pool->starters);
    g_array_unref(pool->stoppers);
    g_array_unref(pool->lookers);
    g_ptr_array_unref(pool->volumes);
    g_atomic_rc_box_release(pool->in_flight);
    g_free(pool->name);
    g_free(pool->problem);
    g_free(pool->description);
    g_free(pool->path);
    g_free(pool->message);
    g_free(pool);
}

char *pool_settings_path(const Pool *pool)
{
    return g_strdup_printf("%s/%s.pool", pool->manager->dirs->settings, pool->name);
}

char *pool_object_path(const Pool *pool)
{
    return name_to_pool_path(pool->name);
}

char *pool_unit(const Pool *pool)
{
    return pool->type == POOL_DIR ? NULL : unit_name_from_path(pool->path, ".mount");
}

Settings *pool_load_settings(const Pool *pool, Error **ret_error)
{
    g_autofree char *path = pool_settings_path(pool);
    return settings_load(&pool_schema, path, ret_error);
}

static bool check_settings(const Pool *pool, const Settings *settings, Error **ret_error)
{
    PoolType type = type_from_string(settings_get_string(settings, "Pool", "Type"));
    const char *what = settings_get_string(settings, "Pool", "What");
    const char *origin = settings_origin(settings, "Pool", "What") ?: pool->name;
    if (type == POOL_DIR && what)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, origin, "Set Type=nfs or Type=mount", "What= means nothing with Type=dir");
    if (type != POOL_DIR && pool->manager->user)
        return error_set(ret_error, ERROR_UNSUPPORTED, pool->name, "Set Type=dir, or ask the administrator for a pool",
            "a user's vmd cannot mount file systems");
    if (type != POOL_DIR && !what)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, pool->name, type == POOL_NFS ? "Set What=SERVER:/PATH" : "Set What= to a device",
            "it does not say what is mounted");
    if (type == POOL_NFS && !strstr(what, ":/"))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, origin, "Write it as SERVER:/PATH", "\"%.100s\" is no folder of an NFS server", what);
    return true;
}

bool pool_check_text(const Pool *pool, const char *text, const char *origin, Error **ret_error)
{
    g_autoptr(Settings) settings = settings_parse_partial(&pool_schema, text, strlen(text), origin, ret_error);
    return settings && check_settings(pool, settings, ret_error);
}

/* Where it is. A folder may be another one at once; a mount stays where it is as long as it runs. */
static void fill_in_place(Pool *pool, PoolType type, char *path)
{
    bool rests = pool->state == POOL_STOPPED || pool->state == POOL_FAILED;
    bool same = pool->type == type && g_strcmp0(pool->path, path) == 0;
    if (same || !(rests || (pool->state == POOL_RUNNING && pool->type == POOL_DIR))) {
        g_free(path);
        return;
    }
    pool_unwatch(pool);
    pool_forget_volumes(pool);
    g_free(pool->path);
    pool->path = path;
    pool->type = type;
    if (!rests) {
        pool_set_state(pool, POOL_STOPPED, NULL);
        if (type == POOL_DIR)
            pool_start(pool, NULL, NULL);
    }
}

static void fill_in(Pool *pool, const Settings *settings)
{
    const char *path = settings_get_string(settings, "Pool", "Path");
    PoolType type = type_from_string(settings_get_string(settings, "Pool", "Type"));
    g_free(pool->description);
    pool->description = g_strdup(settings_get_string(settings, "Pool", "Description"));
    pool->autostart = settings_get_bool(settings, "Pool", "Autostart");
    pool->timeout = settings_get_number(settings, "Pool", "Timeout");
    fill_in_place(pool, type, path ? g_strdup(path) : g_build_filename(pool->manager->dirs->pools, pool->name, NULL));
}

void pool_read_settings(Pool *pool)
{
    g_autofree char *path = pool_settings_path(pool);
    g_autoptr(Error) error = NULL;
    struct stat st;
    g_clear_pointer(&pool->problem, g_free);
    pool->defined = lstat(path, &st) == 0;
    if (!pool->defined)
        return;
    g_autoptr(Settings) settings = settings_load(&pool_schema, path, &error);
    if (settings && check_settings(pool, settings, &error))
        fill_in(pool, settings);
    else
        pool->problem = error_message(error);
}

void pool_changed(Pool *pool, const char *property, ...)
{
    g_autofree char *path = pool_object_path(pool);
    va_list ap;
    va_start(ap, property);
    manager_emit_changed(pool->manager, path, POOL_INTERFACE, property, ap);
    va_end(ap);
}

void pool_set_state(Pool *pool, PoolState state, const char *message)
{
    if (pool->state == state && g_strcmp0(pool->message, message) == 0)
        return;
    bool news = pool->type != POOL_DIR || state == POOL_FAILED;
    pool->state = state;
    g_free(pool->message);
    pool->message = g_strdup(message);
    if (news && state != POOL_STARTING && state != POOL_STOPPING)
        (void) sd_journal_send("MESSAGE=Pool %s: %s%s%s", pool->name, states[state], message ? ": " : "", message ?: "", "PRIORITY=%i",
            message ? LOG_ERR : LOG_INFO, "POOL=%s", pool->name, "POOL_STATE=%s", states[state], NULL);
    pool_changed(pool, "State", "StateMessage", "Path", NULL);
}

bool pool_check_running(const Pool *pool, Error **ret_error)
{
    g_autofree char *thing = g_strdup_printf("Pool \"%s\"", pool->name);
    g_autofree char *remedy = g_strdup_printf("Start it with 'vmctl %spool start %s'", pool->manager->user ? "--user " : "", pool->name);
    return pool->state == POOL_RUNNING || error_set(ret_error, ERROR_NOT_RUNNING, thing, remedy, "it is %s", pool_state_to_string(pool->state));
}

Volume *pool_find_volume(const Pool *pool, const char *name)
{
    for (guint i = 0; i < pool->volumes->len; i++) {
        Volume *volume = pool->volumes->pdata[i];
        if (g_str_equal(volume->name, name))
            return volume;
    }
    return NULL;
}

static char *find_remedy(const Pool *pool, const char *name)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (guint i = 0; i < pool->volumes->len; i++)
        g_ptr_array_add(names, ((const Volume *) pool->volumes->pdata[i])->name);
    g_ptr_array_add(names, NULL);
    const char *nearest = name_nearest(name, (const char *const *) names->pdata);
    return nearest ? g_strdup_printf("Did you mean \"%s/%s\"?", pool->name, nearest)
                   : g_strdup_printf("See 'vmctl %svolume list %s'", pool->manager->user ? "--user " : "", pool->name);
}

Volume *pool_find_volume_or_error(const Pool *pool, const char *name, Error **ret_error)
{
    Volume *volume = pool_find_volume(pool, name);
    if (volume)
        return volume;
    g_autofree char *remedy = find_remedy(pool, name), *thing = g_strdup_printf("Volume \"%s/%.128s\"", pool->name, name);
    error_set(ret_error, ERROR_NO_SUCH_VOLUME, thing, remedy, "there is no such volume");
    return NULL;
}

/* ---- who waits ---- */

void pool_add_waiter(GArray *waiters, PoolDone done, void *userdata)
{
    PoolWaiter waiter = {.done = done, .userdata = userdata};
    if (done)
        g_array_append_val(waiters, waiter);
}

void pool_tell(GArray **waiters, const Error *error)
{
    g_autoptr(GArray) told = *waiters;
    *waiters = g_array_new(FALSE, FALSE, sizeof(PoolWaiter));
    for (guint i = 0; i < told->len; i++) {
        const PoolWaiter *waiter = &g_array_index(told, PoolWaiter, i);
        waiter->done(error, waiter->userdata);
    }
}

void pool_forget(Pool *pool, void *userdata)
{
    GArray *lists[] = {pool->starters, pool->stoppers, pool->lookers};
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++)
        for (guint j = lists[i]->len; j > 0; j--)
            if (g_array_index(lists[i], PoolWaiter, j - 1).userdata == userdata)
                g_array_remove_index(lists[i], j - 1);
}
