/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A look at what is plugged into the host (plugs.h), one at a time:
 *
 *     begin      what VMs want and have not, on the loop
 *     run        what was given up is given back, sysfs is read, and what is wanted and there is opened; in a thread
 *     on_looked  what has gone is taken out of QEMUs, what was opened is put in, who waits is told
 *
 * What came to be wanted meanwhile is the next one's. */

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "manager.h"
#include "plugs.h"
#include "task.h"
#include "usb-watch.h"

#define OWN_UNIT "vmd.service"
#define ALL_DEVICES "char-usb_device"
#define LATER_USEC (3 * G_USEC_PER_SEC)
#define LOOK_USEC (10 * G_USEC_PER_SEC)
#define WANTS_MAX 4096U

/* A section that has no device. */
typedef struct Want {
    char *vm, *section;
    UsbWish wish; /* with strings of its own */
    const UsbDevice *device; /* of the look's; NULL: nothing was there */
    int fd;                  /* or a negative errno */
} Want;

typedef struct Look {
    GPtrArray *wants;   /* Want */
    GPtrArray *taken;   /* UsbDevice: what VMs have */
    GPtrArray *given;   /* UsbDevice: what they had */
    GPtrArray *devices; /* UsbDevice: what is there */
} Look;

typedef struct UsbWaiter {
    UsbLooked done;
    void *userdata;
    unsigned look; /* the number of the one that it waits for */
} UsbWaiter;

struct UsbHost {
    Manager *manager;
    UsbWatch *watch;
    sd_bus_slot *allowing;
    sd_event_source *soon, *later;
    Task *task;
    unsigned look;      /* the number of the one that runs, or that ran last */
    bool again;
    bool allowed;       /* systemd has been asked to let vmd open them */
    GPtrArray *devices; /* UsbDevice; NULL: not yet looked at */
    GPtrArray *given;   /* UsbDevice, to be given back */
    GArray *waiters;    /* UsbWaiter */
};

static void want_free(void *userdata)
{
    Want *want = userdata;
    if (want->fd >= 0)
        close_fd(&want->fd);
    g_free((char *) want->wish.port);
    g_free((char *) want->wish.serial);
    g_free(want->vm);
    g_free(want->section);
    g_free(want);
}

static GPtrArray *new_devices(void)
{
    return g_ptr_array_new_with_free_func((GDestroyNotify) usb_device_free);
}

static void look_free(void *userdata)
{
    Look *look = userdata;
    g_ptr_array_unref(look->wants);
    g_ptr_array_unref(look->taken);
    g_ptr_array_unref(look->given);
    if (look->devices)
        g_ptr_array_unref(look->devices);
    g_free(look);
}

/* ---- in the thread ---- */

static bool has(const GPtrArray *devices, const UsbDevice *wanted)
{
    for (guint i = 0; i < devices->len; i++)
        if (usb_device_is(devices->pdata[i], wanted))
            return true;
    return false;
}

/* The first that is meant and free. */
static void open_wanted(const Look *look, Want *want)
{
    for (guint i = 0; i < look->devices->len; i++) {
        const UsbDevice *device = look->devices->pdata[i];
        if (!usb_wish_meets(&want->wish, device) || has(look->taken, device))
            continue;
        want->device = device;
        want->fd = usb_device_open("", device);
        if (want->fd >= 0)
            g_ptr_array_add(look->taken, usb_device_copy(device));
        return;
    }
}

static void run(void *userdata)
{
    Look *look = userdata;
    look->devices = usb_devices("");
    for (guint i = 0; i < look->devices->len; i++)
        if (has(look->given, look->devices->pdata[i]) && !has(look->taken, look->devices->pdata[i]))
            usb_device_give_back("", look->devices->pdata[i]);
    for (guint i = 0; i < look->wants->len; i++)
        open_wanted(look, look->wants->pdata[i]);
}

/* ---- on the loop ---- */

static void begin(UsbHost *host);

static void add_wants(Look *look, const VM *vm, const Settings *settings)
{
    g_autofree const char **sections = settings_sections(settings, "USB");
    for (size_t i = 0; sections && sections[i] && look->wants->len < WANTS_MAX; i++) {
        UsbWish wish;
        if (usb_has_plug(vm->instance, sections[i] + strlen(USB_SECTION)) || !usb_read_wish(settings, sections[i], &wish, NULL))
            continue;
        Want *want = g_new0(Want, 1);
        want->vm = g_strdup(vm->name);
        want->section = g_strdup(sections[i]);
        want->wish = wish;
        want->wish.port = g_strdup(wish.port);
        want->wish.serial = g_strdup(wish.serial);
        want->fd = -1;
        g_ptr_array_add(look->wants, want);
    }
}

static void add_all_wants(Look *look, VM *const *vms, size_t n, bool first)
{
    for (size_t i = 0; i < n; i++) {
        g_autoptr(Settings) settings = vms[i]->instance && vms[i]->instance->usb_first == first ? usb_settings(vms[i]) : NULL;
        if (settings)
            add_wants(look, vms[i], settings);
        if (vms[i]->instance && !first)
            vms[i]->instance->usb_first = false;
    }
}

static int on_allowed(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    usb_look(((UsbHost *) userdata)->manager, NULL, NULL);
    return 0;
}

/* A kernel that had no USB when vmd was started had no such devices that its sandbox could name. */
static bool allow_devices(UsbHost *host)
{
    if (host->manager->user || host->allowed)
        return false;
    host->allowed = unit_allow_devices(host->manager->scopes, OWN_UNIT, ALL_DEVICES, on_allowed, host, &host->allowing) >= 0;
    return host->allowed;
}

static void act_on_want(UsbHost *host, const Want *want)
{
    VM *vm = manager_find_vm(host->manager, want->vm);
    const char *name = want->section + strlen(USB_SECTION);
    g_autoptr(Settings) settings = vm ? usb_settings(vm) : NULL;
    /* It may have changed its mind, or another one was faster. */
    if (!settings || !want->device || !settings_section_origin(settings, want->section) || usb_has_plug(vm->instance, name) ||
        usb_holder(host->manager, want->device) || usb_is_refused(vm->instance, name, want->device))
        return;
    if (want->fd >= 0)
        usb_plug_in(vm, name, want->device, want->fd);
    else if (want->fd != -ENODEV && !(want->fd == -EPERM && allow_devices(host))) {
        g_autofree char *why = g_strdup_printf("/dev/bus/usb/%03u/%03u cannot be opened: %s", want->device->bus, want->device->number, g_strerror(-want->fd));
        usb_refuse(vm->instance, name, want->device, why);
    }
}

static void take_out_gone(const UsbHost *host)
{
    size_t n;
    g_autofree VM **vms = manager_list_vms(host->manager, &n);
    for (size_t i = 0; i < n; i++)
        if (vms[i]->instance && vms[i]->instance->qmp)
            usb_take_out_gone(vms[i], host->devices);
}

/* They may do anything, but not free the host. */
static void tell_waiters(UsbHost *host, unsigned look)
{
    for (guint i = 0; i < host->waiters->len;) {
        UsbWaiter waiter = g_array_index(host->waiters, UsbWaiter, i);
        if (waiter.look > look) {
            i++;
            continue;
        }
        g_array_remove_index(host->waiters, i);
        waiter.done(waiter.userdata);
        i = 0;
    }
}

static void on_looked(void *data, void *userdata)
{
    UsbHost *host = userdata;
    Look *look = data;
    unsigned number = host->look;
    host->task = NULL;
    if (look) {
        g_clear_pointer(&host->devices, g_ptr_array_unref);
        host->devices = g_ptr_array_ref(look->devices);
        take_out_gone(host);
        for (guint i = 0; i < look->wants->len; i++)
            act_on_want(host, look->wants->pdata[i]);
        look_free(look);
    } else
        g_warning("USB devices: one of the host's does not answer, so the others are not looked at either");
    if (host->again)
        begin(host);
    tell_waiters(host, number);
}

static void begin(UsbHost *host)
{
    const TaskSpec spec = {.run = run, .done = on_looked, .free_data = look_free, .timeout_usec = LOOK_USEC};
    Look *look = g_new0(Look, 1);
    size_t n;
    g_autofree VM **vms = manager_list_vms(host->manager, &n);
    look->wants = g_ptr_array_new_with_free_func(want_free);
    look->taken = new_devices();
    look->given = g_steal_pointer(&host->given);
    host->given = new_devices();
    for (size_t i = 0; i < n; i++)
        usb_add_taken(vms[i]->instance, look->taken);
    add_all_wants(look, vms, n, true);
    add_all_wants(look, vms, n, false);
    host->again = false;
    host->look++;
    int r = task_new(host->manager->event, &spec, look, host, &host->task);
    if (r >= 0)
        return;
    look_free(look);
    g_warning("USB devices cannot be looked at: %s", g_strerror(-r));
    tell_waiters(host, host->look);
}

static int on_soon(sd_event_source *source, void *userdata)
{
    UsbHost *host = userdata;
    host->soon = sd_event_source_disable_unref(host->soon);
    if (!host->task)
        begin(host);
    else
        host->again = true;
    return 0;
}

static void on_changed(void *userdata)
{
    usb_look(((UsbHost *) userdata)->manager, NULL, NULL);
}

static UsbHost *get_host(Manager *manager)
{
    if (manager->usb)
        return manager->usb;
    UsbHost *host = manager->usb = g_new0(UsbHost, 1);
    host->manager = manager;
    host->given = new_devices();
    host->waiters = g_array_new(FALSE, FALSE, sizeof(UsbWaiter));
    int r = usb_watch_new(manager->event, on_changed, host, &host->watch);
    if (r < 0)
        g_warning("USB devices that are plugged in while VMs run are not noticed: %s", g_strerror(-r));
    return host;
}

void usb_host_free(UsbHost *host)
{
    if (!host)
        return;
    usb_watch_free(host->watch);
    sd_bus_slot_unref(host->allowing);
    sd_event_source_disable_unref(host->soon);
    sd_event_source_disable_unref(host->later);
    task_abandon(host->task);
    if (host->devices)
        g_ptr_array_unref(host->devices);
    g_ptr_array_unref(host->given);
    g_array_free(host->waiters, TRUE);
    g_free(host);
}

/* Several changes at once, such as a hub with what is in it, are one; and nothing is done in the middle of what found out. */
void usb_look(Manager *manager, UsbLooked done, void *userdata)
{
    UsbHost *host = get_host(manager);
    UsbWaiter waiter = {.done = done, .userdata = userdata, .look = host->look + 1};
    if (done)
        g_array_append_val(host->waiters, waiter);
    if (!host->soon)
        (void) sd_event_add_defer(manager->event, &host->soon, on_soon, host);
}

static int on_later(sd_event_source *source, uint64_t usec, void *userdata)
{
    UsbHost *host = userdata;
    host->later = sd_event_source_disable_unref(host->later);
    usb_look(host->manager, NULL, NULL);
    return 0;
}

void usb_look_later(Manager *manager)
{
    UsbHost *host = get_host(manager);
    if (!host->later)
        (void) sd_event_add_time_relative(manager->event, &host->later, CLOCK_MONOTONIC, LATER_USEC, 0, on_later, host);
}

void usb_look_forget(Manager *manager, void *userdata)
{
    GArray *waiters = manager->usb ? manager->usb->waiters : NULL;
    for (guint i = waiters ? waiters->len : 0; i > 0; i--)
        if (g_array_index(waiters, UsbWaiter, i - 1).userdata == userdata)
            g_array_remove_index(waiters, i - 1);
}

const GPtrArray *usb_seen(const Manager *manager)
{
    return manager->usb ? manager->usb->devices : NULL;
}

void usb_give_back(Manager *manager, UsbDevice *device)
{
    g_ptr_array_add(get_host(manager)->given, device);
}
