/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Plugs: which USB devices of the host a VM that runs has, of those that its [USB NAME] sections ask for (common/usb.h).
 *
 * A device that is not there is waited for: it keeps no VM from starting, and when it is plugged in, again or for the first time,
 * the guest gets it. One that is pulled out is taken out of QEMU too. vmd opens the device, and QEMU gets the descriptor over its
 * monitor. No device is two VMs': the one that has it keeps it.
 *
 * Plugs belong to the Instance and are in its record. usb_look() is the one place that brings what is plugged into guests into line
 * with what is plugged into the host: a look at sysfs in a thread, since a device that is just being reset holds up who reads of it or
 * opens it, and then what follows from it, for all VMs at once. */

#include <jansson.h>

#include "instance.h"
#include "usb.h"

typedef struct UsbPlug UsbPlug;
typedef struct UsbHost UsbHost; /* the manager's; follows what is plugged into the host, from when somebody has wanted to know */

void usb_host_free(UsbHost *host);

/* Looks soon, at all that VMs want. `done` may be NULL; else it comes once, when a look that began after this call has been acted on:
 * QEMUs have been asked by then, and have not all answered. */
typedef void (*UsbLooked)(void *userdata);
void usb_look(Manager *manager, UsbLooked done, void *userdata);
/* In a few seconds: something was busy. */
void usb_look_later(Manager *manager);
void usb_look_forget(Manager *manager, void *userdata);
/* What the last look has found (UsbDevice), borrowed; NULL: there was none. */
const GPtrArray *usb_seen(const Manager *manager);

/* Whether the settings' sections say which device they mean. */
bool usb_check_settings(const Settings *settings, Error **ret_error);
bool usb_is_wanted(const Settings *settings);

/* After a look, of a section that is being attached: `done` comes once, perhaps at once: when QEMU has what the section means, or that is
 * not there; with ERROR_IN_USE where another VM has it, or QEMU's own error. */
typedef void (*UsbPlugged)(const Error *error, void *userdata);
void usb_await(VM *vm, const Settings *settings, const char *section, UsbPlugged done, void *userdata);
/* The section goes. */
void usb_forget(Instance *instance, const char *name);

/* While its memory is written down no device may be there: all are unplugged, and come back after usb_release(). */
void usb_hold(Instance *instance);
void usb_release(VM *vm);

/* QEMU's DEVICE_DELETED. */
void usb_device_deleted(Instance *instance, const json_t *data);

/* For the record; and a vmd that comes later asks QEMU which of them are still there. */
char *usb_record(const Instance *instance);
void usb_read_record(Instance *instance, const char *record);
void usb_recover(VM *vm);

/* All that it has are given back to the host's drivers: its QEMU has ended. */
void usb_instance_ended(Instance *instance);
void usb_free_plugs(Instance *instance);

/* The name of the VM that has the device; NULL: none. */
const char *usb_holder(const Manager *manager, const UsbDevice *device);

/* What its sections have, for whoever shows it: UsbView, whose strings are its own. */
typedef struct UsbView {
    char *name;    /* of [USB NAME] */
    char *port;    /* "" while it has none */
    char *problem; /* why not, or "" */
} UsbView;
GPtrArray *usb_view(const VM *vm);

/* ---- between plugs.c and usb-host.c ---- */

#define USB_SECTION "USB "

/* The settings whose sections a VM's guest may be given devices for now; NULL: none now. The caller frees. */
Settings *usb_settings(const VM *vm);
bool usb_read_wish(const Settings *settings, const char *section, UsbWish *ret, Error **ret_error);
bool usb_has_plug(const Instance *instance, const char *name);
/* What is not among `devices` any more, and what no section asks for. */
void usb_take_out_gone(VM *vm, const GPtrArray *devices);
void usb_add_taken(const Instance *instance, GPtrArray *devices); /* copies of what it has */
/* Has QEMU take it; `fd` stays the caller's. */
void usb_plug_in(VM *vm, const char *name, const UsbDevice *device, int fd);
bool usb_is_refused(const Instance *instance, const char *name, const UsbDevice *device);
void usb_refuse(Instance *instance, const char *name, const UsbDevice *device, const char *why);
/* Has them given back with the next look. Takes it. */
void usb_give_back(Manager *manager, UsbDevice *device);
