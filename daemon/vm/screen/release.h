/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Release: what a viewer still had pressed when it went, however it did.
 *
 * QEMU releases the keys of SPICE's and VNC's viewers itself, those of its D-Bus display not, and nobody's mouse buttons. It does not say what is
 * pressed. So all that it knows is released, buttons at once and keys a few at a time, as a keyboard remembers no more of them; to a guest the release
 * of what is not pressed is nothing. One that is paused hears of it when it goes on. Of a viewer that went while no vmd was
 * there the next one knows nothing.
 *
 * Belongs to the Displays; made when the first viewer goes. */

#include "instance.h"

typedef struct Release Release;

/* Begins, or begins again. `keys`: those too. */
void release_begin(Release **release, Instance *instance, bool keys);

/* What has not been released stays pressed. NULL is fine. */
void release_free(Release *release);
