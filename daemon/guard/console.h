/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Console: the guest's serial console, shared by up to GUARD_WATCHERS_MAX connections.
 *
 * What QEMU sends goes to the ConsoleLog, and from there to each watcher at the watcher's own pace: a slow
 * one holds up nobody and skips what the log has forgotten. What watchers type goes to QEMU through one small
 * buffer; while QEMU does not take it, nothing is read from them. A watcher that has closed its sending side
 * still watches. */

#include <poll.h>
#include <stdbool.h>

#include "console-log.h"
#include "guard.h"

#define CONSOLE_POLL_MAX (2 + GUARD_WATCHERS_MAX)

typedef struct Watcher {
    int fd;
    bool silent; /* has closed its sending side */
    bool deaf;   /* takes nothing any more; there may be typed text to read yet */
    uint64_t offset;
} Watcher;

typedef struct Console {
    int fd;               /* QEMU's side, -1 when QEMU has closed it */
    int listen;           /* -1: there is no console at all */
    uint64_t listen_usec; /* not before: accept() failed for want of something */
    ConsoleLog log;
    unsigned n_watchers;
    unsigned next_typist; /* who may fill the buffer next, so that all get their turn */
    unsigned n_typed;
    Watcher watchers[GUARD_WATCHERS_MAX];
    char typed[256];
} Console;

/* `fd`, `listen` and `log` may all be -1. */
void console_init(Console *console, int fd, int listen, int log, uint64_t log_size);

/* Fills `fds` and returns how many; console_dispatch() gets the same array. */
unsigned console_poll(const Console *console, struct pollfd fds[static CONSOLE_POLL_MAX], uint64_t now_usec);
void console_dispatch(Console *console, const struct pollfd *fds, unsigned n_fds, uint64_t now_usec);

/* When console_poll() is worth calling again although no descriptor is ready; UINT64_MAX: never. */
uint64_t console_deadline(const Console *console, uint64_t now_usec);

/* For when QEMU has ended: reads what is left, to a bound, and brings it to the watchers; with `wait`,
 * those that take it get a quarter of a second. */
void console_drain(Console *console, bool wait);
