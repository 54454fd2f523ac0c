/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Guest: what there is of the guest agent in a VM that runs, and what it has said.
 *
 * QEMU says when somebody in the guest opens the agent's port (VSERPORT_CHANGE); only then is there a connection, and it stays
 * until the port is closed. An agent whose host does not listen would look for it ten times a second. The agent is asked for the
 * guest's addresses when it comes and then ever more seldom; not while the guest cannot run.
 *
 * Belongs to the Instance; made when the port is first opened. */

#include "agent.h"
#include "guest-addresses.h"
#include "instance.h"

/* QEMU's event, with its data. */
void guest_port_changed(Instance *instance, const json_t *data);

/* Asks QEMU whether the port is open: for a vmd that was not there when that was told. */
void guest_find(Instance *instance);

void guest_free(Guest *guest);

/* Each for a `guest` that may be NULL. */
bool guest_answers(const Guest *guest);
const GPtrArray *guest_cards(const Guest *guest); /* GuestCard; NULL where nothing is known */

/* The connection to what has its port open, borrowed until the loop's next turn; NULL: nobody has. */
Agent *guest_agent(Guest *guest);
/* The same of a VM that runs; NOT_RUNNING, or UNSUPPORTED: there is none. */
Agent *guest_find_agent(VM *vm, Error **ret_error);

/* Somebody has looked at the addresses: has them asked for again unless they are fresh. */
void guest_refresh(Guest *guest);
