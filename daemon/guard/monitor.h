/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Monitor: the guard's own QMP connection, over which it presses the power button and hears why QEMU ends.
 *
 * What comes in is hostile: a line longer than the buffer is skipped, what is no QMP is ignored, and nothing
 * that arrives or fails to arrive does more than leave `reason` empty. Nothing is written before QEMU has
 * greeted, and nothing waits: a command that QEMU does not take now is taken later or replaced by the next
 * press. */

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "qmp-line.h"

typedef enum MonitorState {
    MONITOR_SILENT,      /* no greeting yet */
    MONITOR_NEGOTIATING, /* qmp_capabilities is sent */
    MONITOR_READY,
    MONITOR_CLOSED,
} MonitorState;

typedef struct Monitor {
    int fd;
    MonitorState state;
    bool press;                  /* the button is to be pressed as soon as that can be */
    bool skip;                   /* the rest of the line is too long */
    bool panicked;               /* and not reset since */
    char reason[QMP_REASON_MAX]; /* of the last SHUTDOWN event, "" without one */
    unsigned n_in;
    unsigned n_out;
    char in[2048];
    char out[256];
} Monitor;

void monitor_init(Monitor *monitor, int fd);

/* Presses the power button, now or as soon as QEMU listens. Presses that QEMU has not taken do not add up. */
void monitor_press(Monitor *monitor);

struct pollfd monitor_poll(const Monitor *monitor);
void monitor_dispatch(Monitor *monitor, short revents, uint64_t now_usec);

/* Reads what has come so far, to a bound: for when QEMU has ended. */
void monitor_drain(Monitor *monitor, uint64_t now_usec);
