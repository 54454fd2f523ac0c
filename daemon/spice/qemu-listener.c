/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qemu-listener.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"

/* A QEMU that does not take it is not asked for ever. One whose pictures do not fit is asked ever more seldom, up to twice as seldom this often: QEMU from
 * 8.1 on needs more memory for each time, which a guest may be after. */
#define AGAIN_USEC UINT64_C(200000)
#define REFUSALS_MAX 10U
#define DOUBLED_MAX 9U
/* Pictures come in as few pieces as the kernel allows. */
#define BUFFER_BYTES (4 << 20)

struct QemuListener {
    sd_event *event;
    sd_bus *qemu; /* whom to ask */
    const QemuListenerKind *kind;
    char *object;
    void *userdata;
    sd_bus_slot *ready; /* until `qemu` is */
    sd_bus *bus;        /* NULL: none, or not yet */
    sd_bus_slot *call;
    unsigned refusals, renewals;
    sd_event_source *again;  /* until it is registered again */
    uint64_t registered;     /* when it was last, on the loop's clock */
    sd_event_source *resume; /* what came along with QEMU's hello is read */
};

/* QEMU is the server of all of them. */
static int begin_connection(int fd, sd_bus **ret)
{
    sd_bus *bus = NULL;
    int r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_fd(bus, fd, fd);
    if (r < 0) {
        (void) close(fd);
        sd_bus_unref(bus);
        return r;
    }
    r = sd_bus_set_bus_client(bus, false);
    if (r >= 0)
        r = sd_bus_negotiate_fds(bus, true);
    if (r >= 0)
        r = sd_bus_set_connected_signal(bus, true);
    if (r < 0) {
        sd_bus_close_unref(bus);
        return r;
    }
    *ret = bus;
    return 0;
}

int qemu_connect(sd_event *event, int fd, int64_t priority, sd_bus **ret)
{
    sd_bus *bus = NULL;
    int r = begin_connection(fd, &bus);
    if (r < 0)
        return r;
    r = sd_bus_start(bus);
    if (r >= 0)
        r = sd_bus_attach_event(bus, event, priority);
    if (r < 0) {
        sd_bus_close_unref(bus);
        return r;
    }
    *ret = bus;
    return 0;
}

static void hang_up(QemuListener *listener)
{
    listener->call = sd_bus_slot_unref(listener->call);
    listener->resume = sd_event_source_disable_unref(listener->resume);
    if (listener->bus)
        (void) sd_bus_detach_event(listener->bus);
    listener->bus = sd_bus_close_unref(listener->bus);
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata);

static void begin_again(QemuListener *listener, uint64_t usec)
{
    if (!listener->again)
        (void) sd_event_add_time(listener->event, &listener->again, CLOCK_MONOTONIC, listener->registered + usec, 1, on_again, listener);
}

static int on_registered(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    QemuListener *listener = userdata;
    listener->call = sd_bus_slot_unref(listener->call);
    if (!sd_bus_message_is_method_error(m, NULL)) {
        listener->refusals = 0;
        return 0;
    }
    hang_up(listener);
    if (++listener->refusals < REFUSALS_MAX)
        begin_again(listener, AGAIN_USEC);
    else
        g_warning("QEMU does not tell %s of %s: %s", listener->kind->what, listener->object, sd_bus_message_get_error(m)->message);
    return 0;
}

static int on_resume(sd_event_source *source, void *userdata)
{
    QemuListener *listener = userdata;
    listener->resume = sd_event_source_disable_unref(listener->resume);
    (void) sd_bus_process(listener->bus, NULL);
    return 0;
}

/* sd-bus may have read QEMU's first call with the end of its hello, and would wait for more before it looked at it, as QEMU does for the answer. */
static int on_connected(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    QemuListener *listener = userdata;
    return sd_event_add_defer(listener->event, &listener->resume, on_resume, listener);
}

/* QEMU, which waits for the hello on the other end, is to find it there. */
static int say_hello(QemuListener *listener, int fd)
{
    int r = begin_connection(fd, &listener->bus);
    for (const QemuListenerInterface *i = listener->kind->interfaces; r >= 0 && i->name; i++)
        r = sd_bus_add_object_vtable(listener->bus, NULL, listener->kind->path, i->name, i->vtable, listener->userdata);
    if (r >= 0)
        r = sd_bus_start(listener->bus);
    if (r >= 0)
        r = sd_bus_attach_event(listener->bus, listener->event, SD_EVENT_PRIORITY_NORMAL + 1);
    return r < 0 ? r : sd_bus_match_signal(listener->bus, NULL, NULL, QEMU_LOCAL_PATH, QEMU_LOCAL_INTERFACE, "Connected", on_connected, listener);
}

static int begin(QemuListener *listener)
{
    int fds[2];
    (void) sd_event_now(listener->event, CLOCK_MONOTONIC, &listener->registered);
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    (void) setsockopt(fds[1], SOL_SOCKET, SO_SNDBUF, &(int) {BUFFER_BYTES}, sizeof(int));
    int r = say_hello(listener, fds[0]);
    if (r >= 0)
        r = sd_bus_call_method_async(listener->qemu, &listener->call, NULL, listener->object, listener->kind->interface, listener->kind->method, on_registered, listener,
            "h", fds[1]);
    (void) close(fds[1]);
    if (r < 0)
        hang_up(listener);
    return r;
}

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    QemuListener *listener = userdata;
    listener->again = sd_event_source_disable_unref(listener->again);
    hang_up(listener);
    if (begin(listener) < 0)
        g_warning("QEMU cannot be asked for %s of %s", listener->kind->what, listener->object);
    return 0;
}

void qemu_listener_renew(QemuListener *listener)
{
    if (!listener->again)
        begin_again(listener, AGAIN_USEC << MIN(listener->renewals++, DOUBLED_MAX));
}

static int on_ready(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    QemuListener *listener = userdata;
    listener->ready = sd_bus_slot_unref(listener->ready);
    if (begin(listener) < 0)
        begin_again(listener, AGAIN_USEC);
    return 0;
}

/* sd-bus waits for the other end to be ready before it sends it a descriptor. */
static int begin_when_ready(QemuListener *listener)
{
    if (sd_bus_is_ready(listener->qemu) > 0)
        return begin(listener);
    return sd_bus_match_signal(listener->qemu, &listener->ready, NULL, QEMU_LOCAL_PATH, QEMU_LOCAL_INTERFACE, "Connected", on_ready, listener);
}

QemuListener *qemu_listener_new(sd_event *event, sd_bus *bus, const QemuListenerKind *kind, const char *object, void *userdata)
{
    QemuListener *listener = g_new0(QemuListener, 1);
    listener->event = event;
    listener->qemu = bus;
    listener->kind = kind;
    listener->object = g_strdup(object);
    listener->userdata = userdata;
    if (begin_when_ready(listener) < 0) {
        qemu_listener_free(listener);
        return NULL;
    }
    return listener;
}

void qemu_listener_free(QemuListener *listener)
{
    if (!listener)
        return;
    sd_event_source_disable_unref(listener->again);
    sd_bus_slot_unref(listener->ready);
    hang_up(listener);
    g_free(listener->object);
    g_free(listener);
}
