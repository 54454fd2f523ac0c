/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Methods of the bus interfaces, as tables: name, signature, who may call it, what it does.
 *
 * A row without an action cannot be written: method_dispatch() refuses what it does not find. For each
 * call it asks polkit (access.h) and only then runs the handler, once, with the object looked up afresh,
 * since it may have gone meanwhile; if it has another owner by then, the answer counts no more. A handler replies itself, at once or later (keeping a reference to the message), or
 * returns false with an Error, which becomes the reply. */

#include <systemd/sd-bus.h>

#include "change.h"
#include "manager.h"

/* `caller`: the uid that was asked about. */
typedef bool (*MethodHandler)(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error);

/* What a call waits for is over, well or not. */
typedef void (*MethodGoOn)(const Error *error, void *userdata);

typedef struct Method {
    const char *member;
    const char *in, *out; /* signatures */
    const char *names;    /* of all arguments, in then out, as SD_BUS_PARAM() makes them */
    const char *action;
    /* Whether the arguments can be meant at all, before anybody is asked and they are kept meanwhile; and what some of them
     * need: in place of `action`, and beside it. Reads the message, which is rewound for it. NULL: neither. */
    bool (*choose_action)(sd_bus_message *m, ChangeActions *ret, Error **ret_error);
    MethodHandler handler;
    /* What must be over before it is known whose the object is, such as a pool's start. Reads the message, which is rewound for it. True:
     * `go_on` comes, once, and what holds then is what counts. NULL: nothing. */
    bool (*await)(Manager *manager, sd_bus_message *m, MethodGoOn go_on, void *userdata);
} Method;

typedef struct Interface {
    const char *name;
    const Method *methods;           /* ends with a row without a member */
    const sd_bus_vtable *properties; /* signals and properties, between SD_BUS_VTABLE_START and _END */
    /* The object behind a path; NULL and an Error when it is not there. */
    void *(*find)(Manager *manager, const char *path, Error **ret_error);
    /* Whose the object is; may leave it as it is. `vm`, `network` and `pool` become new strings; may read the message, which is rewound
     * after it. */
    void (*details)(Manager *manager, sd_bus_message *m, AccessDetails *details);
} Interface;

extern const Interface manager_interface, vm_interface, network_interface, pool_interface, job_interface;

/* The vtable of an interface, methods and the rest; static for the daemon's life. */
const sd_bus_vtable *interface_vtable(const Interface *interface);

/* Replies with the error, under its D-Bus name. */
void reply_error(sd_bus_message *m, const Error *error);

/* For handlers that answer with an array: a reply with the array open, whose rows follow; it is closed and sent, unless `r` says
 * that something failed. */
int reply_array_new(sd_bus_message *m, const char *contents, sd_bus_message **ret);
bool reply_array_send(sd_bus_message *reply, int r, Error **ret_error);

/* For handlers that answer later. */
typedef struct LaterReply {
    Manager *manager;
    sd_bus_message *message;
} LaterReply;

LaterReply *reply_later(Manager *manager, sd_bus_message *m);

/* A VMDone for methods that return nothing: replies, and frees the LaterReply. */
void reply_done(const Error *error, void *later_reply);

/* The same for those that return a descriptor, which is borrowed. */
void reply_fd(int fd, const Error *error, void *later_reply);

/* Undoes reply_later() where nothing was begun. */
void reply_later_free(LaterReply *later);
