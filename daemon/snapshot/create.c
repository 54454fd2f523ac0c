/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A snapshot is made, step by step:
 *
 *     open      the disks as they are                              in a thread
 *     begin     the record says what is to be, so that it can be undone
 *     make      an empty file beside each                          in a thread
 *     keep      a copy of the NVRAM, or a file for one             in a thread
 *     overlays  each becomes a qcow2 image, over the disk          a Worker
 *     nodes     which block node is each disk's                    of a VM that runs
 *     record    which files those are
 *     pause     of a VM whose memory is kept
 *     exchange  the two files' names: from here on the disk's name is the overlay's
 *     add       the overlays to what QEMU has open
 *     quiesce   the guest's file systems are frozen; thawed when QEMU has answered to the next step
 *     hold      of a VM with a TPM: it stands still for a moment
 *     freeze    QEMU writes into the overlays, from one moment on for all disks, and copies what the NVRAM held then
 *     read TPM  what it remembers
 *     memory    is written to a file
 *     go on     the guest does
 *     write TPM what was read
 *     sync      the memory is on disk                              in a thread
 *     commit    the record says that it is done
 *
 * What fails before QEMU writes into the overlays is undone. What fails after that leaves a snapshot that nobody sees, to be merged. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "guest.h"
#include "name.h"
#include "plugs.h"
#include "redirections.h"
#include "sync.h"
#include "tpm.h"
#include "work.h"

#define QMP_USEC (30 * G_USEC_PER_SEC)
#define SETTLE_USEC (5 * 1000)
#define FD_NAME "vmd-snapshot"

/* ---- failure ---- */

static void undone(SnapshotWork *work)
{
    Error *error = g_steal_pointer(&work->error);
    snapshot_remove(work->tree, work->snapshot);
    work->tree->act = SNAPSHOT_NOTHING;
    if (work->tree->all->len > 0)
        (void) snapshot_tree_write(work->tree, NULL);
    work_finish(work, error);
    error_free(error);
}

/* As soon as its memory is written; that it is on disk is for the record. */
static void step_go_on(SnapshotWork *work)
{
    work_go_on(work);
    work_next(work);
}

/* It is there, but not what was wanted. */
static void hide(SnapshotWork *work, Error *error)
{
    g_autofree char *memory = snapshot_file(work->tree, work->snapshot, "memory"), *nvram = snapshot_file(work->tree, work->snapshot, "nvram");
    g_autoptr(Error) failed = NULL;
    (void) unlink(memory);
    (void) unlink(nvram);
    work_nvram_remove_nodes(work);
    if (!snapshot_hide_prepared(work->tree, work->snapshot, &failed)) {
        g_autofree char *message = error_message(failed);
        g_warning("VM %s: snapshot \"%s\" is not whole: %s", work->vm->name, work->snapshot->name, message);
    }
    work_finish(work, error);
    error_free(error);
}

/* So that the next one can have these names. */
static void remove_nodes(SnapshotWork *work)
{
    Qmp *qmp = work->noded && work->vm->instance ? work->vm->instance->qmp : NULL;
    work->noded = false;
    if (qmp)
        work_nvram_remove_nodes(work);
    for (guint i = 0; qmp && i < work->layers->files->len; i++) {
        g_autofree char *name = work_overlay_name(work->snapshot, work->snapshot->layers->pdata[i]);
        g_autofree char *node = blockdev_node_name(name, 0), *file = blockdev_file_name(name, 0);
        (void) qmp_call(qmp, "blockdev-del", json_pack("{ss}", "node-name", node), -1, 0, NULL, NULL);
        (void) qmp_call(qmp, "blockdev-del", json_pack("{ss}", "node-name", file), -1, 0, NULL, NULL);
        (void) qmp_call(qmp, "remove-fd", json_pack("{si}", "fdset-id", (int) work_overlay_set(work, i)), -1, 0, NULL, NULL);
    }
}

static void undo(SnapshotWork *work, Error *error)
{
    vm_quiesce_end(g_steal_pointer(&work->quiesce));
    work_go_on(work);
    work->undo = NULL;
    if (work->frozen)
        return hide(work, error);
    remove_nodes(work);
    if (work->error) { /* what is undone cannot be undone */
        error_free(error);
        return undone(work);
    }
    work->error = error;
    work->undo = undo;
    work_act(work, layer_undo, undone);
}

static void step_failed(SnapshotWork *work, int r, const char *cause)
{
    Error *error = NULL;
    error_set_errno(&error, r, work->vm->name, "%s", cause);
    work_fail(work, error);
}

/* ---- steps ---- */

static void on_nodes(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    SnapshotWork *work = userdata;
    GPtrArray *layers = work->snapshot->layers;
    Error *error = NULL;
    if (failed)
        return work_fail(work, error_copy(failed));
    work->nodes = g_new0(char *, layers->len + 1);
    work->bitmaps = json_array();
    for (guint i = 0; i < layers->len; i++) {
        const Layer *layer = layers->pdata[i];
        const json_t *inserted = machine_disk_find_inserted(result, layer->section + strlen("Disk "));
        work->nodes[i] = g_strdup(json_string_value(json_object_get(inserted, "node-name")));
        json_array_append_new(work->bitmaps, inserted ? bitmaps_of(inserted) : json_null());
    }
    if (work->snapshot->nvram)
        work->nvram_node = g_strdup(machine_disk_find_node(result, NVRAM_DISK));
    if (work->snapshot->nvram && !work->nvram_node) {
        error_set(&error, ERROR_QEMU_FAILED, work->vm->name, NULL, "its QEMU does not tell of its NVRAM");
        return work_fail(work, error);
    }
    for (guint j = 0; j < layers->len; j++)
        if (!work->nodes[j]) {
            const Layer *layer = layers->pdata[j];
            error_set(&error, ERROR_NO_SUCH_DEVICE, layer->section, "Restart the VM, which has other disks than its settings", "its QEMU has no such disk");
            return work_fail(work, error);
        }
    work_next(work);
}

static void step_nodes(SnapshotWork *work)
{
    int r = qmp_call(work->vm->instance->qmp, "query-block", NULL, -1, QMP_USEC, on_nodes, work);
    if (r < 0)
        step_failed(work, r, "QEMU cannot be asked");
}

static bool copy_settings(SnapshotWork *work, Error **ret_error)
{
    g_autofree char *from = instance_settings_path(work->vm->instance), *to = snapshot_file(work->tree, work->snapshot, "settings");
    g_autofree char *text = settings_read_text(from, ret_error);
    int r = text ? settings_write(to, text, 0600, false) : 0;
    return text && (r >= 0 || error_set_errno(ret_error, r, to, "it cannot be written"));
}

static bool write_record(SnapshotWork *work, Error **ret_error)
{
    return snapshot_tree_write(work->tree, ret_error) && snapshot_write(work->tree, work->snapshot, ret_error);
}

/* What is made from here on is known to the next vmd. */
static void step_begin(SnapshotWork *work)
{
    Error *error = NULL;
    work->snapshot->resumes = work->before == VM_RUNNING && (work->snapshot->memory || work->has_tpm);
    work->tree->act = SNAPSHOT_CREATE;
    work->tree->subject = work->snapshot->id;
    if (!write_record(work, &error))
        return work_fail(work, error);
    work_next(work);
}

static void step_record(SnapshotWork *work)
{
    Error *error = NULL;
    for (guint i = 0; i < work->layers->files->len; i++) {
        Layer *layer = work->snapshot->layers->pdata[i];
        const LayerFile *file = work->layers->files->pdata[i];
        layer->dev = file->dev;
        layer->inode = file->inode;
        g_free(layer->format);
        layer->format = g_strdup(image_format_to_string(file->image->format));
    }
    if (!write_record(work, &error) || (work->snapshot->memory && !copy_settings(work, &error)) ||
        !snapshot_prepare_hidden(work->tree, work->snapshot, &error))
        return work_fail(work, error);
    work_next(work);
}

static void step_exchange(SnapshotWork *work)
{
    work_act(work, layer_exchange, work_next);
}

static void on_answer(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    if (error)
        work_fail(work, error_copy(error));
    else
        work_next(work);
}

static void step_pause(SnapshotWork *work)
{
    work->paused = work->before == VM_RUNNING;
    int r = qmp_call(work->vm->instance->qmp, "stop", NULL, -1, QMP_USEC, on_answer, work);
    if (r < 0)
        step_failed(work, r, "QEMU cannot be asked");
}

/* So that no change to its TPM is on one side of the moment, and what it writes to disk then on the other. */
static void step_hold(SnapshotWork *work)
{
    if (work->has_tpm)
        step_pause(work);
    else
        work_next(work);
}

static void step_read_tpm(SnapshotWork *work)
{
    Error *error = NULL;
    work->tpm = tpm_state_read(work->vm, &error);
    if (!work->tpm)
        return work_fail(work, error);
    work->snapshot->tpm = *work->tpm;
    work_next(work);
}

static void step_write_tpm(SnapshotWork *work)
{
    g_autofree char *path = snapshot_file(work->tree, work->snapshot, "tpm");
    int r = *work->tpm ? settings_write(path, work->tpm, 0600, false) : 0;
    if (r < 0)
        return step_failed(work, r, "what its TPM remembers cannot be written");
    work_next(work);
}

static void add_overlay_nodes(SnapshotWork *work, unsigned i, const char *name)
{
    LayerFile *file = work->layers->files->pdata[i];
    const Layer *layer = work->snapshot->layers->pdata[i];
    g_autofree char *running = instance_settings_path(work->vm->instance);
    g_autoptr(Settings) settings = settings_load(&vm_schema, running, NULL);
    const char *cache = settings ? settings_get_string(settings, layer->section, "Cache") : NULL;
    const Image overlay = {.format = IMAGE_QCOW2, .direct = file->direct};
    const BlockdevOptions options = {
        .io_uring = work->vm->manager->io_uring,
        .discard = !settings || settings_get_bool(settings, layer->section, "Discard"),
        .no_flush = cache && g_str_equal(cache, "unsafe"),
    };
    const int fds[] = {file->fd, file->read_fd};
    unsigned set = work_overlay_set(work, i);
    script_add_fds(work->live, set, fds, G_N_ELEMENTS(fds));
    script_add_call(work->live, "blockdev-add", blockdev_file(&overlay, name, 0, set, &options));
    script_add_call(work->live, "blockdev-add", blockdev_format(&overlay, name, 0, &options));
}

static Script *new_script(const SnapshotWork *work)
{
    g_autofree char *id = work_script_id(work);
    return script_new(work->vm->manager->event, id);
}

static void on_added(const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    g_clear_pointer(&work->live, script_free);
    if (error)
        work_fail(work, error_copy(error));
    else
        work_next(work);
}

static void step_add(SnapshotWork *work)
{
    work->live = new_script(work);
    work->noded = true;
    /* Of one of this number that was merged by a vmd that was killed then. */
    remove_nodes(work);
    work->noded = true;
    for (guint i = 0; i < work->layers->files->len; i++) {
        g_autofree char *name = work_overlay_name(work->snapshot, work->snapshot->layers->pdata[i]);
        add_overlay_nodes(work, i, name);
    }
    work_nvram_add_nodes(work);
    script_run(work->live, work->vm->instance->qmp, on_added, NULL, work);
}

static void on_quiesced(bool frozen, const Error *why_not, void *userdata)
{
    SnapshotWork *work = userdata;
    if (!frozen && work->wish == QUIESCE_YES)
        return work_fail(work, error_copy(why_not));
    work->snapshot->quiesced = frozen;
    work->snapshot->unquiesced = frozen ? NULL : error_message(why_not);
    if (!frozen)
        g_message("VM %s: snapshot \"%s\" is made without freezing the guest's file systems: %s", work->vm->name, work->snapshot->name,
            work->snapshot->unquiesced);
    work_next(work);
}

static void step_quiesce(SnapshotWork *work)
{
    if (work->wish == QUIESCE_NO)
        return work_next(work);
    work->quiesce = vm_quiesce_begin(work->vm, on_quiesced, work);
}

static void on_frozen(const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    g_clear_pointer(&work->live, script_free);
    vm_quiesce_end(g_steal_pointer(&work->quiesce));
    if (error)
        return work_fail(work, error_copy(error));
    work_next(work);
}

/* There is no way back any more. */
static bool on_moment(const json_t *result, void *userdata, Error **ret_error)
{
    SnapshotWork *work = userdata;
    work->frozen = true;
    vm_quiesce_end(g_steal_pointer(&work->quiesce));
    work_claim_overlays(work);
    return true;
}

static void step_freeze(SnapshotWork *work)
{
    json_t *actions = json_array();
    work->live = new_script(work);
    for (guint i = 0; i < work->layers->files->len; i++) {
        g_autofree char *node = work_overlay_node(work->snapshot, work->snapshot->layers->pdata[i]);
        json_array_append_new(actions, json_pack("{ss s{ss ss}}", "type", "blockdev-snapshot", "data", "node", work->nodes[i], "overlay", node));
        bitmaps_copy(actions, json_array_get(work->bitmaps, i), work->nodes[i], node);
    }
    work_nvram_add_freeze(work, actions, on_moment);
    script_run(work->live, work->vm->instance->qmp, on_frozen, NULL, work);
}

static void on_memory_step(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    if (error)
        work_fail(userdata, error_copy(error));
}

static void step_memory(SnapshotWork *work)
{
    Qmp *qmp = work->vm->instance->qmp;
    g_autofree char *path = snapshot_file(work->tree, work->snapshot, "memory");
    work->memory_fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (work->memory_fd < 0)
        return step_failed(work, errno, "the memory cannot be written");
    usb_hold(work->vm->instance);
    redirections_end(work->vm->instance);
    int r = qmp_call(qmp, "migrate-set-capabilities", json_pack("{s[{ss sb}]}", "capabilities", "capability", "events", "state", 1), -1, 0, on_memory_step, work);
    if (r >= 0)
        r = qmp_call(qmp, "migrate-set-parameters", json_pack("{sI}", "max-bandwidth", (json_int_t) 1 << 40), -1, 0, on_memory_step, work);
    if (r >= 0)
        r = qmp_call(qmp, "getfd", json_pack("{ss}", "fdname", FD_NAME), work->memory_fd, 0, on_memory_step, work);
    if (r >= 0)
        r = qmp_call(qmp, "migrate", json_pack("{ss}", "uri", "fd:" FD_NAME), -1, 0, on_memory_step, work);
    if (r < 0)
        step_failed(work, r, "QEMU cannot be asked");
}

static bool on_memory_event(SnapshotWork *work, const json_t *data)
{
    const char *status = json_string_value(json_object_get(data, "status"));
    Error *error = NULL;
    if (work->memory_fd < 0 || !status)
        return false;
    if (g_str_equal(status, "completed"))
        work_next(work);
    else if (g_str_equal(status, "failed") || g_str_equal(status, "cancelled")) {
        sync_explain(work->memory_fd, work->vm->name, "its memory", status, &error);
        work_fail(work, error);
    }
    return true;
}

static bool on_event(SnapshotWork *work, const char *name, const json_t *data)
{
    if (g_str_equal(name, "MIGRATION"))
        return on_memory_event(work, data);
    return (work->snapshot->memory || work->has_tpm) && (g_str_equal(name, "STOP") || g_str_equal(name, "RESUME"));
}

static void step_settle(SnapshotWork *work);

static int on_settle(sd_event_source *source, uint64_t usec, void *userdata)
{
    step_settle(userdata);
    return 0;
}

/* QEMU says that all is written a moment before it is done with it, and a "cont" in that moment is lost. */
static void on_status(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    const char *status = json_string_value(json_object_get(result, "status"));
    if (error)
        return work_fail(work, error_copy(error));
    if (!status || !g_str_equal(status, "finish-migrate"))
        return work_next(work);
    work->soon = sd_event_source_disable_unref(work->soon);
    (void) sd_event_add_time_relative(work->vm->manager->event, &work->soon, CLOCK_MONOTONIC, SETTLE_USEC, 1, on_settle, work);
}

static void step_settle(SnapshotWork *work)
{
    int r = qmp_call(work->vm->instance->qmp, "query-status", NULL, -1, QMP_USEC, on_status, work);
    if (r < 0)
        step_failed(work, r, "QEMU cannot be asked");
}

static void on_synced(int r, void *userdata)
{
    SnapshotWork *work = userdata;
    work->task = NULL;
    if (r < 0)
        step_failed(work, r, "the memory cannot be written to disk");
    else
        work_next(work);
}

static void step_sync(SnapshotWork *work)
{
    int r = sync_begin(work->vm->manager->event, work->memory_fd, on_synced, work, &work->task);
    if (r < 0)
        step_failed(work, r, "no thread can be made to write its memory to disk");
}

static void step_commit(SnapshotWork *work)
{
    Error *error = NULL;
    work->tree->current = work->snapshot->id;
    work->tree->act = SNAPSHOT_NOTHING;
    work->snapshot->resumes = false;
    if (!write_record(work, &error))
        return work_fail(work, error);
    snapshot_forget_prepared(work->tree, work->snapshot);
    work_next(work);
}

static const SnapshotStep of_files[] = {work_open, step_begin, work_make, work_nvram_keep, work_overlays, step_read_tpm, step_write_tpm, step_record, step_exchange,
    step_commit, NULL};
static const SnapshotStep of_disks[] = {work_open, step_begin, work_make, work_nvram_keep, work_overlays, step_nodes, step_record, step_exchange, step_add, step_quiesce,
    step_hold, step_freeze, step_read_tpm, step_go_on, step_write_tpm, work_nvram_sync, step_commit, NULL};
static const SnapshotStep of_memory[] = {work_open, step_begin, work_make, work_nvram_keep, work_overlays, step_nodes, step_record, step_pause, step_exchange, step_add, step_freeze,
    step_memory, step_settle, step_read_tpm, step_go_on, step_write_tpm, step_sync, work_nvram_sync, step_commit, NULL};

/* ---- */

static bool check(VM *vm, const SnapshotWish *wish, const SnapshotTree *tree, Error **ret_error)
{
    g_autofree char *thing = g_strdup_printf("Snapshot \"%s\"", wish->name);
    if (snapshot_find(tree, wish->name))
        return error_set(ret_error, ERROR_EXISTS, thing, "Choose another name, or delete it first", "there is one of this name");
    if (vm->transient)
        return error_set(ret_error, ERROR_UNSUPPORTED, vm->name, "Define it with 'vmctl create'", "a VM that is forgotten when it ends has no snapshots");
    if (vm->state == VM_SAVED)
        return error_set(ret_error, ERROR_BUSY, vm->name, "Start it first", "it is saved, and its disks must stay as they are");
    if (wish->memory && !vm->instance)
        return error_set(ret_error, ERROR_NOT_RUNNING, vm->name, NULL, "it does not run, so it has no memory to be kept");
    if (wish->memory && !vm_check_memory(vm, ret_error))
        return false;
    if (wish->quiesce != QUIESCE_YES || !vm->instance)
        return true; /* the file systems of one that does not run are as it left them */
    if (wish->memory)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "quiesce", "Leave the memory out", "with its memory a guest goes on where it was, so nothing is frozen");
    return guest_agent(vm->instance->guest) ||
        error_set(ret_error, ERROR_UNSUPPORTED, vm->name, "Install and start qemu-guest-agent in it", "no guest agent runs in it that could freeze its file systems");
}

bool vm_snapshot_create(VM *vm, const SnapshotWish *wish, const char **ret_job_path, Error **ret_error)
{
    if (!vm_check_unworked(vm, ret_error) || (vm->instance && !vm_check_idle(vm, ret_error)))
        return false;
    g_autoptr(SnapshotTree) tree = vm_snapshots(vm, ret_error);
    g_autoptr(Settings) settings = tree && check(vm, wish, tree, ret_error) ? vm_load_current_settings(vm, ret_error) : NULL;
    if (!settings)
        return false;
    const SnapshotStep *steps = !vm->instance ? of_files : wish->memory ? of_memory : of_disks;
    SnapshotWork *work = work_new(vm, JOB_CREATE_SNAPSHOT, tree, steps);
    work->snapshot = snapshot_add(tree, wish->name);
    work->snapshot->description = g_strdup(wish->description);
    work->snapshot->memory = wish->memory;
    work->wish = wish->quiesce;
    work->keeps_bitmaps = true;
    work->snapshot->tpm = work->has_tpm = vm->instance && machine_tpm(settings) != MACHINE_TPM_NONE;
    work->snapshot->machine = wish->memory ? g_strdup(vm->instance->machine) : NULL;
    g_steal_pointer(&tree);
    Error *error = NULL;
    if (!work_add_disks(work, settings, &error)) {
        error_propagate(ret_error, error_copy(error));
        work_finish(work, error);
        error_free(error);
        return false;
    }
    work_nvram_find(work, settings);
    work->undo = undo;
    work->event = on_event;
    *ret_job_path = work->job->path;
    work_begin(work);
    return true;
}
