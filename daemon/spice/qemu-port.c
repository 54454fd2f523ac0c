/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-port.h"

#include <errno.h>
#include <glib.h>
#include <spice/protocol.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "spice-protocol.h"
#include "usb-stream.h"

#define AGAIN_USEC (20 * 1000)
#define REMINDERS 4U

static const struct {
    const char *subtype, *portname;
} kinds[] = {
    [PORT_AGENT] = {"vdagent", NULL},
    [PORT_FILES] = {"port", "org.spice-space.webdav.0"},
    [PORT_USB] = {"usbredir", NULL},
};

struct Port {
    SpiceCharDeviceInstance spice; /* the first: spice-server's pointer to it is one to all */
    sd_event *event;
    SpiceServer *server;
    PortKind kind;
    char *name;
    bool joined, open;

    PortAsk ask;
    unsigned asked; /* 0: no connection is asked for; else counted up by reminders */
    int fd; /* -1: not connected */
    sd_event_source *io;
    uint32_t io_events;
    sd_event_source *again;
    UsbStream from_client, from_qemu;
};

static void disconnect_port(Port *port)
{
    port->asked = 0;
    port->io = sd_event_source_disable_unref(port->io);
    port->again = sd_event_source_disable_unref(port->again);
    close_fd(&port->fd);
}

static void want(Port *port, uint32_t events)
{
    if (port->io && events != port->io_events)
        (void) sd_event_source_set_io_events(port->io, events);
    port->io_events = events;
}

/* ---- its socket ---- */

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    Port *port = userdata;
    port->again = sd_event_source_disable_unref(port->again);
    want(port, port->io_events | EPOLLIN);
    return 0;
}

/* spice-server reads as much as its clients take, which may be nothing, and does not say when they would: what stays in the socket is offered again. */
static void offer(Port *port)
{
    want(port, port->io_events & ~(uint32_t) EPOLLIN);
    spice_server_char_device_wakeup(&port->spice);
    if (port->io && !(port->io_events & EPOLLIN) && !port->again)
        (void) sd_event_add_time_relative(port->event, &port->again, CLOCK_MONOTONIC, AGAIN_USEC, 0, on_again, port);
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Port *port = userdata;
    if (revents & EPOLLOUT)
        want(port, port->io_events & ~(uint32_t) EPOLLOUT);
    if (revents & EPOLLIN)
        offer(port);
    else if (revents & (EPOLLHUP | EPOLLERR))
        disconnect_port(port); /* QEMU has left: nobody is there until it is opened again */
    else
        spice_server_char_device_wakeup(&port->spice);
    return 0;
}

static void connect_port(Port *port)
{
    if (port->fd >= 0 || port->asked > 0)
        return;
    port->asked = 1;
    port->ask(port->name);
}

void port_remind(Port *port)
{
    if (port->asked == 0 || port->asked++ < REMINDERS)
        return;
    port->asked = 1;
    port->ask(port->name);
}

/* ---- spice-server's side ---- */

static Port *of_spice(SpiceCharDeviceInstance *spice)
{
    return (Port *) spice;
}

/* It is judged before QEMU sees any of it. */
static bool is_meant(Port *port, const uint8_t *data, size_t size)
{
    UsbStream after = port->from_client;
    return port->kind != PORT_USB || usb_stream_take(&after, &port->from_qemu, data, size);
}

static int port_write(SpiceCharDeviceInstance *spice, const uint8_t *data, int size)
{
    Port *port = of_spice(spice);
    if (port->fd < 0 || size <= 0)
        return port->asked > 0 ? 0 : size; /* nobody hears it yet, or at all */
    if (!is_meant(port, data, (size_t) size)) {
        g_warning("A client's USB device does not keep to the protocol: the guest loses it");
        disconnect_port(port);
        return size;
    }
    ssize_t n = send(port->fd, data, (size_t) size, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0 && errno != EAGAIN) {
        disconnect_port(port);
        return size;
    }
    if (n < size)
        want(port, port->io_events | EPOLLOUT);
    if (n > 0 && port->kind == PORT_USB)
        (void) usb_stream_take(&port->from_client, &port->from_qemu, data, (size_t) n);
    return n < 0 ? 0 : (int) n;
}

static int port_read(SpiceCharDeviceInstance *spice, uint8_t *data, int size)
{
    Port *port = of_spice(spice);
    if (port->fd < 0 || size <= 0)
        return 0;
    ssize_t n = recv(port->fd, data, (size_t) size, MSG_DONTWAIT);
    if (n > 0) {
        /* It comes for more, until there is none. */
        if (port->kind == PORT_USB && !usb_stream_take(&port->from_qemu, &port->from_client, data, (size_t) n)) {
            g_warning("QEMU does not keep to the protocol of USB redirection: the guest loses a device");
            disconnect_port(port);
        }
        return (int) n;
    }
    if (n < 0 && errno == EAGAIN)
        want(port, port->io_events | EPOLLIN);
    else
        disconnect_port(port);
    return 0;
}

static void port_state(SpiceCharDeviceInstance *spice, int connected)
{
    Port *port = of_spice(spice);
    if (port->kind != PORT_USB)
        return;
    if (connected)
        connect_port(port);
    else
        disconnect_port(port);
}

/* A "break", which none of them knows. */
static void port_event(SpiceCharDeviceInstance *spice, uint8_t event)
{
}

/* ---- its life ---- */

static bool join(Port *port)
{
    port->joined = spice_server_add_interface(port->server, &port->spice.base) >= 0;
    return port->joined;
}

static void leave(Port *port)
{
    if (port->joined)
        spice_server_remove_interface(&port->spice.base);
    port->joined = false;
    disconnect_port(port);
}

void port_set_open(Port *port, bool open)
{
    if (open == port->open)
        return;
    port->open = open;
    if (open)
        connect_port(port);
    if (port->kind == PORT_FILES)
        spice_server_port_event(&port->spice, open ? SPICE_PORT_EVENT_OPENED : SPICE_PORT_EVENT_CLOSED);
    else if (!open)
        leave(port);
    if (!open)
        disconnect_port(port);
}

void port_connected(Port *port, int fd)
{
    fd_cleanup int connection = fd;
    if (port->asked == 0)
        return; /* nobody wants it any more */
    port->asked = 0;
    if (fd < 0 || sd_event_add_io(port->event, &port->io, fd, EPOLLIN, on_io, port) < 0) {
        g_warning("QEMU's \"%s\" cannot be connected to", port->name);
        return;
    }
    port->fd = steal_fd(&connection);
    port->io_events = EPOLLIN;
    port->from_client = port->from_qemu = (UsbStream) {0};
    if (port->kind == PORT_AGENT && !port->joined)
        (void) join(port);
    spice_server_char_device_wakeup(&port->spice);
}

const char *port_name(const Port *port)
{
    return port->name;
}

Port *port_new(sd_event *event, SpiceServer *server, PortKind kind, const char *name, PortAsk ask)
{
    static const SpiceCharDeviceInterface interface = {
        .base = {SPICE_INTERFACE_CHAR_DEVICE, "QEMU's device", SPICE_INTERFACE_CHAR_DEVICE_MAJOR, SPICE_INTERFACE_CHAR_DEVICE_MINOR},
        .state = port_state,
        .write = port_write,
        .read = port_read,
        .event = port_event,
        .flags = SPICE_CHAR_DEVICE_NOTIFY_WRITABLE,
    };
    Port *port = g_new0(Port, 1);
    port->spice.base.sif = &interface.base;
    port->spice.subtype = kinds[kind].subtype;
    port->spice.portname = kinds[kind].portname;
    port->event = event;
    port->server = server;
    port->kind = kind;
    port->name = g_strdup(name);
    port->ask = ask;
    port->fd = -1;
    if (kind == PORT_AGENT || join(port))
        return port;
    port_free(port);
    return NULL;
}

void port_free(Port *port)
{
    if (!port)
        return;
    leave(port);
    g_free(port->name);
    g_free(port);
}
