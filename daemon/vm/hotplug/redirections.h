/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Redirections: USB devices that callers lend to a VM that runs, from wherever they have them, by the usbredir protocol.
 *
 * Each is a pair of sockets, as a display's connection is (display.h): one end is QEMU's, behind a usb-redir device of its own, and the other the
 * caller's, who runs usbredirect or the like on it. No byte of it passes through vmd. When the caller's end closes the guest loses the
 * device, by QEMU alone, and vmd takes out what is left of it in QEMU; never is a chardev used by a second one, since QEMU aborts at that.
 * It aborts too when what it hears is no usbredir: so nobody opens one who may not end the VM anyway.
 *
 * Belongs to the Instance and is in its record, before QEMU has any of it. vmd keeps QEMU's end open too, by which it sees the caller's end; a vmd that
 * comes later has no such end, and asks QEMU now and then. Nothing of it is in settings or in saved memory. */

#include <jansson.h>
#include <systemd/sd-bus.h>

#include "instance.h"

#define REDIRECTIONS_MAX 8U         /* of a VM; a controller has 15 ports */
#define REDIRECTION_NAME_MAX 128U   /* bytes */

/* Either `fd` (borrowed) or an Error. Comes once. */
typedef void (*RedirectionOpened)(int fd, const Error *error, void *userdata);

/* `name`: what the caller calls the device, for whoever looks; may be "". Errors: NotRunning, Busy, Unsupported (this QEMU has no such device),
 * LimitReached, InvalidSettings (the name), QemuFailed. */
bool vm_open_redirection(VM *vm, const char *name, uid_t caller, RedirectionOpened done, void *userdata, Error **ret_error);

/* Takes the device away. Errors: NotRunning, NoSuchDevice. */
bool vm_close_redirection(VM *vm, uint32_t id, Error **ret_error);

/* While its memory is written down there is none, and none comes back: a saved machine has no caller. */
void redirections_end(Instance *instance);

/* QEMU's DEVICE_DELETED: the guest may have had the whole controller taken out. */
void redirections_device_deleted(Instance *instance, const json_t *data);

/* Appends a(uuts), as USBRedirections has it. */
int vm_append_redirections(const VM *vm, sd_bus_message *reply);

/* For the record; and a vmd that comes later asks QEMU which of them are still there. */
char *redirections_record(const Instance *instance);
void redirections_read_record(Instance *instance, const char *record);
void redirections_recover(VM *vm);

/* Answers who still waits, and closes what vmd has of them: they go on where QEMU does. */
void redirections_free(Redirections *redirections);
