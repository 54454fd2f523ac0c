/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "kind.h"

#include <string.h>

#include "schema.h"
#include "verb.h"

const ObjectKind kind_vm = {
        .word = "VM",
        .thing = "VM",
        .things = "VMs",
        .group = "",
        .look = " status",
        .tag = "vm",
        .schema = &vm_schema,
        .bare = (const char *const[]){"VM", "Scope", NULL},
        .example = "VM.CPUs=2 or -p 'Disk root.ReadOnly=yes'",
        .suffix = ".vm",
        .path = "/org/vmd1/vm",
        .interface = VM_INTERFACE,
        .stays = " Images stay.",
        .create = "CreateVM",
        .get = "GetVM",
        .list = "ListVMs",
        .list_members = "name state leader path",
};

const ObjectKind kind_network = {
        .word = "Network",
        .thing = "network",
        .things = "networks",
        .group = " network",
        .look = " network show",
        .tag = "network",
        .schema = &network_schema,
        .bare = (const char *const[]){"Network", NULL},
        .example = "Network.Mode=isolated or -p 'Reservation web.Address=192.168.100.10'",
        .suffix = ".net",
        .path = "/org/vmd1/network",
        .interface = NETWORK_INTERFACE,
        .stays = "",
        .create = "CreateNetwork",
        .get = "GetNetwork",
        .list = "ListNetworks",
        .list_members = "name state mode bridge path",
};

const ObjectKind kind_pool = {
        .word = "Pool",
        .thing = "pool",
        .things = "pools",
        .group = " pool",
        .look = " pool show",
        .tag = "pool",
        .schema = &pool_schema,
        .bare = (const char *const[]){"Pool", NULL},
        .example = "Pool.Path=/srv/vm",
        .suffix = ".pool",
        .path = "/org/vmd1/pool",
        .interface = POOL_INTERFACE,
        .stays = " Volumes stay.",
        .create = "CreatePool",
        .get = "GetPool",
        .list = "ListPools",
        .list_members = "name state type capacity available allocation path",
};

const ObjectKind *const kinds[] = {&kind_vm, &kind_network, &kind_pool, NULL};

/* Short, and free of what the value is: an interface that changes its network keeps its name, and so its MAC
 * address. */
static const struct {
    const char *section, *prefix;
} device_prefixes[] = {
        {"Network", "net"},
};

const ObjectKind *client_kind(const Client *client)
{
    return verb_kind(client->verb);
}

char *kind_object(const ObjectKind *kind, const char *name)
{
    char *path = NULL;
    if (sd_bus_path_encode(kind->path, name, &path) < 0)
        g_error("out of memory");
    return path;
}

const char *kind_device_prefix(const SettingKey *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(device_prefixes); i++)
        if (strcmp(device_prefixes[i].section, key->section) == 0)
            return device_prefixes[i].prefix;
    return key->option;
}
