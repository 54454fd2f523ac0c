/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Pointer: what callers do with the mouse of a guest that runs. Nothing stays pressed: what is pressed is released by the same few commands, which
 * QEMU has all before it begins with the first. Called by vm-keys.c. */

#include "vm.h"

#define POINTER_BUTTONS_MAX 4U

/* Errors of all: NotRunning, Busy (the guest stands still), Unsupported (it has no display), InvalidSettings (no such place or button), LimitReached,
 * QemuFailed. Places are parts of the screen, from 0 (left, top) to 1 (right, bottom). */
bool vm_move_pointer(VM *vm, double x, double y, VMDone done, void *userdata, Error **ret_error);

/* Presses these in order and releases them: "left", "middle", "right", "side", "extra", or a step of the wheel: "wheel-up", "wheel-down",
 * "wheel-left", "wheel-right". */
bool vm_send_buttons(VM *vm, char **buttons, VMDone done, void *userdata, Error **ret_error);

/* From where it is to there, with a button held. */
bool vm_drag_pointer(VM *vm, double x, double y, const char *button, VMDone done, void *userdata, Error **ret_error);
