/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sandbox.h"

#include <errno.h>
#include <sys/stat.h>
#include <systemd/sd-login.h>

#include "cleanup.h"

/* Empty but for the places where the rest is mounted. TemporaryFileSystem=/ would be simpler, but systemd 252 drops it in silence beside
 * DynamicUser=, which brings ProtectSystem=strict. */
#define ROOT "/run/vmd/empty"

ScopeJob *sandbox_start(Scopes *scopes, const SandboxSpec *spec, ScopeDone done, void *userdata, Error **ret_error)
{
    static const char *const native[] = {"native", NULL}, *const calls[] = {"@system-service", NULL};
    g_autofree char *own = NULL;
    if (spec->user ? sd_pid_get_user_unit(0, &own) < 0 : sd_pid_get_unit(0, &own) < 0)
        own = NULL;
    const char *const bind[] = {own, NULL};
    g_autoptr(GArray) properties = g_array_new(TRUE, TRUE, sizeof(ServiceProperty));
    const ServiceProperty all[] = {
        {"CollectMode", 's', .text = "inactive-or-failed"},
        {"NoNewPrivileges", 'b', .number = 1},
        {"LockPersonality", 'b', .number = 1},
        {"RestrictRealtime", 'b', .number = 1},
        {"RestrictSUIDSGID", 'b', .number = 1},
        {"SystemCallArchitectures", 'a', .words = native},
        {"SystemCallFilter", 'F', .number = 1, .words = calls},
        {"SystemCallErrorNumber", 'i', .number = EPERM},
        {"TimeoutStopUSec", 't', .number = G_USEC_PER_SEC},
        {"OOMScoreAdjust", 'i', .number = 500},
    };
    const ServiceProperty system_only[] = {
        {"DynamicUser", 'b', .number = 1},
        {"CapabilityBoundingSet", 't', .number = 0},
        {"ProtectProc", 's', .text = "invisible"},
        {"PrivateDevices", 'b', .number = 1},
        {"ProtectKernelModules", 'b', .number = 1},
        {"ProtectKernelLogs", 'b', .number = 1},
        {"ProtectKernelTunables", 'b', .number = 1},
        {"ProtectControlGroups", 'b', .number = 1},
        {"ProtectClock", 'b', .number = 1},
        {"ProtectHostname", 'b', .number = 1},
        {"RestrictNamespaces", 't', .number = 0},
        {"RootDirectory", 's', .text = ROOT},
        {"MountAPIVFS", 'b', .number = 1},
        {"BindReadOnlyPaths", 'B', .words = spec->paths},
    };
    if (!spec->user)
        (void) mkdir(ROOT, 0755);
    const ServiceProperty with_vmd = {"BindsTo", 'a', .words = bind};
    for (const ServiceProperty *property = spec->properties; property->name; property++)
        g_array_append_vals(properties, property, 1);
    g_array_append_vals(properties, all, G_N_ELEMENTS(all));
    if (!spec->user)
        g_array_append_vals(properties, system_only, G_N_ELEMENTS(system_only));
    if (own)
        g_array_append_val(properties, with_vmd);
    const ServiceSpec service = {.unit = spec->unit, .argv = spec->argv, .properties = (const ServiceProperty *) (void *) properties->data};
    return service_start(scopes, &service, done, userdata, ret_error);
}
