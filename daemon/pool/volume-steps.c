/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What there is to do to volumes, and of that what workers do. */

#include "bitmaps.h"
#include "volume-work.h"

/* The node "part", of which nothing is read. */
static void add_file(VolumeWork *work, const int *fds, size_t n)
{
    g_autofree char *file = g_strdup_printf("/dev/fdset/%u", worker_add_fds(work->worker, fds, n));
    script_add_call(worker_script(work->worker), "blockdev-add", json_pack("{ss ss ss ss}", "driver", "file", "node-name", "part", "filename", file, "discard", "unmap"));
}

static void add_part_file(VolumeWork *work)
{
    const int fds[] = {work->files->fd, work->files->read_fd};
    add_file(work, fds, G_N_ELEMENTS(fds));
}

static json_t *qcow2_options(const VolumeWork *work, uint64_t size)
{
    static const char *const words[_PREALLOCATION_MAX] = {[PREALLOCATE_OFF] = "off", [PREALLOCATE_METADATA] = "metadata", [PREALLOCATE_FULL] = "falloc"};
    return json_pack("{ss ss sI ss}", "driver", "qcow2", "file", "part", "size", (json_int_t) size, "preallocation", words[work->preallocation]);
}

static void add_create_steps(VolumeWork *work)
{
    json_t *options = qcow2_options(work, work->size);
    add_part_file(work);
    script_add_job(worker_script(work->worker), "blockdev-create", json_pack("{so}", "options", options));
}

/* The backing file is only named: nothing of it is read here. */
static void add_overlay_steps(VolumeWork *work)
{
    const Image *image = work->files->image;
    json_t *options = qcow2_options(work, work->size > 0 ? work->size : image->size);
    json_object_set_new(options, "backing-file", json_string(image->path));
    json_object_set_new(options, "backing-fmt", json_string(image_format_to_string(image->format)));
    add_part_file(work);
    script_add_job(worker_script(work->worker), "blockdev-create", json_pack("{so}", "options", options));
}

/* From "source-node0", of that size, to the part. */
static void add_copy_steps(VolumeWork *work, uint64_t size)
{
    bool qcow2 = work->format == IMAGE_QCOW2;
    if (qcow2)
        script_add_job(worker_script(work->worker), "blockdev-create", json_pack("{so}", "options", qcow2_options(work, size)));
    else
        script_add_call(worker_script(work->worker), "block_resize", json_pack("{ss sI}", "node-name", "part", "size", (json_int_t) size));
    json_t *target = json_pack("{ss ss ss}", "driver", qcow2 ? "qcow2" : "raw", "node-name", "target", "file", "part");
    if (!work->compress)
        json_object_set_new(target, "detect-zeroes", json_string("unmap"));
    json_object_set_new(target, "discard", json_string("unmap"));
    script_add_call(worker_script(work->worker), "blockdev-add", target);
    /* A backup can compress; a mirror leaves holes. */
    json_t *arguments = json_pack("{ss ss ss}", "device", "source-node0", "target", "target", "sync", "full");
    if (work->compress)
        json_object_set_new(arguments, "compress", json_true());
    script_add_job(worker_script(work->worker), work->compress ? "blockdev-backup" : "blockdev-mirror", arguments);
    /* A copy may be larger than what it was made from. */
    if (work->size > size)
        script_add_call(worker_script(work->worker), "block_resize", json_pack("{ss sI}", "node-name", "target", "size", (json_int_t) work->size));
    script_add_call(worker_script(work->worker), "blockdev-del", json_pack("{ss}", "node-name", "target"));
}

static void add_convert_steps(VolumeWork *work)
{
    add_part_file(work);
    worker_add_image(work->worker, work->files->image, "source");
    add_copy_steps(work, work->files->image->size);
}

/* QEMU has read the image's header, and knows its size. */
static bool on_import_opened(const json_t *result, void *userdata, Error **ret_error)
{
    VolumeWork *work = userdata;
    const json_t *image = json_object_get(blockdev_find_node(result, "source-node0"), "image");
    json_int_t size = json_integer_value(json_object_get(image, "virtual-size"));
    if (size <= 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, work->files->name, NULL, "the image is of a disk without a size");
    add_copy_steps(work, (uint64_t) size);
    return true;
}

static void add_import_steps(VolumeWork *work)
{
    add_part_file(work);
    worker_add_image(work->worker, work->files->image, "source");
    script_add_question(worker_script(work->worker), "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_import_opened, work);
}

/* What is cut off is zero when it is there again, and bitmaps that are cut off with it do not know: so they go, and with them the checkpoints of
 * backups. */
static bool on_resize_nodes(const json_t *result, void *userdata, Error **ret_error)
{
    VolumeWork *work = userdata;
    Script *script = worker_script(work->worker);
    BitmapSet set = work->size < work->files->image->size ? BITMAPS_ALL : BITMAPS_SPOILT;
    json_t *removals = json_array();
    bitmaps_remove(removals, blockdev_find_node(result, "volume-node0"), set);
    script_add_actions(script, removals);
    script_add_call(script, "block_resize", json_pack("{ss sI}", "node-name", "volume-node0", "size", (json_int_t) work->size));
    script_add_call(script, "blockdev-del", json_pack("{ss}", "node-name", "volume-node0"));
    return true;
}

static void add_resize_steps(VolumeWork *work)
{
    worker_add_image(work->worker, work->files->image, "volume");
    script_add_question(worker_script(work->worker), "query-named-block-nodes", json_pack("{sb}", "flat", 1), on_resize_nodes, work);
}

/* After it was overwritten: an image of the same size with nothing in it. */
static void add_empty_steps(VolumeWork *work)
{
    const Image *image = work->files->image;
    const int fds[] = {image->fd, image->read_fd};
    add_file(work, fds, G_N_ELEMENTS(fds));
    script_add_job(worker_script(work->worker), "blockdev-create", json_pack("{so}", "options", qcow2_options(work, image->size)));
}

/* What is done to raw and to qcow2 volumes: a raw file needs nobody who understands it. */

const WorkKind volume_create_kind = {JOB_CREATE_VOLUME, true, {volume_files_size, NULL}, {NULL, add_create_steps}};
const WorkKind volume_overlay_kind = {JOB_CREATE_VOLUME, true, {NULL, NULL}, {NULL, add_overlay_steps}};
const WorkKind volume_clone_kind = {JOB_CLONE_VOLUME, true, {volume_files_copy, volume_files_copy}, {NULL, NULL}};
const WorkKind volume_convert_kind = {JOB_CONVERT_VOLUME, true, {NULL, NULL}, {add_convert_steps, add_convert_steps}};
const WorkKind volume_import_kind = {JOB_IMPORT_VOLUME, true, {volume_files_share, NULL}, {add_import_steps, add_import_steps}};
const WorkKind volume_pull_kind = {JOB_PULL_IMAGE, true, {volume_files_verify, volume_files_verify}, {NULL, NULL}, .fetch = true};
const WorkKind volume_upload_kind = {JOB_UPLOAD_VOLUME, true, {volume_files_check, volume_files_check}, {NULL, NULL}};
const WorkKind volume_resize_kind = {JOB_RESIZE_VOLUME, false, {volume_files_size, NULL}, {NULL, add_resize_steps}, .live = true};
const WorkKind volume_wipe_kind = {JOB_WIPE_VOLUME, false, {volume_files_wipe, volume_files_wipe}, {NULL, add_empty_steps}};
