/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What happens to a VM while it runs: QEMU's events become states, and the short verbs that need no job. */

#include <fcntl.h>
#include <string.h>

#include "backup.h"
#include "bridge.h"
#include "cleanup.h"
#include "display-listen.h"
#include "display-remote.h"
#include "display.h"
#include "guest.h"
#include "helpers.h"
#include "machine.h"
#include "manager.h"
#include "passthrough.h"
#include "plugs.h"
#include "redirections.h"
#include "scale.h"
#include "snapshot.h"
#include "steps.h"
#include "trays.h"
#include "vsock.h"

#define QMP_VERB_USEC (10 * G_USEC_PER_SEC)

/* A reset that comes so soon after the watchdog ran out is its doing. */
#define WATCHDOG_RESET_USEC (3 * G_USEC_PER_SEC)

static void on_stop_event(VM *vm, const json_t *data)
{
    if (vm->state == VM_RUNNING)
        vm_set_state(vm, VM_PAUSED, REASON_REQUESTED, NULL);
}

static void on_resume_event(VM *vm, const json_t *data)
{
    if (vm->state == VM_PAUSED)
        vm_set_state(vm, VM_RUNNING, REASON_REQUESTED, NULL);
}

static void on_reset_event(VM *vm, const json_t *data)
{
    vm_set_booted(vm, false);
    if (vm->instance->trays)
        trays_find(vm->instance);
    /* The firmware may reset the machine once more. */
    bool by_watchdog = vm->reason == REASON_WATCHDOG && (uint64_t) g_get_real_time() - vm->since < WATCHDOG_RESET_USEC;
    if (vm->state == VM_RUNNING && !by_watchdog && json_is_true(json_object_get(data, "guest")))
        vm_set_state(vm, VM_RUNNING, REASON_GUEST_RESET, NULL);
}

/* What is done about it comes as an event of its own, after this. */
static void on_watchdog_event(VM *vm, const json_t *data)
{
    static const struct {
        const char *action;
        VMState state;
        const char *message;
    } actions[] = {
        {"reset", VM_RUNNING, "the guest did not feed its watchdog, and was reset"},
        {"pause", VM_PAUSED, "the guest did not feed its watchdog"},
        {"inject-nmi", VM_RUNNING, "the guest did not feed its watchdog, and was told so by an NMI"},
    };
    const char *action = json_string_value(json_object_get(data, "action"));
    for (size_t i = 0; action && i < G_N_ELEMENTS(actions); i++)
        if (g_str_equal(action, actions[i].action) && vm->state == VM_RUNNING) {
            vm_set_state(vm, actions[i].state, REASON_WATCHDOG, actions[i].message);
            /* Also when it is not for the first time. */
            vm->since = (uint64_t) g_get_real_time();
            vm_changed(vm, "StateChangeTimestamp", NULL);
        }
}

static void on_panic_event(VM *vm, const json_t *data)
{
    const char *action = json_string_value(json_object_get(data, "action"));
    if (action && g_str_equal(action, "pause"))
        vm_set_state(vm, VM_PAUSED, REASON_GUEST_PANIC, "the guest's kernel panicked");
}

/* "[Disk root]" of "root-node0", or of "root-s1-node0", which a snapshot has put over it. */
static char *find_disk(const VM *vm, const char *node)
{
    g_autofree char *path = instance_settings_path(vm->instance);
    g_autoptr(Settings) settings = settings_load(&vm_schema, path, NULL);
    g_autofree const char **sections = settings ? settings_sections(settings, "Disk") : NULL;
    const char *found = NULL;
    for (size_t i = 0; sections && sections[i]; i++) {
        g_autofree char *stem = machine_disk_stem(sections[i] + strlen("Disk "));
        size_t length = strlen(stem);
        /* "root-b-node0" is none of "root" where there is a disk "root-b". */
        bool longer = !found || strlen(sections[i]) > strlen(found);
        if (strncmp(node, stem, length) == 0 && node[length] == '-' && longer)
            found = sections[i];
    }
    return found ? g_strdup_printf("[%s]", found) : g_strdup("a disk");
}

static void on_io_error_event(VM *vm, const json_t *data)
{
    const char *action = json_string_value(json_object_get(data, "action"));
    const char *node = json_string_value(json_object_get(data, "node-name"));
    if (!action || !g_str_equal(action, "stop"))
        return;
    bool full = json_is_true(json_object_get(data, "nospace"));
    g_autofree char *disk = find_disk(vm, node ? node : "");
    g_autofree char *message = g_strdup_printf("%s: %s; Resume() tries again", disk,
        full ? "no space is left where its image is" : "an I/O error");
    vm_set_state(vm, VM_PAUSED, REASON_IO_ERROR, message);
}

/* QEMU's events that mean something to a VM's state. */
static const struct {
    const char *name;
    void (*handle)(VM *vm, const json_t *data);
} events[] = {
    {"STOP", on_stop_event},         {"RESUME", on_resume_event},        {"RESET", on_reset_event},
    {"GUEST_PANICKED", on_panic_event}, {"BLOCK_IO_ERROR", on_io_error_event},
    {"WATCHDOG", on_watchdog_event},
};

static void on_ready(Qmp *qmp, const char *version, void *userdata)
{
    Instance *instance = userdata;
    instance->monitor_ready = true;
    display_listener_go(instance);
    if (instance->start)
        start_monitor_ready(instance->start);
    else
        recover_monitor_ready(instance->vm);
}

static void on_event(Qmp *qmp, const char *name, const json_t *data, void *userdata)
{
    Instance *instance = userdata;
    VM *vm = instance->vm;
    /* Whatever is done to the VM meanwhile. */
    if (g_str_equal(name, "VSERPORT_CHANGE")) {
        bridge_port_changed(instance, data);
        return guest_port_changed(instance, data);
    }
    if (g_str_equal(name, "SPICE_DISCONNECTED") || g_str_equal(name, "VNC_DISCONNECTED"))
        return displays_closed(instance, data);
    if (g_str_equal(name, "SPICE_INITIALIZED") || g_str_equal(name, "VNC_INITIALIZED"))
        return displays_initialized(instance, data);
    if (g_str_equal(name, "DEVICE_TRAY_MOVED"))
        trays_moved(instance, data);
    if (g_str_equal(name, "DEVICE_DELETED")) {
        usb_device_deleted(instance, data);
        redirections_device_deleted(instance, data);
    }
    /* A step under way sees an event first and may keep it to itself. */
    if (instance->start)
        return start_event(instance->start, name, data);
    if (vm->snapshot_work && snapshot_event(vm->snapshot_work, name, data))
        return;
    if (vm->backup && backup_event(vm->backup, name, data))
        return;
    if (instance->hotplug && hotplug_event(instance->hotplug, name, data))
        return;
    if (instance->scale && scale_event(instance->scale, name, data))
        return;
    if (instance->save && save_event(instance->save, name, data))
        return;
    if (instance->stop && stop_event(instance->stop, name, data))
        return;
    for (size_t i = 0; i < G_N_ELEMENTS(events); i++)
        if (g_str_equal(name, events[i].name))
            return events[i].handle(vm, data);
}

static void on_closed(Qmp *qmp, const Error *error, void *userdata)
{
    Instance *instance = userdata;
    if (instance->start)
        return start_monitor_closed(instance->start, error);
    instance->monitor_ready = false;
    instance->ending = !error;
    if (!error)
        return; /* the guard will say how */
    /* QEMU that lies on its monitor is not trusted to go on being managed, but its guest is not killed for it. */
    g_autofree char *why = error_message(error);
    g_autofree char *message = g_strdup_printf("QEMU's monitor cannot be used any more: %s", why);
    vm_set_state(instance->vm, instance->vm->state, REASON_UNKNOWN, message);
    recover_tell_calls(instance);
}

const QmpHandlers instance_qmp_handlers = {
    .ready = on_ready,
    .event = on_event,
    .closed = on_closed,
};

bool vm_check_monitor(VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    Instance *instance = vm->instance;
    if (!instance)
        return error_set(ret_error, ERROR_NOT_RUNNING, thing, NULL, "it does not run");
    if (!instance->monitor_ready)
        return error_set(ret_error, ERROR_BUSY, thing, "Try again", "its QEMU is not ready to be asked");
    return true;
}

/* What is done to its snapshots leaves it alone for nobody; a backup only for the moment that it holds the guest. */
static bool vm_check_unsnapping(const VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    return !vm->snapshot_work || error_set(ret_error, ERROR_BUSY, thing, "Wait for its job (vmctl jobs)", "something is being done to its snapshots");
}

bool vm_check_unworked(const VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (vm->nvram_import)
        return error_set(ret_error, ERROR_BUSY, thing, "Try again", "its NVRAM is just being put in");
    return vm_check_unsnapping(vm, ret_error) && vm_check_unbacked(vm, ret_error);
}

/* Leaving out what is done to its snapshots. */
static bool check_otherwise_idle(VM *vm, Error **ret_error)
{
    if (vm->backup && backup_holds_guest(vm->backup))
        return vm_check_unbacked(vm, ret_error);
    if (vm->state == VM_RUNNING || vm->state == VM_PAUSED)
        return true;
    g_autofree char *thing = vm_thing(vm);
    return error_set(ret_error, ERROR_BUSY, thing, "Wait for its job, or cancel it", "it is %s", vm_state_to_string(vm->state));
}

bool vm_check_idle(VM *vm, Error **ret_error)
{
    return vm_check_monitor(vm, ret_error) && vm_check_unsnapping(vm, ret_error) && check_otherwise_idle(vm, ret_error);
}

bool vm_check_stoppable(VM *vm, Error **ret_error)
{
    if (!(vm->instance && vm->instance->ending) && !vm_check_monitor(vm, ret_error))
        return false;
    if (!(vm->snapshot_work && snapshot_may_end(vm->snapshot_work)) && !vm_check_unsnapping(vm, ret_error))
        return false;
    return check_otherwise_idle(vm, ret_error);
}

bool vm_check_memory(const VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (vm->instance->hotplug || vm->instance->scale)
        return error_set(ret_error, ERROR_BUSY, thing, "Try again", "a device is just being attached or detached");
    if (!helpers_check_whole(vm->instance->helpers, thing, ret_error))
        return false;
    g_autoptr(Settings) settings = vm_load_current_settings(vm, NULL);
    if (settings && passthrough_is_wanted(settings))
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, "Stop it, or keep its disks alone by a snapshot",
            "it has a PCI device of the host's, whose memory nobody can read");
    if (settings && machine_display_has_gl(settings))
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, "Stop it, or keep its disks alone by a snapshot",
            "its guest draws by a graphics processor of the host's (GL=yes), and what is in that cannot be kept");
    if (helpers_have(vm->instance->helpers, HELPER_SHARE))
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, "Detach them first, or keep its disks alone by a snapshot",
            "it shares folders, so its memory cannot be kept");
    return !vm->instance->replugged || error_set(ret_error, ERROR_UNSUPPORTED, thing, "Restart it first, or keep its disks alone by a snapshot",
        "devices came or went since it started, so its memory cannot be kept");
}

typedef struct Verb {
    VMDone done;
    void *userdata;
} Verb;

static void on_verb(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    g_autofree Verb *verb = userdata;
    verb->done(error, verb->userdata);
}

static bool run_verb(VM *vm, const char *command, VMDone done, void *userdata, Error **ret_error)
{
    if (!vm_check_idle(vm, ret_error))
        return false;
    Verb *verb = g_new(Verb, 1);
    *verb = (Verb){.done = done, .userdata = userdata};
    int r = qmp_call(vm->instance->qmp, command, NULL, -1, QMP_VERB_USEC, on_verb, verb);
    if (r < 0) {
        g_free(verb);
        return error_set_errno(ret_error, r, vm->name, "QEMU cannot be asked");
    }
    return true;
}

bool vm_reset(VM *vm, VMDone done, void *userdata, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    return (!vm->instance || helpers_check_whole(vm->instance->helpers, thing, ret_error)) &&
        run_verb(vm, "system_reset", done, userdata, ret_error);
}

bool vm_pause(VM *vm, VMDone done, void *userdata, Error **ret_error)
{
    return run_verb(vm, "stop", done, userdata, ret_error);
}

bool vm_resume(VM *vm, VMDone done, void *userdata, Error **ret_error)
{
    return run_verb(vm, "cont", done, userdata, ret_error);
}

int vm_open_console(VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!vm->instance) {
        error_set(ret_error, ERROR_NOT_RUNNING, thing, "Start it first", "it does not run, so it has no console");
        return -1;
    }
    if (!vm->instance->console) {
        error_set(ret_error, ERROR_UNSUPPORTED, thing, "Set Type=serial in [Console]", "it has no console");
        return -1;
    }
    int fd = instance_connect(vm->instance, "console", SOCK_STREAM);
    if (fd < 0) {
        error_set_errno(ret_error, fd, thing, "its console cannot be reached");
        return -1;
    }
    /* Blocking is what a caller expects of a descriptor that it is given. */
    (void) fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    return fd;
}
