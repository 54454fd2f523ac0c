/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "input.h"

#include <glib.h>

#define SCAN_EXTENDED 0xe0
#define SCAN_PAUSE 0xe1 /* two codes more belong to it */
#define SCAN_UP 0x80
#define KEY_EXTENDED 0x80
#define KEY_PAUSE 0xc6

/* QEMU's InputButton. */
enum { BUTTON_WHEEL_UP = 3, BUTTON_WHEEL_DOWN = 4 };

struct Input {
    SpiceServer *server;
    InputHandlers handlers;
    void *userdata;
    bool tablet_joined;
    uint32_t leds, buttons;
    uint32_t width, height; /* 0: not known */
    bool extended;
    unsigned pause; /* codes that are still to come of a Pause */
    struct Keyboard {
        SpiceKbdInstance spice;
        Input *input;
    } keyboard;
    struct Mouse {
        SpiceMouseInstance spice;
        Input *input;
    } mouse;
    struct Tablet {
        SpiceTabletInstance spice;
        Input *input;
    } tablet;
};

/* Each instance is the first in what says whose it is. */
static Input *of_keyboard(SpiceKbdInstance *spice)
{
    return ((struct Keyboard *) spice)->input;
}

static Input *of_mouse(SpiceMouseInstance *spice)
{
    return ((struct Mouse *) spice)->input;
}

static Input *of_tablet(SpiceTabletInstance *spice)
{
    return ((struct Tablet *) spice)->input;
}

/* ---- the keyboard ---- */

static void push_scan(SpiceKbdInstance *spice, uint8_t code)
{
    Input *input = of_keyboard(spice);
    if (code == SCAN_EXTENDED) {
        input->extended = true;
        return;
    }
    if (code == SCAN_PAUSE) {
        input->pause = 2;
        return;
    }
    if (input->pause > 0) {
        if (--input->pause == 0)
            input->handlers.key(KEY_PAUSE, !(code & SCAN_UP), input->userdata);
        return;
    }
    uint32_t key = code & ~(uint32_t) SCAN_UP;
    if (input->extended)
        key |= KEY_EXTENDED;
    input->extended = false;
    input->handlers.key(key, !(code & SCAN_UP), input->userdata);
}

static uint8_t get_leds(SpiceKbdInstance *spice)
{
    return (uint8_t) of_keyboard(spice)->leds;
}

void input_set_leds(Input *input, uint32_t leds)
{
    input->leds = leds;
    spice_server_kbd_leds(&input->keyboard.spice, (int) leds);
}

/* ---- the pointer ---- */

/* SPICE says which are down; the wheel is two of them. */
static void tell_buttons(Input *input, uint32_t buttons)
{
    static const struct {
        uint32_t mask, button;
    } all[] = {{1U << 0, 0}, {1U << 1, 1}, {1U << 2, 2}, {1U << 3, BUTTON_WHEEL_UP}, {1U << 4, BUTTON_WHEEL_DOWN}, {1U << 5, 5}, {1U << 6, 6}};
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        if ((buttons ^ input->buttons) & all[i].mask)
            input->handlers.button(all[i].button, buttons & all[i].mask, input->userdata);
    input->buttons = buttons;
}

static void tell_wheel(const Input *input, int dz)
{
    uint32_t button = dz < 0 ? BUTTON_WHEEL_UP : BUTTON_WHEEL_DOWN;
    if (dz == 0)
        return;
    input->handlers.button(button, true, input->userdata);
    input->handlers.button(button, false, input->userdata);
}

static void mouse_motion(SpiceMouseInstance *spice, int dx, int dy, int dz, uint32_t buttons)
{
    Input *input = of_mouse(spice);
    tell_wheel(input, dz);
    if (dx != 0 || dy != 0)
        input->handlers.move_by(dx, dy, input->userdata);
    tell_buttons(input, buttons);
}

static void mouse_buttons(SpiceMouseInstance *spice, uint32_t buttons)
{
    tell_buttons(of_mouse(spice), buttons);
}

static void tablet_set_logical_size(SpiceTabletInstance *spice, int width, int height)
{
    input_set_size(of_tablet(spice), width > 0 ? (uint32_t) width : 0, height > 0 ? (uint32_t) height : 0);
}

static void tablet_position(SpiceTabletInstance *spice, int x, int y, uint32_t buttons)
{
    Input *input = of_tablet(spice);
    tell_buttons(input, buttons);
    if (input->width > 0 && input->height > 0)
        input->handlers.move_to((uint32_t) CLAMP(x, 0, (int) input->width - 1), (uint32_t) CLAMP(y, 0, (int) input->height - 1), input->userdata);
}

static void tablet_wheel(SpiceTabletInstance *spice, int dz, uint32_t buttons)
{
    Input *input = of_tablet(spice);
    tell_wheel(input, dz);
    tell_buttons(input, buttons);
}

static void tablet_buttons(SpiceTabletInstance *spice, uint32_t buttons)
{
    tell_buttons(of_tablet(spice), buttons);
}

void input_set_size(Input *input, uint32_t width, uint32_t height)
{
    input->width = width;
    input->height = height;
}

void input_set_absolute(Input *input, bool absolute)
{
    if (absolute == input->tablet_joined)
        return;
    if (absolute)
        input->tablet_joined = spice_server_add_interface(input->server, &input->tablet.spice.base) >= 0;
    else {
        spice_server_remove_interface(&input->tablet.spice.base);
        input->tablet_joined = false;
    }
}

/* ---- its life ---- */

Input *input_new(SpiceServer *server, const InputHandlers *handlers, void *userdata)
{
    static const SpiceKbdInterface keyboard = {
        .base = {SPICE_INTERFACE_KEYBOARD, "keyboard", SPICE_INTERFACE_KEYBOARD_MAJOR, SPICE_INTERFACE_KEYBOARD_MINOR},
        .push_scan_freg = push_scan,
        .get_leds = get_leds,
    };
    static const SpiceMouseInterface mouse = {
        .base = {SPICE_INTERFACE_MOUSE, "mouse", SPICE_INTERFACE_MOUSE_MAJOR, SPICE_INTERFACE_MOUSE_MINOR},
        .motion = mouse_motion,
        .buttons = mouse_buttons,
    };
    static const SpiceTabletInterface tablet = {
        .base = {SPICE_INTERFACE_TABLET, "tablet", SPICE_INTERFACE_TABLET_MAJOR, SPICE_INTERFACE_TABLET_MINOR},
        .set_logical_size = tablet_set_logical_size,
        .position = tablet_position,
        .wheel = tablet_wheel,
        .buttons = tablet_buttons,
    };
    Input *input = g_new0(Input, 1);
    input->server = server;
    input->handlers = *handlers;
    input->userdata = userdata;
    input->keyboard = (struct Keyboard) {.spice.base.sif = &keyboard.base, .input = input};
    input->mouse = (struct Mouse) {.spice.base.sif = &mouse.base, .input = input};
    input->tablet = (struct Tablet) {.spice.base.sif = &tablet.base, .input = input};
    if (spice_server_add_interface(server, &input->keyboard.spice.base) >= 0 && spice_server_add_interface(server, &input->mouse.spice.base) >= 0)
        return input;
    g_free(input);
    return NULL;
}

void input_free(Input *input)
{
    if (!input)
        return;
    if (input->tablet_joined)
        spice_server_remove_interface(&input->tablet.spice.base);
    spice_server_remove_interface(&input->mouse.spice.base);
    spice_server_remove_interface(&input->keyboard.spice.base);
    g_free(input);
}
