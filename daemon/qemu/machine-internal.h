/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* What the files of machine_command() share. */

#include "machine-device.h"
#include "machine.h"

#define DEFAULT "default"

bool machine_is_x86(const QemuBuild *build);

/* Where a key was set, or DEFAULT. */
const char *machine_origin(const MachineParts *parts, const char *section, const char *key);

/* The same of a machine that is to be, and that this QEMU has such ports. */
bool machine_is_pcie(const MachineParts *parts);

/* An image and what is behind it as block nodes "STEM-node0" and so on, and their descriptors in sets from *set on. */
void machine_add_image(Command *command, const char *from, const char *stem, const Image *image, unsigned depth, const BlockdevOptions *options,
    unsigned *set);
/* What device_add takes. */
void machine_add_device(Command *command, const char *from, const json_t *device);
void machine_add_node(Command *command, const char *from, json_t *node);

/* machine-memory.c: CPUs, memory and where both are. */
bool machine_add_memory(Command *command, const MachineParts *parts, Error **ret_error);

/* machine-firmware.c, machine-tpm.c, machine-disk.c, machine-interface.c, machine-pci.c, machine-port.c, machine-share.c, machine-usb.c, machine-display.c, machine-vsock.c; *set: the next set of descriptors */
void machine_add_firmware(Command *command, const MachineParts *parts, unsigned *set);
bool machine_add_disks(Command *command, const MachineParts *parts, unsigned *set, Error **ret_error);
bool machine_add_interfaces(Command *command, const MachineParts *parts, Error **ret_error);
bool machine_add_shares(Command *command, const MachineParts *parts, Error **ret_error);
bool machine_add_ports(Command *command, const MachineParts *parts, unsigned *set, Error **ret_error);
bool machine_add_tpm(Command *command, const MachineParts *parts, Error **ret_error);
/* `chassis`: the next number of a port that is free. */
bool machine_add_pci(Command *command, const MachineParts *parts, unsigned chassis, Error **ret_error);
/* The controller, where a display or the settings want it; before the display. */
bool machine_add_usb(Command *command, const MachineParts *parts, Error **ret_error);
bool machine_add_vsock(Command *command, const MachineParts *parts, Error **ret_error);
bool machine_add_display(Command *command, const MachineParts *parts, Error **ret_error);
