/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Seed: what [CloudInit] gives a guest that runs cloud-init: a read-only disk labelled CIDATA, as its data source NoCloud looks for.
 *
 * It is made at each start, in memory, and no file of the host has it. Used by sources.c. */

#include <systemd/sd-id128.h>

#include "machine.h"

typedef struct Seed Seed;

/* *ret NULL: the settings have no [CloudInit]. `name`: the VM's. False and an Error where they cannot be meant. */
bool seed_read(const Settings *settings, const char *name, sd_id128_t uuid, Seed **ret, Error **ret_error);
void seed_free(Seed *seed); /* NULL is fine */

/* In a thread, with the rights of the VM's owner: the disk. NULL and an Error. */
MachineDisk *seed_open(const Seed *seed, Error **ret_error);
