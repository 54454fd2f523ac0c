/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* OVF: the description of a machine as other programs export it, in XML.
 *
 * It is hostile input: numbers are bounded, names are given back as they stand and mean nothing here. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#define OVF_DISKS_MAX 32U

typedef struct Ovf {
    uint64_t cpus, memory; /* 0: not said */
    bool uefi;
    GPtrArray *disks; /* char *: their files, in the order in which the machine has them; empty where it does not say */
} Ovf;

/* NULL, or what is wrong with it, for people: then *ret has what could be read nevertheless. The caller frees. */
char *ovf_read(const char *text, size_t size, Ovf *ret);
void ovf_clear(Ovf *ovf);
