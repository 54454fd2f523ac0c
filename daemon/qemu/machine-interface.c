/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Network NAME] as QEMU's arguments: a netdev behind descriptors of a tap, and the card before it. */

#include <string.h>
#include <unistd.h>

#include "machine-internal.h"

#define QUEUES_DEFAULT_MAX 8U

void machine_interface_free(MachineInterface *interface)
{
    if (!interface)
        return;
    for (unsigned i = 0; i < interface->queues; i++) {
        if (interface->fds[i] >= 0)
            (void) close(interface->fds[i]);
        if (interface->vhost_fds[i] >= 0)
            (void) close(interface->vhost_fds[i]);
    }
    g_free(interface->section);
    g_free(interface->name);
    g_free(interface->mac);
    g_free(interface);
}

static bool is_virtio(const Settings *settings, const char *section)
{
    return g_str_equal(settings_get_string(settings, section, "Model"), "virtio");
}

unsigned machine_interface_queues(const Settings *settings, const char *section)
{
    if (!is_virtio(settings, section) || settings_get_bool(settings, section, "User"))
        return 1;
    unsigned set = (unsigned) settings_get_number(settings, section, "Queues"), cpus = (unsigned) settings_get_number(settings, "VM", "CPUs");
    return set > 0 ? set : MIN(cpus, QUEUES_DEFAULT_MAX);
}

static void append_fds(Command *command, GString *netdev, const char *one, const char *several, const int *fds, unsigned n)
{
    g_string_append_printf(netdev, ",%s=", n > 1 ? several : one);
    for (unsigned i = 0; i < n; i++) {
        g_string_append_printf(netdev, "%s%d", i > 0 ? ":" : "", fds[i]);
        command_add_fd(command, fds[i]);
    }
}

/* passt speaks what QEMU's oldest backend for sockets does: frames in a stream, each after its length. */
static void add_netdev(Command *command, const MachineInterface *interface, bool user, const char *from)
{
    g_autoptr(GString) netdev = g_string_new(NULL);
    g_string_append_printf(netdev, "%s,id=net-%s", user ? "socket" : "tap", interface->name);
    append_fds(command, netdev, "fd", "fds", interface->fds, interface->queues);
    if (interface->vhost_fds[0] >= 0) {
        g_string_append(netdev, ",vhost=on");
        append_fds(command, netdev, "vhostfd", "vhostfds", interface->vhost_fds, interface->queues);
    }
    command_add(command, from, "-netdev", netdev->str, NULL);
}

static bool add_card(Command *command, const MachineParts *parts, const MachineInterface *interface, const char *from, Error **ret_error)
{
    const Settings *s = parts->settings;
    const char *model = settings_get_string(s, interface->section, "Model");
    bool virtio = is_virtio(s, interface->section);
    const char *type = virtio ? "virtio-net-pci" : model;
    if (!machine_needs_device(parts->build, type, from, ret_error))
        return false;
    g_autoptr(GString) device = g_string_new(NULL);
    g_string_append_printf(device, "%s,id=nic-%s,netdev=net-%s,mac=%s", type, interface->name, interface->name, interface->mac);
    if (machine_is_pcie(parts))
        g_string_append_printf(device, ",bus=port-%s", interface->name);
    /* A vector for each queue, both ways, one for changes of the configuration, one for the control queue. */
    if (interface->queues > 1)
        g_string_append_printf(device, ",mq=on,vectors=%u", 2 * interface->queues + 2);
    if (virtio && interface->mtu > 0)
        g_string_append_printf(device, ",host_mtu=%u", interface->mtu);
    /* Nobody boots from it where there is a kernel. */
    if (parts->kernel_fd >= 0)
        g_string_append(device, ",romfile=");
    command_add(command, from, "-device", device->str, NULL);
    return true;
}

bool machine_add_interfaces(Command *command, const MachineParts *parts, Error **ret_error)
{
    for (guint i = 0; parts->interfaces && i < parts->interfaces->len; i++) {
        const MachineInterface *interface = parts->interfaces->pdata[i];
        const char *from = settings_section_origin(parts->settings, interface->section);
        /* Behind a port of its own, so that it can go while the guest runs. */
        if (machine_is_pcie(parts))
            command_addf(command, from, "-device", "pcie-root-port,id=port-%s,chassis=%u", interface->name, MACHINE_SLOTS + i + 1);
        add_netdev(command, interface, settings_get_bool(parts->settings, interface->section, "User"), from);
        if (!add_card(command, parts, interface, from, ret_error))
            return false;
    }
    return true;
}
