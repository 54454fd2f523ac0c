/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Live: a terminal whose whole screen is drawn again and again, as top(1) does.
 *
 * On the alternate screen, so that what was there before is there again afterwards; without echo and line editing, but Ctrl-C and Ctrl-Z stay signals. The
 * terminal is given back by live_leave(), and at the end of vmctl in any case. One at a time. */

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>

void live_enter(void);
void live_leave(void);
bool live_is_entered(void);

void live_size(size_t *ret_rows, size_t *ret_columns);

/* Draws a frame: lines without control characters but those of styles, each no wider than the screen; no more of them than rows. */
void live_draw(const GString *frame);

/* The keys of what was typed; others are themselves. */
enum {
    LIVE_KEY_UP = 256,
    LIVE_KEY_DOWN,
    LIVE_KEY_PAGE_UP,
    LIVE_KEY_PAGE_DOWN,
    LIVE_KEY_HOME,
    LIVE_KEY_END,
};

/* The next key in text that was read from the terminal, and how many bytes of it that is; 0: none that means anything. */
int live_key(const char *text, size_t length, size_t *ret_used);
