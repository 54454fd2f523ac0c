/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pci: PCI devices of the host, and mediated ones, that are taken from the host's drivers for a guest (VFIO) and given back after it.
 *
 * What is taken has a file of its own in `state` (a folder on a tmpfs): who has it, and what it was bound to. It is written before
 * anything is changed, so a vmd that comes later can put all back; and it is made exclusively, so nobody else takes it meanwhile.
 * Drivers take and leave devices as long as they like, so all of this is for threads. Knows no VMs: an owner is a word.
 *
 * `root` is "", or a folder with a fake sys/ in it for tests. */

#include <glib.h>
#include <stdint.h>

#include "error.h"

/* Which device is meant: one of the three, or for a PCI device address and id, which must then both be so. */
typedef struct PciWish {
    char *section;        /* "PCI gpu", for errors */
    char *address;        /* "0000:01:00.0"; NULL: not set */
    bool has_id;
    uint16_t vendor, product;
    char *uuid;           /* of a mediated device; NULL: none */
} PciWish;

PciWish *pci_wish_new(const char *section, const char *address, const char *device, const char *uuid, Error **ret_error);
void pci_wish_free(PciWish *wish);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(PciWish, pci_wish_free)

/* What a guest gets. */
typedef struct PciDevice {
    char *section;
    char *name;  /* its address, or its UUID */
    char *path;  /* in sysfs, without links: "/sys/devices/pci0000:00/0000:00:02.0" */
    char *group; /* of the IOMMU, "12": /dev/vfio/12 */
} PciDevice;
void pci_device_free(PciDevice *device);

/* Takes all that is meant (PciWish) for `owner`, or nothing; the PciDevices in the same order. ERROR_NO_SUCH_DEVICE, ERROR_IN_USE,
 * ERROR_UNSUPPORTED: no IOMMU, no VFIO; ERROR_INVALID_SETTINGS: others of a group are left with the host. */
GPtrArray *pci_take(const char *root, const char *state, const char *owner, const GPtrArray *wishes, Error **ret_error);

/* Gives back all that `owner` has; what cannot be given back is told in the journal. */
void pci_give_back(const char *root, const char *state, const char *owner);

/* Who has something, each once; the caller frees with g_strfreev(). */
char **pci_owners(const char *state);
