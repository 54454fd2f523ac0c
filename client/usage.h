/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Usage: what VMs use, made of two answers of GetAllStatistics(), whose counters only grow.
 *
 * A reading is one answer; its rates are what has come since the one before. What is not known, because nobody counts it there or there was no
 * reading before, is NAN. */

#include <jansson.h>

#include "client.h"

/* By what they are ordered, and what columns show. */
typedef enum UsageNumber {
    USAGE_CPU,     /* percent of one processor */
    USAGE_CPUS,    /* virtual ones */
    USAGE_MEMORY,  /* bytes of the host's */
    USAGE_BALLOON, /* bytes that the guest has */
    USAGE_USED,    /* bytes that the guest has no more free */
    USAGE_READ,    /* bytes a second, as all below */
    USAGE_WRITTEN,
    USAGE_READS,
    USAGE_WRITES,
    USAGE_RECEIVED,
    USAGE_SENT,
    USAGE_STALL_CPU, /* percent of the time in which something waited for it */
    USAGE_STALL_MEMORY,
    USAGE_STALL_IO,
    USAGE_EXITS,
    _USAGE_MAX,
} UsageNumber;

typedef struct UsageRow {
    const char *name, *state; /* of the reading */
    double numbers[_USAGE_MAX];
} UsageRow;

/* Of one VM's GetStatistics(): how many bytes of its memory the guest says that it uses; NAN where it says nothing, or what cannot be. */
double usage_of_guest(const json_t *vm);

typedef struct Usage Usage;

/* Takes the answer of GetAllStatistics(), as json_from_message() has it; `before` may be NULL, and is not kept. */
Usage *usage_new(json_t *statistics, const Usage *before);
void usage_free(Usage *usage);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Usage, usage_free)

UsageRow *usage_rows(const Usage *usage, size_t *ret_n);

/* Whether one of its VMs was in the reading before, too: its rates are known. */
bool usage_has_rates(const Usage *usage);

/* Which resource is waited for most: 'c', 'm' or 'i', and for how much of the time; NAN and ' ' where that is not known. */
double usage_stall(const UsageRow *row, char *ret_letter);

/* A new object: the row's numbers by name, null where they are not known, and "statistics", the counters that they are made of. */
json_t *usage_row_to_json(const Usage *usage, const UsageRow *row);
