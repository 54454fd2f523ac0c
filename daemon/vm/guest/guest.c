/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest.h"

#include <string.h>

#include "interfaces.h"
#include "manager.h"
#include "quiesce.h"
#include "vsock.h"

/* The chardev and the device of QEMU's command line (qemu/machine.c). */
#define PORT "agent"

#define QUERY_USEC (30 * G_USEC_PER_SEC)
#define ANSWER_USEC (10 * G_USEC_PER_SEC)

/* From one question to the next; twice as long each time. */
#define FIRST_USEC (5 * G_USEC_PER_SEC)
#define LAST_USEC (5 * 60 * G_USEC_PER_SEC)

/* Whoever asks within this is told what is known. */
#define FRESH_USEC (5 * G_USEC_PER_SEC)

struct Guest {
    Instance *instance;
    bool open;     /* the port, in the guest */
    Agent *agent;  /* NULL while it is not, or QEMU could not be reached */
    bool asked;    /* an answer is still to come */
    bool refused;  /* it does not tell addresses */
    uint64_t asked_at, interval;
    sd_event_source *timer;
    GPtrArray *cards; /* GuestCard; NULL: nothing is known */
};

static void ask(Guest *guest);

static void tell(const Guest *guest, const char *property)
{
    vm_changed(guest->instance->vm, property, NULL);
}

/* Takes the cards. */
static void set_cards(Guest *guest, GPtrArray *cards)
{
    bool same = cards && guest->cards ? guest_cards_equal(cards, guest->cards) : cards == guest->cards;
    g_clear_pointer(&guest->cards, g_ptr_array_unref);
    guest->cards = cards;
    if (!same)
        tell(guest, "Addresses");
}

/* Those that the VM runs with by now. */
static GPtrArray *read_cards(const VM *vm)
{
    char uuid[SD_ID128_UUID_STRING_MAX];
    GPtrArray *cards = guest_cards_new();
    g_autofree char *path = instance_settings_path(vm->instance);
    g_autofree char *text = settings_read_text(path, NULL);
    g_autoptr(Settings) settings = text ? settings_parse_partial(&vm_schema, text, strlen(text), path, NULL) : NULL;
    g_autofree const char **sections = settings ? settings_sections(settings, "Network") : NULL;
    (void) sd_id128_to_uuid_string(vm->uuid, uuid);
    for (size_t i = 0; sections && sections[i]; i++) {
        g_autofree char *kind = NULL, *name = NULL;
        struct ether_addr mac;
        if (settings_section_split(&vm_schema, sections[i], &kind, &name, NULL) &&
            interface_mac(uuid, settings, sections[i], &mac, NULL))
            guest_cards_add(cards, name, &mac);
    }
    return cards;
}

static int on_time(sd_event_source *source, uint64_t usec, void *userdata)
{
    Guest *guest = userdata;
    guest->interval = MIN(guest->interval * 2, LAST_USEC);
    ask(guest);
    return 0;
}

/* Whether there is an answer or not; with as much play as the loop may have to come when it is awake anyway. */
static void ask_later(Guest *guest)
{
    if (guest->refused)
        return;
    guest->timer = sd_event_source_disable_unref(guest->timer);
    (void) sd_event_add_time_relative(guest->instance->vm->manager->event, &guest->timer, CLOCK_MONOTONIC, guest->interval,
        guest->interval / 4, on_time, guest);
}

static void on_interfaces(Agent *agent, const json_t *result, const Error *error, void *userdata)
{
    Guest *guest = userdata;
    guest->asked = false;
    guest->refused = error && error->code == ERROR_UNSUPPORTED;
    GPtrArray *cards = error ? NULL : read_cards(guest->instance->vm);
    if (cards)
        guest_cards_read(cards, result);
    set_cards(guest, cards);
    ask_later(guest);
}

static void on_answers(Agent *agent, bool answers, void *userdata)
{
    const Guest *guest = userdata;
    if (answers)
        vm_set_booted(guest->instance->vm, true);
    tell(userdata, "AgentConnected");
}

static void on_closed(Agent *agent, void *userdata)
{
    Guest *guest = userdata;
    g_clear_pointer(&guest->agent, agent_free);
    tell(guest, "AgentConnected");
}

static const AgentHandlers handlers = {.answers = on_answers, .closed = on_closed};

static void connect_agent(Guest *guest)
{
    int fd = instance_connect(guest->instance, "agent", SOCK_STREAM);
    if (fd >= 0)
        (void) agent_new(guest->instance->vm->manager->event, fd, &handlers, guest, &guest->agent);
}

Agent *guest_agent(Guest *guest)
{
    if (!guest || !guest->open)
        return NULL;
    if (!guest->agent)
        connect_agent(guest);
    return guest->agent;
}

Agent *guest_find_agent(VM *vm, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    Agent *agent = vm->state == VM_RUNNING ? guest_agent(vm->instance->guest) : NULL;
    if (vm->state != VM_RUNNING)
        error_set(ret_error, ERROR_NOT_RUNNING, thing, NULL, "the guest does not run now");
    else if (!agent)
        error_set(ret_error, ERROR_UNSUPPORTED, thing, "Install and start qemu-guest-agent in the guest", "no guest agent runs in it");
    return agent;
}

static void ask(Guest *guest)
{
    if (guest->asked || !guest->open)
        return;
    Agent *agent = guest_agent(guest);
    guest->asked_at = (uint64_t) g_get_monotonic_time();
    guest->asked = agent && guest->instance->vm->state == VM_RUNNING && !instance_is_quiescing(guest->instance) &&
        agent_call(agent, "guest-network-get-interfaces", NULL, ANSWER_USEC, on_interfaces, guest) >= 0;
    if (!guest->asked)
        ask_later(guest);
}

static void set_open(Guest *guest, bool open)
{
    if (guest->open == open)
        return;
    guest->open = open;
    if (open) {
        guest->refused = false;
        guest->interval = FIRST_USEC;
        quiesce_agent_came(guest->instance);
        return ask(guest);
    }
    bool answered = guest_answers(guest);
    if (guest->agent)
        agent_close(guest->agent);
    g_clear_pointer(&guest->agent, agent_free);
    guest->timer = sd_event_source_disable_unref(guest->timer);
    set_cards(guest, NULL);
    if (answered)
        tell(guest, "AgentConnected");
}

static void instance_set_open(Instance *instance, bool open)
{
    if (!instance->guest) {
        instance->guest = g_new0(Guest, 1);
        instance->guest->instance = instance;
    }
    set_open(instance->guest, open);
}

void guest_port_changed(Instance *instance, const json_t *data)
{
    if (g_strcmp0(json_string_value(json_object_get(data, "id")), PORT) == 0)
        instance_set_open(instance, json_is_true(json_object_get(data, "open")));
}

static void on_chardevs(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    size_t i;
    const json_t *chardev;
    json_array_foreach(result, i, chardev)
    {
        if (g_strcmp0(json_string_value(json_object_get(chardev, "label")), PORT) == 0 &&
            json_is_true(json_object_get(chardev, "frontend-open")))
            instance_set_open(userdata, true);
    }
}

void guest_find(Instance *instance)
{
    (void) qmp_call(instance->qmp, "query-chardev", NULL, -1, QUERY_USEC, on_chardevs, instance);
}

void guest_free(Guest *guest)
{
    if (!guest)
        return;
    agent_free(guest->agent);
    sd_event_source_disable_unref(guest->timer);
    g_clear_pointer(&guest->cards, g_ptr_array_unref);
    g_free(guest);
}

bool guest_answers(const Guest *guest)
{
    return guest && guest->agent && agent_answers(guest->agent);
}

const GPtrArray *guest_cards(const Guest *guest)
{
    return guest ? guest->cards : NULL;
}

void guest_refresh(Guest *guest)
{
    if (guest_answers(guest) && !guest->refused && (uint64_t) g_get_monotonic_time() - guest->asked_at > FRESH_USEC)
        ask(guest);
}
