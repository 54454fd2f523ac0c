/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* VncDisplay: what a QEMU shows and hears, as its VNC server tells a viewer (rfb.h), for a QEMU that has no D-Bus display. What VNC cannot tell is
 * not there: heads but the first, the place of the cursor, the buttons at a mouse's side. QEMU sends a picture when it is asked for one, so here a
 * bridge that hangs costs it nothing. */

#include "display-source.h"

/* `heads`: one is all that is ever told of. */
DisplaySource *vnc_display_new(sd_event *event, int fd, unsigned heads, const DisplayHandlers *handlers, void *userdata);
