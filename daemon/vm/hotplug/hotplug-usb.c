/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* [USB NAME] that comes or goes: the controller, where the machine has none yet, which stays; then the device, where it is there
 * (plugs.c). */

#include "hotplug-kind.h"
#include "machine.h"
#include "manager.h"
#include "plugs.h"

static bool check_usb(Hotplug *hotplug, Error **ret_error)
{
    UsbWish wish;
    return usb_read_wish(hotplug->settings, hotplug->section, &wish, ret_error);
}

static bool open_usb(Hotplug *hotplug, Error **ret_error)
{
    hotplug_opened(hotplug, NULL);
    return true;
}

static void close_usb(Hotplug *hotplug)
{
}

static void on_plugged(const Error *error, void *userdata)
{
    hotplug_added(userdata, error);
}

static void on_looked(void *userdata)
{
    Hotplug *hotplug = userdata;
    usb_await(hotplug->vm, hotplug->settings, hotplug->section, on_plugged, hotplug);
}

static void plug(Hotplug *hotplug, const Error *error)
{
    if (error)
        hotplug_added(hotplug, error);
    else
        usb_look(hotplug->vm->manager, on_looked, hotplug);
}

static void on_controller(Hotplug *hotplug, const Error *error)
{
    if (!error)
        hotplug->vm->instance->replugged = true;
    hotplug->ready(hotplug, error);
}

static void on_list(Qmp *qmp, const json_t *result, const Error *missing, void *userdata)
{
    Hotplug *hotplug = userdata;
    g_autoptr(Error) error = NULL;
    if (!missing)
        return hotplug->ready(hotplug, NULL);
    int r = hotplug_plug(hotplug, json_pack("{ss ss si si}", "driver", "qemu-xhci", "id", MACHINE_USB, "p2", 15, "p3", 15), on_controller);
    if (r >= 0)
        return;
    error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
    hotplug->ready(hotplug, error);
}

int hotplug_need_usb(Hotplug *hotplug, HotplugPlugged ready)
{
    hotplug->ready = ready;
    return qmp_call(hotplug->vm->instance->qmp, "qom-list", json_pack("{ss}", "path", "/machine/peripheral/" MACHINE_USB), -1, HOTPLUG_QMP_USEC,
        on_list, hotplug);
}

static int add_usb(Hotplug *hotplug)
{
    return hotplug_need_usb(hotplug, plug);
}

static int remove_usb(Hotplug *hotplug)
{
    usb_forget(hotplug->vm->instance, hotplug->name);
    hotplug_removed(hotplug);
    return 0;
}

static void attached(Hotplug *hotplug)
{
}

static void free_own(Hotplug *hotplug)
{
    usb_look_forget(hotplug->vm->manager, hotplug);
}

const HotplugKind hotplug_usb = {
    .section = "USB",
    .device = "usb",
    .size = 1,
    .check = check_usb,
    .open = open_usb,
    .close = close_usb,
    .add = add_usb,
    .remove = remove_usb,
    .attached = attached,
    .free = free_own,
};
