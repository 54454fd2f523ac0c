/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* bench-empty: the least that a D-Bus service can be, one object with one property. What reads of vmd's
 * properties and its start are held against. */

#include <stdlib.h>
#include <systemd/sd-bus.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property,
        sd_bus_message *reply, void *userdata, sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", "stopped");
}

static const sd_bus_vtable vtable[] = {
        SD_BUS_VTABLE_START(0),
        SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
        SD_BUS_VTABLE_END,
};

int main(void)
{
    sd_event *event = NULL;
    sd_bus *bus = NULL;
    if (sd_event_default(&event) < 0 || sd_bus_open_system(&bus) < 0 ||
            sd_bus_attach_event(bus, event, 0) < 0 ||
            sd_bus_add_object_vtable(bus, NULL, "/org/vmd1/Bench", "org.vmd1.Bench", vtable, NULL) < 0 ||
            sd_bus_request_name(bus, "org.vmd1.Bench", 0) < 0)
        return EXIT_FAILURE;
    (void) sd_notify(0, "READY=1");
    return sd_event_loop(event) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
