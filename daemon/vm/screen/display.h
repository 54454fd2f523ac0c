/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Displays: who looks at a VM that runs.
 *
 * A viewer is a caller on the bus that has opened one protocol, a client of that many connections: SPICE wants one for each
 * channel. Each is a pair of sockets: one end is given to QEMU over its monitor, the other to the caller, so no port is open and
 * nobody is asked for a password; who may call was asked before. QEMU's end has a name of its own, by which QEMU's events tell which
 * it closed, and vmd keeps it open too: that is how it sees that a viewer has gone, and how it can put one out.
 *
 * What comes over TCP is a viewer of another kind, once it has said the password: display-remote.h.
 *
 * Belongs to the Instance; made when the first one is opened. systemd keeps QEMU's ends while vmd is killed or restarted, and the next vmd
 * gets them back. It knows those viewers, but not as callers: who opens more is asked about again, since the bus may be another one. */

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "instance.h"

typedef struct DisplayCaller {
    const char *sender; /* unique name */
    uid_t uid;
} DisplayCaller;

/* The settings that it runs with, the caller's, where it has a display at all; NULL and ERROR_UNSUPPORTED where not. */
Settings *vm_check_display(const VM *vm, Error **ret_error);

/* Whether the guest hears of keys and the mouse now. QEMU takes them at any time, and drops those of a guest that stands still; one that is told
 * to stop may ask whether it really is to. */
bool vm_hears(const VM *vm);

/* The same, of a VM that has a display. Errors: NotRunning, Unsupported, Busy, which says in its last words what follows ("it hears no keys"). */
bool vm_check_hears(VM *vm, const char *follows, Error **ret_error);

/* Either `fd` (borrowed) or an Error. Comes once. */
typedef void (*DisplayOpened)(int fd, const Error *error, void *userdata);

/* `type`: "spice", "vnc" or "dbus". Errors: NotRunning, Busy, Unsupported (it has no such display), LimitReached, QemuFailed. */
bool vm_open_display(VM *vm, const char *type, const DisplayCaller *caller, DisplayOpened done, void *userdata, Error **ret_error);

/* Ends all connections of a viewer. Errors: NotRunning, NoSuchDevice. */
bool vm_disconnect_display(VM *vm, uint32_t id, Error **ret_error);

/* Whether this caller has a connection already. A viewer that wants ten is not to ask for a password ten times. */
bool vm_is_viewed_by(const VM *vm, const char *sender);

/* Appends a(usuutus), as DisplayClients has it. */
int vm_append_display_clients(const VM *vm, sd_bus_message *reply);

/* QEMU's SPICE_INITIALIZED and VNC_INITIALIZED, with their data: a client is let in. */
void displays_initialized(Instance *instance, const json_t *data);
/* QEMU's SPICE_DISCONNECTED and VNC_DISCONNECTED, with their data. */
void displays_closed(Instance *instance, const json_t *data);

/* What systemd has kept, once, after the VMs were found. What belongs to none that runs ends. */
void displays_recover(Manager *manager);

/* Answers who still waits. `end`: ends all, since the VM has ended; else they go on without this vmd. */
void displays_free(Displays *displays, bool end);
