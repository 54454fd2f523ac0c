/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* QemuListener: a connection by which QEMU tells what it has to tell, a screen of it or its sound: a D-Bus one without a bus, of which QEMU is asked to
 * take the other end.
 *
 * QEMU waits for the hello on it, with its whole main loop: nothing is done between the call and the hello. Where QEMU does not take it, which it
 * does not while it still has that of a vmd-spice before, it is asked again, some times.
 * Belongs to whoever made it, and may be freed in what it calls. */

#include <glib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-event.h>

typedef struct QemuListener QemuListener;

typedef struct QemuListenerInterface {
    const char *name; /* NULL: no more */
    const sd_bus_vtable *vtable;
} QemuListenerInterface;

typedef struct QemuListenerKind {
    const char *what;               /* "the pictures"; for the journal */
    const char *interface, *method; /* by which QEMU takes it */
    const char *path;               /* where QEMU finds these: */
    QemuListenerInterface interfaces[3];
} QemuListenerKind;

/* A connection to a QEMU, over `fd`, which it takes. What sd-bus itself says of it, "Connected" and "Disconnected", comes as signals from there. */
#define QEMU_LOCAL_PATH "/org/freedesktop/DBus/Local"
#define QEMU_LOCAL_INTERFACE "org.freedesktop.DBus.Local"
int qemu_connect(sd_event *event, int fd, int64_t priority, sd_bus **ret);

/* `object`: QEMU's, on `bus`, which is borrowed, as `kind` is; `userdata` is what the vtables get. NULL: never. */
QemuListener *qemu_listener_new(sd_event *event, sd_bus *bus, const QemuListenerKind *kind, const char *object, void *userdata);
void qemu_listener_free(QemuListener *listener);

/* What came on it is of no use: there will be another, soon, but later each time, to which QEMU tells all from its beginning. */
void qemu_listener_renew(QemuListener *listener);
