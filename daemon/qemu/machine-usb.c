/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The USB controller, which [USB NAME] and displays want. Devices of the host come over the monitor (vm/hotplug/plugs.c), since they may not be
 * there yet. */

#include "machine-internal.h"

bool machine_add_usb(Command *command, const MachineParts *parts, Error **ret_error)
{
    static const char *const devices[] = {"qemu-xhci", "usb-host"};
    g_autofree const char **sections = settings_sections(parts->settings, "USB");
    const char *wanted = sections ? sections[0] : NULL;
    bool display = !g_str_equal(settings_get_string(parts->settings, "Display", "Type"), "none");
    for (size_t i = 0; wanted && i < G_N_ELEMENTS(devices); i++)
        if (!machine_needs_device(parts->build, devices[i], settings_section_origin(parts->settings, wanted) ?: wanted, ret_error))
            return false;
    if (!qemu_build_has_device(parts->build, "qemu-xhci") || (!wanted && !display))
        return true;
    command_addf(command, wanted ? settings_section_origin(parts->settings, wanted) : machine_origin(parts, "Display", "Type"), "-device",
        "qemu-xhci,id=" MACHINE_USB ",p2=15,p3=15");
    return true;
}
