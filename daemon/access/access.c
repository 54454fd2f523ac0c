/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "access.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"

/* A person may take long to type a password; a machine may not. */
#define POLKIT_INTERACTIVE_USEC (5 * 60 * G_USEC_PER_SEC)
#define POLKIT_USEC (25 * G_USEC_PER_SEC)

/* Where a queue of the bus is full it drops answers, and the next ones wait for the place of the lost ones. */
#define BUS_DRIVER_USEC (5 * G_USEC_PER_SEC)

#define POLKIT_ALLOW_USER_INTERACTION 1U

/* The bus lets a connection wait for 128 answers at once, vmd's own calls to systemd among them, so questions stand in queues.
 * Who calls is a matter of microseconds, but a password may take minutes: there each user has a share of their own.
 * The arguments of all of them are kept meanwhile. */
#define ASKING_BUS_MAX 32
#define ASKING_POLKIT_MAX 8
#define WAITING_MAX 64 /* in one queue of a user */
#define QUESTIONS_PER_SENDER 128

typedef struct Queue {
    GQueue waiting; /* Question */
    unsigned asking, asking_max;
} Queue;

struct Access {
    sd_bus *bus;
    bool user;
    GHashTable *questions; /* a set */
    GHashTable *senders;   /* unique name to how many questions */
    Queue callers;         /* who calls? */
    GHashTable *users;     /* uid to Queue: may that one? */
};

typedef struct Question {
    Access *access;
    sd_bus_message *message;
    char *action;
    char *vm, *network, *pool, *verb;
    uid_t uid, owner;
    bool callers_own;
    Queue *queue; /* where it waits or is being asked; NULL: neither */
    bool waits;
    int (*ask)(struct Question *q);
    sd_bus_slot *call;
    AccessReply reply;
    void *userdata;
} Question;

static unsigned count_of_sender(const Access *access, const char *sender)
{
    return GPOINTER_TO_UINT(g_hash_table_lookup(access->senders, sender));
}

static void count_sender(Access *access, const char *sender, int change)
{
    unsigned n = count_of_sender(access, sender) + (unsigned) change;
    if (n == 0)
        g_hash_table_remove(access->senders, sender);
    else
        g_hash_table_insert(access->senders, g_strdup(sender), GUINT_TO_POINTER(n));
}

static void leave_queue(Question *q);

static void question_free(Question *q)
{
    leave_queue(q);
    g_hash_table_remove(q->access->questions, q);
    count_sender(q->access, sd_bus_message_get_sender(q->message), -1);
    sd_bus_slot_unref(q->call);
    sd_bus_message_unref(q->message);
    g_free(q->action);
    g_free(q->vm);
    g_free(q->network);
    g_free(q->pool);
    g_free(q->verb);
    g_free(q);
}

static void answer(Question *q, const Error *error)
{
    g_autoptr(sd_bus_message) m = sd_bus_message_ref(q->message);
    AccessReply reply = q->reply;
    void *userdata = q->userdata;
    const AccessGrant grant = {.caller = q->uid, .owner = q->owner};
    question_free(q);
    reply(m, error ? NULL : &grant, error, userdata);
}

static void refuse(Question *q, const char *remedy, const char *cause)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *thing = q->vm ? g_strdup_printf("VM \"%s\"", q->vm)
            : q->network           ? g_strdup_printf("Network \"%s\"", q->network)
            : q->pool              ? g_strdup_printf("Pool \"%s\"", q->pool)
                                   : g_strdup(q->verb);
    error_set(&error, ERROR_NOT_AUTHORIZED, thing, remedy, "%s", cause);
    answer(q, error);
}

static void refuse_unasked(Question *q)
{
    refuse(q, NULL, "the bus could not be asked who calls, or polkit whether that one may");
}

static void enter_queue(Question *q, Queue *queue, int (*ask)(Question *q))
{
    q->queue = queue;
    q->ask = ask;
    q->waits = queue->asking >= queue->asking_max;
    if (q->waits)
        return g_queue_push_tail(&queue->waiting, q);
    queue->asking++;
    if (ask(q) < 0)
        refuse_unasked(q);
}

/* Done with it; the next one may ask. */
static void leave_queue(Question *q)
{
    Queue *queue = q->queue;
    if (!queue)
        return;
    q->queue = NULL;
    if (q->waits) {
        (void) g_queue_remove(&queue->waiting, q);
        return;
    }
    queue->asking--;
    Question *next = g_queue_pop_head(&queue->waiting);
    if (next)
        enter_queue(next, queue, next->ask);
}

static Queue *queue_of_user(Access *access, uid_t uid)
{
    Queue *queue = g_hash_table_lookup(access->users, GUINT_TO_POINTER(uid));
    if (!queue) {
        queue = g_new0(Queue, 1);
        queue->asking_max = ASKING_POLKIT_MAX;
        g_hash_table_insert(access->users, GUINT_TO_POINTER(uid), queue);
    }
    return queue;
}

static void refuse_unanswered(Question *q, const sd_bus_error *e)
{
    g_autofree char *cause = NULL;
    if (sd_bus_error_has_names(e, SD_BUS_ERROR_SERVICE_UNKNOWN, SD_BUS_ERROR_NAME_HAS_NO_OWNER, "org.freedesktop.systemd1.NoSuchUnit"))
        cause = g_strdup("polkit is not there to be asked, so only root may do this");
    else if (sd_bus_error_has_names(e, SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT))
        cause = g_strdup("polkit did not answer in time");
    else
        cause = g_strdup_printf("polkit could not be asked: %s", e->message ?: e->name);
    refuse(q, "Look at 'systemctl status polkit'", cause);
}

static int on_polkit(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Question *q = userdata;
    const sd_bus_error *e = sd_bus_message_get_error(m);
    if (e) {
        refuse_unanswered(q, e);
        return 0;
    }

    int authorized, challenge;
    if (sd_bus_message_enter_container(m, 'r', "bba{ss}") < 0 || sd_bus_message_read(m, "bb", &authorized, &challenge) < 0) {
        refuse(q, NULL, "polkit's answer cannot be read");
        return 0;
    }
    if (authorized) {
        answer(q, NULL);
        return 0;
    }
    g_autofree char *cause = g_strdup_printf(
        challenge ? "this needs authentication for the action %s" : "polkit does not let you do the action %s", q->action);
    refuse(q, challenge ? "Run it on a terminal or a desktop where polkit can ask for a password" : NULL, cause);
    return 0;
}

static int append_details(sd_bus_message *m, const Question *q)
{
    g_autofree char *owner = q->owner == UID_NOBODY_KNOWN ? NULL : identity_name(q->owner);
    const char *const details[][2] = {{"vm", q->vm}, {"owner", owner}, {"network", q->network}, {"pool", q->pool}, {"verb", q->verb}};
    int r = sd_bus_message_open_container(m, 'a', "{ss}");
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(details); i++)
        if (details[i][1])
            r = sd_bus_message_append(m, "{ss}", details[i][0], details[i][1]);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int ask_polkit(Question *q)
{
    bool interactive = sd_bus_message_get_allow_interactive_authorization(q->message) > 0;
    g_autoptr(sd_bus_message) m = NULL;

    int r = sd_bus_message_new_method_call(q->access->bus, &m, "org.freedesktop.PolicyKit1",
        "/org/freedesktop/PolicyKit1/Authority", "org.freedesktop.PolicyKit1.Authority", "CheckAuthorization");
    if (r < 0)
        return r;
    r = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s", sd_bus_message_get_sender(q->message), q->action);
    if (r < 0)
        return r;
    r = append_details(m, q);
    if (r < 0)
        return r;
    r = sd_bus_message_append(m, "us", interactive ? POLKIT_ALLOW_USER_INTERACTION : 0, "");
    if (r < 0)
        return r;
    return sd_bus_call_async(q->access->bus, &q->call, m, on_polkit, q, interactive ? POLKIT_INTERACTIVE_USEC : POLKIT_USEC);
}

/* What is asked of an owner in place of what is asked of others; NULL: the same. */
static const char *owners_action(const char *action)
{
    static const char *const actions[][2] = {
        {ACTION_MANAGE, ACTION_MANAGE_OWN},
        {ACTION_OPEN_CONSOLE, ACTION_MANAGE_OWN},
        {ACTION_OPEN_DISPLAY, ACTION_MANAGE_OWN},
        {ACTION_CONTROL_GUEST, ACTION_MANAGE_OWN},
        {ACTION_READ_DISKS, ACTION_MANAGE_OWN},
        {ACTION_USE_FOREIGN_PATHS, ACTION_MANAGE_OWN},
        {ACTION_MANAGE_POOLS, ACTION_USE_POOL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++)
        if (g_str_equal(action, actions[i][0]))
            return actions[i][1];
    return NULL;
}

static int on_uid(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Question *q = userdata;
    q->call = sd_bus_slot_unref(q->call);
    leave_queue(q);

    uint32_t uid;
    if (sd_bus_message_is_method_error(m, NULL) || sd_bus_message_read(m, "u", &uid) < 0) {
        bool unanswered = sd_bus_error_has_names(sd_bus_message_get_error(m), SD_BUS_ERROR_NO_REPLY, SD_BUS_ERROR_TIMEOUT);
        refuse(q, unanswered ? "Try again" : NULL, unanswered ? "the bus did not say who calls" : "the caller has left the bus");
        return 0;
    }
    q->uid = uid;
    if (q->callers_own)
        q->owner = uid;
    if (uid == 0 || (q->access->user && uid == getuid())) {
        answer(q, NULL);
        return 0;
    }
    if (q->access->user) {
        refuse(q, NULL, "this vmd belongs to another user");
        return 0;
    }
    const char *own = q->owner == uid ? owners_action(q->action) : NULL;
    if (own) {
        g_free(q->action);
        q->action = g_strdup(own);
    }
    Queue *queue = queue_of_user(q->access, uid);
    if (g_queue_get_length(&queue->waiting) >= WAITING_MAX)
        refuse(q, "Wait for some of them", "too many calls of yours wait for an answer of polkit");
    else
        enter_queue(q, queue, ask_polkit);
    return 0;
}

/* Asynchronously: sd_bus_query_sender_creds() would block. */
static int ask_bus(Question *q)
{
    g_autoptr(sd_bus_message) m = NULL;
    int r = sd_bus_message_new_method_call(q->access->bus, &m, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
        "GetConnectionUnixUser");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", sd_bus_message_get_sender(q->message));
    return r < 0 ? r : sd_bus_call_async(q->access->bus, &q->call, m, on_uid, q, BUS_DRIVER_USEC);
}

int access_check(Access *access, sd_bus_message *m, const char *action, const AccessDetails *details, AccessReply reply, void *userdata)
{
    const char *sender = sd_bus_message_get_sender(m);
    if (!sender)
        return -EPERM;
    if (count_of_sender(access, sender) >= QUESTIONS_PER_SENDER)
        return -ENOBUFS;

    Question *q = g_new0(Question, 1);
    q->access = access;
    q->message = sd_bus_message_ref(m);
    q->action = g_strdup(action);
    q->vm = g_strdup(details->vm);
    q->owner = details->owner;
    q->callers_own = details->callers_own;
    q->network = g_strdup(details->network);
    q->pool = g_strdup(details->pool);
    q->verb = g_strdup(details->verb);
    q->uid = (uid_t) -1;
    q->reply = reply;
    q->userdata = userdata;
    g_hash_table_add(access->questions, q);
    count_sender(access, sender, 1);
    enter_queue(q, &access->callers, ask_bus);
    return 0;
}

size_t access_pending(const Access *access)
{
    return g_hash_table_size(access->questions);
}

Access *access_new(sd_bus *bus, bool user)
{
    Access *access = g_new0(Access, 1);
    access->bus = sd_bus_ref(bus);
    access->user = user;
    access->questions = g_hash_table_new(NULL, NULL);
    access->senders = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    access->callers.asking_max = ASKING_BUS_MAX;
    access->users = g_hash_table_new_full(NULL, NULL, NULL, g_free);
    return access;
}

void access_free(Access *access)
{
    if (!access)
        return;
    /* None of them asks any more. */
    g_autoptr(GList) questions = g_hash_table_get_keys(access->questions);
    for (GList *l = questions; l; l = l->next)
        ((Question *) l->data)->queue = NULL;
    for (GList *l = questions; l; l = l->next)
        question_free(l->data);
    g_queue_clear(&access->callers.waiting);
    GHashTableIter iter;
    gpointer queue;
    g_hash_table_iter_init(&iter, access->users);
    while (g_hash_table_iter_next(&iter, NULL, &queue))
        g_queue_clear(&((Queue *) queue)->waiting);
    g_hash_table_unref(access->users);
    g_hash_table_unref(access->senders);
    g_hash_table_unref(access->questions);
    sd_bus_unref(access->bus);
    g_free(access);
}
