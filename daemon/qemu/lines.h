/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Lines: what comes from a stream piece by piece, cut into lines, of which none may be longer than a maximum.
 *
 * A line that came whole in one piece is not copied; the start of one whose end has not come is kept, and nothing else.
 * A member of what reads the stream. */

#include <glib.h>
#include <stdbool.h>

typedef struct Lines {
    size_t max;
    GByteArray *partial; /* NULL most of the time */
} Lines;

/* One line, without its end. False: no more of them. It may clear the Lines that it comes from. */
typedef bool (*LinesHandler)(const char *line, size_t length, void *userdata);

/* Takes what has been read. -EMSGSIZE when a line is too long. */
int lines_take(Lines *lines, const char *data, size_t size, LinesHandler handler, void *userdata);

/* Forgets what there is of a line. */
void lines_clear(Lines *lines);
