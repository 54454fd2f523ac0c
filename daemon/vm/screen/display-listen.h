/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Listener: the TCP socket at which vmd waits for a VM's remote viewers, where [Display] has Listen=.
 *
 * QEMU has no network that it could listen in; what is accepted here goes to it over its monitor (display-remote.h). The socket is made by
 * vmd-spawn, since vmd's own sandbox has no network either, and kept by systemd for the vmd that comes after this one; where that
 * has lost it, it is made again, at the same port.
 *
 * Belongs to the Instance, from a step of its start until its end. */

#include "instance.h"
#include "machine.h"

/* Whether Listen= can be meant so: "ADDRESS", "ADDRESS:PORT", "[ADDRESS]:PORT"; ADDRESS a number or "*". */
bool display_listen_check(const Settings *settings, Error **ret_error);

/* NULL: it listens, or there is nothing that it should do so for. */
typedef void (*DisplayListenDone)(const Error *error, void *userdata);

/* For a start: opens the certificates into `tls_fds`, the caller's, and the socket. `done` comes once, perhaps before this returns; not if
 * the listener is freed. False, and an Error: nothing was begun. Errors: InvalidSettings, InUse, Failed. */
bool display_listen_open(Instance *instance, const Settings *settings, int *tls_fds, DisplayListenDone done, void *userdata, Error **ret_error);

/* The files that TLS is spoken with, in the order of machine_tls_names, the caller's; those that were opened are in `ret_fds` also where one cannot be. */
bool display_listen_open_tls(const Manager *manager, int *ret_fds, Error **ret_error);

/* From when QEMU's monitor answers: who waits is let in. */
void display_listener_go(Instance *instance);

/* "192.0.2.1:5900", "[::1]:5900", "*:5900"; NULL: nowhere. Borrowed. */
const char *display_listener_address(const DisplayListener *listener);
const char *display_listener_type(const DisplayListener *listener); /* "spice", "vnc" */
size_t display_listener_protocol(const DisplayListener *listener);

/* The certificate that remote clients check QEMU's with, as PEM. The caller frees. */
char *display_listener_read_ca(const VM *vm, Error **ret_error);

/* Takes `fd` if its name says that it is a listener's. The second, when all that systemd had are taken: makes those that are missing. */
bool display_listener_recover(Manager *manager, int fd, const char *name);
void display_listeners_recover(Manager *manager);

/* `end`: the VM has ended; else it goes on, and systemd keeps the socket. */
void display_listener_free(DisplayListener *listener, bool end);
