/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "task.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "cleanup.h"

typedef struct Work {
    TaskRun run;
    GDestroyNotify free_data;
    void *data;
    int end; /* an eventfd, written at the end */
    int n_ref; /* atomic: the thread's, and the Task's until it has ended or was abandoned */
} Work;

struct Task {
    Work *work;
    sd_event_source *ended, *limit;
    TaskDone done;
    void *userdata;
};

static void work_unref(Work *work)
{
    if (!g_atomic_int_dec_and_test(&work->n_ref))
        return;
    if (work->data)
        work->free_data(work->data);
    close_fd(&work->end);
    g_free(work);
}

static void *run(void *userdata)
{
    Work *work = userdata;
    work->run(work->data);
    (void) eventfd_write(work->end, 1);
    work_unref(work);
    return NULL;
}

/* The callback is the last thing: it may do anything. */
static int finish(Task *task, void *data)
{
    TaskDone done = task->done;
    void *userdata = task->userdata;
    task_abandon(task);
    done(data, userdata);
    return 0;
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Task *task = userdata;
    return finish(task, g_steal_pointer(&task->work->data));
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    return finish(userdata, NULL);
}

/* All signals are the loop's. */
static int make_thread(Work *work)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;

    (void) pthread_attr_init(&attributes);
    (void) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    (void) pthread_sigmask(SIG_SETMASK, &all, &before);
    int r = pthread_create(&thread, &attributes, run, work);
    (void) pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void) pthread_attr_destroy(&attributes);
    return -r;
}

static int watch(Task *task, sd_event *event, uint64_t timeout_usec)
{
    task->work->end = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (task->work->end < 0)
        return -errno;
    int r = sd_event_add_io(event, &task->ended, task->work->end, EPOLLIN, on_end, task);
    if (r < 0 || timeout_usec == UINT64_MAX)
        return r;
    return sd_event_add_time_relative(event, &task->limit, CLOCK_MONOTONIC, timeout_usec, 1, on_limit, task);
}

int task_new(sd_event *event, const TaskSpec *spec, void *data, void *userdata, Task **ret)
{
    Work *work = g_new(Work, 1);
    *work = (Work){.run = spec->run, .free_data = spec->free_data, .data = data, .end = -1, .n_ref = 2};
    Task *task = g_new(Task, 1);
    *task = (Task){.work = work, .done = spec->done, .userdata = userdata};

    int r = watch(task, event, spec->timeout_usec);
    if (r >= 0)
        r = make_thread(work);
    if (r < 0) {
        work->data = NULL;
        work->n_ref = 1; /* there is no thread */
        task_abandon(task);
        return r;
    }
    *ret = task;
    return 0;
}

void task_abandon(Task *task)
{
    if (!task)
        return;
    sd_event_source_disable_unref(task->ended);
    sd_event_source_disable_unref(task->limit);
    work_unref(task->work);
    g_free(task);
}
