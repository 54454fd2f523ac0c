/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Confine: what QEMU and the guard give up for good.
 *
 * Steps in an order that matters: capabilities can only leave the bounding set, and ids only change, while
 * there are capabilities; the parent-death signal is forgotten when ids change. On failure *ret_what (a
 * constant) names the step, and the process must not go on. */

#include <sys/types.h>

#include "options.h"

/* In the child that becomes QEMU; `guard` is a pipe whose other end the guard holds as long as it lives.
 * Returns a negative errno. */
int confine_qemu(const Options *options, int guard, const char **ret_what);

/* In the guard, once QEMU has been forked. Afterwards only its loop runs: no new descriptor but
 * accept()ed ones, no program, no signal to anybody. */
int confine_guard(const Options *options, const char **ret_what);
