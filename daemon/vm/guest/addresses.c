/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "addresses.h"

#include <string.h>

#include "guest.h"
#include "instance.h"
#include "lease.h"
#include "link.h"
#include "manager.h"
#include "port.h"

typedef struct Reply {
    sd_bus_message *m;
    const Port *port;
    GHashTable *seen; /* section and address: the first source that knows one counts */
} Reply;

static int append(Reply *reply, const char *section, const struct ether_addr *mac, const Address *address, const char *source)
{
    g_autofree char *mac_text = mac_to_string(mac), *text = address_to_string_bare(address);
    if (!g_hash_table_add(reply->seen, g_strdup_printf("%s %s", section, text)))
        return 0;
    return sd_bus_message_append(reply->m, "(ssss)", section, mac_text, text, source);
}

static int append_of_port(Reply *reply, const Address *address, const char *source)
{
    return append(reply, reply->port->section, &reply->port->mac, address, source);
}

static int append_leases(Reply *reply)
{
    const GArray *leases = reply->port->network->run->leases;
    int r = 0;
    for (guint i = 0; r >= 0 && i < leases->len; i++) {
        const Lease *lease = &g_array_index(leases, Lease, i);
        if (memcmp(&lease->mac, &reply->port->mac, sizeof lease->mac) == 0)
            r = append_of_port(reply, &lease->address, "lease");
    }
    return r;
}

static int append_neighbours(Reply *reply, Links *links)
{
    g_autoptr(GArray) neighbours = links_neighbours(links, reply->port->network->run->index, NULL);
    int r = 0;
    for (guint i = 0; neighbours && r >= 0 && i < neighbours->len; i++) {
        const Neighbour *neighbour = &g_array_index(neighbours, Neighbour, i);
        bool link_local = neighbour->address.family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&neighbour->address.v6);
        if (!link_local && memcmp(&neighbour->mac, &reply->port->mac, sizeof neighbour->mac) == 0)
            r = append_of_port(reply, &neighbour->address, "neighbour");
    }
    return r;
}

/* What the guest says of itself, of all its cards: those on links of the host and with user networking have no other source. */
static int append_guest(Reply *reply, const Guest *guest)
{
    const GPtrArray *cards = guest_cards(guest);
    int r = 0;
    for (guint i = 0; cards && i < cards->len; i++) {
        const GuestCard *card = cards->pdata[i];
        for (guint j = 0; r >= 0 && j < card->addresses->len; j++)
            r = append(reply, card->section, &card->mac, &g_array_index(card->addresses, Address, j), "agent");
    }
    return r;
}

int vm_append_addresses(VM *vm, sd_bus_message *m)
{
    const Manager *manager = vm->manager;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    Reply reply = {.m = m, .seen = seen};
    int r = sd_bus_message_open_container(m, 'a', "(ssss)");
    for (guint i = 0; r >= 0 && i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        if (!port->network || !port->network->run || !*port->section || !g_str_equal(port->vm, vm->name))
            continue;
        reply.port = port;
        r = append_leases(&reply);
        if (r >= 0)
            r = append_neighbours(&reply, manager->links);
    }
    if (r >= 0 && vm->instance)
        r = append_guest(&reply, vm->instance->guest);
    return r < 0 ? r : sd_bus_message_close_container(m);
}
