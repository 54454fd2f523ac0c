/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The monitor connection, with a real QEMU at its other end and with peers that mean ill. */

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "build.h"
#include "cleanup.h"
#include "peer.h"
#include "qmp-message.h"
#include "qmp.h"
#include "value.h"

#define GREETING                                                                                             \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 22, \"minor\": 2, \"major\": 7}, \"package\": \"x\"}, "  \
    "\"capabilities\": [\"oob\"]}}\r\n"
#define NEGOTIATED GREETING "{\"return\": {}, \"id\": @0}\r\n"

#define EVENT "{\"event\": \"STOP\"}\n"
#define STRAY "{\"return\": {}, \"id\": 1}\n"

typedef struct Fixture {
    sd_event *event;
    Qmp *qmp;
    int peer; /* the other end, where no QEMU is */
    int64_t first_id;
    pid_t qemu;
    unsigned n_ready, n_closed, n_events, n_replies, n_errors;
    bool free_on_ready, free_on_event, free_on_closed;
    Error *closed_error, *error; /* the last ones */
    json_t *result;
    GString *order; /* of the replies, by the letter that is their userdata */
    char *last_event;
} Fixture;

static Fixture *current; /* for replies, whose userdata is a letter */

static void on_ready(Qmp *qmp, const char *version, void *userdata)
{
    Fixture *f = userdata;
    unsigned major, minor, micro;

    g_assert_cmpuint(f->n_ready++, ==, 0);
    g_assert_true(qmp_is_ready(qmp));
    g_assert_cmpint(sscanf(version, "%u.%u.%u", &major, &minor, &micro), ==, 3);
    if (f->free_on_ready)
        g_clear_pointer(&f->qmp, qmp_free);
}

static void on_event(Qmp *qmp, const char *name, const json_t *data, void *userdata)
{
    Fixture *f = userdata;

    f->n_events++;
    g_free(f->last_event);
    f->last_event = g_strdup(name);
    if (f->free_on_event)
        g_clear_pointer(&f->qmp, qmp_free);
}

static void on_closed(Qmp *qmp, const Error *error, void *userdata)
{
    Fixture *f = userdata;

    g_assert_cmpuint(f->n_closed++, ==, 0);
    g_assert_cmpint(qmp_call(qmp, "query-status", NULL, -1, 0, NULL, NULL), ==, -ENOTCONN);
    if (error)
        f->closed_error = error_copy(error);
    if (f->free_on_closed)
        g_clear_pointer(&f->qmp, qmp_free);
}

static const QmpHandlers handlers = {.ready = on_ready, .event = on_event, .closed = on_closed};

static void on_reply(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Fixture *f = current;

    g_assert_true(!result != !error);
    f->n_replies++;
    if (error) {
        f->n_errors++;
        error_free(f->error);
        f->error = error_copy(error);
    } else {
        json_decref(f->result);
        f->result = json_deep_copy(result);
    }
    if (userdata)
        g_string_append_c(f->order, (char) GPOINTER_TO_INT(userdata));
}

static void on_fd(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    json_int_t *number = userdata;

    on_reply(qmp, result, error, NULL);
    *number = json_integer_value(json_object_get(result, "fd"));
}

static void on_reply_free(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    on_reply(qmp, result, error, userdata);
    g_clear_pointer(&current->qmp, qmp_free);
}

static void set_up(Fixture *f, gconstpointer data)
{
    char line[128];
    int fds[2];
    ssize_t n;

    current = f;
    f->order = g_string_new(NULL);
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->peer = fds[1];
    g_assert_cmpint(qmp_new(f->event, fds[0], &handlers, f, &f->qmp), ==, 0);
    n = recv(f->peer, line, sizeof line - 1, MSG_PEEK | MSG_DONTWAIT);
    g_assert_cmpint(n, >, 0);
    line[n] = '\0';
    g_assert_cmpint(
            sscanf(line, "{\"execute\":\"qmp_capabilities\",\"id\":%" G_GINT64_FORMAT "}\n", &f->first_id),
            ==, 1);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    qmp_free(f->qmp);
    close_fd(&f->peer);
    if (f->qemu > 0) {
        kill(f->qemu, SIGKILL);
        waitpid(f->qemu, NULL, 0);
    }
    g_clear_pointer(&f->closed_error, error_free);
    g_clear_pointer(&f->error, error_free);
    json_decref(f->result);
    g_string_free(f->order, TRUE);
    g_free(f->last_event);
    sd_event_unref(f->event);
}

/* "@1" as the id of the first call after the one that negotiates. */
static char *with_ids(Fixture *f, const char *text)
{
    GString *s = g_string_new(NULL);

    for (const char *p = text; *p; p++) {
        if (*p == '@')
            g_string_append_printf(s, "%" G_GINT64_FORMAT, f->first_id + (*++p - '0'));
        else
            g_string_append_c(s, *p);
    }
    return g_string_free(s, FALSE);
}

static void say(Fixture *f, const char *text)
{
    g_autofree char *said = with_ids(f, text);
    size_t length = strlen(said);

    g_assert_cmpint(send(f->peer, said, length, MSG_NOSIGNAL), ==, length);
}

static void call(Fixture *f, const char *command, char letter)
{
    g_assert_cmpint(qmp_call(f->qmp, command, NULL, -1, 0, on_reply, GINT_TO_POINTER(letter)), ==, 0);
}

/* Reads what has been sent to the peer so far. */
static char *hear(Fixture *f)
{
    g_autofree char *buffer = g_malloc0(QMP_QUEUE_MAX * 2);
    size_t size = 0;
    ssize_t n;

    while ((n = recv(f->peer, buffer + size, QMP_QUEUE_MAX * 2 - 1 - size, MSG_DONTWAIT)) > 0)
        size += (size_t) n;
    return g_strdup(buffer);
}

/* A real QEMU. */

static void start_qemu(Fixture *f)
{
    g_autofree char *path = qemu_default_binary(NULL);
    char chardev[64];

    if (!path) {
        g_test_skip("there is no QEMU");
        return;
    }
    g_snprintf(chardev, sizeof chardev, "socket,id=qmp,fd=%d", f->peer);
    f->qemu = fork();
    if (f->qemu == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        fcntl(f->peer, F_SETFD, 0);
        execl(path, path, "-nodefaults", "-no-user-config", "-machine", "none", "-display", "none", "-S",
                "-chardev", chardev, "-mon", "chardev=qmp,mode=control", NULL);
        _exit(127);
    }
    g_assert_cmpint(f->qemu, >, 0);
    close_fd(&f->peer);
}

static void test_real(Fixture *f, gconstpointer data)
{
    const char *desc;

    call(f, "query-version", 'a'); /* before anything has been heard of QEMU */
    start_qemu(f);
    if (f->qemu == 0)
        return;
    RUN_UNTIL(f->event, f->n_replies == 1);
    g_assert_cmpuint(f->n_ready, ==, 1);
    g_assert_nonnull(json_object_get(f->result, "qemu"));

    for (char c = 'b'; c <= 'z'; c++)
        call(f, c % 3 ? "query-status" : "no-such-command", c);
    RUN_UNTIL(f->event, f->n_replies == 26);
    g_assert_cmpstr(f->order->str, ==, "abcdefghijklmnopqrstuvwxyz");
    g_assert_cmpint(f->error->code, ==, ERROR_QEMU_FAILED);
    g_assert_cmpstr(f->error->thing, ==, "no-such-command");
    g_assert_nonnull(strstr(f->error->cause, "no-such-command has not been found"));

    g_assert_cmpint(
            qmp_call(f->qmp, "device_del", json_pack("{s:s}", "id", "x"), -1, 0, on_reply, NULL), ==, 0);
    RUN_UNTIL(f->event, f->n_replies == 27);
    desc = f->error->cause;
    g_assert_nonnull(strstr(desc, "'x' not found"));

    call(f, "query-qmp-schema", 0);
    RUN_UNTIL(f->event, f->n_replies == 28);
    g_assert_cmpuint(json_array_size(f->result), >, 300);
}

static void test_fd(Fixture *f, gconstpointer data)
{
    g_autofree char *name = g_strdup("/tmp/vmd-qmp-XXXXXX"), *link = NULL, *target = NULL;
    fd_cleanup int fd = g_mkstemp(name);
    json_int_t number = -1;

    start_qemu(f);
    if (f->qemu == 0)
        return;
    call(f, "query-status", 'a');
    g_assert_cmpint(
            qmp_call(f->qmp, "add-fd", json_pack("{s:i}", "fdset-id", 7), fd, 0, on_fd, &number), ==, 0);
    call(f, "query-status", 'c');
    g_assert_cmpint(fcntl(fd, F_GETFD), >=, 0); /* still ours */
    RUN_UNTIL(f->event, f->n_replies == 3);
    g_assert_cmpuint(f->n_errors, ==, 0);
    link = g_strdup_printf("/proc/%d/fd/%d", (int) f->qemu, (int) number);
    target = g_file_read_link(link, NULL);
    g_assert_cmpstr(target, ==, name);

    /* One without a descriptor is refused by QEMU, and the connection goes on. */
    call(f, "add-fd", 'd');
    RUN_UNTIL(f->event, f->n_replies == 4);
    g_assert_cmpuint(f->n_errors, ==, 1);
    call(f, "query-status", 'e');
    RUN_UNTIL(f->event, f->n_replies == 5);
    g_assert_cmpuint(f->n_errors, ==, 1);
    g_remove(name);
}

static void test_quit(Fixture *f, gconstpointer data)
{
    start_qemu(f);
    if (f->qemu == 0)
        return;
    call(f, "quit", 'q');
    RUN_UNTIL(f->event, f->n_closed == 1);
    g_assert_null(f->closed_error);
    g_assert_cmpstr(f->order->str, ==, "q");
    g_assert_cmpuint(f->n_errors, ==, 0);
    g_assert_cmpstr(f->last_event, ==, "SHUTDOWN");
    g_assert_cmpint(qmp_call(f->qmp, "query-status", NULL, -1, 0, on_reply, NULL), ==, -ENOTCONN);
}

static void test_killed(Fixture *f, gconstpointer data)
{
    start_qemu(f);
    if (f->qemu == 0)
        return;
    RUN_UNTIL(f->event, f->n_ready == 1);
    kill(f->qemu, SIGSTOP);
    call(f, "query-status", 'a');
    call(f, "query-version", 'b');
    kill(f->qemu, SIGKILL);
    RUN_UNTIL(f->event, f->n_closed == 1);
    g_assert_cmpstr(f->order->str, ==, "ab");
    g_assert_cmpuint(f->n_errors, ==, 2);
    g_assert_cmpstr(f->error->thing, ==, "query-version");
    g_assert_cmpstr(f->error->cause, ==, "QEMU has closed its monitor");
}

static void test_late_answer(Fixture *f, gconstpointer data)
{
    int64_t start;

    start_qemu(f);
    if (f->qemu == 0)
        return;
    RUN_UNTIL(f->event, f->n_ready == 1);
    kill(f->qemu, SIGSTOP);
    start = g_get_monotonic_time();
    call(f, "query-status", 'a');
    g_assert_cmpint(
            qmp_call(f->qmp, "query-version", NULL, -1, 300000, on_reply, GINT_TO_POINTER('b')), ==, 0);
    g_assert_cmpint(
            qmp_call(f->qmp, "query-version", NULL, -1, 100000, on_reply, GINT_TO_POINTER('c')), ==, 0);
    RUN_UNTIL(f->event, f->n_replies == 2);
    g_assert_cmpint(g_get_monotonic_time() - start, >=, 300000);
    g_assert_cmpstr(f->order->str, ==, "cb");
    g_assert_cmpint(f->error->code, ==, ERROR_TIMED_OUT);
    g_assert_cmpstr(f->error->thing, ==, "query-version");
    g_assert_cmpstr(f->error->cause, ==, "QEMU did not answer within 300ms");
    kill(f->qemu, SIGCONT);
    g_assert_cmpint(
            qmp_call(f->qmp, "query-status", NULL, -1, 10 * USEC_PER_SEC, on_reply, GINT_TO_POINTER('d')), ==,
            0);
    RUN_UNTIL(f->event, f->n_replies == 4);
    g_assert_cmpstr(f->order->str, ==, "cbad");
    g_assert_cmpuint(f->n_errors, ==, 2);
    g_assert_cmpuint(f->n_closed, ==, 0);
}

static int connect_to(const char *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    g_strlcpy(sa.sun_path, address, sizeof sa.sun_path);
    for (int i = 0; connect(fd, (struct sockaddr *) &sa, sizeof sa) < 0; i++) {
        g_assert_cmpint(i, <, 2000);
        g_usleep(10000);
    }
    return fd;
}

/* A connection before ours has left while QEMU was busy with its question; ours gets that answer, and goes
 * on. */
static void test_after_another(Fixture *f, gconstpointer data)
{
    static const char question[] = "{\"execute\": \"qmp_capabilities\", \"id\": 0}\n"
                                   "{\"execute\": \"pmemsave\", \"id\": 1, \"arguments\": {\"val\": 0, "
                                   "\"size\": 800000000, \"filename\": \"/dev/null\"}}\n";
    g_autofree char *path = qemu_default_binary(NULL), *folder = NULL, *address = NULL, *option = NULL;
    int fd;

    if (!path) {
        g_test_skip("there is no QEMU");
        return;
    }
    folder = g_dir_make_tmp("vmd-qmp-XXXXXX", NULL);
    address = g_build_filename(folder, "qmp", NULL);
    option = g_strdup_printf("unix:%s,server=on,wait=off", address);
    f->qemu = fork();
    if (f->qemu == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execl(path, path, "-nodefaults", "-no-user-config", "-machine", "none", "-m", "1G", "-display",
                "none", "-S", "-qmp", option, NULL);
        _exit(127);
    }
    fd = connect_to(address);
    g_assert_cmpint(send(fd, question, strlen(question), MSG_NOSIGNAL), ==, strlen(question));
    g_usleep(200000);
    close(fd);

    g_clear_pointer(&f->qmp, qmp_free);
    g_assert_cmpint(qmp_new(f->event, connect_to(address), &handlers, f, &f->qmp), ==, 0);
    call(f, "query-status", 'a');
    RUN_UNTIL(f->event, f->n_replies == 1);
    g_assert_cmpuint(f->n_errors, ==, 0);
    g_assert_true(json_is_boolean(json_object_get(f->result, "running")));
    g_assert_cmpuint(f->n_closed, ==, 0);
    g_remove(address);
    g_rmdir(folder);
}

/* Peers that mean ill. */

/* What is said after two calls, and what the connection's end must be. NULL: it goes on. */
static const struct {
    const char *text, *words;
} hostile[] = {
        {"", NULL},
        {"{\"QMP\"", NULL},
        {GREETING, NULL},
        {NEGOTIATED, NULL},
        {NEGOTIATED "{\"event\": \"STOP\"}\n", NULL},
        {NEGOTIATED "{\"event\": \"STOP\", \"data\": {}, \"more\": [1]}\n", NULL},
        {NEGOTIATED "{\"event\": \"STOP\", \"event\": \"STOP\"}\n", NULL},
        {NEGOTIATED "{\"return\": {}, \"id\": @1}\n", NULL},
        {NEGOTIATED "{\"return\": {}, \"id\": @1}\n{\"error\": {}, \"id\": @2}\n", NULL},
        {NEGOTIATED "{\"return\": {}, \"id\": @1}\n{\"error\": 5, \"id\": @2}\n", NULL},
        {"\n", "a line is no JSON object"},
        {"hello\n", "a line is no JSON object: \"hello\""},
        {"HTTP/1.1 400 \033[31mBad\r\n", "a line is no JSON object: \"HTTP/1.1 400 [31mBad\""},
        {"[]\n", "a line is no JSON object"},
        {"{}\n", "the first line is no greeting"},
        {"{\"QMP\": {}}\n", "the greeting has no version"},
        {"{\"QMP\": 3}\n", "the greeting has no version"},
        {"{\"QMP\": {\"version\": {\"qemu\": {\"major\": -1, \"minor\": 0, \"micro\": 0}}}}\n",
                "the greeting has no version"},
        {"{\"return\": {}, \"id\": @0}\n", "the first line is no greeting"},
        {GREETING GREETING, "QEMU greeted twice"},
        {GREETING "{\"error\": {\"desc\": \"no\"}, \"id\": @0}\n", "no"},
        {GREETING "{\"return\": {}, \"id\": @1}\n", "an answer came that was not asked for"},
        {GREETING "{\"return\": {}}\n", "an answer came that was not asked for"},
        {NEGOTIATED "{}\n", "a line is neither answer nor event"},
        {NEGOTIATED "{\"event\": 5}\n", "an event without a name"},
        {NEGOTIATED "{\"event\": \"X\", \"data\": []}\n",
                "an event without a name or with data that is no object"},
        {NEGOTIATED "{\"return\": {}, \"id\": @2}\n", "an answer came that was not asked for"},
        {NEGOTIATED "{\"return\": {}, \"id\": @0}\n", "an answer came that was not asked for"},
        {NEGOTIATED "{\"return\": {}, \"id\": \"1\"}\n", "an answer came that was not asked for"},
        {NEGOTIATED "{\"return\": {}, \"error\": {}, \"id\": @1}\n",
                "an answer must be either a return or an error"},
        {NEGOTIATED "{\"error\": {\"desc\": \"JSON parse error\"}}\n",
                "an answer came that was not asked for: JSON parse error"},
        {NEGOTIATED
                "{\"return\": {}, \"id\": @1}\n{\"return\": {}, \"id\": @2}\n{\"return\": {}, \"id\": @2}\n",
                "an answer came that was not asked for"},
        /* Answers to an earlier connection, but not for ever. */
        {GREETING STRAY "{\"return\": {}, \"id\": @0}\n" STRAY "{\"return\": {}, \"id\": @1}\n", NULL},
        {NEGOTIATED STRAY STRAY STRAY STRAY STRAY STRAY STRAY STRAY, NULL},
        {NEGOTIATED STRAY STRAY STRAY STRAY STRAY STRAY STRAY STRAY STRAY,
                "an answer came that was not asked for"},
        {STRAY STRAY STRAY STRAY STRAY STRAY STRAY STRAY STRAY, "the first line is no greeting"},
        {EVENT EVENT EVENT EVENT EVENT EVENT EVENT EVENT EVENT, "the first line is no greeting"},
        {"{\"event\": 5}\n", "the first line is no greeting"},
        {"{\"return\": {}}\n", "the first line is no greeting"},
        {NEGOTIATED "{\"event\": \"\377\"}\n", "a line is no JSON object"},
        {NEGOTIATED "{\"event\": 1e999}\n", "a line is no JSON object"},
};

static void test_hostile(Fixture *f, gconstpointer data)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        if (i > 0)
            set_up(f, NULL);
        call(f, "query-status", 'a');
        call(f, "query-status", 'b');
        say(f, hostile[i].text);
        for (int j = 0; j < 3; j++)
            g_assert_cmpint(sd_event_run(f->event, 0), >=, 0);
        if (hostile[i].words) {
            g_assert_cmpuint(f->n_closed, ==, 1);
            g_assert_nonnull(f->closed_error);
            if (!strstr(f->closed_error->cause, hostile[i].words))
                g_error("%zu: \"%s\" does not say \"%s\"", i, f->closed_error->cause, hostile[i].words);
            g_assert_cmpstr(f->order->str, ==, "ab");
        } else
            g_assert_cmpuint(f->n_closed, ==, 0);
        if (i + 1 < G_N_ELEMENTS(hostile)) {
            tear_down(f, NULL);
            *f = (Fixture){};
        }
    }
}

/* A vmd that comes while QEMU still speaks to the one before, which was killed. */
static void test_late_words(Fixture *f, gconstpointer data)
{
    call(f, "query-status", 'a');
    say(f, "{\"event\": \"DEVICE_DELETED\", \"data\": {}}\r\n" STRAY NEGOTIATED "{\"return\": {}, \"id\": @1}\r\n");
    RUN_UNTIL(f->event, f->n_ready == 1);
    g_assert_null(f->last_event);
    RUN_UNTIL(f->event, f->order->len == 1);
    g_assert_cmpuint(f->n_closed, ==, 0);
}

/* All of it, byte by byte. */
static void test_crumbs(Fixture *f, gconstpointer data)
{
    static const char text[] =
            NEGOTIATED "{\"event\": \"RESUME\"}\r\n{\"return\": {\"x\": 1}, \"id\": @1}\r\n";

    g_autofree char *said = with_ids(f, text);

    call(f, "query-status", 'a');
    for (const char *p = said; *p; p++) {
        say(f, (char[]){*p, '\0'});
        turn(f->event);
    }
    g_assert_cmpuint(f->n_ready, ==, 1);
    g_assert_cmpstr(f->last_event, ==, "RESUME");
    g_assert_cmpstr(f->order->str, ==, "a");
    say(f, "{\"eve");
    close_fd(&f->peer);
    RUN_UNTIL(f->event, f->n_closed == 1);
    g_assert_cmpstr(f->closed_error->cause, ==, "QEMU has closed its monitor in the middle of a line");
}

static void test_endless_line(Fixture *f, gconstpointer data)
{
    g_autofree char *before = with_ids(f, NEGOTIATED "{\"event\": \"");
    Flood flood = {.fd = f->peer, .before = before, .text = "x", .limit = UINT64_C(4) << 30};
    GThread *thread = g_thread_new("flood", pour, &flood);

    RUN_UNTIL(f->event, f->n_closed == 1);
    g_assert_nonnull(strstr(f->closed_error->cause, "a line is longer than 4194304 bytes"));
    g_thread_join(thread);
    g_assert_true(flood.broken);
    g_assert_cmpuint(flood.sent, <, QMP_LINE_MAX + 1024 * 1024);
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
    unsigned *n_ticks = userdata;

    (*n_ticks)++;
    sd_event_source_set_time_relative(source, 1000);
    sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

/* As many events as come, and a timer of the loop's still comes in time. */
static void test_event_flood(Fixture *f, gconstpointer data)
{
    g_autofree char *before = with_ids(f, NEGOTIATED);
    Flood flood = {
            .fd = f->peer, .before = before, .text = "{\"event\":\"A\"}\n", .limit = UINT64_C(4) << 30};
    sd_event_source *source = NULL;
    unsigned n_ticks = 0, most = 0;
    GThread *thread;

    g_assert_cmpint(
            sd_event_add_time_relative(f->event, &source, CLOCK_MONOTONIC, 1000, 1, on_tick, &n_ticks), >=,
            0);
    thread = g_thread_new("flood", pour, &flood);
    RUN_UNTIL(f->event, f->n_events > 0);
    n_ticks = 0;
    while (n_ticks < 20) {
        unsigned n_before = f->n_events;

        turn(f->event);
        most = MAX(most, f->n_events - n_before);
        g_assert_cmpuint(f->n_events, <, 2000000);
    }
    g_test_message("%u events, %u in one turn, %u ticks", f->n_events, most, n_ticks);
    g_assert_cmpuint(f->n_events, >, 1000);
    g_assert_cmpuint(most, <, 1000);
    g_assert_cmpuint(f->n_closed, ==, 0);
    g_clear_pointer(&f->qmp, qmp_free);
    g_thread_join(thread);
    g_assert_true(flood.broken);
    sd_event_source_disable_unref(source);
}

/* Nothing is said at all: what may be queued has an end, and every call its answer. */
static void test_silence(Fixture *f, gconstpointer data)
{
    g_autofree char *filler = g_strnfill(10000, 'x');
    unsigned n = 0;
    int r;

    while ((r = qmp_call(f->qmp, "query-status", json_pack("{s:s}", "filler", filler), -1, 200000, on_reply,
                    NULL)) == 0)
        n++;
    g_assert_cmpint(r, ==, -ENOBUFS);
    g_assert_cmpuint(n, >=, QMP_QUEUE_MAX / 10100);
    g_assert_cmpuint(n, <, 1024);
    RUN_UNTIL(f->event, f->n_replies == n);
    g_assert_cmpuint(f->n_errors, ==, n);
    g_assert_cmpint(f->error->code, ==, ERROR_TIMED_OUT);
    g_assert_cmpuint(f->n_closed, ==, 0);

    /* One that reads but does not answer. */
    while ((r = qmp_call(f->qmp, "stop", NULL, -1, 1000, on_reply, NULL)) == 0 || n < 900) {
        g_autofree char *heard = hear(f);

        n += r == 0;
        g_assert_cmpint(sd_event_run(f->event, 0), >=, 0);
    }
    g_assert_cmpint(r, ==, -ENOBUFS);
    g_assert_cmpuint(n, ==, 1023); /* and the one that negotiates */
    RUN_UNTIL(f->event, f->n_replies == n);
}

/* A peer that reads late gets all, whole, in order, with the descriptor at its command. */
static void test_slow_reader(Fixture *f, gconstpointer data)
{
    g_autofree char *filler = g_strnfill(50000, 'y');
    g_autofree char *buffer = g_malloc(2 * QMP_QUEUE_MAX + 1);
    int64_t fd_from = -1, fd_to = -1; /* the read that brought the descriptor */
    size_t size = 0;
    unsigned n = 0;
    char *p;

    while (qmp_call(f->qmp, n == 12 ? "getfd" : "stop", json_pack("{s:s}", "filler", filler),
                   n == 12 ? f->peer : -1, 0, NULL, NULL) == 0)
        n++;
    g_assert_cmpuint(n, >, 15);
    for (unsigned idle = 0; idle < 5;) {
        union {
            char data[CMSG_SPACE(sizeof(int) * 4)];
            struct cmsghdr align;
        } control;
        struct iovec iov = {buffer + size, MIN(30000, 2 * QMP_QUEUE_MAX - size)};
        struct msghdr msg = {
                .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
        ssize_t got = recvmsg(f->peer, &msg, MSG_DONTWAIT);
        struct cmsghdr *cmsg;

        if (got <= 0) {
            idle++;
            g_assert_cmpint(sd_event_run(f->event, 1000), >=, 0);
            continue;
        }
        cmsg = CMSG_FIRSTHDR(&msg);
        if (cmsg) {
            int fd;

            g_assert_cmpint(cmsg->cmsg_len, ==, CMSG_LEN(sizeof(int)));
            memcpy(&fd, CMSG_DATA(cmsg), sizeof fd);
            close(fd);
            g_assert_cmpint(fd_from, ==, -1);
            fd_from = (int64_t) size;
            fd_to = fd_from + got;
        }
        size += (size_t) got;
        idle = 0;
    }
    buffer[size] = '\0';
    g_assert_true(g_str_has_prefix(buffer, "{\"execute\":\"qmp_capabilities\",\"id\":"));
    p = buffer;
    for (unsigned i = 0; i <= n; i++) {
        char *end = strchr(p, '\n');
        g_autoptr(QmpMessage) message = NULL;

        g_assert_nonnull(end);
        message = json_loadb(p, (size_t) (end - p), 0, NULL);
        g_assert_cmpint(json_integer_value(json_object_get(message, "id")), ==, f->first_id + i);
        if (i == 13) {
            g_assert_cmpstr(json_string_value(json_object_get(message, "execute")), ==, "getfd");
            g_assert_cmpint(fd_from, <=, p - buffer);
            g_assert_cmpint(fd_to, >, p - buffer);
        }
        p = end + 1;
    }
    g_assert_cmpstr(p, ==, "");
}

/* The peer reads no more, but has said something before: that is heard, and then it is the end. */
static void test_deaf(Fixture *f, gconstpointer data)
{
    say(f, NEGOTIATED "{\"event\": \"POWERDOWN\"}\n");
    g_assert_cmpint(shutdown(f->peer, SHUT_RD), ==, 0);
    call(f, "query-status", 'a');
    RUN_UNTIL(f->event, f->n_closed == 1);
    g_assert_cmpstr(f->last_event, ==, "POWERDOWN");
    g_assert_cmpstr(f->order->str, ==, "a");
    g_assert_cmpstr(f->closed_error->cause, ==, "QEMU takes no more commands");
}

static unsigned count_fds(void)
{
    GDir *dir = g_dir_open("/proc/self/fd", 0, NULL);
    unsigned n = 0;

    while (g_dir_read_name(dir))
        n++;
    g_dir_close(dir);
    return n;
}

/* Descriptors that come unasked are not taken. */
static void test_unasked_fds(Fixture *f, gconstpointer data)
{
    union {
        char data[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {};
    struct iovec iov = {(char[]){' '}, 1};
    struct msghdr msg = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    struct cmsghdr *cmsg = CMSG_FIRSTHDR(&msg);
    unsigned before;

    cmsg->cmsg_level = SOL_SOCKET;
    cmsg->cmsg_type = SCM_RIGHTS;
    cmsg->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(cmsg), &f->peer, sizeof(int));
    before = count_fds();
    for (int i = 0; i < 50; i++) {
        g_assert_cmpint(sendmsg(f->peer, &msg, 0), ==, 1);
        turn(f->event);
    }
    g_assert_cmpuint(count_fds(), ==, before);
    say(f, NEGOTIATED);
    RUN_UNTIL(f->event, f->n_ready == 1);
}

/* Freed from each of its callbacks; whatever else had come is dropped. */
static void test_freed(Fixture *f, gconstpointer data)
{
    static const char talk[] =
            NEGOTIATED "{\"event\": \"STOP\"}\n{\"event\": \"STOP\"}\n{\"return\": {}, \"id\": @1}\n"
                       "{\"return\": {}, \"id\": @2}\ngarbage\n";

    for (int i = 0; i < 6; i++) {
        bool reply = i == 2 || i == 4 || i == 5;

        if (i > 0)
            set_up(f, NULL);
        f->free_on_ready = i == 0;
        f->free_on_event = i == 1;
        f->free_on_closed = i == 3;
        g_assert_cmpint(
                qmp_call(f->qmp, "stop", NULL, -1, i == 4 ? 1000 : 0, reply ? on_reply_free : on_reply, NULL),
                ==, 0);
        g_assert_cmpint(qmp_call(f->qmp, "stop", NULL, -1, i == 4 ? 1000 : 0, on_reply, NULL), ==, 0);
        if (i == 5)
            say(f, "garbage\n");
        else if (i != 4)
            say(f, talk);
        RUN_UNTIL(f->event, !f->qmp);
        turn(f->event);
        g_assert_cmpuint(f->n_replies, ==, reply ? 1 : i == 3 ? 2 : 0);
        g_assert_cmpuint(f->n_closed, ==, i == 3);
        if (i < 5) {
            tear_down(f, NULL);
            *f = (Fixture){};
        }
    }
}

/* QEMU's words may be the guest's. */
static void test_hostile_words(Fixture *f, gconstpointer data)
{
    g_autofree char *filler = g_strnfill(100000, 'z'), *text = NULL;

    call(f, "stop", 'a');
    call(f, "stop", 'b');
    say(f, NEGOTIATED "{\"error\": {\"class\": \"GenericError\", \"desc\": \"one\\r\\ntwo\\u001b[2J\\u202e "
                      "\\t three\\n\"}, "
                      "\"id\": @1}\n");
    RUN_UNTIL(f->event, f->n_replies == 1);
    g_assert_cmpstr(f->error->cause, ==, "one; two [2J three");
    text = g_strdup_printf("{\"error\": {\"desc\": \"%s\"}, \"id\": @2}\n", filler);
    say(f, text);
    RUN_UNTIL(f->event, f->n_replies == 2);
    g_assert_cmpuint(strlen(f->error->cause), ==, 1024);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *f, gconstpointer data);
    } tests[] = {
            {"real", test_real},
            {"fd", test_fd},
            {"quit", test_quit},
            {"killed", test_killed},
            {"late-answer", test_late_answer},
            {"after-another", test_after_another},
            {"hostile", test_hostile},
            {"crumbs", test_crumbs},
            {"late-words", test_late_words},
            {"endless-line", test_endless_line},
            {"event-flood", test_event_flood},
            {"silence", test_silence},
            {"slow-reader", test_slow_reader},
            {"deaf", test_deaf},
            {"unasked-fds", test_unasked_fds},
            {"freed", test_freed},
            {"hostile-words", test_hostile_words},
    };

    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/qmp/", tests[i].name, NULL);

        g_test_add(path, Fixture, NULL, set_up, tests[i].test, tear_down);
    }
    return g_test_run();
}
