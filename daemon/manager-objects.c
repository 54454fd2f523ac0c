/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* All objects' places on the bus: manager_export(). */

#include "method.h"
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

static int list_vm_nodes(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    size_t n;
    g_autofree VM **vms = manager_list_vms(userdata, &n);
    /* sd-bus frees these with free(), which GLib's allocator is. */
    char **nodes = g_new0(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        nodes[i] = vm_object_path(vms[i]);
    *ret_nodes = nodes;
    return 0;
}

static int list_network_nodes(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    size_t n;
    g_autofree Network **networks = manager_list_networks(userdata, &n);
    char **nodes = g_new0(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        nodes[i] = network_object_path(networks[i]);
    *ret_nodes = nodes;
    return 0;
}

static int list_pool_nodes(sd_bus *bus, const char *prefix, void *userdata, char ***ret_nodes, sd_bus_error *error)
{
    size_t n;
    g_autofree Pool **pools = manager_list_pools(userdata, &n);
    char **nodes = g_new0(char *, n + 1);
    for (size_t i = 0; i < n; i++)
        nodes[i] = pool_object_path(pools[i]);
    *ret_nodes = nodes;
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
