/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service.h"

#include <errno.h>

#include "cleanup.h"
#include "scope-internal.h"

/* (bas) */
static int append_filter(sd_bus_message *m, const ServiceProperty *property)
{
    int r = sd_bus_message_open_container(m, 'v', "(bas)");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'r', "bas");
    if (r >= 0)
        r = sd_bus_message_append(m, "b", (int) property->number);
    if (r >= 0)
        r = sd_bus_message_append_strv(m, (char **) property->words);
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

/* a(ssbt): from, to, whether it may be missing, flags; or a(ss): where, options. */
static int append_mounts(sd_bus_message *m, const ServiceProperty *property, bool bind)
{
    int r = sd_bus_message_open_container(m, 'v', bind ? "a(ssbt)" : "a(ss)");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', bind ? "(ssbt)" : "(ss)");
    for (const char *const *word = property->words; r >= 0 && *word; word++) {
        const char *path = *word + (**word == '-');
        r = bind ? sd_bus_message_append(m, "(ssbt)", path, path, (int) (**word == '-'), UINT64_C(0))
                 : sd_bus_message_append(m, "(ss)", path, "ro");
    }
    for (unsigned i = 0; r >= 0 && i < 2; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

static int append_value(sd_bus_message *m, const ServiceProperty *property)
{
    switch (property->type) {
    case 's':
        return sd_bus_message_append(m, "v", "s", property->text);
    case 'b':
        return sd_bus_message_append(m, "v", "b", (int) property->number);
    case 't':
        return sd_bus_message_append(m, "v", "t", property->number);
    case 'i':
        return sd_bus_message_append(m, "v", "i", (int) property->number);
    case 'u':
        return sd_bus_message_append(m, "v", "u", (uint32_t) property->number);
    case 'h':
        return sd_bus_message_append(m, "v", "h", (int) property->number);
    case 'X':
        return sd_bus_message_append(m, "v", "(aiai)", 0, 1, (int) property->number);
    case 'F':
        return append_filter(m, property);
    case 'B':
    case 'T':
        return append_mounts(m, property, property->type == 'B');
    case 'a': {
        int r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
            r = sd_bus_message_append_strv(m, (char **) property->words);
        return r < 0 ? r : sd_bus_message_close_container(m);
    }
    }
    return -EINVAL;
}

static int append_property(sd_bus_message *m, const ServiceProperty *property)
{
    int r = sd_bus_message_open_container(m, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", property->name);
    if (r >= 0)
        r = append_value(m, property);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_exec_start(sd_bus_message *m, const char *const *argv)
{
    int r = sd_bus_message_open_container(m, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", "ExecStart");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', "a(sasb)");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sasb)");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'r', "sasb");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", argv[0]);
    if (r >= 0)
        r = sd_bus_message_append_strv(m, (char **) argv);
    if (r >= 0)
        r = sd_bus_message_append(m, "b", false);
    for (unsigned i = 0; r >= 0 && i < 4; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

static int append_service(sd_bus_message *m, const ServiceSpec *spec)
{
    int r = sd_bus_message_append(m, "ss", spec->unit, "replace");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sv)");
    for (const ServiceProperty *property = spec->properties; r >= 0 && property->name; property++)
        r = append_property(m, property);
    if (r >= 0 && spec->argv)
        r = append_exec_start(m, spec->argv);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? r : sd_bus_message_append(m, "a(sa(sv))", 0);
}

ScopeJob *service_start(Scopes *scopes, const ServiceSpec *spec, ScopeDone done, void *userdata, Error **ret_error)
{
    g_autoptr(sd_bus_message) m = NULL;
    int r = sd_bus_message_new_method_call(scopes_bus(scopes), &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StartTransientUnit");
    if (r >= 0)
        r = append_service(m, spec);
    if (r < 0) {
        error_set_errno(ret_error, r, spec->unit, "the request to systemd cannot be made");
        return NULL;
    }
    return scope_job_call(scopes, spec->unit, m, false, done, userdata, ret_error);
}

ScopeJob *service_stop(Scopes *scopes, const char *unit, ScopeDone done, void *userdata, Error **ret_error)
{
    g_autoptr(sd_bus_message) m = NULL;
    int r = sd_bus_message_new_method_call(scopes_bus(scopes), &m, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit");
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", unit, "replace");
    if (r < 0) {
        error_set_errno(ret_error, r, unit, "the request to systemd cannot be made");
        return NULL;
    }
    return scope_job_call(scopes, unit, m, true, done, userdata, ret_error);
}

void service_end(Scopes *scopes, const char *unit)
{
    (void) sd_bus_call_method_async(scopes_bus(scopes), NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "StopUnit", NULL, NULL, "ss", unit,
        "replace");
}

void service_signal(Scopes *scopes, const char *unit, int signal)
{
    (void) sd_bus_call_method_async(scopes_bus(scopes), NULL, SYSTEMD_NAME, SYSTEMD_PATH, SYSTEMD_MANAGER, "KillUnit", NULL, NULL, "ssi",
        unit, "main", signal);
}
