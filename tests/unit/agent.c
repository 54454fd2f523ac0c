/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The guest agent's connection, with agents at its other end that are slow, silent, or mean ill. */

#include "agent.h"

#include <errno.h>
#include <stdio.h>

#include "cleanup.h"
#include "peer.h"
#include "qmp-message.h"

#define LONG (10 * G_USEC_PER_SEC)
#define SHORT (50 * 1000)

typedef struct Fixture {
    sd_event *event;
    Agent *agent;
    int peer;
    int64_t number; /* of the last sync that was heard */
    unsigned n_replies, n_errors, n_closed, n_lost, n_found;
    bool free_on_answers, free_on_reply, free_on_closed, call_on_reply;
    Error *error;
    json_t *result;
    GString *order; /* of the replies, by the letter that is their userdata */
} Fixture;

static Fixture *current; /* for replies, whose userdata is a letter */

static void on_answers(Agent *agent, bool answers, void *userdata)
{
    Fixture *f = userdata;
    g_assert_true(agent_answers(agent) == answers);
    if (answers)
        f->n_found++;
    else
        f->n_lost++;
    if (f->free_on_answers)
        g_clear_pointer(&f->agent, agent_free);
}

static void on_closed(Agent *agent, void *userdata)
{
    Fixture *f = userdata;
    g_assert_cmpuint(f->n_closed++, ==, 0);
    g_assert_cmpint(agent_call(agent, "guest-ping", NULL, LONG, NULL, NULL), ==, -ENOTCONN);
    if (f->free_on_closed)
        g_clear_pointer(&f->agent, agent_free);
}

static const AgentHandlers handlers = {.answers = on_answers, .closed = on_closed};

static void call(Fixture *f, char letter, uint64_t timeout);

static void on_reply(Agent *agent, const json_t *result, const Error *error, void *userdata)
{
    Fixture *f = current;
    g_assert_true(!result != !error);
    f->n_replies++;
    g_string_append_c(f->order, (char) GPOINTER_TO_INT(userdata));
    if (error) {
        f->n_errors++;
        error_free(f->error);
        f->error = error_copy(error);
    } else {
        json_decref(f->result);
        f->result = json_deep_copy(result);
    }
    if (f->call_on_reply) {
        f->call_on_reply = false;
        call(f, 'z', LONG);
    }
    if (f->free_on_reply)
        g_clear_pointer(&f->agent, agent_free);
}

static void call(Fixture *f, char letter, uint64_t timeout)
{
    g_assert_cmpint(agent_call(f->agent, "guest-info", NULL, timeout, on_reply, GINT_TO_POINTER(letter)), ==, 0);
}

static void set_up(Fixture *f, gconstpointer data)
{
    int fds[2];
    *f = (Fixture){.order = g_string_new(NULL)};
    current = f;
    g_assert_cmpint(sd_event_new(&f->event), >=, 0);
    g_assert_cmpint(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), ==, 0);
    f->peer = fds[1];
    g_assert_cmpint(agent_new(f->event, fds[0], &handlers, f, &f->agent), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer data)
{
    agent_free(f->agent);
    close_fd(&f->peer);
    error_free(f->error);
    json_decref(f->result);
    g_string_free(f->order, TRUE);
    sd_event_unref(f->event);
}

/* Whatever there is to do is done. */
static void settle(Fixture *f)
{
    while (sd_event_run(f->event, 0) > 0)
        ;
}

static void say_bytes(Fixture *f, const char *text, size_t size)
{
    g_assert_cmpint(send(f->peer, text, size, MSG_NOSIGNAL), ==, size);
}

/* "@" stands for the number that was last asked for, "#" for the delimiter. */
static void say(Fixture *f, const char *text)
{
    g_autoptr(GString) s = g_string_new(NULL);
    for (const char *p = text; *p; p++) {
        if (*p == '@')
            g_string_append_printf(s, "%" G_GINT64_FORMAT, f->number);
        else
            g_string_append_c(s, *p == '#' ? '\xff' : *p);
    }
    say_bytes(f, s->str, s->len);
}

/* The next line that the agent is sent; NULL: none has come. */
static char *hear(Fixture *f)
{
    g_autoptr(GString) line = g_string_new(NULL);
    char c;
    settle(f);
    while (recv(f->peer, &c, 1, MSG_DONTWAIT) == 1) {
        if (c == '\n')
            return g_strdup(line->str);
        g_string_append_c(line, c);
    }
    g_assert_cmpuint(line->len, ==, 0);
    return NULL;
}

static void hear_sync(Fixture *f)
{
    g_autofree char *line = hear(f);
    int64_t number = -1;
    g_assert_nonnull(line);
    g_assert_cmpint(
        sscanf(line, "\xff{\"execute\":\"guest-sync-delimited\",\"arguments\":{\"id\":%" G_GINT64_FORMAT "}}", &number), ==, 1);
    g_assert_cmpint(number, >=, 0);
    g_assert_cmpint(number, !=, f->number);
    f->number = number;
}

static void hear_command(Fixture *f)
{
    g_autofree char *line = hear(f);
    g_assert_cmpstr(line, ==, "{\"execute\":\"guest-info\"}");
}

static void hear_nothing(Fixture *f)
{
    g_autofree char *line = hear(f);
    g_assert_null(line);
}

#define SYNCED "#{\"return\": @}\n"
#define DONE "{\"return\": {\"x\": 1}}\n"

static void assert_fails_as(Fixture *f, ErrorCode code, const char *words)
{
    RUN_UNTIL(f->event, f->n_errors > 0);
    g_assert_cmpint(f->error->code, ==, code);
    g_assert_cmpstr(f->error->thing, ==, "guest-info");
    g_assert_nonnull(strstr(f->error->cause, words));
}

static void assert_fails(Fixture *f, const char *words)
{
    assert_fails_as(f, ERROR_GUEST_UNRESPONSIVE, words);
}

/* ---- agents as they should be ---- */

static void test_calls(Fixture *f, gconstpointer data)
{
    hear_nothing(f);
    call(f, 'a', LONG);
    call(f, 'b', LONG);
    g_assert_cmpint(agent_call(f->agent, "guest-exec", json_pack("{ss}", "path", "/bin/\303\244"), LONG, on_reply, GINT_TO_POINTER('c')),
        ==, 0);
    hear_sync(f);
    hear_nothing(f); /* nothing is asked before it has answered */
    g_assert_false(agent_answers(f->agent));
    say(f, SYNCED);
    hear_command(f);
    g_assert_true(agent_answers(f->agent));
    hear_nothing(f); /* one at a time */
    say(f, DONE);
    hear_sync(f);
    g_assert_cmpstr(f->order->str, ==, "a");
    g_assert_cmpint(json_integer_value(json_object_get(f->result, "x")), ==, 1);
    say(f, SYNCED);
    hear_command(f);
    say(f, "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no \\u001b[2J\\nroom\"}}\n");
    hear_sync(f);
    g_assert_cmpint(f->error->code, ==, ERROR_FAILED);
    g_assert_cmpstr(f->error->cause, ==, "no [2J; room");
    say(f, SYNCED);
    g_autofree char *line = hear(f);
    g_assert_cmpstr(line, ==, "{\"execute\":\"guest-exec\",\"arguments\":{\"path\":\"/bin/\303\244\"}}");
    say(f, "{\"error\": {\"class\": \"CommandNotFound\", \"desc\": \"\"}}\n");
    hear_nothing(f);
    g_assert_cmpint(f->error->code, ==, ERROR_UNSUPPORTED);
    g_assert_cmpstr(f->error->thing, ==, "guest-exec");
    g_assert_cmpstr(f->error->cause, ==, "the guest agent gave no reason");
    g_assert_cmpstr(f->order->str, ==, "abc");
    g_assert_cmpuint(f->n_found, ==, 1);
    g_assert_cmpuint(f->n_lost + f->n_closed, ==, 0);
}

/* What earlier callers have left on the way, byte by byte, with the delimiters of their own numbers. */
static void test_noise(Fixture *f, gconstpointer data)
{
    static const char noise[] = "{\"return\": {\"x\": 7}}\n{\"error\": {\"class\": \"GenericError\", \"desc\": \"JSON parse error\"}}\n"
                                "#{\"return\": 1}\n##{\"ret#{\"return\": {}}\nx\n#\n#{\"return\": \"@\"}\n{\"return\": @}\n";
    g_autofree char *filler = g_strnfill(5000, 'x');
    call(f, 'a', LONG);
    hear_sync(f);
    for (const char *p = noise; *p; p++) {
        say(f, (char[]){*p, '\0'});
        settle(f);
    }
    say(f, "#");
    say(f, filler);
    hear_nothing(f);
    say(f, SYNCED DONE); /* what comes unasked in the same breath is none */
    hear_command(f);
    hear_nothing(f);
    g_assert_cmpuint(f->n_replies, ==, 0);
    for (const char *p = DONE; *p; p++) {
        say(f, (char[]){*p, '\0'});
        settle(f);
    }
    g_assert_cmpstr(f->order->str, ==, "a");
    g_assert_cmpuint(f->n_errors, ==, 0);
}

/* ---- agents that do not answer ---- */

static void test_late(Fixture *f, gconstpointer data)
{
    call(f, 'a', SHORT);
    call(f, 'b', LONG);
    hear_sync(f);
    say(f, SYNCED);
    hear_command(f);
    assert_fails(f, "the guest agent did not answer within 50ms");
    g_assert_cmpuint(f->n_lost, ==, 1);
    g_assert_false(agent_answers(f->agent));
    say(f, "{\"return\": {\"x\": 7}}\n"); /* a's, too late */
    hear_sync(f);
    say(f, SYNCED);
    hear_command(f);
    say(f, DONE);
    settle(f);
    g_assert_cmpstr(f->order->str, ==, "ab");
    g_assert_cmpint(json_integer_value(json_object_get(f->result, "x")), ==, 1);
    g_assert_cmpuint(f->n_found, ==, 2);
    g_assert_true(agent_answers(f->agent));
}

/* One that reads nothing at all, ever: what waits is bounded, and so is what is on the way to it. */
static void test_silent(Fixture *f, gconstpointer data)
{
    g_autofree char *filler = g_strnfill(AGENT_CALL_MAX / 2, 'x');
    unsigned n = 0;
    int r;
    g_assert_cmpint(agent_call(f->agent, "a", json_stringn_nocheck("\xff", 1), LONG, on_reply, NULL), ==, -EINVAL);
    g_assert_cmpint(agent_call(f->agent, "a", json_pack("{ss++}", "x", filler, filler, "y"), LONG, on_reply, NULL), ==, -EINVAL);
    while ((r = agent_call(f->agent, "guest-info", json_pack("{ss}", "x", filler), n == 0 ? 40 * SHORT : SHORT, on_reply,
                GINT_TO_POINTER('a' + (int) n % 26))) == 0)
        n++;
    g_assert_cmpint(r, ==, -ENOBUFS);
    g_assert_cmpuint(n, ==, AGENT_CALLS_MAX);
    RUN_UNTIL(f->event, f->n_replies == n);
    g_assert_cmpuint(f->n_errors, ==, n);
    g_assert_cmpint(f->order->str[0], ==, 'b'); /* those that wait do not wait longer for the first one */
    g_assert_cmpint(f->order->str[n - 1], ==, 'a');
    hear_sync(f);
    hear_nothing(f);
    g_assert_cmpuint(f->n_found + f->n_lost, ==, 0);

    for (unsigned i = 0; i < 20; i++) {
        call(f, 'x', 1);
        RUN_UNTIL(f->event, f->n_replies == n + i + 1);
    }
    for (unsigned i = 0; i < 20; i++)
        hear_sync(f);
    hear_nothing(f);
}

/* A command of which the guest takes only the start is given up, and the next call begins afresh. */
static void test_half_sent(Fixture *f, gconstpointer data)
{
    g_autofree char *filler = g_strnfill(AGENT_CALL_MAX - 1000, 'x'), *buffer = g_malloc(2 * AGENT_CALL_MAX);
    g_assert_cmpint(
        agent_call(f->agent, "guest-exec", json_pack("{ss}", "x", filler), SHORT, on_reply, GINT_TO_POINTER('a')), ==, 0);
    hear_sync(f);
    say(f, SYNCED);
    RUN_UNTIL(f->event, f->n_errors == 1);
    g_assert_cmpint(f->error->code, ==, ERROR_GUEST_UNRESPONSIVE);
    call(f, 'b', LONG);
    size_t size = 0;
    ssize_t n;
    while ((n = recv(f->peer, buffer + size, 2 * AGENT_CALL_MAX - size - 1, MSG_DONTWAIT)) > 0) {
        size += (size_t) n;
        settle(f);
    }
    g_assert_cmpuint(size, <, AGENT_CALL_MAX - 1000);
    buffer[size] = '\0';
    const char *sync = memchr(buffer, '\xff', size);
    g_assert_nonnull(sync);
    g_assert_cmpint(sscanf(strstr(sync, "\"id\":"), "\"id\":%" G_GINT64_FORMAT, &f->number), ==, 1);
    say(f, SYNCED);
    hear_command(f);
    say(f, DONE);
    settle(f);
    g_assert_cmpstr(f->order->str, ==, "ab");
    g_assert_cmpuint(f->n_errors, ==, 1);
}

/* ---- agents that mean ill ---- */

/* What is said for an answer, and the words of the error; NULL: it is one. */
static const struct {
    const char *text, *words;
} hostile[] = {
    {DONE, NULL},
    {"{\"return\": {}, \"more\": [1], \"id\": 5}\n", NULL},
    {"\n", "answer is none: a line is no JSON object"},
    {"#{\"return\": {}}\n", "answer is none"},
    {"hello \033[31m\n", "answer is none: a line is no JSON object: \"hello [31m\""},
    {"[]\n", "answer is none"},
    {"5\n", "answer is none"},
    {"{\"return\": {}\n", "answer is none"},
    {"{\"return\": 1e999}\n", "answer is none"},
    {"{}\n", "neither a result nor an error"},
    {"{\"event\": \"X\"}\n", "neither a result nor an error"},
    {"{\"return\": {}, \"error\": {}}\n", "neither a result nor an error"},
};

static void test_hostile(Fixture *f, gconstpointer data)
{
    for (size_t i = 0; i < G_N_ELEMENTS(hostile); i++) {
        f->n_replies = f->n_errors = f->n_lost = 0;
        call(f, 'a', LONG);
        hear_sync(f);
        say(f, SYNCED);
        hear_command(f);
        say(f, hostile[i].text);
        settle(f);
        g_assert_cmpuint(f->n_replies, ==, 1);
        if (hostile[i].words) {
            assert_fails(f, hostile[i].words);
            g_assert_cmpuint(f->n_lost, ==, 1);
        } else
            g_assert_cmpuint(f->n_errors, ==, 0);
    }
    g_assert_cmpuint(f->n_closed, ==, 0);
}

static void test_deep_and_costly(Fixture *f, gconstpointer data)
{
    static const char *const parts[] = {"[", "{\"a\":", "{},", "0,"};
    for (size_t i = 0; i < G_N_ELEMENTS(parts); i++) {
        g_autoptr(GString) line = g_string_new("{\"return\":[");
        while (line->len < AGENT_LINE_MAX / 2)
            g_string_append(line, parts[i]);
        g_string_append(line, "0]}\n");
        f->n_errors = 0;
        call(f, 'a', LONG);
        hear_sync(f);
        say(f, SYNCED);
        hear_command(f);
        for (size_t sent = 0; sent < line->len; settle(f)) {
            ssize_t n = send(f->peer, line->str + sent, line->len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
            g_assert_cmpint(n, >, 0);
            sent += (size_t) n;
        }
        assert_fails(f, "answer is none");
    }
}

/* Nothing of it is kept, and what is asked next is answered as ever. */
static void test_too_long(Fixture *f, gconstpointer data)
{
    g_autoptr(GString) line = g_string_new("{\"return\":\"");
    while (line->len < 3 * (size_t) AGENT_LINE_MAX)
        g_string_append_len(line, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", 64);
    g_string_append(line, "\"}\n");
    call(f, 'a', LONG);
    call(f, 'b', LONG);
    hear_sync(f);
    say(f, SYNCED);
    hear_command(f);
    for (size_t sent = 0; sent < line->len; settle(f)) {
        g_assert_cmpuint(f->n_replies, ==, 0);
        ssize_t n = send(f->peer, line->str + sent, line->len - sent, MSG_DONTWAIT | MSG_NOSIGNAL);
        g_assert_cmpint(n, >, 0);
        sent += (size_t) n;
    }
    assert_fails_as(f, ERROR_LIMIT_REACHED, "is longer than");
    g_assert_cmpuint(f->n_lost, ==, 0);
    hear_sync(f);
    say(f, SYNCED);
    hear_command(f);
    say(f, "{\"return\": 7}\n");
    RUN_UNTIL(f->event, f->n_replies == 2);
    g_assert_cmpuint(f->n_errors, ==, 1);
    g_assert_cmpint(json_integer_value(f->result), ==, 7);
}

/* Without an answer, without an end: what is read for a call has an end, and then nothing is read any more. */
static void test_flood(Fixture *f, gconstpointer data)
{
    static const struct {
        const char *text, *words;
        size_t max;
        bool synced;
    } floods[] = {
        {"x", "talks without answering", AGENT_NOISE_MAX, false},
        {"\xff", "talks without answering", AGENT_NOISE_MAX, false},
        {"\xff{\"return\": 1}\n", "talks without answering", AGENT_NOISE_MAX, false},
        {"x", "does not end", AGENT_LINE_MAX + AGENT_REST_MAX, true},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(floods); i++) {
        if (i > 0) {
            tear_down(f, NULL);
            set_up(f, NULL);
        }
        call(f, 'a', LONG);
        hear_sync(f);
        if (floods[i].synced) {
            say(f, SYNCED);
            hear_command(f);
        }
        Flood flood = {.fd = f->peer, .before = "", .text = floods[i].text, .limit = UINT64_C(4) << 30};
        GThread *thread = g_thread_new("flood", pour, &flood);
        assert_fails(f, floods[i].words);
        g_assert_cmpuint(f->n_replies, ==, 1);
        int64_t start = g_get_monotonic_time();
        unsigned turns = 0;
        while (g_get_monotonic_time() - start < 200000)
            turns += sd_event_run(f->event, 20000) > 0;
        g_assert_cmpuint(turns, <=, 1); /* a timer that is late */
        g_clear_pointer(&f->agent, agent_free);
        g_thread_join(thread);
        g_assert_true(flood.broken);
        g_assert_cmpuint(flood.sent, <, floods[i].max + 1024 * 1024);
    }
}

/* ---- the end ---- */

static void test_gone(Fixture *f, gconstpointer data)
{
    call(f, 'a', LONG);
    call(f, 'b', LONG);
    hear_sync(f);
    say(f, "{\"half");
    close_fd(&f->peer);
    RUN_UNTIL(f->event, f->n_closed == 1);
    assert_fails(f, "the guest agent has gone");
    g_assert_cmpstr(f->order->str, ==, "ab");
    g_clear_pointer(&f->agent, agent_free);
    tear_down(f, NULL);

    set_up(f, NULL);
    say(f, "unasked");
    close_fd(&f->peer);
    RUN_UNTIL(f->event, f->n_closed == 1); /* seen while nothing is read, too */
    tear_down(f, NULL);

    set_up(f, NULL);
    call(f, 'a', LONG);
    call(f, 'b', LONG);
    agent_close(f->agent);
    g_assert_cmpstr(f->order->str, ==, "ab");
    g_assert_cmpint(agent_call(f->agent, "guest-ping", NULL, LONG, NULL, NULL), ==, -ENOTCONN);
    settle(f);
    g_assert_cmpuint(f->n_closed, ==, 0);
}

/* Freed from each of its callbacks. */
static void test_freed(Fixture *f, gconstpointer data)
{
    for (int i = 0; i < 7; i++) {
        if (i > 0) {
            tear_down(f, NULL);
            set_up(f, NULL);
        }
        f->free_on_answers = i == 0;
        f->free_on_reply = i == 1 || i == 2 || i == 3 || i == 5;
        f->free_on_closed = i == 4;
        call(f, 'a', i == 2 ? SHORT : LONG);
        call(f, 'b', LONG);
        hear_sync(f);
        if (i == 3 || i == 4)
            close_fd(&f->peer);
        else if (i == 5)
            agent_close(f->agent);
        else if (i != 2) {
            say(f, SYNCED);
            settle(f);
        }
        if (i == 6) { /* while it is under way, when it has stopped answering */
            f->free_on_answers = true;
            say(f, "nonsense\n");
        } else if (i == 1)
            say(f, DONE DONE);
        RUN_UNTIL(f->event, !f->agent);
        settle(f);
        g_assert_cmpuint(f->n_replies, ==, f->free_on_reply ? 1 : i == 4 ? 2 : 0);
        g_assert_cmpuint(f->n_closed, ==, i == 4);
    }
}

static void test_call_from_reply(Fixture *f, gconstpointer data)
{
    f->call_on_reply = true;
    call(f, 'a', LONG);
    hear_sync(f);
    say(f, SYNCED);
    hear_command(f);
    say(f, DONE);
    hear_sync(f);
    hear_nothing(f);
    say(f, SYNCED);
    hear_command(f);
    say(f, DONE);
    settle(f);
    g_assert_cmpstr(f->order->str, ==, "az");
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        void (*test)(Fixture *f, gconstpointer data);
    } tests[] = {
        {"calls", test_calls},
        {"noise", test_noise},
        {"late", test_late},
        {"silent", test_silent},
        {"half-sent", test_half_sent},
        {"hostile", test_hostile},
        {"deep-and-costly", test_deep_and_costly},
        {"too-long", test_too_long},
        {"flood", test_flood},
        {"gone", test_gone},
        {"freed", test_freed},
        {"call-from-reply", test_call_from_reply},
    };
    g_test_init(&argc, &argv, NULL);
    for (size_t i = 0; i < G_N_ELEMENTS(tests); i++) {
        g_autofree char *path = g_strconcat("/agent/", tests[i].name, NULL);
        g_test_add(path, Fixture, NULL, set_up, tests[i].test, tear_down);
    }
    return g_test_run();
}
