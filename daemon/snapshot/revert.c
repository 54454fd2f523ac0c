/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A VM goes back to a snapshot, step by step:
 *
 *     open      the snapshot's layers                                   in a thread
 *     make      an empty file beside each disk                          in a thread
 *     overlays  which becomes a qcow2 image over the layer              a Worker
 *     fetch     the snapshot's NVRAM is copied                          in a thread
 *     end       of what it does now, where it runs: so late, since it runs on where anything before it fails
 *     record    what is to be, so that the next vmd goes on with it
 *     replace   the disks by them: what they held since is gone         in a thread
 *     put       the NVRAM by that copy
 *     TPM       what it remembered then
 *     commit    the record says that it is done
 *     merge     what nobody needs any more
 *     wake      with memory: the VM goes on from there, as a saved one does */

#include <errno.h>
#include <unistd.h>

#include "name.h"
#include "tpm.h"
#include "work.h"

/* ---- end ---- */

static void on_ended(SnapshotWork *work)
{
    work->on_end = NULL;
    work_next(work);
}

static void step_end(SnapshotWork *work)
{
    if (!work->vm->instance)
        return work_next(work);
    work->on_end = on_ended;
    instance_kill(work->vm->instance);
}

/* ---- the disks ---- */

static void step_record(SnapshotWork *work)
{
    Error *error = NULL;
    work->tree->act = SNAPSHOT_REVERT;
    work->tree->subject = work->snapshot->id;
    if (!snapshot_tree_write(work->tree, &error))
        return work_fail(work, error);
    work_next(work);
}

static void step_replace(SnapshotWork *work)
{
    work_act(work, layer_replace, work_next);
}

/* Where it had none then, what it has now stays. */
static void step_tpm(SnapshotWork *work)
{
    Error *error = NULL;
    g_autofree char *path = snapshot_file(work->tree, work->snapshot, "tpm"), *state = NULL;
    if (!work->snapshot->tpm)
        return work_next(work);
    if (!g_file_get_contents(path, &state, NULL, NULL))
        error_set(&error, ERROR_FAILED, path, NULL, "what its TPM remembered cannot be read");
    if (!state || !tpm_state_write(work->vm, state, &error))
        return work_fail(work, error);
    work_next(work);
}

static void step_commit(SnapshotWork *work)
{
    Error *error = NULL;
    work->tree->current = work->snapshot->id;
    work->tree->act = SNAPSHOT_NOTHING;
    vm_delete_saved(work->vm);
    if (!snapshot_tree_write(work->tree, &error))
        return work_fail(work, error);
    vm_set_state(work->vm, VM_STOPPED, REASON_REQUESTED, NULL);
    work_next(work);
}

/* ---- memory ---- */

static bool link_saved(SnapshotWork *work, Error **ret_error)
{
    static const char *const names[][2] = {{"settings", "settings"}, {"memory", "state"}};
    const VM *vm = work->vm;
    g_autofree char *machine = vm_saved_path(vm, "machine");
    int r = settings_write(machine, work->snapshot->machine, 0600, false);
    if (r < 0)
        return error_set_errno(ret_error, r, machine, "it cannot be written");
    /* The state last: its being there is what makes the VM a saved one. */
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        g_autofree char *from = snapshot_file(work->tree, work->snapshot, names[i][0]), *to = vm_saved_path(vm, names[i][1]);
        if (link(from, to) < 0)
            return error_set_errno(ret_error, errno, to, "the snapshot's %s cannot be put there", names[i][0]);
    }
    return true;
}

static void on_started(const Error *error, void *userdata)
{
    Manager *manager = userdata;
    /* The VM's state says what went wrong. */
    manager_check_idle(manager);
}

static void step_wake(SnapshotWork *work)
{
    Error *error = NULL;
    VM *vm = work->vm;
    Manager *manager = vm->manager;
    if (!work->snapshot->memory)
        return work_next(work);
    if (!link_saved(work, &error))
        return work_fail(work, error);
    vm_set_state(vm, VM_SAVED, REASON_REQUESTED, NULL);
    work_next(work); /* it is gone now, and the VM is free to be started */
    if (!vm_start(vm, on_started, manager, &error)) {
        g_autofree char *message = error_message(error);
        vm_set_state(vm, VM_SAVED, REASON_START_FAILED, message);
        error_free(error);
    }
}

static const SnapshotStep steps[] = {work_open, work_make, work_overlays, work_nvram_fetch, step_end, step_record, step_replace, work_nvram_put, step_tpm, step_commit, work_merge, step_wake, NULL};

static void add_layers(SnapshotWork *work)
{
    for (guint i = 0; i < work->snapshot->layers->len; i++) {
        const Layer *layer = work->snapshot->layers->pdata[i];
        LayerFile *file = layers_add(work->layers, layer->path, layer->frozen, layer->volume);
        file->open = g_strdup(layer->frozen);
        file->format = g_strdup(layer->format);
        file->made = work_made_name(work, layer->path);
    }
}

/* What was made and not put in place. */
static void on_removed(SnapshotWork *work)
{
    Error *error = g_steal_pointer(&work->error);
    work_finish(work, error);
    error_free(error);
}

static void undo(SnapshotWork *work, Error *error)
{
    /* Where the record says so, the next vmd goes on with it: some disks may be the snapshot's by now. */
    work->undo = NULL;
    work->error = error;
    work_nvram_unfetch(work);
    work_act(work, layer_undo, on_removed);
}

SnapshotWork *snapshot_begin_revert(VM *vm, SnapshotTree *tree, Snapshot *snapshot)
{
    SnapshotWork *work = work_new(vm, JOB_REVERT_SNAPSHOT, tree, steps);
    work->snapshot = snapshot;
    work->undo = undo;
    add_layers(work);
    return work;
}

bool vm_snapshot_revert(VM *vm, const char *name, const char **ret_job_path, Error **ret_error)
{
    if (!vm_check_unworked(vm, ret_error) || (vm->instance && !vm_check_idle(vm, ret_error)))
        return false;
    SnapshotTree *tree = vm_snapshots(vm, ret_error);
    Snapshot *snapshot = tree ? snapshot_find_or_error(tree, vm->name, name, ret_error) : NULL;
    if (!snapshot) {
        snapshot_tree_free(tree);
        return false;
    }
    SnapshotWork *work = snapshot_begin_revert(vm, tree, snapshot);
    *ret_job_path = work->job->path;
    work_begin(work);
    return true;
}
