/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [PCI NAME] as QEMU's arguments: a device of the host behind a port of its own, as a card in a slot is. */

#include <string.h>

#include "machine-internal.h"

bool machine_add_pci(Command *command, const MachineParts *parts, unsigned chassis, Error **ret_error)
{
    for (guint i = 0; parts->pci && i < parts->pci->len; i++) {
        const PciDevice *device = parts->pci->pdata[i];
        const char *from = settings_section_origin(parts->settings, device->section) ?: device->section, *name = device->section + strlen("PCI ");
        bool port = machine_is_pcie(parts);
        if (!machine_needs_device(parts->build, "vfio-pci", from, ret_error))
            return false;
        if (port)
            command_addf(command, from, "-device", "pcie-root-port,id=pciport-%s,chassis=%u", name, chassis + i);
        command_addf(command, from, "-device", "vfio-pci,id=pci-%s,sysfsdev=%s%s%s", name, device->path, port ? ",bus=pciport-" : "", port ? name : "");
    }
    return true;
}
