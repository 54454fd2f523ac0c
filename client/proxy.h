/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Proxy: a unix socket, every connection to which becomes one to a VM's display (OpenDisplay()), for viewers that want a path.
 *
 * vmctl opens them, so they are its own in DisplayClients, and end with it. */

#include <systemd/sd-event.h>

#include "client.h"

typedef struct Proxy Proxy;

/* Listens on `path`, which only the caller's user can connect to. `first`: a connection that is open already, for whoever comes first; taken in
 * every case; -1: none. What fails later for one connection is said, and ends that one. NULL: it has said why. */
Proxy *proxy_new(Client *client, sd_event *event, const char *vm, const char *type, const char *path, int first);
void proxy_free(Proxy *proxy); /* removes the socket */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Proxy, proxy_free)
