/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Output: QEMU's stdout and stderr, one pipe. Whole lines go to the journal, the last GUARD_OUTPUT_MAX bytes
 * of what was said are kept for the status file. A line of more than JOURNAL_LINE_MAX bytes becomes several.
 */

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "guard.h"
#include "journal.h"

typedef struct Output {
    int fd; /* -1 when QEMU has closed it */
    unsigned n_line;
    unsigned n_tail;
    char line[JOURNAL_LINE_MAX];
    char tail[GUARD_OUTPUT_MAX]; /* whole lines */
} Output;

void output_init(Output *output, int fd);
struct pollfd output_poll(const Output *output);
void output_dispatch(Output *output, uint64_t now_usec);

/* Reads what has come so far, to a bound, and closes the last line: for when QEMU has ended. */
void output_drain(Output *output, uint64_t now_usec);

/* A line from the guard itself that belongs to QEMU's last words. */
void output_add(Output *output, const char *line, uint64_t now_usec);
