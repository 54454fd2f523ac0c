/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The doctor's rounds: ask all who may take time, wait for the last answer, then run the checks. */

#include "doctor-internal.h"

#include <errno.h>
#include <string.h>

#include "cleanup.h"
#include "nft.h"
#include "value.h"

#define LOOK_USEC (10 * USEC_PER_SEC)
#define ASK_USEC (3 * USEC_PER_SEC)
#define DOCTORS_MAX 4U

/* In the order in which one would look. `good`: what is so when it finds nothing. */
static const struct {
    const char *name, *good;
    void (*run)(Doctor *doctor);
} checks[] = {
    {"networks", "no network has failed", doctor_check_networks},
    {"servers", "each network's server of addresses and names runs", doctor_check_servers},
    {"ports 53 and 67", "nobody else has them", doctor_check_taken_ports},
    {"links", "bridges and taps are up and in their places", doctor_check_links},
    {"managers of links", "neither NetworkManager nor networkd manages links of vmd's", doctor_check_managers},
    {"cables", "all are plugged in", doctor_check_cables},
    {"vmd's own rules", "they are there", doctor_check_own_rules},
    {"firewalls", "no other table drops what guests send or receive", doctor_check_firewalls},
    {"old iptables", "it has no rules", doctor_check_old_iptables},
    {"br_netfilter", "what is bridged is not dropped", doctor_check_bridged},
    {"forwarding", "the host forwards what its networks need", doctor_check_forwarding},
    {"reverse path filter", "it drops no answers", doctor_check_reverse_path},
    {"default route", "the host has a way out, or needs none", doctor_check_default_route},
    {"subnets", "no other link has addresses of a network's", doctor_check_subnets},
    {"leases", "no guest waits for an address", doctor_check_leases},
    {"vhost-net", "the kernel has it", doctor_check_vhost},
    {"control groups", "processes change them without a wait", doctor_check_cgroups},
};

const char *finding_level_to_string(FindingLevel level)
{
    static const char *const words[_FINDING_LEVEL_MAX] = {
        [FINDING_OK] = "ok", [FINDING_HINT] = "hint", [FINDING_WARNING] = "warning", [FINDING_ERROR] = "error"};
    return words[level];
}

static void finding_free(void *data)
{
    Finding *finding = data;
    g_free(finding->thing);
    g_free(finding->text);
    g_free(finding->remedy);
    g_free(finding);
}

void doctor_find(Doctor *doctor, FindingLevel level, const char *thing, const char *remedy, const char *format, ...)
{
    va_list ap;
    Finding *finding = g_new(Finding, 1);
    va_start(ap, format);
    *finding = (Finding){.thing = g_strdup(thing), .level = level, .text = g_strdup_vprintf(format, ap), .remedy = g_strdup(remedy ?: "")};
    va_end(ap);
    g_ptr_array_add(doctor->findings, finding);
}

bool network_has_family(const NetworkRun *run, int family)
{
    for (guint i = 0; i < run->addresses->len; i++)
        if (g_array_index(run->addresses, Address, i).family == family)
            return true;
    return false;
}

bool network_goes_out(const NetworkRun *run)
{
    return run->mode == NETWORK_NAT || run->mode == NETWORK_ROUTED;
}

/* ---- its life ---- */

static void listener_free(void *data)
{
    DoctorListener *one = data;
    g_free(one->unit);
    g_free(one);
}

static void slot_free(void *data)
{
    sd_bus_slot_unref(data);
}

static void doctor_free(void *data)
{
    Doctor *doctor = data;
    task_abandon(doctor->task);
    g_ptr_array_unref(doctor->slots);
    g_clear_pointer(&doctor->questions, g_ptr_array_unref);
    error_free(doctor->rules_error);
    g_clear_pointer(&doctor->listeners, g_ptr_array_unref);
    g_hash_table_unref(doctor->managed);
    g_hash_table_unref(doctor->servers);
    g_hash_table_unref(doctor->told);
    g_ptr_array_unref(doctor->networks);
    g_ptr_array_unref(doctor->ports);
    g_ptr_array_unref(doctor->findings);
    g_free(doctor->vm_name);
    g_free(doctor);
}

static Doctor *doctor_new(Manager *manager, const char *vm, DoctorDone done, void *userdata)
{
    Doctor *doctor = g_new(Doctor, 1);
    *doctor = (Doctor){
        .manager = manager,
        .vm_name = g_strdup(vm),
        .done = done,
        .userdata = userdata,
        .slots = g_ptr_array_new_with_free_func(slot_free),
        .managed = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .servers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free),
        .networks = g_ptr_array_new(),
        .ports = g_ptr_array_new(),
        .told = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .findings = g_ptr_array_new_with_free_func(finding_free),
    };
    return doctor;
}

void doctors_free(Manager *manager)
{
    for (guint i = 0; i < manager->doctors->len; i++) {
        Doctor *doctor = manager->doctors->pdata[i];
        doctor->done(NULL, doctor->userdata);
        doctor_free(doctor);
    }
    g_ptr_array_set_size(manager->doctors, 0);
}

/* ---- the checks ---- */

static bool has_port_of(const Doctor *doctor, const Network *network)
{
    for (guint i = 0; i < doctor->ports->len; i++)
        if (((const Port *) doctor->ports->pdata[i])->network == network)
            return true;
    return false;
}

static void choose_what_to_look_at(Doctor *doctor)
{
    Manager *manager = doctor->manager;
    size_t n;
    int index;
    Link link;
    g_autofree Network **networks = manager_list_networks(manager, &n);
    g_ptr_array_set_size(doctor->ports, 0);
    g_ptr_array_set_size(doctor->networks, 0);
    doctor->uplink[0] = '\0';
    doctor->vm = doctor->vm_name ? manager_find_vm(manager, doctor->vm_name) : NULL;
    for (guint i = 0; i < manager->ports->len; i++) {
        const Port *port = manager->ports->pdata[i];
        if (!doctor->vm_name || g_str_equal(port->vm, doctor->vm_name))
            g_ptr_array_add(doctor->ports, manager->ports->pdata[i]);
    }
    for (size_t i = 0; i < n; i++) {
        const NetworkRun *run = networks[i]->run;
        if (run && networks[i]->state == NETWORK_RUNNING && run->mode != NETWORK_BRIDGE && (!doctor->vm_name || has_port_of(doctor, networks[i])))
            g_ptr_array_add(doctor->networks, networks[i]);
    }
    if (links_default_route(manager->links, &index, NULL) && links_get_by_index(manager->links, index, &link) >= 0)
        g_strlcpy(doctor->uplink, link.name, sizeof doctor->uplink);
}

static int compare_findings(const void *a, const void *b)
{
    const Finding *one = *(Finding *const *) a, *two = *(Finding *const *) b;
    return (int) two->level - (int) one->level;
}

static void finish(Doctor *doctor)
{
    choose_what_to_look_at(doctor);
    for (size_t i = 0; i < G_N_ELEMENTS(checks); i++) {
        guint before = doctor->findings->len;
        checks[i].run(doctor);
        if (doctor->findings->len == before)
            doctor_find(doctor, FINDING_OK, checks[i].name, NULL, "%s", checks[i].good);
    }
    g_ptr_array_sort(doctor->findings, compare_findings); /* stable */
    g_ptr_array_remove_fast(doctor->manager->doctors, doctor);
    doctor->done(doctor->findings, doctor->userdata);
    doctor_free(doctor);
}

static void answered(Doctor *doctor)
{
    if (--doctor->pending == 0)
        finish(doctor);
}

/* ---- questions to the kernel, in a thread ---- */

typedef struct Look {
    GPtrArray *questions;
    Error *error; /* the questions have no answers */
    bool has_own_rules;
    GPtrArray *listeners;
} Look;

static void look_free(void *data)
{
    Look *look = data;
    error_free(look->error);
    g_ptr_array_unref(look->questions);
    g_ptr_array_unref(look->listeners);
    g_free(look);
}

static void look_for_listeners(Look *look, bool udp, uint16_t port)
{
    g_autoptr(GArray) listeners = listeners_list(udp, port, port);
    for (guint i = 0; i < listeners->len; i++) {
        DoctorListener *one = g_new(DoctorListener, 1);
        one->listener = g_array_index(listeners, Listener, i);
        one->unit = listener_unit(one->listener.cgroup);
        g_ptr_array_add(look->listeners, one);
    }
}

static void look_at_rules(Look *look)
{
    g_autofree char *json = NULL;
    if (!nft_run("list ruleset", &json, &look->error))
        return;
    g_autoptr(Ruleset) rules = ruleset_parse(json, strlen(json), &look->error);
    if (!rules)
        return;
    look->has_own_rules = ruleset_has(rules, "inet", "vmd", NULL);
    for (guint i = 0; i < look->questions->len; i++)
        doctor_answer(look->questions->pdata[i], rules);
}

static void look_in_thread(void *data)
{
    Look *look = data;
    look_at_rules(look);
    look_for_listeners(look, true, 67);
    look_for_listeners(look, true, 53);
    look_for_listeners(look, false, 53);
}

static void on_look(void *data, void *userdata)
{
    Doctor *doctor = userdata;
    Look *look = data;
    doctor->task = NULL;
    if (look) {
        doctor->questions = look->error ? NULL : g_ptr_array_ref(look->questions);
        doctor->rules_error = g_steal_pointer(&look->error);
        doctor->has_own_rules = look->has_own_rules;
        doctor->listeners = g_ptr_array_ref(look->listeners);
        look_free(look);
    } else {
        error_set(&doctor->rules_error, ERROR_TIMED_OUT, "nft", NULL, "the kernel has not told its rules in time");
    }
    answered(doctor);
}

static bool ask_kernel(Doctor *doctor, Error **ret_error)
{
    static const TaskSpec spec = {.run = look_in_thread, .done = on_look, .free_data = look_free, .timeout_usec = LOOK_USEC};
    Look *look = g_new0(Look, 1);
    look->questions = doctor_questions(doctor);
    look->listeners = g_ptr_array_new_with_free_func(listener_free);
    int r = task_new(doctor->manager->event, &spec, look, doctor, &doctor->task);
    if (r < 0) {
        look_free(look);
        return error_set_errno(ret_error, r, NULL, "no thread can be made");
    }
    doctor->pending++;
    return true;
}

/* ---- questions on the bus ---- */

/* Who does not run is not started for this. A question that cannot be sent is none. */
static void ask(Doctor *doctor, sd_bus_message *m, sd_bus_message_handler_t handler, void *userdata)
{
    sd_bus_slot *slot = NULL;
    if (sd_bus_message_set_auto_start(m, false) < 0 || sd_bus_call_async(doctor->manager->bus, &slot, m, handler, userdata, ASK_USEC) < 0)
        return;
    g_ptr_array_add(doctor->slots, slot);
    doctor->pending++;
}

/* The value of a variant with that type, or the variant skipped and false. */
static bool read_property(sd_bus_message *m, char type, void *ret)
{
    const char contents[] = {type, '\0'};
    char kind;
    const char *there;
    if (sd_bus_message_peek_type(m, &kind, &there) > 0 && kind == 'v' && g_str_equal(there, contents))
        return sd_bus_message_read(m, "v", contents, ret) >= 0;
    (void) sd_bus_message_skip(m, "v");
    return false;
}

/* a{sv} of one interface of a device */
static void read_device(Doctor *doctor, sd_bus_message *m)
{
    const char *key, *name = NULL;
    int managed = 0;
    if (sd_bus_message_enter_container(m, 'a', "{sv}") < 0)
        return;
    while (sd_bus_message_enter_container(m, 'e', "sv") > 0) {
        if (sd_bus_message_read(m, "s", &key) < 0)
            return;
        if (g_str_equal(key, "Interface"))
            (void) read_property(m, 's', &name);
        else if (g_str_equal(key, "Managed"))
            (void) read_property(m, 'b', &managed);
        else
            (void) sd_bus_message_skip(m, "v");
        (void) sd_bus_message_exit_container(m);
    }
    (void) sd_bus_message_exit_container(m);
    if (name && managed)
        g_hash_table_add(doctor->managed, g_strdup(name));
}

/* a{oa{sa{sv}}}: all that NetworkManager knows. */
static int on_devices(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    Doctor *doctor = userdata;
    const char *interface;
    if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_enter_container(m, 'a', "{oa{sa{sv}}}") >= 0)
        while (sd_bus_message_enter_container(m, 'e', "oa{sa{sv}}") > 0 && sd_bus_message_skip(m, "o") >= 0 &&
            sd_bus_message_enter_container(m, 'a', "{sa{sv}}") >= 0) {
            while (sd_bus_message_enter_container(m, 'e', "sa{sv}") > 0 && sd_bus_message_read(m, "s", &interface) >= 0) {
                if (g_str_equal(interface, "org.freedesktop.NetworkManager.Device"))
                    read_device(doctor, m);
                else
                    (void) sd_bus_message_skip(m, "a{sv}");
                (void) sd_bus_message_exit_container(m);
            }
            (void) sd_bus_message_exit_container(m);
            (void) sd_bus_message_exit_container(m);
        }
    answered(doctor);
    return 0;
}

static void ask_network_manager(Doctor *doctor)
{
    g_autoptr(sd_bus_message) m = NULL;
    if (sd_bus_message_new_method_call(doctor->manager->bus, &m, "org.freedesktop.NetworkManager", "/org/freedesktop",
            "org.freedesktop.DBus.ObjectManager", "GetManagedObjects") >= 0)
        ask(doctor, m, on_devices, doctor);
}

typedef struct ServerQuestion {
    Doctor *doctor;
    char *network;
} ServerQuestion;

static int on_server(sd_bus_message *m, void *userdata, sd_bus_error *error)
{
    ServerQuestion *question = userdata;
    const char *state;
    if (!sd_bus_message_is_method_error(m, NULL) && read_property(m, 's', &state))
        g_hash_table_insert(question->doctor->servers, g_strdup(question->network), g_strdup(state));
    answered(question->doctor);
    return 0;
}

static void question_free(void *data)
{
    ServerQuestion *question = data;
    g_free(question->network);
    g_free(question);
}

static void ask_systemd(Doctor *doctor, const Network *network)
{
    g_autoptr(sd_bus_message) m = NULL;
    g_autofree char *unit = network_unit(network), *path = NULL;
    if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0 ||
        sd_bus_message_new_method_call(doctor->manager->bus, &m, "org.freedesktop.systemd1", path, "org.freedesktop.DBus.Properties", "Get") < 0 ||
        sd_bus_message_append(m, "ss", "org.freedesktop.systemd1.Unit", "ActiveState") < 0)
        return;
    ServerQuestion *question = g_new(ServerQuestion, 1);
    *question = (ServerQuestion){.doctor = doctor, .network = g_strdup(network->name)};
    guint before = doctor->slots->len;
    ask(doctor, m, on_server, question);
    if (doctor->slots->len > before)
        (void) sd_bus_slot_set_destroy_callback(doctor->slots->pdata[before], question_free);
    else
        question_free(question);
}

bool doctor_run(Manager *manager, const char *vm, DoctorDone done, void *userdata, Error **ret_error)
{
    size_t n;
    if (manager->user)
        return error_set(ret_error, ERROR_UNSUPPORTED, NULL, "Ask the system's: 'vmctl doctor'", "a user's vmd has no networks of its own");
    if (vm && !manager_find_vm_or_error(manager, vm, ret_error))
        return false;
    if (manager->doctors->len >= DOCTORS_MAX)
        return error_set(ret_error, ERROR_BUSY, NULL, "Try again in a moment", "%u others are being answered", manager->doctors->len);
    Doctor *doctor = doctor_new(manager, vm, done, userdata);
    choose_what_to_look_at(doctor);
    if (!ask_kernel(doctor, ret_error)) {
        doctor_free(doctor);
        return false;
    }
    g_ptr_array_add(manager->doctors, doctor);
    g_autofree Network **networks = manager_list_networks(manager, &n);
    for (size_t i = 0; i < n; i++)
        if (networks[i]->run && networks[i]->run->dhcp)
            ask_systemd(doctor, networks[i]);
    ask_network_manager(doctor);
    return true;
}
