/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Recover: VMs that ran while vmd was away. Each folder in RUNTIME_DIR/vm is one; its record says who the
 * guard is, the guard's cgroup proves it, QEMU says the rest. What has ended meanwhile is judged by its
 * status file as if vmd had been there. Nothing is killed but a start that was interrupted: its guest never ran. */

#include <errno.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "backup.h"
#include "bridge.h"
#include "cleanup.h"
#include "guest.h"
#include "helpers.h"
#include "hotplug.h"
#include "manager.h"
#include "name.h"
#include "passthrough.h"
#include "plugs.h"
#include "redirections.h"
#include "statistics.h"
#include "steps.h"
#include "trays.h"
#include "vsock.h"

#define MONITORS_USEC (100 * 1000)
#define QUERY_USEC (30 * G_USEC_PER_SEC)

/* ---- who waits for its monitor ---- */

#define ANSWER_USEC (10 * G_USEC_PER_SEC)
#define CALLS_MAX 256U

struct Recovery {
    GArray *calls; /* Waiter */
    sd_event_source *deadline;
};

void recovery_free(Recovery *recovery)
{
    if (!recovery)
        return;
    sd_event_source_disable_unref(recovery->deadline);
    g_clear_pointer(&recovery->calls, g_array_unref);
    g_free(recovery);
}

void recover_tell_calls(Instance *instance)
{
    g_autofree Recovery *recovery = g_steal_pointer(&instance->recovery);
    if (!recovery)
        return;
    sd_event_source_disable_unref(recovery->deadline);
    instance_tell_waiters(recovery->calls);
}

static int on_deadline(sd_event_source *source, uint64_t usec, void *userdata)
{
    recover_tell_calls(userdata);
    return 0;
}

static void begin_recovery(Instance *instance)
{
    Recovery *recovery = instance->recovery = g_new0(Recovery, 1);
    recovery->calls = g_array_new(FALSE, FALSE, sizeof(Waiter));
    if (sd_event_add_time_relative(instance->vm->manager->event, &recovery->deadline, CLOCK_MONOTONIC, ANSWER_USEC, 0, on_deadline, instance) < 0)
        recovery_free(g_steal_pointer(&instance->recovery));
}

bool vm_await_monitor(VM *vm, VMDone done, void *userdata)
{
    Recovery *recovery = vm->instance ? vm->instance->recovery : NULL;
    const Waiter call = {.done = done, .userdata = userdata};
    if (!recovery || recovery->calls->len >= CALLS_MAX)
        return false;
    g_array_append_val(recovery->calls, call);
    return true;
}

void recover_instance_ending(Instance *instance)
{
    Recovery *recovery = g_steal_pointer(&instance->recovery);
    if (recovery)
        g_array_append_vals(instance->waiters, recovery->calls->data, recovery->calls->len);
    recovery_free(recovery);
}

/* ---- */

static bool attach(VM *vm, Instance *instance)
{
    g_autofree char *unit = vm_scope(vm);
    int pidfd = (int) syscall(SYS_pidfd_open, instance->guard, 0);
    if (pidfd < 0)
        return false;
    if (!scope_has_process(unit, instance->guard)) {
        (void) close(pidfd);
        return false;
    }
    return instance_watch_guard(instance, instance->guard, pidfd) >= 0;
}

static void recover_one(Manager *manager, const char *name)
{
    VM *vm = manager_find_vm(manager, name);
    g_autofree char *transient = g_strdup_printf("%s/%s.vm", manager->dirs->runtime, name);
    if (!vm)
        vm = manager_add_vm(manager, name, access(transient, F_OK) == 0);

    Instance *instance = g_new0(Instance, 1);
    instance->vm = vm;
    instance->dir = vm_instance_dir(vm);
    instance->guard_pidfd = -1;
    instance->images = g_array_new(FALSE, FALSE, sizeof(ImageIdentity));
    instance->waiters = g_array_new(FALSE, FALSE, sizeof(Waiter));
    vm->instance = instance;

    g_autoptr(Error) error = NULL;
    if (!instance_read_record(instance, &error) || !attach(vm, instance)) {
        vm_instance_ended(vm);
        return;
    }
    (void) instance_read_qemu(instance);
    helpers_recover(instance, instance->helpers_record);
    if (instance->root && instance->folder)
        instance->tree = trees_adopt(manager->trees, instance->root, instance->folder);
    /* A stop or a save that vmd did not live to end is not going on any more. QEMU's answer corrects the rest. */
    if (vm->state == VM_STOPPING || vm->state == VM_SAVING)
        vm->state = VM_RUNNING;
    if (instance_connect_monitor(instance) < 0)
        g_warning("%s: QEMU's monitor cannot be reached", name);
    else
        begin_recovery(instance);
    bridge_recover(instance);
    if (vm->defined)
        vm_read_settings(vm);
}

/* A guard that was born for a vmd that was killed before it could write down who it is: nobody knows it but its cgroup. */
static void kill_unknown(void *userdata)
{
    Manager *manager = userdata;
    g_autoptr(GPtrArray) units = scopes_unknown_cgroups(manager->scopes);
    for (guint i = 0; i < units->len; i++) {
        g_autofree char *name = name_from_scope(units->pdata[i]);
        const VM *vm = name ? manager_find_vm(manager, name) : NULL;
        if (!name || (vm && vm->instance))
            continue;
        fd_cleanup int cgroup = scope_cgroup_open(manager->scopes, units->pdata[i]);
        if (cgroup >= 0)
            (void) scope_cgroup_kill(cgroup);
        scope_cgroup_remove(manager->scopes, units->pdata[i]);
    }
}

void manager_recover(Manager *manager)
{
    scopes_when_known(manager->scopes, kill_unknown, manager);
    g_autoptr(GDir) dir = g_dir_open(manager->dirs->instances, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir)))
        if (name_is_valid(name))
            recover_one(manager, name);
    passthrough_recover(manager);
    vsock_recover(manager);
    trees_recover(manager->trees);
}

static bool awaits_answers(const Manager *manager)
{
    GHashTableIter iter;
    gpointer value;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        const VM *vm = value;
        if (vm->instance && vm->instance->recovery)
            return true;
    }
    return pools_are_starting(manager);
}

void manager_wait_for_answers(Manager *manager)
{
    gint64 deadline = g_get_monotonic_time() + MONITORS_USEC, now;
    while (awaits_answers(manager) && (now = g_get_monotonic_time()) < deadline)
        if (sd_event_run(manager->event, (uint64_t) (deadline - now)) < 0 || sd_event_get_state(manager->event) == SD_EVENT_FINISHED)
            return;
}

/* QEMU's run states (QAPI RunState) in ours. */
static const struct {
    const char *word;
    VMState state;
    VMReason reason;
} run_states[] = {
    {"running", VM_RUNNING, REASON_UNKNOWN},       {"paused", VM_PAUSED, REASON_REQUESTED},
    {"guest-panicked", VM_PAUSED, REASON_GUEST_PANIC}, {"io-error", VM_PAUSED, REASON_IO_ERROR},
    {"postmigrate", VM_PAUSED, REASON_REQUESTED},  {"finish-migrate", VM_PAUSED, REASON_REQUESTED},
    {"suspended", VM_RUNNING, REASON_UNKNOWN},     {"watchdog", VM_PAUSED, REASON_WATCHDOG},
    {"internal-error", VM_PAUSED, REASON_CRASHED},
};

/* Where a saved state and QEMU are both there, vmd ended before that guest's first step, or after its last one: then it is the state
 * that counts. A guest that has run on has changed its disks since, and a start that went on from the state would not know of it. */
static bool awaits_its_end(VM *vm, const char *word)
{
    if (vm_resting_state(vm) != VM_SAVED)
        return false;
    if (g_str_equal(word, "postmigrate") || (vm->state == VM_STARTING && g_str_equal(word, "paused")))
        return true;
    vm_delete_saved(vm);
    return false;
}

static void on_status(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    VM *vm = userdata;
    const char *word = json_string_value(json_object_get(result, "status"));
    if (!word)
        return;
    if (g_str_equal(word, "prelaunch") || g_str_equal(word, "inmigrate") || awaits_its_end(vm, word)) {
        instance_kill(vm->instance);
        return;
    }
    if (g_str_equal(word, "shutdown")) {
        /* vmd went away between a reboot's two halves: the guest is off, so finish it. */
        (void) qmp_call(qmp, "set-action", json_pack("{ss}", "shutdown", "poweroff"), -1, 0, NULL, NULL);
        (void) qmp_call(qmp, "quit", NULL, -1, 0, NULL, NULL);
        return;
    }
    if (save_was_interrupted(vm)) {
        (void) qmp_call(qmp, "migrate_cancel", NULL, -1, 0, NULL, NULL);
        (void) qmp_call(qmp, "cont", NULL, -1, 0, NULL, NULL);
        return;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(run_states); i++)
        if (g_str_equal(word, run_states[i].word) && vm->state != run_states[i].state)
            vm_set_state(vm, run_states[i].state, run_states[i].reason, NULL);
}

static void on_all_answered(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    recover_tell_calls(userdata);
}

void recover_monitor_ready(VM *vm)
{
    (void) qmp_call(vm->instance->qmp, "query-status", NULL, -1, QUERY_USEC, on_status, vm);
    guest_find(vm->instance);
    backup_recover(vm);
    hotplug_recover(vm);
    trays_find(vm->instance);
    statistics_recover(vm->instance);
    usb_recover(vm);
    redirections_recover(vm);
    /* What was written into its file while vmd was away. */
    if (vm->needs_restart)
        vm_read_settings(vm);
    /* QEMU does one after the other: then it has answered all of these. */
    if (qmp_call(vm->instance->qmp, "query-status", NULL, -1, QUERY_USEC, on_all_answered, vm->instance) < 0)
        recover_tell_calls(vm->instance);
}
