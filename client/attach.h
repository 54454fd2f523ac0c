/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* A VM's console on this terminal, and the wait for a VM's end. Both return an exit code; the end of a
 * guest is EXIT_FAILED where the VM's state says that it failed. */

#include "client.h"

/* Until the guest has ended or the user leaves (EXIT_DONE). */
int attach_console(Client *client, const char *name);

/* Until the guest has ended. */
int attach_wait(Client *client, const char *name);

/* Copies what was printed since boot to stdout and, with `follow`, what comes. */
int attach_print(Client *client, const char *name, bool follow);
