/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a vmd that was killed had begun. The making of a snapshot is undone, unless all disks are frozen already; going back to one and
 * merging are gone on with. Of a VM that runs QEMU says whether it writes into the overlays, and what it has merged. */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "work.h"

#define ANSWER_USEC (30 * G_USEC_PER_SEC)

static void forget_act(SnapshotWork *work)
{
    Error *error = NULL;
    work->tree->act = SNAPSHOT_NOTHING;
    if (!snapshot_tree_write(work->tree, &error))
        return work_fail(work, error);
    work_next(work);
}

/* ---- a making ---- */

static void on_undone(SnapshotWork *work)
{
    snapshot_remove(work->tree, work->snapshot);
    work->snapshot = NULL;
    if (work->tree->all->len == 0)
        return work_finish(work, NULL);
    forget_act(work);
}

static void step_undo(SnapshotWork *work)
{
    work_act(work, layer_undo, on_undone);
}

/* Its memory, or copy of the NVRAM, if any was wanted, is not whole; what its TPM remembers is as soon as it is there. */
static void step_keep(SnapshotWork *work)
{
    Error *error = NULL;
    g_autofree char *tpm = snapshot_file(work->tree, work->snapshot, "tpm");
    work->snapshot->hidden |= work->snapshot->memory || work->snapshot->nvram || (work->snapshot->tpm && access(tpm, F_OK) < 0);
    work->tree->current = work->snapshot->id;
    if (!snapshot_write(work->tree, work->snapshot, &error)) {
        (void) snapshot_hide_prepared(work->tree, work->snapshot, NULL);
        return work_fail(work, error);
    }
    snapshot_forget_prepared(work->tree, work->snapshot);
    forget_act(work);
}

static const SnapshotStep undo_steps[] = {step_undo, NULL};
static const SnapshotStep keep_steps[] = {step_keep, NULL};
static const SnapshotStep merge_steps[] = {work_merge, NULL};
static const SnapshotStep live_merge_steps[] = {work_end_live_merge, work_merge, NULL};

static bool has_node(const json_t *blocks, const char *wanted)
{
    size_t i;
    json_t *block;
    json_array_foreach((json_t *) blocks, i, block)
        if (g_strcmp0(json_string_value(json_object_get(json_object_get(block, "inserted"), "node-name")), wanted) == 0)
            return true;
    return false;
}

/* All disks' overlays came into use at one moment, or none. */
static void on_blocks(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    const Layer *layer = work->snapshot->layers->pdata[0];
    g_autofree char *node = work_overlay_node(work->snapshot, layer);
    if (error)
        return work_fail(work, error_copy(error));
    work->next = has_node(result, node) ? keep_steps : undo_steps;
    if (work->next == keep_steps) {
        work_claim_overlays(work);
        work_nvram_remove_nodes(work);
    }
    work_next(work);
}

/* A guest that stood still for this work goes on. QEMU does one command after the other. */
static void resume(const SnapshotWork *work)
{
    Qmp *qmp = work->vm->instance->qmp;
    if (!qmp || !work->snapshot->resumes)
        return;
    (void) qmp_call(qmp, "migrate_cancel", NULL, -1, 0, NULL, NULL);
    (void) qmp_call(qmp, "cont", NULL, -1, 0, NULL, NULL);
}

static void step_ask(SnapshotWork *work)
{
    Error *error = NULL;
    resume(work);
    int r = work->vm->instance->qmp ? qmp_call(work->vm->instance->qmp, "query-block", NULL, -1, ANSWER_USEC, on_blocks, work) : -ENOTCONN;
    if (r >= 0)
        return;
    error_set_errno(&error, r, work->vm->name, "QEMU cannot be asked");
    work_fail(work, error);
}

static const SnapshotStep ask_steps[] = {step_ask, NULL};

static void recover_making(VM *vm, SnapshotTree *tree, Snapshot *snapshot)
{
    SnapshotWork *work = work_new(vm, JOB_CREATE_SNAPSHOT, tree, vm->instance ? ask_steps : undo_steps);
    work->snapshot = snapshot;
    for (guint i = 0; i < snapshot->layers->len; i++) {
        const Layer *layer = snapshot->layers->pdata[i];
        LayerFile *file = layers_add(work->layers, layer->path, layer->frozen, layer->volume);
        file->made = work_made_name(work, layer->frozen);
        file->dev = layer->dev;
        file->inode = layer->inode;
    }
    work_next(work);
}

static void recover_vm(VM *vm)
{
    g_autoptr(Error) error = NULL;
    SnapshotTree *tree = vm_snapshots(vm, &error);
    Snapshot *subject = tree ? snapshot_find_id(tree, tree->subject) : NULL;
    if (!tree) {
        g_autofree char *message = error_message(error);
        g_warning("VM %s: its snapshots cannot be read: %s", vm->name, message);
    }
    if (subject && tree->act == SNAPSHOT_CREATE)
        recover_making(vm, tree, subject);
    else if (subject && tree->act == SNAPSHOT_REVERT && !vm->instance)
        work_next(snapshot_begin_revert(vm, tree, subject));
    else if (subject && tree->act == SNAPSHOT_MERGE)
        work_next(work_new(vm, JOB_DELETE_SNAPSHOT, tree, vm->instance ? live_merge_steps : merge_steps));
    else
        snapshot_tree_free(tree);
}

void snapshots_recover(Manager *manager)
{
    g_autofree char *dir = g_build_filename(manager->dirs->state, "snapshots", NULL);
    g_autoptr(GDir) folder = g_dir_open(dir, 0, NULL);
    const char *name;
    while (folder && (name = g_dir_read_name(folder))) {
        VM *vm = manager_find_vm(manager, name);
        if (vm && !vm->snapshot_work)
            recover_vm(vm);
    }
}
