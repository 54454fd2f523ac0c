/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Remote viewers: clients that have come over TCP (display-listen.h), and the password that lets them in.
 *
 * vmd reads nothing of what they say: TLS and the password are between them and QEMU, whose events tell when one is in. Until then a
 * connection is nobody's: there are only so many of them, and each has only so much time, so that who floods gets in the way of no
 * more than others who have not said the password either. Displays (display.h) owns them all. */

#include "instance.h"

/* Takes `fd`, a connection of TCP; what is too many is closed. */
void displays_take_remote(Instance *instance, int fd);

/* `password` lets everybody in who says it until then (µs of the real time). Borrowed; NULL with an Error. */
typedef void (*DisplayPassword)(const char *password, uint64_t until, const Error *error, void *userdata);

#define DISPLAY_PASSWORD_USEC (UINT64_C(2) * 60 * G_USEC_PER_SEC)
#define DISPLAY_PASSWORD_USEC_MAX (UINT64_C(24) * 3600 * G_USEC_PER_SEC)

/* Makes a new one, which takes the place of the one before. `lifetime` in µs, 0: DISPLAY_PASSWORD_USEC. Errors: NotRunning, Busy,
 * Unsupported (it does not listen), QemuFailed. */
bool vm_create_display_password(VM *vm, uint64_t lifetime, DisplayPassword done, void *userdata, Error **ret_error);
