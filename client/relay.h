/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Relay: bytes both ways between two ends, each a socket or the two halves of a pipe. What one does not take stops the other one: at most 64 KiB
 * are kept of each direction. The first end that says its last, or is broken, ends it for both; what that end said is given to the other one before.
 *
 * Belongs to whoever made it, who frees it when it has ended, also from within. Its descriptors are its own. */

#include <systemd/sd-event.h>

#include "cleanup.h"

typedef struct Relay Relay;

typedef struct RelayEnd {
    int in, out; /* read from, and written to */
} RelayEnd;

static inline RelayEnd relay_socket(int fd)
{
    return (RelayEnd){fd, fd};
}

typedef enum RelaySide {
    RELAY_LEFT,
    RELAY_RIGHT,
} RelaySide;

/* `side` has said its last, or is broken. Once. */
typedef void (*RelayEnded)(RelaySide side, void *userdata);

/* Takes the descriptors in every case. A negative errno. */
int relay_new(sd_event *event, const RelayEnd ends[2], RelayEnded ended, void *userdata, Relay **ret);
void relay_free(Relay *relay);
