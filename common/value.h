/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Values as people write them: sizes, durations, booleans, words. Parsers return 0 or a negative errno
 * (-EINVAL: not such a value; -ERANGE: it does not fit) and do not touch `ret` on failure. Formatters
 * return a new string, the caller frees, that the parser reads back to the same value. */

#include <stdbool.h>
#include <stdint.h>

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_INFINITY UINT64_MAX

int parse_boolean(const char *s, bool *ret);
int parse_uint64(const char *s, uint64_t *ret);

/* "2G", "512M", "1.5G", "4096"; powers of 1024 as systemd has them for memory, of 1000 for I/O rates. */
int parse_size(const char *s, uint64_t *ret);
int parse_size_1000(const char *s, uint64_t *ret);

/* In µs; "90s", "5min 20s", "1h", "250ms", "infinity"; a bare number is seconds. */
int parse_duration(const char *s, uint64_t *ret);

/* Shell quoting, and as in a shell "#" begins a comment. NULL-terminated, freed with g_strfreev. */
int parse_words(const char *s, char ***ret);

char *format_size(uint64_t bytes);       /* "2G" where it is exact, else bytes */
char *format_size_human(uint64_t bytes); /* "1.5G", for tables */
char *format_duration(uint64_t usec);    /* "1min 30s" */
char *format_words(const char *const *words);
