/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* VSock= of [VM] as QEMU's arguments: the device, and where a guest's systemd is to say that it is up. */

#include "machine-internal.h"

bool machine_add_vsock(Command *command, const MachineParts *parts, Error **ret_error)
{
    static const char device[] = "vhost-vsock-pci";
    if (!settings_get_bool(parts->settings, "VM", "VSock"))
        return true;
    const char *from = machine_origin(parts, "VM", "VSock");
    if (!machine_needs_device(parts->build, device, from, ret_error))
        return false;
    command_addf(command, from, "-device", "%s,id=vsock0,guest-cid=%u,vhostfd=%d", device, parts->vsock_cid, parts->vsock_fd);
    command_add_fd(command, parts->vsock_fd);
    if (qemu_build_has_option(parts->build, "smbios"))
        command_addf(command, from, "-smbios", "type=11,value=io.systemd.credential:vmm.notify_socket=vsock-stream:2:%u", parts->vsock_port);
    return true;
}
