/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keymap: which keys a person would press for a text on a keyboard of some layout.
 *
 * The layouts are those of xkeyboard-config, as libxkbcommon reads them ("us", "fr", "de(nodeadkeys)"). What a key gives is found by
 * pressing each one, alone and with Shift and right Alt, so nothing is assumed about how a layout is written. Only keys that
 * every PC keyboard has are used, of several ways the one with the fewest modifiers; the key beside the left Shift, which
 * keyboards of the US do not have, only where Shift alone is not enough. What is on no key is made with a dead key where the layout has one.
 *
 * Reads files, so it is for a thread (daemon/task). Any thread may call it. Knows no VMs. */

#include <glib.h>
#include <stdint.h>

#include "error.h"

#define KEYMAP_TEXT_MAX 4096U /* characters */

typedef struct Stroke {
    uint8_t key; /* as a PC keyboard numbers it: the first set of scancodes, and Linux' evdev */
    bool shift, right_alt;
} Stroke;

/* Strokes, in order; NULL and an Error: InvalidSettings (no such layout, or the text has a character that it has not: which, and
 * where), LimitReached. A new line is Return, in the form \r\n too. */
GArray *keymap_strokes(const char *layout, const char *text, Error **ret_error);
