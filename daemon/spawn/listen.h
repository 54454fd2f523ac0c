/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Listen: a TCP socket of the host that listens, for a vmd whose sandbox has no network. libc only, as birth.h is.
 *
 * What goes through a socket is judged by the cgroup that it was made in, so that vmd's own rules (IPAddressDeny=) are not about
 * it, or about what it accepts, while vmd can still make none itself. Ports below 1024 are not to be had. */

#include "spawn-protocol.h"

/* The socket, FD_CLOEXEC and not blocking, or a negative errno: -EADDRINUSE, -EADDRNOTAVAIL, -EACCES... */
int listen_on(const SpawnListen *where);
