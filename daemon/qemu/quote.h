/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Words of QEMU's made fit to be shown: in an Error, in the journal, on a terminal.
 *
 * QEMU's words may carry what a guest wrote, so control characters (escape sequences among them) and what is
 * no UTF-8 are replaced, lines are joined and the length is bounded. Depends on nothing but GLib. */

#include <glib.h>

/* A new string of at most `max` bytes (at least 4): line ends become "; ", other control characters spaces,
 * runs of blanks one. What does not fit is cut at a character and ends in "...". The caller frees. */
char *quote_words(const char *text, size_t length, size_t max);

/* The same, cut at the start ("..."): for output where the end says what happened. */
char *quote_last_words(const char *text, size_t length, size_t max);
