/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Usb: the USB devices that are plugged into this machine, as sysfs shows them, and how one of them is opened for a guest. vmd has those of
 * the host, and vmctl those of where it runs, which can be another one.
 *
 * Nothing is kept: who wants to know reads anew, which is a few small files a device. All of it may wait for a device that is just
 * being reset, so vmd does it in threads. What devices say of themselves (serial number,
 * names) is hostile: bounded and cleaned. Hubs are left out, since no guest gets one. Knows no VMs.
 *
 * `root` of these functions is "", or a folder with a fake sys/ and dev/ in it for tests. */

#include <glib.h>
#include <stdint.h>

#include "error.h"

typedef struct UsbDevice {
    char *port;           /* where it is plugged in: "1-2.3" */
    unsigned bus, number; /* /dev/bus/usb/001/005; the number is another one each time it is plugged in */
    unsigned major, minor;
    uint16_t vendor, product;
    char *serial, *maker, *model; /* "" where it does not say */
} UsbDevice;

void usb_device_free(UsbDevice *device);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(UsbDevice, usb_device_free)
UsbDevice *usb_device_copy(const UsbDevice *device);
/* Whether both are the same device, and it has not been pulled out in between. */
bool usb_device_is(const UsbDevice *a, const UsbDevice *b);

/* All of them (UsbDevice), in the order of ports; empty where the host has no USB. */
GPtrArray *usb_devices(const char *root);

/* Which device is meant: all that is set must be so. The strings are the caller's. */
typedef struct UsbWish {
    const char *port;   /* NULL: any */
    bool has_id;
    uint16_t vendor, product;
    const char *serial; /* NULL: any */
} UsbWish;

/* Port=, Device= and Serial= of [USB NAME]; each may be NULL, but not all. ERROR_INVALID_SETTINGS. */
bool usb_wish_read(const char *thing, const char *port, const char *device, const char *serial, UsbWish *ret, Error **ret_error);
bool usb_wish_meets(const UsbWish *wish, const UsbDevice *device);

/* Opens it for reading and writing; -ENODEV where another device is there by now. */
int usb_device_open(const char *root, const UsbDevice *device);

/* Gives what nobody has claimed of it back to the host's drivers: QEMU does so when it lets go of a device, but not when it is killed. */
void usb_device_give_back(const char *root, const UsbDevice *device);
