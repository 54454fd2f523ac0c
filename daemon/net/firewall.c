/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "firewall.h"

#include <string.h>

#include "cleanup.h"
#include "nft.h"
#include "task.h"
#include "value.h"

#define TIMEOUT_USEC (10 * USEC_PER_SEC)

FirewallState *firewall_state_new(void)
{
    FirewallState *state = g_new(FirewallState, 1);
    *state = (FirewallState){
        .networks = g_ptr_array_new_with_free_func((GDestroyNotify) firewall_network_free),
        .forwards = g_ptr_array_new_with_free_func((GDestroyNotify) firewall_forward_free),
        .filters = g_ptr_array_new_with_free_func((GDestroyNotify) firewall_filter_free),
    };
    return state;
}

void firewall_state_free(FirewallState *state)
{
    if (!state)
        return;
    g_ptr_array_unref(state->networks);
    g_ptr_array_unref(state->forwards);
    g_ptr_array_unref(state->filters);
    g_free(state);
}

void firewall_network_free(FirewallNetwork *network)
{
    if (!network)
        return;
    g_free(network->bridge);
    g_clear_pointer(&network->addresses, g_array_unref);
    g_free(network);
}

void firewall_forward_free(FirewallForward *forward)
{
    if (!forward)
        return;
    g_free(forward->bridge);
    g_free(forward->tap);
    g_free(forward);
}

void firewall_filter_free(FirewallFilter *filter)
{
    if (!filter)
        return;
    g_free(filter->tap);
    g_free(filter->bridge);
    g_clear_pointer(&filter->addresses, g_array_unref);
    g_free(filter);
}

/* What all threads share: one that was given up may still be at work, and must not have the last word. */
typedef struct Turn {
    GMutex lock;  /* of who talks to the kernel */
    int newest;   /* atomic: the number of the last text; a thread that was given up before its turn came leaves it */
} Turn;

static void turn_clear(void *data)
{
    Turn *turn = data;
    g_mutex_clear(&turn->lock);
}

/* In the thread: a text, and what came of it. */
typedef struct Run {
    Turn *turn; /* a reference */
    int number;
    char *text;
    Error *error;
} Run;

static void run_free(void *data)
{
    Run *run = data;
    g_atomic_rc_box_release_full(run->turn, turn_clear);
    g_free(run->text);
    error_free(run->error);
    g_free(run);
}

static void apply_in_thread(void *data)
{
    Run *run = data;
    g_mutex_lock(&run->turn->lock);
    if (g_atomic_int_get(&run->turn->newest) == run->number)
        (void) nft_run(run->text, NULL, &run->error);
    g_mutex_unlock(&run->turn->lock);
}

typedef struct Waiter {
    FirewallDone done;
    void *userdata;
} Waiter;

struct Firewall {
    sd_event *event;
    sd_event_source *soon;
    Task *task;
    Turn *turn;
    char *wanted, *running, *installed; /* texts: asked for last; in the thread; in the kernel, NULL: unknown */
    GQueue waiting, told; /* Waiter: for `wanted`; for what has an outcome, or is under way */
    bool again; /* whatever is in the kernel */
    unsigned n_ref;
};

static void start(Firewall *firewall);

static void clear(GQueue *queue)
{
    for (Waiter *w; (w = g_queue_pop_head(queue));)
        g_free(w);
}

Firewall *firewall_new(sd_event *event)
{
    Firewall *firewall = g_new0(Firewall, 1);
    firewall->event = sd_event_ref(event);
    firewall->turn = g_atomic_rc_box_new0(Turn);
    g_mutex_init(&firewall->turn->lock);
    firewall->n_ref = 1;
    return firewall;
}

static bool unref(Firewall *firewall)
{
    if (--firewall->n_ref > 0)
        return false;
    g_atomic_rc_box_release_full(firewall->turn, turn_clear);
    g_free(firewall);
    return true;
}

void firewall_free(Firewall *firewall)
{
    if (!firewall)
        return;
    task_abandon(g_steal_pointer(&firewall->task));
    firewall->soon = sd_event_source_disable_unref(firewall->soon);
    clear(&firewall->waiting);
    clear(&firewall->told);
    g_clear_pointer(&firewall->wanted, g_free);
    g_clear_pointer(&firewall->running, g_free);
    g_clear_pointer(&firewall->installed, g_free);
    firewall->event = sd_event_unref(firewall->event);
    unref(firewall);
}

/* Any of them may ask for more, forget others, or free it all. */
static void tell(Firewall *firewall, const Error *error)
{
    firewall->n_ref++;
    for (Waiter *w; (w = g_queue_pop_head(&firewall->told));) {
        Waiter now = *w;
        g_free(w);
        now.done(error, now.userdata);
    }
    bool over = !firewall->event;
    if (!unref(firewall) && !over && !firewall->task && !g_queue_is_empty(&firewall->waiting))
        start(firewall);
}

static void on_done(void *data, void *userdata)
{
    Firewall *firewall = userdata;
    Run *run = data;
    g_autoptr(Error) late = NULL;
    firewall->task = NULL;
    if (!run)
        error_set(&late, ERROR_TIMED_OUT, "nft", NULL, "the kernel has not taken the rules in time");
    const Error *error = run ? run->error : late;
    g_free(firewall->installed);
    firewall->installed = error ? NULL : g_strdup(firewall->running);
    g_clear_pointer(&firewall->running, g_free);
    tell(firewall, error);
    if (run)
        run_free(run);
}

static int on_soon(sd_event_source *source, void *userdata)
{
    Firewall *firewall = userdata;
    firewall->soon = sd_event_source_disable_unref(firewall->soon);
    if (!firewall->task)
        start(firewall);
    return 0;
}

/* What is wanted now goes to a thread, and who waits for that goes with it. */
static void start(Firewall *firewall)
{
    static const TaskSpec spec = {.run = apply_in_thread, .done = on_done, .free_data = run_free, .timeout_usec = TIMEOUT_USEC};
    for (Waiter *w; (w = g_queue_pop_head(&firewall->waiting));)
        g_queue_push_tail(&firewall->told, w);
    if (!firewall->again && g_strcmp0(firewall->wanted, firewall->installed) == 0) {
        g_clear_pointer(&firewall->wanted, g_free);
        tell(firewall, NULL);
        return;
    }
    firewall->again = false;
    firewall->running = g_steal_pointer(&firewall->wanted);
    Run *run = g_new(Run, 1);
    *run = (Run){.turn = g_atomic_rc_box_acquire(firewall->turn), .number = g_atomic_int_add(&firewall->turn->newest, 1) + 1, .text = g_strdup(firewall->running)};
    int r = task_new(firewall->event, &spec, run, firewall, &firewall->task);
    if (r < 0) {
        g_autoptr(Error) error = NULL;
        run_free(run);
        g_clear_pointer(&firewall->running, g_free);
        error_set_errno(&error, r, "nft", "no thread can be made");
        tell(firewall, error);
    }
}

void firewall_apply(Firewall *firewall, const FirewallState *state, bool again, FirewallDone done, void *userdata)
{
    Waiter *w = g_new(Waiter, 1);
    *w = (Waiter){.done = done, .userdata = userdata};
    g_queue_push_tail(&firewall->waiting, w);
    g_free(firewall->wanted);
    firewall->wanted = firewall_text(state);
    firewall->again |= again;
    /* Not from here: `done` never comes before this returns. */
    if (!firewall->task && !firewall->soon && sd_event_add_defer(firewall->event, &firewall->soon, on_soon, firewall) < 0)
        start(firewall);
}

static void forget(GQueue *queue, const void *userdata)
{
    for (GList *l = queue->head, *next; l; l = next) {
        Waiter *w = l->data;
        next = l->next;
        if (w->userdata == userdata) {
            g_free(w);
            g_queue_delete_link(queue, l);
        }
    }
}

void firewall_forget(Firewall *firewall, void *userdata)
{
    forget(&firewall->waiting, userdata);
    forget(&firewall->told, userdata);
}

bool firewall_is_idle(const Firewall *firewall)
{
    return !firewall->task && !firewall->soon && firewall->waiting.length == 0 && firewall->told.length == 0;
}
