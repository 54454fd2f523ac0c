/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A snapshot is deleted: it is hidden at once, and what it holds is merged with what is made from it as soon as that is one thing only.
 * To merge is to write the child's data into the snapshot's file, which then takes the child's name: so nothing that names a file
 * has to be changed. What a VM that runs has open its QEMU merges (merge-live.c), all else a Worker. */

#include <string.h>
#include <unistd.h>

#include "claims.h"
#include "work.h"

static void merge_next(SnapshotWork *work);

/* The tree without it. */
static bool take_out(SnapshotWork *work, Snapshot *snapshot, Error **ret_error)
{
    unsigned child_id;
    if (snapshot_count_children(work->tree, snapshot, &child_id) > 0) {
        Snapshot *child = child_id > 0 ? snapshot_find_id(work->tree, child_id) : NULL;
        if (child) {
            child->parent = snapshot->parent;
            if (!snapshot_write(work->tree, child, ret_error))
                return false;
        } else
            work->tree->current = snapshot->parent;
    }
    work->tree->act = SNAPSHOT_NOTHING;
    if (!snapshot_tree_write(work->tree, ret_error))
        return false;
    snapshot_remove(work->tree, snapshot);
    return true;
}

static void on_files_done(SnapshotWork *work)
{
    Error *error = NULL;
    if (!take_out(work, work->snapshot, &error))
        return work_fail(work, error);
    merge_next(work);
}

static void fail_cancelled(SnapshotWork *work)
{
    Error *error = NULL;
    error_set(&error, ERROR_CANCELLED, work->vm->name, NULL, "what was deleted is merged another time");
    work->tree->act = SNAPSHOT_NOTHING;
    (void) snapshot_tree_write(work->tree, NULL);
    work_fail(work, error);
}

static void on_progress(Worker *worker, double progress, void *userdata)
{
    SnapshotWork *work = userdata;
    job_set_progress(work->job, progress);
}

static void on_committed(Worker *worker, const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    g_clear_pointer(&work->worker, worker_free);
    if (error)
        return work_fail(work, error_copy(error));
    work_act(work, layer_settle, on_files_done);
}

/* Two images over each other: the lower one is written to. */
static void add_pair_nodes(Worker *worker, LayerFile *lower, LayerFile *upper, unsigned i)
{
    g_autofree char *name = g_strdup_printf("disk%u", i);
    g_clear_pointer(&upper->image->backing, image_free);
    upper->image->backing = g_steal_pointer(&lower->image);
    worker_add_image(worker, upper->image, name);
}

static void add_commit(SnapshotWork *work, const json_t *nodes, unsigned i)
{
    g_autofree char *name = g_strdup_printf("disk%u", i), *top = blockdev_node_name(name, 0), *base = blockdev_node_name(name, 1);
    const json_t *upper = blockdev_find_node(nodes, top), *lower = blockdev_find_node(nodes, base);
    Script *script = worker_script(work->worker);
    /* What the VM writes to. */
    bool active = work->tree->current == work->snapshot->id;
    json_t *bitmaps = active && bitmaps_fit(upper, lower) ? bitmaps_of(upper) : json_array();
    json_t *removals = json_array(), *actions = json_array();
    bitmaps_remove(removals, lower, BITMAPS_CHECKPOINTS);
    script_add_actions(script, removals);
    script_add_job(script, "block-commit", json_pack("{ss ss ss}", "device", top, "top-node", top, "base-node", base));
    bitmaps_copy(actions, bitmaps, top, base);
    script_add_actions(script, actions);
    /* Closed, so that all of it is in the files. */
    script_add_call(script, "blockdev-del", json_pack("{ss}", "node-name", top));
    script_add_call(script, "blockdev-del", json_pack("{ss}", "node-name", base));
    json_decref(bitmaps);
}

static bool on_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    SnapshotWork *work = userdata;
    for (guint i = 0; i < work->layers->files->len; i++)
        add_commit(work, result, i);
    return true;
}

/* Those of a Worker's; work->layers: the lower ones, then as many upper ones. */
static void merge_rest(SnapshotWork *work)
{
    Manager *manager = work->vm->manager;
    Error *error = NULL;
    guint n = work->layers->files->len / 2;
    if (n == 0)
        return on_files_done(work);
    g_autofree char *binary = qemu_default_binary(&error), *unit = worker_unit();
    work->worker = worker_new(manager->event, manager->scopes, manager->user);
    for (guint i = 0; i < n; i++)
        add_pair_nodes(work->worker, work->layers->files->pdata[i], work->layers->files->pdata[n + i], i);
    script_add_question(worker_script(work->worker), "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_nodes, work);
    g_ptr_array_set_size(work->layers->files, (gint) n);
    if (!binary || !worker_start(work->worker, binary, unit, on_committed, on_progress, work, &error))
        work_fail(work, error);
}

static bool is_open(const SnapshotWork *work, const LayerFile *file)
{
    const GArray *images = work->vm->instance ? work->vm->instance->images : NULL;
    for (guint i = 0; images && i < images->len; i++) {
        const ImageIdentity *image = &g_array_index(images, ImageIdentity, i);
        if (image->dev == file->image->dev && image->inode == file->image->inode)
            return true;
    }
    return false;
}

/* The next one that the VM's own QEMU has open; those that it has merged are taken out. */
static void merge_open(SnapshotWork *work)
{
    GPtrArray *files = work->layers->files;
    guint n = files->len / 2;
    if (work->merged) {
        guint i;
        if (g_ptr_array_find(files, work->merged, &i)) {
            g_ptr_array_remove_index(files, n + i);
            g_ptr_array_remove_index(files, i);
        }
        work->merged = NULL;
        return work->cancelled ? fail_cancelled(work) : merge_open(work);
    }
    for (guint i = 0; i < n; i++)
        if (is_open(work, files->pdata[i])) {
            work->merged = files->pdata[i];
            return work_merge_live(work, files->pdata[i], files->pdata[n + i], merge_open);
        }
    merge_rest(work);
}

static bool is_over(const LayerFile *upper, const LayerFile *lower)
{
    const Image *backing = upper->image->backing;
    return backing && backing->dev == lower->image->dev && backing->inode == lower->image->inode;
}

/* The VM's disks come from it. */
static bool in_line(const SnapshotWork *work)
{
    const Snapshot *s = snapshot_find_id(work->tree, work->tree->current);
    while (s && s != work->snapshot)
        s = snapshot_find_id(work->tree, s->parent);
    return s != NULL;
}

/* What is over the two gets another name of what is behind it, for which QEMU 7.2 must be able to write to it: where it cannot it crashes. So
 * that must be the disk itself, or nothing. */
static bool is_near(const SnapshotWork *work)
{
    unsigned child_id;
    (void) snapshot_count_children(work->tree, work->snapshot, &child_id);
    return child_id == 0 || child_id == work->tree->current;
}

/* What the record says is believed of files that are over each other. QEMU closes and reopens descriptors only while the guest runs, or
 * is to go on. */
static bool can_merge_now(const SnapshotWork *work)
{
    const VM *vm = work->vm;
    GPtrArray *files = work->layers->files;
    guint n = files->len / 2;
    for (guint i = 0; i < n; i++) {
        bool lower = is_open(work, files->pdata[i]), upper = is_open(work, files->pdata[n + i]);
        /* Not where it has had another disk of this name since its start. */
        if (lower != upper || !is_over(files->pdata[n + i], files->pdata[i]))
            return false;
        if (lower && (!in_line(work) || !is_near(work) || vm->instance->hotplug || !(vm->state == VM_RUNNING || work->paused)))
            return false;
    }
    return true;
}

static bool check_others(SnapshotWork *work)
{
    const VM *own = work->vm->instance ? work->vm : NULL;
    Error *error = NULL;
    for (guint i = 0; i < work->layers->files->len; i++) {
        const LayerFile *file = work->layers->files->pdata[i];
        g_autofree char *holder = claim_holder(work->vm->manager, own, file->image->dev, file->image->inode);
        if (!holder)
            continue;
        error_set(&error, ERROR_IN_USE, file->open, NULL, "%s uses it", holder);
        work_fail(work, error);
        return false;
    }
    return true;
}

static void on_opened(SnapshotWork *work)
{
    if (!work_check_unused(work) || !check_others(work))
        return;
    if (can_merge_now(work))
        return merge_open(work);
    work->snapshot->passed_by = true;
    merge_next(work);
}

static void fresh_layers(SnapshotWork *work)
{
    layers_unref(work->layers);
    work->layers = layers_new(work->vm->owner);
}

/* Nobody is made from it. */
static void begin_removal(SnapshotWork *work, const Snapshot *snapshot)
{
    fresh_layers(work);
    for (guint i = 0; i < snapshot->layers->len; i++) {
        const Layer *layer = snapshot->layers->pdata[i];
        (void) layers_add(work->layers, layer->path, layer->frozen, layer->volume);
    }
    work_act(work, layer_remove, on_files_done);
}

/* What the child has over this layer; NULL where it has been over another file, or the disk was not the VM's by then. */
static const Layer *upper_layer(const Snapshot *child, const Layer *layer)
{
    const Layer *upper = child ? snapshot_find_layer(child, layer->section) : NULL;
    return upper && g_str_equal(upper->path, layer->path) ? upper : NULL;
}

static const char *upper_path(const Snapshot *child, const Layer *layer)
{
    const Layer *upper = upper_layer(child, layer);
    return upper ? upper->frozen : layer->path;
}

/* Whether a merge would change what others have in their headers: the format of what is behind them. */
static bool can_merge(const Snapshot *snapshot, const Snapshot *child)
{
    for (guint i = 0; i < snapshot->layers->len; i++) {
        const Layer *layer = snapshot->layers->pdata[i], *upper = upper_layer(child, layer);
        if (upper ? !g_str_equal(layer->format, upper->format) : access(layer->path, F_OK) < 0)
            return false;
    }
    return true;
}

static void add_pair(SnapshotWork *work, const Layer *layer, const Snapshot *child, GPtrArray *uppers)
{
    const char *path = upper_path(child, layer);
    /* A merge that was interrupted has settled this one already. */
    if (access(layer->frozen, F_OK) < 0) {
        if (work->vm->instance)
            work_claim_merged(work, layer, path);
        return;
    }
    LayerFile *file = layers_add(work->layers, path, layer->frozen, layer->volume);
    file->open = g_strdup(layer->frozen);
    file->format = g_strdup(layer->format);
    g_ptr_array_add(uppers, file);
}

static void begin_merge(SnapshotWork *work, Snapshot *snapshot, Snapshot *child)
{
    g_autoptr(GPtrArray) lowers = g_ptr_array_new();
    Error *error = NULL;
    fresh_layers(work);
    work->tree->act = SNAPSHOT_MERGE;
    work->tree->subject = snapshot->id;
    if (!snapshot_tree_write(work->tree, &error))
        return work_fail(work, error);
    for (guint i = 0; i < snapshot->layers->len; i++)
        add_pair(work, snapshot->layers->pdata[i], child, lowers);
    for (guint i = 0; i < lowers->len; i++) {
        const LayerFile *lower = lowers->pdata[i];
        LayerFile *upper = layers_add(work->layers, lower->path, lower->frozen, lower->volume);
        upper->open = g_strdup(lower->path);
        upper->format = g_strdup("qcow2");
    }
    work->layers->write = true;
    if (lowers->len == 0)
        on_files_done(work);
    else
        work_act(work, layer_open, on_opened);
}

/* A disk that the VM did not have at a snapshot stays as it is when that is gone back to, over what is no more in the line of those that
 * the other disks come from; and so what a snapshot's files are needed for is asked of the files. */
static void on_users(SnapshotWork *work)
{
    unsigned child_id;
    Snapshot *snapshot = work->snapshot;
    for (guint i = 0; i < work->layers->files->len; i++)
        snapshot->passed_by |= ((const LayerFile *) work->layers->files->pdata[i])->shared;
    if (snapshot->passed_by)
        return merge_next(work);
    if (snapshot_count_children(work->tree, snapshot, &child_id) == 0)
        begin_removal(work, snapshot);
    else
        begin_merge(work, snapshot, child_id > 0 ? snapshot_find_id(work->tree, child_id) : NULL);
}

static void begin_look(SnapshotWork *work, const Snapshot *snapshot, bool alone, const Snapshot *child)
{
    fresh_layers(work);
    for (guint i = 0; i < snapshot->layers->len; i++) {
        const Layer *layer = snapshot->layers->pdata[i];
        const char *upper = alone ? NULL : upper_path(child, layer);
        LayerFile *file = layers_add(work->layers, layer->path, layer->frozen, layer->volume);
        file->others = g_ptr_array_new_with_free_func(g_free);
        if (!upper || !g_str_equal(upper, layer->path))
            g_ptr_array_add(file->others, g_strdup(layer->path));
        for (guint j = 0; j < work->tree->all->len; j++) {
            const Snapshot *other = work->tree->all->pdata[j];
            for (guint k = 0; other != snapshot && k < other->layers->len; k++) {
                const Layer *one = other->layers->pdata[k];
                if (g_str_equal(one->path, layer->path) && (!upper || !g_str_equal(upper, one->frozen)))
                    g_ptr_array_add(file->others, g_strdup(one->frozen));
            }
        }
    }
    work_act(work, layer_find_users, on_users);
}

/* Where the last one was passed by. */
static bool forget_act(SnapshotWork *work)
{
    Error *error = NULL;
    work_go_on(work);
    if (work->tree->act != SNAPSHOT_MERGE || work->tree->all->len == 0)
        return true;
    work->tree->act = SNAPSHOT_NOTHING;
    if (snapshot_tree_write(work->tree, &error))
        return true;
    work_fail(work, error);
    return false;
}

static void merge_next(SnapshotWork *work)
{
    unsigned child_id, n;
    g_clear_pointer(&work->worker, worker_free);
    work->merged = NULL;
    if (work->cancelled)
        return fail_cancelled(work);
    for (guint i = 0; i < work->tree->all->len; i++) {
        Snapshot *snapshot = work->tree->all->pdata[i];
        if (!snapshot->hidden || snapshot->passed_by)
            continue;
        n = snapshot_count_children(work->tree, snapshot, &child_id);
        Snapshot *child = child_id > 0 ? snapshot_find_id(work->tree, child_id) : NULL;
        if (n > 1 || (n == 1 && !can_merge(snapshot, child)))
            continue;
        work->snapshot = snapshot;
        return begin_look(work, snapshot, n == 0, child);
    }
    if (!forget_act(work))
        return;
    work->snapshot = work->kept;
    work->on_end = NULL;
    work_next(work);
}

static void on_cancel(Job *job, void *userdata)
{
    SnapshotWork *work = userdata;
    work->cancelled = true;
    if (work->worker)
        script_cancel(worker_script(work->worker));
    else
        (void) work_cancel_merge(work);
}

void work_merge(SnapshotWork *work)
{
    work->undo = NULL;
    work->kept = work->snapshot;
    work->on_end = work_merge_ended;
    if (work->vm->instance)
        work_take_up_merge(work);
    /* Going back to one is not done before it is all done. */
    if (work->job->type == JOB_DELETE_SNAPSHOT)
        work->job->cancel = on_cancel;
    merge_next(work);
}

/* ---- */

static void step_hide(SnapshotWork *work)
{
    static const char *const suffixes[] = {"memory", "settings", "nvram"};
    Error *error = NULL;
    work->snapshot->hidden = true;
    if (!snapshot_write(work->tree, work->snapshot, &error))
        return work_fail(work, error);
    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++) {
        g_autofree char *path = snapshot_file(work->tree, work->snapshot, suffixes[i]);
        (void) unlink(path);
    }
    work->snapshot = NULL;
    work_next(work);
}

static const SnapshotStep steps[] = {step_hide, work_merge, NULL};

bool vm_snapshot_delete(VM *vm, const char *name, const char **ret_job_path, Error **ret_error)
{
    if (!vm_check_unworked(vm, ret_error) || (vm->instance && !vm_check_idle(vm, ret_error)))
        return false;
    if (vm->state == VM_SAVED)
        return error_set(ret_error, ERROR_BUSY, vm->name, "Start it first", "it is saved, and its disks must stay as they are");
    SnapshotTree *tree = vm_snapshots(vm, ret_error);
    Snapshot *snapshot = tree ? snapshot_find_or_error(tree, vm->name, name, ret_error) : NULL;
    if (!snapshot) {
        snapshot_tree_free(tree);
        return false;
    }
    SnapshotWork *work = work_new(vm, JOB_DELETE_SNAPSHOT, tree, steps);
    work->snapshot = snapshot;
    *ret_job_path = work->job->path;
    work_begin(work);
    return true;
}
