/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A layer of a deleted snapshot is merged by the QEMU that has it open, step by step:
 *
 *     graph     which block nodes they are; the record says so
 *     reopen    the lower one, for writing: by new descriptors in its set
 *     commit    what the upper one holds is written into it
 *     pause     where the upper one is what the guest writes to: from here on the two hold the same
 *     complete  the upper one is left out
 *     write     where the lower one is read only from now on, all that QEMU has in memory of it is on the disk
 *     settle    the lower one takes its name                                  in a thread
 *     go on     the guest does
 *     clean     QEMU closes the upper one
 *
 * Up to the last moment the upper one over the lower one is the whole disk, and the guest does not run between that moment and the
 * one in which the name leads to the right file. So whatever is killed, the file that has the disk's name holds all that the guest
 * has been told is written. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "merge-record.h"
#include "work.h"

#define JOB_ID "vmd-merge"
#define QMP_USEC (30 * G_USEC_PER_SEC)
#define AGAIN_USEC (20 * 1000)
/* How long after its monitor the rest of a QEMU may last. */
#define END_USEC (10 * G_USEC_PER_SEC)
#define AGAIN_MAX 500U
#define FDS_MAX 64U /* of a set; it has two, or four after a merge that failed */

typedef struct LiveMerge {
    LayerFile *lower, *upper;
    Layer *layer;
    void (*done)(SnapshotWork *work);
    MergeRecord record;
    char *root;      /* what the device is on */
    char *below;     /* what the lower one is over; NULL: nothing */
    char *base_file; /* the lower one's file */
    bool direct, no_flush, base_read_only;
    bool threads;    /* the lower one does not use io_uring, which QEMU does not tell (blockdev.c) */
    unsigned set;    /* of the lower one's descriptors */
    bool pivoted;    /* it is done, and the name is still to be put right */
    bool completing; /* and there is no way back */
    unsigned again;
    json_t *lower_node; /* what QEMU says of it */
    json_t *bitmaps;    /* that it gets then (bitmaps.h) */
    Error *late;        /* QEMU can be asked no more: why it fails, unless the VM has ended */
} LiveMerge;

void live_merge_free(LiveMerge *merge)
{
    if (!merge)
        return;
    merge_record_clear(&merge->record);
    g_free(merge->root);
    g_free(merge->below);
    g_free(merge->base_file);
    json_decref(merge->lower_node);
    json_decref(merge->bitmaps);
    error_free(merge->late);
    g_free(merge);
}

static bool is_active(const SnapshotWork *work)
{
    return g_str_equal(work->merge->lower->path, work->merge->layer->path);
}

/* ---- what the instance has open ---- */

static ImageIdentity *find_image(const SnapshotWork *work, uint64_t dev, uint64_t inode)
{
    GArray *images = work->vm->instance->images;
    for (guint i = 0; i < images->len; i++) {
        ImageIdentity *one = &g_array_index(images, ImageIdentity, i);
        if (one->dev == dev && one->inode == inode)
            return one;
    }
    return NULL;
}

static void claim(SnapshotWork *work, const Layer *layer, uint64_t dev, uint64_t inode, bool writes)
{
    ImageIdentity *image = find_image(work, dev, inode);
    if (image)
        image->read_only = !writes;
    if (image && writes)
        (void) g_strlcpy(image->disk, layer->section + strlen("Disk "), sizeof image->disk);
    (void) instance_write_record(work->vm->instance, NULL);
}

static void claim_lower(SnapshotWork *work, bool writes)
{
    const Image *image = work->merge->lower->image;
    claim(work, work->merge->layer, image->dev, image->inode, writes);
}

static void release_upper(SnapshotWork *work, const MergeRecord *record)
{
    const ImageIdentity *upper = find_image(work, record->top_dev, record->top_inode);
    GArray *images = work->vm->instance->images;
    if (upper)
        g_array_remove_index(images, (guint) (upper - &g_array_index(images, ImageIdentity, 0)));
}

void work_claim_merged(SnapshotWork *work, const Layer *layer, const char *path)
{
    g_auto(MergeRecord) record;
    struct stat st;
    merge_record_read(work->vm, &record);
    if (record.snapshot != work->snapshot->id || !g_str_equal(record.section, layer->section))
        return;
    release_upper(work, &record);
    if (stat(path, &st) == 0)
        claim(work, layer, st.st_dev, st.st_ino, g_str_equal(path, layer->path));
    merge_record_forget(work->vm);
}

/* ---- failure ---- */

/* It stays hidden, to be merged another time. */
static void undo(SnapshotWork *work, Error *error)
{
    bool unknown = work->merge->completing && work->vm->instance && !work->vm->instance->monitor_ready;
    work->undo = NULL;
    if (work->vm->instance && work->merge->pivoted) {
        /* The record stays as it is: the next one tries again to put the name right, and then the guest goes on. */
        g_autofree char *message = error_message(error);
        vm_set_state(work->vm, VM_PAUSED, REASON_IO_ERROR, message);
    } else if (work->vm->instance && !unknown) { /* else the next vmd asks its QEMU */
        work_go_on(work);
        if (work->merge->layer)
            claim_lower(work, false);
        merge_record_forget(work->vm);
        work->tree->act = SNAPSHOT_NOTHING;
        (void) snapshot_tree_write(work->tree, NULL);
    }
    work_finish(work, error);
    error_free(error);
}

static void cannot_ask(SnapshotWork *work, int r)
{
    Error *error = NULL;
    error_set_errno(&error, r, work->vm->name, "QEMU cannot be asked");
    work_fail(work, error);
}

/* ---- clean, and the end ---- */

static void on_cleaned(const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    void (*done)(SnapshotWork *work) = work->merge->done;
    /* What QEMU did not close it closes at its end. */
    g_clear_pointer(&work->live, script_free);
    g_clear_pointer(&work->merge, live_merge_free);
    work->event = NULL;
    work->undo = NULL;
    done(work);
}

/* blockdev.h: "root-file1" of "root-node1". */
static char *file_of(const char *node)
{
    const char *end = g_strrstr(node, "-node");
    return end ? g_strdup_printf("%.*s-file%s", (int) (end - node), node, end + strlen("-node")) : g_strdup("");
}

static unsigned set_of(const json_t *node)
{
    unsigned set = 0;
    const char *file = json_string_value(json_object_get(node, "file"));
    return file && sscanf(file, "/dev/fdset/%u", &set) == 1 ? set : 0;
}

static bool on_old_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    SnapshotWork *work = userdata;
    const char *top = work->merge->record.top;
    g_autofree char *file = file_of(top);
    unsigned set = set_of(blockdev_find_node(result, file));
    script_add_call(work->live, "blockdev-del", json_pack("{ss}", "node-name", top));
    script_add_call(work->live, "blockdev-del", json_pack("{ss}", "node-name", file));
    if (set > 0)
        script_add_call(work->live, "remove-fd", json_pack("{si}", "fdset-id", (int) set));
    return true;
}

/* The record: this layer is no more; the snapshot may have others. Where that cannot be written the file's absence says the same. */
static void take_out_layer(SnapshotWork *work)
{
    LiveMerge *merge = work->merge;
    g_ptr_array_remove(work->snapshot->layers, merge->layer);
    merge->layer = NULL;
    (void) snapshot_write(work->tree, work->snapshot, NULL);
}

static void on_settled(SnapshotWork *work)
{
    bool active = is_active(work);
    work->layers->only = NULL;
    work->merge->pivoted = false;
    work_go_on(work);
    release_upper(work, &work->merge->record);
    claim_lower(work, active);
    take_out_layer(work);
    merge_record_forget(work->vm);
    work->live = script_new(work->vm->manager->event, JOB_ID);
    script_add_question(work->live, "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_old_nodes, work);
    script_run(work->live, work->vm->instance->qmp, on_cleaned, NULL, work);
}

static void with_threads(SnapshotWork *work);

static int on_no_end(sd_event_source *source, uint64_t usec, void *userdata)
{
    SnapshotWork *work = userdata;
    work_fail(work, g_steal_pointer(&work->merge->late));
    return 0;
}

/* A VM that ends is no failure (work_merge_ended()), and its monitor is closed a moment before its guard says so. */
static bool awaits_end(SnapshotWork *work, const Error *error)
{
    const Instance *instance = work->vm->instance;
    if (!instance || qmp_is_ready(instance->qmp))
        return false;
    work->merge->late = error_copy(error);
    return sd_event_add_time_relative(work->vm->manager->event, &work->soon, CLOCK_MONOTONIC, END_USEC, 0, on_no_end, work) >= 0;
}

static void settle(SnapshotWork *work)
{
    work_act(work, layer_settle, on_settled);
}

static void fail_or_await_end(SnapshotWork *work, const Error *error)
{
    if (!awaits_end(work, error))
        work_fail(work, error_copy(error));
}

static void on_written(const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    g_clear_pointer(&work->live, script_free);
    if (error)
        return fail_or_await_end(work, error);
    settle(work);
}

static bool on_merged_nodes(const json_t *result, void *userdata, Error **ret_error);

/* No flush of the guest's reaches what is only read, and where in the lower one it has put what it wrote QEMU has in memory: it writes that
 * when it is told to write to it no more. */
static void write_lower(SnapshotWork *work)
{
    work->live = script_new(work->vm->manager->event, JOB_ID);
    script_add_question(work->live, "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_merged_nodes, work);
    script_run(work->live, work->vm->instance->qmp, on_written, NULL, work);
}

static void on_committed(const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    g_clear_pointer(&work->live, script_free);
    work->soon = sd_event_source_disable_unref(work->soon);
    if (error && !work->merge->threads && strstr(error->cause, "option 'aio'"))
        return with_threads(work);
    if (error)
        return fail_or_await_end(work, error);
    work->merge->pivoted = true;
    work->layers->only = work->merge->lower;
    if (is_active(work))
        settle(work);
    else /* so that QEMU, which does nothing else meanwhile, has little left to write */
        work_act(work, layer_sync, write_lower);
}

/* ---- pause and complete ---- */

static void complete(SnapshotWork *work);

static int on_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    complete(userdata);
    return 0;
}

/* For a moment after a pause the job does not listen. */
static void on_completing(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    if (!error || !work->live)
        return;
    work->soon = sd_event_source_disable_unref(work->soon);
    if (work->merge->again++ < AGAIN_MAX)
        (void) sd_event_add_time_relative(work->vm->manager->event, &work->soon, CLOCK_MONOTONIC, AGAIN_USEC, 1, on_again, work);
    else
        script_cancel(work->live);
}

static void complete(SnapshotWork *work)
{
    (void) qmp_call(work->vm->instance->qmp, "job-complete", json_pack("{ss}", "id", JOB_ID), -1, QMP_USEC, on_completing, work);
}

/* All of them or none: then the next backup is a full one. */
static void copy_bitmaps(SnapshotWork *work)
{
    const LiveMerge *merge = work->merge;
    json_t *actions = json_array();
    bitmaps_copy(actions, merge->bitmaps, merge->record.top, merge->record.base);
    if (json_array_size(actions) > 0)
        (void) qmp_call(work->vm->instance->qmp, "transaction", json_pack("{sO}", "actions", actions), -1, QMP_USEC, NULL, NULL);
    json_decref(actions);
}

static void on_paused(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    if (!work->live)
        return;
    if (error)
        return script_cancel(work->live);
    copy_bitmaps(work);
    complete(work);
}

/* All is in the lower one but for what the guest writes now. */
static void on_ready(void *userdata)
{
    SnapshotWork *work = userdata;
    if (work->merge->completing)
        return;
    work->merge->completing = true;
    /* It may be about to stop. */
    work->paused = work->paused || work->vm->state != VM_PAUSED;
    work->merge->record.paused = work->paused;
    /* On record before it is so. */
    if (!merge_record_write(work->vm, &work->merge->record, NULL) || qmp_call(work->vm->instance->qmp, "stop", NULL, -1, QMP_USEC, on_paused, work) < 0)
        script_cancel(work->live);
}

static bool on_event(SnapshotWork *work, const char *name, const json_t *data)
{
    return work->paused && g_str_equal(name, "STOP");
}

/* ---- reopen and commit ---- */

static json_t *node_options(const SnapshotWork *work, bool file, bool read_only)
{
    const LiveMerge *merge = work->merge;
    g_autofree char *running = instance_settings_path(work->vm->instance);
    g_autoptr(Settings) settings = settings_load(&vm_schema, running, NULL);
    const Image image = {.format = g_str_equal(merge->layer->format, "qcow2") ? IMAGE_QCOW2 : IMAGE_RAW, .direct = merge->direct, .read_only = read_only};
    const BlockdevOptions options = {
        .io_uring = work->vm->manager->io_uring && !merge->threads,
        .discard = !settings || settings_get_bool(settings, merge->layer->section, "Discard"),
        .no_flush = merge->no_flush,
    };
    if (file) {
        json_t *one = blockdev_file(&image, "", 0, merge->set, &options);
        json_object_set_new(one, "node-name", json_string(merge->base_file));
        return one;
    }
    json_t *one = blockdev_format(&image, "", 0, &options);
    json_object_set_new(one, "node-name", json_string(merge->record.base));
    json_object_set_new(one, "file", json_string(merge->base_file));
    if (image.format == IMAGE_QCOW2)
        json_object_set_new(one, "backing", merge->below ? json_string(merge->below) : json_null());
    return one;
}

static void add_reopen(SnapshotWork *work, bool file, bool read_only)
{
    script_add_call(work->live, "blockdev-reopen", json_pack("{s[o]}", "options", node_options(work, file, read_only)));
}

static void read_cache(LiveMerge *merge, const json_t *base)
{
    const json_t *cache = json_object_get(base, "cache");
    merge->direct = json_is_true(json_object_get(cache, "direct"));
    merge->no_flush = json_is_true(json_object_get(cache, "no-flush"));
}

static bool on_merged_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    SnapshotWork *work = userdata;
    LiveMerge *merge = work->merge;
    const json_t *base = blockdev_find_node(result, merge->record.base);
    if (!base)
        return error_set(ret_error, ERROR_QEMU_FAILED, merge->layer->section, NULL, "its block nodes are not what they were");
    read_cache(merge, base);
    if (!json_is_true(json_object_get(base, "ro")))
        add_reopen(work, false, true);
    return true;
}

static void add_commit(SnapshotWork *work)
{
    const LiveMerge *merge = work->merge;
    json_t *arguments = json_pack("{ss ss ss}", "device", merge->root, "top-node", merge->record.top, "base-node", merge->record.base);
    json_t *removals = json_array();
    g_autofree char *name = g_path_get_basename(merge->lower->path);
    if (merge->base_read_only)
        add_reopen(work, false, false);
    bitmaps_remove(removals, merge->lower_node, BITMAPS_CHECKPOINTS);
    script_add_actions(work->live, removals);
    /* What is above names the file whose name the lower one gets. */
    if (!is_active(work))
        json_object_set_new(arguments, "backing-file", json_string(name));
    script_add_job_with(work->live, "block-commit", arguments, on_ready, work);
}

/* The descriptors that were there hold the locks of a reader, which would keep out the writer: they go once others are used. */
static bool on_sets(const json_t *result, void *userdata, Error **ret_error)
{
    SnapshotWork *work = userdata;
    const LiveMerge *merge = work->merge;
    const int fds[] = {merge->lower->image->fd, merge->lower->image->read_fd};
    size_t i, j;
    json_t *set, *one;
    work->merge->direct = image_set_direct(merge->lower->image, merge->direct);
    script_add_fds(work->live, merge->set, fds, G_N_ELEMENTS(fds));
    add_reopen(work, true, false);
    json_array_foreach((json_t *) result, i, set) {
        if (json_integer_value(json_object_get(set, "fdset-id")) != merge->set)
            continue;
        json_array_foreach(json_object_get(set, "fds"), j, one)
            if (j < FDS_MAX)
                script_add_call(work->live, "remove-fd", json_pack("{si sI}", "fdset-id", (int) merge->set, "fd", json_integer_value(json_object_get(one, "fd"))));
    }
    add_commit(work);
    return true;
}

static bool on_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    SnapshotWork *work = userdata;
    LiveMerge *merge = work->merge;
    const json_t *file = blockdev_find_node(result, merge->base_file), *base = blockdev_find_node(result, merge->record.base);
    const json_t *top = blockdev_find_node(result, merge->record.top);
    merge->set = set_of(file);
    if (!file || !base || !top || merge->set == 0)
        return error_set(ret_error, ERROR_QEMU_FAILED, merge->layer->section, NULL, "its block nodes are not what they were");
    read_cache(merge, base);
    merge->base_read_only = json_is_true(json_object_get(base, "ro"));
    merge->lower_node = json_incref((json_t *) base);
    if (is_active(work) && bitmaps_fit(top, base))
        merge->bitmaps = bitmaps_of(top);
    if (json_is_true(json_object_get(file, "ro")))
        script_add_question(work->live, "query-fdsets", NULL, on_sets, work);
    else
        add_commit(work);
    return true;
}

/* ---- graph ---- */

/* The names of the device's nodes, from its own down; borrowed. */
static GPtrArray *find_chain(const json_t *stats, const char *disk)
{
    GPtrArray *chain = g_ptr_array_new();
    size_t i;
    json_t *device;
    json_array_foreach((json_t *) stats, i, device) {
        const char *qdev = json_string_value(json_object_get(device, "qdev"));
        if (!qdev || !machine_disk_is_device(qdev, disk))
            continue;
        for (const json_t *node = device; node && chain->len <= IMAGE_CHAIN_MAX; node = json_object_get(node, "backing")) {
            const char *name = json_string_value(json_object_get(node, "node-name"));
            if (name)
                g_ptr_array_add(chain, (char *) name);
        }
        break;
    }
    return chain;
}

static bool has_node(GPtrArray *chain, const char *name)
{
    return name && g_ptr_array_find_with_equal_func(chain, name, g_str_equal, NULL);
}

/* The lower one's file, and what it is over. */
static void find_below(LiveMerge *merge, const GPtrArray *chain)
{
    merge->base_file = file_of(merge->record.base);
    for (guint i = 0; i + 1 < chain->len; i++)
        if (g_str_equal(chain->pdata[i], merge->record.base))
            merge->below = g_strdup(chain->pdata[i + 1]);
}

/* How many layers of this disk there are from what the VM's disks come from down to this snapshot. */
static guint depth_of(const SnapshotWork *work)
{
    const Layer *layer = work->merge->layer;
    guint depth = 0;
    for (const Snapshot *s = snapshot_find_id(work->tree, work->tree->current); s; s = snapshot_find_id(work->tree, s->parent)) {
        const Layer *one = snapshot_find_layer(s, layer->section);
        depth += one && g_str_equal(one->path, layer->path);
        if (s == work->snapshot)
            return depth;
    }
    return 0;
}

static bool on_graph(const json_t *result, void *userdata, Error **ret_error)
{
    SnapshotWork *work = userdata;
    LiveMerge *merge = work->merge;
    MergeRecord *record = &merge->record;
    const Layer *layer = merge->layer;
    g_autoptr(GPtrArray) chain = find_chain(result, layer->section + strlen("Disk "));
    /* Done already, for a vmd that was killed. */
    merge->pivoted = record->snapshot > 0 && has_node(chain, record->base) && !has_node(chain, record->top);
    if (merge->pivoted) {
        find_below(merge, chain);
        return true;
    }
    work_go_on(work);
    guint depth = depth_of(work);
    if (depth == 0 || depth >= chain->len)
        return error_set(ret_error, ERROR_QEMU_FAILED, layer->section, NULL, "its QEMU has other images than the record says");
    merge_record_clear(record);
    *record = (MergeRecord){
        .snapshot = work->snapshot->id,
        .section = g_strdup(layer->section),
        .top = g_strdup(chain->pdata[depth - 1]),
        .base = g_strdup(chain->pdata[depth]),
        .top_dev = merge->upper->image->dev,
        .top_inode = merge->upper->image->inode,
    };
    merge->root = g_strdup(chain->pdata[0]);
    find_below(merge, chain);
    if (!merge_record_write(work->vm, record, ret_error))
        return false;
    claim_lower(work, true);
    script_add_question(work->live, "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_nodes, work);
    return true;
}

static void on_progress(double progress, void *userdata)
{
    SnapshotWork *work = userdata;
    job_set_progress(work->job, progress);
}

/* Once more: nothing was changed by what was refused. */
static void with_threads(SnapshotWork *work)
{
    LiveMerge *merge = work->merge;
    merge->threads = true;
    g_clear_pointer(&merge->bitmaps, json_decref);
    g_clear_pointer(&merge->lower_node, json_decref);
    work->live = script_new(work->vm->manager->event, JOB_ID);
    script_add_question(work->live, "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_nodes, work);
    script_run(work->live, work->vm->instance->qmp, on_committed, on_progress, work);
}

void work_merge_live(SnapshotWork *work, LayerFile *lower, LayerFile *upper, void (*done)(SnapshotWork *work))
{
    LiveMerge *merge = work->merge = g_new0(LiveMerge, 1);
    merge->lower = lower;
    merge->upper = upper;
    merge->done = done;
    for (guint i = 0; i < work->snapshot->layers->len && !merge->layer; i++) {
        Layer *layer = work->snapshot->layers->pdata[i];
        if (g_str_equal(layer->frozen, lower->frozen))
            merge->layer = layer;
    }
    merge_record_read(work->vm, &merge->record);
    if (merge->record.snapshot != work->snapshot->id || !g_str_equal(merge->record.section, merge->layer->section))
        merge_record_clear(&merge->record);
    work->undo = undo;
    work->event = on_event;
    work->live = script_new(work->vm->manager->event, JOB_ID);
    script_add_question(work->live, "query-blockstats", NULL, on_graph, work);
    script_run(work->live, work->vm->instance->qmp, on_committed, on_progress, work);
}

void work_merge_ended(SnapshotWork *work)
{
    LiveMerge *merge = work->merge;
    if (merge && merge->layer && access(merge->layer->frozen, F_OK) < 0)
        take_out_layer(work);
    work_finish(work, NULL);
}

bool work_cancel_merge(SnapshotWork *work)
{
    if (!work->merge || !work->live || work->merge->completing || work->merge->pivoted)
        return false;
    script_cancel(work->live);
    return true;
}

/* ---- after a vmd that was killed ---- */

static void ask_for_job(SnapshotWork *work);

static int on_ask_again(sd_event_source *source, uint64_t usec, void *userdata)
{
    ask_for_job(userdata);
    return 0;
}

static void on_jobs(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    SnapshotWork *work = userdata;
    const char *status = NULL;
    size_t i;
    json_t *job;
    if (error)
        return work_fail(work, error_copy(error));
    json_array_foreach((json_t *) result, i, job)
        if (g_strcmp0(json_string_value(json_object_get(job, "id")), JOB_ID) == 0)
            status = json_string_value(json_object_get(job, "status"));
    if (!status)
        return work_next(work);
    const char *command = g_str_equal(status, "concluded") ? "job-dismiss" : "job-cancel";
    (void) qmp_call(qmp, command, json_pack("{ss}", "id", JOB_ID), -1, 0, NULL, NULL);
    work->soon = sd_event_source_disable_unref(work->soon);
    (void) sd_event_add_time_relative(work->vm->manager->event, &work->soon, CLOCK_MONOTONIC, AGAIN_USEC, 1, on_ask_again, work);
}

static void ask_for_job(SnapshotWork *work)
{
    int r = qmp_call(work->vm->instance->qmp, "query-jobs", NULL, -1, QMP_USEC, on_jobs, work);
    if (r < 0)
        cannot_ask(work, r);
}

void work_take_up_merge(SnapshotWork *work)
{
    g_auto(MergeRecord) record;
    merge_record_read(work->vm, &record);
    work->paused = record.paused;
}

void work_end_live_merge(SnapshotWork *work)
{
    if (!work->vm->instance || !work->vm->instance->qmp)
        return cannot_ask(work, -ENOTCONN);
    ask_for_job(work);
}
