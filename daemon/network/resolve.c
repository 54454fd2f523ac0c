/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "resolve.h"

#include "cleanup.h"
#include "manager.h"

#define RESOLVE_NAME "org.freedesktop.resolve1"
#define RESOLVE_PATH "/org/freedesktop/resolve1"
#define RESOLVE_MANAGER "org.freedesktop.resolve1.Manager"

/* Not started for this: who does not use it does not want it. */
static int new_call(sd_bus *bus, const char *member, sd_bus_message **ret)
{
    int r = sd_bus_message_new_method_call(bus, ret, RESOLVE_NAME, RESOLVE_PATH, RESOLVE_MANAGER, member);
    return r < 0 ? r : sd_bus_message_set_auto_start(*ret, false);
}

static int append_servers(sd_bus_message *m, const NetworkRun *run)
{
    int r = sd_bus_message_append(m, "i", run->index);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(iay)");
    for (guint i = 0; r >= 0 && i < run->addresses->len; i++) {
        const Address *address = &g_array_index(run->addresses, Address, i);
        bool v4 = address->family == AF_INET;
        r = sd_bus_message_open_container(m, 'r', "iay");
        if (r >= 0)
            r = sd_bus_message_append(m, "i", address->family);
        if (r >= 0)
            r = sd_bus_message_append_array(m, 'y', v4 ? (const void *) &address->v4 : (const void *) &address->v6, v4 ? 4 : 16);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

void resolve_link(const Network *network)
{
    sd_bus *bus = network->manager->bus;
    const NetworkRun *run = network->run;
    g_autoptr(sd_bus_message) servers = NULL, domains = NULL;
    if (!run->dhcp || !run->domain || run->index <= 0)
        return;
    int r = new_call(bus, "SetLinkDNS", &servers);
    if (r >= 0)
        r = append_servers(servers, run);
    if (r >= 0)
        r = sd_bus_call_async(bus, NULL, servers, NULL, NULL, 0);
    if (r >= 0)
        r = new_call(bus, "SetLinkDomains", &domains);
    /* For this domain only: no other name is asked here. */
    if (r >= 0)
        r = sd_bus_message_append(domains, "ia(sb)", run->index, 1, run->domain, true);
    if (r >= 0)
        (void) sd_bus_call_async(bus, NULL, domains, NULL, NULL, 0);
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Manager *manager = userdata;
    const char *owner = NULL;
    GHashTableIter iter;
    gpointer value;
    if (sd_bus_message_read(m, "sss", NULL, NULL, &owner) < 0 || !*owner)
        return 0;
    g_hash_table_iter_init(&iter, manager->networks);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        if (((const Network *) value)->state == NETWORK_RUNNING)
            resolve_link(value);
    return 0;
}

void resolve_watch(Manager *manager)
{
    (void) sd_bus_add_match_async(manager->bus, NULL,
        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
        "member='NameOwnerChanged',arg0='" RESOLVE_NAME "'", on_owner, NULL, manager);
}
