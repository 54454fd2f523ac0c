/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "firewalld.h"

#include "cleanup.h"
#include "manager.h"
#include "value.h"

#define FIREWALLD_NAME "org.fedoraproject.FirewallD1"
#define FIREWALLD_PATH "/org/fedoraproject/FirewallD1"
#define FIREWALLD_ZONE "org.fedoraproject.FirewallD1.zone"
#define TIMEOUT_USEC (30 * USEC_PER_SEC)

/* `userdata`: what was asked for, as text. */
static int on_added(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const sd_bus_error *error = sd_bus_message_get_error(m);
    bool absent = error && (sd_bus_error_has_name(error, SD_BUS_ERROR_SERVICE_UNKNOWN) || sd_bus_error_has_name(error, SD_BUS_ERROR_NAME_HAS_NO_OWNER));
    if (error && !absent)
        g_warning("%s: firewalld has not done it, and may reject its guests ('firewall-cmd --reload' has it tried again): %s", (const char *) userdata, error->message);
    return 0;
}

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    return 0;
}

/* Calls come to it in the order in which they are made, so one that hangs meanwhile ends with what was said last. */
static void call(const Network *network, const char *member, const char *zone, sd_bus_message_handler_t answer)
{
    sd_bus *bus = network->manager->bus;
    const NetworkRun *run = network->run;
    g_autoptr(sd_bus_message) m = NULL;
    g_autoptr(sd_bus_slot) slot = NULL;
    if (run->mode == NETWORK_BRIDGE)
        return;
    int r = sd_bus_message_new_method_call(bus, &m, FIREWALLD_NAME, FIREWALLD_PATH, FIREWALLD_ZONE, member);
    if (r >= 0)
        r = sd_bus_message_set_auto_start(m, false);
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", zone, run->bridge);
    if (r < 0)
        return;
    char *what = g_strdup_printf("%s into zone %s", run->bridge, zone);
    if (sd_bus_call_async(bus, &slot, m, answer, what, TIMEOUT_USEC) < 0) {
        g_free(what);
        return;
    }
    (void) sd_bus_slot_set_destroy_callback(slot, g_free);
    (void) sd_bus_slot_set_floating(slot, true);
}

void firewalld_add(const Network *network)
{
    call(network, "changeZoneOfInterface", network->run->zone ?: "vmd", on_added);
}

/* From whichever zone it is in: an admin may have moved it. */
void firewalld_remove(const Network *network)
{
    call(network, "removeInterface", "", on_removed);
}

static void add_all(Manager *manager)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->networks);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const Network *network = value;
        if (network->run && network->state != NETWORK_STOPPING)
            firewalld_add(network);
    }
}

static int on_reloaded(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    add_all(userdata);
    return 0;
}

static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const char *owner = NULL;
    if (sd_bus_message_read(m, "sss", NULL, NULL, &owner) >= 0 && *owner)
        add_all(userdata);
    return 0;
}

void firewalld_watch(Manager *manager)
{
    (void) sd_bus_match_signal_async(manager->bus, NULL, FIREWALLD_NAME, FIREWALLD_PATH, FIREWALLD_NAME, "Reloaded", on_reloaded, NULL, manager);
    (void) sd_bus_add_match_async(manager->bus, NULL,
        "type='signal',sender='org.freedesktop.DBus',path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
        "member='NameOwnerChanged',arg0='" FIREWALLD_NAME "'", on_owner, NULL, manager);
}
