/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* top: what VMs use, on a terminal that is drawn again and again, as text, or as JSON. */
#include <errno.h>
#include <fnmatch.h>
#include <math.h>
#include <signal.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <time.h>

#include "connect.h"
#include "json.h"
#include "live.h"
#include "report.h"
#include "terminal.h"
#include "top-table.h"
#include "value.h"
#include "verb.h"

#define DELAY_DEFAULT (2 * USEC_PER_SEC)
#define DELAY_MIN (USEC_PER_SEC / 10)
#define DELAY_MAX (3600 * USEC_PER_SEC)

/* On a terminal, where the first lines have no rates yet. */
#define SECOND_AFTER (USEC_PER_SEC / 2)

/* Lines of the screen that are no VM's: two above, the header, and one below. */
#define LINES_AROUND 4

typedef struct Top {
    Client *client;
    sd_event *event;
    sd_event_source *timer;
    sd_bus_slot *call;
    bool live;
    uint64_t delay, left; /* left: how many times it is shown; UINT64_MAX: until it is ended */
    Usage *usage;
    UsageRow *rows; /* of it, those that are wanted, in their order */
    size_t n_rows, first; /* first: the uppermost that is on the screen */
    TopOrder order;
    char *problem; /* why there are no newer ones, or NULL */
} Top;

/* ---- what is shown ---- */

static bool is_wanted(const Client *client, const char *name)
{
    for (size_t i = 0; i < client->n_arguments; i++)
        if (fnmatch(client->arguments[i], name, 0) == 0)
            return true;
    return client->n_arguments == 0;
}

static void select_rows(Top *top)
{
    size_t n;
    UsageRow *all = usage_rows(top->usage, &n);
    g_free(top->rows);
    top->rows = g_new(UsageRow, n + 1);
    top->n_rows = 0;
    for (size_t i = 0; i < n; i++)
        if (is_wanted(top->client, all[i].name))
            top->rows[top->n_rows++] = all[i];
    top_sort(top->rows, top->n_rows, top->order);
}

static size_t longest_name(const Top *top)
{
    size_t longest = 0;
    for (size_t i = 0; i < top->n_rows; i++)
        longest = MAX(longest, terminal_width(top->rows[i].name));
    return longest;
}

static void append_line(GString *frame, const char *line, size_t columns, Style style)
{
    g_autofree char *clean = terminal_clean(line), *cut = terminal_ellipsize(clean, columns);
    g_string_append_printf(frame, "%s%s%s\n", terminal_style(stdout, style), cut, terminal_normal(stdout, style));
}

static void append_title(const Top *top, GString *frame, size_t columns)
{
    g_autofree char *delay = format_duration(top->delay);
    g_autoptr(GDateTime) now = g_date_time_new_now_local();
    g_autofree char *time = g_date_time_format(now, "%H:%M:%S");
    g_autofree char *line = g_strdup_printf("%s  %zu VM%s, every %s, by %s%s", time, top->n_rows, top->n_rows == 1 ? "" : "s", delay,
        top_order_name(top->order.key), top->order.reversed ? ", inverted" : "");
    append_line(frame, line, columns, STYLE_BOLD);
    if (top->problem)
        append_line(frame, top->problem, columns, STYLE_BAD);
    else {
        top_append_sums(frame, columns, top->rows, top->n_rows);
        g_string_append_c(frame, '\n');
    }
}

static void draw(Top *top)
{
    static const char help[] = "q quit  c CPU  m mem  d disk  n net  p stall  x exits  a name  r invert  +- pace";
    size_t height, columns, name_width = longest_name(top);
    g_autoptr(GString) frame = g_string_new(NULL);
    live_size(&height, &columns);
    size_t room = height > LINES_AROUND ? height - LINES_AROUND : 1;
    top->first = MIN(top->first, top->n_rows > room ? top->n_rows - room : 0);
    if (height > LINES_AROUND)
        append_title(top, frame, columns);
    g_string_append(frame, terminal_style(stdout, STYLE_HEADER));
    top_append_header(frame, columns, name_width, top->order);
    g_string_append_printf(frame, "%s\n", terminal_normal(stdout, STYLE_HEADER));
    for (size_t i = top->first; i < MIN(top->n_rows, top->first + room) && height > 1; i++) {
        top_append_row(frame, columns, name_width, &top->rows[i]);
        g_string_append_c(frame, '\n');
    }
    for (size_t i = top->n_rows - top->first; i < room && height > LINES_AROUND; i++)
        g_string_append(frame, " \n");
    if (height > LINES_AROUND)
        append_line(frame, help, columns, STYLE_DIM);
    live_draw(frame);
}

static void print_json(const Top *top)
{
    g_autoptr(json_t) rows = json_array();
    for (size_t i = 0; i < top->n_rows; i++)
        (void) json_array_append_new(rows, usage_row_to_json(top->usage, &top->rows[i]));
    json_print(top->client, rows);
}

static void print_batch(const Top *top)
{
    size_t name_width = longest_name(top);
    g_autoptr(GString) text = g_string_new(NULL);
    if (!top->client->no_legend) {
        top_append_header(text, 0, name_width, top->order);
        g_string_append_c(text, '\n');
    }
    for (size_t i = 0; i < top->n_rows; i++) {
        top_append_row(text, 0, name_width, &top->rows[i]);
        g_string_append_c(text, '\n');
    }
    printf("%s%s", text->str, top->left > 1 ? "\n" : "");
}

/* ---- readings ---- */

static int ask(Top *top);

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
    Top *top = userdata;
    int r = top->call ? 0 : ask(top);
    return r < 0 ? sd_event_exit(top->event, report_errno(r, "the bus: it broke off")) : 0;
}

static void ask_after(Top *top, uint64_t delay)
{
    (void) sd_event_source_set_time_relative(top->timer, delay);
    (void) sd_event_source_set_enabled(top->timer, SD_EVENT_ONESHOT);
}

/* Without rates it is no sample yet for what cannot be drawn again. */
static void show(Top *top, bool had_reading)
{
    select_rows(top);
    if (top->live)
        draw(top);
    else if (!had_reading)
        return ask_after(top, top->delay);
    else if (client_json(top->client))
        print_json(top);
    else
        print_batch(top);
    (void) fflush(stdout);
    if (top->left != UINT64_MAX && (had_reading || !top->live) && --top->left == 0)
        (void) sd_event_exit(top->event, EXIT_DONE);
    else
        ask_after(top, had_reading ? top->delay : MIN(SECOND_AFTER, top->delay));
}

/* On a terminal vmd may go and come back; elsewhere nobody would see that it does not, so it is asked once more. */
static int fail(Top *top, const sd_bus_error *error, int r)
{
    if (!top->usage || r == -ENOTCONN || r == -ECONNRESET || (!top->live && top->problem))
        return sd_event_exit(top->event, (live_leave(), report_bus(top->client, NULL, error, r)));
    g_free(top->problem);
    top->problem = g_strdup_printf("vmd does not answer: %s", error && error->message ? error->message : g_strerror(ABS(r)));
    if (top->live)
        draw(top);
    ask_after(top, top->delay);
    return 0;
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    Top *top = userdata;
    int r = 0;
    top->call = sd_bus_slot_unref(top->call);
    if (sd_bus_message_is_method_error(m, NULL))
        return fail(top, sd_bus_message_get_error(m), -sd_bus_message_get_errno(m));
    json_t *statistics = json_from_message(m, &r);
    if (!statistics)
        return fail(top, NULL, r);
    bool had_reading = top->usage != NULL;
    g_autoptr(Usage) before = top->usage;
    top->usage = usage_new(statistics, before);
    g_clear_pointer(&top->problem, g_free);
    show(top, had_reading);
    return 0;
}

static int ask(Top *top)
{
    return sd_bus_call_method_async(top->client->bus, &top->call, BUS_NAME, MANAGER_PATH, MANAGER_INTERFACE, "GetAllStatistics", on_answer, top, NULL);
}

/* ---- keys and signals ---- */

static void change_delay(Top *top, bool longer)
{
    static const uint64_t paces[] = {100000, 200000, 500000, 1000000, 2000000, 5000000, 10000000, 30000000, 60000000};
    size_t i = 0;
    while (i < G_N_ELEMENTS(paces) - 1 && paces[i] < top->delay)
        i++;
    if (longer && paces[i] <= top->delay && i < G_N_ELEMENTS(paces) - 1)
        i++;
    else if (!longer && i > 0)
        i--;
    top->delay = paces[i];
    ask_after(top, top->delay);
}

static void scroll(Top *top, int key)
{
    size_t height, columns;
    live_size(&height, &columns);
    size_t page = height > LINES_AROUND + 1 ? height - LINES_AROUND - 1 : 1, up = key == LIVE_KEY_UP ? 1 : page;
    if (key == LIVE_KEY_UP || key == LIVE_KEY_PAGE_UP)
        top->first -= MIN(top->first, up);
    else if (key == LIVE_KEY_HOME)
        top->first = 0;
    else /* draw() knows where the end is */
        top->first = key == LIVE_KEY_END ? top->n_rows : top->first + (key == LIVE_KEY_DOWN ? 1 : page);
}

static void take_key(Top *top, int key)
{
    if (key == 'q' || key == 'Q')
        (void) sd_event_exit(top->event, EXIT_DONE);
    else if (key == 'r')
        top->order.reversed = !top->order.reversed;
    else if (key == '+' || key == '-')
        change_delay(top, key == '+');
    else if (key == ' ' && !top->call)
        ask_after(top, 0);
    else if (key > 255)
        scroll(top, key);
    else if (key > 0 && top_order_name((char) key))
        top->order = (TopOrder){.key = (char) key};
    else
        return;
    top_sort(top->rows, top->n_rows, top->order);
    draw(top);
}

static int on_typed(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    char text[64];
    ssize_t n = read(fd, text, sizeof text);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return 0;
    if (n <= 0)
        return sd_event_exit(sd_event_source_get_event(source), EXIT_DONE); /* the terminal has gone */
    for (size_t at = 0, used; at < (size_t) n; at += used)
        take_key(userdata, live_key(text + at, (size_t) n - at, &used));
    return 0;
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    Top *top = userdata;
    if (info->ssi_signo == SIGTSTP) {
        live_leave();
        (void) raise(SIGSTOP);
        live_enter();
    }
    if (info->ssi_signo == SIGTSTP || info->ssi_signo == SIGWINCH)
        draw(top);
    else
        (void) sd_event_exit(top->event, EXIT_INTERRUPTED);
    return 0;
}

/* ---- the verb ---- */

static int read_options(Top *top)
{
    const Client *client = top->client;
    bool json = client_json(client);
    top->live = !json && !client->batch && terminal_is_interactive();
    top->delay = DELAY_DEFAULT;
    /* What goes on in a pipe for ever is asked for by --batch. */
    top->left = top->live || (client->batch && !json) ? UINT64_MAX : 1;
    top->order.key = 'c';
    if (client->delay && (parse_duration(client->delay, &top->delay) < 0 || top->delay < DELAY_MIN || top->delay > DELAY_MAX))
        return report_usage("--delay=%s: it is a time from 100ms to 1h, such as 5s", client->delay);
    if (client->iterations && (parse_uint64(client->iterations, &top->left) < 0 || top->left == 0 || top->left == UINT64_MAX))
        return report_usage("--iterations=%s: it is a number from 1 on", client->iterations);
    for (const char *keys = "cmdnpxa"; client->sort && *keys; keys++)
        if (g_ascii_strcasecmp(top_order_name(*keys), client->sort) == 0)
            top->order.key = *keys;
    return EXIT_DONE;
}

/* A name that is no pattern is one of a VM. */
static int check_names(Client *client)
{
    for (char **name = client->arguments; *name; name++) {
        g_autoptr(sd_bus_message) reply = NULL;
        int r = strpbrk(*name, "*?[") ? EXIT_DONE : client_call(client, NULL, MANAGER_INTERFACE, "GetVM", &reply, "s", *name);
        if (r != EXIT_DONE)
            return r;
    }
    return EXIT_DONE;
}

static int set_up(Top *top)
{
    static const int all[] = {SIGINT, SIGTERM, SIGHUP}, of_live[] = {SIGWINCH, SIGTSTP};
    sigset_t signals;
    sigemptyset(&signals);
    for (size_t i = 0; i < G_N_ELEMENTS(all); i++)
        sigaddset(&signals, all[i]);
    for (size_t i = 0; top->live && i < G_N_ELEMENTS(of_live); i++)
        sigaddset(&signals, of_live[i]);
    (void) sigprocmask(SIG_BLOCK, &signals, NULL);

    int r = sd_event_new(&top->event);
    if (r >= 0)
        r = sd_bus_attach_event(top->client->bus, top->event, SD_EVENT_PRIORITY_NORMAL);
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(all); i++)
        r = sd_event_add_signal(top->event, NULL, all[i], on_signal, top);
    for (size_t i = 0; r >= 0 && top->live && i < G_N_ELEMENTS(of_live); i++)
        r = sd_event_add_signal(top->event, NULL, of_live[i], on_signal, top);
    if (r >= 0 && top->live)
        r = sd_event_add_io(top->event, NULL, STDIN_FILENO, EPOLLIN, on_typed, top);
    if (r >= 0)
        r = sd_event_add_time_relative(top->event, &top->timer, CLOCK_MONOTONIC, 0, 1, on_timer, top);
    return r;
}

static void clear(Top *top)
{
    live_leave();
    sd_bus_slot_unref(top->call);
    sd_event_source_disable_unref(top->timer);
    if (top->event)
        (void) sd_bus_detach_event(top->client->bus);
    sd_event_unref(top->event);
    usage_free(top->usage);
    g_free(top->rows);
    g_free(top->problem);
}

int verb_top(Client *client)
{
    Top top = {.client = client};
    int r = read_options(&top);
    if (r == EXIT_DONE)
        r = client_connect(client);
    if (r == EXIT_DONE)
        r = check_names(client);
    if (r != EXIT_DONE)
        return r;
    int failed = set_up(&top);
    if (failed >= 0 && top.live)
        live_enter();
    if (failed >= 0)
        r = failed = sd_event_loop(top.event);
    clear(&top);
    return failed < 0 ? report_errno(failed, "the bus: it broke off") : r;
}
