/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Points in time as systemd's tools print them; µs since the epoch. New strings, the caller frees. */

#include <stdint.h>

char *timestamp_format(uint64_t usec);          /* "Thu 2025-11-20 16:45:01 UTC" */
char *timestamp_format_relative(uint64_t usec); /* "3min 2s ago", "2 days ago" */
