/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "work.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "name.h"

static void disk_free(void *userdata)
{
    Disk *disk = userdata;
    g_free(disk->section);
    g_free(disk->name);
    g_free(disk->stem);
    g_free(disk->path);
    g_free(disk->node);
    g_free(disk->since);
    g_free(disk->checkpoint);
    g_ptr_array_unref(disk->stale);
    close_fd(&disk->scratch_fd);
    close_fd(&disk->target_fd);
    g_free(disk->backing);
    image_free(disk->image);
    g_free(disk);
}

BackupWork *backup_work_new(VM *vm, const BackupStep *steps)
{
    BackupWork *work = g_new0(BackupWork, 1);
    work->vm = vm;
    work->next = steps;
    work->live = vm->instance != NULL;
    work->socket = work->tpm_fd = -1;
    work->sets = SET_BASE + (unsigned) (g_get_monotonic_time() / 1000 % SET_BLOCKS) * SET_BLOCK;
    work->disks = g_ptr_array_new_with_free_func(disk_free);
    work->images = g_array_new(FALSE, FALSE, sizeof(ImageIdentity));
    vm->backup = work;
    return work;
}

Disk *backup_add_disk(BackupWork *work, const char *section)
{
    Disk *disk = g_new0(Disk, 1);
    disk->section = g_strdup(section);
    disk->name = g_strdup(section + strlen("Disk "));
    disk->stem = machine_disk_stem(disk->name);
    disk->nvram = g_str_equal(disk->name, NVRAM_DISK);
    disk->stale = g_ptr_array_new_with_free_func(g_free);
    disk->scratch_fd = disk->target_fd = -1;
    g_ptr_array_add(work->disks, disk);
    return disk;
}

void backup_free(BackupWork *work)
{
    Qmp *qmp = work ? backup_qmp(work) : NULL;
    if (!work)
        return;
    if (qmp)
        qmp_forget(qmp, work);
    sd_event_source_disable_unref(work->soon);
    sd_bus_track_unref(work->caller);
    vm_quiesce_end(work->quiescing);
    task_abandon(work->task);
    sources_abandon(work->opening);
    settings_free(work->settings);
    worker_free(work->worker);
    worker_free(work->server);
    script_free(work->script);
    g_array_unref(work->images);
    g_ptr_array_unref(work->disks);
    g_free(work->since);
    g_free(work->checkpoint);
    close_fd(&work->socket);
    close_fd(&work->tpm_fd);
    error_free(work->error);
    g_free(work);
}

char *backup_node(const Disk *disk, const char *what)
{
    return g_strdup_printf("%s-%s", disk->stem, what);
}

unsigned backup_set(const BackupWork *work, const Disk *disk, unsigned which)
{
    guint i = 0;
    (void) g_ptr_array_find(work->disks, disk, &i);
    return work->sets + i * SETS_OF_DISK + which;
}

/* ---- scripts ---- */

Qmp *backup_qmp(const BackupWork *work)
{
    if (!work->live)
        return work->worker ? worker_qmp(work->worker) : NULL;
    const Instance *instance = work->vm->instance;
    return instance && instance->monitor_ready ? instance->qmp : NULL;
}

/* What the filter gives to read when it could not keep it (fix.c) is EACCES. */
static Error *explain(const BackupWork *work, const Error *error)
{
    Error *explained = NULL;
    if (!work->live || !work->copying || !strstr(error->cause, g_strerror(EACCES)))
        return error_copy(error);
    error_set(&explained, ERROR_NO_SPACE, work->copying->section, "Make room beside its image, and try again",
        "what the guest has overwritten meanwhile could not be kept: its scratch file had no room, or did not answer");
    return explained;
}

static void scripted(BackupWork *work, const Error *error)
{
    if (error)
        return backup_fail(work, explain(work, error));
    work->scripted(work);
}

static void on_script(const Error *error, void *userdata)
{
    BackupWork *work = userdata;
    g_clear_pointer(&work->script, script_free);
    scripted(work, error);
}

static void on_worker(Worker *worker, const Error *error, void *userdata)
{
    scripted(userdata, error);
}

/* The disks are copied one after the other. */
static void on_progress(double progress, void *userdata)
{
    const BackupWork *work = userdata;
    uint64_t all = 0;
    for (guint i = 0; i < work->disks->len; i++)
        all += ((const Disk *) work->disks->pdata[i])->size;
    if (work->job && work->copying && all > 0)
        job_set_progress(work->job, ((double) work->copied + progress * (double) work->copying->size) / (double) all);
}

static void on_worker_progress(Worker *worker, double progress, void *userdata)
{
    on_progress(progress, userdata);
}

Script *backup_script(BackupWork *work)
{
    Manager *manager = work->vm->manager;
    if (work->live) {
        script_free(work->script);
        return work->script = script_new(manager->event, BACKUP_JOB);
    }
    if (work->worker)
        return worker_more(work->worker);
    work->worker = worker_new(manager->event, manager->scopes, manager->user);
    return worker_script(work->worker);
}

void backup_run(BackupWork *work, BackupStep then)
{
    Error *error = NULL;
    Qmp *qmp = backup_qmp(work);
    work->scripted = then;
    if (work->live && qmp)
        return script_run(work->script, qmp, on_script, on_progress, work);
    if (work->live) {
        error_set(&error, ERROR_NOT_RUNNING, work->vm->name, NULL, "its QEMU cannot be asked any more");
        return backup_fail(work, error);
    }
    if (qmp)
        return worker_go_on(work->worker);
    g_autofree char *binary = qemu_default_binary(&error), *unit = worker_unit();
    if (!binary || !worker_start(work->worker, binary, unit, on_worker, on_worker_progress, work, &error))
        backup_fail(work, error);
}

/* ---- the course of it ---- */

static void tell(BackupWork *work, const Error *error)
{
    BackupBegun begun = work->begun;
    work->begun = NULL;
    if (begun)
        begun(NULL, false, NULL, 0, error, work->begun_userdata);
}

void backup_finish(BackupWork *work)
{
    VM *vm = work->vm;
    Manager *manager = vm->manager;
    Job *job = work->job;
    VMDone ended = work->ended;
    void *userdata = work->ended_userdata;
    g_autoptr(Error) error = g_steal_pointer(&work->error);
    tell(work, error);
    vm->backup = NULL;
    backup_free(work);
    if (job)
        job_finish(job, error);
    if (ended)
        ended(error, userdata);
    vm_settle(vm);
    manager_check_idle(manager);
}

void backup_fail(BackupWork *work, Error *error)
{
    if (work->error) /* what is undone cannot be undone */
        error_free(error);
    else
        work->error = error;
    if (work->serving)
        backup_take_back(work);
    if (work->undoing || !work->in_qemu || !backup_qmp(work))
        return backup_finish(work);
    backup_undo(work);
}

void backup_next(BackupWork *work)
{
    if (*work->next)
        (*work->next++)(work);
    else
        backup_finish(work);
}

/* ---- what others ask, and what happens to the VM ---- */

bool vm_check_unbacked(const VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!vm->backup || vm->backup->serving)
        return true;
    if (!vm->backup->job)
        return error_set(ret_error, ERROR_BUSY, thing, "Try again", "what is left of a backup that was interrupted is being taken away");
    return error_set(ret_error, ERROR_BUSY, thing, "Wait for its job, or cancel it (vmctl jobs)", "it is being backed up");
}

bool backup_holds_guest(const BackupWork *work)
{
    return work->holding;
}

GArray *backup_images(const BackupWork *work)
{
    return work->images;
}

bool backup_event(BackupWork *work, const char *name, const json_t *data)
{
    if (work->script && script_event(work->script, name, data))
        return true;
    return work->holding && (g_str_equal(name, "STOP") || g_str_equal(name, "RESUME"));
}

void backup_instance_ended(BackupWork *work)
{
    Error *error = NULL;
    if (!work->live || work->serving)
        return;
    g_clear_pointer(&work->script, script_free);
    error_set(&error, ERROR_NOT_RUNNING, work->vm->name, NULL, "the VM has ended meanwhile");
    if (work->error)
        error_free(error);
    else
        work->error = error;
    backup_finish(work);
}
