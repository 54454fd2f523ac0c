/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "interfaces.h"

#include <string.h>

#include "manager.h"

typedef struct Opening {
    Interfaces *all;
    char *section, *name;
    PortOpening *opening; /* while it is opened */
    bool open;
    Tap tap;
    struct ether_addr mac;
    unsigned mtu;
} Opening;

struct Interfaces {
    Manager *manager;
    GPtrArray *list; /* Opening */
    unsigned pending;
    InterfacesDone done;
    void *userdata;
    Error *error;
};

static void opening_free(void *userdata)
{
    Opening *one = userdata;
    port_open_cancel(one->opening);
    if (one->open) {
        Port *port = port_find_by_link(one->all->manager, one->tap.name);
        tap_close(&one->tap);
        if (port)
            port_close(port);
    }
    g_free(one->section);
    g_free(one->name);
    g_free(one);
}

void interfaces_free(Interfaces *interfaces)
{
    if (!interfaces)
        return;
    g_ptr_array_unref(interfaces->list);
    error_free(interfaces->error);
    g_free(interfaces);
}

/* ---- what the settings say ---- */

bool interface_mac(const char *uuid, const Settings *settings, const char *section, struct ether_addr *ret, Error **ret_error)
{
    const char *set = settings_get_string(settings, section, "MAC");
    if (set)
        return mac_parse(set, ret) >= 0 ||
            error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, section, "MAC"), "Write it as 52:54:00:12:34:56",
                "\"%s\" is no MAC address that a guest can have", set);
    g_autofree char *seed = g_strdup_printf("%s %s", uuid, section);
    *ret = mac_derive(seed);
    return true;
}

/* Which of the links it is on; at most one may be set. */
static bool read_target(const Settings *settings, const char *section, PortWish *wish, Error **ret_error)
{
    static const struct {
        const char *key;
        PortKind kind;
    } keys[] = {{"Network", PORT_NETWORK}, {"Bridge", PORT_BRIDGE}, {"Macvtap", PORT_MACVTAP}};
    const char *first = NULL;
    *wish = (PortWish){.kind = PORT_NETWORK, .target = "default"};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        const char *value = settings_get_string(settings, section, keys[i].key);
        if (!value)
            continue;
        if (first)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, section, keys[i].key), "Remove one of them",
                "[%s] has %s= and %s=, and an interface is on one link only", section, first, keys[i].key);
        first = keys[i].key;
        wish->kind = keys[i].kind;
        wish->target = value;
    }
    if (settings_get_bool(settings, section, "User")) {
        if (first)
            return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, section, "User"), "Remove one of them",
                "[%s] has %s= and User=yes, and an interface is on one link only", section, first);
        wish->kind = PORT_USER;
        wish->target = "";
        return true;
    }
    bool is_link = wish->kind != PORT_NETWORK && !(wish->kind == PORT_BRIDGE && g_str_equal(wish->target, "auto"));
    if (is_link && !link_name_is_valid(wish->target))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, section, first), "A link's name has at most 15 bytes",
            "\"%s\" cannot be the name of a link", wish->target);
    return true;
}

bool interface_wish(const char *uuid, const Settings *settings, const char *section, PortWish *wish, Error **ret_error)
{
    if (!read_target(settings, section, wish, ret_error) || !interface_mac(uuid, settings, section, &wish->mac, ret_error))
        return false;
    wish->queues = machine_interface_queues(settings, section);
    wish->vhost = wish->kind != PORT_USER && g_str_equal(settings_get_string(settings, section, "Model"), "virtio");
    wish->filter = settings_get_bool(settings, section, "Filter");
    wish->mtu = (unsigned) settings_get_number(settings, section, "MTU");
    wish->receive_max = settings_get_number(settings, section, "ReceiveMax");
    wish->send_max = settings_get_number(settings, section, "SendMax");
    wish->link_up = g_str_equal(settings_get_string(settings, section, "Link"), "up");
    wish->forwards = settings_get_words(settings, section, "Forward");
    return true;
}

/* ---- opening ---- */

static void on_port(Port *port, Tap *tap, const Error *error, void *userdata)
{
    Opening *one = userdata;
    Interfaces *all = one->all;
    one->opening = NULL;
    if (tap) {
        one->tap = *tap;
        one->open = true;
        if (one->mtu == 0)
            one->mtu = port_mtu(port);
    }
    if (error && !all->error)
        all->error = error_copy(error);
    if (--all->pending > 0)
        return;
    g_autoptr(Error) first = g_steal_pointer(&all->error);
    all->done(first, all->userdata);
}

static bool begin(Interfaces *all, VM *vm, const char *uuid, const Settings *settings, const char *section, Error **ret_error)
{
    g_autofree char *kind = NULL, *name = NULL;
    PortWish wish;
    if (!settings_section_split(&vm_schema, section, &kind, &name, ret_error) || !interface_wish(uuid, settings, section, &wish, ret_error))
        return false;
    Opening *one = g_new0(Opening, 1);
    g_ptr_array_add(all->list, one);
    one->all = all;
    one->section = g_strdup(section);
    one->name = g_steal_pointer(&name);
    one->mac = wish.mac;
    one->mtu = wish.mtu;
    wish.vm = vm->name;
    wish.section = one->name;
    wish.owner = vm->owner;
    one->opening = port_open(all->manager, &wish, on_port, one);
    all->pending++;
    return true;
}

bool interfaces_open(VM *vm, const Settings *settings, InterfacesDone done, void *userdata, Interfaces **ret, Error **ret_error)
{
    g_autofree const char **sections = settings_sections(settings, "Network");
    char uuid[SD_ID128_UUID_STRING_MAX];
    *ret = NULL;
    if (!sections[0])
        return true;
    g_autoptr(Interfaces) all = g_new0(Interfaces, 1);
    all->manager = vm->manager;
    all->done = done;
    all->userdata = userdata;
    all->list = g_ptr_array_new_with_free_func(opening_free);
    for (size_t i = 0; sections[i]; i++)
        if (!begin(all, vm, sd_id128_to_uuid_string(vm->uuid, uuid), settings, sections[i], ret_error))
            return false;
    *ret = g_steal_pointer(&all);
    return true;
}

static MachineInterface *new_part(const char *section, const char *name, const struct ether_addr *mac)
{
    MachineInterface *part = g_new0(MachineInterface, 1);
    part->section = g_strdup(section);
    part->name = g_strdup(name);
    part->mac = mac_to_string(mac);
    return part;
}

void interfaces_take(Interfaces *interfaces, MachineParts *parts)
{
    parts->interfaces = g_ptr_array_new_with_free_func((GDestroyNotify) machine_interface_free);
    for (guint i = 0; i < interfaces->list->len; i++) {
        Opening *one = interfaces->list->pdata[i];
        MachineInterface *part = new_part(one->section, one->name, &one->mac);
        part->queues = one->tap.queues;
        part->mtu = one->mtu;
        memcpy(part->fds, one->tap.fds, part->queues * sizeof *part->fds);
        memcpy(part->vhost_fds, one->tap.vhost_fds, part->queues * sizeof *part->vhost_fds);
        one->open = false;
        g_ptr_array_add(parts->interfaces, part);
    }
}

bool interfaces_preview(const char *uuid, const Settings *settings, MachineParts *parts, Error **ret_error)
{
    g_autofree const char **sections = settings_sections(settings, "Network");
    parts->interfaces = g_ptr_array_new_with_free_func((GDestroyNotify) machine_interface_free);
    for (size_t i = 0; sections[i]; i++) {
        g_autofree char *kind = NULL, *name = NULL;
        PortWish wish;
        if (!settings_section_split(&vm_schema, sections[i], &kind, &name, ret_error) ||
            !interface_wish(uuid, settings, sections[i], &wish, ret_error))
            return false;
        MachineInterface *part = new_part(sections[i], name, &wish.mac);
        part->queues = wish.queues;
        part->mtu = wish.mtu;
        for (unsigned j = 0; j < part->queues; j++)
            part->fds[j] = part->vhost_fds[j] = -1;
        g_ptr_array_add(parts->interfaces, part);
    }
    return true;
}
