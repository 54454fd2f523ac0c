/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "work.h"

#include <string.h>
#include <unistd.h>

#include "claims.h"
#include "cleanup.h"
#include "name.h"
#include "plugs.h"

SnapshotWork *work_new(VM *vm, JobType type, SnapshotTree *tree, const SnapshotStep *steps)
{
    g_autofree char *path = vm_object_path(vm);
    SnapshotWork *work = g_new0(SnapshotWork, 1);
    work->vm = vm;
    work->tree = tree;
    work->next = steps;
    work->before = vm->state;
    work->memory_fd = work->nvram_fds[0] = work->nvram_fds[1] = -1;
    work->layers = layers_new(vm->owner);
    work->job = job_new(vm->manager->jobs, type, path, NULL, work);
    vm->snapshot_work = work;
    return work;
}

void snapshot_work_free(SnapshotWork *work)
{
    if (!work)
        return;
    sd_event_source_disable_unref(work->soon);
    task_abandon(work->task);
    worker_free(work->worker);
    script_free(work->live);
    live_merge_free(work->merge);
    vm_quiesce_end(work->quiesce);
    layers_unref(work->layers);
    snapshot_tree_free(work->tree);
    g_strfreev(work->nodes);
    json_decref(work->bitmaps);
    error_free(work->error);
    close_fd(&work->memory_fd);
    close_fd(&work->nvram_fds[0]);
    close_fd(&work->nvram_fds[1]);
    g_free(work->nvram_node);
    g_free(work->tpm);
    g_free(work);
}

void work_go_on(SnapshotWork *work)
{
    if (work->paused && work->vm->instance && work->vm->instance->qmp)
        (void) qmp_call(work->vm->instance->qmp, "cont", NULL, -1, 0, NULL, NULL);
    work->paused = false;
}

void work_finish(SnapshotWork *work, const Error *error)
{
    VM *vm = work->vm;
    Manager *manager = vm->manager;
    Job *job = work->job;
    g_autoptr(Error) copy = error_copy(error);
    vm->snapshot_work = NULL;
    usb_release(vm);
    snapshot_work_free(work);
    vm_count_snapshots(vm);
    vm_changed(vm, "Snapshots", NULL);
    job_finish(job, copy);
    vm_settle(vm);
    manager_check_idle(manager);
}

void work_fail(SnapshotWork *work, Error *error)
{
    if (work->undo)
        return work->undo(work, error);
    work_finish(work, error);
    error_free(error);
}

void work_next(SnapshotWork *work)
{
    if (*work->next)
        (*work->next++)(work);
    else
        work_finish(work, NULL);
}

static int on_begin(sd_event_source *source, void *userdata)
{
    work_next(userdata);
    return 0;
}

void work_begin(SnapshotWork *work)
{
    if (sd_event_add_defer(work->vm->manager->event, &work->soon, on_begin, work) < 0)
        work_next(work);
}

/* ---- threads ---- */

static void begin_half(SnapshotWork *work, bool volumes);

static void on_half(void *data, void *userdata)
{
    SnapshotWork *work = userdata;
    Layers *layers = data;
    bool volumes = work->layers->volumes;
    work->task = NULL;
    layers_unref(layers);
    if (work->ended)
        return snapshot_instance_ended(work);
    if (work->layers->error)
        return work_fail(work, g_steal_pointer(&work->layers->error));
    if (!volumes)
        begin_half(work, true);
    else
        work->tasked(work);
}

static bool has_half(const Layers *layers, bool volumes)
{
    for (guint i = 0; i < layers->files->len; i++)
        if (((const LayerFile *) layers->files->pdata[i])->volume == volumes)
            return true;
    return false;
}

static void begin_half(SnapshotWork *work, bool volumes)
{
    const TaskSpec spec = {.run = layers_run, .done = on_half, .free_data = layers_unref, .timeout_usec = UINT64_MAX};
    work->layers->volumes = volumes;
    if (!has_half(work->layers, volumes)) {
        if (!volumes)
            return begin_half(work, true);
        return work->tasked(work);
    }
    Layers *layers = layers_ref(work->layers);
    int r = task_new(work->vm->manager->event, &spec, layers, work, &work->task);
    if (r >= 0)
        return;
    Error *error = NULL;
    layers_unref(layers);
    error_set_errno(&error, r, work->vm->name, "no thread can be made for its disks");
    work_fail(work, error);
}

void work_act(SnapshotWork *work, void (*act)(Layers *layers, LayerFile *file, Error **ret_error), void (*done)(SnapshotWork *work))
{
    work->layers->act = act;
    work->tasked = done;
    begin_half(work, false);
}

/* Of a VM that runs it is that which has them, and nobody else could have started with them. */
bool work_check_unused(SnapshotWork *work)
{
    Error *error = NULL;
    for (guint i = 0; i < work->layers->files->len && !work->vm->instance; i++) {
        const LayerFile *file = work->layers->files->pdata[i];
        g_autofree char *holder = claim_holder(work->vm->manager, NULL, file->disk_dev, file->disk_inode);
        if (!holder)
            continue;
        error_set(&error, ERROR_IN_USE, file->path, NULL, "%s uses it", holder);
        work_fail(work, error);
        return false;
    }
    return true;
}

static void on_opened(SnapshotWork *work)
{
    if (work_check_unused(work))
        work_next(work);
}

void work_open(SnapshotWork *work)
{
    work_act(work, layer_open, on_opened);
}

void work_make(SnapshotWork *work)
{
    work_act(work, layer_make, work_next);
}

/* ---- overlays ---- */

static void on_overlays(Worker *worker, const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    g_clear_pointer(&work->worker, worker_free);
    if (error)
        work_fail(work, error_copy(error));
    else
        work_next(work);
}

static void add_bitmaps(Script *script, const json_t *disk, unsigned i)
{
    g_autofree char *file = g_strdup_printf("overlay%u", i), *over = g_strdup_printf("over%u", i);
    json_t *bitmaps = bitmaps_of(disk), *actions = json_array();
    bitmaps_copy(actions, bitmaps, json_string_value(json_object_get(disk, "node-name")), over);
    json_decref(bitmaps);
    if (json_array_size(actions) == 0)
        return json_decref(actions);
    script_add_call(script, "blockdev-add", json_pack("{ss ss ss sn}", "driver", "qcow2", "node-name", over, "file", file, "backing"));
    script_add_actions(script, actions);
    script_add_call(script, "blockdev-del", json_pack("{ss}", "node-name", over));
}

static bool on_overlay_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    SnapshotWork *work = userdata;
    for (guint i = 0; i < work->layers->files->len; i++) {
        g_autofree char *name = g_strdup_printf("disk%u", i), *node = blockdev_node_name(name, 0);
        const json_t *disk = blockdev_find_node(result, node);
        if (disk)
            add_bitmaps(worker_script(work->worker), disk, i);
    }
    return true;
}

/* Of a VM that runs its QEMU does it (create.c). */
static void keep_bitmaps(SnapshotWork *work)
{
    bool any = false;
    for (guint i = 0; work->keeps_bitmaps && !work->vm->instance && i < work->layers->files->len; i++) {
        const LayerFile *file = work->layers->files->pdata[i];
        g_autofree char *name = g_strdup_printf("disk%u", i);
        if (file->image->format != IMAGE_QCOW2)
            continue;
        worker_add_image(work->worker, file->image, name);
        any = true;
    }
    if (any)
        script_add_question(worker_script(work->worker), "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_overlay_nodes, work);
}

/* Each is over the file's frozen name, in the same folder: what has that name when the work is done is what it was made for. */
static void add_overlay(Worker *worker, const LayerFile *file, unsigned i)
{
    const int fds[] = {file->fd, file->read_fd};
    g_autofree char *node = g_strdup_printf("overlay%u", i), *backing = g_path_get_basename(file->frozen);
    g_autofree char *filename = g_strdup_printf("/dev/fdset/%u", worker_add_fds(worker, fds, G_N_ELEMENTS(fds)));
    Script *script = worker_script(worker);
    script_add_call(script, "blockdev-add", json_pack("{ss ss ss s{sb}}", "driver", "file", "node-name", node, "filename", filename, "cache", "direct", file->direct));
    json_t *options = json_pack("{ss ss sI ss ss}", "driver", "qcow2", "file", node, "size", (json_int_t) file->image->size, "backing-file",
        backing, "backing-fmt", image_format_to_string(file->image->format));
    script_add_job(script, "blockdev-create", json_pack("{so}", "options", options));
}

void work_overlays(SnapshotWork *work)
{
    Manager *manager = work->vm->manager;
    Error *error = NULL;
    g_autofree char *binary = qemu_default_binary(&error), *unit = worker_unit();
    work->worker = worker_new(manager->event, manager->scopes, manager->user);
    for (guint i = 0; i < work->layers->files->len; i++)
        add_overlay(work->worker, work->layers->files->pdata[i], i);
    keep_bitmaps(work);
    if (!binary || !worker_start(work->worker, binary, unit, on_overlays, NULL, work, &error))
        work_fail(work, error);
}

/* Beyond those that a machine starts with. */
#define SET_BASE 10000U

unsigned work_overlay_set(const SnapshotWork *work, unsigned i)
{
    return SET_BASE + (work->snapshot->id % 1000) * (SNAPSHOT_DISKS_MAX + 1) + i;
}

char *work_script_id(const SnapshotWork *work)
{
    return g_strdup_printf("vmd-snapshot-%u", work->snapshot->id);
}

char *work_made_name(const SnapshotWork *work, const char *path)
{
    g_autofree char *base = g_path_get_basename(path);
    /* Not what a pool that starts takes for left over. */
    return g_strdup_printf(".%s%s~", base, work->vm->manager->part_suffix);
}

char *work_overlay_name(const Snapshot *snapshot, const Layer *layer)
{
    g_autofree char *stem = machine_disk_stem(layer->section + strlen("Disk "));
    return g_strdup_printf("%s-s%u", stem, snapshot->id);
}

char *work_overlay_node(const Snapshot *snapshot, const Layer *layer)
{
    g_autofree char *name = work_overlay_name(snapshot, layer);
    return blockdev_node_name(name, 0);
}

/* From now on two VMs would share the frozen file, not write it. */
void work_claim_overlays(SnapshotWork *work)
{
    GArray *images = work->vm->instance->images;
    for (guint i = 0; i < work->layers->files->len; i++) {
        const LayerFile *file = work->layers->files->pdata[i];
        for (guint j = 0; j < images->len; j++) {
            ImageIdentity *image = &g_array_index(images, ImageIdentity, j);
            /* One that was recovered has not opened what it froze: it is all that the disk had. */
            if (file->image && image->dev == file->image->dev && image->inode == file->image->inode)
                image->read_only = true;
        }
        ImageIdentity overlay = {.dev = file->dev, .inode = file->inode};
        const Layer *layer = work->snapshot->layers->pdata[i];
        (void) g_strlcpy(overlay.disk, layer->section + strlen("Disk "), sizeof overlay.disk);
        g_array_append_val(images, overlay);
    }
    (void) instance_write_record(work->vm->instance, NULL);
}

/* ---- disks ---- */

bool work_add_disks(SnapshotWork *work, const Settings *settings, Error **ret_error)
{
    VM *vm = work->vm;
    g_autofree const char **sections = settings_sections(settings, "Disk");
    for (size_t i = 0; sections && sections[i]; i++) {
        const char *cache = settings_get_string(settings, sections[i], "Cache"), *source = settings_get_string(settings, sections[i], "Source");
        bool volume;
        if (!machine_disk_is_written(settings, sections[i]))
            continue;
        g_autofree char *path = manager_find_source(vm->manager, source, &volume, ret_error);
        if (!path)
            return false;
        bool overlay = vm_disk_is_overlay(work->tree, path);
        const char *format = overlay ? "qcow2" : settings_get_string(settings, sections[i], "Format");
        const Layer *layer = snapshot_add_layer(work->snapshot, sections[i], path, format ?: g_str_has_suffix(path, ".qcow2") ? "qcow2" : "raw", volume);
        LayerFile *file = layers_add(work->layers, path, layer->frozen, volume);
        file->open = g_strdup(path);
        file->format = g_strdup(layer->format);
        file->made = work_made_name(work, layer->frozen);
        file->direct = !cache || g_str_equal(cache, "none");
    }
    return work->layers->files->len > 0 ||
        error_set(ret_error, ERROR_UNSUPPORTED, vm->name, NULL, "it has no disk that it writes to, so there is nothing to be kept");
}

/* ---- what others ask ---- */

void vm_count_snapshots(VM *vm)
{
    g_autofree char *dir = g_build_filename(vm->manager->dirs->state, "snapshots", vm->name, NULL);
    vm->snapshots = 0;
    vm->snapshots_there = access(dir, F_OK) == 0;
    if (!vm->snapshots_there)
        return;
    g_autoptr(SnapshotTree) tree = snapshot_tree_load(dir, NULL);
    for (guint i = 0; tree && i < tree->all->len; i++)
        vm->snapshots += !((const Snapshot *) tree->all->pdata[i])->hidden;
}

bool vm_check_unsnapped(const VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    return vm->snapshots == 0 || error_set(ret_error, ERROR_IN_USE, thing, "Delete them first, with 'vmctl snapshot delete'", "it has %u snapshot%s",
        vm->snapshots, vm->snapshots > 1 ? "s" : "");
}

bool vm_forget_snapshots(VM *vm, Error **ret_error)
{
    g_autofree char *dir = g_build_filename(vm->manager->dirs->state, "snapshots", vm->name, NULL);
    if (!vm_check_unsnapped(vm, ret_error))
        return false;
    dirs_remove(dir);
    return true;
}

SnapshotTree *vm_snapshots(const VM *vm, Error **ret_error)
{
    g_autofree char *dir = g_build_filename(vm->manager->dirs->state, "snapshots", vm->name, NULL);
    return snapshot_tree_load(dir, ret_error);
}

/* Whichever of them: the name of what was frozen is an overlay's from then on, also where the snapshot is none of those that the other disks
 * come from. */
bool vm_disk_is_overlay(const SnapshotTree *tree, const char *path)
{
    for (guint i = 0; i < tree->all->len; i++) {
        const Snapshot *snapshot = tree->all->pdata[i];
        for (guint j = 0; j < snapshot->layers->len; j++)
            if (g_str_equal(((const Layer *) snapshot->layers->pdata[j])->path, path))
                return true;
    }
    return false;
}

bool snapshot_event(SnapshotWork *work, const char *name, const json_t *data)
{
    return (work->live && script_event(work->live, name, data)) || (work->event && work->event(work, name, data));
}

bool snapshot_may_end(const SnapshotWork *work)
{
    return work->job->type == JOB_DELETE_SNAPSHOT;
}

void snapshot_instance_ending(SnapshotWork *work)
{
    g_clear_pointer(&work->live, script_free);
    vm_quiesce_end(g_steal_pointer(&work->quiesce));
}

void snapshot_instance_ended(SnapshotWork *work)
{
    Error *error = NULL;
    /* It is about to end it anyway. */
    if (work->job->type == JOB_REVERT_SNAPSHOT && !work->on_end)
        return;
    /* Two threads at the same files would undo each other's. */
    work->ended = work->task != NULL;
    if (work->ended)
        return;
    if (work->on_end)
        return work->on_end(work);
    error_set(&error, ERROR_NOT_RUNNING, work->vm->name, NULL, "the VM has ended meanwhile");
    work_fail(work, error);
}
