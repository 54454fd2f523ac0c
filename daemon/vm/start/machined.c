/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machined.h"

#include <sys/inotify.h>

#include "cleanup.h"
#include "instance.h"
#include "manager.h"

#define NAME "org.freedesktop.machine1"
#define SERVICE "vmd"
#define CALL_USEC (30 * G_USEC_PER_SEC)
#define FORGET_USEC (5 * G_USEC_PER_SEC)
/* A file for each machine, which is private but for its being there. */
#define MACHINES "/run/systemd/machines"

/* Not there is fine; of anything else somebody who misses the VM in machinectl's list finds a word. */
static int on_registered(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    const sd_bus_error *error = sd_bus_message_get_error(m);
    if (!error || sd_bus_error_has_names(error, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "org.freedesktop.systemd1.NoSuchUnit",
                      "org.freedesktop.systemd1.UnitMasked"))
        return 0;
    g_message("systemd-machined does not take a VM that runs into its list: %s", error->message ?: error->name);
    return 0;
}

void machined_register(const VM *vm)
{
    g_autoptr(sd_bus_message) m = NULL;
    Manager *manager = vm->manager;
    if (manager->user || !vm->instance)
        return;
    int r = sd_bus_message_new_method_call(manager->bus, &m, NAME, "/org/freedesktop/machine1", NAME ".Manager", "RegisterMachine");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", vm->name);
    if (r >= 0)
        r = sd_bus_message_append_array(m, 'y', vm->uuid.bytes, sizeof vm->uuid.bytes);
    /* The guard: machinectl poweroff signals it as systemd does to stop the scope. */
    if (r >= 0)
        r = sd_bus_message_append(m, "ssus", SERVICE, "vm", (uint32_t) vm->instance->guard, "");
    if (r >= 0)
        r = sd_bus_call_async(manager->bus, NULL, m, on_registered, NULL, CALL_USEC);
    if (r < 0)
        g_message("systemd-machined cannot be told of VM %s: %s", vm->name, g_strerror(-r));
}

/* ---- the last run's ---- */

struct MachinedWait {
    sd_event_source *file, *limit;
    sd_bus_slot *owner;
    char *path;
    VMDone done;
    void *userdata;
};

void machined_wait_free(MachinedWait *wait)
{
    if (!wait)
        return;
    sd_event_source_disable_unref(wait->file);
    sd_event_source_disable_unref(wait->limit);
    sd_bus_slot_unref(wait->owner);
    g_free(wait->path);
    g_free(wait);
}

static void finish(MachinedWait *wait)
{
    VMDone done = wait->done;
    void *userdata = wait->userdata;
    machined_wait_free(wait);
    done(NULL, userdata);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    MachinedWait *wait = userdata;
    g_warning("systemd-machined still has %s, of a VM that has ended", wait->path);
    finish(wait);
    return 0;
}

static int on_file(sd_event_source *source, const struct inotify_event *event, void *userdata);

/* machined writes a file anew by replacing it, which also looks as if it went. */
static bool watch(MachinedWait *wait, sd_event *event)
{
    wait->file = sd_event_source_disable_unref(wait->file);
    return sd_event_add_inotify(event, &wait->file, wait->path, IN_DELETE_SELF | IN_ATTRIB, on_file, wait) >= 0;
}

static int on_file(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
    MachinedWait *wait = userdata;
    if (!watch(wait, sd_event_source_get_event(source)))
        finish(wait);
    return 0;
}

/* One that was stopped leaves its files, and stops no scope. */
static int on_owner(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    int owned = true;
    if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "b", &owned) >= 0 && !owned)
        finish(userdata);
    return 0;
}

MachinedWait *machined_await(const VM *vm, VMDone done, void *userdata)
{
    sd_event *event = vm->manager->event;
    if (vm->manager->user)
        return NULL;
    MachinedWait *wait = g_new0(MachinedWait, 1);
    wait->path = g_build_filename(MACHINES, vm->name, NULL);
    wait->done = done;
    wait->userdata = userdata;
    if (watch(wait, event) && sd_event_add_time_relative(event, &wait->limit, CLOCK_MONOTONIC, FORGET_USEC, 0, on_limit, wait) >= 0 &&
        sd_bus_call_method_async(vm->manager->bus, &wait->owner, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "NameHasOwner", on_owner, wait,
            "s", NAME) >= 0)
        return wait;
    machined_wait_free(wait);
    return NULL;
}
