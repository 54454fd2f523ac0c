/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Attach, step by step, each that begins with a dot the kind's (hotplug-kind.h):
 *
 *     vm_attach     the new text             vm_detach    device_del
 *     .open         files, a port            hotplug_event    the guest has let go
 *     .add          what is behind           .remove          nothing of it is open any more
 *     .make_device  in the first free slot   done_with        the file, and what is known of what runs
 *     done_with     the same
 *
 * What fails after .open is undone by .remove and .close. From .open or device_del on the record says what is under way, until the files are
 * written: where vmd is killed in between, the next one takes away all that there is (hotplug_recover). */

#include "hotplug.h"

#include <errno.h>
#include <string.h>

#include "backup.h"
#include "hotplug-kind.h"
#include "machine-device.h"
#include "machine.h"
#include "manager.h"
#include "plugs.h"

#define DETACH_USEC (15 * G_USEC_PER_SEC)

static const HotplugKind *const kinds[] = {&hotplug_interface, &hotplug_disk, &hotplug_share, &hotplug_usb};

static void hotplug_free(Hotplug *hotplug)
{
    hotplug->kind->free(hotplug);
    sd_event_source_disable_unref(hotplug->timer);
    settings_free(hotplug->settings);
    error_free(hotplug->error);
    json_decref(hotplug->plugging);
    g_free(hotplug->section);
    g_free(hotplug->name);
    g_free(hotplug->device);
    g_free(hotplug->text);
    g_free(hotplug->running);
    g_free(hotplug->own);
    g_free(hotplug);
}

/* The VM, and then QEMU, is about to get or lose a part of the device. */
static bool note_begin(Hotplug *hotplug, bool attaches, Error **ret_error)
{
    Instance *instance = hotplug->vm->instance;
    if (!hotplug->kind->make_device)
        return true; /* a medium: its drive stays */
    g_free(instance->hotplug_section);
    instance->hotplug_section = g_strdup(hotplug->section);
    instance->hotplug_attaches = attaches;
    return instance_write_record(instance, ret_error);
}

static void note_end(Instance *instance)
{
    if (!instance->hotplug_section)
        return;
    g_clear_pointer(&instance->hotplug_section, g_free);
    (void) instance_write_record(instance, NULL);
}

static void finish(Hotplug *hotplug, const Error *failed)
{
    g_autoptr(Error) error = error_copy(failed);
    VMDone done = hotplug->done;
    void *userdata = hotplug->userdata;
    VM *vm = hotplug->vm;
    note_end(vm->instance);
    vm->instance->hotplug = NULL;
    hotplug_free(hotplug);
    /* One that came or went meanwhile was left alone. */
    if (vm->instance->usb_plugs)
        usb_look(vm->manager, NULL, NULL);
    done(error, userdata);
}

void hotplug_ended(Hotplug *hotplug)
{
    VMDone done = hotplug->done;
    void *userdata = hotplug->userdata;
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_NOT_RUNNING, hotplug->section, NULL, "the VM has ended meanwhile");
    hotplug_free(hotplug);
    done(error, userdata);
}

bool hotplug_is_of(const Hotplug *hotplug, const char *kind)
{
    return g_str_equal(hotplug->kind->section, kind);
}

Settings *hotplug_next_settings(const Hotplug *hotplug)
{
    return settings_parse_partial(&vm_schema, hotplug->running, strlen(hotplug->running), "settings", NULL);
}

/* ---- the files ---- */

static bool write_file(VM *vm, const char *text, Error **ret_error)
{
    g_autofree char *path = vm_settings_path(vm);
    if (!vm_check_text(text, path, ret_error))
        return false;
    int r = settings_write(path, text, 0644, false);
    if (r < 0)
        return error_set_errno(ret_error, r, path, "it cannot be written");
    return true;
}

static bool write_both(Hotplug *hotplug, Error **ret_error)
{
    VM *vm = hotplug->vm;
    g_autofree char *path = instance_settings_path(vm->instance);
    if (hotplug->text && !write_file(vm, hotplug->text, ret_error))
        return false;
    int r = settings_write(path, hotplug->running, 0600, false);
    if (r < 0)
        return error_set_errno(ret_error, r, path, "it cannot be written");
    manager_read_file(vm->manager, vm->name, vm->transient);
    vm_changed(vm, "Addresses", NULL);
    return true;
}

static char *edit(const char *path, const SettingsChange *changes, size_t n, Error **ret_error)
{
    g_autofree char *text = settings_read_text(path, ret_error);
    return text ? settings_edit(&vm_schema, text, changes, n, path, ret_error) : NULL;
}

static bool file_has_section(const char *path, const char *section)
{
    g_autofree char *text = settings_read_text(path, NULL);
    g_autoptr(Settings) settings = text ? settings_parse_partial(&vm_schema, text, strlen(text), path, NULL) : NULL;
    return settings && settings_section_origin(settings, section);
}

/* The file alone, of a VM in whose machine there is nothing to do. */
static bool change_file(VM *vm, const SettingsChange *changes, size_t n, VMDone done, void *userdata, Error **ret_error)
{
    g_autofree char *path = vm_settings_path(vm), *text = edit(path, changes, n, ret_error);
    if (!text || !write_file(vm, text, ret_error))
        return false;
    manager_read_file(vm->manager, vm->name, vm->transient);
    done(NULL, userdata);
    return true;
}

/* ---- a Hotplug for a VM that runs ---- */

static const HotplugKind *find_kind(const char *section, const char *kind, Error **ret_error)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++)
        if (g_str_equal(kinds[i]->section, kind))
            return kinds[i];
    error_set(ret_error, ERROR_UNSUPPORTED, section, "Stop the VM first", "only disks, network interfaces, shared folders and USB devices come and go while a VM runs");
    return NULL;
}

/* `kind` NULL: by the section. `attach`: the settings to look at are those with the changes, else those before. */
static Hotplug *hotplug_new(VM *vm, const HotplugKind *kind, const char *section, const SettingsChange *changes, size_t n, bool attach,
    Error **ret_error)
{
    g_autofree char *kind_name = NULL, *name = NULL, *path = vm_settings_path(vm), *running = instance_settings_path(vm->instance);
    if (!vm_check_idle(vm, ret_error) || !vm_check_unbacked(vm, ret_error) || !settings_section_split(&vm_schema, section, &kind_name, &name, ret_error))
        return NULL;
    if (!kind)
        kind = find_kind(section, kind_name, ret_error);
    if (!kind)
        return NULL;
    if (vm->instance->hotplug) {
        error_set(ret_error, ERROR_BUSY, section, "Try again", "another device is just being attached or detached");
        return NULL;
    }
    g_autofree char *text = edit(path, changes, n, ret_error), *text_running = text ? edit(running, changes, n, ret_error) : NULL;
    g_autofree char *shown = !text_running ? NULL : attach ? g_strdup(text_running) : settings_read_text(running, ret_error);
    Settings *settings = shown ? settings_parse_partial(&vm_schema, shown, strlen(shown), running, ret_error) : NULL;
    if (!settings)
        return NULL;
    Hotplug *hotplug = g_new0(Hotplug, 1);
    hotplug->vm = vm;
    hotplug->kind = kind;
    hotplug->own = g_malloc0(kind->size);
    hotplug->section = g_strdup(section);
    hotplug->device = g_strdup_printf("%s-%s", kind->device, name);
    hotplug->name = g_steal_pointer(&name);
    hotplug->text = g_steal_pointer(&text);
    hotplug->running = g_steal_pointer(&text_running);
    hotplug->settings = settings;
    vm->instance->hotplug = hotplug;
    return hotplug;
}

/* Nothing was begun, and nobody is to be told. */
static bool give_up(Hotplug *hotplug)
{
    note_end(hotplug->vm->instance);
    hotplug->vm->instance->hotplug = NULL;
    hotplug_free(hotplug);
    return false;
}

/* ---- undo, and the end of a detach ---- */

static void done_with(Hotplug *hotplug)
{
    g_autoptr(Error) error = NULL;
    hotplug->vm->instance->replugged |= hotplug->kind->make_device != NULL;
    (void) instance_write_record(hotplug->vm->instance, NULL);
    (void) write_both(hotplug, &error);
    finish(hotplug, error);
}

void hotplug_removed(Hotplug *hotplug)
{
    if (!hotplug->error)
        return done_with(hotplug);
    hotplug->kind->close(hotplug);
    finish(hotplug, hotplug->error);
}

/* The error is kept where it is the first. */
static void remove_all(Hotplug *hotplug, const Error *error)
{
    if (error && !hotplug->error)
        hotplug->error = error_copy(error);
    if (hotplug->kind->remove(hotplug) < 0)
        hotplug_removed(hotplug);
}

/* ---- attach ---- */

static int try_slot(Hotplug *hotplug);

static void on_plugged(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    Hotplug *hotplug = userdata;
    bool own_bus = json_object_get(hotplug->plugging, "bus") || !machine_type_is_pcie(hotplug->vm->instance->machine);
    /* Which slots are taken nobody knows but QEMU. */
    if (failed && !own_bus && ++hotplug->slot < MACHINE_SLOTS && try_slot(hotplug) >= 0)
        return;
    g_autoptr(Error) lacks = NULL;
    const char *type = json_string_value(json_object_get(hotplug->plugging, "driver"));
    if (failed && type && strstr(failed->cause, "is not a valid device model name"))
        (void) machine_lacks(hotplug->vm->instance->binary, machine_type_is_x86(hotplug->vm->instance->machine), type, hotplug->section, &lacks);
    g_clear_pointer(&hotplug->plugging, json_decref);
    hotplug->plugged(hotplug, lacks ? lacks : failed);
}

static int try_slot(Hotplug *hotplug)
{
    g_autofree char *slot = g_strdup_printf(MACHINE_SLOT "%u", hotplug->slot);
    json_t *arguments = json_copy(hotplug->plugging);
    /* Without an address QEMU takes a second device behind a port, where no guest sees it. */
    if (!json_object_get(arguments, "bus") && machine_type_is_pcie(hotplug->vm->instance->machine))
        (void) json_object_update_new(arguments, json_pack("{ss ss}", "bus", slot, "addr", "0"));
    return qmp_call(hotplug->vm->instance->qmp, "device_add", arguments, -1, HOTPLUG_QMP_USEC, on_plugged, hotplug);
}

int hotplug_plug(Hotplug *hotplug, json_t *device, HotplugPlugged plugged)
{
    if (!device)
        return -EINVAL;
    json_decref(hotplug->plugging);
    hotplug->plugging = device;
    hotplug->plugged = plugged;
    hotplug->slot = 0;
    return try_slot(hotplug);
}

static void cannot_ask(Hotplug *hotplug, int r)
{
    g_autoptr(Error) error = NULL;
    error_set_errno(&error, r, hotplug->section, "QEMU cannot be asked");
    remove_all(hotplug, error);
}

static void on_device(Hotplug *hotplug, const Error *error)
{
    if (error)
        return remove_all(hotplug, error);
    hotplug->kind->attached(hotplug);
    done_with(hotplug);
}

void hotplug_added(Hotplug *hotplug, const Error *error)
{
    if (error)
        return remove_all(hotplug, error);
    if (!hotplug->kind->make_device)
        return on_device(hotplug, NULL);
    int r = hotplug_plug(hotplug, hotplug->kind->make_device(hotplug), on_device);
    if (r < 0)
        cannot_ask(hotplug, r);
}

void hotplug_opened(Hotplug *hotplug, const Error *failed)
{
    if (failed) {
        g_autoptr(Error) error = error_copy(failed);
        hotplug->kind->close(hotplug);
        return finish(hotplug, error);
    }
    int r = hotplug->kind->add(hotplug);
    if (r < 0)
        cannot_ask(hotplug, r);
}

/* `hotplug` NULL: the error is set. */
static bool begin(Hotplug *hotplug, VMDone done, void *userdata, Error **ret_error)
{
    if (!hotplug)
        return false;
    hotplug->done = done;
    hotplug->userdata = userdata;
    return (hotplug->kind->check(hotplug, ret_error) && note_begin(hotplug, true, ret_error) && hotplug->kind->open(hotplug, ret_error)) || give_up(hotplug);
}

bool vm_attach(VM *vm, const char *section, const SettingsChanges *changes, VMDone done, void *userdata, Error **ret_error)
{
    static const char *const default_network[] = {"default", NULL};
    const SettingsChange by_default = {.section = section, .key = "Network", .values = default_network};
    /* A section without a key would be none: an interface that names no network is on the default one. */
    bool bare = changes->n == 0 && g_str_has_prefix(section, "Network ");
    const SettingsChange *items = bare ? &by_default : changes->items;
    size_t n = bare ? 1 : changes->n;
    g_autofree char *path = vm_settings_path(vm), *running = vm->instance ? instance_settings_path(vm->instance) : NULL;
    if (file_has_section(path, section))
        return error_set(ret_error, ERROR_EXISTS, section, "Give it another name, or change it by SetSettings", "the VM has one of this name");
    if (!vm->instance)
        return change_file(vm, items, n, done, userdata, ret_error);
    if (file_has_section(running, section))
        return error_set(ret_error, ERROR_EXISTS, section, "Give it another name, or restart the VM", "the VM still runs with one of this name");
    return begin(hotplug_new(vm, NULL, section, items, n, true, ret_error), done, userdata, ret_error);
}

/* ---- detach ---- */

static void let_go(Hotplug *hotplug)
{
    hotplug->timer = sd_event_source_disable_unref(hotplug->timer);
    remove_all(hotplug, NULL);
}

bool hotplug_event(Hotplug *hotplug, const char *name, const json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "device"));
    if (hotplug->kind->event)
        return hotplug->kind->event(hotplug, name, data);
    if (!g_str_equal(name, "DEVICE_DELETED") || !hotplug->timer || !device || !g_str_equal(device, hotplug->device))
        return false;
    let_go(hotplug);
    return true;
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
    Hotplug *hotplug = userdata;
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_GUEST_UNRESPONSIVE, hotplug->section, "Try again when its operating system runs, or restart the VM",
        "the guest has not let go of the device");
    finish(hotplug, error);
    return 0;
}

static void on_device_del(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    VM *vm = userdata;
    Hotplug *hotplug = vm->instance ? vm->instance->hotplug : NULL;
    if (!failed || !hotplug || !hotplug->timer)
        return; /* goes on in hotplug_event(), or the time runs out */
    /* One that the guest let go of by itself, or after the time was over. */
    if (failed->cause && g_str_has_suffix(failed->cause, "not found"))
        return let_go(hotplug);
    finish(hotplug, failed);
}

static bool begin_detach(Hotplug *hotplug, Error **ret_error)
{
    VM *vm = hotplug->vm;
    if (!note_begin(hotplug, false, ret_error))
        return give_up(hotplug);
    int r = sd_event_add_time_relative(vm->manager->event, &hotplug->timer, CLOCK_MONOTONIC, DETACH_USEC, 1, on_timeout, hotplug);
    if (r >= 0 && hotplug->kind->leaves)
        hotplug->kind->leaves(hotplug);
    if (r >= 0)
        r = qmp_call(vm->instance->qmp, "device_del", json_pack("{ss}", "id", hotplug->device), -1, HOTPLUG_QMP_USEC, on_device_del, vm);
    if (r >= 0)
        return true;
    error_set_errno(ret_error, r, hotplug->section, "QEMU cannot be asked");
    return give_up(hotplug);
}

bool vm_detach(VM *vm, const char *section, VMDone done, void *userdata, Error **ret_error)
{
    const SettingsChange removal = {.section = section};
    g_autofree char *path = vm_settings_path(vm), *running = vm->instance ? instance_settings_path(vm->instance) : NULL;
    if (!file_has_section(path, section))
        return error_set(ret_error, ERROR_NO_SUCH_DEVICE, section, "See 'vmctl cat'; what a drop-in adds, that drop-in has to lose", "the VM's file has no such section");
    if (!vm->instance || (vm->state != VM_STARTING && !file_has_section(running, section)))
        return change_file(vm, &removal, 1, done, userdata, ret_error);
    Hotplug *hotplug = hotplug_new(vm, NULL, section, &removal, 1, false, ret_error);
    if (!hotplug)
        return false;
    hotplug->done = done;
    hotplug->userdata = userdata;
    return hotplug->kind->check(hotplug, ret_error) ? begin_detach(hotplug, ret_error) : give_up(hotplug);
}

static void on_recovered(const Error *error, void *userdata)
{
    const VM *vm = userdata;
    g_autofree char *message = error ? error_message(error) : NULL;
    if (message)
        g_warning("VM %s: what was being attached or detached is left as it is: %s", vm->name, message);
}

void hotplug_recover(VM *vm)
{
    Instance *instance = vm->instance;
    if (!instance->hotplug_section)
        return;
    g_autofree char *section = g_strdup(instance->hotplug_section), *path = vm_settings_path(vm), *running = instance_settings_path(vm->instance);
    if (instance->hotplug_attaches && file_has_section(path, section) && file_has_section(running, section))
        return note_end(instance);
    const SettingsChange removal = {.section = section};
    g_autoptr(Error) error = NULL;
    Hotplug *hotplug = hotplug_new(vm, NULL, section, &removal, 1, false, &error);
    if (!hotplug)
        return on_recovered(error, vm);
    hotplug->done = on_recovered;
    hotplug->userdata = vm;
    if (!begin_detach(hotplug, &error))
        on_recovered(error, vm);
}

/* ---- media ---- */

/* The section of the only drive; NULL: none, or one of several. */
static char *find_drive(const VM *vm, const Settings *settings, Error **ret_error)
{
    g_autofree const char **sections = settings_sections(settings, "Disk");
    g_autofree char *thing = vm_thing(vm);
    g_autoptr(GPtrArray) drives = g_ptr_array_new();
    for (size_t i = 0; sections && sections[i]; i++)
        if (machine_disk_is_cdrom(settings, sections[i]))
            g_ptr_array_add(drives, (char *) sections[i] + strlen("Disk "));
    if (drives->len == 1)
        return g_strdup_printf("Disk %s", (const char *) drives->pdata[0]);
    if (drives->len == 0) {
        error_set(ret_error, ERROR_NO_SUCH_DEVICE, thing, "Add one: [Disk cd] with Type=cdrom", "it has no CD drive");
        return NULL;
    }
    g_ptr_array_add(drives, NULL);
    g_autofree char *names = g_strjoinv(", ", (char **) drives->pdata);
    error_set(ret_error, ERROR_NO_SUCH_DEVICE, thing, "Name one of them", "it has several CD drives: %s", names);
    return NULL;
}

static bool check_drive(const Settings *settings, const char *section, Error **ret_error)
{
    if (!settings_section_origin(settings, section))
        return error_set(ret_error, ERROR_NO_SUCH_DEVICE, section, "See 'vmctl cat'; what a drop-in adds, that drop-in has to change",
            "the VM's file has no such section");
    return machine_disk_is_cdrom(settings, section) ||
        error_set(ret_error, ERROR_UNSUPPORTED, section, "Use DetachDevice, or stop the VM first", "it is a disk, and only what is in a CD drive can be changed");
}

bool vm_change_medium(VM *vm, const char *section, const char *source, bool force, VMDone done, void *userdata, Error **ret_error)
{
    static const char *const cdrom[] = {"cdrom", NULL};
    const char *const values[] = {source, NULL};
    g_autofree char *path = vm_settings_path(vm), *text = settings_read_text(path, ret_error);
    g_autoptr(Settings) settings = text ? settings_parse_partial(&vm_schema, text, strlen(text), path, ret_error) : NULL;
    g_autofree char *drive = !settings ? NULL : *section ? g_strdup(section) : find_drive(vm, settings, ret_error);
    if (!drive || !check_drive(settings, drive, ret_error))
        return false;
    /* It stays a drive whatever is in it, and the format was that of the last one. */
    const SettingsChange changes[] = {
        {.section = drive, .key = "Type", .values = cdrom},
        {.section = drive, .key = "Source", .values = *source ? values : NULL},
        {.section = drive, .key = "Format"},
    };
    if (!vm->instance)
        return change_file(vm, changes, G_N_ELEMENTS(changes), done, userdata, ret_error);
    Hotplug *hotplug = hotplug_new(vm, &hotplug_medium, drive, changes, G_N_ELEMENTS(changes), true, ret_error);
    if (hotplug)
        hotplug->force = force;
    return begin(hotplug, done, userdata, ret_error);
}

bool vm_apply_medium(VM *vm, const char *section, const Settings *settings, VMDone done, void *userdata, Error **ret_error)
{
    static const char *const keys[] = {"Type", "Source", "Format"};
    const char *values[G_N_ELEMENTS(keys)][2] = {0};
    SettingsChange changes[G_N_ELEMENTS(keys)];
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        values[i][0] = settings_get_string(settings, section, keys[i]);
        changes[i] = (SettingsChange){.section = section, .key = keys[i], .values = values[i]};
    }
    Hotplug *hotplug = hotplug_new(vm, &hotplug_medium, section, changes, G_N_ELEMENTS(changes), true, ret_error);
    if (hotplug)
        g_clear_pointer(&hotplug->text, g_free);
    return begin(hotplug, done, userdata, ret_error);
}

/* ---- USB devices that callers lend ---- */

bool vm_plug_redirection(VM *vm, const char *id, int fd, VMDone done, void *userdata, Error **ret_error)
{
    Hotplug *hotplug = hotplug_new(vm, &hotplug_redirection, "USB redirection", NULL, 0, true, ret_error);
    if (hotplug) {
        g_clear_pointer(&hotplug->text, g_free);
        g_free(hotplug->device);
        hotplug->device = g_strdup(id);
        hotplug_redirection_set_fd(hotplug, fd);
    }
    return begin(hotplug, done, userdata, ret_error);
}
