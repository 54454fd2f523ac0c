/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* How ssh and scp get into a guest: what they connect by is vmctl, which finds the way (verb-ssh.c, ssh-connect), so that all else is theirs: keys, known hosts, ssh_config(5).
 *
 * They call a VM NAME.vm, so that "Host web.vm" or "Host *.vm" in ssh_config(5) is about VMs alone. Its host key is known by its UUID too, so that of two VMs that have the same name,
 * one after the other, or the same address, none is taken for the other. */

#include <glib.h>

#include "client.h"

/* Checks that `name` is a VM that runs and can be reached, or at least looked for, and returns the program with its options, for destinations to follow; without a NULL at its
 * end. NULL: *ret_code says how, and it was reported. */
GPtrArray *guest_ssh_command(Client *client, const char *program, const char *name, int *ret_code);

/* Runs it in place of vmctl. Returns only when that failed. */
int guest_ssh_execute(GPtrArray *argv);
