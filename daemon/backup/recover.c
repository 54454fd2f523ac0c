/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* A vmd that is killed leaves filters, exports and a job in the QEMU of a VM that runs. What it would take to undo them stands in a
 * file of the instance's folder, `backup`, before QEMU is told anything:
 *
 *     [Backup]              [Disk root]
 *     Running=yes           Node=root-node0
 *     Sets=1049600 */

#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "settings.h"
#include "work.h"

#define POLL_USEC (100 * 1000)

static char *record_path(const VM *vm)
{
    return g_build_filename(vm->instance->dir, "backup", NULL);
}

void backup_forget_record(const VM *vm)
{
    if (!vm->instance)
        return;
    g_autofree char *path = record_path(vm);
    (void) unlink(path);
}

void backup_record(BackupWork *work)
{
    Error *error = NULL;
    if (!work->live)
        return backup_next(work);
    g_autoptr(GKeyFile) file = g_key_file_new();
    g_key_file_set_boolean(file, "Backup", "Running", work->vm->state == VM_RUNNING);
    g_key_file_set_uint64(file, "Backup", "Sets", work->sets);
    for (guint i = 0; i < work->disks->len; i++) {
        const Disk *disk = work->disks->pdata[i];
        g_key_file_set_string(file, disk->section, "Node", disk->node);
    }
    g_autofree char *path = record_path(work->vm), *text = g_key_file_to_data(file, NULL, NULL);
    int r = settings_write(path, text, 0600, false);
    if (r < 0) {
        error_set_errno(&error, r, path, "it cannot be written");
        return backup_fail(work, error);
    }
    backup_next(work);
}

/* ---- the next vmd ---- */

static void end_job(BackupWork *work);

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    end_job(userdata);
    return 0;
}

/* Gone, or to be dismissed, or still about to end. */
static void on_jobs(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    BackupWork *work = userdata;
    bool there = false;
    size_t i;
    json_t *job;
    json_array_foreach((json_t *) result, i, job)
        there |= g_strcmp0(json_string_value(json_object_get(job, "id")), BACKUP_JOB) == 0;
    if (!there)
        return backup_undo(work);
    (void) qmp_call(qmp, "job-dismiss", json_pack("{ss}", "id", BACKUP_JOB), -1, 0, NULL, NULL);
    work->soon = sd_event_source_disable_unref(work->soon);
    if (sd_event_add_time_relative(work->vm->manager->event, &work->soon, CLOCK_MONOTONIC, POLL_USEC, 0, on_timer, work) < 0)
        backup_undo(work);
}

static void end_job(BackupWork *work)
{
    Qmp *qmp = backup_qmp(work);
    if (!qmp || qmp_call(qmp, "query-jobs", NULL, -1, BACKUP_QMP_USEC, on_jobs, work) < 0)
        backup_finish(work);
}

void backup_recover(VM *vm)
{
    static const BackupStep none[] = {NULL};
    g_autofree char *path = record_path(vm);
    g_autoptr(GKeyFile) file = g_key_file_new();
    if (vm->backup || !g_key_file_load_from_file(file, path, G_KEY_FILE_NONE, NULL))
        return;
    BackupWork *work = backup_work_new(vm, none);
    g_auto(GStrv) groups = g_key_file_get_groups(file, NULL);
    for (char **group = groups; *group; group++) {
        if (!g_str_has_prefix(*group, "Disk "))
            continue;
        Disk *disk = backup_add_disk(work, *group);
        disk->node = g_key_file_get_string(file, *group, "Node", NULL);
    }
    work->in_qemu = true;
    work->sets = (unsigned) g_key_file_get_uint64(file, "Backup", "Sets", NULL);
    /* It may have been killed while the guest stood still. */
    work->was_running = g_key_file_get_boolean(file, "Backup", "Running", NULL);
    (void) qmp_call(vm->instance->qmp, "job-cancel", json_pack("{ss}", "id", BACKUP_JOB), -1, 0, NULL, NULL);
    end_job(work);
}
