/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Firmware: which of the host's, or a tree's (tree.h), UEFI firmwares fits a machine, by the descriptors that their packages install (QEMU's
 * docs/interop/firmware.json): JSON files in some folders, tried in the order of their names. A file hides those of the same name in
 * the folders before it; an empty one hides them and says nothing itself.
 *
 * A descriptor that cannot be understood is passed over with a line in the journal. May wait for a file system: for threads. Knows nothing
 * of VMs. */

#include <stdbool.h>

#include "error.h"

typedef struct Firmware {
    char *descriptor; /* its file */
    char *code, *code_format;         /* what the guest executes: "raw", "qcow2" */
    char *template, *template_format; /* what its variables are at first */
    bool smm; /* the machine must have System Management Mode */
} Firmware;

typedef struct FirmwareWish {
    const char *architecture; /* QEMU's word: "x86_64" */
    const char *machine;      /* full name: "pc-q35-7.2" */
    bool secure_boot;         /* it lets in only what is signed, by keys that it has; else it lets in all */
} FirmwareWish;

/* QEMU's folders, the first one counts least; `user`: with that of the user. g_strfreev. */
char **firmware_folders(bool user);

/* `root_fd`: of which tree; -1: the host's own. NULL and ERROR_UNSUPPORTED, which names the package to install, where none fits. */
Firmware *firmware_find(int root_fd, const char *const *folders, const FirmwareWish *wish, Error **ret_error);
void firmware_free(Firmware *firmware);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Firmware, firmware_free)

/* "Install the package ovmf (Debian) or ...": of that architecture; static. */
const char *firmware_package(const char *architecture);
