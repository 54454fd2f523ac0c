/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Quiesce: the file systems of a guest that runs, frozen by its agent, so that its disks at that moment are as after an unmount.
 *
 * Begun directly before the disks are kept and ended directly after: all that writes in the guest waits meanwhile. What is frozen
 * is always thawed: when the holder ends it, when the agent's answer comes too late, and by the next vmd (the instance's record says
 * that it is frozen). The agent is told to thaw until it answers or has gone, and again when it comes back.
 *
 * An agent that is silent or talks nonsense takes at most some 15 s of the holder's time. One holder at a time for each VM. Called by
 * snapshots and backups; the hooks at the end by daemon/vm alone. */

#include "instance.h"

/* What callers want: when it can be, or else it is a failure, or not at all. */
typedef enum QuiesceMode { QUIESCE_AUTO, QUIESCE_YES, QUIESCE_NO, _QUIESCE_MODE_MAX } QuiesceMode;

/* "auto", "yes", "no"; ERROR_INVALID_SETTINGS. */
bool quiesce_mode_read(const char *word, QuiesceMode *ret, Error **ret_error);

typedef struct Quiesce Quiesce; /* what a holder has */

/* Once, never from within vm_quiesce_begin(), and not at all when the holder has ended it or the instance has ended before. Not
 * frozen: `why_not` (borrowed) says why; there is nothing to be thawed then, but it must still be ended. */
typedef void (*QuiesceDone)(bool frozen, const Error *why_not, void *userdata);

/* Never NULL. */
Quiesce *vm_quiesce_begin(VM *vm, QuiesceDone done, void *userdata);
/* At any moment, from `done` too, and also when the VM has ended. Frees it. NULL is fine. */
void vm_quiesce_end(Quiesce *quiesce);

/* ---- daemon/vm ---- */

/* Whether the agent is not to be asked for anything else: what is frozen answers that it may not. */
bool instance_is_quiescing(const Instance *instance);
/* The agent's port has been opened in the guest, or vmd finds it open. */
void quiesce_agent_came(Instance *instance);
void freezer_free(Freezer *freezer);
