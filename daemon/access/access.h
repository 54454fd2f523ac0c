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
#include "identity.h"

/* The actions of polkit/org.vmd1.policy. From ACTION_USE_FOREIGN_PATHS on each is as good as being root. */
#define ACTION_VIEW "org.vmd1.view"
#define ACTION_MANAGE_OWN "org.vmd1.manage-own"
#define ACTION_MANAGE "org.vmd1.manage"
#define ACTION_OPEN_CONSOLE "org.vmd1.open-console"
#define ACTION_OPEN_DISPLAY "org.vmd1.open-display"
#define ACTION_CONTROL_GUEST "org.vmd1.control-guest"
#define ACTION_READ_DISKS "org.vmd1.read-disks"
#define ACTION_USE_NETWORK "org.vmd1.use-network"
#define ACTION_USE_HOST_LINK "org.vmd1.use-host-link"
#define ACTION_MANAGE_NETWORKS "org.vmd1.manage-networks"
#define ACTION_USE_POOL "org.vmd1.use-pool"
#define ACTION_MANAGE_POOLS "org.vmd1.manage-pools"
#define ACTION_USE_FOREIGN_PATHS "org.vmd1.use-foreign-paths"
#define ACTION_ATTACH_HOST_DEVICE "org.vmd1.attach-host-device"
#define ACTION_LISTEN "org.vmd1.listen"
#define ACTION_CHANGE_OWNER "org.vmd1.change-owner"
#define ACTION_RAW_QEMU_ARGUMENTS "org.vmd1.raw-qemu-arguments"

typedef struct Access Access; /* one per daemon */

Access *access_new(sd_bus *bus, bool user);
void access_free(Access *access); /* questions under way are dropped, their callers get no answer from here */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Access, access_free)

/* What is asked about. Polkit's rules see the name of the VM, of its owner and of the network, and the
 * verb, where there are such. */
typedef struct AccessDetails {
    const char *vm;
    const char *pool;
    uid_t owner;       /* of the VM or volume; UID_NOBODY_KNOWN: none */
    bool granted; /* the caller has been let in before, and is still there: needs no more than ACTION_VIEW */
    bool callers_own;  /* that is yet to be made, and its owner will be the caller */
    const char *network; /* or several, with commas between them */
    const char *verb;  /* the D-Bus member, "Start" */
} AccessDetails;

typedef struct AccessGrant {
    uid_t caller;
    uid_t owner; /* as it was when the question was asked */
} AccessGrant;

/* `error` NULL: yes, and then `grant` says to whom. */
typedef void (*AccessReply)(sd_bus_message *m, const AccessGrant *grant, const Error *error, void *userdata);

/* Asks whether the sender of `m` may do `action`; of the owner only manage-own is wanted where others need manage,
 * open-console, read-disks or use-foreign-paths (what a VM names is opened with its owner's rights anyway), and use-pool where they need manage-pools. The message
 * is kept until the reply. A negative errno means that nothing was asked; -ENOBUFS: the sender has too many questions open. */
int access_check(Access *access, sd_bus_message *m, const char *action, const AccessDetails *details, AccessReply reply,
    void *userdata);

/* Questions under way. */
size_t access_pending(const Access *access);
