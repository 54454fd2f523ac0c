/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "method.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"

/* Which interface a path has; each path has one of ours. */
static const Interface *interface_of_path(const char *path)
{
    if (g_str_has_prefix(path, "/org/vmd1/vm/"))
        return &vm_interface;
    if (g_str_has_prefix(path, "/org/vmd1/network/"))
        return &network_interface;
    if (g_str_has_prefix(path, "/org/vmd1/pool/"))
        return &pool_interface;
    if (g_str_has_prefix(path, "/org/vmd1/job/"))
        return &job_interface;
    return &manager_interface;
}

static const Method *find_method(const Interface *interface, const char *member)
{
    for (const Method *method = interface->methods; method->member; method++)
        if (g_str_equal(method->member, member))
            return method;
    return NULL;
}

void reply_error(sd_bus_message *m, const Error *error)
{
    g_autoptr(Error) unsaid = NULL;
    if (!error) {
        g_warning("%s failed without a reason, which is a bug", sd_bus_message_get_member(m));
        error_set(&unsaid, ERROR_FAILED, sd_bus_message_get_member(m), NULL, "it failed, and there is no word of why");
        error = unsaid;
    }
    g_autofree char *message = error_message(error);
    (void) sd_bus_reply_method_errorf(m, error_code_to_dbus(error->code), "%s", message);
}

/* Leaves the message rewound. */
static AccessDetails get_details(Manager *manager, sd_bus_message *m, const Interface *interface)
{
    AccessDetails details = {.owner = UID_NOBODY_KNOWN, .verb = sd_bus_message_get_member(m)};
    if (interface->details)
        interface->details(manager, m, &details);
    (void) sd_bus_message_rewind(m, true);
    return details;
}

static void details_clear(AccessDetails *details)
{
    g_free((char *) details->vm);
    g_free((char *) details->network);
    g_free((char *) details->pool);
}

/* Polkit may have taken minutes to answer. */
static bool owner_is_same(Manager *manager, sd_bus_message *m, const Interface *interface, const AccessGrant *grant)
{
    AccessDetails now = get_details(manager, m, interface);
    details_clear(&now);
    return now.callers_own || now.owner == grant->owner;
}

static bool run_handler(Manager *manager, sd_bus_message *m, const Interface *interface, const AccessGrant *grant, Error **ret_error)
{
    const char *path = sd_bus_message_get_path(m);
    const Method *method = find_method(interface, sd_bus_message_get_member(m));
    void *object = interface->find(manager, path, ret_error);
    if (!object)
        return false;
    if (!owner_is_same(manager, m, interface, grant))
        return error_set(ret_error, ERROR_BUSY, path, "Try again", "it has got another owner meanwhile");
    return method->handler(manager, m, grant->caller, object, ret_error);
}

static void finish_call(Manager *manager, sd_bus_message *m, const AccessGrant *grant, const Error *denied)
{
    g_autoptr(Error) error = NULL;
    manager->busy--;
    if (denied)
        reply_error(m, denied);
    else if (!run_handler(manager, m, interface_of_path(sd_bus_message_get_path(m)), grant, &error))
        reply_error(m, error);
    manager_check_idle(manager);
}

static void on_second_access(sd_bus_message *m, const AccessGrant *grant, const Error *denied, void *userdata)
{
    finish_call(userdata, m, grant, denied);
}

LaterReply *reply_later(Manager *manager, sd_bus_message *m)
{
    LaterReply *later = g_new(LaterReply, 1);
    later->manager = manager;
    later->message = sd_bus_message_ref(m);
    manager->busy++;
    return later;
}

void reply_later_free(LaterReply *later)
{
    later->manager->busy--;
    sd_bus_message_unref(later->message);
    g_free(later);
}

static void later_is_over(LaterReply *later)
{
    Manager *manager = later->manager;
    reply_later_free(later);
    manager_check_idle(manager);
}

static const Error *too_many(Error **ret_error)
{
    error_set(ret_error, ERROR_LIMIT_REACHED, NULL, NULL, "You have too many calls that wait for an answer");
    return *ret_error;
}

/* The first question has been answered with yes; where there is a second, it is asked now. */
static void on_access(sd_bus_message *m, const AccessGrant *grant, const Error *denied, void *userdata)
{
    Manager *manager = userdata;
    const Interface *interface = interface_of_path(sd_bus_message_get_path(m));
    const Method *method = find_method(interface, sd_bus_message_get_member(m));
    ChangeActions actions = {0};
    g_autoptr(Error) error = NULL;
    (void) sd_bus_message_rewind(m, true);
    if (!denied && method->choose_action && !method->choose_action(m, &actions, &error))
        denied = error;
    (void) sd_bus_message_rewind(m, true);
    if (denied || !actions.also) {
        finish_call(manager, m, grant, denied);
    } else {
        AccessDetails details = get_details(manager, m, interface);
        details.network = g_steal_pointer(&actions.networks);
        int r = access_check(manager->access, m, actions.also, &details, on_second_access, manager);
        details_clear(&details);
        if (r < 0)
            finish_call(manager, m, grant, too_many(&error));
    }
    change_actions_clear(&actions);
}

static void begin_call(Manager *manager, sd_bus_message *m, const Method *method)
{
    const Interface *interface = interface_of_path(sd_bus_message_get_path(m));
    ChangeActions actions = {0};
    g_autoptr(Error) error = NULL;
    if (method->choose_action && !method->choose_action(m, &actions, &error))
        return reply_error(m, error);
    change_actions_clear(&actions);
    (void) sd_bus_message_rewind(m, true);
    AccessDetails details = get_details(manager, m, interface);
    int r = access_check(manager->access, m, details.granted ? ACTION_VIEW : actions.action ? actions.action : method->action, &details, on_access, manager);
    details_clear(&details);
    if (r >= 0)
        manager->busy++;
    else if (r == -ENOBUFS)
        reply_error(m, too_many(&error));
    else
        (void) sd_bus_reply_method_errno(m, r, NULL);
}

static void begin_or_await(Manager *manager, sd_bus_message *m);

static void on_awaited(const Error *error, void *userdata)
{
    LaterReply *later = userdata;
    (void) sd_bus_message_rewind(later->message, true);
    begin_or_await(later->manager, later->message);
    later_is_over(later);
}

static void begin_or_await(Manager *manager, sd_bus_message *m)
{
    const Method *method = find_method(interface_of_path(sd_bus_message_get_path(m)), sd_bus_message_get_member(m));
    LaterReply *later = method->await ? reply_later(manager, m) : NULL;
    if (later && method->await(manager, m, on_awaited, later))
        return;
    if (later)
        reply_later_free(later);
    (void) sd_bus_message_rewind(m, true);
    begin_call(manager, m, method);
}

static int method_dispatch(sd_bus_message *m, void *userdata, sd_bus_error *ret_error)
{
    /* The userdata is the object, which is looked up again later; the slot has the manager that it was added with. */
    Manager *manager = sd_bus_slot_get_userdata(sd_bus_get_current_slot(sd_bus_message_get_bus(m)));
    const char *member = sd_bus_message_get_member(m);
    const Method *method = find_method(interface_of_path(sd_bus_message_get_path(m)), member);
    if (!method || !method->action)
        return sd_bus_error_setf(ret_error, SD_BUS_ERROR_ACCESS_DENIED, "%s has no rule, so nobody may call it", member);
    begin_or_await(manager, m);
    return 1;
}

const sd_bus_vtable *interface_vtable(const Interface *interface)
{
    static GHashTable *made;
    if (!made)
        made = g_hash_table_new(NULL, NULL);
    sd_bus_vtable *vtable = g_hash_table_lookup(made, interface);
    if (vtable)
        return vtable;

    size_t n_methods = 0, n_rest = 0;
    while (interface->methods[n_methods].member)
        n_methods++;
    while (interface->properties[n_rest].type != _SD_BUS_VTABLE_END)
        n_rest++;
    vtable = g_new0(sd_bus_vtable, n_methods + n_rest + 1);
    memcpy(vtable, interface->properties, sizeof(sd_bus_vtable)); /* the start row */
    for (size_t i = 0; i < n_methods; i++) {
        const Method *m = &interface->methods[i];
        vtable[1 + i] = (sd_bus_vtable){
            .type = _SD_BUS_VTABLE_METHOD,
            .flags = SD_BUS_VTABLE_UNPRIVILEGED,
            .x.method = {.member = m->member, .signature = m->in, .result = m->out, .handler = method_dispatch, .names = m->names},
        };
    }
    memcpy(vtable + 1 + n_methods, interface->properties + 1, n_rest * sizeof(sd_bus_vtable)); /* with the end row */
    g_hash_table_insert(made, (gpointer) interface, vtable);
    return vtable;
}

void reply_done(const Error *error, void *later_reply)
{
    LaterReply *later = later_reply;
    if (error)
        reply_error(later->message, error);
    else
        (void) sd_bus_reply_method_return(later->message, NULL);
    later_is_over(later);
}

void reply_fd(int fd, const Error *error, void *later_reply)
{
    LaterReply *later = later_reply;
    if (error)
        reply_error(later->message, error);
    else
        (void) sd_bus_reply_method_return(later->message, "h", fd);
    later_is_over(later);
}

int reply_array_new(sd_bus_message *m, const char *contents, sd_bus_message **ret)
{
    int r = sd_bus_message_new_method_return(m, ret);
    return r < 0 ? r : sd_bus_message_open_container(*ret, 'a', contents);
}

bool reply_array_send(sd_bus_message *reply, int r, Error **ret_error)
{
    if (r >= 0)
        r = sd_bus_message_close_container(reply);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    return r >= 0 || error_set_errno(ret_error, r, NULL, "the reply cannot be sent");
}
