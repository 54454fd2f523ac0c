/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cleanup.h"
#include "value.h"

#define KILL_GRACE_USEC (500 * 1000)
#define ACCURACY_USEC (10 * 1000)
#define DRAIN_READS 16
#define OPEN_FILES_MAX 1024
#define EXIT_SETUP 127

typedef enum ChildStep {
    STEP_NONE,
    STEP_DESCRIPTORS,
    STEP_LIMITS,
    STEP_IDENTITY,
    STEP_EXEC,
    _STEP_MAX,
} ChildStep;

static const char *const step_names[_STEP_MAX] = {
        [STEP_NONE] = "start it",
        [STEP_DESCRIPTORS] = "set up its descriptors",
        [STEP_LIMITS] = "set its limits",
        [STEP_IDENTITY] = "give it an unprivileged uid",
        [STEP_EXEC] = "execute it",
};

/* One page that parent and child share. */
typedef struct Shared {
    volatile int step;
    volatile int error;
    _Alignas(16) char notes[CHILD_NOTES];
} Shared;

struct Child {
    sd_event_source *exit, *output, *timer;
    pid_t pid;
    int pidfd, output_fd;
    bool timed_out, reaped;
    Shared *shared;
    ChildEnded ended;
    void *userdata;
    size_t tail_length;
    char tail[CHILD_OUTPUT_MAX];
};

/* In the child: only async-signal-safe calls from here to enter_child(). */

static bool set_descriptors(const ChildOptions *options, int output)
{
    fd_cleanup int null = open("/dev/null", O_RDONLY | O_CLOEXEC);
    int fd = options->fd;

    /* `output` and `fd` may have numbers below 4: out of the way first. */
    if (null < 0 || (output = fcntl(output, F_DUPFD_CLOEXEC, CHILD_FD + 1)) < 0)
        return false;
    if (fd >= 0 && (fd = fcntl(fd, F_DUPFD_CLOEXEC, CHILD_FD + 1)) < 0)
        return false;
    if (dup2(null, STDIN_FILENO) < 0 || dup2(output, STDOUT_FILENO) < 0 || dup2(output, STDERR_FILENO) < 0)
        return false;
    if (fd >= 0 && dup2(fd, CHILD_FD) < 0)
        return false;
    null = -1;
    return close_range(fd >= 0 ? CHILD_FD + 1 : CHILD_FD, ~0U, 0) >= 0;
}

static bool set_limits(const ChildOptions *options)
{
    const struct rlimit none = {}, files = {OPEN_FILES_MAX, OPEN_FILES_MAX};
    const struct rlimit memory = {options->memory_max, options->memory_max};
    struct rlimit now;

    if (setrlimit(RLIMIT_CORE, &none) < 0 || getrlimit(RLIMIT_NOFILE, &now) < 0)
        return false;
    if (now.rlim_max > OPEN_FILES_MAX && setrlimit(RLIMIT_NOFILE, &files) < 0)
        return false;
    return options->memory_max == 0 || setrlimit(RLIMIT_AS, &memory) >= 0;
}

static bool set_identity(const ChildOptions *options, pid_t parent)
{
    if (geteuid() == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(options->gid, options->gid, options->gid) < 0 ||
                setresuid(options->uid, options->uid, options->uid) < 0)
            return false;
    }
    /* After the uid, whose change would clear it. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
        return false;
    errno = ESRCH;
    return getppid() == parent;
}

static void reset_signals(void)
{
    sigset_t none;

    for (int i = 1; i < NSIG; i++)
        (void) signal(i, SIG_DFL);
    sigemptyset(&none);
    (void) sigprocmask(SIG_SETMASK, &none, NULL);
}

_Noreturn static void enter_child(const ChildOptions *options, int output, Shared *shared, pid_t parent)
{
    static const char *const environment[] = {
            "PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "HOME=/", NULL};

    reset_signals();
    (void) setsid();
    shared->step = STEP_DESCRIPTORS;
    if (!set_descriptors(options, output))
        goto fail;
    shared->step = STEP_LIMITS;
    if (!set_limits(options))
        goto fail;
    shared->step = STEP_IDENTITY;
    if (!set_identity(options, parent))
        goto fail;
    if (!options->argv) {
        shared->step = STEP_NONE;
        _exit(options->run(shared->notes));
    }
    shared->step = STEP_EXEC;
    execve(options->argv[0], (char *const *) options->argv, (char *const *) environment);
fail:
    shared->error = errno ?: EIO;
    _exit(EXIT_SETUP);
}

/* In the parent. */

static void child_destroy(Child *child)
{
    child->exit = sd_event_source_disable_unref(child->exit);
    child->output = sd_event_source_disable_unref(child->output);
    child->timer = sd_event_source_disable_unref(child->timer);
    close_fd(&child->pidfd);
    close_fd(&child->output_fd);
    munmap(child->shared, sizeof *child->shared);
    g_free(child);
}

void child_kill(Child *child)
{
    if (child->reaped)
        return;
    /* The group is there until the child is reaped; the child itself may not have made it yet. */
    (void) kill(-child->pid, SIGKILL);
    (void) pidfd_send_signal(child->pidfd, SIGKILL, NULL, 0);
}

static bool reap(Child *child, siginfo_t *ret)
{
    *ret = (siginfo_t){};
    /* What it has left behind in its group goes with it. */
    if (waitid(P_PIDFD, (id_t) child->pidfd, ret, WEXITED | WNOHANG | WNOWAIT) < 0 || ret->si_pid == 0)
        return false;
    (void) kill(-child->pid, SIGKILL);
    child->reaped = true;
    return waitid(P_PIDFD, (id_t) child->pidfd, ret, WEXITED | WNOHANG) >= 0;
}

/* Of a child that nobody owns any more: the source is all that keeps it. */
static int on_orphan_exit(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    siginfo_t info;

    if (reap(userdata, &info))
        (void) sd_event_source_set_floating(source, false);
    return 0;
}

static void orphan_destroy(void *userdata)
{
    Child *child = userdata;

    child->exit = NULL; /* being freed */
    child_destroy(child);
}

void child_free(Child *child)
{
    sd_event *event;
    siginfo_t info;

    if (!child)
        return;
    child_kill(child);
    if (!child->reaped && !reap(child, &info)) {
        event = sd_event_source_get_event(child->exit);
        child->output = sd_event_source_disable_unref(child->output);
        child->timer = sd_event_source_disable_unref(child->timer);
        child->exit = sd_event_source_disable_unref(child->exit);
        if (sd_event_add_io(event, &child->exit, child->pidfd, EPOLLIN, on_orphan_exit, child) >= 0) {
            (void) sd_event_source_set_destroy_callback(child->exit, orphan_destroy);
            (void) sd_event_source_set_floating(child->exit, true);
            (void) sd_event_source_unref(child->exit);
            return;
        }
    }
    child_destroy(child);
}

static void keep_tail(Child *child, const char *data, size_t size)
{
    size_t keep;

    if (size > CHILD_OUTPUT_MAX) {
        data += size - CHILD_OUTPUT_MAX;
        size = CHILD_OUTPUT_MAX;
    }
    keep = MIN(child->tail_length, CHILD_OUTPUT_MAX - size);
    memmove(child->tail, child->tail + child->tail_length - keep, keep);
    memcpy(child->tail + keep, data, size);
    child->tail_length = keep + size;
}

/* One read; true when there may be more. */
static bool read_output(Child *child)
{
    char buffer[CHILD_OUTPUT_MAX];
    ssize_t n = read(child->output_fd, buffer, sizeof buffer);

    if (n > 0)
        keep_tail(child, buffer, (size_t) n);
    else if (n == 0)
        (void) sd_event_source_set_enabled(child->output, SD_EVENT_OFF);
    return n > 0;
}

static int on_output(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    (void) read_output(userdata);
    return 0;
}

/* Reports the end; the callback may free the child. */
static void report(Child *child, ChildEnd *end)
{
    /* A descendant that has left the group may go on writing: not for ever. */
    for (int i = 0; i < DRAIN_READS && read_output(child); i++)
        ;
    (void) sd_event_source_set_enabled(child->output, SD_EVENT_OFF);
    (void) sd_event_source_set_enabled(child->timer, SD_EVENT_OFF);
    end->timed_out = child->timed_out;
    end->failed = child->shared->error;
    end->failed_step = step_names[CLAMP(child->shared->step, 0, _STEP_MAX - 1)];
    end->output = child->tail;
    end->output_length = child->tail_length;
    child->ended(child, end, child->userdata);
}

static int on_exit_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Child *child = userdata;
    siginfo_t info;

    if (!reap(child, &info))
        return 0;
    (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
    report(child, &(ChildEnd){.code = info.si_code, .status = info.si_status});
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Child *child = userdata;

    if (child->timed_out) {
        (void) sd_event_source_set_enabled(child->exit, SD_EVENT_OFF);
        report(child, &(ChildEnd){.unkillable = true});
        return 0;
    }
    child->timed_out = true;
    child_kill(child);
    (void) sd_event_source_set_time_relative(source, KILL_GRACE_USEC);
    (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

static int watch(Child *child, sd_event *event, uint64_t timeout_usec)
{
    int r;

    child->pidfd = pidfd_open(child->pid, 0);
    if (child->pidfd < 0)
        return -errno;
    r = sd_event_add_io(event, &child->exit, child->pidfd, EPOLLIN, on_exit_ready, child);
    if (r < 0)
        return r;
    r = sd_event_add_io(event, &child->output, child->output_fd, EPOLLIN, on_output, child);
    if (r < 0)
        return r;
    return sd_event_add_time_relative(
            event, &child->timer, CLOCK_MONOTONIC, timeout_usec, ACCURACY_USEC, on_timer, child);
}

int child_new(sd_event *event, const ChildOptions *options, ChildEnded ended, void *userdata, Child **ret)
{
    fd_cleanup int output_read = -1, output_write = -1;
    pid_t parent = getpid();
    Shared *shared;
    Child *child;
    int fds[2], r;

    if (pipe2(fds, O_CLOEXEC) < 0)
        return -errno;
    output_read = fds[0];
    output_write = fds[1];
    if (fcntl(output_read, F_SETFL, O_NONBLOCK) < 0)
        return -errno;
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return -errno;

    child = g_new(Child, 1);
    *child = (Child){.pidfd = -1,
            .output_fd = steal_fd(&output_read),
            .shared = shared,
            .ended = ended,
            .userdata = userdata};
    child->pid = fork();
    if (child->pid == 0)
        enter_child(options, output_write, shared, parent);
    if (child->pid < 0) {
        r = -errno;
        child_destroy(child);
        return r;
    }
    r = watch(child, event, options->timeout_usec);
    if (r < 0) {
        (void) kill(child->pid, SIGKILL);
        (void) waitpid(child->pid, NULL, 0);
        child_destroy(child);
        return r;
    }
    *ret = child;
    return 0;
}

pid_t child_pid(const Child *child)
{
    return child->pid;
}

const void *child_notes(const Child *child)
{
    return child->shared->notes;
}
