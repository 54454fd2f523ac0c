/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "live.h"

#include <string.h>

#include "hotplug.h"
#include "instance.h"
#include "interfaces.h"
#include "machine.h"
#include "manager.h"
#include "pinning.h"
#include "scale.h"

/* How long the guest sees its cable unplugged when it has moved to another network: long enough that it asks for an address anew. */
#define UNPLUGGED_USEC (500 * 1000)

/* What is under way for a section; the VM may be gone when it is done. */
typedef struct Moved {
    Manager *manager;
    char *vm, *section;
} Moved;

static void moved_free(Moved *moved)
{
    g_free(moved->vm);
    g_free(moved->section);
    g_free(moved);
}

static void set_cable(const Instance *instance, const char *section, bool up)
{
    g_autofree char *card = g_strdup_printf("nic-%s", section);
    (void) qmp_call(instance->qmp, "set_link", json_pack("{ss sb}", "name", card, "up", (int) up), -1, 0, NULL, NULL);
}

static int on_plug_in(sd_event_source *source, uint64_t usec, void *userdata)
{
    Moved *moved = userdata;
    const VM *vm = manager_find_vm(moved->manager, moved->vm);
    const Port *port = port_find_of_vm(moved->manager, moved->vm, moved->section);
    if (vm && vm->instance && vm->instance->qmp && port && port->link_up)
        set_cable(vm->instance, moved->section, true);
    moved_free(moved);
    sd_event_source_unref(source);
    return 0;
}

static void on_changed(const Error *error, void *userdata)
{
    Moved *moved = userdata;
    VM *vm = manager_find_vm(moved->manager, moved->vm);
    if (error) {
        g_autofree char *message = error_message(error);
        g_warning("VM %s: [Network %s] stays as it was: %s", moved->vm, moved->section, message);
    }
    if (vm)
        vm_changed(vm, "Addresses", NULL);
    sd_event_source *timer;
    if (sd_event_add_time_relative(moved->manager->event, &timer, CLOCK_MONOTONIC, UNPLUGGED_USEC, 1, on_plug_in, moved) < 0)
        moved_free(moved);
}

static void apply(VM *vm, const Settings *settings, const char *section)
{
    g_autofree char *kind = NULL, *name = NULL;
    g_autoptr(Error) error = NULL;
    char uuid[SD_ID128_UUID_STRING_MAX];
    PortWish wish;
    if (!settings_section_split(&vm_schema, section, &kind, &name, NULL))
        return;
    Port *port = port_find_of_vm(vm->manager, vm->name, name);
    if (!port)
        return; /* a new section waits for the next start */
    if (!interface_wish(sd_id128_to_uuid_string(vm->uuid, uuid), settings, section, &wish, &error)) {
        g_autofree char *message = error_message(error);
        g_warning("VM %s: %s", vm->name, message);
        return;
    }
    wish.vm = vm->name;
    wish.section = name;
    wish.owner = vm->owner;
    if (wish.link_up != port->link_up) {
        port->link_up = wish.link_up;
        set_cable(vm->instance, name, wish.link_up);
        (void) port_write_record(port, NULL);
    }
    if (port_fits(port, &wish))
        return;
    bool moves = wish.kind != PORT_NETWORK || !port->network || !g_str_equal(port->network->name, wish.target);
    Moved *moved = g_new0(Moved, 1);
    moved->manager = vm->manager;
    moved->vm = g_strdup(vm->name);
    moved->section = g_steal_pointer(&name);
    if (moves)
        set_cable(vm->instance, moved->section, false);
    wish.section = moved->section;
    port_change(port, &wish, on_changed, moved);
}

/* ---- disks ---- */

int live_limit_disk(Instance *instance, const Settings *settings, const char *section, QmpReply reply, void *userdata)
{
    const MachineDisk disk = {
        .section = (char *) section,
        .name = (char *) section + strlen("Disk "),
        .cdrom = machine_disk_is_cdrom(settings, section),
    };
    json_t *limits = machine_disk_limits(settings, &disk, machine_type_is_x86(instance->machine));
    return qmp_call(instance->qmp, "block_set_io_throttle", limits, -1, 0, reply, userdata);
}

static void on_limited(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    const VM *vm = userdata;
    if (error)
        g_warning("VM %s: the limits of a disk stay as they were: %s", vm->name, error->cause);
}

/* Those that it runs with and still has. */
static void limit_disks(VM *vm, const Settings *settings, const Settings *running)
{
    g_autofree const char **sections = settings_sections(settings, "Disk");
    for (size_t i = 0; sections && sections[i]; i++)
        if (settings_section_origin(running, sections[i]) && settings_has(running, sections[i], "Source"))
            (void) live_limit_disk(vm->instance, settings, sections[i], on_limited, vm);
}

/* ---- media ---- */

static void on_medium(const Error *error, void *userdata)
{
    Moved *medium = userdata;
    VM *vm = manager_find_vm(medium->manager, medium->vm);
    if (vm && vm->instance)
        vm->instance->applies_medium = false;
    if (error) {
        g_autofree char *message = error_message(error);
        g_warning("VM %s: what is in [%s] stays as it was: %s", medium->vm, medium->section, message);
        if (vm)
            vm_compare_settings(vm);
    } else if (vm)
        vm_read_settings(vm); /* there may be another one */
    moved_free(medium);
}

/* One at a time: the next when this one is done. */
static void change_medium(VM *vm, const Settings *settings, const Settings *running)
{
    g_autofree const char **sections = settings_sections(settings, "Disk");
    for (size_t i = 0; sections && sections[i] && vm->instance->monitor_ready && !vm->instance->hotplug; i++) {
        if (!settings_section_origin(running, sections[i]) || !machine_disk_is_cdrom(running, sections[i]) || !machine_disk_is_cdrom(settings, sections[i]))
            continue;
        if (g_strcmp0(settings_get_string(settings, sections[i], "Source"), settings_get_string(running, sections[i], "Source")) == 0)
            continue;
        g_autoptr(Error) error = NULL;
        Moved *medium = g_new0(Moved, 1);
        medium->manager = vm->manager;
        medium->vm = g_strdup(vm->name);
        medium->section = g_strdup(sections[i]);
        vm->instance->applies_medium = true;
        if (vm_apply_medium(vm, sections[i], settings, on_medium, medium, &error))
            return;
        on_medium(error, medium);
    }
}

void vm_apply_live(VM *vm, const Settings *settings)
{
    if ((vm->state != VM_RUNNING && vm->state != VM_PAUSED) || !vm->instance->qmp)
        return;
    g_autofree char *path = instance_settings_path(vm->instance), *text = settings_read_text(path, NULL);
    g_autoptr(Settings) running = text ? settings_parse_partial(&vm_schema, text, strlen(text), path, NULL) : NULL;
    if (running) {
        limit_disks(vm, settings, running);
        change_medium(vm, settings, running);
        vm_scale(vm, settings, running);
    }
    pinning_change(vm->instance, settings);
    if (vm->manager->user)
        return;
    g_autofree const char **sections = settings_sections(settings, "Network");
    for (size_t i = 0; sections[i]; i++)
        apply(vm, settings, sections[i]);
}
