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

typedef struct Watch {
    sd_event_source *settings, *transient;
    GHashTable *drop_ins; /* VM name to sd_event_source of NAME.vm.d */
    GHashTable *pending;  /* VM names, changed */
    sd_event_source *settle;
} Watch;

/* "web" of "web.vm" or "web.vm.d"; NULL when it is no such name. */
static char *vm_name_of_file(const char *file, bool *ret_drop_ins)
{
    *ret_drop_ins = g_str_has_suffix(file, ".vm.d");
    if (!*ret_drop_ins && !g_str_has_suffix(file, ".vm"))
        return NULL;
    g_autofree char *name = g_strndup(file, strlen(file) - (*ret_drop_ins ? 5 : 3));
    return name_is_valid(name) ? g_steal_pointer(&name) : NULL;
}

static int on_settled(sd_event_source *source, uint64_t usec, void *userdata)
{
    Manager *manager = userdata;
    g_autofree gpointer *names = g_hash_table_get_keys_as_array(manager->watch->pending, NULL);
    for (size_t i = 0; names[i]; i++) {
        VM *vm = manager_find_vm(manager, names[i]);
        manager_read_file(manager, names[i], vm && vm->transient);
    }
    g_hash_table_remove_all(manager->watch->pending);
    return 0;
}

static void changed(Manager *manager, const char *name)
{
    Watch *watch = manager->watch;
    g_hash_table_add(watch->pending, g_strdup(name));
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

static void watch_drop_ins(Manager *manager, const char *name)
{
    Watch *watch = manager->watch;
    g_autofree char *path = g_strdup_printf("%s/%s.vm.d", manager->dirs->settings, name);
    struct stat st;
    if (stat(path, &st) < 0 || !S_ISDIR(st.st_mode)) {
        g_hash_table_remove(watch->drop_ins, name);
        return;
    }
    if (g_hash_table_contains(watch->drop_ins, name))
        return;
    sd_event_source *source;
    if (sd_event_add_inotify(manager->event, &source, path, FILE_MASK | IN_ONLYDIR, on_drop_in, manager) < 0)
        return;
    (void) sd_event_source_set_description(source, name);
    g_hash_table_insert(watch->drop_ins, g_strdup(name), source);
}

static int on_drop_in(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    const char *name;
    if (sd_event_source_get_description(source, &name) >= 0)
        changed(userdata, name);
    return 0;
}

static int on_file(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    Manager *manager = userdata;
    if (event->mask & IN_Q_OVERFLOW) {
        manager_scan_files(manager);
        return 0;
    }
    bool drop_ins;
    g_autofree char *name = event->len > 0 ? vm_name_of_file(event->name, &drop_ins) : NULL;
    if (name)
        changed(manager, name);
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
        watch_drop_ins(manager, name);
    if (!there) {
        set_problem(manager, path, NULL);
        if (vm && vm->transient == transient) {
            vm->defined = false;
            if (!vm->instance)
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
        vm_changed(vm, "Description", "UUID", "CPUs", "Memory", "Owner", "Problem", NULL);
    }
    set_problem(manager, path, vm->problem);
}

static void scan_dir(Manager *manager, const char *path, bool transient)
{
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *file;
    while (dir && (file = g_dir_read_name(dir))) {
        bool drop_ins;
        g_autofree char *name = vm_name_of_file(file, &drop_ins);
        if (name && !drop_ins)
            manager_read_file(manager, name, transient);
        else if (!name && g_str_has_suffix(file, ".vm")) {
            g_autofree char *full = g_build_filename(path, file, NULL);
            g_autofree char *message = g_strdup_printf("%s: its name is not one that a VM can have", full);
            set_problem(manager, full, message);
        }
    }
}

void manager_scan_files(Manager *manager)
{
    /* Those that have gone first: a name may have moved from one folder to the other. */
    size_t n;
    g_autofree VM **vms = manager_list_vms(manager, &n);
    for (size_t i = 0; i < n; i++)
        manager_read_file(manager, vms[i]->name, vms[i]->transient);
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
