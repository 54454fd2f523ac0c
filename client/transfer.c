/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "transfer.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "bar.h"
#include "copy.h"

typedef struct Thread {
    pthread_t thread;
    int from, to, ended; /* an eventfd */
    bool stream;
    CopyState copy;
    int result;
} Thread;

static void *run_thread(void *userdata)
{
    Thread *thread = userdata;
    thread->result = thread->stream ? copy_stream(thread->from, thread->to, &thread->copy) : copy_file(thread->from, thread->to, &thread->copy);
    (void) eventfd_write(thread->ended, 1);
    return NULL;
}

static void on_nudge(int signal)
{
}

/* The signals that end it are blocked, and that which nudges the thread out of a pipe's read or write is not. */
static int open_signals(void)
{
    const struct sigaction nudge = {.sa_handler = on_nudge};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    (void) sigaction(SIGUSR1, &nudge, NULL);
    (void) sigprocmask(SIG_BLOCK, &signals, NULL);
    return signalfd(-1, &signals, SFD_CLOEXEC);
}

static void show(const Transfer *transfer, const Thread *thread, Bar *bar)
{
    uint64_t done = atomic_load(&thread->copy.done);
    uint64_t now = (uint64_t) g_get_monotonic_time();
    if (transfer->client->quiet || !isatty(STDERR_FILENO) || now - bar->begun < BAR_AFTER)
        return;
    bar_print(bar, transfer->label, transfer->size > 0 ? CLAMP((double) done / (double) transfer->size, 0, 1) : -1, transfer->size);
}

static void wait_for_end(const Transfer *transfer, Thread *thread, int signals)
{
    struct pollfd fds[] = {{.fd = thread->ended, .events = POLLIN}, {.fd = signals, .events = POLLIN}};
    struct signalfd_siginfo info;
    Bar bar;
    bar_init(&bar, transfer->size > 0 ? (double) transfer->done / (double) transfer->size : 0);
    while (poll(fds, G_N_ELEMENTS(fds), (int) (BAR_EVERY / 1000)) >= 0 || errno == EINTR) {
        if (fds[0].revents)
            break;
        if (fds[1].revents && read(signals, &info, sizeof info) == sizeof info) {
            /* A server that is dead keeps the thread; who asks twice has no time for that. */
            if (atomic_load(&thread->copy.cancelled)) {
                bar_clear(&bar);
                _exit(EXIT_INTERRUPTED);
            }
            atomic_store(&thread->copy.cancelled, true);
        }
        if (atomic_load(&thread->copy.cancelled))
            (void) pthread_kill(thread->thread, SIGUSR1);
        else
            show(transfer, thread, &bar);
    }
    bar_clear(&bar);
}

int transfer_run(Transfer *transfer)
{
    Thread thread = {.from = transfer->from, .to = transfer->to, .stream = transfer->stream};
    fd_cleanup int signals = open_signals();
    fd_cleanup int ended = thread.ended = eventfd(0, EFD_CLOEXEC);
    atomic_store(&thread.copy.done, transfer->done);
    if (signals < 0 || ended < 0)
        return -errno;
    int r = pthread_create(&thread.thread, NULL, run_thread, &thread);
    if (r > 0)
        return -r;
    wait_for_end(transfer, &thread, signals);
    (void) pthread_join(thread.thread, NULL);
    transfer->done = atomic_load(&thread.copy.done);
    return thread.result;
}

int transfer_resume(int part, const struct stat *source, uint64_t *ret_done)
{
    struct stat st;
    if (fstat(part, &st) < 0)
        return -errno;
    bool same = st.st_mtim.tv_sec == source->st_mtim.tv_sec && st.st_mtim.tv_nsec == source->st_mtim.tv_nsec && st.st_size <= source->st_size;
    if (!same && ftruncate(part, 0) < 0)
        return -errno;
    *ret_done = same ? (uint64_t) st.st_size : 0;
    return 0;
}

int transfer_keep(int part, const struct stat *source, uint64_t done)
{
    const struct timespec times[] = {{.tv_nsec = UTIME_OMIT}, source->st_mtim};
    if (ftruncate(part, (off_t) done) < 0 || fsync(part) < 0 || futimens(part, times) < 0)
        return -errno;
    return 0;
}
