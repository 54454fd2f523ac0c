/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-act.h"

#include <string.h>

#include "guest.h"
#include "manager.h"
#include "quiesce.h"

struct GuestAct {
    Instance *instance;
    bool over;   /* for its owner: what is left waits for an answer that nobody wants */
    bool asked;  /* an answer is still to come */
    sd_bus_track *caller;
    sd_event_source *timer;
    GuestActBroken broken;
    GuestActAnswer answer;
    GuestActThen then;
    void *userdata;
};

static void act_free(void *userdata)
{
    GuestAct *act = userdata;
    sd_bus_track_unref(act->caller);
    sd_event_source_disable_unref(act->timer);
    g_free(act);
}

/* The agent's connection knows it until it has answered. */
static void settle(GuestAct *act)
{
    if (act->over && !act->asked)
        g_ptr_array_remove_fast(act->instance->guest_acts, act);
}

void guest_act_end(GuestAct *act)
{
    act->over = true;
    act->caller = sd_bus_track_unref(act->caller);
    act->timer = sd_event_source_disable_unref(act->timer);
    settle(act);
}

static void break_off(GuestAct *act, const Error *error)
{
    GuestActBroken broken = act->broken;
    void *userdata = act->userdata;
    guest_act_end(act);
    broken(error, userdata);
}

static int on_caller_left(sd_bus_track *track, void *userdata)
{
    g_autoptr(Error) error = NULL;
    error_set(&error, ERROR_CANCELLED, NULL, NULL, "its caller has left the bus");
    break_off(userdata, error);
    return 0;
}

static bool check(VM *vm, bool frozen, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!guest_find_agent(vm, ret_error))
        return false;
    if (!frozen && instance_is_quiescing(vm->instance))
        return error_set(ret_error, ERROR_BUSY, thing, "Try again, or see vmctl guest fsthaw", "its guest's file systems are frozen");
    unsigned n = 0;
    for (guint i = 0; vm->instance->guest_acts && i < vm->instance->guest_acts->len; i++)
        n += !((const GuestAct *) vm->instance->guest_acts->pdata[i])->over;
    return n < GUEST_ACTS_MAX || error_set(ret_error, ERROR_LIMIT_REACHED, thing, "Try again when something of that is done",
        "its guest agent is asked for %u things at a time", GUEST_ACTS_MAX);
}

GuestAct *guest_act_new(VM *vm, const char *caller, bool frozen, GuestActBroken broken, void *userdata, Error **ret_error)
{
    if (!check(vm, frozen, ret_error))
        return NULL;
    GuestAct *act = g_new0(GuestAct, 1);
    *act = (GuestAct){.instance = vm->instance, .broken = broken, .userdata = userdata};
    int r = sd_bus_track_new(vm->manager->bus, &act->caller, on_caller_left, act);
    if (r >= 0 && caller)
        r = sd_bus_track_add_name(act->caller, caller);
    if (r < 0) {
        error_set_errno(ret_error, r, vm->name, "the caller cannot be followed");
        act_free(act);
        return NULL;
    }
    if (!vm->instance->guest_acts)
        vm->instance->guest_acts = g_ptr_array_new_with_free_func(act_free);
    g_ptr_array_add(vm->instance->guest_acts, act);
    return act;
}

VM *guest_act_vm(const GuestAct *act)
{
    return act->instance->vm;
}

bool guest_act_can_ask(const GuestAct *act)
{
    VMState state = act->instance->vm->state;
    return (state == VM_RUNNING || state == VM_STOPPING) && !instance_is_quiescing(act->instance);
}

/* Enterprise Linux has most of what is done here switched off in the agent's settings. */
static const char *way_out(const Error *error)
{
    if (error->code == ERROR_UNSUPPORTED && (strstr(error->cause, "disabled") || strstr(error->cause, "not allowed")))
        return "Allow it in the guest, in /etc/sysconfig/qemu-ga (BLOCK_RPCS= without it, or --allow-rpcs= with it) or /etc/qemu/qemu-ga.conf "
               "(block-rpcs), and restart qemu-guest-agent there";
    return error->code == ERROR_UNSUPPORTED ? "Update qemu-guest-agent in the guest" : NULL;
}

static void on_answer(Agent *agent, const json_t *result, const Error *error, void *userdata)
{
    GuestAct *act = userdata;
    g_autoptr(Error) told = NULL;
    act->asked = false;
    if (act->over)
        return settle(act);
    g_autofree char *thing = vm_thing(act->instance->vm);
    if (error && (error->code == ERROR_FAILED || error->code == ERROR_UNSUPPORTED))
        error_set(&told, error->code, thing, way_out(error), "its guest agent refuses %s: %s", error->thing, error->cause);
    else if (error)
        error_set(&told, error->code, thing, NULL, "%s", error->cause);
    act->answer(act, result, told, act->userdata);
}

bool guest_act_ask(GuestAct *act, const char *command, json_t *arguments, uint64_t timeout_usec, GuestActAnswer answer, Error **ret_error)
{
    VM *vm = act->instance->vm;
    g_autofree char *thing = vm_thing(vm);
    Agent *agent = guest_agent(vm->instance->guest);
    if (!agent) {
        json_decref(arguments);
        return error_set(ret_error, ERROR_GUEST_UNRESPONSIVE, thing, NULL, "its guest agent has gone");
    }
    act->answer = answer;
    int r = agent_call(agent, command, arguments, timeout_usec, on_answer, act);
    if (r == -EINVAL)
        return error_set(ret_error, ERROR_LIMIT_REACHED, thing, NULL, "that is more than its guest agent can be told at once");
    if (r < 0)
        return error_set_errno(ret_error, r, thing, "its guest agent cannot be asked");
    act->asked = true;
    return true;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    GuestAct *act = userdata;
    act->timer = sd_event_source_disable_unref(act->timer);
    act->then(act, act->userdata);
    return 0;
}

int guest_act_wait(GuestAct *act, uint64_t usec, GuestActThen then)
{
    act->timer = sd_event_source_disable_unref(act->timer);
    act->then = then;
    return sd_event_add_time_relative(act->instance->vm->manager->event, &act->timer, CLOCK_MONOTONIC, usec, 1000, on_time, act);
}

bool guest_act_nonsense(const GuestAct *act, const char *command, Error **ret_error)
{
    g_autofree char *thing = vm_thing(act->instance->vm);
    return error_set(ret_error, ERROR_GUEST_UNRESPONSIVE, thing, NULL, "its guest agent's answer to %s is none", command);
}

char *guest_text(const json_t *string, size_t max)
{
    const char *text = json_string_value(string);
    g_autofree char *cut = text ? g_strndup(text, max) : g_strdup("");
    g_autofree char *valid = g_utf8_make_valid(cut, -1);
    g_autoptr(GString) clean = g_string_new(NULL);
    for (const char *p = valid; *p; p = g_utf8_next_char(p))
        g_string_append_unichar(clean, g_unichar_isprint(g_utf8_get_char(p)) ? g_utf8_get_char(p) : '?');
    return g_string_free(g_steal_pointer(&clean), FALSE);
}

void guest_acts_break(Instance *instance)
{
    g_autoptr(Error) error = NULL;
    g_autofree char *thing = vm_thing(instance->vm);
    error_set(&error, ERROR_NOT_RUNNING, thing, NULL, "it has ended");
    /* Those that are left when all have been told wait for an answer that cannot come any more. */
    for (guint i = 0; instance->guest_acts && i < instance->guest_acts->len;) {
        GuestAct *act = instance->guest_acts->pdata[i];
        guint before = instance->guest_acts->len;
        if (!act->over)
            break_off(act, error);
        if (instance->guest_acts->len == before)
            i++;
    }
}
