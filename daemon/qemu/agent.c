/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "agent.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "lines.h"
#include "qmp-message.h"
#include "value.h"

/* What is read in one turn of the event loop. */
#define READ_MAX (8U * 1024U)

/* The byte that is in no UTF-8: an agent that reads it forgets what it has half read, and puts it before its answer. */
#define DELIMITER 0xff

/* {"return": NUMBER}, and some air. */
#define SYNC_LINE_MAX 256U

#define ACCURACY_USEC (10 * 1000)

/* After all else of the loop: of a guest's talk there can be much. */
#define IO_PRIORITY (SD_EVENT_PRIORITY_NORMAL + 20)

typedef enum AgentState {
    AGENT_IDLE,
    AGENT_SKIPPING, /* until the delimiter comes */
    AGENT_SYNCING,  /* the number behind it */
    AGENT_ASKED,    /* the command has been sent */
    AGENT_DRAINING, /* of an answer that is too long, the rest */
    AGENT_CLOSED,
} AgentState;

typedef struct Call {
    char *command;
    GBytes *text;      /* what is sent */
    uint64_t deadline; /* CLOCK_MONOTONIC */
    uint64_t timeout;
    AgentReply reply;
    void *userdata;
} Call;

struct Agent {
    unsigned n_ref; /* the owner's, and one while a callback may free us */
    AgentState state;
    bool freed, answers;
    int fd;
    const AgentHandlers *handlers;
    void *userdata;

    sd_event *event;
    sd_event_source *io, *timer;

    GQueue calls;       /* Call; the first is under way unless idle */
    int64_t number;     /* of the last sync */
    size_t noise;       /* read since it was sent, or since the answer became too long */
    Lines lines;
    GBytes *output;     /* NULL when all is sent */
    size_t sent;
};

static void call_free(Call *call)
{
    g_free(call->command);
    g_bytes_unref(call->text);
    g_free(call);
}

static void disconnect(Agent *agent)
{
    agent->state = AGENT_CLOSED;
    agent->answers = false;
    agent->io = sd_event_source_disable_unref(agent->io);
    agent->timer = sd_event_source_disable_unref(agent->timer);
    close_fd(&agent->fd);
    g_clear_pointer(&agent->output, g_bytes_unref);
    lines_clear(&agent->lines);
}

static void agent_unref(Agent *agent)
{
    if (--agent->n_ref > 0)
        return;
    disconnect(agent);
    g_queue_clear_full(&agent->calls, (GDestroyNotify) call_free);
    sd_event_unref(agent->event);
    g_free(agent);
}

void agent_free(Agent *agent)
{
    if (!agent)
        return;
    agent->freed = true;
    disconnect(agent);
    agent_unref(agent);
}

bool agent_answers(const Agent *agent)
{
    return agent->answers;
}

static void set_answers(Agent *agent, bool answers)
{
    if (agent->answers == answers || agent->state == AGENT_CLOSED)
        return;
    agent->answers = answers;
    if (agent->handlers->answers)
        agent->handlers->answers(agent, answers, agent->userdata);
}

static void watch(Agent *agent)
{
    /* The end of the connection is told even when nothing is asked for. */
    uint32_t events = (agent->state == AGENT_IDLE ? 0 : EPOLLIN) | (agent->output ? EPOLLOUT : 0);
    (void) sd_event_source_set_io_events(agent->io, events);
}

/* A broken socket is found out by reading. */
static void flush_output(Agent *agent)
{
    while (agent->output) {
        size_t size;
        const char *data = g_bytes_get_data(agent->output, &size);
        ssize_t n = send(agent->fd, data + agent->sent, size - agent->sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        agent->sent += n < 0 ? size - agent->sent : (size_t) n;
        if (agent->sent == size)
            g_clear_pointer(&agent->output, g_bytes_unref);
    }
    watch(agent);
}

/* What an earlier call has left unsent is dropped: the delimiter ends it. */
static void send_text(Agent *agent, GBytes *text)
{
    g_clear_pointer(&agent->output, g_bytes_unref);
    agent->output = text;
    agent->sent = 0;
    flush_output(agent);
}

/* Introduces the first call, when there is one and nothing is under way. */
static void begin(Agent *agent)
{
    if (agent->state != AGENT_IDLE)
        return;
    if (g_queue_is_empty(&agent->calls)) {
        g_clear_pointer(&agent->output, g_bytes_unref);
        watch(agent);
        return;
    }
    lines_clear(&agent->lines);
    agent->state = AGENT_SKIPPING;
    agent->noise = 0;
    agent->number = (int64_t) (((uint64_t) g_random_int() << 31 | g_random_int() >> 1) & INT64_MAX);
    char *text = g_strdup_printf("\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" G_GINT64_FORMAT "}}\n", agent->number);
    send_text(agent, g_bytes_new_take(text, strlen(text)));
}

/* Answers a call that is in the queue no more. The caller holds a reference. */
static void answer(Agent *agent, Call *call, const json_t *result, const Error *error)
{
    if (!agent->freed && call->reply)
        call->reply(agent, result, error, call->userdata);
    call_free(call);
}

/* The call under way is over. */
static void finish(Agent *agent, const json_t *result, const Error *error)
{
    agent->state = AGENT_IDLE;
    lines_clear(&agent->lines);
    answer(agent, g_queue_pop_head(&agent->calls), result, error);
    begin(agent);
}

static void fail_as(Agent *agent, ErrorCode code, const char *format, ...) G_GNUC_PRINTF(3, 4);
static void fail_as(Agent *agent, ErrorCode code, const char *format, ...)
{
    const Call *call = g_queue_peek_head(&agent->calls);
    g_autoptr(Error) error = NULL;
    va_list ap;
    va_start(ap, format);
    g_autofree char *cause = g_strdup_vprintf(format, ap);
    va_end(ap);
    error_set(&error, code, call->command, NULL, "%s", cause);
    /* Before the answer: who is told then knows already. */
    if (code == ERROR_GUEST_UNRESPONSIVE)
        set_answers(agent, false);
    if (agent->state != AGENT_CLOSED)
        finish(agent, NULL, error);
}

#define fail(agent, ...) fail_as(agent, ERROR_GUEST_UNRESPONSIVE, __VA_ARGS__)

static void on_number(Agent *agent, const char *line, size_t length)
{
    g_autoptr(QmpMessage) message = qmp_message_parse(line, length, NULL);
    const json_t *number = message ? json_object_get(message, "return") : NULL;
    if (!json_is_integer(number) || json_integer_value(number) != agent->number) {
        agent->state = AGENT_SKIPPING; /* an answer to an earlier one */
        return;
    }
    agent->state = AGENT_ASKED;
    const Call *call = g_queue_peek_head(&agent->calls);
    send_text(agent, g_bytes_ref(call->text));
    set_answers(agent, true);
}

static Error *error_from_agent(const char *command, const json_t *error)
{
    const char *class = json_string_value(json_object_get(error, "class"));
    g_autofree char *words = qmp_message_error_words(error);
    Error *e = NULL;
    error_set(&e, g_strcmp0(class, "CommandNotFound") == 0 ? ERROR_UNSUPPORTED : ERROR_FAILED, command, NULL, "%s",
        *words ? words : "the guest agent gave no reason");
    return e;
}

static void on_answer(Agent *agent, const char *line, size_t length)
{
    const Call *call = g_queue_peek_head(&agent->calls);
    g_autoptr(Error) error = NULL;
    g_autoptr(QmpMessage) message = qmp_message_parse(line, length, &error);
    if (!message)
        return fail(agent, "the guest agent's answer is none: %s", error->cause);
    const json_t *result = json_object_get(message, "return"), *failure = json_object_get(message, "error");
    if (!result == !failure)
        return fail(agent, "the guest agent's answer is neither a result nor an error");
    if (failure) {
        error = error_from_agent(call->command, failure);
        result = NULL;
    }
    finish(agent, result, error);
}

/* What follows a line is nobody's: nothing has been asked for by then. */
static bool on_line(const char *line, size_t length, void *userdata)
{
    Agent *agent = userdata;
    if (agent->state == AGENT_SYNCING)
        on_number(agent, line, length);
    else
        on_answer(agent, line, length);
    return false;
}

/* Takes what comes before the answer, a part between two delimiters at a time. */
static void take_sync(Agent *agent, const char *data, size_t size)
{
    agent->noise += size;
    while (size > 0 && (agent->state == AGENT_SKIPPING || agent->state == AGENT_SYNCING)) {
        const char *mark = memchr(data, DELIMITER, size);
        size_t n = mark ? (size_t) (mark - data) : size;
        agent->lines.max = SYNC_LINE_MAX;
        if (agent->state == AGENT_SYNCING && lines_take(&agent->lines, data, n, on_line, agent) < 0)
            agent->state = AGENT_SKIPPING;
        if (mark && agent->state != AGENT_ASKED && agent->state != AGENT_CLOSED) {
            lines_clear(&agent->lines);
            agent->state = AGENT_SYNCING;
            n++;
        }
        data += n;
        size -= n;
    }
    if ((agent->state == AGENT_SKIPPING || agent->state == AGENT_SYNCING) && agent->noise > AGENT_NOISE_MAX)
        fail(agent, "the guest agent talks without answering");
}

static void drain(Agent *agent, const char *data, size_t size)
{
    agent->noise += size;
    if (memchr(data, '\n', size))
        fail_as(agent, ERROR_LIMIT_REACHED, "the guest agent's answer is longer than %u bytes", AGENT_LINE_MAX);
    else if (agent->noise > AGENT_REST_MAX)
        fail(agent, "the guest agent's answer is longer than %u bytes, and does not end", AGENT_LINE_MAX);
}

static void take_answer(Agent *agent, const char *data, size_t size)
{
    agent->lines.max = AGENT_LINE_MAX;
    if (lines_take(&agent->lines, data, size, on_line, agent) >= 0)
        return;
    /* An honest agent sends all of it, before it reads what it is asked next. */
    lines_clear(&agent->lines);
    agent->state = AGENT_DRAINING;
    agent->noise = 0;
    drain(agent, data, size);
}

/* Ends the connection and answers what is open. The caller holds a reference. */
static void end(Agent *agent)
{
    Call *call;
    disconnect(agent);
    while (!agent->freed && (call = g_queue_pop_head(&agent->calls))) {
        g_autoptr(Error) gone = NULL;
        error_set(&gone, ERROR_GUEST_UNRESPONSIVE, call->command, NULL, "the guest agent has gone");
        answer(agent, call, NULL, gone);
    }
}

void agent_close(Agent *agent)
{
    agent->n_ref++;
    end(agent);
    agent_unref(agent);
}

static void on_readable(Agent *agent)
{
    char buffer[READ_MAX];
    ssize_t n = recv(agent->fd, buffer, sizeof buffer, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0 && agent->state == AGENT_ASKED)
        take_answer(agent, buffer, (size_t) n);
    else if (n > 0 && agent->state == AGENT_DRAINING)
        drain(agent, buffer, (size_t) n);
    else if (n > 0)
        take_sync(agent, buffer, (size_t) n);
    else {
        end(agent);
        if (!agent->freed && agent->handlers->closed)
            agent->handlers->closed(agent, agent->userdata);
    }
}

static int on_io(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
    Agent *agent = userdata;
    agent->n_ref++;
    if (revents & EPOLLOUT)
        flush_output(agent);
    if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
        on_readable(agent);
    agent_unref(agent);
    return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata);

/* Makes the timer come for the call whose time is over first. */
static int arm_timer(Agent *agent, uint64_t next)
{
    for (GList *l = agent->calls.head; l; l = l->next)
        next = MIN(next, ((const Call *) l->data)->deadline);
    if (!agent->timer) {
        int r = sd_event_add_time(agent->event, &agent->timer, CLOCK_MONOTONIC, next, ACCURACY_USEC, on_timer, agent);
        /* When we come late ourselves, answers that are already there count. */
        return r < 0 ? r : sd_event_source_set_priority(agent->timer, IO_PRIORITY + 10);
    }
    int r = sd_event_source_set_time(agent->timer, next);
    return r < 0 ? r : sd_event_source_set_enabled(agent->timer, next == USEC_INFINITY ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

/* One call that is too late, or NULL. */
static GList *find_late(Agent *agent, uint64_t now)
{
    for (GList *l = agent->calls.head; l; l = l->next)
        if (((const Call *) l->data)->deadline <= now)
            return l;
    return NULL;
}

static void time_out(Agent *agent, GList *link)
{
    Call *call = link->data;
    g_autofree char *waited = format_duration(call->timeout);
    if (link == agent->calls.head && agent->state != AGENT_IDLE)
        return fail(agent, "the guest agent did not answer within %s", waited);
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_GUEST_UNRESPONSIVE, call->command, NULL, "the guest agent was busy for %s", waited);
    g_queue_delete_link(&agent->calls, link);
    answer(agent, call, NULL, error);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Agent *agent = userdata;
    GList *late;
    agent->n_ref++;
    /* A callback may change the list: begin again after each. */
    while (agent->state != AGENT_CLOSED && (late = find_late(agent, (uint64_t) g_get_monotonic_time())))
        time_out(agent, late);
    if (agent->state != AGENT_CLOSED)
        (void) arm_timer(agent, USEC_INFINITY);
    agent_unref(agent);
    return 0;
}

/* A line; NULL when the arguments, which are taken, are no JSON or too large. */
static GBytes *format_call(const char *command, json_t *arguments)
{
    g_autoptr(QmpMessage) message = json_object();
    json_object_set_new(message, "execute", json_string(command));
    if (arguments)
        json_object_set_new(message, "arguments", arguments);
    char *text = json_dumps(message, JSON_COMPACT);
    if (!text)
        return NULL;
    size_t size = strlen(text);
    text[size++] = '\n'; /* in the place of the NUL: the text is counted from here on */
    if (size <= AGENT_CALL_MAX)
        return g_bytes_new_take(text, size);
    g_free(text);
    return NULL;
}

int agent_call(Agent *agent, const char *command, json_t *arguments, uint64_t timeout_usec, AgentReply reply, void *userdata)
{
    uint64_t deadline = (uint64_t) g_get_monotonic_time() + MIN(timeout_usec, USEC_INFINITY / 2);
    g_autoptr(GBytes) text = format_call(command, arguments);
    if (!text)
        return -EINVAL;
    if (agent->state == AGENT_CLOSED)
        return -ENOTCONN;
    if (agent->calls.length >= AGENT_CALLS_MAX)
        return -ENOBUFS;
    int r = arm_timer(agent, deadline);
    if (r < 0)
        return r;

    Call *call = g_new(Call, 1);
    *call = (Call){
        .command = g_strdup(command),
        .text = g_steal_pointer(&text),
        .deadline = deadline,
        .timeout = timeout_usec,
        .reply = reply,
        .userdata = userdata,
    };
    g_queue_push_tail(&agent->calls, call);
    begin(agent);
    return 0;
}

int agent_new(sd_event *event, int fd, const AgentHandlers *handlers, void *userdata, Agent **ret)
{
    g_autoptr(Agent) agent = g_new(Agent, 1);
    *agent = (Agent){
        .n_ref = 1,
        .fd = fd,
        .handlers = handlers,
        .userdata = userdata,
        .event = sd_event_ref(event),
        .calls = G_QUEUE_INIT,
    };
    int r = sd_event_add_io(event, &agent->io, fd, 0, on_io, agent);
    if (r < 0)
        return r;
    (void) sd_event_source_set_description(agent->io, "guest-agent");
    r = sd_event_source_set_priority(agent->io, IO_PRIORITY);
    if (r < 0)
        return r;
    *ret = g_steal_pointer(&agent);
    return 0;
}
