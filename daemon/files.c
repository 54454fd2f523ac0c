/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The settings files: read at the start, followed by inotify from then on.
 *
 * A burst of changes to one file (an editor's save) is read once, a moment after the last one. A
 * drop-in folder counts as its file. A file that cannot be used is a Problem and touches no other VM. */

#include <errno.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "manager.h"
#include "name.h"

#define SETTLE_USEC (20 * 1000)
#define FILE_MASK (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE | IN_ATTRIB)

typedef enum FileKind { FILE_VM, FILE_NETWORK, FILE_POOL, _FILE_KIND_MAX } FileKind;

typedef struct Watch {
    sd_event_source *settings, *transient;
    GHashTable *drop_ins; /* "web.vm" to sd_event_source of web.vm.d */
    GHashTable *pending;  /* files, changed: "web.vm" */
    sd_event_source *settle;
} Watch;

static const char *const suffixes[_FILE_KIND_MAX] = {[FILE_VM] = ".vm", [FILE_NETWORK] = ".net", [FILE_POOL] = ".pool"};
static const char *const things[_FILE_KIND_MAX] = {[FILE_VM] = "VM", [FILE_NETWORK] = "network", [FILE_POOL] = "pool"};

/* "web" of "web.vm" or "web.vm.d"; NULL when it is no such name. */
static char *name_of_file(const char *file, FileKind *ret_kind, bool *ret_drop_ins)
{
    *ret_drop_ins = g_str_has_suffix(file, ".d");
    g_autofree char *base = g_strndup(file, strlen(file) - (*ret_drop_ins ? 2 : 0));
    for (FileKind kind = 0; kind < _FILE_KIND_MAX; kind++) {
        if (!g_str_has_suffix(base, suffixes[kind]))
            continue;
        base[strlen(base) - strlen(suffixes[kind])] = 0;
        *ret_kind = kind;
        bool valid = kind == FILE_VM ? name_is_valid(base) : device_name_is_valid(base);
        return valid ? g_steal_pointer(&base) : NULL;
    }
    return NULL;
}

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
    Manager *manager = userdata;
    g_autofree gpointer *files = g_hash_table_get_keys_as_array(manager->watch->pending, NULL);
    for (size_t i = 0; files[i]; i++) {
        FileKind kind;
        bool drop_ins;
        g_autofree char *name = name_of_file(files[i], &kind, &drop_ins);
        const VM *vm = kind == FILE_VM ? manager_find_vm(manager, name) : NULL;
        if (kind == FILE_VM)
            manager_read_file(manager, name, vm && vm->transient);
        else if (kind == FILE_NETWORK)
            manager_read_network_file(manager, name);
        else
            manager_read_pool_file(manager, name);
    }
    g_hash_table_remove_all(manager->watch->pending);
    return 0;
}

static void changed(Manager *manager, const char *file)
{
    Watch *watch = manager->watch;
    g_hash_table_add(watch->pending, g_strdup(file));
    if (!watch->settle)
        (void) sd_event_add_time_relative(manager->event, &watch->settle, CLOCK_MONOTONIC, SETTLE_USEC, 1, on_settled, manager);
    else {
        (void) sd_event_source_set_time_relative(watch->settle, SETTLE_USEC);
        (void) sd_event_source_set_enabled(watch->settle, SD_EVENT_ONESHOT);
    }
}

static void source_unref(gpointer source)
{
    sd_event_source_disable_unref(source);
}

static int on_drop_in(sd_event_source *source, const struct inotify_event *event, void *userdata);

static void watch_drop_ins(Manager *manager, const char *name, FileKind kind)
{
    Watch *watch = manager->watch;
    g_autofree char *file = g_strconcat(name, suffixes[kind], NULL), *path = g_strdup_printf("%s/%s.d", manager->dirs->settings, file);
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        g_hash_table_remove(watch->drop_ins, file);
        return;
    }
    if (g_hash_table_contains(watch->drop_ins, file))
        return;
    sd_event_source *source;
    if (sd_event_add_inotify(manager->event, &source, path, FILE_MASK | IN_ONLYDIR, on_drop_in, manager) < 0)
        return;
    (void) sd_event_source_set_description(source, file);
    g_hash_table_insert(watch->drop_ins, g_steal_pointer(&file), source);
}

static int on_drop_in(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    const char *file;
    if (sd_event_source_get_description(source, &file) >= 0)
        changed(userdata, file);
    return 0;
}

static int on_file(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    Manager *manager = userdata;
    if (event->mask & IN_Q_OVERFLOW) {
        manager_scan_files(manager);
        return 0;
    }
    FileKind kind;
    bool drop_ins;
    g_autofree char *name = event->len > 0 ? name_of_file(event->name, &kind, &drop_ins) : NULL;
    g_autofree char *file = name ? g_strconcat(name, suffixes[kind], NULL) : NULL;
    if (file)
        changed(manager, file);
    return 0;
}

static void set_problem(Manager *manager, const char *path, const char *message)
{
    const char *known = g_hash_table_lookup(manager->problems, path);
    if (g_strcmp0(known, message) == 0)
        return;
    if (message) {
        g_hash_table_insert(manager->problems, g_strdup(path), g_strdup(message));
        g_warning("%s", message);
    } else
        g_hash_table_remove(manager->problems, path);
    (void) sd_bus_emit_properties_changed(manager->bus, "/org/vmd1", "org.vmd1.Manager", "Problems", NULL);
}

void manager_read_file(Manager *manager, const char *name, bool transient)
{
    const Dirs *dirs = manager->dirs;
    g_autofree char *path = g_strdup_printf("%s/%s.vm", transient ? dirs->runtime : dirs->settings, name);
    VM *vm = manager_find_vm(manager, name);
    struct stat st;
    bool there = lstat(path, &st) == 0;

    if (!transient && manager->watch)
        watch_drop_ins(manager, name, FILE_VM);
    if (!there) {
        set_problem(manager, path, NULL);
        if (vm && vm->transient == transient) {
            vm->defined = false;
            if (!vm->instance && !vm->snapshot_work && !vm->backup)
                manager_forget_vm(manager, vm);
        }
        return;
    }
    if (vm && vm->transient != transient)
        return set_problem(manager, path, "a transient VM of this name runs; the file counts when that has ended");

    /* A file that cannot be used is a VM too: one that can be looked at and mended. */
    if (!vm)
        vm = manager_add_vm(manager, name, transient);
    else {
        vm_read_settings(vm);
        vm_changed(vm, "Description", "UUID", "CPUs", "Memory", "CPUsMax", "MemoryMax", "Owner", "Problem", NULL);
    }
    set_problem(manager, path, vm->problem);
}

void manager_read_network_file(Manager *manager, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s.net", manager->dirs->settings, name);
    Network *network = manager_find_network(manager, name);
    struct stat st;
    bool there = lstat(path, &st) == 0;

    if (manager->user)
        return set_problem(manager, path, there ? "a user's vmd has no networks of its own; Network= means one of the system's" : NULL);
    if (manager->watch)
        watch_drop_ins(manager, name, FILE_NETWORK);
    if (!there) {
        set_problem(manager, path, NULL);
        if (network) {
            network->defined = false;
            manager_settle_network(manager, network);
        }
        return;
    }
    if (!network)
        network = manager_add_network(manager, name);
    else {
        network_read_settings(network);
        network_changed(network, "Description", "Mode", "Autostart", "Problem", NULL);
    }
    set_problem(manager, path, network->problem);
}

void manager_read_pool_file(Manager *manager, const char *name)
{
    g_autofree char *path = g_strdup_printf("%s/%s.pool", manager->dirs->settings, name);
    Pool *pool = manager_find_pool(manager, name);
    struct stat st;
    bool there = lstat(path, &st) == 0, was_usable = pool && !pool->problem;

    if (manager->watch)
        watch_drop_ins(manager, name, FILE_POOL);
    if (!there) {
        set_problem(manager, path, NULL);
        if (pool) {
            pool->defined = false;
            manager_settle_pool(manager, pool);
        }
        return;
    }
    if (!pool)
        pool = manager_add_pool(manager, name);
    else {
        pool_read_settings(pool);
        pool_changed(pool, "Description", "Type", "Path", "Autostart", "Problem", NULL);
    }
    set_problem(manager, path, pool->problem);
    /* A folder costs nothing; what somebody has stopped stays so. */
    if (manager->watch && !was_usable && !pool->problem && pool->type == POOL_DIR)
        pool_start(pool, NULL, NULL);
}

/* A name that no object of this kind can have. */
static void refuse_name(Manager *manager, const char *dir, const char *file)
{
    for (FileKind kind = 0; kind < _FILE_KIND_MAX; kind++) {
        if (!g_str_has_suffix(file, suffixes[kind]))
            continue;
        g_autofree char *full = g_build_filename(dir, file, NULL);
        g_autofree char *message = g_strdup_printf("%s: its name is not one that a %s can have", full, things[kind]);
        set_problem(manager, full, message);
    }
}

static void scan_dir(Manager *manager, const char *path, bool transient)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *file;
    while (dir && (file = g_dir_read_name(dir))) {
        FileKind kind;
        bool drop_ins;
        g_autofree char *name = name_of_file(file, &kind, &drop_ins);
        if (name && !drop_ins && kind == FILE_VM)
            manager_read_file(manager, name, transient);
        else if (name && !drop_ins && !transient && kind == FILE_NETWORK)
            manager_read_network_file(manager, name);
        else if (name && !drop_ins && !transient)
            manager_read_pool_file(manager, name);
        else if (!name)
            refuse_name(manager, path, file);
    }
}

void manager_scan_files(Manager *manager)
{
    /* Those that have gone first: a name may have moved from one folder to the other. */
    size_t n;
    g_autofree VM **vms = manager_list_vms(manager, &n);
    for (size_t i = 0; i < n; i++)
        manager_read_file(manager, vms[i]->name, vms[i]->transient);
    g_autofree Network **networks = manager_list_networks(manager, &n);
    for (size_t i = 0; i < n; i++)
        manager_read_network_file(manager, networks[i]->name);
    g_autofree Pool **pools = manager_list_pools(manager, &n);
    for (size_t i = 0; i < n; i++)
        manager_read_pool_file(manager, pools[i]->name);
    scan_dir(manager, manager->dirs->settings, false);
    scan_dir(manager, manager->dirs->runtime, true);
}

int manager_watch_files(Manager *manager)
{
    Watch *watch = g_new0(Watch, 1);
    watch->drop_ins = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, source_unref);
    watch->pending = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    manager->watch = watch;
    int r = sd_event_add_inotify(manager->event, &watch->settings, manager->dirs->settings, FILE_MASK | IN_ONLYDIR, on_file, manager);
    if (r < 0)
        return r;
    return sd_event_add_inotify(manager->event, &watch->transient, manager->dirs->runtime, FILE_MASK | IN_ONLYDIR, on_file, manager);
}

void manager_unwatch_files(Manager *manager)
{
    Watch *watch = manager->watch;
    if (!watch)
        return;
    sd_event_source_disable_unref(watch->settings);
    sd_event_source_disable_unref(watch->transient);
    sd_event_source_disable_unref(watch->settle);
    g_hash_table_unref(watch->drop_ins);
    g_hash_table_unref(watch->pending);
    g_free(watch);
    manager->watch = NULL;
}
