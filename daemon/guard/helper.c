/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "helper.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "await.h"
#include "confine.h"
#include "jail.h"
#include "journal.h"
#include "output.h"
#include "qemu-child.h"
#include "status.h"

/* A program that has ended is lost to its VM, unless it only ended a moment before QEMU's guard does. One that ended by itself and
 * in peace has heard QEMU go, which then may have much memory to give back. */
#define LOST_USEC USEC_PER_SEC
#define LEFT_USEC (30 * USEC_PER_SEC)

typedef struct Helper {
    const Options *options;
    int signals;
    bool ended, over; /* the program has; the VM has */
    QemuChild child;
    Status status;
    Output output;
} Helper;

static Helper helper;

static int give_one(int dir, const char *name, uid_t uid, gid_t gid)
{
    struct stat st;

    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -1;
    /* What the program of an earlier start may have left: no link leads out of its folder. */
    if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
        return 0;
    return fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

/* The folder and the files in it become the program's, whose uid is another one at each start. */
static int give_folder(const Options *options)
{
    int fd = open(options->own, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;
    const struct dirent *entry;
    DIR *dir;

    if (fd < 0)
        return -1;
    dir = fdopendir(fd);
    if (!dir)
        return -1;
    r = fchown(fd, options->uid, options->gid);
    while (r == 0 && (entry = readdir(dir))) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            r = give_one(fd, entry->d_name, options->uid, options->gid);
    }
    closedir(dir);
    return r;
}

static void write_status(void)
{
    (void) status_write_fitting(&helper.status, helper.options->status, helper.output.tail, helper.output.n_tail);
}

static int finish(void)
{
    output_drain(&helper.output, now_usec());
    journal_flush(UINT64_MAX);
    helper.status.ended = true;
    helper.status.reason = "";
    write_status();
    return status_exit_code(&helper.status, helper.over);
}

static int finish_failed(const char *what)
{
    char text[256];

    snprintf(text, sizeof(text), "%s: %s", what, strerror(errno));
    output_add(&helper.output, text, now_usec());
    helper.status.code = GUARD_EXIT_EXEC;
    return finish();
}

static void dispatch(struct pollfd *fds)
{
    struct signalfd_siginfo info;

    if (fds[2].revents)
        output_dispatch(&helper.output, now_usec());
    journal_flush(now_usec());
    helper.over = fds[1].revents != 0;
    while (read(helper.signals, &info, sizeof(info)) == sizeof(info))
        ;
    helper.ended = qemu_child_ended(&helper.child, &helper.status.code, &helper.status.signal);
}

static void loop(void)
{
    while (!helper.ended && !helper.over) {
        struct pollfd fds[] = {
                {.fd = helper.signals, .events = POLLIN},
                {.fd = helper.options->life, .events = POLLIN},
                output_poll(&helper.output),
        };
        uint64_t now = now_usec(), deadline = journal_deadline();
        struct timespec timeout = {0};

        deadline = deadline > now ? deadline - now : 0;
        timeout.tv_sec = (time_t) (deadline / USEC_PER_SEC);
        timeout.tv_nsec = (long) (deadline % USEC_PER_SEC * 1000);
        if (ppoll(fds, 3, deadline < UINT64_MAX / 2 ? &timeout : NULL, NULL) > 0)
            dispatch(fds);
        else
            journal_flush(now_usec());
    }
}

/* Whether the VM goes on without it. */
static bool is_lost(void)
{
    bool left = helper.status.executed && !helper.status.signal && helper.status.code == 0;
    uint64_t limit = left ? LEFT_USEC : LOST_USEC;
    struct timespec timeout = {.tv_sec = (time_t) (limit / USEC_PER_SEC)};
    struct pollfd life = {.fd = helper.options->life, .events = POLLIN};

    return ppoll(&life, 1, &timeout, NULL) == 0;
}

/* virtiofsd has a file open for each that the guest knows of. */
static int raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
        return -1;
    limit.rlim_cur = limit.rlim_max;
    return setrlimit(RLIMIT_NOFILE, &limit);
}

int helper_run(const Options *options)
{
    const struct rlimit size = {options->file_size, options->file_size};
    const char *what;
    Jail jail = {0};
    int code;

    helper.options = options;
    helper.output.fd = -1;
    /* Those that the scope is sent are blocked: what they mean QEMU's guard knows. */
    helper.signals = signals_open((const int[]){SIGCHLD}, 1);
    if (helper.signals < 0)
        return finish_failed("cannot take signals");
    if (!wait_go(options->go, options->life))
        return 0;
    if (options->own && options->uid != OPTIONS_NO_ID && give_folder(options) < 0)
        return finish_failed("cannot give its folder to its uid");
    if (options->tree && raise_file_limit() < 0)
        return finish_failed("cannot raise the limit of its open files");
    if (options->file_size > 0 && setrlimit(RLIMIT_FSIZE, &size) < 0)
        return finish_failed("cannot limit the size of its files");
    if (options->jail && (errno = -jail_enter(&jail, options, &what)) > 0)
        return finish_failed(what);
    if ((errno = -qemu_child_start(options, &jail, &helper.child)) > 0)
        return finish_failed("cannot fork");
    helper.status.pid = helper.child.pid;
    output_init(&helper.output, helper.child.output);
    qemu_child_close_inherited(
            (const int[]){options->status, options->life, helper.signals, helper.child.output, helper.child.failed}, 5);
    /* From here on its own end is the program's (PR_SET_PDEATHSIG). */
    if ((errno = -confine_guard(options, &what)) > 0)
        return finish_failed(what);
    write_status();
    loop();
    if (helper.over)
        return 0;
    helper.status.executed = qemu_child_executed(&helper.child);
    code = finish();
    if (!options->probe && is_lost())
        journal_say(JOURNAL_ERROR, "%s of %s has ended, and the VM goes on without it", options->qemu[0], options->name);
    return code;
}
