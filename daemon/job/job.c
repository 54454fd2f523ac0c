/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "job.h"

#include "cleanup.h"

#define MANAGER_PATH "/org/vmd1"
#define MANAGER_INTERFACE "org.vmd1.Manager"
#define JOB_INTERFACE "org.vmd1.Job"

/* Progress is told when it moved by this much, not for every byte. */
#define PROGRESS_STEP 0.01

struct Jobs {
    sd_bus *bus;
    uint32_t last_id;
    GPtrArray *all; /* oldest first */
};

static const char *const job_types[_JOB_TYPE_MAX] = {
    [JOB_STOP] = "stop",
    [JOB_REBOOT] = "reboot",
    [JOB_SAVE] = "save",
    [JOB_CREATE_VOLUME] = "create-volume",
    [JOB_CLONE_VOLUME] = "clone-volume",
    [JOB_CONVERT_VOLUME] = "convert-volume",
    [JOB_IMPORT_VOLUME] = "import-volume",
    [JOB_PULL_IMAGE] = "pull-image",
    [JOB_UPLOAD_VOLUME] = "upload-volume",
    [JOB_RESIZE_VOLUME] = "resize-volume",
    [JOB_WIPE_VOLUME] = "wipe-volume",
    [JOB_CREATE_SNAPSHOT] = "create-snapshot",
    [JOB_REVERT_SNAPSHOT] = "revert-snapshot",
    [JOB_DELETE_SNAPSHOT] = "delete-snapshot",
    [JOB_CREATE_BACKUP] = "create-backup",
    [JOB_TYPE_TEXT] = "type-text",
};

static const char *const job_states[_JOB_STATE_MAX] = {
    [JOB_RUNNING] = "running",
    [JOB_CANCELLING] = "cancelling",
};

const char *job_type_to_string(JobType type)
{
    return job_types[type];
}

const char *job_state_to_string(JobState state)
{
    return job_states[state];
}

Jobs *jobs_new(sd_bus *bus)
{
    Jobs *jobs = g_new0(Jobs, 1);
    jobs->bus = sd_bus_ref(bus);
    jobs->all = g_ptr_array_new();
    return jobs;
}

static void job_free(Job *job)
{
    g_free(job->path);
    g_free(job->object);
    g_free(job);
}

void jobs_free(Jobs *jobs)
{
    if (!jobs)
        return;
    for (guint i = 0; i < jobs->all->len; i++)
        job_free(jobs->all->pdata[i]);
    g_ptr_array_free(jobs->all, TRUE);
    sd_bus_unref(jobs->bus);
    g_free(jobs);
}

Job *job_new(Jobs *jobs, JobType type, const char *object, void (*cancel)(Job *job, void *userdata), void *userdata)
{
    Job *job = g_new0(Job, 1);
    job->jobs = jobs;
    job->id = ++jobs->last_id;
    job->type = type;
    job->path = g_strdup_printf(MANAGER_PATH "/job/%u", job->id);
    job->object = g_strdup(object);
    job->owner = (uid_t) -1;
    job->progress = -1;
    job->cancel = cancel;
    job->userdata = userdata;
    g_ptr_array_add(jobs->all, job);

    (void) sd_bus_emit_object_added(jobs->bus, job->path);
    (void) sd_bus_emit_signal(jobs->bus, MANAGER_PATH, MANAGER_INTERFACE, "JobNew", "uos", job->id, job->path, object);
    return job;
}

void job_finish(Job *job, const Error *error)
{
    Jobs *jobs = job->jobs;
    const char *result = !error ? "done" : error->code == ERROR_CANCELLED ? "cancelled" : "failed";
    g_autofree char *text = error ? error_message(error) : NULL;
    g_autofree char *message = error ? g_strdup_printf("%s: %s", error_code_to_dbus(error->code), text) : g_strdup("");

    (void) sd_bus_emit_object_removed(jobs->bus, job->path);
    g_ptr_array_remove(jobs->all, job);
    (void) sd_bus_emit_signal(jobs->bus, MANAGER_PATH, MANAGER_INTERFACE, "JobRemoved", "uoss", job->id, job->path, result,
        message);
    job_free(job);
}

void job_set_progress(Job *job, double progress)
{
    double step = progress - job->progress;
    if (step < PROGRESS_STEP && step > -PROGRESS_STEP)
        return;
    job->progress = progress;
    (void) sd_bus_emit_properties_changed(job->jobs->bus, job->path, JOB_INTERFACE, "Progress", NULL);
}

bool job_cancel(Job *job, Error **ret_error)
{
    if (!job->cancel)
        return error_set(ret_error, ERROR_UNSUPPORTED, job_types[job->type], NULL, "what was begun cannot be taken back");
    if (job->state == JOB_CANCELLING)
        return true;
    job->state = JOB_CANCELLING;
    (void) sd_bus_emit_properties_changed(job->jobs->bus, job->path, JOB_INTERFACE, "State", NULL);
    job->cancel(job, job->userdata);
    return true;
}

Job *job_find(Jobs *jobs, const char *object)
{
    for (guint i = 0; i < jobs->all->len; i++) {
        Job *job = jobs->all->pdata[i];
        if (g_str_equal(job->object, object))
            return job;
    }
    return NULL;
}

Job *job_find_by_path(Jobs *jobs, const char *path)
{
    for (guint i = 0; i < jobs->all->len; i++) {
        Job *job = jobs->all->pdata[i];
        if (g_str_equal(job->path, path))
            return job;
    }
    return NULL;
}

size_t jobs_count(const Jobs *jobs)
{
    return jobs->all->len;
}

void jobs_foreach(Jobs *jobs, void (*each)(Job *job, void *userdata), void *userdata)
{
    for (guint i = 0; i < jobs->all->len; i++)
        each(jobs->all->pdata[i], userdata);
}
