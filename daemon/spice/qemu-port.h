/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Port: a device of QEMU's that is a stream of bytes, as one of spice-server's: the guest's agent, files (webdav), redirected USB devices.
 *
 * Behind each is a socket of QEMU's that takes one connection at a time. The agent's is connected while the guest has its port open, since a client that
 * sees an agent gives its pointer to it. One for USB is connected for each device anew: QEMU does not survive two hellos on one
 * connection. What a client sends there is checked (usb-stream.h). vmd makes the connections; what is written meanwhile waits. */

#include <stdbool.h>

#include <spice.h>
#include <systemd/sd-event.h>

typedef struct Port Port;

typedef enum PortKind { PORT_AGENT, PORT_FILES, PORT_USB } PortKind;

/* Asks for a connection to it, of which port_connected() tells. */
typedef void (*PortAsk)(const char *name);

/* Joins the server. `name` is the socket's. The others are borrowed. */
Port *port_new(sd_event *event, SpiceServer *server, PortKind kind, const char *name, PortAsk ask);
void port_free(Port *port);

const char *port_name(const Port *port);

/* `fd`: the connection that was asked for, its from now on; -1: there is none to be had. */
void port_connected(Port *port, int fd);
/* Asks anew for what was asked for long ago: the vmd that was asked may have gone. To be called again and again. */
void port_remind(Port *port);

/* Whether the guest has it open; of USB it is the client's to say. */
void port_set_open(Port *port, bool open);
