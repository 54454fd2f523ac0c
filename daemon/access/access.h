/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Access: may this caller do that? The one place where polkit is asked.
 *
 * Asynchronous: a method's handler runs only after the answer, once. Root is let in without asking, as in
 * systemd; on a user's own bus so is that user, and nobody else. Everything that is not a clear yes is a
 * no with its reason: polkit absent, hanging or dying, a caller that left the bus meanwhile.
 *
 * Which method needs which action stands in the method tables (method.h), not here. */

#include <systemd/sd-bus.h>

#include "error.h"

/* The actions of polkit/org.vmd1.policy. */
#define ACTION_VIEW "org.vmd1.view"
#define ACTION_MANAGE "org.vmd1.manage"
#define ACTION_OPEN_CONSOLE "org.vmd1.open-console"
#define ACTION_RAW_QEMU_ARGUMENTS "org.vmd1.raw-qemu-arguments"

typedef struct Access Access; /* one per daemon */

Access *access_new(sd_bus *bus, bool user);
void access_free(Access *access); /* questions under way are dropped, their callers get no answer from here */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Access, access_free)

/* What polkit's rules see of a request, beside the caller; unset ones are NULL. */
typedef struct AccessDetails {
    const char *vm;
    const char *owner; /* user name, or the number when it has none */
    const char *verb;  /* the D-Bus member, "Start" */
} AccessDetails;

/* `error` NULL: yes. `uid`: the caller's. */
typedef void (*AccessReply)(sd_bus_message *m, uid_t uid, const Error *error, void *userdata);

/* Asks whether the sender of `m` may do `action`. The message is kept until the reply. A negative errno
 * means that nothing was asked. */
int access_check(Access *access, sd_bus_message *m, const char *action, const AccessDetails *details, AccessReply reply,
    void *userdata);

/* Questions under way. */
size_t access_pending(const Access *access);
