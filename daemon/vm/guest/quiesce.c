/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The agent is asked for its state first: one that does not answer is not told to freeze anything, and what somebody else has frozen is
 * his. Its calls are done in order, so a thaw that is sent after a freeze without an answer undoes that, too. */

#include "quiesce.h"

#include <string.h>

#include "guest.h"
#include "manager.h"

bool quiesce_mode_read(const char *word, QuiesceMode *ret, Error **ret_error)
{
    static const char *const words[_QUIESCE_MODE_MAX] = {
        [QUIESCE_AUTO] = "auto", [QUIESCE_YES] = "yes", [QUIESCE_NO] = "no",
    };
    for (QuiesceMode q = 0; q < _QUIESCE_MODE_MAX; q++)
        if (g_str_equal(word, words[q])) {
            *ret = q;
            return true;
        }
    return error_set(ret_error, ERROR_INVALID_SETTINGS, "quiesce", NULL, "it is auto, yes or no");
}

#define STATUS_USEC (3 * G_USEC_PER_SEC)
#define FREEZE_USEC (10 * G_USEC_PER_SEC) /* the guest writes all that is dirty */
#define THAW_USEC (10 * G_USEC_PER_SEC)

/* From one thaw without an answer to the next; twice as long each time. */
#define FIRST_USEC (1 * G_USEC_PER_SEC)
#define LAST_USEC (10 * G_USEC_PER_SEC)
/* Answers that it cannot: what more is to be said? */
#define REFUSALS_MAX 5U

typedef enum FreezerState {
    FREEZER_IDLE,
    FREEZER_ASKING,
    FREEZER_FREEZING,
    FREEZER_FROZEN,
    FREEZER_THAWING,
} FreezerState;

struct Freezer {
    Instance *instance;
    FreezerState state;
    Quiesce *quiesce; /* whom it is done for; NULL: nobody any more */
    unsigned refusals;
    uint64_t interval;
    sd_event_source *timer; /* the next thaw */
};

struct Quiesce {
    Freezer *freezer; /* NULL: it is not done, or not any more */
    QuiesceDone done;
    void *userdata;
    Error *why_not;
    sd_event_source *timer; /* to say so; or, while another's thaw is waited for, to do so no longer */
};

static void thaw(Freezer *freezer);

static void mark(Freezer *freezer, bool frozen)
{
    freezer->instance->frozen = frozen;
    (void) instance_write_record(freezer->instance, NULL);
}

/* ---- answers to the holder ---- */

static int on_refused(sd_event_source *source, uint64_t usec, void *userdata)
{
    Quiesce *quiesce = userdata;
    if (quiesce->freezer)
        quiesce->freezer->quiesce = NULL;
    quiesce->freezer = NULL;
    quiesce->done(false, quiesce->why_not, quiesce->userdata);
    return 0;
}

static void refuse_later(Quiesce *quiesce, sd_event *event, uint64_t usec)
{
    quiesce->timer = sd_event_source_disable_unref(quiesce->timer);
    (void) sd_event_add_time_relative(event, &quiesce->timer, CLOCK_MONOTONIC, usec, 1, on_refused, quiesce);
}

static void refuse(Freezer *freezer, const Error *error)
{
    Quiesce *quiesce = freezer->quiesce;
    if (!quiesce)
        return;
    freezer->quiesce = NULL;
    quiesce->freezer = NULL;
    quiesce->timer = sd_event_source_disable_unref(quiesce->timer);
    quiesce->done(false, error, quiesce->userdata);
}

/* ---- freezing ---- */

static void on_frozen(Agent *agent, const json_t *result, const Error *error, void *userdata)
{
    Freezer *freezer = userdata;
    g_autoptr(Error) nonsense = NULL;
    if (!error && (!json_is_integer(result) || json_integer_value(result) < 0))
        error_set(&nonsense, ERROR_GUEST_UNRESPONSIVE, "guest-fsfreeze-freeze", NULL, "the guest agent's answer is none");
    if (!error)
        error = nonsense;
    freezer->state = FREEZER_FROZEN;
    if (error || !freezer->quiesce) {
        thaw(freezer);
        refuse(freezer, error);
    } else
        freezer->quiesce->done(true, NULL, freezer->quiesce->userdata);
}

static void freeze(Freezer *freezer, Agent *agent)
{
    g_autoptr(Error) error = NULL;
    freezer->instance->frozen = true;
    int r = instance_write_record(freezer->instance, &error) ? agent_call(agent, "guest-fsfreeze-freeze", NULL, FREEZE_USEC, on_frozen, freezer) : 0;
    if (r >= 0 && !error) {
        freezer->state = FREEZER_FREEZING;
        return;
    }
    if (!error)
        error_set_errno(&error, r, "guest-fsfreeze-freeze", "the guest agent cannot be asked");
    freezer->state = FREEZER_IDLE;
    mark(freezer, false);
    refuse(freezer, error);
}

static void on_status(Agent *agent, const json_t *result, const Error *error, void *userdata)
{
    Freezer *freezer = userdata;
    const char *status = json_string_value(result);
    g_autoptr(Error) other = NULL;
    freezer->state = FREEZER_IDLE;
    if (!freezer->quiesce)
        return;
    if (!error && status && strcmp(status, "thawed") == 0)
        return freeze(freezer, agent);
    if (!error && status && strcmp(status, "frozen") == 0)
        error_set(&other, ERROR_BUSY, freezer->instance->vm->name, NULL, "somebody else has frozen the guest's file systems");
    else if (!error)
        error_set(&other, ERROR_GUEST_UNRESPONSIVE, "guest-fsfreeze-status", NULL, "the guest agent's answer is none");
    refuse(freezer, error ?: other);
}

/* Whether it is under way. */
static bool ask(Freezer *freezer, Error **ret_error)
{
    VM *vm = freezer->instance->vm;
    Agent *agent = guest_find_agent(vm, ret_error);
    if (!agent)
        return false;
    int r = agent_call(agent, "guest-fsfreeze-status", NULL, STATUS_USEC, on_status, freezer);
    if (r < 0)
        return error_set_errno(ret_error, r, vm->name, "its guest agent cannot be asked");
    freezer->state = FREEZER_ASKING;
    return true;
}

/* ---- thawing ---- */

static int on_thaw_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    thaw(userdata);
    return 0;
}

static void thaw_later(Freezer *freezer)
{
    freezer->timer = sd_event_source_disable_unref(freezer->timer);
    (void) sd_event_add_time_relative(freezer->instance->vm->manager->event, &freezer->timer, CLOCK_MONOTONIC, freezer->interval,
        G_USEC_PER_SEC / 10, on_thaw_time, freezer);
    freezer->interval = MIN(freezer->interval * 2, LAST_USEC);
}

static void on_thawed(Agent *agent, const json_t *result, const Error *error, void *userdata)
{
    Freezer *freezer = userdata;
    g_autoptr(Error) cannot = NULL;
    bool silent = error && error->code == ERROR_GUEST_UNRESPONSIVE;
    bool refused = error && error->code == ERROR_FAILED;
    if (silent || (refused && ++freezer->refusals < REFUSALS_MAX))
        return thaw_later(freezer);
    if (refused)
        g_warning("VM %s: the guest agent does not thaw the guest's file systems: %s", freezer->instance->vm->name, error->cause);
    freezer->state = FREEZER_IDLE;
    mark(freezer, false);
    /* Somebody has come meanwhile. */
    if (freezer->quiesce && !ask(freezer, &cannot))
        refuse(freezer, cannot);
    else if (freezer->quiesce)
        freezer->quiesce->timer = sd_event_source_disable_unref(freezer->quiesce->timer);
}

/* Without an agent it waits for one to come: that could have been started again. */
static void thaw(Freezer *freezer)
{
    Agent *agent = guest_agent(freezer->instance->guest);
    freezer->timer = sd_event_source_disable_unref(freezer->timer);
    if (freezer->state != FREEZER_THAWING) {
        freezer->interval = FIRST_USEC;
        freezer->refusals = 0;
    }
    freezer->state = agent ? FREEZER_THAWING : FREEZER_IDLE;
    if (agent && agent_call(agent, "guest-fsfreeze-thaw", NULL, THAW_USEC, on_thawed, freezer) < 0)
        thaw_later(freezer);
}

/* ---- what others call ---- */

static Freezer *freezer_of(Instance *instance)
{
    if (!instance->freezer) {
        instance->freezer = g_new0(Freezer, 1);
        instance->freezer->instance = instance;
    }
    return instance->freezer;
}

Quiesce *vm_quiesce_begin(VM *vm, QuiesceDone done, void *userdata)
{
    Quiesce *quiesce = g_new(Quiesce, 1);
    *quiesce = (Quiesce){.done = done, .userdata = userdata};
    Freezer *freezer = vm->instance ? freezer_of(vm->instance) : NULL;
    uint64_t wait = 0;
    if (!freezer)
        error_set(&quiesce->why_not, ERROR_NOT_RUNNING, vm->name, NULL, "it does not run");
    else if (freezer->quiesce || (freezer->state != FREEZER_IDLE && freezer->state != FREEZER_THAWING))
        error_set(&quiesce->why_not, ERROR_BUSY, vm->name, "Try again", "its file systems are being frozen for somebody else");
    else if (freezer->state == FREEZER_THAWING) {
        error_set(&quiesce->why_not, ERROR_GUEST_UNRESPONSIVE, vm->name, NULL, "its guest agent has not thawed what it froze before");
        quiesce->freezer = freezer;
        wait = THAW_USEC;
    } else if (ask(freezer, &quiesce->why_not))
        quiesce->freezer = freezer;
    if (quiesce->freezer)
        freezer->quiesce = quiesce;
    if (quiesce->why_not)
        refuse_later(quiesce, vm->manager->event, wait);
    return quiesce;
}

void vm_quiesce_end(Quiesce *quiesce)
{
    if (!quiesce)
        return;
    Freezer *freezer = quiesce->freezer;
    sd_event_source_disable_unref(quiesce->timer);
    error_free(quiesce->why_not);
    g_free(quiesce);
    if (!freezer)
        return;
    freezer->quiesce = NULL;
    if (freezer->state == FREEZER_FROZEN)
        thaw(freezer);
}

bool instance_is_quiescing(const Instance *instance)
{
    return instance->frozen || (instance->freezer && instance->freezer->state != FREEZER_IDLE);
}

void quiesce_agent_came(Instance *instance)
{
    /* What is under way goes on by itself. */
    if (instance->frozen && freezer_of(instance)->state == FREEZER_IDLE)
        thaw(instance->freezer);
}

void freezer_free(Freezer *freezer)
{
    if (!freezer)
        return;
    if (freezer->quiesce) {
        freezer->quiesce->timer = sd_event_source_disable_unref(freezer->quiesce->timer);
        freezer->quiesce->freezer = NULL;
    }
    sd_event_source_disable_unref(freezer->timer);
    g_free(freezer);
}
