/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Work on a volume, step by step; `kinds` says which of the steps a kind has:
 *
 *     source    what it is made from, opened with the owner's rights    in a thread
 *     open      the part file is made, or the volume opened             in a thread
 *     sums      its checksum, where that is to be found first           SignedSums
 *     fetch     what a web server has                                   a Download
 *     labour    bytes or sizes                                          in a thread, with progress
 *     unpack    of what was fetched, where it is compressed             an Unpack
 *     work      what only a reader of images can do                     a Worker
 *     commit    onto the disk, and under its name                       in a thread
 *
 * A step that fails ends the work; what was made goes with its files. */

#include "volume.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "build.h"
#include "claims.h"
#include "cleanup.h"
#include "download.h"
#include "foreign.h"
#include "manager.h"
#include "name.h"
#include "resize.h"
#include "signature.h"
#include "signed-sums.h"
#include "unpack.h"
#include "volume-files.h"
#include "worker.h"

#define PROGRESS_USEC (200 * 1000)
#define IMAGE_MODE 0644
#define SHA256_DIGITS 64
#define SHA512_DIGITS 128

typedef struct WorkKind {
    JobType job;
    bool make;
    TaskRun labour[_IMAGE_FORMAT_MAX];                      /* NULL: none */
    void (*add_steps[_IMAGE_FORMAT_MAX])(VolumeWork *work); /* NULL: no worker */
    bool fetch;
    bool live; /* the VM that has it open does it */
} WorkKind;

struct VolumeWork {
    Manager *manager;
    Pool *pool;
    Job *job;
    const WorkKind *kind;
    VolumeFiles *files;
    Task *task;
    Worker *worker;
    Download *download;
    Unpack *unpack;
    SignedSums *signed_sums;
    char *url, *proxy, *list, *signature; /* the latter two: of signed checksums; NULL: they are known */
    uint64_t max_size; /* of what is fetched */
    char *binary;
    GArray *images;    /* ImageIdentity */
    sd_event_source *progress;
    ImageFormat format;
    uint64_t size;
    Preallocation preallocation;
    bool compress;
};

static const char *const preallocations[_PREALLOCATION_MAX] = {
    [PREALLOCATE_OFF] = "off",
    [PREALLOCATE_METADATA] = "metadata",
    [PREALLOCATE_FULL] = "full",
};

bool preallocation_from_string(const char *s, Preallocation *ret)
{
    for (Preallocation p = 0; p < _PREALLOCATION_MAX; p++)
        if (g_str_equal(s, preallocations[p])) {
            *ret = p;
            return true;
        }
    return false;
}

const GArray *volume_work_images(const VolumeWork *work)
{
    return work->images;
}

static void work_free(VolumeWork *work)
{
    sd_event_source_disable_unref(work->progress);
    worker_free(work->worker);
    download_free(work->download);
    unpack_free(work->unpack);
    g_free(work->url);
    g_free(work->proxy);
    signed_sums_free(work->signed_sums);
    g_free(work->list);
    g_free(work->signature);
    task_abandon(work->task);
    volume_files_unref(work->files);
    g_array_unref(work->images);
    g_free(work->binary);
    g_free(work);
}

void volume_works_free(Manager *manager)
{
    for (guint i = 0; i < manager->works->len; i++)
        work_free(manager->works->pdata[i]);
    g_ptr_array_unref(manager->works);
}

static void end(Pool *pool, Job *job, const Error *error)
{
    Manager *manager = pool->manager;
    job_finish(job, error);
    manager_settle_pool(manager, pool);
    manager_check_idle(manager);
}

static void on_seen(const Error *error, void *userdata)
{
    Job *job = userdata;
    end(job->userdata, job, NULL);
}

static void finish(VolumeWork *work, const Error *error)
{
    Manager *manager = work->manager;
    Pool *pool = work->pool;
    Job *job = work->job;
    g_autoptr(Error) copy = error_copy(error);
    g_ptr_array_remove_fast(manager->works, work);
    work_free(work);
    if (error || pool->state != POOL_RUNNING) {
        if (pool->state == POOL_RUNNING)
            pool_look(pool, NULL, NULL);
        return end(pool, job, copy);
    }
    /* Who hears that it is done, and asks at once, sees it. */
    job->cancel = NULL;
    job->userdata = pool;
    pool_look(pool, on_seen, job);
}

/* ---- steps in threads ---- */

static void fail(VolumeWork *work, Error *error)
{
    finish(work, error);
    error_free(error);
}

/* A Task's data, which that may outlive this work. NULL: its time is over. */
static bool task_ended(VolumeWork *work, void *data)
{
    Error *error = NULL;
    work->task = NULL;
    if (!data)
        error_set(&error, ERROR_TIMED_OUT, work->pool->path, "Look at the server or the disk that it is on", "its file system does not answer");
    else {
        volume_files_unref(data);
        error = g_steal_pointer(&work->files->error);
    }
    if (!error && work->job->state == JOB_CANCELLING)
        error_set(&error, ERROR_CANCELLED, work->files->name, NULL, "it was cancelled");
    if (error)
        fail(work, error);
    return error == NULL;
}

static void begin_task(VolumeWork *work, TaskRun run, TaskDone done, bool limit)
{
    const TaskSpec spec = {
        .run = run,
        .done = done,
        .free_data = volume_files_unref,
        .timeout_usec = limit ? work->pool->timeout : UINT64_MAX,
    };
    VolumeFiles *files = volume_files_ref(work->files);
    int r = task_new(work->manager->event, &spec, files, work, &work->task);
    if (r >= 0)
        return;
    Error *error = NULL;
    volume_files_unref(files);
    error_set_errno(&error, r, work->files->name, "no thread can be made for it");
    fail(work, error);
}

static void on_committed(void *data, void *userdata)
{
    VolumeWork *work = userdata;
    if (task_ended(work, data))
        finish(work, NULL);
}

static void commit(VolumeWork *work)
{
    if (work->kind->make)
        begin_task(work, volume_files_commit, on_committed, false);
    else
        finish(work, NULL);
}

static void on_worked(Worker *worker, const Error *error, void *userdata)
{
    VolumeWork *work = userdata;
    g_clear_pointer(&work->worker, worker_free);
    if (!error)
        return commit(work);
    Error *named = error_copy(error);
    if (!named->thing)
        named->thing = g_strdup(work->files->name);
    fail(work, named);
}

static void on_worker_progress(Worker *worker, double progress, void *userdata)
{
    job_set_progress(((VolumeWork *) userdata)->job, progress);
}

static char *new_unit(void)
{
    static unsigned count;
    return g_strdup_printf("vmd-job-%d-%u.service", (int) getpid(), ++count);
}

static void begin_worker(VolumeWork *work)
{
    Error *error = NULL;
    if (!work->kind->add_steps[work->format] || work->files->shared)
        return commit(work);
    g_autofree char *binary = qemu_default_binary(&error), *unit = worker_unit();
    work->worker = worker_new(work->manager->event, work->manager->scopes, work->manager->user);
    work->kind->add_steps[work->format](work);
    if (!binary || !worker_start(work->worker, binary, unit, on_worked, on_worker_progress, work, &error))
        fail(work, error);
}

static void on_looked_at(void *data, void *userdata)
{
    VolumeWork *work = userdata;
    if (task_ended(work, data))
        begin_worker(work);
}

static void on_unpacked(Unpack *unpack, const Error *error, void *userdata)
{
    VolumeWork *work = userdata;
    g_clear_pointer(&work->unpack, unpack_free);
    if (error)
        fail(work, error_copy(error));
    else
        begin_task(work, volume_files_image, on_looked_at, false);
}

static void on_unpack_progress(Unpack *unpack, double progress, void *userdata)
{
    job_set_progress(((VolumeWork *) userdata)->job, progress);
}

static void begin_unpack(VolumeWork *work)
{
    Error *error = NULL;
    g_autofree char *unit = new_unit();
    const UnpackSpec spec = {.name = work->url, .from = work->files->packed_fd, .to = work->files->fd, .max_size = work->max_size, .unit = unit};
    work->unpack = unpack_start(work->manager->event, work->manager->scopes, work->manager->user, &spec, on_unpacked, on_unpack_progress, work, &error);
    if (!work->unpack)
        fail(work, error);
}

static void on_laboured(void *data, void *userdata)
{
    VolumeWork *work = userdata;
    work->progress = sd_event_source_disable_unref(work->progress);
    if (!task_ended(work, data))
        return;
    if (work->files->packed)
        begin_unpack(work);
    else
        begin_worker(work);
}

static int on_progress(sd_event_source *source, uint64_t usec, void *userdata)
{
    VolumeWork *work = userdata;
    const CopyState *copy = &work->files->copy;
    uint64_t total = atomic_load(&copy->total), done = atomic_load(&copy->done);
    if (total > 0)
        job_set_progress(work->job, (double) done / (double) total);
    (void) sd_event_source_set_time_relative(source, PROGRESS_USEC);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void begin_labour(VolumeWork *work)
{
    if (!work->kind->labour[work->format])
        return begin_worker(work);
    (void) sd_event_add_time_relative(work->manager->event, &work->progress, CLOCK_MONOTONIC, PROGRESS_USEC, 0, on_progress, work);
    begin_task(work, work->kind->labour[work->format], on_laboured, false);
}

static void on_fetched(Download *download, const Error *error, void *userdata)
{
    VolumeWork *work = userdata;
    g_clear_pointer(&work->download, download_free);
    if (error)
        fail(work, error_copy(error));
    else
        begin_labour(work);
}

static void on_fetch_progress(Download *download, double progress, void *userdata)
{
    job_set_progress(((VolumeWork *) userdata)->job, progress);
}

static void begin_fetch(VolumeWork *work)
{
    Error *error = NULL;
    g_autofree char *unit = new_unit();
    const DownloadSpec spec = {.url = work->url, .proxy = work->proxy, .fd = work->files->packed ? work->files->packed_fd : work->files->fd, .max_size = work->max_size, .unit = unit};
    work->download = download_start(work->manager->event, work->manager->scopes, work->manager->user, &spec, on_fetched, on_fetch_progress, work, &error);
    if (!work->download)
        fail(work, error);
}

static void on_sums(SignedSums *sums, const char *sum, const Error *error, void *userdata)
{
    VolumeWork *work = userdata;
    Error *differs = NULL;
    g_autofree char *copy = g_strdup(sum);
    Error *failed = error_copy(error);
    g_clear_pointer(&work->signed_sums, signed_sums_free);
    if (failed)
        return fail(work, failed);
    char **known = &work->files->sums[strlen(copy) == SHA256_DIGITS ? 0 : 1];
    if (*known && g_ascii_strcasecmp(*known, copy) != 0) {
        error_set(&differs, ERROR_FAILED, work->list, NULL, "it has another checksum, %s", copy);
        return fail(work, differs);
    }
    g_free(*known);
    *known = g_steal_pointer(&copy);
    begin_fetch(work);
}

static void begin_sums(VolumeWork *work)
{
    Error *error = NULL;
    g_autofree char *unit = new_unit();
    const SignedSumsSpec spec = {.url = work->url, .list = work->list, .signature = work->signature, .proxy = work->proxy,
        .keyring = work->files->keyring, .unit = unit};
    work->signed_sums = signed_sums_start(work->manager->event, work->manager->scopes, work->manager->user, &spec, on_sums, work, &error);
    if (!work->signed_sums)
        fail(work, error);
}

static void on_resized(const Error *error, void *userdata)
{
    finish(userdata, error);
}

/* By the VM that runs with it, where one does. */
static bool resize_live(VolumeWork *work, Error **ret_error)
{
    const char *disk;
    const Image *image = work->files->image;
    VM *vm = work->kind->live ? claim_find_disk(work->manager, image, &disk) : NULL;
    if (!vm)
        return false;
    if (work->size < image->size)
        (void) error_set(ret_error, ERROR_IN_USE, work->files->name, "Stop the VM first", "VM \"%s\" uses it, and so it can only grow", vm->name);
    else
        (void) vm_resize_disk(vm, disk, work->size, on_resized, work, ret_error);
    return true;
}

static void on_opened(void *data, void *userdata)
{
    VolumeWork *work = userdata;
    Error *error = NULL;
    if (!task_ended(work, data))
        return;
    if (!work->kind->make)
        work->format = work->files->image->format;
    if (resize_live(work, &error)) {
        if (error)
            fail(work, error);
        return;
    }
    if (!claim_images(work->manager, work, work->images, work->files->image, &error))
        return fail(work, error);
    if (work->kind->fetch)
        return work->list ? begin_sums(work) : begin_fetch(work);
    begin_labour(work);
}

static void on_source(void *data, void *userdata)
{
    VolumeWork *work = userdata;
    if (task_ended(work, data))
        begin_task(work, volume_files_open, on_opened, true);
}

static void on_cancel(Job *job, void *userdata)
{
    VolumeWork *work = userdata;
    atomic_store(&work->files->copy.cancelled, true);
    if (!work->worker && !work->download && !work->unpack && !work->signed_sums)
        return; /* the thread ends soon */
    Error *error = NULL;
    error_set(&error, ERROR_CANCELLED, work->files->name, NULL, "it was cancelled");
    fail(work, error);
}

static VolumeWork *work_new(Pool *pool, const WorkKind *kind, const char *name, uid_t owner)
{
    g_autofree char *path = pool_object_path(pool);
    VolumeWork *work = g_new0(VolumeWork, 1);
    work->manager = pool->manager;
    work->pool = pool;
    work->kind = kind;
    work->images = g_array_new(FALSE, FALSE, sizeof(ImageIdentity));
    work->files = volume_files_new();
    work->files->dir = g_strdup(pool->path);
    work->files->name = g_strdup(name);
    work->files->owner = owner;
    work->files->make = kind->make;
    work->files->write = !kind->make;
    if (kind->make)
        work->files->part = g_strdup_printf(".%s%s", name, pool->manager->part_suffix);
    work->job = job_new(pool->manager->jobs, kind->job, path, on_cancel, work);
    work->job->owner = owner;
    g_ptr_array_add(pool->manager->works, work);
    return work;
}

static void begin(VolumeWork *work)
{
    if (work->files->source || work->files->import_fd >= 0)
        begin_task(work, volume_files_source, on_source, true);
    else if (work->files->keyring_fd >= 0)
        begin_task(work, volume_files_keyring, on_source, true);
    else
        begin_task(work, volume_files_open, on_opened, true);
}

/* ---- what workers do ---- */

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
    json_int_t size = 0;
    size_t i;
    json_t *node;
    json_array_foreach((json_t *) result, i, node)
        if (g_strcmp0(json_string_value(json_object_get(node, "node-name")), "source-node0") == 0)
            size = json_integer_value(json_object_get(json_object_get(node, "image"), "virtual-size"));
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

static void add_resize_steps(VolumeWork *work)
{
    worker_add_image(work->worker, work->files->image, "volume");
    script_add_call(worker_script(work->worker), "block_resize", json_pack("{ss sI}", "node-name", "volume-node0", "size", (json_int_t) work->size));
    script_add_call(worker_script(work->worker), "blockdev-del", json_pack("{ss}", "node-name", "volume-node0"));
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
static const WorkKind create_kind = {JOB_CREATE_VOLUME, true, {volume_files_size, NULL}, {NULL, add_create_steps}};
static const WorkKind overlay_kind = {JOB_CREATE_VOLUME, true, {NULL, NULL}, {NULL, add_overlay_steps}};
static const WorkKind clone_kind = {JOB_CLONE_VOLUME, true, {volume_files_copy, volume_files_copy}, {NULL, NULL}};
static const WorkKind convert_kind = {JOB_CONVERT_VOLUME, true, {NULL, NULL}, {add_convert_steps, add_convert_steps}};
static const WorkKind import_kind = {JOB_IMPORT_VOLUME, true, {volume_files_share, NULL}, {add_import_steps, add_import_steps}};
static const WorkKind pull_kind = {JOB_PULL_IMAGE, true, {volume_files_verify, volume_files_verify}, {NULL, NULL}, .fetch = true};
static const WorkKind upload_kind = {JOB_UPLOAD_VOLUME, true, {volume_files_check, volume_files_check}, {NULL, NULL}};
static const WorkKind resize_kind = {JOB_RESIZE_VOLUME, false, {volume_files_size, NULL}, {NULL, add_resize_steps}, .live = true};
static const WorkKind wipe_kind = {JOB_WIPE_VOLUME, false, {volume_files_wipe, volume_files_wipe}, {NULL, add_empty_steps}};

/* ---- what callers want ---- */

static char *thing_of(const Pool *pool, const char *name)
{
    return g_strdup_printf("Volume \"%s/%s\"", pool->name, name);
}

static bool is_being_made(const Pool *pool, const char *name)
{
    for (guint i = 0; i < pool->manager->works->len; i++) {
        const VolumeWork *work = pool->manager->works->pdata[i];
        if (work->pool == pool && g_str_equal(work->files->name, name))
            return true;
    }
    return false;
}

static const WorkKind *kind_of_wish(const VolumeWish *wish, const Volume *source, ImageFormat format)
{
    if (!source)
        return &create_kind;
    if (wish->overlay)
        return &overlay_kind;
    /* With another size, or with what is behind it, it is not the same bytes. */
    bool same = source->format == format && wish->size == 0 && !wish->compress && !source->backing;
    return same ? &clone_kind : &convert_kind;
}

/* Where the name says what is in it, it does not lie. */
static bool check_format(const VolumeWish *wish, ImageFormat format, const char *thing, Error **ret_error)
{
    bool named = g_str_has_suffix(wish->name, ".qcow2");
    if (named != (format == IMAGE_QCOW2))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Name it so, or choose another format",
            "the name of a qcow2 volume ends in \".qcow2\", and no other does");
    if (wish->overlay && format != IMAGE_QCOW2)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Choose a name that ends in \".qcow2\"", "only a qcow2 volume can be over another one");
    return true;
}

/* Whether something new of that name can be made there; its format, and the work, which has not begun. */
static bool check_new(Pool *pool, const VolumeWish *wish, ImageFormat *ret_format, Error **ret_error)
{
    g_autofree char *thing = thing_of(pool, wish->name);
    ImageFormat format = wish->format_set ? wish->format : g_str_has_suffix(wish->name, ".qcow2") ? IMAGE_QCOW2 : IMAGE_RAW;
    if (!pool_check_running(pool, ret_error) || !check_format(wish, format, thing, ret_error))
        return false;
    *ret_format = format;
    if (pool_find_volume(pool, wish->name) || is_being_made(pool, wish->name))
        return error_set(ret_error, ERROR_EXISTS, thing, "Choose another name, or delete it first", "there is one of this name");
    return true;
}

static VolumeWork *work_of_wish(Pool *pool, const VolumeWish *wish, const WorkKind *kind, ImageFormat format)
{
    VolumeWork *work = work_new(pool, kind, wish->name, wish->image ? geteuid() : wish->owner);
    work->format = format;
    work->size = work->files->size = wish->size;
    work->preallocation = wish->preallocation;
    work->compress = wish->compress;
    work->files->allocate = wish->preallocation == PREALLOCATE_FULL;
    if (wish->image)
        work->files->mode = IMAGE_MODE;
    return work;
}

bool volume_make(Pool *pool, const VolumeWish *wish, const char **ret_job_path, Error **ret_error)
{
    g_autofree char *thing = thing_of(pool, wish->name);
    const Volume *source = NULL;
    ImageFormat format;
    if (!pool_check_running(pool, ret_error) || (wish->from && !pool_check_running(wish->from, ret_error)))
        return false;
    if (wish->from && !(source = pool_find_volume_or_error(wish->from, wish->volume, ret_error)))
        return false;
    if (!check_new(pool, wish, &format, ret_error))
        return false;
    if (!source && wish->size == 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Give it one, such as 20G", "it has no size");
    if (source && !wish->overlay && wish->size > 0 && wish->size < source->size)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "it cannot be smaller than what it is made from");

    VolumeWork *work = work_of_wish(pool, wish, kind_of_wish(wish, source, format), format);
    if (source) {
        work->files->source = g_build_filename(wish->from->path, source->name, NULL);
        work->files->source_format = image_format_to_string(source->format);
    }
    *ret_job_path = work->job->path;
    begin(work);
    return true;
}

bool volume_import(Pool *pool, const VolumeWish *wish, int fd, const char *format_name, const char **ret_job_path, Error **ret_error)
{
    ImageFormat format;
    if (!foreign_format(format_name))
        return error_set(ret_error, ERROR_UNSUPPORTED, "format", "There are raw, qcow2, vmdk, vdi, vhdx and vpc", "there is no format \"%.32s\"", format_name);
    if (!check_new(pool, wish, &format, ret_error))
        return false;
    bool over = wish->backing && wish->backing->len > 0;
    if (over && (!g_str_equal(format_name, "qcow2") || wish->backing->len >= IMAGE_CHAIN_MAX))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "backing", NULL, "a qcow2 image can be over up to %d others, and no other can", IMAGE_CHAIN_MAX - 1);
    fd_cleanup int copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (copy < 0)
        return error_set_errno(ret_error, errno, wish->name, "the image's descriptor cannot be copied");
    VolumeWork *work = work_of_wish(pool, wish, &import_kind, format);
    for (guint i = 0; over && i < wish->backing->len; i++) {
        int below = fcntl(g_array_index(wish->backing, int, i), F_DUPFD_CLOEXEC, 3);
        g_array_append_val(work->files->backing_fds, below);
    }
    work->files->import_fd = copy;
    work->files->source_format = foreign_format(format_name);
    copy = -1;
    *ret_job_path = work->job->path;
    begin(work);
    return true;
}

static bool check_sum(const char *sum, size_t length, const char *what, Error **ret_error)
{
    bool valid = !sum || (strlen(sum) == length && strspn(sum, "0123456789abcdefABCDEF") == length);
    return valid || error_set(ret_error, ERROR_INVALID_SETTINGS, what, NULL, "it has %zu hexadecimal digits", length);
}

static bool check_lists(const PullWish *wish, Error **ret_error)
{
    if (!wish->list || !wish->signature)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "keyring", "Give their URLs as sums and signature", "checksums and their signature are not given");
    return download_check_url(wish->list, ret_error) && download_check_url(wish->signature, ret_error) && signature_check_program(ret_error);
}

bool volume_pull(Pool *pool, const PullWish *wish, const char **ret_job_path, Error **ret_error)
{
    const VolumeWish volume = {.name = wish->name, .image = true};
    ImageFormat format;
    if (!download_check_url(wish->url, ret_error) || (wish->proxy && !download_check_proxy(wish->proxy, ret_error)) ||
        (name_packing(wish->url) && !unpack_check(wish->url, ret_error)) || !check_sum(wish->sums[0], SHA256_DIGITS, "sha256", ret_error) ||
        !check_sum(wish->sums[1], SHA512_DIGITS, "sha512", ret_error))
        return false;
    if (!wish->sums[0] && !wish->sums[1] && wish->keyring < 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, wish->url, "Its makers publish one; give it as sha256 or sha512", "no checksum is given");
    if (wish->keyring >= 0 && !check_lists(wish, ret_error))
        return false;
    if (wish->max_size == 0 || wish->max_size > INT64_MAX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "max-size", NULL, "it cannot be meant");
    if (!check_new(pool, &volume, &format, ret_error))
        return false;
    fd_cleanup int keyring = wish->keyring >= 0 ? fcntl(wish->keyring, F_DUPFD_CLOEXEC, 3) : -1;
    if (wish->keyring >= 0 && keyring < 0)
        return error_set_errno(ret_error, errno, "keyring", "its descriptor cannot be copied");
    VolumeWork *work = work_of_wish(pool, &volume, &pull_kind, format);
    work->url = g_strdup(wish->url);
    work->proxy = g_strdup(wish->proxy);
    work->files->packed = name_packing(wish->url);
    work->files->keyring_fd = keyring;
    keyring = -1;
    work->list = wish->keyring >= 0 ? g_strdup(wish->list) : NULL;
    work->signature = g_strdup(wish->signature);
    work->max_size = wish->max_size;
    for (size_t i = 0; i < G_N_ELEMENTS(wish->sums); i++)
        work->files->sums[i] = g_strdup(wish->sums[i]);
    *ret_job_path = work->job->path;
    begin(work);
    return true;
}

bool volume_finish_upload(Pool *pool, const char *name, uid_t owner, const char **ret_job_path, Error **ret_error)
{
    const VolumeWish wish = {.name = name, .owner = owner};
    ImageFormat format;
    if (!check_new(pool, &wish, &format, ret_error))
        return false;
    VolumeWork *work = work_of_wish(pool, &wish, &upload_kind, format);
    work->files->uploaded = true;
    g_free(work->files->part);
    work->files->part = upload_name(name, owner);
    *ret_job_path = work->job->path;
    begin(work);
    return true;
}

/* What others are made from stays as it is. */
static bool check_change(Pool *pool, const Volume *volume, Error **ret_error)
{
    g_autofree char *thing = thing_of(pool, volume->name), *overlay = volume_overlay(pool, volume);
    if (overlay)
        return error_set(ret_error, ERROR_IN_USE, thing, NULL, "%s is over it", overlay);
    if (is_being_made(pool, volume->name))
        return error_set(ret_error, ERROR_BUSY, thing, "Wait for it, or cancel it (vmctl jobs)", "a job works on it");
    return pool_check_running(pool, ret_error);
}

bool volume_resize(Pool *pool, const Volume *volume, uint64_t size, bool shrink, const char **ret_job_path, Error **ret_error)
{
    g_autofree char *thing = thing_of(pool, volume->name);
    if (!check_change(pool, volume, ret_error))
        return false;
    if (size < volume->size && !shrink)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Make its file systems smaller first, then say that it may shrink",
            "it would lose what is at its end");
    VolumeWork *work = work_new(pool, &resize_kind, volume->name, volume->owner);
    work->size = work->files->size = size;
    *ret_job_path = work->job->path;
    begin(work);
    return true;
}

bool volume_wipe(Pool *pool, const Volume *volume, const char **ret_job_path, Error **ret_error)
{
    if (!check_change(pool, volume, ret_error))
        return false;
    VolumeWork *work = work_new(pool, &wipe_kind, volume->name, volume->owner);
    *ret_job_path = work->job->path;
    begin(work);
    return true;
}
