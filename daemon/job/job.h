/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Job: something that can outlast a second, as callers see it: an object on the bus with a progress and
 * a Cancel(), between the signals JobNew and JobRemoved.
 *
 * The room that does the work makes a job with job_new(), reports with job_set_progress(), and ends it
 * exactly once with job_finish(), which frees it. The registry owns all jobs. `object` says what a job
 * works on; at most one job works on a VM at a time, but for the stop of one whose snapshots are merged and for text that is typed, and job_find() tells which; those on
 * volumes work on the pool, any number of them.
 * job-dbus.c is its face on the bus. */

#include <sys/types.h>
#include <systemd/sd-bus.h>

#include "error.h"

typedef enum JobType {
    JOB_STOP,
    JOB_REBOOT,
    JOB_SAVE,
    JOB_CREATE_VOLUME,
    JOB_CLONE_VOLUME,
    JOB_CONVERT_VOLUME,
    JOB_IMPORT_VOLUME,
    JOB_PULL_IMAGE,
    JOB_UPLOAD_VOLUME,
    JOB_RESIZE_VOLUME,
    JOB_WIPE_VOLUME,
    JOB_CREATE_SNAPSHOT,
    JOB_REVERT_SNAPSHOT,
    JOB_DELETE_SNAPSHOT,
    JOB_CREATE_BACKUP,
    JOB_TYPE_TEXT,
    _JOB_TYPE_MAX,
} JobType;

typedef enum JobState {
    JOB_RUNNING,
    JOB_CANCELLING,
    _JOB_STATE_MAX,
} JobState;

typedef struct Jobs Jobs;

typedef struct Job {
    Jobs *jobs;
    uint32_t id;
    JobType type;
    JobState state;
    char *path;   /* its own */
    char *object; /* the path of what it works on */
    uid_t owner;  /* of the volume that it works on; (uid_t) -1: no volume's */
    double progress;
    /* Begins to take back what was begun; the end is still told by job_finish(). NULL: cannot be cancelled. */
    void (*cancel)(struct Job *job, void *userdata);
    void *userdata;
} Job;

Jobs *jobs_new(sd_bus *bus);
void jobs_free(Jobs *jobs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Jobs, jobs_free)

Job *job_new(Jobs *jobs, JobType type, const char *object, void (*cancel)(Job *job, void *userdata), void *userdata);

/* Says JobRemoved with done, failed or cancelled (an error of the code ERROR_CANCELLED), and frees it. */
void job_finish(Job *job, const Error *error);

void job_set_progress(Job *job, double progress);
bool job_cancel(Job *job, Error **ret_error);

Job *job_find(Jobs *jobs, const char *object); /* borrowed, or NULL */
Job *job_find_by_path(Jobs *jobs, const char *path);
size_t jobs_count(const Jobs *jobs);

/* Calls `each` for every job, oldest first. */
void jobs_foreach(Jobs *jobs, void (*each)(Job *job, void *userdata), void *userdata);

const char *job_type_to_string(JobType type);
const char *job_state_to_string(JobState state);
