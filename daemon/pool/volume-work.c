/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume-work.h"

#include <string.h>

#include "build.h"
#include "claims.h"
#include "cleanup.h"
#include "resize.h"

#define PROGRESS_USEC (200 * 1000)

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
        begin_task(work, volume_files_unpacked, on_looked_at, false);
}

static void on_unpack_progress(Unpack *unpack, double progress, void *userdata)
{
    job_set_progress(((VolumeWork *) userdata)->job, progress);
}

static void begin_unpack(VolumeWork *work)
{
    Error *error = NULL;
    g_autofree char *unit = worker_unit();
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
    g_autofree char *unit = worker_unit();
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
    g_autofree char *unit = worker_unit();
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

static void begin_on_image(VolumeWork *work);

static void on_monitor(const Error *error, void *userdata)
{
    begin_on_image(userdata);
}

/* By the VM that runs with it, where one does. */
static bool resize_live(VolumeWork *work, Error **ret_error)
{
    const char *disk;
    const Image *image = work->files->image;
    VM *vm = work->kind->live ? claim_find_disk(work->manager, image, &disk) : NULL;
    if (!vm)
        return false;
    if (vm_await_monitor(vm, on_monitor, work))
        return true;
    if (work->size < image->size)
        (void) error_set(ret_error, ERROR_IN_USE, work->files->name, "Stop the VM first", "VM \"%s\" uses it, and so it can only grow", vm->name);
    else
        (void) vm_resize_disk(vm, disk, work->size, on_resized, work, ret_error);
    return true;
}

static void begin_on_image(VolumeWork *work)
{
    Error *error = NULL;
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

static void on_opened(void *data, void *userdata)
{
    VolumeWork *work = userdata;
    if (!task_ended(work, data))
        return;
    if (!work->kind->make)
        work->format = work->files->image->format;
    begin_on_image(work);
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

VolumeWork *volume_work_new(Pool *pool, const WorkKind *kind, const char *name, uid_t owner)
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

void volume_work_begin(VolumeWork *work)
{
    if (work->files->source || work->files->import_fd >= 0)
        begin_task(work, volume_files_source, on_source, true);
    else if (work->files->keyring_fd >= 0)
        begin_task(work, volume_files_keyring, on_source, true);
    else
        begin_task(work, volume_files_open, on_opened, true);
}
