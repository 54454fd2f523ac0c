/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "attach.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "connect.h"
#include "name.h"
#include "report.h"
#include "ssh.h"
#include "value.h"

#define ESCAPE_KEY 0x1d /* Ctrl-] */
#define ESCAPE_COUNT 3
#define ESCAPE_WITHIN (1 * USEC_PER_SEC)

/* The socket has no mark between what was printed before and what comes: a pause ends the replay. */
#define REPLAY_PAUSE_MS 150
#define REPLAY_LONGEST (2 * USEC_PER_SEC)

/* How long after the console's end vmd may take to say what became of the guest. */
#define VERDICT_TIMEOUT (3 * USEC_PER_SEC)

/* What vmd says of the VM while we watch. */
typedef struct Watch {
    sd_bus_slot *changed, *removed;
    const char *name;
    char *state, *reason, *message;
    bool gone;
    bool ended; /* once, and may run anew by now */
} Watch;

typedef struct Buffer {
    char data[PIPE_BUF];
    size_t length;
} Buffer;

typedef struct Attachment {
    Client *client;
    Watch *watch;
    int console, signals;
    bool reads_input;
    bool discards; /* the replay that nobody wants */
    uint64_t began;
    Buffer typed, printed;
    unsigned escapes;
    uint64_t first_escape;
    bool left, interrupted;
} Attachment;

static struct termios saved_terminal;
static bool terminal_is_raw;

static void restore_terminal(void)
{
    if (!terminal_is_raw)
        return;
    terminal_is_raw = false;
    (void) tcsetattr(STDIN_FILENO, TCSADRAIN, &saved_terminal);
    /* The guest may have left colours on or the cursor hidden. */
    if (isatty(STDOUT_FILENO))
        (void) !write(STDOUT_FILENO, "\033[0m\033[?25h\r\n", 12);
}

static void make_terminal_raw(void)
{
    struct termios raw;
    if (tcgetattr(STDIN_FILENO, &saved_terminal) < 0)
        return;
    raw = saved_terminal;
    cfmakeraw(&raw);
    if (tcsetattr(STDIN_FILENO, TCSADRAIN, &raw) < 0)
        return;
    if (!terminal_is_raw)
        (void) atexit(restore_terminal);
    terminal_is_raw = true;
}

static void replace(char **field, const char *value)
{
    g_free(*field);
    *field = g_strdup(value);
}

static int watch_read(Watch *watch, sd_bus_message *m)
{
    const char *name, *value;
    int r = sd_bus_message_enter_container(m, 'a', "{sv}");
    while (r >= 0 && (r = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
        r = sd_bus_message_read(m, "s", &name);
        if (r < 0)
            break;
        char **field = strcmp(name, "State") == 0          ? &watch->state
                       : strcmp(name, "StateReason") == 0  ? &watch->reason
                       : strcmp(name, "StateMessage") == 0 ? &watch->message
                                                           : NULL;
        r = field ? sd_bus_message_read(m, "v", "s", &value) : sd_bus_message_skip(m, "v");
        if (r >= 0 && field)
            replace(field, value);
        if (r >= 0)
            r = sd_bus_message_exit_container(m);
    }
    return r < 0 ? r : sd_bus_message_exit_container(m);
}

static bool has_ended(const Watch *watch)
{
    return watch->gone || !watch->state || strcmp(watch->state, "stopped") == 0 ||
           strcmp(watch->state, "failed") == 0 || strcmp(watch->state, "saved") == 0;
}

static int on_changed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Watch *watch = userdata;
    if (sd_bus_message_skip(m, "s") >= 0)
        (void) watch_read(watch, m);
    watch->ended = watch->ended || has_ended(watch);
    return 0;
}

static int on_removed(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Watch *watch = userdata;
    const char *name;
    if (sd_bus_message_read(m, "s", &name) >= 0 && strcmp(name, watch->name) == 0)
        watch->gone = true;
    return 0;
}

static void watch_done(Watch *watch)
{
    sd_bus_slot_unref(watch->changed);
    sd_bus_slot_unref(watch->removed);
    g_free(watch->state);
    g_free(watch->reason);
    g_free(watch->message);
}

/* Subscribed before the state is asked for: no change is missed. */
static int watch_start(Watch *watch, Client *client, const char *name)
{
    g_autoptr(sd_bus_message) reply = NULL;
    g_autofree char *path = NULL;
    g_autoptr(Error) error = NULL;

    if (!name_check(name, &error))
        return report_error(error);
    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    path = name_to_vm_path(name);
    watch->name = name;
    r = sd_bus_match_signal_async(client->bus, &watch->changed, BUS_NAME, path,
            "org.freedesktop.DBus.Properties", "PropertiesChanged", on_changed, NULL, watch);
    if (r >= 0)
        r = sd_bus_match_signal_async(client->bus, &watch->removed, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE,
                "VMRemoved", on_removed, NULL, watch);
    if (r < 0)
        return report_errno(r, "VM \"%s\": cannot watch its state", name);
    r = client_get_all(client, name, VM_INTERFACE, &reply);
    if (r != EXIT_DONE)
        return r;
    r = watch_read(watch, reply);
    return r < 0 ? report_errno(r, "vmd: cannot read its answer") : EXIT_DONE;
}

static int verdict(Client *client, const Watch *watch)
{
    bool failed = watch->state && strcmp(watch->state, "failed") == 0;
    const char *reason =
            watch->reason && *watch->reason && strcmp(watch->reason, "none") != 0 ? watch->reason : NULL;
    if (!has_ended(watch))
        note(client, "The console of \"%s\" was closed; the VM is %s.", watch->name, watch->state);
    else if (failed)
        return report("VM \"%s\": it failed (%s)%s%s", watch->name, reason ? reason : "unknown",
                watch->message && *watch->message ? ": " : "", watch->message ? watch->message : "");
    else if (watch->state && strcmp(watch->state, "saved") == 0)
        note(client, "VM \"%s\" was saved.", watch->name);
    else
        note(client, "VM \"%s\" has ended%s%s%s.", watch->name, reason ? " (" : "", reason ? reason : "",
                reason ? ")" : "");
    return EXIT_DONE;
}

/* Handles what the bus has; waits at most `usec`. Returns a negative errno when it is closed. */
static int process_bus(Client *client, uint64_t usec)
{
    int r = sd_bus_process(client->bus, NULL);
    return r == 0 && usec > 0 ? sd_bus_wait(client->bus, usec) : r;
}

static void await_verdict(Client *client, Watch *watch)
{
    uint64_t end = (uint64_t) g_get_monotonic_time() + VERDICT_TIMEOUT;
    while (!watch->ended && !has_ended(watch)) {
        uint64_t now = (uint64_t) g_get_monotonic_time();
        if (now >= end || process_bus(client, end - now) < 0)
            return;
    }
}

static int open_console(Client *client, const char *name, int *ret_fd)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int fd;
    int r = client_call(client, name, VM_INTERFACE, "OpenConsole", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_read(reply, "h", &fd);
    if (r < 0)
        return report_errno(r, "vmd: its answer has no console");
    fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (fd < 0 || fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
        return report_errno(errno, "VM \"%s\": cannot use its console", name);
    *ret_fd = fd;
    return EXIT_DONE;
}

/* Keeps the keys that may be the way out from the guest until it is clear that they are not: they would be left in
 * whatever it reads. True when they were. */
static bool hold_escapes(Attachment *a)
{
    Buffer passed = {.length = 0};
    for (size_t i = 0; i < a->typed.length; i++) {
        if (a->typed.data[i] == ESCAPE_KEY) {
            if (a->escapes == 0)
                a->first_escape = (uint64_t) g_get_monotonic_time();
            if (++a->escapes == ESCAPE_COUNT) {
                a->typed.length = 0;
                return true;
            }
            continue;
        }
        for (; a->escapes > 0; a->escapes--)
            passed.data[passed.length++] = ESCAPE_KEY;
        passed.data[passed.length++] = a->typed.data[i];
    }
    a->typed = passed;
    return false;
}

/* Passes them on after all when nothing followed them; else says how long to wait for that, -1: for ever. */
static int release_escapes(Attachment *a)
{
    uint64_t now = (uint64_t) g_get_monotonic_time();
    if (a->escapes == 0 || a->typed.length > 0)
        return -1;
    if (now < a->first_escape + ESCAPE_WITHIN)
        return (int) ((a->first_escape + ESCAPE_WITHIN - now) / 1000) + 1;
    for (; a->escapes > 0; a->escapes--)
        a->typed.data[a->typed.length++] = ESCAPE_KEY;
    return -1;
}

/* Reads into an empty buffer. 0 at the end, -EAGAIN when there is nothing. */
static ssize_t fill(int fd, Buffer *buffer)
{
    /* Less than there is room for: held-back keys may be added. */
    ssize_t n = read(fd, buffer->data, sizeof buffer->data - ESCAPE_COUNT);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    buffer->length = (size_t) n;
    return n;
}

static int drain(int fd, Buffer *buffer)
{
    ssize_t n = write(fd, buffer->data, buffer->length);
    if (n < 0)
        return errno == EINTR || errno == EAGAIN ? 0 : -errno;
    memmove(buffer->data, buffer->data + n, buffer->length - (size_t) n);
    buffer->length -= (size_t) n;
    return 0;
}

static void take_signal(Attachment *a)
{
    struct signalfd_siginfo info;
    if (read(a->signals, &info, sizeof info) != sizeof info)
        return;
    if (info.ssi_signo == SIGCONT) {
        if (terminal_is_raw)
            make_terminal_raw();
    } else {
        a->interrupted = true;
    }
}

static int take_input(Attachment *a)
{
    ssize_t n = fill(STDIN_FILENO, &a->typed);
    if (n == -EAGAIN)
        return 0;
    /* A terminal that hung up is the end of us, the end of a file only of what is typed. */
    if (n < 0 && n != -EIO)
        return (int) n;
    if (n <= 0) {
        a->reads_input = false;
        a->left = isatty(STDIN_FILENO);
    } else if (isatty(STDIN_FILENO)) {
        a->left = hold_escapes(a);
    }
    return 0;
}

/* Returns 0 at the guest's end, 1 when there is more, a negative errno on failure. */
static int take_output(Attachment *a)
{
    ssize_t n = fill(a->console, &a->printed);
    if (n == -EAGAIN)
        return 1;
    if (n == -ECONNRESET || n == -EPIPE)
        n = 0;
    if (a->discards)
        a->printed.length = 0;
    return n < 0 ? (int) n : n > 0;
}

/* One wait, and what it brought. Returns 0 at the guest's end, 1 to go on, a negative errno. */
static int copy_once(Attachment *a)
{
    int timeout = release_escapes(a);
    enum { INPUT, OUTPUT, CONSOLE, SIGNALS, BUS, N_FDS };
    struct pollfd fds[N_FDS] = {
            [INPUT] = {.fd = a->reads_input && a->typed.length == 0 ? STDIN_FILENO : -1, .events = POLLIN},
            [OUTPUT] = {.fd = a->printed.length > 0 ? STDOUT_FILENO : -1, .events = POLLOUT},
            [CONSOLE] = {.fd = a->console},
            [SIGNALS] = {.fd = a->signals, .events = POLLIN},
            [BUS] = {.fd = -1},
    };
    if (a->printed.length == 0)
        fds[CONSOLE].events |= POLLIN;
    if (a->typed.length > 0)
        fds[CONSOLE].events |= POLLOUT;
    /* A console that hung up says so for ever: not to be asked while its last words wait for stdout. */
    if (fds[CONSOLE].events == 0)
        fds[CONSOLE].fd = -1;
    if (a->watch && sd_bus_is_open(a->client->bus) > 0) {
        fds[BUS].fd = sd_bus_get_fd(a->client->bus);
        fds[BUS].events = POLLIN;
    }

    int r = poll(fds, N_FDS, a->discards ? REPLAY_PAUSE_MS : timeout);
    if (r < 0)
        return errno == EINTR ? 1 : -errno;
    if (r == 0 || (uint64_t) g_get_monotonic_time() > a->began + REPLAY_LONGEST)
        a->discards = false;
    if (fds[SIGNALS].revents)
        take_signal(a);
    if (fds[BUS].revents)
        while (process_bus(a->client, 0) > 0)
            ;
    r = fds[INPUT].revents ? take_input(a) : 0;
    if (r >= 0 && fds[OUTPUT].revents)
        r = drain(STDOUT_FILENO, &a->printed);
    if (r >= 0 && fds[CONSOLE].revents & POLLOUT && a->typed.length > 0) {
        r = drain(a->console, &a->typed);
        if (r == -EPIPE || r == -ECONNRESET)
            a->typed.length = 0; /* it ended; what it printed last is still to be read */
    }
    if (r < 0 && r != -EPIPE && r != -ECONNRESET)
        return r;
    if (fds[CONSOLE].revents & (POLLIN | POLLHUP | POLLERR) && a->printed.length == 0)
        return take_output(a);
    return r == -EPIPE && fds[OUTPUT].revents ? r : 1;
}

static int open_signals(void)
{
    sigset_t signals;
    sigemptyset(&signals);
    for (const int *s = (const int[]){SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGCONT, 0}; *s; s++)
        sigaddset(&signals, *s);
    if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
        return -errno;
    int fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    return fd < 0 ? -errno : fd;
}

static int copy(Attachment *a)
{
    int r = 1;
    while (r > 0 && !a->left && !a->interrupted)
        r = copy_once(a);
    restore_terminal();
    if (a->left || a->interrupted || r == -EPIPE)
        return 1;
    return r;
}

/* The console's descriptor does not travel over ssh: vmctl runs there. */
static int attach_remote(Client *client, const char *name)
{
    const char *const options[] = {isatty(STDIN_FILENO) ? "-t" : "-T", NULL}, *const words[] = {"vmctl", "console", name};
    g_autoptr(GPtrArray) argv = ssh_command(client, options, words, G_N_ELEMENTS(words));
    if (!argv)
        return EXIT_USAGE;
    execvp(argv->pdata[0], (char **) argv->pdata);
    return report_errno(errno, "ssh: cannot be run");
}

int attach_console(Client *client, const char *name)
{
    Watch watch = {};
    fd_cleanup int console = -1, signals = -1;
    if (client->host)
        return attach_remote(client, name);

    int r = watch_start(&watch, client, name);
    if (r == EXIT_DONE)
        r = open_console(client, name, &console);
    if (r != EXIT_DONE) {
        watch_done(&watch);
        return r;
    }
    /* What came while we waited for answers is in sd-bus's own queue, and no event of the descriptor. */
    while (process_bus(client, 0) > 0)
        ;
    watch.ended = false;
    signals = open_signals();
    bool terminal = isatty(STDIN_FILENO);
    if (terminal) {
        note(client, "Connected to the console of \"%s\". Press Ctrl-] three times within a second to leave.",
                name);
        make_terminal_raw();
    }
    Attachment a = {.client = client,
            .watch = &watch,
            .console = console,
            .signals = signals,
            .reads_input = true,
            .discards = client->no_replay,
            .began = (uint64_t) g_get_monotonic_time()};
    r = copy(&a);
    if (r < 0) {
        r = report_errno(r, "VM \"%s\": its console broke off", name);
    } else if (r == 0) {
        await_verdict(client, &watch);
        r = verdict(client, &watch);
    } else if (a.interrupted) {
        r = EXIT_INTERRUPTED;
    } else {
        if (terminal)
            note(client, "Left the console of \"%s\"; the VM runs on.", name);
        r = EXIT_DONE;
    }
    watch_done(&watch);
    return r;
}

int attach_wait(Client *client, const char *name)
{
    Watch watch = {};
    int r = watch_start(&watch, client, name);
    if (r == EXIT_DONE) {
        int p = 0;
        while (p >= 0 && !has_ended(&watch))
            p = process_bus(client, UINT64_MAX);
        r = p < 0 ? report_errno(p, "the bus: it broke off") : verdict(client, &watch);
    }
    watch_done(&watch);
    return r;
}

int attach_print(Client *client, const char *name, bool follow)
{
    fd_cleanup int console = -1;
    if (client->host)
        return report(
                "--console: the console of another host cannot be read over -H. Run vmctl there, over ssh");
    int r = open_console(client, name, &console);
    if (r != EXIT_DONE)
        return r;
    for (;;) {
        Buffer buffer;
        struct pollfd poller = {.fd = console, .events = POLLIN};
        r = poll(&poller, 1, follow ? -1 : REPLAY_PAUSE_MS);
        if (r < 0 && errno != EINTR)
            return report_errno(errno, "VM \"%s\": its console broke off", name);
        if (r == 0)
            return EXIT_DONE;
        ssize_t n = fill(console, &buffer);
        if (n == 0 || n == -ECONNRESET)
            return EXIT_DONE;
        if (n < 0 && n != -EAGAIN)
            return report_errno((int) n, "VM \"%s\": its console broke off", name);
        if (n > 0 && (fwrite(buffer.data, 1, buffer.length, stdout) != buffer.length || fflush(stdout) != 0))
            return errno == EPIPE ? EXIT_DONE : report_errno(errno, "cannot write the output");
    }
}
