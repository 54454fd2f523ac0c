/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Bridge: a vmd-spice beside a QEMU that has no SPICE of its own (spice/spice-protocol.h).
 *
 * It is a helper that comes with the first viewer and goes some seconds after the last one: a VM that nobody looks at has none. QEMU's side of its devices
 * are sockets that are made at the start and stay. It can die, hang or be killed at any moment: it is replaced when the next viewer comes, and
 * viewers that it had are put out, so that they come again. One that does not answer is killed, since QEMU sends it pictures without ever waiting.
 *
 * Belongs to the Instance; a vmd that comes later connects to it again. */

#include <jansson.h>

#include "display-internal.h"
#include "instance.h"

/* Of a VM that starts: who speaks SPICE for it, and the sockets, to `parts`. Where it is vmd-spice, QEMU gets none of `tls_fds`: they are closed. */
bool bridge_prepare(Instance *instance, const Settings *settings, const QemuBuild *build, MachineParts *parts, int *tls_fds, Error **ret_error);

/* What remote viewers say from now on, until then (s of the real time). It is told to each vmd-spice that begins before; by this vmd, and no later one.
 * NULL: it is forgotten, and no vmd-spice told. */
void bridge_set_password(Instance *instance, const char *password, uint64_t until);

/* Whether it is what the VM's SPICE is spoken by. */
bool bridge_is_wanted(const Instance *instance);

/* Gives it a viewer's connection; `added` comes later, with the Connection and without a Qmp. A negative errno. */
int bridge_give(Connection *connection, QmpReply added);
/* Whether it shows the display to anybody. */
bool bridge_is_in_use(const Instance *instance);
/* `added` does not come any more. */
void bridge_forget(const Connection *connection);

/* QEMU's VSERPORT_CHANGE. */
void bridge_port_changed(Instance *instance, const json_t *data);

/* Of a VM that a vmd before this one has started. */
void bridge_recover(Instance *instance);
void bridge_free(Bridge *bridge); /* kills nothing */
/* The sockets, with the run-time folder. */
void bridge_remove(const Instance *instance);
