/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-statistics.h"

#include "statistics.h"

/* What is asked of one VM, for an answer about it alone or about all. */
typedef struct Question {
    LaterReply *later;
    char *name;
    struct All *all; /* NULL: of it alone */
} Question;

/* The answer about all, which is written as they come. */
typedef struct All {
    LaterReply *later;
    sd_bus_message *reply; /* its array is open */
    unsigned left;
    int r;
} All;

static int append_statistics(sd_bus_message *m, const VM *vm, const Figures *figures, uint64_t time)
{
    int r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = sd_bus_message_append(m, "{sv}{sv}{sv}{sv}", "time", "t", time, "state", "s", vm_state_to_string(vm->state), "cpus", "t",
            (uint64_t) vm->cpus, "size", "t", vm->memory);
    if (r >= 0)
        r = figures_append(figures, m);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static void question_free(Question *question)
{
    g_free(question->name);
    g_free(question);
}

/* ---- one ---- */

static bool reply_one(sd_bus_message *m, const VM *vm, const Figures *figures, uint64_t time, Error **ret_error)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = append_statistics(reply, vm, figures, time);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    return r >= 0 || error_set_errno(ret_error, r, NULL, "the reply cannot be sent");
}

static void on_one(const Figures *figures, uint64_t time, const Error *ended, void *userdata)
{
    Question *question = userdata;
    LaterReply *later = question->later;
    g_autoptr(Error) error = error_copy(ended);
    const VM *vm = error ? NULL : manager_find_vm_or_error(later->manager, question->name, &error);
    if (!vm || !reply_one(later->message, vm, figures, time, &error))
        reply_error(later->message, error);
    Manager *manager = later->manager;
    reply_later_free(later);
    question_free(question);
    manager_check_idle(manager);
}

bool method_get_statistics(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    VM *vm = object;
    Question *question = g_new(Question, 1);
    *question = (Question){.later = reply_later(manager, m), .name = g_strdup(vm->name)};
    if (vm_read_statistics(vm, on_one, question, ret_error))
        return true;
    reply_later_free(question->later);
    question_free(question);
    return false;
}

/* ---- all ---- */

static void all_unref(All *all)
{
    g_autoptr(Error) error = NULL;
    if (--all->left > 0)
        return;
    if (!reply_array_send(all->reply, all->r, &error))
        reply_error(all->later->message, error);
    Manager *manager = all->later->manager;
    sd_bus_message_unref(all->reply);
    reply_later_free(all->later);
    g_free(all);
    manager_check_idle(manager);
}

static void on_one_of_all(const Figures *figures, uint64_t time, const Error *ended, void *userdata)
{
    Question *question = userdata;
    All *all = question->all;
    const VM *vm = ended ? NULL : manager_find_vm(all->later->manager, question->name);
    int r = all->r;
    if (vm && r >= 0) {
        r = sd_bus_message_open_container(all->reply, 'e', "sa{sv}");
        if (r >= 0)
            r = sd_bus_message_append(all->reply, "s", vm->name);
        if (r >= 0)
            r = append_statistics(all->reply, vm, figures, time);
        if (r >= 0)
            r = sd_bus_message_close_container(all->reply);
        all->r = r;
    }
    question_free(question);
    all_unref(all);
}

bool method_get_all_statistics(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    size_t n;
    g_autofree VM **vms = manager_list_vms(manager, &n);
    All *all = g_new(All, 1);
    *all = (All){.later = reply_later(manager, m), .left = 1};
    all->r = reply_array_new(m, "{sa{sv}}", &all->reply);
    for (size_t i = 0; i < n; i++) {
        if (!vms[i]->instance)
            continue;
        Question *question = g_new(Question, 1);
        *question = (Question){.name = g_strdup(vms[i]->name), .all = all};
        all->left++;
        if (vm_read_statistics(vms[i], on_one_of_all, question, NULL))
            continue;
        all->left--;
        question_free(question);
    }
    all_unref(all);
    return true;
}
