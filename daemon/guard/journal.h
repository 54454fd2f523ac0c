/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Journal: what the guard writes to stderr, line by line, with sd-daemon(3) level prefixes.
 *
 * Nothing here waits: a line that stderr does not take at once is dropped and counted. Lines that QEMU
 * causes are limited, so that a hostile one cannot fill the journal; one line then says how many were left
 * out. */

#include <stddef.h>
#include <stdint.h>

typedef enum JournalLevel {
    JOURNAL_ERROR = 3,
    JOURNAL_WARNING = 4,
    JOURNAL_NOTICE = 5,
    JOURNAL_INFO = 6,
} JournalLevel;

#define JOURNAL_LINE_MAX 2048

/* A line of the guard's own; cut at 512 bytes. */
void journal_say(JournalLevel level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line that QEMU is the cause of, subject to the limit. `line` has no newline and at most
 * JOURNAL_LINE_MAX bytes; they are cleaned with journal_clean() already. */
void journal_forward(JournalLevel level, const char *line, size_t n, uint64_t now_usec);

/* When journal_flush() is due (monotonic, UINT64_MAX: not at all), and that: says how many lines were
 * dropped. At the end UINT64_MAX for the time says it at once. */
uint64_t journal_deadline(void);
void journal_flush(uint64_t now_usec);

/* Removes control characters from the text, and makes '?' of what is not UTF-8. Returns the new length. */
size_t journal_clean(char *text, size_t n);
