/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The end of an instance: what the guard's status file says becomes the VM's state, and everything that
 * the instance had is released. Every end comes through here, whoever brought it about. */

#include <string.h>
#include <unistd.h>

#include "backup.h"
#include "instance.h"
#include "last-run.h"
#include "manager.h"
#include "plugs.h"
#include "nvram.h"
#include "snapshot.h"
#include "steps.h"
#include "tpm.h"

/* QEMU's words for why it shut down (QAPI ShutdownCause), in ours. */
static const struct {
    const char *word;
    VMReason reason;
} shutdown_causes[] = {
    {"guest-shutdown", REASON_GUEST_SHUTDOWN}, {"guest-panic", REASON_GUEST_PANIC},     {"host-signal", REASON_HOST_SHUTDOWN},
    {"host-qmp-quit", REASON_TERMINATED},      {"terminated", REASON_TERMINATED},
};

static VMReason shutdown_reason(const char *word)
{
    for (size_t i = 0; i < G_N_ELEMENTS(shutdown_causes); i++)
        if (g_str_equal(word, shutdown_causes[i].word))
            return shutdown_causes[i].reason;
    return REASON_UNKNOWN;
}

static LastRun judge(const VM *vm, const InstanceEnd *end)
{
    g_autofree char *words = instance_last_words(end->output);
    if (end->panicked)
        return (LastRun){vm_failed_state(vm), REASON_GUEST_PANIC, g_strdup("the guest's kernel panicked"), 0};
    if (vm->instance->terminating)
        return (LastRun){vm_resting_state(vm), REASON_TERMINATED, NULL, 0};
    if (!end->known && vm->instance->guard <= 0)
        return (LastRun){vm_failed_state(vm), REASON_START_FAILED, g_strdup("vmd ended before its QEMU was started"), 0};
    if (!end->known)
        return (LastRun){vm_failed_state(vm), REASON_CRASHED, g_strdup("all processes of its scope were killed"), 0};
    if (end->signal > 0 && !g_str_equal(end->reason, "terminated"))
        return (LastRun){vm_failed_state(vm), REASON_CRASHED,
            g_strdup_printf("QEMU was killed by signal %d (%s)%s%s", end->signal, strsignal(end->signal), words ? ": " : "", words ?: "")};
    if (end->signal == 0 && end->code != 0)
        return (LastRun){vm_failed_state(vm), REASON_CRASHED,
            g_strdup_printf("%s%sQEMU exited with %d%s%s", end->helper ?: "", end->helper ? "; then " : "", end->code, words ? ": " : "", words ?: "")};
    return (LastRun){vm_resting_state(vm), shutdown_reason(end->reason), NULL, 0};
}

void vm_settle(VM *vm)
{
    if (vm->instance || vm->snapshot_work || vm->backup)
        return;
    if (vm->transient && vm->state != VM_SAVED) {
        g_autofree char *path = vm_settings_path(vm);
        (void) unlink(path);
        vm_delete_nvram(vm);
        tpm_delete(vm);
        vm->defined = false;
    } else if (vm->defined)
        vm_read_settings(vm);
    if (!vm->defined)
        manager_forget_vm(vm->manager, vm);
}

void vm_instance_ended(VM *vm)
{
    Manager *manager = vm->manager;
    Instance *instance = vm->instance;
    g_autofree char *unit = vm_scope(vm);
    InstanceEnd end;
    instance_read_end(instance, &end);

    /* The order matters: what was done to the VM first, since that may explain the end. */
    bool saved = instance->save && save_ended(instance->save);
    g_auto(LastRun) last = {.state = VM_STOPPED};
    /* What a vmd that was killed while it cleared up has found out is not to be had from what it left. */
    if (saved)
        last = (LastRun){VM_SAVED, REASON_REQUESTED, NULL, 0};
    else if (!last_run_read(vm, &last))
        last = judge(vm, &end);
    if (!instance->start) {
        last.since = last.since ?: (uint64_t) g_get_real_time();
        last_run_write(vm, &last);
    }

    /* The guard is gone, so its QEMU is too (PDEATHSIG); what an extra process of QEMU's might be is not left to chance. */
    int cgroup = scope_cgroup_open(manager->scopes, unit);
    if (cgroup >= 0) {
        (void) scope_cgroup_kill(cgroup);
        (void) close(cgroup);
    }
    if (instance->orphan)
        scope_cgroup_remove(manager->scopes, unit);

    struct SnapshotWork *work = vm->snapshot_work;
    Start *start = instance->start;
    Stop *stop = instance->stop;
    if (instance->hotplug)
        hotplug_ended(g_steal_pointer(&instance->hotplug));
    if (vm->backup)
        backup_instance_ended(vm->backup);
    recover_instance_ending(instance);
    GArray *waiters = instance_take_waiters(instance);
    bool had_guest = instance->guest, had_trays = instance->trays, had_booted = instance->booted, had_cid = instance->cid > 0, had_address = instance->listener, had_lent = instance->redirections;
    if (work)
        snapshot_instance_ending(work);
    usb_instance_ended(instance);
    vm->instance = NULL;
    vm->needs_restart = false;
    instance_free(instance, true);

    if (!start)
        vm_set_state(vm, last.state, last.reason, last.message);
    if (had_guest)
        vm_changed(vm, "AgentConnected", "Addresses", NULL);
    if (had_booted)
        vm_changed(vm, "Booted", NULL);
    if (had_cid)
        vm_changed(vm, "VSockCID", NULL);
    if (had_address)
        vm_changed(vm, "DisplayAddress", NULL);
    if (had_lent)
        vm_changed(vm, "USBRedirections", NULL);
    if (had_trays)
        vm_changed(vm, "OpenTrays", NULL);
    if (start)
        start_ended(start, &end);
    if (stop)
        stop_ended(stop);
    instance_end_clear(&end);
    instance_tell_waiters(waiters);

    vm_settle(vm);
    if (work)
        snapshot_instance_ended(work);
    manager_check_idle(manager);
}
