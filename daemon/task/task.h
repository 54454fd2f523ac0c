/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Task: work that may wait for a file system or a name service, in a thread beside the loop.
 *
 * The loop never opens what a settings file names: a server that is dead would stop all VMs' owners. A task gets data
 * of its own, shares nothing else with the daemon, and its end is told on the loop. One that is abandoned runs on by
 * itself and frees its data when it ends, if it ever does. Knows nothing of VMs and of D-Bus. */

#include <glib.h>
#include <systemd/sd-event.h>

typedef struct Task Task;

/* In the thread. */
typedef void (*TaskRun)(void *data);

/* On the loop, once, the Task is gone by then; `data` is the callee's, and NULL when the time was over first. */
typedef void (*TaskDone)(void *data, void *userdata);

typedef struct TaskSpec {
    TaskRun run;
    TaskDone done;
    GDestroyNotify free_data;
    uint64_t timeout_usec; /* UINT64_MAX: none */
} TaskSpec;

/* Negative errno: no thread was made, nothing will be called, `data` is still the caller's. */
int task_new(sd_event *event, const TaskSpec *spec, void *data, void *userdata, Task **ret);

/* `done` does not come; `data` is freed, now or when the thread ends. NULL is fine. */
void task_abandon(Task *task);
