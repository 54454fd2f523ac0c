/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A USB device that a caller lends (redirections.c) comes into the machine: the controller, where there is none yet, which stays; QEMU's end
 * of the socket, a chardev on it, and the device. It goes without a Hotplug, since nobody has to be asked. */

#include "hotplug-kind.h"
#include "machine.h"

typedef struct Lent {
    int fd; /* whose redirection it is */
} Lent;

static bool check_redirection(Hotplug *hotplug, Error **ret_error)
{
    return true;
}

static bool open_redirection(Hotplug *hotplug, Error **ret_error)
{
    hotplug_opened(hotplug, NULL);
    return true;
}

static void close_redirection(Hotplug *hotplug)
{
}

static void on_plugged(Hotplug *hotplug, const Error *error)
{
    hotplug_added(hotplug, error);
}

static void plug(Hotplug *hotplug)
{
    g_autoptr(Error) error = NULL;
    int r = hotplug_plug(hotplug, json_pack("{ss ss ss ss}", "driver", "usb-redir", "id", hotplug->device, "chardev", hotplug->device, "bus", MACHINE_USB_BUS),
        on_plugged);
    if (r >= 0)
        return;
    error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
    hotplug_added(hotplug, error);
}

static void on_chardev(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Hotplug *hotplug = userdata;
    if (error)
        hotplug_added(hotplug, error);
    else
        plug(hotplug);
}

static void on_controller(Hotplug *hotplug, const Error *failed)
{
    Qmp *qmp = hotplug->vm->instance->qmp;
    const Lent *own = hotplug->own;
    g_autoptr(Error) error = error_copy(failed);
    json_t *backend = json_pack("{s{s{ss s{ss}} sb}}", "data", "addr", "type", "fd", "data", "str", hotplug->device, "server", 0);
    (void) json_object_set_new(backend, "type", json_string("socket"));
    int r = error ? -ECANCELED : qmp_call(qmp, "getfd", json_pack("{ss}", "fdname", hotplug->device), own->fd, HOTPLUG_QMP_USEC, NULL, NULL);
    if (r >= 0)
        r = qmp_call(qmp, "chardev-add", json_pack("{ss sO}", "id", hotplug->device, "backend", backend), -1, HOTPLUG_QMP_USEC, on_chardev, hotplug);
    json_decref(backend);
    if (r >= 0)
        return;
    if (!error)
        error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
    hotplug_added(hotplug, error);
}

static int add_redirection(Hotplug *hotplug)
{
    return hotplug_need_usb(hotplug, on_controller);
}

/* What there is of it; what is not is an error that nobody reads. */
static int remove_redirection(Hotplug *hotplug)
{
    Qmp *qmp = hotplug->vm->instance->qmp;
    (void) qmp_call(qmp, "device_del", json_pack("{ss}", "id", hotplug->device), -1, HOTPLUG_QMP_USEC, NULL, NULL);
    (void) qmp_call(qmp, "chardev-remove", json_pack("{ss}", "id", hotplug->device), -1, HOTPLUG_QMP_USEC, NULL, NULL);
    (void) qmp_call(qmp, "closefd", json_pack("{ss}", "fdname", hotplug->device), -1, HOTPLUG_QMP_USEC, NULL, NULL);
    hotplug_removed(hotplug);
    return 0;
}

static void attached(Hotplug *hotplug)
{
}

static void free_own(Hotplug *hotplug)
{
}

void hotplug_redirection_set_fd(Hotplug *hotplug, int fd)
{
    Lent *own = hotplug->own;
    own->fd = fd;
}

const HotplugKind hotplug_redirection = {
    .section = "USB",
    .device = "redirection",
    .size = sizeof(Lent),
    .check = check_redirection,
    .open = open_redirection,
    .close = close_redirection,
    .add = add_redirection,
    .remove = remove_redirection,
    .attached = attached,
    .free = free_own,
};
