/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vmd1.VM on the bus. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "change.h"
#include "cleanup.h"
#include "addresses.h"
#include "command.h"
#include "display-listen.h"
#include "display.h"
#include "file-methods.h"
#include "guest.h"
#include "helpers.h"
#include "hotplug.h"
#include "instance.h"
#include "method.h"
#include "name.h"
#include "nvram.h"
#include "plugs.h"
#include "preview.h"
#include "redirections.h"
#include "settings-dbus.h"
#include "snapshot.h"
#include "tpm.h"
#include "trays.h"
#include "vm-backups.h"
#include "vm-displays.h"
#include "vm-guest.h"
#include "vm-keys.h"
#include "vm-redirections.h"
#include "vm-snapshots.h"
#include "vm-statistics.h"

#define DELETE_FORCE UINT64_C(1)
#define MEDIUM_FORCE UINT64_C(1)
#define VM_PREFIX "/org/vmd1/vm"

static VM *vm_of_path(Manager *manager, const char *path)
{
    g_autofree char *name = NULL;
    return sd_bus_path_decode(path, VM_PREFIX, &name) > 0 ? manager_find_vm(manager, name) : NULL;
}

static void *find(Manager *manager, const char *path, Error **ret_error)
{
    VM *vm = vm_of_path(manager, path);
    if (!vm)
        error_set(ret_error, ERROR_NO_SUCH_VM, path, "See 'vmctl list'", "there is no such VM");
    return vm;
}

static void details(Manager *manager, sd_bus_message *m, AccessDetails *details)
{
    const VM *vm = vm_of_path(manager, sd_bus_message_get_path(m));
    if (!vm)
        return;
    details->vm = g_strdup(vm->name);
    details->granted = g_str_equal(details->verb, "OpenDisplay") && vm_is_viewed_by(vm, sd_bus_message_get_sender(m));
    details->owner = vm->owner;
}

/* ---- methods ---- */

/* Those that begin something with a VMDone and return nothing. */
static bool call_verb(Manager *manager, sd_bus_message *m, VM *vm, bool (*verb)(VM *, VMDone, void *, Error **), Error **ret_error)
{
    LaterReply *later = reply_later(manager, m);
    if (verb(vm, reply_done, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

#define METHOD_VERB(name, function)                                                                                    \
    static bool name(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)               \
    {                                                                                                                  \
        return call_verb(manager, m, object, function, ret_error);                                                     \
    }
METHOD_VERB(method_start, vm_start)
METHOD_VERB(method_terminate, vm_terminate)
METHOD_VERB(method_reset, vm_reset)
METHOD_VERB(method_pause, vm_pause)
METHOD_VERB(method_resume, vm_resume)

#define METHOD_JOB(name, function)                                                                                     \
    static bool name(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)               \
    {                                                                                                                  \
        const char *job;                                                                                               \
        if (!function(object, &job, ret_error))                                                                        \
            return false;                                                                                              \
        (void) sd_bus_reply_method_return(m, "o", job);                                                                \
        return true;                                                                                                   \
    }
METHOD_JOB(method_stop, vm_stop)
METHOD_JOB(method_save, vm_save)

static bool method_reboot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    if (!vm_reboot(object, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}

static bool method_discard_saved(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    if (!vm_discard_saved(object, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}

static bool delete_files(VM *vm, Error **ret_error)
{
    g_autofree char *path = vm_settings_path(vm);
    if (!vm_forget_snapshots(vm, ret_error))
        return false;
    if (!settings_delete(path, ret_error))
        return false;
    vm_delete_saved(vm);
    vm_delete_nvram(vm);
    tpm_delete(vm);
    /* Or it would be missed at each boot. */
    g_autofree char *service = name_to_service(vm->name);
    if (!vm->transient)
        unit_disable(vm->manager->scopes, service);
    vm->defined = false;
    if (vm->state == VM_SAVED)
        vm_set_state(vm, VM_STOPPED, REASON_NONE, NULL);
    if (!vm->instance)
        manager_forget_vm(vm->manager, vm);
    return true;
}

static bool method_delete(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    VM *vm = object;
    uint64_t flags;
    g_autofree char *thing = vm_thing(vm);
    if (sd_bus_message_read(m, "t", &flags) < 0 || flags & ~DELETE_FORCE)
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, NULL, "these flags are unknown");
    if (!vm_check_unworked(vm, ret_error) || !vm_check_unsnapped(vm, ret_error))
        return false;
    if (vm->instance && !(flags & DELETE_FORCE))
        return error_set(ret_error, ERROR_BUSY, thing, "Stop it first, or delete it with force", "it is %s", vm_state_to_string(vm->state));
    if (!vm->instance) {
        if (!delete_files(vm, ret_error))
            return false;
        (void) sd_bus_reply_method_return(m, NULL);
        return true;
    }
    LaterReply *later = reply_later(manager, m);
    if (!vm_terminate(vm, reply_done, later, ret_error)) {
        reply_later_free(later);
        return false;
    }
    /* Forgotten when its last process has gone; the reply comes after that. */
    (void) delete_files(vm, NULL);
    return true;
}

static bool check_text(void *object, const char *text, const char *origin, Error **ret_error)
{
    return vm_check_text(text, origin, ret_error);
}

static void written(void *object)
{
    const VM *vm = object;
    manager_read_file(vm->manager, vm->name, vm->transient);
}

static SettingsFile file_of(VM *vm)
{
    return (SettingsFile){
        .schema = &vm_schema,
        .path = vm_settings_path(vm),
        .object = vm,
        .check = check_text,
        .written = written,
    };
}

FILE_METHODS(file_of)

static bool method_attach_device(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *section;
    int r = sd_bus_message_read(m, "s", &section);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    g_autoptr(SettingsChanges) changes = settings_changes_read_section(&vm_schema, m, section, ret_error);
    if (!changes)
        return false;
    LaterReply *later = reply_later(manager, m);
    if (vm_attach(object, section, changes, reply_done, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

static bool method_detach_device(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *section;
    int r = sd_bus_message_read(m, "s", &section);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    LaterReply *later = reply_later(manager, m);
    if (vm_detach(object, section, reply_done, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

static bool method_change_medium(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *section, *source;
    uint64_t flags;
    int r = sd_bus_message_read(m, "sst", &section, &source, &flags);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (flags & ~MEDIUM_FORCE)
        return error_set(ret_error, ERROR_UNSUPPORTED, section, NULL, "these flags are unknown");
    LaterReply *later = reply_later(manager, m);
    if (vm_change_medium(object, section, source, flags & MEDIUM_FORCE, reply_done, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

static bool reply_explain(sd_bus_message *m, const Command *command, Error **ret_error)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = sd_bus_message_open_container(reply, 'a', "(ass)");
    for (guint i = 0; r >= 0 && i < command->groups->len; i++) {
        const CommandGroup *group = command->groups->pdata[i];
        r = sd_bus_message_open_container(reply, 'r', "ass");
        if (r >= 0)
            r = sd_bus_message_append_strv(reply, group->args);
        if (r >= 0)
            r = sd_bus_message_append(reply, "s", group->origin);
        if (r >= 0)
            r = sd_bus_message_close_container(reply);
    }
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    return r >= 0 || error_set_errno(ret_error, r, NULL, "the command line cannot be sent");
}

static void on_preview(Command *command, const Error *error, void *userdata)
{
    LaterReply *later = userdata;
    Manager *manager = later->manager;
    g_autoptr(Error) failed = NULL;
    if (error)
        reply_error(later->message, error);
    else if (!reply_explain(later->message, command, &failed))
        reply_error(later->message, failed);
    reply_later_free(later);
    manager_check_idle(manager);
}

static bool method_explain(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    VM *vm = object;
    if (vm->instance) {
        g_autofree char *path = g_build_filename(vm->instance->dir, "command", NULL), *text = NULL;
        g_autoptr(Command) command = g_file_get_contents(path, &text, NULL, NULL) ? command_from_text(text) : NULL;
        if (command)
            return reply_explain(m, command, ret_error);
    }
    LaterReply *later = reply_later(manager, m);
    if (vm_preview(vm, on_preview, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

static bool method_open_console(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    fd_cleanup int fd = vm_open_console(object, ret_error);
    if (fd < 0)
        return false;
    (void) sd_bus_reply_method_return(m, "h", fd);
    return true;
}

/* ---- properties ---- */

#define GET(name)                                                                                                      \
    static int name(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, \
        void *userdata, sd_bus_error *error)

#define GET_STRING(name, expression)                                                                                   \
    GET(name)                                                                                                          \
    {                                                                                                                  \
        const VM *vm = userdata;                                                                                       \
        const Instance *instance = vm->instance;                                                                       \
        (void) instance;                                                                                               \
        return sd_bus_message_append(reply, "s", (expression) ?: "");                                                  \
    }
GET_STRING(get_description, vm->description)
GET_STRING(get_state, vm_state_to_string(vm->state))
GET_STRING(get_reason, vm_reason_to_string(vm->reason))
GET_STRING(get_message, vm->message)
GET_STRING(get_problem, vm->problem)
GET_STRING(get_accelerator, !instance || instance->start ? NULL : instance->kvm ? "kvm" : "tcg")
GET_STRING(get_accelerator_reason, instance ? instance->accelerator_reason : NULL)
GET_STRING(get_binary, instance ? instance->binary : NULL)
GET_STRING(get_root, instance ? instance->root : NULL)
GET_STRING(get_version, instance ? instance->version : NULL)

GET(get_uuid)
{
    const VM *vm = userdata;
    char uuid[SD_ID128_UUID_STRING_MAX];
    return sd_bus_message_append(reply, "s", sd_id128_to_uuid_string(vm->uuid, uuid));
}

GET(get_unit)
{
    g_autofree char *unit = vm_scope(userdata);
    return sd_bus_message_append(reply, "s", unit);
}

GET(get_settings_file)
{
    g_autofree char *file = vm_settings_path(userdata);
    return sd_bus_message_append(reply, "s", file);
}

GET(get_leader)
{
    const VM *vm = userdata;
    return sd_bus_message_append(reply, "u", vm->instance ? (uint32_t) vm->instance->guard : 0);
}

GET(get_qemu)
{
    const VM *vm = userdata;
    return sd_bus_message_append(reply, "u", vm->instance ? (uint32_t) instance_read_qemu(vm->instance) : 0);
}

GET(get_addresses)
{
    VM *vm = userdata;
    int r = vm_append_addresses(vm, reply);
    if (vm->instance)
        guest_refresh(vm->instance->guest);
    return r;
}

GET(get_agent)
{
    const VM *vm = userdata;
    return sd_bus_message_append(reply, "b", vm->instance && guest_answers(vm->instance->guest));
}

GET(get_booted)
{
    const VM *vm = userdata;
    return sd_bus_message_append(reply, "b", vm->instance && vm->instance->booted);
}

GET(get_cid)
{
    const VM *vm = userdata;
    return sd_bus_message_append(reply, "u", vm->instance ? vm->instance->cid : 0);
}

GET(get_display_address)
{
    const VM *vm = userdata;
    return sd_bus_message_append(reply, "s", (vm->instance ? display_listener_address(vm->instance->listener) : NULL) ?: "");
}

GET(get_spice_server)
{
    const VM *vm = userdata;
    MachineSpice spice = vm->instance ? vm->instance->spice : MACHINE_SPICE_NONE;
    return sd_bus_message_append(reply, "s", machine_spice_to_string(spice == MACHINE_SPICE_DBUS_SOUND ? MACHINE_SPICE_DBUS : spice));
}

GET(get_spice_sound)
{
    const VM *vm = userdata;
    return sd_bus_message_append(reply, "b", vm->instance && machine_spice_has_sound(vm->instance->spice));
}

GET(get_helpers)
{
    const VM *vm = userdata;
    g_autoptr(GArray) views = helpers_view(vm->instance ? vm->instance->helpers : NULL);
    int r = sd_bus_message_open_container(reply, 'a', "(sus)");
    for (guint i = 0; r >= 0 && i < views->len; i++) {
        const HelperView *view = &g_array_index(views, HelperView, i);
        r = sd_bus_message_append(reply, "(sus)", view->name, (uint32_t) view->pid, view->message);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

GET(get_usb_devices)
{
    g_autoptr(GPtrArray) views = usb_view(userdata);
    int r = sd_bus_message_open_container(reply, 'a', "(sss)");
    for (guint i = 0; r >= 0 && i < views->len; i++) {
        const UsbView *view = views->pdata[i];
        r = sd_bus_message_append(reply, "(sss)", view->name, view->port, view->problem);
    }
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

GET(get_usb_redirections)
{
    return vm_append_redirections(userdata, reply);
}

GET(get_trays)
{
    const VM *vm = userdata;
    g_autofree const char **names = trays_open(vm->instance ? vm->instance->trays : NULL);
    return sd_bus_message_append_strv(reply, (char **) names);
}

GET(get_display_clients)
{
    return vm_append_display_clients(userdata, reply);
}

GET(get_bool)
{
    return sd_bus_message_append(reply, "b", *(const bool *) userdata);
}

static bool choose_settings_action(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    g_autoptr(SettingsChanges) changes = settings_changes_read(&vm_schema, m, ret_error);
    if (changes)
        change_actions(changes->items, changes->n, ret);
    return changes != NULL;
}

/* A section without keys means something too: an interface on the default network. */
static bool choose_attach_action(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *section;
    if (sd_bus_message_read(m, "s", &section) < 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, NULL, "the arguments cannot be read");
    g_autoptr(SettingsChanges) changes = settings_changes_read_section(&vm_schema, m, section, ret_error);
    if (!changes)
        return false;
    const char *values[] = {"", NULL};
    const SettingsChange whole = {.section = section, .key = "Network", .values = values};
    change_actions(changes->n > 0 ? changes->items : &whole, MAX(changes->n, 1), ret);
    return true;
}

static bool choose_detach_action(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *section;
    if (sd_bus_message_read(m, "s", &section) < 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, NULL, "the arguments cannot be read");
    const SettingsChange removal = {.section = section};
    change_actions(&removal, 1, ret);
    return true;
}

static bool choose_medium_action(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *section, *source;
    uint64_t flags;
    if (sd_bus_message_read(m, "sst", &section, &source, &flags) < 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, NULL, "the arguments cannot be read");
    const char *const values[] = {source, NULL};
    const SettingsChange change = {.section = "Disk", .key = "Source", .values = *source ? values : NULL};
    change_actions(&change, 1, ret);
    return true;
}

static bool choose_file_action(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *expected, *text;
    if (!file_read_texts(m, &expected, &text, ret_error))
        return false;
    change_actions_of_text(expected, text, ret);
    return true;
}

static bool await_monitor(Manager *manager, sd_bus_message *m, MethodGoOn go_on, void *userdata)
{
    VM *vm = vm_of_path(manager, sd_bus_message_get_path(m));
    return vm && vm_await_monitor(vm, go_on, userdata);
}

#define NEW_BACKUP "a(shs)a{sv}", "oba(stbb)", SD_BUS_PARAM(targets) SD_BUS_PARAM(options) SD_BUS_PARAM(job) SD_BUS_PARAM(quiesced) SD_BUS_PARAM(disks)
#define OPEN_BACKUP "ha{sv}", "oba(stbb)", SD_BUS_PARAM(socket) SD_BUS_PARAM(options) SD_BUS_PARAM(job) SD_BUS_PARAM(quiesced) SD_BUS_PARAM(disks)
#define EXECUTE "asaya{sv}", "a{sv}", SD_BUS_PARAM(command) SD_BUS_PARAM(input) SD_BUS_PARAM(options) SD_BUS_PARAM(result)
#define NEW_SNAPSHOT "sa{sv}", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(options) SD_BUS_PARAM(job)

static const Method methods[] = {
    {"Start", "", "", "", ACTION_MANAGE, NULL, method_start},
    {"Stop", "", "o", SD_BUS_PARAM(job), ACTION_MANAGE, NULL, method_stop, await_monitor},
    {"Terminate", "", "", "", ACTION_MANAGE, NULL, method_terminate},
    {"Reboot", "", "", "", ACTION_MANAGE, NULL, method_reboot, await_monitor},
    {"Reset", "", "", "", ACTION_MANAGE, NULL, method_reset, await_monitor},
    {"Pause", "", "", "", ACTION_MANAGE, NULL, method_pause, await_monitor},
    {"Resume", "", "", "", ACTION_MANAGE, NULL, method_resume, await_monitor},
    {"Save", "", "o", SD_BUS_PARAM(job), ACTION_MANAGE, NULL, method_save, await_monitor},
    {"DiscardSaved", "", "", "", ACTION_MANAGE, NULL, method_discard_saved},
    {"Delete", "t", "", SD_BUS_PARAM(flags), ACTION_MANAGE, NULL, method_delete},
    {"GetSettings", "", "a{sa{sv}}", SD_BUS_PARAM(settings), ACTION_VIEW, NULL, method_get_settings},
    {"SetSettings", "a{sa{sv}}", "", SD_BUS_PARAM(settings), ACTION_MANAGE, choose_settings_action, method_set_settings},
    {"GetStatistics", "", "a{sv}", SD_BUS_PARAM(statistics), ACTION_VIEW, NULL, method_get_statistics},
    {"GetFiles", "", "a(ss)", SD_BUS_PARAM(files), ACTION_VIEW, NULL, method_get_files},
    {"SetFile", "ss", "", SD_BUS_PARAM(expected) SD_BUS_PARAM(text), ACTION_MANAGE, choose_file_action, method_set_file},
    {"AttachDevice", "sa{sv}", "", SD_BUS_PARAM(section) SD_BUS_PARAM(settings), ACTION_MANAGE, choose_attach_action, method_attach_device, await_monitor},
    {"DetachDevice", "s", "", SD_BUS_PARAM(section), ACTION_MANAGE, choose_detach_action, method_detach_device, await_monitor},
    {"ChangeMedium", "sst", "", SD_BUS_PARAM(section) SD_BUS_PARAM(source) SD_BUS_PARAM(flags), ACTION_MANAGE, choose_medium_action, method_change_medium, await_monitor},
    {"CreateSnapshot", NEW_SNAPSHOT, ACTION_MANAGE, check_snapshot, method_create_snapshot, await_monitor},
    {"RevertSnapshot", "s", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(job), ACTION_MANAGE, check_snapshot, method_revert_snapshot, await_monitor},
    {"DeleteSnapshot", "s", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(job), ACTION_MANAGE, check_snapshot, method_delete_snapshot, await_monitor},
    {"GetSnapshot", "s", "a{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(snapshot), ACTION_VIEW, check_snapshot, method_get_snapshot},
    {"ListSnapshots", "", "a(sstbbbs)", SD_BUS_PARAM(snapshots), ACTION_VIEW, NULL, method_list_snapshots},
    {"CreateBackup", NEW_BACKUP, ACTION_READ_DISKS, NULL, method_create_backup, await_monitor},
    {"OpenBackup", OPEN_BACKUP, ACTION_READ_DISKS, NULL, method_open_backup, await_monitor},
    {"ImportNVRAM", "h", "", SD_BUS_PARAM(image), ACTION_MANAGE, NULL, method_import_nvram},
    {"CloseBackup", "b", "", SD_BUS_PARAM(keep), ACTION_READ_DISKS, NULL, method_close_backup},
    {"RestoreTPM", "h", "", SD_BUS_PARAM(state), ACTION_MANAGE, NULL, method_restore_tpm},
    {"Explain", "", "a(ass)", SD_BUS_PARAM(groups), ACTION_MANAGE, NULL, method_explain},
    {"OpenConsole", "", "h", SD_BUS_PARAM(console), ACTION_OPEN_CONSOLE, NULL, method_open_console},
    {"OpenDisplay", "s", "h", SD_BUS_PARAM(type) SD_BUS_PARAM(display), ACTION_OPEN_DISPLAY, NULL, method_open_display, await_monitor},
    {"CreateDisplayPassword", "t", "sssts", SD_BUS_PARAM(lifetime) SD_BUS_PARAM(type) SD_BUS_PARAM(address) SD_BUS_PARAM(password) SD_BUS_PARAM(until) SD_BUS_PARAM(ca), ACTION_OPEN_DISPLAY, NULL, method_create_display_password, await_monitor},
    {"Screenshot", "", "h", SD_BUS_PARAM(picture), ACTION_OPEN_DISPLAY, NULL, method_screenshot, await_monitor},
    {"ScreenshotHead", "u", "h", SD_BUS_PARAM(head) SD_BUS_PARAM(picture), ACTION_OPEN_DISPLAY, NULL, method_screenshot_head, await_monitor},
    {"SendKeys", "as", "", SD_BUS_PARAM(keys), ACTION_OPEN_DISPLAY, NULL, method_send_keys, await_monitor},
    {"TypeText", "sa{sv}", "o", SD_BUS_PARAM(text) SD_BUS_PARAM(options) SD_BUS_PARAM(job), ACTION_OPEN_DISPLAY, NULL, method_type_text, await_monitor},
    {"MovePointer", "dd", "", SD_BUS_PARAM(x) SD_BUS_PARAM(y), ACTION_OPEN_DISPLAY, NULL, method_move_pointer, await_monitor},
    {"DragPointer", "dds", "", SD_BUS_PARAM(x) SD_BUS_PARAM(y) SD_BUS_PARAM(button), ACTION_OPEN_DISPLAY, NULL, method_drag_pointer, await_monitor},
    {"SendButtons", "as", "", SD_BUS_PARAM(buttons), ACTION_OPEN_DISPLAY, NULL, method_send_buttons, await_monitor},
    {"ExecuteInGuest", EXECUTE, ACTION_CONTROL_GUEST, check_execute, method_execute, await_monitor},
    {"GetGuestInfo", "", "a{sv}", SD_BUS_PARAM(info), ACTION_CONTROL_GUEST, NULL, method_get_guest_info, await_monitor},
    {"FreezeGuest", "a{sv}", "", SD_BUS_PARAM(options), ACTION_CONTROL_GUEST, NULL, method_freeze_guest, await_monitor},
    {"ThawGuest", "", "", "", ACTION_CONTROL_GUEST, NULL, method_thaw_guest, await_monitor},
    {"TrimGuest", "", "a(sts)", SD_BUS_PARAM(trimmed), ACTION_CONTROL_GUEST, NULL, method_trim_guest, await_monitor},
    {"SetGuestPassword", "sha{sv}", "", SD_BUS_PARAM(user) SD_BUS_PARAM(password) SD_BUS_PARAM(options), ACTION_CONTROL_GUEST, NULL, method_set_guest_password, await_monitor},
    {"AddGuestSSHKeys", "sasa{sv}", "", SD_BUS_PARAM(user) SD_BUS_PARAM(keys) SD_BUS_PARAM(options), ACTION_CONTROL_GUEST, check_guest_keys, method_add_guest_keys, await_monitor},
    {"OpenUSBRedirection", "a{sv}", "h", SD_BUS_PARAM(options) SD_BUS_PARAM(socket), ACTION_MANAGE, NULL, method_open_usb_redirection, await_monitor},
    {"CloseUSBRedirection", "u", "", SD_BUS_PARAM(number), ACTION_MANAGE, NULL, method_close_usb_redirection},
    {"Disconnect", "u", "", SD_BUS_PARAM(client), ACTION_MANAGE, NULL, method_disconnect},
    {NULL},
};

#define CHANGES SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE
#define CONST SD_BUS_VTABLE_PROPERTY_CONST

static const sd_bus_vtable properties[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Name", "s", NULL, offsetof(VM, name), CONST),
    SD_BUS_PROPERTY("UUID", "s", get_uuid, 0, CHANGES),
    SD_BUS_PROPERTY("Description", "s", get_description, 0, CHANGES),
    SD_BUS_PROPERTY("State", "s", get_state, 0, CHANGES),
    SD_BUS_PROPERTY("StateReason", "s", get_reason, 0, CHANGES),
    SD_BUS_PROPERTY("StateMessage", "s", get_message, 0, CHANGES),
    SD_BUS_PROPERTY("StateChangeTimestamp", "t", NULL, offsetof(VM, since), CHANGES),
    SD_BUS_PROPERTY("Unit", "s", get_unit, 0, CONST),
    SD_BUS_PROPERTY("Leader", "u", get_leader, 0, CHANGES),
    SD_BUS_PROPERTY("QEMUProcess", "u", get_qemu, 0, CHANGES),
    SD_BUS_PROPERTY("Owner", "u", NULL, offsetof(VM, owner), CHANGES),
    SD_BUS_PROPERTY("Transient", "b", get_bool, offsetof(VM, transient), CONST),
    SD_BUS_PROPERTY("CPUs", "u", NULL, offsetof(VM, cpus), CHANGES),
    SD_BUS_PROPERTY("Memory", "t", NULL, offsetof(VM, memory), CHANGES),
    SD_BUS_PROPERTY("CPUsMax", "u", NULL, offsetof(VM, cpus_max), CHANGES),
    SD_BUS_PROPERTY("MemoryMax", "t", NULL, offsetof(VM, memory_max), CHANGES),
    SD_BUS_PROPERTY("Addresses", "a(ssss)", get_addresses, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("AgentConnected", "b", get_agent, 0, CHANGES),
    SD_BUS_PROPERTY("Booted", "b", get_booted, 0, CHANGES),
    SD_BUS_PROPERTY("VSockCID", "u", get_cid, 0, CHANGES),
    SD_BUS_PROPERTY("DisplayClients", "a(usuutus)", get_display_clients, 0, CHANGES),
    SD_BUS_PROPERTY("DisplayAddress", "s", get_display_address, 0, CHANGES),
    SD_BUS_PROPERTY("SPICEServer", "s", get_spice_server, 0, CHANGES),
    SD_BUS_PROPERTY("SPICESound", "b", get_spice_sound, 0, CHANGES),
    SD_BUS_PROPERTY("OpenTrays", "as", get_trays, 0, CHANGES),
    SD_BUS_PROPERTY("Helpers", "a(sus)", get_helpers, 0, CHANGES),
    SD_BUS_PROPERTY("USBDevices", "a(sss)", get_usb_devices, 0, CHANGES),
    SD_BUS_PROPERTY("USBRedirections", "a(uuts)", get_usb_redirections, 0, CHANGES),
    SD_BUS_PROPERTY("SettingsFile", "s", get_settings_file, 0, CONST),
    SD_BUS_PROPERTY("Problem", "s", get_problem, 0, CHANGES),
    SD_BUS_PROPERTY("Snapshots", "u", NULL, offsetof(VM, snapshots), CHANGES),
    SD_BUS_PROPERTY("NeedsRestart", "b", get_bool, offsetof(VM, needs_restart), CHANGES),
    SD_BUS_PROPERTY("Accelerator", "s", get_accelerator, 0, CHANGES),
    SD_BUS_PROPERTY("AcceleratorReason", "s", get_accelerator_reason, 0, CHANGES),
    SD_BUS_PROPERTY("QEMUBinary", "s", get_binary, 0, CHANGES),
    SD_BUS_PROPERTY("QEMURoot", "s", get_root, 0, CHANGES),
    SD_BUS_PROPERTY("QEMUVersion", "s", get_version, 0, CHANGES),
    SD_BUS_VTABLE_END,
};

const Interface vm_interface = {
    .name = "org.vmd1.VM",
    .methods = methods,
    .properties = properties,
    .find = find,
    .details = details,
};
