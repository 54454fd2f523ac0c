/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm.h"

#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-journal.h>
#include <unistd.h>

#include "backup.h"
#include "change.h"
#include "cleanup.h"
#include "display-listen.h"
#include "identity.h"
#include "instance.h"
#include "last-run.h"
#include "live.h"
#include "manager.h"
#include "passthrough.h"
#include "plugs.h"
#include "nvram.h"
#include "messages.h"
#include "name.h"
#include "snapshot.h"

#define VM_INTERFACE "org.vmd1.VM"

static const char *const vm_states[_VM_STATE_MAX] = {
    [VM_STOPPED] = "stopped",
    [VM_STARTING] = "starting",
    [VM_RUNNING] = "running",
    [VM_PAUSED] = "paused",
    [VM_STOPPING] = "stopping",
    [VM_SAVING] = "saving",
    [VM_SAVED] = "saved",
    [VM_FAILED] = "failed",
};

static const char *const vm_reasons[_VM_REASON_MAX] = {
    [REASON_NONE] = "none",
    [REASON_REQUESTED] = "requested",
    [REASON_GUEST_SHUTDOWN] = "guest-shutdown",
    [REASON_GUEST_RESET] = "guest-reset",
    [REASON_GUEST_PANIC] = "guest-panic",
    [REASON_TERMINATED] = "terminated",
    [REASON_CRASHED] = "crashed",
    [REASON_START_FAILED] = "start-failed",
    [REASON_RESTORED] = "restored",
    [REASON_IO_ERROR] = "io-error",
    [REASON_WATCHDOG] = "watchdog",
    [REASON_HOST_SHUTDOWN] = "host-shutdown",
    [REASON_UNKNOWN] = "unknown",
};

const char *vm_state_to_string(VMState state)
{
    return vm_states[state];
}

const char *vm_reason_to_string(VMReason reason)
{
    return vm_reasons[reason];
}

VMState vm_state_from_string(const char *s)
{
    for (VMState state = 0; state < _VM_STATE_MAX; state++)
        if (g_str_equal(s, vm_states[state]))
            return state;
    return VM_STARTING;
}

VMReason vm_reason_from_string(const char *s)
{
    for (VMReason reason = 0; s && reason < _VM_REASON_MAX; reason++)
        if (g_str_equal(s, vm_reasons[reason]))
            return reason;
    return REASON_UNKNOWN;
}

VM *vm_new(Manager *manager, const char *name, bool transient)
{
    VM *vm = g_new0(VM, 1);
    vm->manager = manager;
    vm->name = g_strdup(name);
    vm_count_snapshots(vm);
    vm->transient = transient;
    vm->owner = geteuid();
    last_run_recall(vm);
    return vm;
}

void vm_free(VM *vm)
{
    if (!vm)
        return;
    backup_free(vm->backup);
    nvram_free(vm->nvram_import);
    instance_free(vm->instance, false);
    g_free(vm->name);
    g_free(vm->description);
    g_free(vm->qemu_root);
    g_free(vm->qemu_binary);
    g_strfreev(vm->sources);
    snapshot_work_free(vm->snapshot_work);
    g_free(vm->message);
    g_free(vm->problem);
    g_free(vm);
}

char *vm_settings_path(const VM *vm)
{
    const Dirs *dirs = vm->manager->dirs;
    return g_strdup_printf("%s/%s.vm", vm->transient ? dirs->runtime : dirs->settings, vm->name);
}

char *vm_thing(const VM *vm)
{
    return g_strdup_printf("VM \"%s\"", vm->name);
}

char *vm_object_path(const VM *vm)
{
    return name_to_vm_path(vm->name);
}

char *vm_scope(const VM *vm)
{
    return name_to_scope(vm->name);
}

char *vm_instance_dir(const VM *vm)
{
    return g_build_filename(vm->manager->dirs->instances, vm->name, NULL);
}

char *vm_saved_path(const VM *vm, const char *suffix)
{
    return g_strdup_printf("%s/%s.%s", vm->manager->dirs->saved, vm->name, suffix);
}

VMState vm_resting_state(const VM *vm)
{
    g_autofree char *saved = vm_saved_path(vm, "state");
    return access(saved, F_OK) == 0 ? VM_SAVED : VM_STOPPED;
}

VMState vm_failed_state(const VM *vm)
{
    return vm_resting_state(vm) == VM_SAVED ? VM_SAVED : VM_FAILED;
}

bool vm_is_active(const VM *vm)
{
    return vm->instance != NULL;
}

/* A UUID that is the same each time, on this host, for this name. */
static sd_id128_t derive_uuid(const char *name)
{
    static const sd_id128_t application = SD_ID128_MAKE(5d, 0c, 4f, 7e, 2b, 1a, 4b, 0e, 9d, 3c, 76, 6d, 64, 00, 00, 01);
    sd_id128_t machine = SD_ID128_NULL, id;
    (void) sd_id128_get_machine_app_specific(application, &machine);

    g_autoptr(GChecksum) checksum = g_checksum_new(G_CHECKSUM_SHA256);
    g_checksum_update(checksum, machine.bytes, sizeof machine.bytes);
    g_checksum_update(checksum, (const guchar *) name, (gssize) strlen(name));
    guint8 digest[32];
    gsize length = sizeof digest;
    g_checksum_get_digest(checksum, digest, &length);
    memcpy(id.bytes, digest, sizeof id.bytes);
    id.bytes[6] = (id.bytes[6] & 0x0f) | 0x40;
    id.bytes[8] = (id.bytes[8] & 0x3f) | 0x80;
    return id;
}

Settings *vm_load_settings(const VM *vm, Error **ret_error)
{
    g_autofree char *path = vm_settings_path(vm);
    return settings_load(&vm_schema, path, ret_error);
}

Settings *vm_load_current_settings(const VM *vm, Error **ret_error)
{
    if (!vm->instance)
        return vm_load_settings(vm, ret_error);
    g_autofree char *running = instance_settings_path(vm->instance);
    return settings_load(&vm_schema, running, ret_error);
}

bool vm_check_text(const char *text, const char *origin, Error **ret_error)
{
    /* A drop-in may have a required key that it lacks. */
    g_autoptr(Settings) settings = settings_parse_partial(&vm_schema, text, strlen(text), origin, ret_error);
    uid_t owner;
    return settings && change_find_owner(settings, &owner, ret_error) && usb_check_settings(settings, ret_error) &&
        passthrough_check(settings, ret_error) && display_listen_check(settings, ret_error);
}

/* A user's own vmd has no other users. */
static void show_owner(VM *vm, const Settings *settings)
{
    g_autoptr(Error) error = NULL;
    vm->owner = geteuid();
    if (vm->manager->user || change_find_owner(settings, &vm->owner, &error))
        return;
    vm->owner = UID_NOBODY_KNOWN;
    vm->problem = error_message(error);
}

static void show_sources(VM *vm, const Settings *settings)
{
    g_autofree const char **sections = settings_sections(settings, "Disk");
    g_autoptr(GPtrArray) sources = g_ptr_array_new();
    g_clear_pointer(&vm->sources, g_strfreev);
    for (size_t i = 0; sections && sections[i]; i++) {
        const char *source = settings_get_string(settings, sections[i], "Source");
        if (source)
            g_ptr_array_add(sources, g_strdup(source));
    }
    if (sources->len == 0)
        return;
    g_ptr_array_add(sources, NULL);
    vm->sources = (char **) g_ptr_array_steal(sources, NULL);
}

static void show_live(VM *vm, const Settings *settings)
{
    show_sources(vm, settings);
    g_free(vm->description);
    g_free(vm->qemu_root);
    vm->qemu_root = g_strdup(settings_get_string(settings, "QEMU", "Root"));
    g_free(vm->qemu_binary);
    vm->qemu_binary = g_strdup(settings_get_string(settings, "QEMU", "Binary"));
    vm->description = g_strdup(settings_get_string(settings, "VM", "Description"));
    show_owner(vm, settings);
}

static void show_machine(VM *vm, const Settings *settings)
{
    const char *uuid = settings_get_string(settings, "VM", "UUID");
    if (!uuid || sd_id128_from_string(uuid, &vm->uuid) < 0)
        vm->uuid = derive_uuid(vm->name);
    vm->cpus = (uint32_t) settings_get_number(settings, "VM", "CPUs");
    vm->memory = settings_get_number(settings, "VM", "Memory");
    vm->cpus_max = MAX(vm->cpus, (uint32_t) settings_get_maximum(settings, "VM", "CPUs"));
    vm->memory_max = MAX(vm->memory, settings_get_maximum(settings, "VM", "Memory"));
}

static void compare_with_running(VM *vm, const Settings *settings)
{
    g_autofree char *path = instance_settings_path(vm->instance);
    g_autofree char *text = NULL, *now = settings_canonical(settings, false);
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return;
    g_autoptr(Settings) then = settings_parse_partial(&vm_schema, text, strlen(text), path, NULL);
    g_autofree char *running = then ? settings_canonical(then, false) : g_steal_pointer(&text);
    bool differs = !g_str_equal(running, now);
    if (differs == vm->needs_restart)
        return;
    vm->needs_restart = differs;
    vm_changed(vm, "NeedsRestart", NULL);
}

void vm_compare_settings(VM *vm)
{
    g_autoptr(Settings) settings = vm->instance ? vm_load_settings(vm, NULL) : NULL;
    if (settings)
        compare_with_running(vm, settings);
}

void vm_read_settings(VM *vm)
{
    g_autofree char *path = vm_settings_path(vm);
    g_autoptr(Error) error = NULL;
    struct stat st;
    g_clear_pointer(&vm->problem, g_free);
    vm->defined = lstat(path, &st) == 0;
    if (!vm->defined)
        return;
    g_autoptr(Settings) settings = settings_load(&vm_schema, path, &error);
    if (!settings) {
        vm->problem = error_message(error);
        return;
    }
    show_live(vm, settings);
    if (vm->instance && vm->state != VM_STARTING) {
        vm_apply_live(vm, settings);
        /* Not known before that has ended. */
        if (!vm->instance->applies_medium && !vm->instance->scale)
            compare_with_running(vm, settings);
    } else
        show_machine(vm, settings);
}

void vm_changed(VM *vm, const char *property, ...)
{
    g_autofree char *path = vm_object_path(vm);
    va_list ap;
    va_start(ap, property);
    manager_emit_changed(vm->manager, path, VM_INTERFACE, property, ap);
    va_end(ap);
}

/* What the journal says of a change; a message ID for those that a program may wait for. */
static void log_state(const VM *vm)
{
    static const char *const ids[_VM_STATE_MAX] = {
        [VM_RUNNING] = MESSAGE_STARTED,
        [VM_STOPPED] = MESSAGE_STOPPED,
        [VM_SAVED] = MESSAGE_SAVED,
        [VM_FAILED] = MESSAGE_CRASHED,
        [VM_PAUSED] = MESSAGE_PAUSED,
    };
    static const char *const verbs[_VM_STATE_MAX] = {
        [VM_RUNNING] = "runs",
        [VM_STOPPED] = "has stopped",
        [VM_SAVED] = "has been saved",
        [VM_FAILED] = "has failed",
        [VM_PAUSED] = "is paused",
    };
    if (!verbs[vm->state])
        return;

    g_autofree char *unit = vm_scope(vm);
    (void) sd_journal_send("MESSAGE=VM %s %s (%s)%s%s", vm->name, verbs[vm->state], vm_reasons[vm->reason], vm->message ? ": " : "",
        vm->message ?: "", "PRIORITY=%i", vm->state == VM_FAILED ? LOG_ERR : LOG_INFO, "MESSAGE_ID=%s", ids[vm->state], "VM=%s",
        vm->name, "VM_STATE=%s", vm_states[vm->state], "VM_REASON=%s", vm_reasons[vm->reason], "OBJECT_SYSTEMD_UNIT=%s", unit, NULL);
}

void vm_set_state(VM *vm, VMState state, VMReason reason, const char *message)
{
    bool same = vm->state == state;
    if (same && vm->reason == reason && g_strcmp0(vm->message, message) == 0)
        return;
    vm->state = state;
    vm->reason = reason;
    g_free(vm->message);
    vm->message = g_strdup(message);
    vm->since = (uint64_t) g_get_real_time();
    /* What a vmd that comes later knows of it. */
    if (vm->instance && vm->instance->guard > 0)
        (void) instance_write_record(vm->instance, NULL);
    else if (!vm->instance)
        last_run_write(vm, &(LastRun){.state = state, .reason = reason, .message = vm->message, .since = vm->since});
    log_state(vm);
    vm_changed(vm, "State", "StateReason", "StateMessage", "StateChangeTimestamp", "Leader", "QEMUProcess", "Helpers", "Accelerator",
        "AcceleratorReason", "QEMUBinary", "QEMURoot", "QEMUVersion", NULL);
}
