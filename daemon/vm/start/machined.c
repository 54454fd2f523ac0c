/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machined.h"

#include "cleanup.h"
#include "instance.h"
#include "manager.h"

#define SERVICE "vmd"
#define CALL_USEC (30 * G_USEC_PER_SEC)

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
    int r = sd_bus_message_new_method_call(manager->bus, &m, "org.freedesktop.machine1", "/org/freedesktop/machine1", "org.freedesktop.machine1.Manager",
        "RegisterMachine");
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
