/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usb-watch.h"

#include <glib.h>
#include <systemd/sd-device.h>

struct UsbWatch {
    sd_device_monitor *monitor;
    void (*changed)(void *userdata);
    void *userdata;
};

static int on_device(sd_device_monitor *monitor, sd_device *device, void *userdata)
{
    UsbWatch *watch = userdata;
    watch->changed(watch->userdata);
    return 0;
}

int usb_watch_new(sd_event *event, void (*changed)(void *userdata), void *userdata, UsbWatch **ret)
{
    UsbWatch *watch = g_new0(UsbWatch, 1);
    watch->changed = changed;
    watch->userdata = userdata;
    int r = sd_device_monitor_new(&watch->monitor);
    if (r >= 0)
        r = sd_device_monitor_filter_add_match_subsystem_devtype(watch->monitor, "usb", "usb_device");
    if (r >= 0)
        r = sd_device_monitor_attach_event(watch->monitor, event);
    if (r >= 0)
        r = sd_device_monitor_start(watch->monitor, on_device, watch);
    if (r < 0)
        usb_watch_free(watch);
    else
        *ret = watch;
    return r;
}

void usb_watch_free(UsbWatch *watch)
{
    if (!watch)
        return;
    sd_device_monitor_unref(watch->monitor);
    g_free(watch);
}
