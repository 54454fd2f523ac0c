/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A backup is asked for: whether it can be meant, and its steps. */

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "name.h"
#include "nvram.h"
#include "work.h"

#define BACKING_MAX 1023U /* qcow2's */

static void target_clear(void *userdata)
{
    BackupTarget *target = userdata;
    g_free(target->disk);
    g_free(target->backing);
    close_fd(&target->fd);
}

GArray *backup_targets_new(void)
{
    GArray *targets = g_array_new(FALSE, FALSE, sizeof(BackupTarget));
    g_array_set_clear_func(targets, target_clear);
    return targets;
}

static const BackupStep push_steps[] = {backup_open, backup_look, backup_record, backup_fix, backup_copy, backup_commit, backup_undo, NULL};
static const BackupStep pull_steps[] = {backup_open, backup_look, backup_record, backup_fix, backup_copy, backup_commit, backup_undo, backup_serve};

/* ---- what the caller hands over ---- */

static bool check_target(const BackupTarget *target, Error **ret_error)
{
    struct stat st;
    int flags = fcntl(target->fd, F_GETFL);
    g_autofree char *thing = g_strdup_printf("disk \"%.64s\"", target->disk);
    if (fstat(target->fd, &st) < 0 || flags < 0)
        return error_set_errno(ret_error, errno, thing, "the file for it cannot be looked at");
    if (!S_ISREG(st.st_mode) || (flags & O_ACCMODE) != O_RDWR || (flags & O_APPEND) || st.st_size > 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "what it is to be written to must be an empty file, open for reading and writing");
    return strlen(target->backing) <= BACKING_MAX || error_set(ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "the name of what it is over is too long");
}

static bool check_socket(int fd, Error **ret_error)
{
    int listening = 0, domain = 0;
    socklen_t length = sizeof listening, domain_length = sizeof domain;
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &length) < 0 || getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &domain_length) < 0 ||
        !listening || domain != AF_UNIX)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "socket", NULL, "it is no unix socket that listens");
    return true;
}

/* To write into it waits for no file system. */
static bool check_memfd(int fd, Error **ret_error)
{
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    if (seals < 0 || seals & (F_SEAL_WRITE | F_SEAL_GROW) || fstat(fd, &st) < 0 || st.st_size > 0)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "tpm", NULL, "it is no empty memfd that can be written to");
    return true;
}

static bool check(VM *vm, const BackupWish *wish, Error **ret_error)
{
    if (!vm_check_unworked(vm, ret_error) || (vm->instance && !vm_check_idle(vm, ret_error)))
        return false;
    if (vm->state == VM_SAVED)
        return error_set(ret_error, ERROR_BUSY, vm->name, "Start it first", "it is saved, and what it will still write is not on its disks");
    if (vm->instance && vm->instance->hotplug)
        return error_set(ret_error, ERROR_BUSY, vm->name, "Try again", "a device is just being attached or detached");
    if ((wish->since && !name_check(wish->since, ret_error)) || (wish->checkpoint && !name_check(wish->checkpoint, ret_error)))
        return false;
    for (guint i = 0; wish->targets && i < wish->targets->len; i++)
        if (!check_target(&g_array_index(wish->targets, BackupTarget, i), ret_error))
            return false;
    return (wish->tpm < 0 || check_memfd(wish->tpm, ret_error)) && (wish->targets || check_socket(wish->socket, ret_error));
}

/* ---- disks ---- */

static Disk *add_disk(BackupWork *work, const char *section, Error **ret_error)
{
    bool volume;
    g_autofree char *path = manager_find_source(work->vm->manager, settings_get_string(work->settings, section, "Source"), &volume, ret_error);
    if (!path)
        return NULL;
    Disk *disk = backup_add_disk(work, section);
    disk->path = g_steal_pointer(&path);
    disk->volume = volume;
    return disk;
}

/* False: it has none. */
static bool add_nvram(BackupWork *work, BackupTarget *target)
{
    g_autofree char *path = vm_find_nvram(work->vm, work->settings);
    if (!path)
        return false;
    Disk *disk = backup_add_disk(work, NVRAM_SECTION);
    disk->path = g_steal_pointer(&path);
    disk->volume = true;
    if (target)
        disk->target_fd = steal_fd(&target->fd);
    disk->backing = g_strdup("");
    return true;
}

static bool add_targets(BackupWork *work, GArray *targets, Error **ret_error)
{
    for (guint i = 0; i < targets->len; i++) {
        BackupTarget *target = &g_array_index(targets, BackupTarget, i);
        g_autofree char *section = g_strdup_printf("Disk %s", target->disk);
        bool nvram = g_str_equal(target->disk, NVRAM_DISK);
        if (!nvram && (!device_name_is_valid(target->disk) || !machine_disk_is_written(work->settings, section)))
            return error_set(ret_error, ERROR_NO_SUCH_DEVICE, work->vm->name, NULL, "it has no disk \"%.64s\" that it writes to", target->disk);
        for (guint j = 0; j < work->disks->len; j++)
            if (g_str_equal(((const Disk *) work->disks->pdata[j])->section, section))
                return error_set(ret_error, ERROR_INVALID_SETTINGS, section, NULL, "it is named twice");
        if (nvram) {
            (void) add_nvram(work, target);
            continue;
        }
        Disk *disk = add_disk(work, section, ret_error);
        if (!disk)
            return false;
        disk->target_fd = steal_fd(&target->fd);
        disk->backing = g_strdup(target->backing);
    }
    return true;
}

static bool add_all(BackupWork *work, Error **ret_error)
{
    g_autofree const char **sections = settings_sections(work->settings, "Disk");
    for (size_t i = 0; sections && sections[i]; i++)
        if (machine_disk_is_written(work->settings, sections[i]) && !add_disk(work, sections[i], ret_error))
            return false;
    (void) add_nvram(work, NULL);
    return true;
}

static bool add_disks(BackupWork *work, const BackupWish *wish, Error **ret_error)
{
    if (!(wish->targets ? add_targets(work, wish->targets, ret_error) : add_all(work, ret_error)))
        return false;
    return work->disks->len > 0 ||
        error_set(ret_error, ERROR_UNSUPPORTED, work->vm->name, NULL, "it has no disk that it writes to, so there is nothing to be backed up");
}

/* ---- ends that come from outside ---- */

static void stop_work(BackupWork *work, Error *error)
{
    if (work->undoing || work->error)
        return error_free(error);
    work->error = error;
    Script *script = work->serving ? NULL : work->live ? work->script : work->worker ? worker_script(work->worker) : NULL;
    if (!script)
        return backup_fail(work, NULL);
    script_cancel(script);
}

static void cancel(Job *job, void *userdata)
{
    Error *error = NULL;
    error_set(&error, ERROR_CANCELLED, NULL, NULL, "it was cancelled");
    stop_work(userdata, error);
}

static int on_caller_left(sd_bus_track *track, void *userdata)
{
    Error *error = NULL;
    error_set(&error, ERROR_CANCELLED, NULL, NULL, "its caller has left the bus");
    stop_work(userdata, error);
    return 0;
}

static bool follow_caller(BackupWork *work, const char *caller, Error **ret_error)
{
    int r = sd_bus_track_new(work->vm->manager->bus, &work->caller, on_caller_left, work);
    if (r >= 0 && caller)
        r = sd_bus_track_add_name(work->caller, caller);
    return r >= 0 || error_set_errno(ret_error, r, work->vm->name, "its caller cannot be followed");
}

static int on_begin(sd_event_source *source, void *userdata)
{
    backup_next(userdata);
    return 0;
}

static bool prepare(BackupWork *work, const BackupWish *wish, Error **ret_error)
{
    work->settings = vm_load_current_settings(work->vm, ret_error);
    if (!work->settings || !add_disks(work, wish, ret_error) || !follow_caller(work, wish->caller, ret_error))
        return false;
    work->socket = wish->targets ? -1 : fcntl(wish->socket, F_DUPFD_CLOEXEC, 3);
    if (!wish->targets && work->socket < 0)
        return error_set_errno(ret_error, errno, "socket", "it cannot be copied");
    work->tpm_fd = wish->tpm < 0 ? -1 : fcntl(wish->tpm, F_DUPFD_CLOEXEC, 3);
    if (wish->tpm >= 0 && work->tpm_fd < 0)
        return error_set_errno(ret_error, errno, "tpm", "it cannot be copied");
    int r = sd_event_add_defer(work->vm->manager->event, &work->soon, on_begin, work);
    return r >= 0 || error_set_errno(ret_error, r, work->vm->name, "it cannot be begun");
}

bool vm_backup(VM *vm, const BackupWish *wish, BackupBegun begun, void *userdata, Error **ret_error)
{
    if (!check(vm, wish, ret_error))
        return false;
    BackupWork *work = backup_work_new(vm, wish->targets ? push_steps : pull_steps);
    work->pull = !wish->targets;
    work->compress = wish->compress;
    work->bandwidth = wish->bandwidth;
    work->since = g_strdup(wish->since);
    work->checkpoint = g_strdup(wish->checkpoint);
    work->quiesce = wish->quiesce;
    if (!prepare(work, wish, ret_error)) {
        vm->backup = NULL;
        backup_free(work);
        return false;
    }
    g_autofree char *path = vm_object_path(vm);
    work->job = job_new(vm->manager->jobs, JOB_CREATE_BACKUP, path, cancel, work);
    work->begun = begun;
    work->begun_userdata = userdata;
    return true;
}

bool vm_backup_end(VM *vm, bool keep, VMDone done, void *userdata, Error **ret_error)
{
    BackupWork *work = vm->backup;
    g_autofree char *thing = vm_thing(vm);
    if (!work || !work->offered)
        return error_set(ret_error, ERROR_NO_SUCH_JOB, thing, NULL, "no backup of it is offered");
    work->ended = done;
    work->ended_userdata = userdata;
    if (!keep)
        backup_take_back(work);
    backup_finish(work);
    return true;
}
