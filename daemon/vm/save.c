/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Save: QEMU writes its state into a file that vmd opened, then ends; Start reads it back (start.c).
 *
 *     STATE_DIR/saved/NAME.partial    while it is written
 *                     NAME.settings   what the VM ran with, and
 *                     NAME.machine    the full machine name: a state fits only the machine that wrote it
 *                     NAME.state      the state, there only when it is whole and on disk; its being there
 *                                     is what makes a VM "saved"
 *
 * Until the rename nothing is lost: a failure of any kind lets the guest go on. */

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "backup.h"
#include "cleanup.h"
#include "manager.h"
#include "plugs.h"
#include "redirections.h"
#include "sync.h"
#include "steps.h"

#define PROGRESS_USEC (200 * 1000)
#define FD_NAME "vmd-save"

struct Save {
    VM *vm;
    Job *job;
    int fd;
    VMState before;
    bool complete;
    Error *error;
    sd_event_source *progress;
    Task *sync; /* of the whole state */
};

static void save_free(Save *save)
{
    task_abandon(save->sync);
    sd_event_source_disable_unref(save->progress);
    close_fd(&save->fd);
    error_free(save->error);
    g_free(save);
}

static void remove_files(const VM *vm, const char *const *suffixes)
{
    for (size_t i = 0; suffixes[i]; i++) {
        g_autofree char *path = vm_saved_path(vm, suffixes[i]);
        (void) unlink(path);
    }
}

void vm_delete_saved(VM *vm)
{
    /* The state first: what is left without it means nothing. */
    static const char *const suffixes[] = {"state", "settings", "machine", "partial", NULL};
    remove_files(vm, suffixes);
}

bool vm_discard_saved(VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!vm_check_unworked(vm, ret_error))
        return false;
    if (vm->state != VM_SAVED)
        return error_set(ret_error, ERROR_BUSY, thing, NULL, "it is %s, so it has no saved state", vm_state_to_string(vm->state));
    vm_delete_saved(vm);
    vm_set_state(vm, VM_STOPPED, REASON_REQUESTED, NULL);
    vm_settle(vm);
    return true;
}

static const char *const unfinished[] = {"partial", "settings", "machine", NULL};

bool save_was_interrupted(const VM *vm)
{
    g_autofree char *partial = vm_saved_path(vm, "partial");
    if (access(partial, F_OK) < 0)
        return false;
    remove_files(vm, unfinished);
    return true;
}

/* The guest goes on; what was written goes. */
static void save_fail(Save *save, const Error *error)
{
    VM *vm = save->vm;
    Job *job = save->job;
    VMState before = save->before;
    g_autoptr(Error) copy = error_copy(error);
    g_autofree char *message = error_message(error);

    remove_files(vm, unfinished);
    if (before == VM_RUNNING)
        (void) qmp_call(vm->instance->qmp, "cont", NULL, -1, 0, NULL, NULL);
    vm->instance->save = NULL;
    save_free(save);
    usb_release(vm);
    vm_set_state(vm, before, REASON_REQUESTED, error->code == ERROR_CANCELLED ? NULL : message);
    job_finish(job, copy);
}

static bool commit(const Save *save, int synced, Error **ret_error)
{
    const VM *vm = save->vm;
    g_autofree char *partial = vm_saved_path(vm, "partial"), *state = vm_saved_path(vm, "state");
    if (synced < 0)
        return error_set_errno(ret_error, synced, partial, "the saved state cannot be written to disk");
    if (rename(partial, state) < 0)
        return error_set_errno(ret_error, errno, state, "the saved state cannot be put in place");
    fd_cleanup int dir = open(vm->manager->dirs->saved, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir >= 0)
        (void) fsync(dir);
    return true;
}

static void on_failed(Save *save, const char *status)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *thing = vm_thing(save->vm);
    if (save->job->state == JOB_CANCELLING)
        error_set(&error, ERROR_CANCELLED, thing, NULL, "the save was cancelled");
    else
        sync_explain(save->fd, thing, "its state", status, &error);
    save_fail(save, error);
}

static void on_synced(int r, void *userdata)
{
    Save *save = userdata;
    g_autoptr(Error) error = NULL;
    save->sync = NULL;
    if (save->job->state == JOB_CANCELLING)
        return on_failed(save, "cancelled");
    if (!commit(save, r, &error))
        return save_fail(save, error);
    save->complete = true;
    /* Nothing of this QEMU matters any more, and its disks must not be touched again: no orderly end. */
    instance_kill(save->vm->instance);
}

static void on_completed(Save *save)
{
    save->progress = sd_event_source_disable_unref(save->progress);
    int r = sync_begin(save->vm->manager->event, save->fd, on_synced, save, &save->sync);
    if (r < 0)
        on_synced(r, save);
}

bool save_event(Save *save, const char *name, const json_t *data)
{
    if (g_str_equal(name, "STOP") || g_str_equal(name, "RESUME"))
        return true;
    if (!g_str_equal(name, "MIGRATION"))
        return false;
    const char *status = json_string_value(json_object_get(data, "status"));
    if (status && g_str_equal(status, "completed"))
        on_completed(save);
    else if (status && (g_str_equal(status, "failed") || g_str_equal(status, "cancelled")))
        on_failed(save, status);
    return true;
}

bool save_ended(Save *save)
{
    bool complete = save->complete;
    Job *job = save->job;
    g_autoptr(Error) error = NULL;
    if (!complete) {
        remove_files(save->vm, unfinished);
        error_set(&error, ERROR_QEMU_FAILED, save->vm->name, NULL, "QEMU ended while its state was being saved");
    }
    save->vm->instance->save = NULL;
    save_free(save);
    job_finish(job, error);
    return complete;
}

static void on_query(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    VM *vm = userdata;
    Save *save = vm->instance ? vm->instance->save : NULL;
    const json_t *ram = json_object_get(result, "ram");
    json_int_t total = json_integer_value(json_object_get(ram, "total")), left = json_integer_value(json_object_get(ram, "remaining"));
    if (save && total > 0 && left >= 0 && left <= total)
        job_set_progress(save->job, 1.0 - (double) left / (double) total);
}

static int on_progress(sd_event_source *source, uint64_t usec, void *userdata)
{
    Save *save = userdata;
    (void) qmp_call(save->vm->instance->qmp, "query-migrate", NULL, -1, 0, on_query, save->vm);
    (void) sd_event_source_set_time_relative(source, PROGRESS_USEC);
    return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void on_cancel(Job *job, void *userdata)
{
    Save *save = userdata;
    if (!save->complete)
        (void) qmp_call(save->vm->instance->qmp, "migrate_cancel", NULL, -1, 0, NULL, NULL);
}

/* Any step that QEMU refuses ends the save. */
static void on_step(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    VM *vm = userdata;
    if (error && vm->instance && vm->instance->save)
        save_fail(vm->instance->save, error);
}

static bool write_companions(const VM *vm, Error **ret_error)
{
    g_autofree char *running = instance_settings_path(vm->instance), *text = NULL;
    g_autoptr(GError) error = NULL;
    if (!g_file_get_contents(running, &text, NULL, &error))
        return error_set(ret_error, ERROR_FAILED, running, NULL, "%s", error->message);
    const struct {
        const char *suffix, *text;
    } files[] = {{"settings", text}, {"machine", vm->instance->machine}};
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *path = vm_saved_path(vm, files[i].suffix);
        int r = settings_write(path, files[i].text, 0600, false);
        if (r < 0)
            return error_set_errno(ret_error, r, path, "it cannot be written");
    }
    return true;
}

static int migrate(VM *vm, int fd)
{
    Qmp *qmp = vm->instance->qmp;
    int r = qmp_call(qmp, "migrate-set-capabilities",
        json_pack("{s[{ss sb}]}", "capabilities", "capability", "events", "state", 1), -1, 0, on_step, vm);
    if (r >= 0) /* a file takes what the disk takes; the default is 128 MiB/s */
        r = qmp_call(qmp, "migrate-set-parameters", json_pack("{sI}", "max-bandwidth", (json_int_t) 1 << 40), -1, 0, on_step, vm);
    if (r >= 0)
        r = qmp_call(qmp, "stop", NULL, -1, 0, on_step, vm);
    if (r >= 0)
        r = qmp_call(qmp, "getfd", json_pack("{ss}", "fdname", FD_NAME), fd, 0, on_step, vm);
    if (r >= 0)
        r = qmp_call(qmp, "migrate", json_pack("{ss}", "uri", "fd:" FD_NAME), -1, 0, on_step, vm);
    return r;
}

bool vm_save(VM *vm, const char **ret_job_path, Error **ret_error)
{
    if (!vm_check_idle(vm, ret_error) || !vm_check_unbacked(vm, ret_error) || !vm_check_memory(vm, ret_error) || !write_companions(vm, ret_error))
        return false;
    g_autofree char *partial = vm_saved_path(vm, "partial"), *path = vm_object_path(vm);
    (void) unlink(partial);
    fd_cleanup int fd = open(partial, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return error_set_errno(ret_error, errno, partial, "the saved state cannot be written");
    usb_hold(vm->instance);
    redirections_end(vm->instance);
    int r = migrate(vm, fd);
    if (r < 0) {
        usb_release(vm);
        return error_set_errno(ret_error, r, vm->name, "QEMU cannot be asked");
    }

    Save *save = g_new0(Save, 1);
    save->vm = vm;
    save->fd = steal_fd(&fd);
    save->before = vm->state;
    save->job = job_new(vm->manager->jobs, JOB_SAVE, path, on_cancel, save);
    (void) sd_event_add_time_relative(vm->manager->event, &save->progress, CLOCK_MONOTONIC, PROGRESS_USEC, 0, on_progress, save);
    vm->instance->save = save;
    *ret_job_path = save->job->path;
    vm_set_state(vm, VM_SAVING, REASON_REQUESTED, NULL);
    return true;
}
