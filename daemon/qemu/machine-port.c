/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Serial NAME] and [Parallel NAME] as QEMU's arguments: a port of the guest's, and the one of the host's behind it. */

#include <unistd.h>

#include "cleanup.h"
#include "machine-internal.h"

/* A PC has no more of them; the console may be the first. */
#define ISA_SERIAL_MAX 4U

void machine_port_free(MachinePort *port)
{
    if (!port)
        return;
    close_fd(&port->fd);
    g_free(port->section);
    g_free(port->name);
    g_free(port->path);
    g_free(port);
}

static const char *device_type(const MachinePort *port, bool x86, unsigned n_serial)
{
    if (port->parallel)
        return "isa-parallel";
    return x86 && n_serial < ISA_SERIAL_MAX ? "isa-serial" : "pci-serial";
}

bool machine_add_ports(Command *command, const MachineParts *parts, unsigned *set, Error **ret_error)
{
    bool x86 = machine_is_x86(parts->build);
    unsigned n_serial = parts->console_fd >= 0 && g_str_equal(settings_get_string(parts->settings, "Console", "Type"), "serial");
    for (guint i = 0; parts->ports && i < parts->ports->len; i++) {
        const MachinePort *port = parts->ports->pdata[i];
        const char *from = machine_origin(parts, port->section, "Device"), *kind = port->parallel ? "parallel" : "serial";
        const char *type = device_type(port, x86, n_serial);
        if (port->parallel && !x86)
            return error_set(ret_error, ERROR_UNSUPPORTED, from, "Remove the section", "only x86 has parallel ports");
        if (!machine_needs_device(parts->build, type, from, ret_error))
            return false;
        n_serial += !port->parallel;
        command_addf(command, from, "-add-fd", "fd=%d,set=%u", port->fd, *set);
        command_add_fd(command, port->fd);
        command_addf(command, from, "-chardev", "%s,id=%s-%s,path=/dev/fdset/%u", kind, kind, port->name, (*set)++);
        command_addf(command, from, "-device", "%s,id=%s-%s,chardev=%s-%s", type, kind, port->name, kind, port->name);
    }
    return true;
}
