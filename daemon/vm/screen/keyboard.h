/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Keyboard: keys that callers press in a guest that runs, and text that they have typed.
 *
 * One thing at a time for each VM. Keys are held by QEMU itself, so that they are released whatever becomes of vmd. A text is turned into strokes in a
 * thread (display/keymap.h) and then typed as a job. A stroke goes to QEMU whole, modifiers and releases with it, so whatever
 * ends the job leaves no key pressed. While the VM is paused the typing waits.
 *
 * Belongs to the Instance; made when the first key is pressed. Called by vm-keys.c. */

#include "instance.h"

#define KEYS_MAX 16U

/* Presses `keys` (names as display/key-name.h has them) in order and releases them; `done` when that has happened. Errors: NotRunning, Busy,
 * Unsupported (it has no display), InvalidSettings (no such key), LimitReached, QemuFailed. */
bool vm_send_keys(VM *vm, char **keys, VMDone done, void *userdata, Error **ret_error);

/* Either the path of the job (borrowed) or an Error. Comes once, before anything is typed. */
typedef void (*TypingBegun)(const char *job, const Error *error, void *userdata);

/* `interval`: from one stroke to the next, in µs; 0: by the accelerator. Errors, besides those of above: InvalidSettings (no such layout, or it has not all of
 * the text), LimitReached. */
bool vm_type_text(VM *vm, const char *text, const char *layout, uint64_t interval, TypingBegun done, void *userdata, Error **ret_error);

/* Ends what is under way, and says so. NULL is fine. */
void keyboard_free(Keyboard *keyboard);
