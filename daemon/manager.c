/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager.h"

#include <linux/io_uring.h>
#include <malloc.h>
#include <string.h>
#include <sys/syscall.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "cleanup.h"
#include "doctor.h"
#include "inventory.h"
#include "last-run.h"
#include "name.h"
#include "passthrough.h"
#include "plugs.h"
#include "port.h"
#include "volume.h"
#include "vsock.h"

#define IDLE_USEC (60 * G_USEC_PER_SEC)
#define TRIM_USEC (1 * G_USEC_PER_SEC)
#define MANAGER_PATH "/org/vmd1"
#define MANAGER_INTERFACE "org.vmd1.Manager"

/* Whether QEMU, with its own uid, can have an io_uring: a kernel without, a sysctl or a seccomp filter may say no. */
static bool probe_io_uring(void)
{
    g_autofree char *disabled = NULL;
    if (g_file_get_contents("/proc/sys/kernel/io_uring_disabled", &disabled, NULL, NULL) && !g_str_has_prefix(disabled, "0"))
        return false;
    struct io_uring_params params = {0};
    fd_cleanup int fd = (int) syscall(SYS_io_uring_setup, 1, &params);
    return fd >= 0;
}

static char *make_part_suffix(void)
{
    sd_id128_t machine = SD_ID128_NULL;
    (void) sd_id128_get_machine(&machine);
    return g_strdup_printf(".%02x%02x%02x%02x" VOLUME_PART_SUFFIX, machine.bytes[0], machine.bytes[1], machine.bytes[2], machine.bytes[3]);
}

int manager_new(bool user, sd_event *event, sd_bus *bus, Manager **ret, Error **ret_error)
{
    g_autoptr(Manager) manager = g_new0(Manager, 1);
    manager->user = user;
    manager->event = sd_event_ref(event);
    manager->bus = sd_bus_ref(bus);
    manager->vms = g_hash_table_new(g_str_hash, g_str_equal);
    manager->problems = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    manager->networks = g_hash_table_new(g_str_hash, g_str_equal);
    manager->pools = g_hash_table_new(g_str_hash, g_str_equal);
    manager->works = g_ptr_array_new();
    manager->part_suffix = make_part_suffix();
    manager->ports = g_ptr_array_new();
    manager->server_calls = g_ptr_array_new();
    manager->doctors = g_ptr_array_new();
    manager->idle_usec = IDLE_USEC;
    manager->io_uring = probe_io_uring();
    manager->dirs = dirs_new(user, ret_error);
    if (!manager->dirs)
        return -ENOENT;
    manager->access = access_new(bus, user);
    manager->jobs = jobs_new(bus);
    manager->spawner = spawner_new(event, user);
    manager->builds = qemu_builds_new(event, manager->dirs->cache, manager->spawner, user);
    manager->accel = accel_new(event, manager->dirs->runtime);
    manager->firewall = firewall_new(event);
    int r = user ? 0 : links_new(event, &manager->links);
    if (r < 0) {
        error_set_errno(ret_error, r, "netlink", "the host's links cannot be asked for");
        return r;
    }
    r = scopes_new(bus, &manager->scopes);
    if (r < 0) {
        error_set_errno(ret_error, r, "systemd", "it cannot be reached over D-Bus");
        return r;
    }
    manager->trees = trees_new(event, manager->scopes, manager->dirs->runtime, user);
    r = manager_watch_files(manager);
    if (r < 0) {
        error_set_errno(ret_error, r, manager->dirs->settings, "it cannot be watched for changes");
        return r;
    }
    *ret = g_steal_pointer(&manager);
    return 0;
}

static void free_networks(Manager *manager)
{
    GHashTableIter iter;
    gpointer network;
    doctors_free(manager);
    g_ptr_array_unref(manager->doctors);
    ports_free(manager);
    g_hash_table_iter_init(&iter, manager->networks);
    while (g_hash_table_iter_next(&iter, NULL, &network)) {
        g_hash_table_iter_remove(&iter);
        network_free(network);
    }
    g_hash_table_unref(manager->networks);
    g_ptr_array_unref(manager->server_calls);
    firewall_free(manager->firewall);
    links_free(manager->links);
}

static void free_pools(Manager *manager)
{
    GHashTableIter iter;
    gpointer pool;
    g_hash_table_iter_init(&iter, manager->pools);
    while (g_hash_table_iter_next(&iter, NULL, &pool)) {
        g_hash_table_iter_remove(&iter);
        pool_free(pool);
    }
    g_hash_table_unref(manager->pools);
}

void manager_free(Manager *manager)
{
    if (!manager)
        return;
    manager_unwatch_files(manager);
    trees_leave(manager->trees);
    inventory_free(g_steal_pointer(&manager->inventory));
    sd_event_source_disable_unref(manager->idle);
    sd_event_source_disable_unref(manager->trim);
    access_free(manager->access);
    vsock_free(manager->vsock);
    usb_host_free(g_steal_pointer(&manager->usb));
    GHashTableIter iter;
    gpointer vm;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &vm)) {
        g_hash_table_iter_remove(&iter);
        vm_free(vm);
    }
    g_hash_table_unref(manager->vms);
    free_networks(manager);
    volume_works_free(manager);
    free_pools(manager);
    passthrough_queue_free(g_steal_pointer(&manager->passthrough));
    jobs_free(manager->jobs);
    qemu_builds_free(manager->builds);
    accel_free(manager->accel);
    trees_free(manager->trees);
    scopes_free(manager->scopes);
    spawner_free(manager->spawner);
    g_hash_table_unref(manager->problems);
    g_free(manager->part_suffix);
    dirs_free(manager->dirs);
    sd_bus_unref(manager->bus);
    sd_event_unref(manager->event);
    g_free(manager);
}

VM *manager_find_vm(Manager *manager, const char *name)
{
    return g_hash_table_lookup(manager->vms, name);
}

VM *manager_find_vm_or_error(Manager *manager, const char *name, Error **ret_error)
{
    VM *vm = manager_find_vm(manager, name);
    if (!vm) {
        g_autofree char *thing = g_strdup_printf("VM \"%s\"", name);
        error_set(ret_error, ERROR_NO_SUCH_VM, thing, manager->user ? "See 'vmctl --user list'" : "See 'vmctl list'", "there is no such VM");
    }
    return vm;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* The values of a table whose keys are their names, sorted by these; g_free. */
static gpointer *list_sorted(GHashTable *table, size_t *ret_n)
{
    guint n;
    gpointer *list = g_hash_table_get_keys_as_array(table, &n);
    qsort(list, n, sizeof *list, compare_names);
    for (guint i = 0; i < n; i++)
        list[i] = g_hash_table_lookup(table, list[i]);
    *ret_n = n;
    return list;
}

/* Of an object that is known from now on. Fails while the objects are not on the bus: what vmd finds at its start is no news. */
static void tell_added(Manager *manager, const char *signal, const char *name, const char *path)
{
    if (sd_bus_emit_object_added(manager->bus, path) >= 0)
        (void) sd_bus_emit_signal(manager->bus, MANAGER_PATH, MANAGER_INTERFACE, signal, "so", name, path);
}

/* Takes it out of its table and frees it. `own_name` is its own, and the table's key. */
static void remove_object(Manager *manager, GHashTable *table, gpointer object, const char *own_name, const char *path, GDestroyNotify free_object,
    const char *signal)
{
    g_autofree char *name = g_strdup(own_name);
    (void) sd_bus_emit_object_removed(manager->bus, path);
    g_hash_table_remove(table, name);
    free_object(object);
    (void) sd_bus_emit_signal(manager->bus, MANAGER_PATH, MANAGER_INTERFACE, signal, "so", name, path);
}

VM **manager_list_vms(Manager *manager, size_t *ret_n)
{
    return (VM **) list_sorted(manager->vms, ret_n);
}

VM *manager_add_vm(Manager *manager, const char *name, bool transient)
{
    VM *vm = vm_new(manager, name, transient);
    g_hash_table_insert(manager->vms, vm->name, vm);
    vm_read_settings(vm);
    g_autofree char *path = vm_object_path(vm);
    tell_added(manager, "VMNew", name, path);
    return vm;
}

void manager_forget_vm(Manager *manager, VM *vm)
{
    last_run_forget(vm);
    g_autofree char *path = vm_object_path(vm);
    remove_object(manager, manager->vms, vm, vm->name, path, (GDestroyNotify) vm_free, "VMRemoved");
}

Network *manager_find_network(Manager *manager, const char *name)
{
    return g_hash_table_lookup(manager->networks, name);
}

Network *manager_find_network_or_error(Manager *manager, const char *name, Error **ret_error)
{
    Network *network = manager_find_network(manager, name);
    if (!network) {
        g_autofree char *thing = g_strdup_printf("Network \"%s\"", name);
        error_set(ret_error, ERROR_NO_SUCH_NETWORK, thing, "See 'vmctl network list'", "there is no such network");
    }
    return network;
}

Network **manager_list_networks(Manager *manager, size_t *ret_n)
{
    return (Network **) list_sorted(manager->networks, ret_n);
}

bool manager_has_active_network(const Manager *manager)
{
    GHashTableIter iter;
    gpointer network;
    g_hash_table_iter_init(&iter, manager->networks);
    while (g_hash_table_iter_next(&iter, NULL, &network))
        if (network_is_active(network))
            return true;
    return false;
}

Network *manager_add_network(Manager *manager, const char *name)
{
    Network *network = network_new(manager, name);
    g_hash_table_insert(manager->networks, network->name, network);
    network_read_settings(network);
    g_autofree char *path = network_object_path(network);
    tell_added(manager, "NetworkNew", name, path);
    return network;
}

void manager_settle_network(Manager *manager, Network *network)
{
    if (network->defined || network->run)
        return;
    g_autofree char *path = network_object_path(network);
    remove_object(manager, manager->networks, network, network->name, path, (GDestroyNotify) network_free, "NetworkRemoved");
}

Pool *manager_find_pool(Manager *manager, const char *name)
{
    return g_hash_table_lookup(manager->pools, name);
}

Pool *manager_find_pool_or_error(Manager *manager, const char *name, Error **ret_error)
{
    Pool *pool = manager_find_pool(manager, name);
    if (!pool) {
        g_autofree char *thing = g_strdup_printf("Pool \"%.64s\"", name);
        error_set(ret_error, ERROR_NO_SUCH_POOL, thing, manager->user ? "See 'vmctl --user pool list'" : "See 'vmctl pool list'", "there is no such pool");
    }
    return pool;
}

char *manager_find_source(Manager *manager, const char *source, bool *ret_volume, Error **ret_error)
{
    g_autofree char *pool_name = NULL, *volume = NULL;
    *ret_volume = name_split_source(source, &pool_name, &volume);
    if (!*ret_volume)
        return g_strdup(source);
    const Pool *pool = manager_find_pool_or_error(manager, pool_name, ret_error);
    return pool ? g_build_filename(pool->path, volume, NULL) : NULL;
}

Pool **manager_list_pools(Manager *manager, size_t *ret_n)
{
    return (Pool **) list_sorted(manager->pools, ret_n);
}

Pool *manager_add_pool(Manager *manager, const char *name)
{
    Pool *pool = pool_new(manager, name);
    g_hash_table_insert(manager->pools, pool->name, pool);
    pool_read_settings(pool);
    g_autofree char *path = pool_object_path(pool);
    tell_added(manager, "PoolNew", name, path);
    return pool;
}

void manager_settle_pool(Manager *manager, Pool *pool)
{
    /* A folder is there whether or not anybody runs it. */
    bool rests = pool->state == POOL_STOPPED || pool->state == POOL_FAILED || (pool->state == POOL_RUNNING && pool->type == POOL_DIR);
    g_autofree char *path = pool_object_path(pool);
    if (pool->defined || !rests || job_find(manager->jobs, path))
        return;
    remove_object(manager, manager->pools, pool, pool->name, path, (GDestroyNotify) pool_free, "PoolRemoved");
}

/* One that is kept without ports needs no vmd; one with ports is to go with the last. */
static bool has_busy_network(const Manager *manager)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->networks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Network *network = value;
        if (network->state == NETWORK_STARTING || network->state == NETWORK_STOPPING)
            return true;
    }
    return manager->ports->len > 0 || !firewall_is_idle(manager->firewall) || manager->server_calls->len > 0;
}

static bool is_busy(const Manager *manager)
{
    if (has_busy_network(manager))
        return true;
    if (manager->busy > 0 || jobs_count(manager->jobs) > 0 || access_pending(manager->access) > 0)
        return true;
    GHashTableIter iter;
    gpointer vm;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &vm))
        if (vm_is_active(vm))
            return true;
    return false;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
    Manager *manager = userdata;
    if (is_busy(manager))
        return 0;
    /* The name goes first, so that a call that comes now starts a new vmd instead of being lost. */
    (void) sd_notify(false, "STOPPING=1\nSTATUS=Nothing to do, leaving.");
    (void) sd_bus_release_name(manager->bus, "org.vmd1");
    while (sd_bus_process(manager->bus, NULL) > 0)
        ;
    return sd_event_exit(manager->event, 0);
}

/* A burst of calls may have made the heap many times as large as what is left on it. */
static int on_trim(sd_event_source *source, uint64_t usec, void *userdata)
{
    malloc_trim(0);
    return 0;
}

static void restart_clock(Manager *manager, sd_event_source **source, uint64_t usec, sd_event_time_handler_t handler)
{
    if (!*source)
        (void) sd_event_add_time_relative(manager->event, source, CLOCK_MONOTONIC, usec, MIN(usec / 10, G_USEC_PER_SEC), handler, manager);
    else {
        (void) sd_event_source_set_time_relative(*source, usec);
        (void) sd_event_source_set_enabled(*source, SD_EVENT_ONESHOT);
    }
}

void manager_check_idle(Manager *manager)
{
    restart_clock(manager, &manager->trim, TRIM_USEC, on_trim);
    if (manager->idle_usec > 0)
        restart_clock(manager, &manager->idle, manager->idle_usec, on_idle);
}

void manager_emit_changed(Manager *manager, const char *path, const char *interface, const char *property, va_list ap)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    for (const char *name = property; name; name = va_arg(ap, const char *))
        g_ptr_array_add(names, (gpointer) name);
    g_ptr_array_add(names, NULL);
    (void) sd_bus_emit_properties_changed_strv(manager->bus, path, interface, (char **) names->pdata);
}
