/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "guard.h"

#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "await.h"
#include "confine.h"
#include "console.h"
#include "helper.h"
#include "jail.h"
#include "journal.h"
#include "monitor.h"
#include "options.h"
#include "output.h"
#include "qemu-child.h"
#include "status.h"

typedef struct Guard {
    Options options;
    char name[128];
    int signals;
    uint64_t press_usec; /* when to press the power button again, UINT64_MAX: never */
    bool terminated;     /* vmd, or somebody with a signal, means QEMU to end */
    bool start_failed;   /* by the guard's own fault */
    bool ended;
    QemuChild child;
    Status status;
    Output output;
    Monitor monitor;
    Console console;
} Guard;

static Guard guard;

#ifdef __SANITIZE_ADDRESS__
/* Looking for leaks wants to trace the process, which a guard does not let happen; it allocates nothing anyway. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "detect_leaks=0";
}
#endif

/* The memory of the arguments and the environment, which may be pages, goes back to the kernel, and the
 * process list shows the name alone. Nothing in argv and environ can be used any more. */
static void forget_arguments(char **argv, char **environment)
{
    const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
    char *start = argv[0] + strlen(argv[0]) + 1, *end = start;
    size_t n = strlen(guard.options.name);

    for (char **p = argv; *p; p++)
        end = *p + strlen(*p) + 1;
    for (char **p = environment; *p; p++)
        end = *p + strlen(*p) + 1;
    if (n >= sizeof(guard.name))
        n = sizeof(guard.name) - 1;
    memcpy(guard.name, guard.options.name, n);
    guard.options.name = guard.name;
    guard.options.qemu = NULL;

    memset(start, 0, (size_t) (end - start));
    if (n > 0 && (size_t) (end - start) > n)
        memcpy(start, guard.name, n);
    start = (char *) (((uintptr_t) start + n + page) & ~(page - 1));
    end = (char *) ((uintptr_t) end & ~(page - 1));
    if (end > start)
        madvise(start, (size_t) (end - start), MADV_DONTNEED);
}

/* What the start needed of the stack goes back too; all but a few pages below this frame, which calls use. */
static void forget_stack(void)
{
    const uintptr_t page = (uintptr_t) sysconf(_SC_PAGESIZE);
    uintptr_t end = ((uintptr_t) __builtin_frame_address(0) & ~(page - 1)) - page;

    madvise((void *) (end - 16 * page), 16 * page, MADV_DONTNEED);
}

static void press(uint64_t now)
{
    uint64_t interval = guard.options.press_interval_usec;

    journal_say(JOURNAL_INFO, "pressing the power button of %s", guard.options.name);
    monitor_press(&guard.monitor);
    guard.press_usec = interval > 0 && interval < UINT64_MAX - now ? now + interval : UINT64_MAX;
}

static void signals_dispatch(uint64_t now)
{
    struct signalfd_siginfo info;
    bool pressed = false, child = false;

    while (read(guard.signals, &info, sizeof(info)) == sizeof(info)) {
        if (info.ssi_signo == SIGCHLD)
            child = true;
        else if (info.ssi_signo == GUARD_SIGNAL_POWER)
            pressed = true;
        else
            guard.terminated = true;
    }
    if (pressed)
        press(now);
    if (child)
        guard.ended = qemu_child_ended(&guard.child, &guard.status.code, &guard.status.signal);
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void loop_once(void)
{
    struct pollfd fds[3 + CONSOLE_POLL_MAX];
    uint64_t now = now_usec(), deadline;
    struct timespec timeout;
    unsigned n_console;

    fds[0] = (struct pollfd){.fd = guard.signals, .events = POLLIN};
    fds[1] = monitor_poll(&guard.monitor);
    fds[2] = output_poll(&guard.output);
    n_console = console_poll(&guard.console, fds + 3, now);
    deadline =
            earliest(guard.press_usec, earliest(journal_deadline(), console_deadline(&guard.console, now)));
    deadline = deadline > now ? deadline - now : 0;
    timeout = (struct timespec){
            .tv_sec = (time_t) (deadline / USEC_PER_SEC), .tv_nsec = (long) (deadline % USEC_PER_SEC * 1000)};
    if (ppoll(fds, 3 + n_console, deadline < UINT64_MAX / 2 ? &timeout : NULL, NULL) < 0)
        return;

    now = now_usec();
    if (fds[1].revents)
        monitor_dispatch(&guard.monitor, fds[1].revents, now);
    if (fds[2].revents)
        output_dispatch(&guard.output, now);
    console_dispatch(&guard.console, fds + 3, n_console, now);
    if (now >= guard.press_usec)
        press(now);
    journal_flush(now);
    if (fds[0].revents)
        signals_dispatch(now);
}

/* Writes the status. Where the file system is full the console's log makes room for it, and then the first of
 * QEMU's last words. */
static void write_status(void)
{
    const Output *output = &guard.output;
    int r = status_write(&guard.status, guard.options.status, output->tail, output->n_tail);

    if (r == -ENOSPC) {
        if (guard.options.console_log >= 0)
            console_log_drop(&guard.console.log);
        r = status_write_fitting(&guard.status, guard.options.status, output->tail, output->n_tail);
    }
    if (r < 0)
        journal_say(JOURNAL_ERROR, "cannot write the status of %s: %s", guard.options.name, strerror(-r));
}

/* QEMU has ended: takes its last words from all sides, then tells. */
static int finish(void)
{
    uint64_t now = now_usec();

    monitor_drain(&guard.monitor, now);
    output_drain(&guard.output, now);
    journal_flush(UINT64_MAX);
    guard.status.ended = true;
    guard.status.executed = !guard.start_failed && qemu_child_executed(&guard.child);
    if (guard.start_failed) {
        guard.status.code = GUARD_EXIT_EXEC;
        guard.status.signal = 0;
    }
    guard.status.panicked = guard.monitor.panicked;
    guard.status.reason = guard.terminated ? "terminated" : guard.monitor.reason;
    write_status();
    if (guard.status.executed && guard.status.signal && !guard.terminated)
        journal_say(JOURNAL_ERROR, "QEMU of %s died of signal %d", guard.options.name, guard.status.signal);
    else if (guard.status.executed && guard.status.code && !guard.terminated)
        journal_say(JOURNAL_ERROR, "QEMU of %s exited with code %d", guard.options.name, guard.status.code);
    console_drain(&guard.console, !guard.terminated);
    return status_exit_code(&guard.status, guard.terminated);
}

/* QEMU could not be started, for a reason that is the guard's. */
static int finish_failed(const char *what, int error)
{
    char text[256];

    snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
    output_add(&guard.output, text, now_usec());
    guard.start_failed = true;
    return finish();
}

int main(int argc, char **argv)
{
    const Options *options = &guard.options;
    const char *what;
    Jail jail = {0};
    int r;

    if (!options_parse(&guard.options, argc, argv))
        return GUARD_EXIT_USAGE;
    if (options->helper)
        return helper_run(options);
    guard.signals = signals_open(
            (const int[]){GUARD_SIGNAL_POWER, SIGUSR1, SIGTERM, SIGINT, SIGHUP, SIGCHLD}, 6);
    guard.press_usec = UINT64_MAX;
    guard.output.fd = -1;
    monitor_init(&guard.monitor, options->qmp);
    console_init(&guard.console, options->console, options->console_listen, options->console_log,
            options->log_size);
    if (guard.signals < 0)
        return finish_failed("cannot take signals", errno);
    if (!wait_go(options->go, guard.signals))
        return 0;

    r = options->jail ? jail_enter(&jail, options, &what) : 0;
    if (r < 0)
        return finish_failed(what, -r);
    r = qemu_child_start(options, &jail, &guard.child);
    if (r < 0)
        return finish_failed("cannot fork", -r);
    guard.status.pid = guard.child.pid;
    output_init(&guard.output, guard.child.output);
    qemu_child_close_inherited(
            (const int[]){options->status, options->qmp, options->console, options->console_listen,
                    options->console_log, guard.signals, guard.child.output, guard.child.failed},
            8);
    forget_arguments(argv, environ);
    forget_stack();
    r = confine_guard(options, &what);
    if (r < 0) {
        kill(guard.child.pid, SIGKILL);
        return finish_failed(what, -r);
    }
    write_status();
    while (!guard.ended)
        loop_once();
    return finish();
}
