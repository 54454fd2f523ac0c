/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [TPM] as QEMU's arguments: a socket to swtpm, and the device before it. */

#include <string.h>

#include "machine-internal.h"

MachineTpm machine_tpm(const Settings *settings)
{
    const char *type = settings_get_string(settings, "TPM", "Type");
    return g_str_equal(type, "tpm2") ? MACHINE_TPM_2 : g_str_equal(type, "tpm1.2") ? MACHINE_TPM_1_2 : MACHINE_TPM_NONE;
}

/* A PC's TPM 2 has the interface for it alone, which needs fewer exits; all else the one that both generations have. */
static const char *device_type(const MachineParts *parts, const char *machine)
{
    if (!machine_is_x86(parts->build))
        return "tpm-tis-device";
    return machine_tpm(parts->settings) == MACHINE_TPM_2 && strstr(machine, "q35") ? "tpm-crb" : "tpm-tis";
}

bool machine_add_tpm(Command *command, const MachineParts *parts, Error **ret_error)
{
    if (machine_tpm(parts->settings) == MACHINE_TPM_NONE)
        return true;
    const char *from = machine_origin(parts, "TPM", "Type"), *machine = parts->machine ?: machine_type(parts->settings, parts->build, ret_error);
    if (!machine)
        return false;
    const char *device = device_type(parts, machine);
    if (!machine_needs_device(parts->build, device, from, ret_error))
        return false;
    command_addf(command, from, "-chardev", "socket,id=tpm0,fd=%d", parts->tpm_fd);
    command_add_fd(command, parts->tpm_fd);
    command_add(command, from, "-tpmdev", "emulator,id=tpm0,chardev=tpm0", NULL);
    command_addf(command, from, "-device", "%s,tpmdev=tpm0", device);
    return true;
}
