/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vmd1.Manager on the bus. */

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "change.h"
#include "cleanup.h"
#include "config.h"
#include "doctor.h"
#include "method.h"
#include "name.h"
#include "manager-networks.h"
#include "manager-pools.h"
#include "manager-qemu.h"
#include "open-tap.h"
#include "plugs.h"
#include "settings-dbus.h"
#include "steps.h"
#include "vm-statistics.h"

#define OWNER_VMS_MAX 100U

static void *find(Manager *manager, const char *path, Error **ret_error)
{
    return manager;
}

/* CreateVM and RunVM name the VM that is to be, the caller's own; others a network or pool. */
static void details(Manager *manager, sd_bus_message *m, AccessDetails *details)
{
    const char *name, *member = sd_bus_message_get_member(m);
    bool pool = g_str_has_suffix(member, "Pool"), network = g_str_has_suffix(member, "Network") || g_str_equal(member, "OpenTap");
    details->callers_own = g_str_equal(member, "CreateVM") || g_str_equal(member, "RunVM");
    if (sd_bus_message_read(m, "s", &name) < 0 || !name_is_valid(name))
        return;
    if (network)
        details->network = g_strdup(name);
    else if (pool)
        details->pool = g_strdup(name);
    else
        details->vm = g_strdup(name);
}

/* ---- methods ---- */

/* Each takes a place in memory, in /etc and in each list, and to make one asks nobody but its owner. */
static bool check_limit(const Manager *manager, uid_t owner, Error **ret_error)
{
    unsigned n = 0;
    GHashTableIter iter;
    gpointer value;
    if (owner == geteuid())
        return true;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value))
        n += ((const VM *) value)->owner == owner;
    return n < OWNER_VMS_MAX || error_set(ret_error, ERROR_LIMIT_REACHED, NULL, "Delete some, or ask the administrator for this one",
        "you have %u VMs, and nobody but root has more", n);
}

/* The text of a new VM's file. Whoever makes one, owns it, unless the settings have another owner. */
static char *new_text(sd_bus_message *m, uid_t caller, const char *thing, Error **ret_error)
{
    g_autofree char *owner = identity_name(caller);
    const char *values[] = {owner, NULL};
    const SettingsChange owned = {.section = "VM", .key = "Owner", .values = values};
    g_autoptr(SettingsChanges) changes = settings_changes_read(&vm_schema, m, ret_error);
    g_autofree char *text = NULL;
    if (!changes)
        return NULL;
    if (caller != geteuid()) {
        text = settings_edit(&vm_schema, "", &owned, 1, thing, ret_error);
        if (!text)
            return NULL;
    }
    return settings_edit(&vm_schema, text ?: "", changes->items, changes->n, thing, ret_error);
}

/* The common half of CreateVM and RunVM: a checked file is written and the VM is known. */
static VM *create(Manager *manager, sd_bus_message *m, uid_t caller, bool transient, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0) {
        error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
        return NULL;
    }
    if (!name_check(name, ret_error))
        return NULL;
    g_autofree char *thing = g_strdup_printf("VM \"%s\"", name);
    if (manager_find_vm(manager, name)) {
        error_set(ret_error, ERROR_EXISTS, thing, "Choose another name, or delete it first", "there is one of this name");
        return NULL;
    }

    const Dirs *dirs = manager->dirs;
    g_autofree char *path = g_strdup_printf("%s/%s.vm", transient ? dirs->runtime : dirs->settings, name);
    g_autofree char *text = check_limit(manager, caller, ret_error) ? new_text(m, caller, thing, ret_error) : NULL;
    if (!text || !vm_check_text(text, thing, ret_error))
        return NULL;
    r = settings_write(path, text, 0644, true);
    if (r == -EEXIST) {
        error_set(ret_error, ERROR_EXISTS, path, "Mend or delete that file", "there is such a file, which cannot be used (see Problems)");
        return NULL;
    }
    if (r < 0) {
        error_set_errno(ret_error, r, path, "it cannot be written");
        return NULL;
    }
    manager_read_file(manager, name, transient);
    VM *vm = manager_find_vm(manager, name);
    if (!vm)
        error_set(ret_error, ERROR_FAILED, path, NULL, "it was written but cannot be read back");
    return vm;
}

static bool method_create_vm(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    VM *vm = create(manager, m, caller, false, ret_error);
    if (!vm)
        return false;
    g_autofree char *path = vm_object_path(vm);
    (void) sd_bus_reply_method_return(m, "o", path);
    return true;
}

typedef struct RunReply {
    LaterReply *later;
    char *path;
} RunReply;

static void on_run(const Error *error, void *userdata)
{
    RunReply *run = userdata;
    Manager *manager = run->later->manager;
    if (error)
        reply_error(run->later->message, error);
    else
        (void) sd_bus_reply_method_return(run->later->message, "o", run->path);
    reply_later_free(run->later);
    g_free(run->path);
    g_free(run);
    manager_check_idle(manager);
}

static bool method_run_vm(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    VM *vm = create(manager, m, caller, true, ret_error);
    if (!vm)
        return false;
    RunReply *run = g_new(RunReply, 1);
    *run = (RunReply){.later = reply_later(manager, m), .path = vm_object_path(vm)};
    if (vm_start(vm, on_run, run, ret_error))
        return true;
    reply_later_free(run->later);
    g_free(run->path);
    g_free(run);
    vm_settle(vm);
    return false;
}

static bool method_get_vm(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    VM *vm = manager_find_vm_or_error(manager, name, ret_error);
    if (!vm)
        return false;
    g_autofree char *path = vm_object_path(vm);
    (void) sd_bus_reply_method_return(m, "o", path);
    return true;
}

static bool method_list_vms(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    size_t n;
    g_autofree VM **vms = manager_list_vms(manager, &n);
    g_autoptr(sd_bus_message) reply = NULL;
    int r = reply_array_new(m, "(ssuo)", &reply);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        g_autofree char *path = vm_object_path(vms[i]);
        r = sd_bus_message_append(reply, "(ssuo)", vms[i]->name, vm_state_to_string(vms[i]->state),
            vms[i]->instance ? (uint32_t) vms[i]->instance->guard : 0, path);
    }
    return reply_array_send(reply, r, ret_error);
}

static void append_job(Job *job, void *userdata)
{
    (void) sd_bus_message_append(userdata, "(ussoo)", job->id, job_type_to_string(job->type), job_state_to_string(job->state),
        job->object, job->path);
}

static bool method_list_jobs(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_autoptr(sd_bus_message) reply = NULL;
    int r = reply_array_new(m, "(ussoo)", &reply);
    if (r >= 0)
        jobs_foreach(manager->jobs, append_job, reply);
    return reply_array_send(reply, r, ret_error);
}

static void on_usb_devices(void *userdata)
{
    LaterReply *later = userdata;
    Manager *manager = later->manager;
    const GPtrArray *devices = usb_seen(manager);
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(Error) error = NULL;
    int r = reply_array_new(later->message, "(ssssss)", &reply);
    for (guint i = 0; r >= 0 && devices && i < devices->len; i++) {
        const UsbDevice *device = devices->pdata[i];
        g_autofree char *id = g_strdup_printf("%04x:%04x", device->vendor, device->product);
        r = sd_bus_message_append(reply, "(ssssss)", device->port, id, device->serial, device->maker, device->model, usb_holder(manager, device) ?: "");
    }
    if (!devices)
        error_set(&error, ERROR_TIMED_OUT, "USB devices", "Pull out the device that hangs (dmesg may name it)", "one of the host's does not answer");
    if (error || !reply_array_send(reply, r, &error))
        reply_error(later->message, error);
    reply_later_free(later);
    manager_check_idle(manager);
}

static bool method_list_usb_devices(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    usb_look(manager, on_usb_devices, reply_later(manager, m));
    return true;
}

static int append_problems(sd_bus_message *reply, Manager *manager)
{
    GHashTableIter iter;
    gpointer path, message;
    int r = sd_bus_message_open_container(reply, 'a', "(ss)");
    g_hash_table_iter_init(&iter, manager->problems);
    while (r >= 0 && g_hash_table_iter_next(&iter, &path, &message))
        r = sd_bus_message_append(reply, "(ss)", path, message);
    return r < 0 ? r : sd_bus_message_close_container(reply);
}

static bool method_reload(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    manager_scan_files(manager);
    g_autoptr(sd_bus_message) reply = NULL;
    int r = sd_bus_message_new_method_return(m, &reply);
    if (r >= 0)
        r = append_problems(reply, manager);
    if (r >= 0)
        r = sd_bus_send(NULL, reply, NULL);
    return r >= 0 || error_set_errno(ret_error, r, NULL, "the reply cannot be sent");
}

/* ---- properties ---- */

static int get_accelerators(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
    sd_bus_error *error)
{
    const Manager *manager = userdata;
    const AccelProof *proof = accel_peek(manager->accel);
    if (!proof)
        return sd_bus_message_append(reply, "as", 0);
    return proof->kvm ? sd_bus_message_append(reply, "as", 2, "kvm", "tcg") : sd_bus_message_append(reply, "as", 1, "tcg");
}

static int get_accelerator_reason(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply,
    void *userdata, sd_bus_error *error)
{
    const Manager *manager = userdata;
    const AccelProof *proof = accel_peek(manager->accel);
    return sd_bus_message_append(reply, "s", proof ? proof->reason : "");
}

static int get_problems(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
    sd_bus_error *error)
{
    return append_problems(reply, userdata);
}

static int get_version(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
    sd_bus_error *error)
{
    return sd_bus_message_append(reply, "s", PROJECT_VERSION);
}

static bool check_name(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    return r < 0 ? error_set(ret_error, ERROR_INVALID_NAME, NULL, NULL, "the name cannot be read") : name_check(name, ret_error);
}

static bool check_name_or_none(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return error_set(ret_error, ERROR_INVALID_NAME, NULL, NULL, "the name cannot be read");
    return !*name || name_check(name, ret_error);
}

static bool choose_action(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    g_autoptr(SettingsChanges) changes = check_name(m, ret, ret_error) ? settings_changes_read(&vm_schema, m, ret_error) : NULL;
    if (changes)
        change_actions(changes->items, changes->n, ret);
    return changes != NULL;
}

#define NAME_AND_SETTINGS "sa{sa{sv}}", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(settings) SD_BUS_PARAM(vm)

#define NETWORK_AND_SETTINGS "sa{sa{sv}}", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(settings) SD_BUS_PARAM(network)
#define NEW_POOL "sa{sa{sv}}", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(settings) SD_BUS_PARAM(pool)
#define TAP "sa{sv}", "hss", SD_BUS_PARAM(network) SD_BUS_PARAM(options) SD_BUS_PARAM(tap) SD_BUS_PARAM(link) SD_BUS_PARAM(mac)

static const Method methods[] = {
    {"CreateVM", NAME_AND_SETTINGS, ACTION_MANAGE, choose_action, method_create_vm},
    {"RunVM", NAME_AND_SETTINGS, ACTION_MANAGE, choose_action, method_run_vm},
    {"GetVM", "s", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(vm), ACTION_VIEW, check_name, method_get_vm},
    {"ListVMs", "", "a(ssuo)", SD_BUS_PARAM(vms), ACTION_VIEW, NULL, method_list_vms},
    {"GetAllStatistics", "", "a{sa{sv}}", SD_BUS_PARAM(statistics), ACTION_VIEW, NULL, method_get_all_statistics},
    {"CreateNetwork", NETWORK_AND_SETTINGS, ACTION_MANAGE_NETWORKS, check_new_network, method_create_network},
    {"GetNetwork", "s", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(network), ACTION_VIEW, check_network, method_get_network},
    {"ListNetworks", "", "a(sssso)", SD_BUS_PARAM(networks), ACTION_VIEW, NULL, method_list_networks},
    {"CreatePool", NEW_POOL, ACTION_MANAGE_POOLS, check_new_pool, method_create_pool},
    {"GetPool", "s", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(pool), ACTION_VIEW, check_pool, method_get_pool},
    {"ListPools", "", "a(sssttto)", SD_BUS_PARAM(pools), ACTION_VIEW, NULL, method_list_pools},
    {"OpenTap", TAP, ACTION_USE_NETWORK, check_network, method_open_tap},
    {"Diagnose", "s", "a(ssss)", SD_BUS_PARAM(vm) SD_BUS_PARAM(findings), ACTION_MANAGE_NETWORKS, check_name_or_none, method_diagnose},
    {"ListJobs", "", "a(ussoo)", SD_BUS_PARAM(jobs), ACTION_VIEW, NULL, method_list_jobs},
    {"ListQEMUs", "", "a(ssssass)", SD_BUS_PARAM(qemus), ACTION_VIEW, NULL, method_list_qemus},
    {"ListUSBDevices", "", "a(ssssss)", SD_BUS_PARAM(devices), ACTION_VIEW, NULL, method_list_usb_devices},
    {"Reload", "", "a(ss)", SD_BUS_PARAM(problems), ACTION_MANAGE, NULL, method_reload},
    {NULL},
};

static const sd_bus_vtable properties[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_SIGNAL_WITH_NAMES("VMNew", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(vm), 0),
    SD_BUS_SIGNAL_WITH_NAMES("VMRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(vm), 0),
    SD_BUS_SIGNAL_WITH_NAMES("NetworkNew", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(network), 0),
    SD_BUS_SIGNAL_WITH_NAMES("NetworkRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(network), 0),
    SD_BUS_SIGNAL_WITH_NAMES("PoolNew", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(pool), 0),
    SD_BUS_SIGNAL_WITH_NAMES("PoolRemoved", "so", SD_BUS_PARAM(name) SD_BUS_PARAM(pool), 0),
    SD_BUS_SIGNAL_WITH_NAMES("JobNew", "uos", SD_BUS_PARAM(id) SD_BUS_PARAM(job) SD_BUS_PARAM(object), 0),
    SD_BUS_SIGNAL_WITH_NAMES("JobRemoved", "uoss", SD_BUS_PARAM(id) SD_BUS_PARAM(job) SD_BUS_PARAM(result) SD_BUS_PARAM(message), 0),
    SD_BUS_PROPERTY("Version", "s", get_version, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Accelerators", "as", get_accelerators, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("AcceleratorReason", "s", get_accelerator_reason, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Problems", "a(ss)", get_problems, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

const Interface manager_interface = {
    .name = "org.vmd1.Manager",
    .methods = methods,
    .properties = properties,
    .find = find,
    .details = details,
};
