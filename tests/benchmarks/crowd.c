/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "crowd.h"

#include "client.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORKERS_MAX 64

typedef struct Shared {
    atomic_size_t next;
    atomic_bool failed;
} Shared;

typedef struct Crowd {
    Shared *shared;
    int told[2];  /* from the workers: a byte when ready, a byte when done */
    int begin[2]; /* to the workers: its end of file means to begin */
    int leave[2]; /* the same: to undo and to leave */
} Crowd;

static void tell(const Crowd *crowd)
{
    if (write(crowd->told[1], "", 1) != 1)
        _exit(EXIT_FAILURE);
}

static bool hear(const Crowd *crowd, size_t n)
{
    char c;
    while (n > 0 && read(crowd->told[0], &c, 1) == 1)
        n--;
    return n == 0;
}

static void wait_for_end_of_file(int fd)
{
    char c;
    while (read(fd, &c, 1) > 0)
        ;
}

static _Noreturn void worker(const Crowd *crowd, const CrowdTask *task, size_t count)
{
    Shared *shared = crowd->shared;
    (void) close(crowd->told[0]);
    (void) close(crowd->begin[1]);
    (void) close(crowd->leave[1]);
    void *state = task->prepare(task->userdata);
    if (!state)
        atomic_store(&shared->failed, true);
    tell(crowd);
    wait_for_end_of_file(crowd->begin[0]);
    for (size_t i; state && (i = atomic_fetch_add(&shared->next, 1)) < count;)
        if (!task->act(state, i, task->userdata))
            atomic_store(&shared->failed, true);
    tell(crowd);
    wait_for_end_of_file(crowd->leave[0]);
    if (task->undo && state)
        task->undo(state, task->userdata);
    _exit(EXIT_SUCCESS);
}

int crowd_run(const CrowdTask *task, size_t workers, size_t count, double *ret_ms)
{
    Crowd crowd = {0};
    pid_t pids[WORKERS_MAX];
    size_t n = 0;
    if (workers < 1 || workers > WORKERS_MAX)
        return -EINVAL;
    crowd.shared =
            mmap(NULL, sizeof *crowd.shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (crowd.shared == MAP_FAILED || pipe2(crowd.told, O_CLOEXEC) < 0 || pipe2(crowd.begin, O_CLOEXEC) < 0 ||
            pipe2(crowd.leave, O_CLOEXEC) < 0)
        return -errno;
    for (; n < workers; n++) {
        pids[n] = fork();
        if (pids[n] < 0)
            atomic_store(&crowd.shared->failed, true);
        if (pids[n] <= 0)
            break;
    }
    if (n < workers && pids[n] == 0)
        worker(&crowd, task, count);
    (void) close(crowd.told[1]);
    (void) close(crowd.begin[0]);
    (void) close(crowd.leave[0]);

    bool whole = hear(&crowd, n);
    double begin = now_ms();
    (void) close(crowd.begin[1]);
    whole = hear(&crowd, n) && whole;
    *ret_ms = now_ms() - begin;
    (void) close(crowd.leave[1]);
    (void) close(crowd.told[0]);
    for (size_t i = 0; i < n; i++)
        (void) waitpid(pids[i], NULL, 0);
    int r = whole && !atomic_load(&crowd.shared->failed) ? 0 : -EIO;
    (void) munmap(crowd.shared, sizeof *crowd.shared);
    return r;
}

static int crowd_answer(const CrowdTask *task, const char *workers, size_t count)
{
    double ms;
    int r = crowd_run(task, strtoul(workers, NULL, 10), count, &ms);
    return r < 0 ? fail("the crowd: %s", strerror(-r)) : answer(&ms, 1);
}

/* ---- D-Bus calls ---- */

static void *call_prepare(void *userdata)
{
    sd_bus *bus = NULL;
    if (sd_bus_open_system(&bus) < 0 || sd_bus_set_method_call_timeout(bus, REPLY_TIMEOUT_USEC) < 0)
        return NULL;
    /* So that the connection has said Hello before the clock runs. */
    return sd_bus_get_unique_name(bus, &(const char *){NULL}) < 0 ? NULL : bus;
}

static bool call_act(void *state, size_t i, void *userdata)
{
    char **words = userdata;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_call_method(state, words[1], words[4 + i], words[2], words[3], &error, NULL, NULL);
    if (r < 0)
        (void) fprintf(stderr, "%s of %s: %s\n", words[3], words[4 + i],
                error.message ? error.message : strerror(-r));
    sd_bus_error_free(&error);
    return r >= 0;
}

int verb_crowd_call(char **words)
{
    size_t count = 0;
    while (words[4 + count])
        count++;
    CrowdTask task = {.prepare = call_prepare, .act = call_act, .userdata = words};
    return crowd_answer(&task, words[0], count);
}

/* ---- bare QEMU ---- */

typedef struct Qemus {
    Qemu *qemus;
    size_t n;
} Qemus;

typedef struct QemuCrowd {
    const Template *template;
    size_t count;
} QemuCrowd;

static void *qemu_prepare(void *userdata)
{
    const QemuCrowd *crowd = userdata;
    Qemus *all = calloc(1, sizeof *all);
    if (all)
        all->qemus = calloc(crowd->count, sizeof *all->qemus);
    return all && all->qemus ? all : NULL;
}

static bool qemu_act(void *state, size_t i, void *userdata)
{
    const QemuCrowd *crowd = userdata;
    Qemus *all = state;
    double ms;
    int r = qemu_start(crowd->template, NULL, all->qemus + all->n, &ms);
    if (r < 0) {
        (void) fprintf(stderr, "QEMU %zu: %s\n", i, strerror(-r));
        return false;
    }
    all->n++;
    return true;
}

static void qemu_undo(void *state, void *userdata)
{
    Qemus *all = state;
    double ms;
    for (size_t i = 0; i < all->n; i++)
        (void) qemu_kill(all->qemus + i, &ms);
}

int verb_crowd_qemu(char **words)
{
    Template *template = template_read(words[2]);
    if (!template)
        return fail("%s: %s", words[2], strerror(errno));
    QemuCrowd crowd = {.template = template, .count = strtoul(words[1], NULL, 10)};
    CrowdTask task = {.prepare = qemu_prepare, .act = qemu_act, .undo = qemu_undo, .userdata = &crowd};
    int r = crowd_answer(&task, words[0], crowd.count);
    template_free(template);
    return r;
}
