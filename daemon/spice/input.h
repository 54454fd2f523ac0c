/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Input: spice-server's keyboard, mouse and tablet. What clients do is told to whoever has the handlers. */

#include <stdbool.h>
#include <stdint.h>

#include <spice.h>

typedef struct Input Input;

/* As display-source.h has them. */
typedef struct InputHandlers {
    void (*key)(uint32_t key, bool down, void *userdata);
    void (*button)(uint32_t button, bool down, void *userdata);
    void (*move_to)(uint32_t x, uint32_t y, void *userdata);
    void (*move_by)(int dx, int dy, void *userdata);
} InputHandlers;

/* Joins the server with a keyboard and a mouse; NULL: that failed. */
Input *input_new(SpiceServer *server, const InputHandlers *handlers, void *userdata);
void input_free(Input *input);

/* The guest hears of places: there is a tablet then, by which clients need not capture the pointer. */
void input_set_absolute(Input *input, bool absolute);
void input_set_leds(Input *input, uint32_t leds);
/* A client's places are of the first screen, which is of this size. */
void input_set_size(Input *input, uint32_t width, uint32_t height);
