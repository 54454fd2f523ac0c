/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Call options: the a{sv} that some methods end with, read by a table of what they may hold. Used by the *-dbus.c.
 *
 * A value is typed, or a string in the spelling of settings files ("20G", "yes"). */

#include <stdbool.h>
#include <systemd/sd-bus.h>

#include "error.h"

typedef struct CallOption {
    const char *name;
    char type;    /* 's': char *, new; 't': uint64_t; 'b': bool; 'a': char **, new; 'h': GArray * of int, new, the descriptors the message's; 'f': int, one of them */
    void *target; /* left as it is where the option is not given */
} CallOption;

/* `options` ends with a row without a name. An option that it does not have is an error. */
bool call_options_read(sd_bus_message *m, const CallOption *options, Error **ret_error);
