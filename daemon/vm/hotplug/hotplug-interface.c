/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Network NAME] that comes or goes: a port and its tap, a netdev, the card. The tap is there for as long as QEMU has it, so what goes
 * takes its port along. */

#include "hotplug-kind.h"
#include "interfaces.h"
#include "manager.h"

typedef struct HotInterface {
    PortOpening *opening;
    Port *port;
    Tap tap;
    bool open;
} HotInterface;

static char *netdev_of(const Hotplug *hotplug)
{
    return g_strdup_printf("net-%s", hotplug->name);
}

static void close_tap(Hotplug *hotplug)
{
    HotInterface *own = hotplug->own;
    if (own->open)
        tap_close(&own->tap);
    own->open = false;
}

static void free_own(Hotplug *hotplug)
{
    HotInterface *own = hotplug->own;
    port_open_cancel(own->opening);
    close_tap(hotplug);
}

static void close_port(Hotplug *hotplug)
{
    HotInterface *own = hotplug->own;
    Port *port = g_steal_pointer(&own->port);
    close_tap(hotplug);
    if (port)
        port_close(port);
}

static void on_port(Port *port, Tap *tap, const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    HotInterface *own = hotplug->own;
    own->opening = NULL;
    if (!error) {
        own->port = port;
        own->tap = *tap;
        own->open = true;
    }
    hotplug_opened(hotplug, error);
}

static bool check_interface(Hotplug *hotplug, Error **ret_error)
{
    return true;
}

static bool open_port(Hotplug *hotplug, Error **ret_error)
{
    HotInterface *own = hotplug->own;
    VM *vm = hotplug->vm;
    char uuid[SD_ID128_UUID_STRING_MAX];
    PortWish wish;
    if (!interface_wish(sd_id128_to_uuid_string(vm->uuid, uuid), hotplug->settings, hotplug->section, &wish, ret_error))
        return false;
    wish.vm = vm->name;
    wish.section = hotplug->name;
    wish.owner = vm->owner;
    own->opening = port_open(vm->manager, &wish, on_port, hotplug);
    return true;
}

/* Descriptors go first, each under a name; netdev_add then takes them by these. An error of theirs is one of its, too. */
static int send_fds(Hotplug *hotplug, const int *fds, const char *kind, GString *names)
{
    const HotInterface *own = hotplug->own;
    int r = 0;
    for (unsigned i = 0; r >= 0 && i < own->tap.queues; i++) {
        g_autofree char *name = g_strdup_printf("net-%s-%s%u", hotplug->name, kind, i);
        g_string_append_printf(names, "%s%s", i > 0 ? ":" : "", name);
        r = qmp_call(hotplug->vm->instance->qmp, "getfd", json_pack("{ss}", "fdname", name), fds[i], 0, NULL, NULL);
    }
    return r;
}

static void on_netdev(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    hotplug_added(userdata, error);
}

static int add_netdev(Hotplug *hotplug)
{
    const HotInterface *own = hotplug->own;
    const Tap *tap = &own->tap;
    bool user = !*tap->name, several = tap->queues > 1, vhost = tap->vhost_fds[0] >= 0;
    g_autofree char *netdev = netdev_of(hotplug);
    g_autoptr(GString) fds = g_string_new(NULL), vhost_fds = g_string_new(NULL);
    int r = send_fds(hotplug, tap->fds, "fd", fds);
    if (r >= 0 && vhost)
        r = send_fds(hotplug, tap->vhost_fds, "vhost", vhost_fds);
    if (r < 0)
        return r;
    json_t *arguments = json_pack("{ss ss ss}", "type", user ? "socket" : "tap", "id", netdev, several ? "fds" : "fd", fds->str);
    if (vhost) {
        json_object_set_new(arguments, "vhost", json_true());
        json_object_set_new(arguments, several ? "vhostfds" : "vhostfd", json_string(vhost_fds->str));
    }
    return qmp_call(hotplug->vm->instance->qmp, "netdev_add", arguments, -1, HOTPLUG_QMP_USEC, on_netdev, hotplug);
}

static void on_netdev_gone(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    hotplug_removed(userdata);
}

static int remove_netdev(Hotplug *hotplug)
{
    g_autofree char *netdev = netdev_of(hotplug);
    return qmp_call(hotplug->vm->instance->qmp, "netdev_del", json_pack("{ss}", "id", netdev), -1, HOTPLUG_QMP_USEC, on_netdev_gone, hotplug);
}

static json_t *make_card(Hotplug *hotplug)
{
    const HotInterface *own = hotplug->own;
    struct ether_addr address;
    char uuid[SD_ID128_UUID_STRING_MAX];
    if (!interface_mac(sd_id128_to_uuid_string(hotplug->vm->uuid, uuid), hotplug->settings, hotplug->section, &address, NULL))
        return NULL;
    g_autofree char *mac = mac_to_string(&address), *netdev = netdev_of(hotplug);
    const char *model = settings_get_string(hotplug->settings, hotplug->section, "Model");
    bool virtio = g_str_equal(model, "virtio");
    json_t *card = json_pack("{ss ss ss ss}", "driver", virtio ? "virtio-net-pci" : model, "id", hotplug->device, "netdev", netdev, "mac", mac);
    unsigned set = (unsigned) settings_get_number(hotplug->settings, hotplug->section, "MTU"), mtu = set > 0 ? set : port_mtu(own->port);
    if (virtio && mtu > 0)
        json_object_set_new(card, "host_mtu", json_integer(mtu));
    if (own->tap.queues > 1) {
        json_object_set_new(card, "mq", json_true());
        json_object_set_new(card, "vectors", json_integer(2 * own->tap.queues + 2));
    }
    return card;
}

/* Link=down: QEMU has no argument for it, and the guest takes longer to find the card. */
static void attached(Hotplug *hotplug)
{
    const HotInterface *own = hotplug->own;
    if (!own->port->link_up)
        (void) qmp_call(hotplug->vm->instance->qmp, "set_link", json_pack("{ss sb}", "name", hotplug->device, "up", 0), -1, 0, NULL, NULL);
    close_tap(hotplug);
}

const HotplugKind hotplug_interface = {
    .section = "Network",
    .device = "nic",
    .size = sizeof(HotInterface),
    .check = check_interface,
    .open = open_port,
    .close = close_port,
    .add = add_netdev,
    .remove = remove_netdev,
    .make_device = make_card,
    .attached = attached,
    .free = free_own,
};
