/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The agent that asks for a password on the terminal when polkit wants one: pkttyagent, as a child for as
 * long as vmctl runs. Does nothing for root, without a terminal, or where there is no pkttyagent. */

#include <stdbool.h>

void polkit_agent_start(void);
void polkit_agent_stop(void);

/* Whether the terminal may be asking for a password. */
bool polkit_agent_is_running(void);
