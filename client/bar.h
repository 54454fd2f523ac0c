/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bar: how far something is that takes its time, on the line of the terminal that stderr is, with what is known of speed and time left. For
 * work of vmd's (job.h) and for what vmctl copies itself (transfer.h), which show it after a while, every so often. */

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

#include "value.h"

/* A wait shorter than this shows nothing. */
#define BAR_AFTER (USEC_PER_SEC / 2)
#define BAR_EVERY (USEC_PER_SEC / 5)

typedef struct Bar {
    bool shown;

    /* How fast it is, CLOCK_MONOTONIC. */
    uint64_t begun, measured;
    double measured_progress, speed; /* parts of the whole a second; 0: not known yet */
} Bar;

/* `progress`: where it begins, which is more than 0 where something is gone on with. */
void bar_init(Bar *bar, double progress);

/* "LABEL [====>     ]  45%, 120M/s, 1min 5s left". `progress`: 0 to 1, negative: not known. `size`: of the whole, 0: not known. */
void bar_print(Bar *bar, const char *label, double progress, uint64_t size);

/* Before anything else is printed. */
void bar_clear(Bar *bar);
