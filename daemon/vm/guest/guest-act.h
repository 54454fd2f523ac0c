/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* GuestAct: something that is done in a guest by its agent for a caller who waits, one question to the agent after another.
 *
 * It is over when its owner ends it, or by itself when the VM ends, or the caller leaves the bus: then `broken` is called, once, and it is gone.
 * Answers and times come only while it is there. What a caller has the guest begin is not undone by any of that.
 *
 * A VM has GUEST_ACTS_MAX of them at a time. Made by execute.c and its neighbours here. */

#include <jansson.h>

#include "agent.h"
#include "vm.h"

#define GUEST_ACTS_MAX 16U

typedef struct GuestAct GuestAct;

typedef void (*GuestActBroken)(const Error *error, void *userdata);
typedef void (*GuestActThen)(GuestAct *act, void *userdata);
/* Either result (borrowed) or error (borrowed) is set; the error has the VM as its thing, and a way out where one is known. */
typedef void (*GuestActAnswer)(GuestAct *act, const json_t *result, const Error *error, void *userdata);

/* `caller`: its name on the bus. `frozen`: also while its file systems are. NULL and an Error: the VM does not run, has no agent, or they are. */
GuestAct *guest_act_new(VM *vm, const char *caller, bool frozen, GuestActBroken broken, void *userdata, Error **ret_error);
void guest_act_end(GuestAct *act);

/* NULL: the VM has ended. */
VM *guest_act_vm(const GuestAct *act);

/* Whether the agent can answer now: the guest runs, and is not frozen. It may have gone all the same. */
bool guest_act_can_ask(const GuestAct *act);

/* One question at a time. `arguments` is taken in every case and may be NULL. False: `answer` is not called. */
bool guest_act_ask(GuestAct *act, const char *command, json_t *arguments, uint64_t timeout_usec, GuestActAnswer answer, Error **ret_error);

/* Instead of the question, or of another wait. */
int guest_act_wait(GuestAct *act, uint64_t usec, GuestActThen then);

/* What the agent answers where that is no answer: GUEST_UNRESPONSIVE. Returns false. */
bool guest_act_nonsense(const GuestAct *act, const char *command, Error **ret_error);

/* A string of the guest's, fit to be shown, cut to `max` bytes. A new string; "" where it is none. */
char *guest_text(const json_t *string, size_t max);

/* ---- daemon/vm ---- */

/* Ends them, because the VM has. */
void guest_acts_break(Instance *instance);
