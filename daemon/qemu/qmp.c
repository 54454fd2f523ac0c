/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "cleanup.h"
#include "lines.h"
#include "qmp-message.h"
#include "value.h"

/* What is read in one turn of the event loop: enough for most answers, and little enough that a QEMU which
 * floods us with events does not keep the loop from anything else. */
#define READ_MAX (8U * 1024U)

/* A call that has timed out stays until its answer comes, so that this answer is not one that nobody asked
 * for; a QEMU that never answers would otherwise let the list grow. */
#define CALLS_MAX 1024U

/* A command that a connection before ours has sent, and that QEMU was still at when we came, is answered to
 * us. QEMU takes in at most eight at a time. Ids tell them from ours: a number of the connection's own,
 * followed by one of nine digits that counts the calls. */
#define STRAYS_MAX 8U
#define ID_STEP 1000000000
#define ID_CONNECTIONS_MAX 1000000

#define ACCURACY_USEC (10 * 1000)

typedef enum QmpState {
    QMP_GREETING,    /* the greeting must come first */
    QMP_NEGOTIATING, /* then the answer to qmp_capabilities */
    QMP_READY,
    QMP_CLOSED,
} QmpState;

typedef struct Call {
    int64_t id;
    char *command;
    uint64_t deadline; /* CLOCK_MONOTONIC, USEC_INFINITY: none */
    uint64_t timeout;
    QmpReply reply; /* NULL: nobody waits (any more) */
    void *userdata;
} Call;

typedef struct Chunk {
    char *data;
    size_t size, sent;
    int fd; /* goes along with the first byte; -1: none */
} Chunk;

struct Qmp {
    unsigned n_ref; /* the owner's, and one while a callback may free us */
    QmpState state;
    int fd;
    bool write_broken;
    bool freed;
    const QmpHandlers *handlers;
    void *userdata;

    sd_event *event;
    sd_event_source *io;
    sd_event_source *timer;
    uint64_t timer_at;

    Lines lines;
    GQueue calls;        /* Call, in the order in which they were sent */
    GQueue output;       /* Chunk */
    size_t output_size;
    int64_t first_id, next_id;
    unsigned n_strays; /* what was said to an earlier connection and was passed over */
    char *version;
};

static void call_free(Call *call)
{
    g_free(call->command);
    g_free(call);
}

static void chunk_free(Chunk *chunk)
{
    if (chunk->fd >= 0)
        close(chunk->fd);
    g_free(chunk->data);
    g_free(chunk);
}

static void drop_output(Qmp *qmp)
{
    g_queue_clear_full(&qmp->output, (GDestroyNotify) chunk_free);
    qmp->output_size = 0;
}

static void disconnect(Qmp *qmp)
{
    qmp->state = QMP_CLOSED;
    qmp->io = sd_event_source_disable_unref(qmp->io);
    qmp->timer = sd_event_source_disable_unref(qmp->timer);
    if (qmp->fd >= 0)
        close(qmp->fd);
    qmp->fd = -1;
    drop_output(qmp);
    lines_clear(&qmp->lines);
}

static void qmp_unref(Qmp *qmp)
{
    if (--qmp->n_ref > 0)
        return;
    disconnect(qmp);
    g_queue_clear_full(&qmp->calls, (GDestroyNotify) call_free);
    g_clear_pointer(&qmp->event, sd_event_unref);
    g_free(qmp->version);
    g_free(qmp);
}

void qmp_free(Qmp *qmp)
{
    if (!qmp)
        return;
    qmp->freed = true;
    disconnect(qmp);
    qmp_unref(qmp);
}

void qmp_forget(Qmp *qmp, void *userdata)
{
    for (GList *l = qmp->calls.head; l; l = l->next) {
        Call *call = l->data;
        if (call->userdata == userdata)
            call->reply = NULL;
    }
}

bool qmp_is_ready(const Qmp *qmp)
{
    return qmp->state == QMP_READY;
}

static uint64_t now_usec(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (uint64_t) ts.tv_sec * USEC_PER_SEC + (uint64_t) ts.tv_nsec / 1000;
}

/* Answers a call and leaves it to its caller to free. Must be the last use of `qmp` unless it is referenced.
 */
static void answer(Qmp *qmp, Call *call, const json_t *result, const Error *error)
{
    QmpReply reply = call->reply;

    call->reply = NULL;
    call->deadline = USEC_INFINITY;
    if (reply)
        reply(qmp, result, error, call->userdata);
}

/* Ends the connection: answers what is open, then says so to the owner. Takes `error`. The caller holds a
 * reference. */
static void qmp_close(Qmp *qmp, Error *error)
{
    g_autoptr(Error) reason = error;
    Call *call;

    if (qmp->state == QMP_CLOSED)
        return;
    disconnect(qmp);

    while (!qmp->freed && (call = g_queue_pop_head(&qmp->calls))) {
        g_autoptr(Error) gone = NULL;

        error_set(&gone, ERROR_QEMU_FAILED, call->command, NULL, "%s",
                reason ? reason->cause : "QEMU has closed its monitor");
        answer(qmp, call, NULL, gone);
        call_free(call);
    }
    if (!qmp->freed && qmp->handlers->closed)
        qmp->handlers->closed(qmp, reason, qmp->userdata);
}

static bool violation(Error **ret_error, const char *what)
{
    return error_set(ret_error, ERROR_QEMU_FAILED, "QMP", NULL, "%s", what);
}

static bool on_greeting(Qmp *qmp, const json_t *greeting, Error **ret_error)
{
    json_t *version, *qemu;
    json_int_t major, minor, micro;

    if (qmp->state != QMP_GREETING)
        return violation(ret_error, "QEMU greeted twice");
    version = json_object_get(greeting, "version");
    qemu = json_object_get(version, "qemu");
    major = json_integer_value(json_object_get(qemu, "major"));
    minor = json_integer_value(json_object_get(qemu, "minor"));
    micro = json_integer_value(json_object_get(qemu, "micro"));
    if (!json_is_object(qemu) || major < 1 || major > 999 || minor < 0 || minor > 999 || micro < 0 ||
            micro > 999)
        return violation(ret_error, "the greeting has no version");

    qmp->version = g_strdup_printf("%d.%d.%d", (int) major, (int) minor, (int) micro);
    qmp->state = QMP_NEGOTIATING;
    return true;
}

static bool on_event(Qmp *qmp, const char *name, const json_t *data, Error **ret_error)
{
    if (!name || (data && !json_is_object(data)))
        return violation(ret_error, "an event without a name or with data that is no object");
    if (qmp->handlers->event)
        qmp->handlers->event(qmp, name, data, qmp->userdata);
    return true;
}

static Error *error_from_qemu(const char *command, const json_t *error)
{
    g_autofree char *words = qmp_message_error_words(error);
    Error *e = NULL;

    error_set(&e, ERROR_QEMU_FAILED, command, NULL, "%s", *words ? words : "QEMU gave no reason");
    return e;
}

static bool is_answer(const json_t *message)
{
    return json_object_get(message, "return") || json_object_get(message, "error");
}

/* Not for ever. */
static bool pass_over(Qmp *qmp)
{
    return qmp->n_strays++ < STRAYS_MAX;
}

static bool is_stray(Qmp *qmp, const json_t *id)
{
    if (!json_is_integer(id) ||
            (json_integer_value(id) >= qmp->first_id && json_integer_value(id) < qmp->next_id))
        return false;
    return pass_over(qmp);
}

/* What QEMU says in the moment between its accepting of a connection and its greeting was meant for the one before. */
static bool is_for_another(Qmp *qmp, const json_t *message)
{
    if (json_is_string(json_object_get(message, "event")))
        return pass_over(qmp);
    return is_answer(message) && is_stray(qmp, json_object_get(message, "id"));
}

static bool on_answer(Qmp *qmp, const json_t *message, Error **ret_error)
{
    const json_t *result = json_object_get(message, "return"), *error = json_object_get(message, "error");
    const json_t *id = json_object_get(message, "id");
    Call *call = g_queue_peek_head(&qmp->calls);
    g_autoptr(Error) e = NULL;

    if (error)
        e = error_from_qemu(call ? call->command : NULL, error);

    if (is_stray(qmp, id))
        return true;
    /* Without out-of-band commands, which we never ask for, QEMU answers in order. */
    if (!call || !json_is_integer(id) || json_integer_value(id) != call->id)
        return error_set(ret_error, ERROR_QEMU_FAILED, "QMP", NULL,
                "an answer came that was not asked for%s%s", e ? ": " : "", e ? e->cause : "");
    if (!result == !error)
        return violation(ret_error, "an answer must be either a return or an error");

    g_queue_pop_head(&qmp->calls);
    if (qmp->state == QMP_NEGOTIATING) {
        call_free(call);
        if (e)
            return error_propagate(ret_error, g_steal_pointer(&e));
        qmp->state = QMP_READY;
        if (qmp->handlers->ready)
            qmp->handlers->ready(qmp, qmp->version, qmp->userdata);
        return true;
    }
    answer(qmp, call, result, e);
    call_free(call);
    return true;
}

/* One line, without its end. May call back, and so may find the connection closed or freed afterwards. */
static bool on_line(Qmp *qmp, const char *line, size_t length, Error **ret_error)
{
    g_autoptr(QmpMessage) message = NULL;
    json_t *part;

    message = qmp_message_parse(line, length, ret_error);
    if (!message)
        return false;

    part = json_object_get(message, "QMP");
    if (part)
        return on_greeting(qmp, part, ret_error);
    if (qmp->state == QMP_GREETING)
        return is_for_another(qmp, message) || violation(ret_error, "the first line is no greeting");
    part = json_object_get(message, "event");
    if (part)
        return on_event(qmp, json_string_value(part), json_object_get(message, "data"), ret_error);
    if (is_answer(message))
        return on_answer(qmp, message, ret_error);
    return violation(ret_error, "a line is neither answer nor event");
}

typedef struct Reading {
    Qmp *qmp;
    Error *error;
} Reading;

static bool take_line(const char *line, size_t length, void *userdata)
{
    Reading *reading = userdata;

    return on_line(reading->qmp, line, length, &reading->error) && reading->qmp->state != QMP_CLOSED;
}

static bool on_bytes(Qmp *qmp, const char *data, size_t size, Error **ret_error)
{
    Reading reading = {.qmp = qmp};

    if (lines_take(&qmp->lines, data, size, take_line, &reading) < 0)
        return error_set(
                ret_error, ERROR_QEMU_FAILED, "QMP", NULL, "a line is longer than %u bytes", QMP_LINE_MAX);
    return !reading.error || error_propagate(ret_error, reading.error);
}

static void on_readable(Qmp *qmp)
{
    char buffer[READ_MAX];
    Error *error = NULL;
    ssize_t n;

    n = recv(qmp->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        if (qmp->write_broken) {
            violation(&error, "QEMU takes no more commands");
            qmp_close(qmp, error);
        }
        return;
    }
    if (n > 0) {
        if (!on_bytes(qmp, buffer, (size_t) n, &error))
            qmp_close(qmp, error);
        return;
    }
    if (n < 0 && errno != ECONNRESET)
        error_set_errno(&error, errno, "QMP", "Cannot read");
    else if (qmp->lines.partial)
        violation(&error, "QEMU has closed its monitor in the middle of a line");
    qmp_close(qmp, error);
}

static ssize_t send_chunk(int fd, const Chunk *chunk)
{
    union {
        char buffer[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = {};
    struct iovec iov = {.iov_base = chunk->data + chunk->sent, .iov_len = chunk->size - chunk->sent};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

    if (chunk->fd >= 0) {
        struct cmsghdr *cmsg;

        msg.msg_control = control.buffer;
        msg.msg_controllen = sizeof control.buffer;
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(sizeof(int));
        memcpy(CMSG_DATA(cmsg), &chunk->fd, sizeof(int));
    }
    return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* Sends what the socket takes. A broken socket is found out by reading: there may be last words in it. */
static void flush_output(Qmp *qmp)
{
    Chunk *chunk;

    while (!qmp->write_broken && (chunk = g_queue_peek_head(&qmp->output))) {
        ssize_t n = send_chunk(qmp->fd, chunk);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            qmp->write_broken = true;
            drop_output(qmp);
            break;
        }
        if (chunk->fd >= 0) {
            close(chunk->fd);
            chunk->fd = -1;
        }
        chunk->sent += (size_t) n;
        qmp->output_size -= (size_t) n;
        if (chunk->sent == chunk->size)
            chunk_free(g_queue_pop_head(&qmp->output));
    }
    /* With a broken socket EPOLLOUT stays, to come round once more and read to the end. */
    (void) sd_event_source_set_io_events(
            qmp->io, EPOLLIN | (qmp->write_broken || !g_queue_is_empty(&qmp->output) ? EPOLLOUT : 0));
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Qmp *qmp = userdata;

    qmp->n_ref++;
    if (revents & EPOLLOUT)
        flush_output(qmp);
    if ((revents & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP)) || qmp->write_broken)
        on_readable(qmp);
    qmp_unref(qmp);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* Makes the timer come at `at` at the latest. */
static int arm_timer(Qmp *qmp, uint64_t at)
{
    int r;

    if (at >= qmp->timer_at)
        return 0;
    if (!qmp->timer) {
        r = sd_event_add_time(qmp->event, &qmp->timer, CLOCK_MONOTONIC, at, ACCURACY_USEC, on_timer, qmp);
        if (r < 0)
            return r;
        /* When we come late ourselves, answers that are already there count. */
        (void) sd_event_source_set_priority(qmp->timer, SD_EVENT_PRIORITY_NORMAL + 10);
        (void) sd_event_source_set_description(qmp->timer, "qmp-timeout");
    } else {
        r = sd_event_source_set_time(qmp->timer, at);
        if (r < 0)
            return r;
        r = sd_event_source_set_enabled(qmp->timer, SD_EVENT_ONESHOT);
        if (r < 0)
            return r;
    }
    qmp->timer_at = at;
    return 0;
}

static void time_out(Qmp *qmp, Call *call)
{
    g_autofree char *waited = format_duration(call->timeout);
    g_autoptr(Error) error = NULL;

    error_set(&error, ERROR_TIMED_OUT, call->command, NULL, "QEMU did not answer within %s", waited);
    answer(qmp, call, NULL, error);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Qmp *qmp = userdata;
    uint64_t now = now_usec(), next = USEC_INFINITY;
    bool expired = true;

    qmp->n_ref++;
    /* A callback may change the list: begin again after each. */
    while (expired && qmp->state != QMP_CLOSED) {
        expired = false;
        next = USEC_INFINITY;
        for (GList *l = qmp->calls.head; l; l = l->next) {
            Call *call = l->data;

            if (call->deadline <= now) {
                expired = true;
                time_out(qmp, call);
                break;
            }
            next = MIN(next, call->deadline);
        }
    }
    if (qmp->state != QMP_CLOSED) {
        qmp->timer_at = USEC_INFINITY;
        (void) arm_timer(qmp, next);
    }
    qmp_unref(qmp);
    return 0;
}

static char *format_call(const char *command, json_t *arguments, int64_t id, size_t *ret_size)
{
    g_autoptr(QmpMessage) message = json_object();
    char *text;

    json_object_set_new(message, "execute", json_string(command));
    if (arguments)
        json_object_set_new(message, "arguments", arguments);
    json_object_set_new(message, "id", json_integer(id));
    text = json_dumps(message, JSON_COMPACT);
    if (!text)
        return NULL;
    *ret_size = strlen(text) + 1;
    text[*ret_size - 1] = '\n'; /* in the place of the NUL: the text is counted from here on */
    return text;
}

int qmp_call(Qmp *qmp, const char *command, json_t *arguments, int fd, uint64_t timeout_usec, QmpReply reply,
        void *userdata)
{
    uint64_t deadline =
            timeout_usec > 0 && timeout_usec < USEC_INFINITY ? now_usec() + timeout_usec : USEC_INFINITY;
    g_autofree char *text = NULL;
    fd_cleanup int copy = -1;
    size_t size;
    Call *call;
    Chunk *chunk;
    int r;

    text = format_call(command, arguments, qmp->next_id, &size);
    if (!text)
        return -EINVAL;
    if (qmp->state == QMP_CLOSED || qmp->write_broken)
        return -ENOTCONN;
    if (qmp->output_size + size > QMP_QUEUE_MAX || qmp->calls.length >= CALLS_MAX)
        return -ENOBUFS;
    if (fd >= 0) {
        copy = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0)
            return -errno;
    }
    r = arm_timer(qmp, deadline);
    if (r < 0)
        return r;

    call = g_new(Call, 1);
    *call = (Call){
            .id = qmp->next_id++,
            .command = g_strdup(command),
            .deadline = deadline,
            .timeout = timeout_usec,
            .reply = reply,
            .userdata = userdata,
    };
    g_queue_push_tail(&qmp->calls, call);

    chunk = g_new(Chunk, 1);
    *chunk = (Chunk){.data = g_steal_pointer(&text), .size = size, .fd = steal_fd(&copy)};
    g_queue_push_tail(&qmp->output, chunk);
    qmp->output_size += size;
    if (qmp->output.length == 1)
        flush_output(qmp);
    return 0;
}

int qmp_new(sd_event *event, int fd, const QmpHandlers *handlers, void *userdata, Qmp **ret)
{
    g_autoptr(Qmp) qmp = g_new(Qmp, 1);
    int r;

    *qmp = (Qmp){
            .n_ref = 1,
            .fd = fd,
            .handlers = handlers,
            .userdata = userdata,
            .event = sd_event_ref(event),
            .timer_at = USEC_INFINITY,
            .first_id = (int64_t) g_random_int_range(1, ID_CONNECTIONS_MAX) * ID_STEP,
            .lines.max = QMP_LINE_MAX,
            .calls = G_QUEUE_INIT,
            .output = G_QUEUE_INIT,
    };
    qmp->next_id = qmp->first_id;
    r = sd_event_add_io(event, &qmp->io, fd, EPOLLIN, on_io, qmp);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(qmp->io, "qmp");

    /* QEMU reads it after its greeting, and whatever is queued behind it; no need to wait for either. */
    r = qmp_call(qmp, "qmp_capabilities", NULL, -1, 0, NULL, NULL);
    if (r < 0)
        return r;
    *ret = g_steal_pointer(&qmp);
    return 0;
}
