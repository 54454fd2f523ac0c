/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All objects' places on the bus: manager_export(). */

#include <string.h>

#include "method.h"
#include "name.h"
#include "network.h"
#include "pool.h"

#define MANAGER_PATH "/org/vmd1"
#define VM_PREFIX "/org/vmd1/vm"
#define NETWORK_PREFIX "/org/vmd1/network"
#define POOL_PREFIX "/org/vmd1/pool"
#define JOB_PREFIX "/org/vmd1/job"

static int find_vm(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error)
{
    g_autofree char *name = NULL;
    int r = sd_bus_path_decode(path, VM_PREFIX, &name);
    *ret_found = r > 0 ? manager_find_vm(userdata, name) : NULL;
    return *ret_found ? 1 : 0;
}

static int find_network(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error)
{
    g_autofree char *name = NULL;
    int r = sd_bus_path_decode(path, NETWORK_PREFIX, &name);
    *ret_found = r > 0 ? manager_find_network(userdata, name) : NULL;
    return *ret_found ? 1 : 0;
}

static int find_pool(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error)
{
    g_autofree char *name = NULL;
    int r = sd_bus_path_decode(path, POOL_PREFIX, &name);
    *ret_found = r > 0 ? manager_find_pool(userdata, name) : NULL;
    return *ret_found ? 1 : 0;
}

static int find_job(sd_bus *bus, const char *path, const char *interface, void *userdata, void **ret_found, sd_bus_error *error)
{
    Manager *manager = userdata;
    *ret_found = job_find_by_path(manager->jobs, path);
    return *ret_found ? 1 : 0;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

/* The paths of a table whose keys are names, sorted. sd-bus frees them with free(), which GLib's allocator is. */
static char **list_paths(GHashTable *table, char *(*to_path)(const char *name))
{
    GHashTableIter iter;
    gpointer name;
    GPtrArray *nodes = g_ptr_array_new();
    g_hash_table_iter_init(&iter, table);
    while (g_hash_table_iter_next(&iter, &name, NULL))
        g_ptr_array_add(nodes, to_path(name));
    g_ptr_array_sort(nodes, compare_paths);
    g_ptr_array_add(nodes, NULL);
    return (char **) g_ptr_array_free(nodes, FALSE);
}

static int list_vm_nodes(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    const Manager *manager = userdata;
    *ret_nodes = list_paths(manager->vms, name_to_vm_path);
    return 0;
}

static int list_network_nodes(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    const Manager *manager = userdata;
    *ret_nodes = list_paths(manager->networks, name_to_network_path);
    return 0;
}

static int list_pool_nodes(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    const Manager *manager = userdata;
    *ret_nodes = list_paths(manager->pools, name_to_pool_path);
    return 0;
}

static void add_job_node(Job *job, void *userdata)
{
    g_ptr_array_add(userdata, g_strdup(job->path));
}

static int list_job_nodes(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    Manager *manager = userdata;
    GPtrArray *nodes = g_ptr_array_new();
    jobs_foreach(manager->jobs, add_job_node, nodes);
    g_ptr_array_add(nodes, NULL);
    *ret_nodes = (char **) g_ptr_array_free(nodes, FALSE);
    return 0;
}

int manager_export(Manager *manager)
{
    sd_bus *bus = manager->bus;
    int r = sd_bus_add_object_vtable(bus, NULL, MANAGER_PATH, manager_interface.name, interface_vtable(&manager_interface), manager);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(bus, NULL, VM_PREFIX, vm_interface.name, interface_vtable(&vm_interface), find_vm, manager);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(bus, NULL, JOB_PREFIX, job_interface.name, interface_vtable(&job_interface), find_job, manager);
    if (r >= 0)
        r = sd_bus_add_node_enumerator(bus, NULL, VM_PREFIX, list_vm_nodes, manager);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(bus, NULL, NETWORK_PREFIX, network_interface.name, interface_vtable(&network_interface), find_network, manager);
    if (r >= 0)
        r = sd_bus_add_node_enumerator(bus, NULL, NETWORK_PREFIX, list_network_nodes, manager);
    if (r >= 0)
        r = sd_bus_add_fallback_vtable(bus, NULL, POOL_PREFIX, pool_interface.name, interface_vtable(&pool_interface), find_pool, manager);
    if (r >= 0)
        r = sd_bus_add_node_enumerator(bus, NULL, POOL_PREFIX, list_pool_nodes, manager);
    if (r >= 0)
        r = sd_bus_add_node_enumerator(bus, NULL, JOB_PREFIX, list_job_nodes, manager);
    if (r >= 0)
        r = sd_bus_add_object_manager(bus, NULL, MANAGER_PATH);
    return r;
}
