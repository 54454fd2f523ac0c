/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vmd1.Job on the bus. */

#include "method.h"

static void *find(Manager *manager, const char *path, Error **ret_error)
{
    Job *job = job_find_by_path(manager->jobs, path);
    if (!job)
        error_set(ret_error, ERROR_NO_SUCH_JOB, path, NULL, "there is no such job (any more)");
    return job;
}

static void details(Manager *manager, sd_bus_message *m, AccessDetails *details)
{
    const Job *job = job_find_by_path(manager->jobs, sd_bus_message_get_path(m));
    g_autofree char *name = NULL;
    const VM *vm = job && sd_bus_path_decode(job->object, "/org/vmd1/vm", &name) > 0 ? manager_find_vm(manager, name) : NULL;
    if (job)
        details->owner = job->owner;
    if (!vm)
        return;
    details->vm = g_strdup(vm->name);
    details->owner = vm->owner;
}

static bool cancel(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    if (!job_cancel(object, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}

static int get_type(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
    sd_bus_error *error)
{
    const Job *job = userdata;
    return sd_bus_message_append(reply, "s", job_type_to_string(job->type));
}

static int get_state(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, void *userdata,
    sd_bus_error *error)
{
    const Job *job = userdata;
    return sd_bus_message_append(reply, "s", job_state_to_string(job->state));
}

static const Method methods[] = {
    {"Cancel", "", "", "", ACTION_MANAGE, NULL, cancel},
    {NULL},
};

static const sd_bus_vtable properties[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Id", "u", NULL, offsetof(Job, id), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Type", "s", get_type, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Object", "o", NULL, offsetof(Job, object), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Progress", "d", NULL, offsetof(Job, progress), SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

const Interface job_interface = {
    .name = "org.vmd1.Job",
    .methods = methods,
    .properties = properties,
    .find = find,
    .details = details,
};
