/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [Share NAME] as QEMU's arguments: a socket to virtiofsd, and the device before it. */

#include <unistd.h>

#include "cleanup.h"
#include "machine-internal.h"

#define LAST_CHASSIS 255U

void machine_share_free(MachineShare *share)
{
    if (!share)
        return;
    close_fd(&share->fd);
    close_fd(&share->socket_fd);
    g_free(share->section);
    g_free(share->name);
    g_free(share->path);
    g_free(share->program);
    g_clear_pointer(&share->groups, g_array_unref);
    g_free(share);
}

bool machine_has_share(const QemuBuild *build, const char *section, Error **ret_error)
{
    if (!machine_needs_device(build, MACHINE_SHARE_DEVICE, section, ret_error))
        return false;
    return qemu_build_has_object(build, "memory-backend-memfd") ||
        error_set(ret_error, ERROR_UNSUPPORTED, section, "Install a QEMU that was built with memfd, or remove the section",
            "%s cannot share a guest's memory", qemu_build_path(build));
}

json_t *machine_share_device(const char *name)
{
    g_autofree char *id = g_strdup_printf("share-%s", name);
    /* As many requests at a time as libvirt and QEMU's own manual have. */
    return json_pack("{ss ss ss ss si}", "driver", MACHINE_SHARE_DEVICE, "id", id, "chardev", id, "tag", name, "queue-size", 1024);
}

/* Of its own, so that it can go while the guest runs; with the numbers that disks and interfaces reach last. */
static void add_port(Command *command, const char *from, const MachineShare *share, unsigned n, json_t *device)
{
    g_autofree char *port = g_strdup_printf("shareport-%s", share->name);
    command_addf(command, from, "-device", "pcie-root-port,id=%s,chassis=%u", port, LAST_CHASSIS - n);
    json_object_set_new(device, "bus", json_string(port));
}

bool machine_add_shares(Command *command, const MachineParts *parts, Error **ret_error)
{
    for (guint i = 0; parts->shares && i < parts->shares->len; i++) {
        const MachineShare *share = parts->shares->pdata[i];
        const char *from = machine_origin(parts, share->section, "Path");
        if (!machine_has_share(parts->build, share->section, ret_error))
            return false;
        command_addf(command, from, "-chardev", "socket,id=share-%s,fd=%d", share->name, share->socket_fd);
        command_add_fd(command, share->socket_fd);
        json_t *device = machine_share_device(share->name);
        if (machine_is_pcie(parts))
            add_port(command, from, share, i, device);
        machine_add_device(command, from, device);
        json_decref(device);
    }
    return true;
}
