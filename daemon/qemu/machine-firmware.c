/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* UEFI as QEMU's arguments: its code and its variables are two flash chips of the machine. */

#include <string.h>

#include "machine-internal.h"
#include "name.h"

/* No disk is called so, since that has a dot. */
#define CODE_STEM "firmware.code"

FirmwareKind machine_firmware(const Settings *settings, const QemuBuild *build)
{
    const char *set = settings_get_string(settings, "VM", "Firmware");
    if (set)
        return g_str_equal(set, "uefi") ? FIRMWARE_UEFI : FIRMWARE_BIOS;
    /* Elsewhere a machine has no other, and boots a disk by none without it. */
    return machine_is_x86(build) || settings_has(settings, "Boot", "Kernel") ? FIRMWARE_BIOS : FIRMWARE_UEFI_IF_THERE;
}

/* Many share this file, which nobody writes: a QEMU that was taken over locks nobody else out. */
static void add_code(Command *command, const char *from, const Image *code, unsigned set)
{
    static const BlockdevOptions options;
    json_t *file = blockdev_file(code, CODE_STEM, 0, set, &options);
    json_object_set_new(file, "locking", json_string("off"));
    command_addf(command, from, "-add-fd", "fd=%d,set=%u", code->fd, set);
    command_add_fd(command, code->fd);
    machine_add_node(command, from, file);
    machine_add_node(command, from, blockdev_format(code, CODE_STEM, 0, &options));
}

void machine_add_firmware(Command *command, const MachineParts *parts, unsigned *set)
{
    static const BlockdevOptions options;
    const char *from = machine_origin(parts, "VM", "Firmware");
    if (!parts->code || !parts->nvram)
        return;
    g_autofree char *stem = machine_disk_stem(NVRAM_DISK), *code_node = blockdev_node_name(CODE_STEM, 0), *nvram_node = blockdev_node_name(stem, 0);
    add_code(command, from, parts->code, (*set)++);
    machine_add_image(command, from, stem, parts->nvram->image, 0, &options, set);
    command_addf(command, from, "-machine", "pflash0=%s,pflash1=%s", code_node, nvram_node);
    if (!parts->smm)
        return;
    /* Only code in System Management Mode can write variables then, so an operating system cannot take the keys away; and that
     * mode is not there after a wake-up from S3. */
    const char *secure = machine_origin(parts, "VM", "SecureBoot");
    command_add(command, secure, "-machine", "smm=on", NULL);
    command_add(command, secure, "-global", "driver=cfi.pflash01,property=secure,value=on", NULL);
    command_add(command, secure, "-global", "ICH9-LPC.disable_s3=1", NULL);
}
