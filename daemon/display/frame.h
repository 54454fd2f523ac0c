/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Frame: what a screen shows at one moment, asked for as a VNC viewer does that sees one picture and goes.
 *
 * For threads: it waits for the server, though never longer than half a minute in all. The server is hostile: how much it
 * says is bounded, and what is outside of the picture is an error. Knows no VMs. */

#include <glib.h>

#include "error.h"

/* `peer`: a connected socket, on which nothing has been said yet; it stays the caller's. A PNG, or NULL and an Error. */
GByteArray *frame_fetch(int peer, const char *thing, Error **ret_error);
