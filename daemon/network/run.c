/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a network is while it is there, and its record: enough for a vmd that comes later to go on. */

#include <string.h>

#include "lease.h"
#include "manager.h"

#define GROUP "Network"
#define RESERVATION "Reservation "

NetworkRun *network_run_new(void)
{
    NetworkRun *run = g_new0(NetworkRun, 1);
    run->addresses = g_array_new(FALSE, FALSE, sizeof(Address));
    run->leases = g_array_new(FALSE, FALSE, sizeof(Lease));
    run->reservations = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    return run;
}

void network_run_free(NetworkRun *run)
{
    if (!run)
        return;
    sd_event_source_disable_unref(run->lease_watch);
    sd_event_source_disable_unref(run->lease_settle);
    sd_event_source_disable_unref(run->update);
    sd_event_source_disable_unref(run->revive);
    g_array_unref(run->addresses);
    g_array_unref(run->leases);
    g_hash_table_unref(run->reservations);
    g_free(run->bridge);
    g_free(run->domain);
    g_free(run->zone);
    g_free(run);
}

static char *record_path(const Network *network)
{
    g_autofree char *dir = network_dir(network);
    return g_build_filename(dir, "record", NULL);
}

static void set_address(GKeyFile *record, const char *group, const char *key, const Address *address)
{
    g_autofree char *text = address->family == AF_UNSPEC ? NULL : address_to_string(address);
    if (text)
        g_key_file_set_string(record, group, key, text);
}

static void get_address(GKeyFile *record, const char *group, const char *key, Address *ret)
{
    g_autofree char *text = g_key_file_get_string(record, group, key, NULL);
    if (!text || address_parse(text, ret) < 0)
        *ret = (Address){.family = AF_UNSPEC};
}

static void record_reservations(GKeyFile *record, const NetworkRun *run)
{
    GHashTableIter iter;
    gpointer name, value;
    g_hash_table_iter_init(&iter, run->reservations);
    while (g_hash_table_iter_next(&iter, &name, &value)) {
        const NetworkReservation *reservation = value;
        g_autofree char *group = g_strconcat(RESERVATION, name, NULL), *mac = mac_to_string(&reservation->mac);
        set_address(record, group, "Address", &reservation->address);
        g_key_file_set_string(record, group, "MAC", mac);
    }
}

bool network_write_record(const Network *network, Error **ret_error)
{
    const NetworkRun *run = network->run;
    g_autoptr(GKeyFile) record = g_key_file_new();
    g_autoptr(GPtrArray) addresses = g_ptr_array_new_with_free_func(g_free);
    for (guint i = 0; i < run->addresses->len; i++)
        g_ptr_array_add(addresses, address_to_string(&g_array_index(run->addresses, Address, i)));

    g_key_file_set_string(record, GROUP, "Bridge", run->bridge);
    g_key_file_set_integer(record, GROUP, "Index", run->index);
    g_key_file_set_string(record, GROUP, "Mode", network_mode_to_string(run->mode));
    g_key_file_set_string_list(record, GROUP, "Addresses", (const char *const *) addresses->pdata, addresses->len);
    g_key_file_set_boolean(record, GROUP, "DHCP", run->dhcp);
    set_address(record, GROUP, "First", &run->first);
    set_address(record, GROUP, "Last", &run->last);
    if (run->domain)
        g_key_file_set_string(record, GROUP, "Domain", run->domain);
    if (run->zone)
        g_key_file_set_string(record, GROUP, "Zone", run->zone);
    g_key_file_set_integer(record, GROUP, "MTU", (int) run->mtu);
    g_key_file_set_boolean(record, GROUP, "Isolate", run->isolate);
    g_key_file_set_boolean(record, GROUP, "Filter", run->filter);
    g_key_file_set_boolean(record, GROUP, "HostAccess", run->host_access);
    g_key_file_set_boolean(record, GROUP, "Kept", run->kept);
    g_key_file_set_uint64(record, GROUP, "LeaseTime", run->lease_usec);
    g_key_file_set_string(record, GROUP, "State", network_state_to_string(network->state));
    record_reservations(record, run);

    g_autofree char *path = record_path(network);
    g_autoptr(GError) error = NULL;
    if (!g_key_file_save_to_file(record, path, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be written: %s", error->message);
    return true;
}

static void read_reservations(GKeyFile *record, NetworkRun *run)
{
    g_auto(GStrv) groups = g_key_file_get_groups(record, NULL);
    for (size_t i = 0; groups[i]; i++) {
        if (!g_str_has_prefix(groups[i], RESERVATION))
            continue;
        NetworkReservation *reservation = g_new0(NetworkReservation, 1);
        g_autofree char *mac = g_key_file_get_string(record, groups[i], "MAC", NULL);
        get_address(record, groups[i], "Address", &reservation->address);
        if (!mac || mac_parse(mac, &reservation->mac) < 0)
            reservation->mac = (struct ether_addr){0};
        g_hash_table_insert(run->reservations, g_strdup(groups[i] + strlen(RESERVATION)), reservation);
    }
}

bool network_read_record(Network *network, Error **ret_error)
{
    g_autoptr(GKeyFile) record = g_key_file_new();
    g_autofree char *path = record_path(network);
    g_autoptr(GError) error = NULL;
    if (!g_key_file_load_from_file(record, path, G_KEY_FILE_NONE, &error))
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be read: %s", error->message);

    g_autoptr(NetworkRun) run = network_run_new();
    g_autofree char *mode = g_key_file_get_string(record, GROUP, "Mode", NULL);
    g_auto(GStrv) addresses = g_key_file_get_string_list(record, GROUP, "Addresses", NULL, NULL);
    run->bridge = g_key_file_get_string(record, GROUP, "Bridge", NULL);
    run->index = g_key_file_get_integer(record, GROUP, "Index", NULL);
    run->mode = network_mode_from_string(mode);
    for (size_t i = 0; addresses && addresses[i]; i++) {
        Address address;
        if (address_parse(addresses[i], &address) >= 0)
            g_array_append_val(run->addresses, address);
    }
    run->dhcp = g_key_file_get_boolean(record, GROUP, "DHCP", NULL);
    get_address(record, GROUP, "First", &run->first);
    get_address(record, GROUP, "Last", &run->last);
    run->domain = g_key_file_get_string(record, GROUP, "Domain", NULL);
    run->zone = g_key_file_get_string(record, GROUP, "Zone", NULL);
    run->mtu = (unsigned) g_key_file_get_integer(record, GROUP, "MTU", NULL);
    run->isolate = g_key_file_get_boolean(record, GROUP, "Isolate", NULL);
    run->filter = g_key_file_get_boolean(record, GROUP, "Filter", NULL);
    run->host_access = g_key_file_get_boolean(record, GROUP, "HostAccess", NULL);
    run->kept = g_key_file_get_boolean(record, GROUP, "Kept", NULL);
    run->lease_usec = g_key_file_get_uint64(record, GROUP, "LeaseTime", NULL);
    read_reservations(record, run);
    if (!run->bridge)
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it is not whole");
    network->run = g_steal_pointer(&run);
    return true;
}
