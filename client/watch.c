/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "watch.h"

#include <errno.h>
#include <string.h>

#include "connect.h"
#include "json.h"
#include "kind.h"
#include "report.h"
#include "value.h"

bool watch_is_up(const json_t *vm)
{
    static const char *const down[] = {"stopped", "saved", "failed", NULL};
    return !g_strv_contains(down, json_get_string(vm, "State"));
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    *(bool *) userdata = true;
    return 0;
}

/* -ETIMEDOUT: the time is over. */
static int wait_for_change(Client *client, const bool *changed, uint64_t deadline)
{
    while (!*changed) {
        int r = sd_bus_process(client->bus, NULL);
        if (r < 0)
            return r;
        if (r > 0)
            continue;
        uint64_t now = (uint64_t) g_get_monotonic_time();
        if (now >= deadline)
            return -ETIMEDOUT;
        r = sd_bus_wait(client->bus, deadline == USEC_INFINITY ? UINT64_MAX : deadline - now);
        if (r < 0 && r != -EINTR)
            return r;
    }
    return 0;
}

/* It is watched before it is asked, so that nothing is missed in between; and vmd is, since another one that comes after it says
 * nothing of what is as it was. */
int watch_until(Client *client, const char *name, WatchIsThere is_there, uint64_t deadline, json_t **ret)
{
    static const char vmd_changed[] = "type='signal',sender='org.freedesktop.DBus',member='NameOwnerChanged',arg0='" BUS_NAME "'";
    __attribute__((cleanup(sd_bus_slot_unrefp))) sd_bus_slot *slot = NULL, *vmd_slot = NULL;
    g_autofree char *path = kind_object(client_kind(client), name);
    bool changed;
    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_match_signal(client->bus, &slot, BUS_NAME, path, "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed, &changed);
    if (r >= 0)
        r = sd_bus_add_match(client->bus, &vmd_slot, vmd_changed, on_changed, &changed);
    if (r < 0)
        return report_errno(r, "VM \"%s\": cannot watch it", name);
    for (;;) {
        g_autoptr(json_t) vm = NULL;
        changed = false;
        r = json_get_properties(client, name, &vm);
        if (r != EXIT_DONE)
            return r;
        bool over = is_there(vm) || !watch_is_up(vm);
        r = over ? 0 : wait_for_change(client, &changed, deadline);
        if (over || r == -ETIMEDOUT) {
            *ret = json_incref(vm);
            return EXIT_DONE;
        }
        if (r < 0)
            return report_errno(r, "the bus: it broke off");
    }
}

static bool has_booted(const json_t *vm)
{
    return json_get_bool(vm, "Booted");
}

static bool has_agent(const json_t *vm)
{
    return json_get_bool(vm, "AgentConnected");
}

static bool has_address(const json_t *vm)
{
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(vm, "Addresses"), i, row)
    {
        const char *address = json_string_value(json_array_get(row, 2));
        if (address && *address)
            return true;
    }
    return false;
}

int watch_for(Client *client, char **names, const char *what)
{
    static const struct {
        const char *what, *words;
        WatchIsThere is_there;
    } wants[] = {
        {"booted", "word from its guest that it is up", has_booted},
        {"agent", "guest agent", has_agent},
        {"ip", "address", has_address},
    };
    int first = EXIT_DONE;
    size_t i = 0;
    while (i < G_N_ELEMENTS(wants) && strcmp(wants[i].what, what) != 0)
        i++;
    g_assert(i < G_N_ELEMENTS(wants));
    for (char **name = names; *name; name++) {
        g_autoptr(json_t) vm = NULL;
        int r = watch_until(client, *name, wants[i].is_there, USEC_INFINITY, &vm);
        if (r == EXIT_DONE && !wants[i].is_there(vm))
            r = report("VM \"%s\": it is %s, and there was no %s. See: vmctl%s status %s", *name, json_get_string(vm, "State"), wants[i].words,
                client_hint_options(client), *name);
        if (first == EXIT_DONE)
            first = r;
    }
    return first;
}
