/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "open-tap.h"

#include <errno.h>
#include <string.h>

#include "call-options.h"
#include "cleanup.h"
#include "name.h"
#include "port.h"

typedef struct Options {
    char *name, *mac;
    char **forwards;
} Options;

static void options_clear(Options *options)
{
    g_free(options->name);
    g_free(options->mac);
    g_strfreev(options->forwards);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Options, options_clear)

static bool read_options(sd_bus_message *m, Options *options, Error **ret_error)
{
    const CallOption table[] = {{"mac", 's', &options->mac}, {"name", 's', &options->name}, {"forward", 'a', &options->forwards}, {NULL}};
    return call_options_read(m, table, ret_error);
}

static bool choose_mac(const Options *options, struct ether_addr *ret, Error **ret_error)
{
    if (options->mac)
        return mac_parse(options->mac, ret) >= 0 ||
            error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, "Write it as 52:54:00:12:34:56", "\"%.64s\" is no MAC address that a guest can have", options->mac);
    g_autofree char *seed = g_uuid_string_random();
    *ret = mac_derive(seed);
    return true;
}

/* Names are what guests find each other by: nobody goes by that of another's VM. */
static bool check_name(Manager *manager, const char *name, uid_t caller, Error **ret_error)
{
    const VM *vm = manager_find_vm(manager, name);
    bool taken = vm && vm->owner != caller;
    for (guint i = 0; i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        taken |= port->owner != caller && g_str_equal(port->vm, name);
    }
    if (!name_check(name, ret_error))
        return false;
    return !taken || caller == 0 || error_set(ret_error, ERROR_IN_USE, name, "Give the VM another name", "somebody else's VM has this name");
}

static void on_port(Port *port, Tap *tap, const Error *error, void *userdata)
{
    LaterReply *later = userdata;
    Manager *manager = later->manager;
    if (error)
        reply_error(later->message, error);
    else {
        g_autofree char *mac = mac_to_string(&port->mac);
        (void) sd_bus_reply_method_return(later->message, "hss", tap->fds[0], port->link, mac);
        tap_close(tap);
    }
    reply_later_free(later);
    manager_check_idle(manager);
}

bool method_open_tap(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_auto(Options) options = {0};
    g_autofree char *user = identity_name(caller);
    const char *network;
    int r = sd_bus_message_read(m, "s", &network);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    PortWish wish = {.kind = PORT_NETWORK, .target = network, .section = "", .owner = caller, .queues = 1, .link_up = true};
    if (manager->user)
        return error_set(ret_error, ERROR_UNSUPPORTED, "OpenTap", "Call it on the system bus", "a user's vmd has no networks of its own");
    if (!read_options(m, &options, ret_error) || !choose_mac(&options, &wish.mac, ret_error) ||
        !manager_find_network_or_error(manager, network, ret_error))
        return false;
    if (options.name && !check_name(manager, options.name, caller, ret_error))
        return false;
    wish.vm = options.name ? options.name : user;
    wish.forwards = (const char *const *) options.forwards;
    (void) port_open(manager, &wish, on_port, reply_later(manager, m));
    return true;
}
