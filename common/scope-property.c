/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scope-property.h"

#include <errno.h>
#include <string.h>

#include "name.h"
#include "scope-property-kind.h"
#include "value.h"

#define CONTROLLERS                                                                                          \
    "cpu|cpuacct|cpuset|io|blkio|memory|devices|pids|bpf-firewall|bpf-devices|bpf-foreign|bpf-socket-bind|"  \
    "bpf-restrict-network-interfaces"

#define BPF_PROGRAMS                                                                                         \
    "ingress|egress|sock_create|sock_ops|device|bind4|bind6|connect4|connect6|post_bind4|post_bind6|"        \
    "sendmsg4|"                                                                                              \
    "sendmsg6|sysctl|recvmsg4|recvmsg6|getsockopt|setsockopt"

#define BOOL(n)                                                                                              \
    {                                                                                                        \
        n, &scope_kind_bool                                                                                  \
    }
#define WEIGHT(n, w)                                                                                         \
    {                                                                                                        \
        n, &scope_kind_weight, .words = w, .min = 1, .max = 10000                                            \
    }
#define MEMORY(n, least)                                                                                     \
    {                                                                                                        \
        n, &scope_kind_memory, .percent = &scope_kind_scale, .min = least                                    \
    }
#define WORD(n, w)                                                                                           \
    {                                                                                                        \
        n, &scope_kind_word, .words = w                                                                      \
    }

/* systemd.resource-control(5) of systemd 252, in its order, without Slice=: where a VM's scope lives is not a
 * matter of its settings. Then what newer ones have, which an older one refuses by name. */
static const ScopeProperty properties[] = {
        BOOL("CPUAccounting"),
        WEIGHT("CPUWeight", "idle"),
        WEIGHT("StartupCPUWeight", "idle"),
        {"CPUQuota", &scope_kind_quota, "CPUQuotaPerSecUSec"},
        {"CPUQuotaPeriodSec", &scope_kind_duration, "CPUQuotaPeriodUSec", .min = 1000, .max = USEC_PER_SEC},
        {"AllowedCPUs", &scope_kind_cpus},
        {"StartupAllowedCPUs", &scope_kind_cpus},
        {"AllowedMemoryNodes", &scope_kind_cpus},
        {"StartupAllowedMemoryNodes", &scope_kind_cpus},
        BOOL("MemoryAccounting"),
        MEMORY("MemoryMin", 0),
        MEMORY("MemoryLow", 0),
        MEMORY("DefaultMemoryMin", 0),
        MEMORY("DefaultMemoryLow", 0),
        MEMORY("MemoryHigh", 1),
        MEMORY("MemoryMax", 1),
        MEMORY("MemorySwapMax", 0),
        BOOL("TasksAccounting"),
        {"TasksMax", &scope_kind_number, .percent = &scope_kind_scale, .min = 1},
        BOOL("IOAccounting"),
        WEIGHT("IOWeight", NULL),
        WEIGHT("StartupIOWeight", NULL),
        {"IODeviceWeight", &scope_kind_device_weight, .min = 1, .max = 10000},
        {"IOReadBandwidthMax", &scope_kind_device_bytes, .min = 1},
        {"IOWriteBandwidthMax", &scope_kind_device_bytes, .min = 1},
        {"IOReadIOPSMax", &scope_kind_device_number, .min = 1},
        {"IOWriteIOPSMax", &scope_kind_device_number, .min = 1},
        {"IODeviceLatencyTargetSec", &scope_kind_device_latency, "IODeviceLatencyTargetUSec"},
        BOOL("IPAccounting"),
        {"IPAddressAllow", &scope_kind_addresses},
        {"IPAddressDeny", &scope_kind_addresses},
        {"IPIngressFilterPath", &scope_kind_paths},
        {"IPEgressFilterPath", &scope_kind_paths},
        {"BPFProgram", &scope_kind_programs, .words = BPF_PROGRAMS},
        {"SocketBindAllow", &scope_kind_bind_rules},
        {"SocketBindDeny", &scope_kind_bind_rules},
        {"RestrictNetworkInterfaces", &scope_kind_interfaces},
        {"DeviceAllow", &scope_kind_devices},
        WORD("DevicePolicy", "auto|closed|strict"),
        {"Delegate", &scope_kind_controllers, .words = CONTROLLERS},
        {"DisableControllers", &scope_kind_controllers, .words = CONTROLLERS},
        WORD("ManagedOOMSwap", "auto|kill"),
        WORD("ManagedOOMMemoryPressure", "auto|kill"),
        {"ManagedOOMMemoryPressureLimit", &scope_kind_scale},
        WORD("ManagedOOMPreference", "none|avoid|omit"),

        MEMORY("MemoryZSwapMax", 0),
        BOOL("MemoryZSwapWriteback"),
        MEMORY("StartupMemoryLow", 0),
        MEMORY("StartupMemoryHigh", 1),
        MEMORY("StartupMemoryMax", 1),
        MEMORY("StartupMemorySwapMax", 0),
        MEMORY("StartupMemoryZSwapMax", 0),
};

static const ScopeProperty *find(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(properties); i++)
        if (strcmp(properties[i].name, key) == 0)
            return &properties[i];
    return NULL;
}

const char *const *scope_property_names(void)
{
    static const char *names[G_N_ELEMENTS(properties) + 1];

    if (!names[0])
        for (size_t i = 0; i < G_N_ELEMENTS(properties); i++)
            names[i] = properties[i].name;
    return names;
}

static bool is_list(const ScopePropertyKind *kind)
{
    return kind->signature[0] == 'a' || kind->signature[0] == '(';
}

bool scope_property_repeats(const char *key)
{
    const ScopeProperty *p = find(key);

    return p && is_list(p->kind);
}

static const ScopeProperty *find_or_fail(const char *key, Error **ret_error)
{
    const ScopeProperty *p = find(key);
    g_autofree char *remedy = NULL;
    const char *near;

    if (p)
        return p;
    near = name_nearest(key, scope_property_names());
    if (near)
        remedy = g_strdup_printf("Did you mean %s=?", near);
    error_set(ret_error, ERROR_INVALID_SETTINGS, "[Scope]",
            remedy ?: "Allowed are the properties of systemd.resource-control(5), but Slice=.",
            "%.64s= is no resource-control property that a scope can take", key);
    return NULL;
}

bool scope_property_check_name(const char *key, Error **ret_error)
{
    return find_or_fail(key, ret_error) != NULL;
}

/* What one line becomes: a property of which kind, and its name, which the caller frees. Delegate= is two on
 * the bus. */
static char *resolve(const ScopeProperty *p, const char *value, ScopeProperty *ret)
{
    const char *name = p->dbus ?: p->name;
    bool ignored;

    *ret = *p;
    if (p->percent && g_str_has_suffix(value, "%")) {
        ret->kind = p->percent;
        return g_strconcat(name, "Scale", NULL);
    }
    if (strcmp(name, "Delegate") != 0)
        return g_strdup(name);
    if (parse_boolean(value, &ignored) < 0)
        return g_strdup("DelegateControllers");
    ret->kind = &scope_kind_bool;
    return g_strdup(name);
}

static bool fail_value(const ScopeProperty *p, const char *value, int err, Error **ret_error)
{
    g_autofree char *thing = g_strdup_printf("[Scope] %s=", p->name), *remedy = NULL;

    if (err != -EINVAL && err != -ERANGE)
        return error_set_errno(ret_error, err, thing, "the property cannot be sent");
    if (!p->kind->allowed) {
        g_auto(GStrv) words = g_strsplit(p->words, "|", -1);
        g_autofree char *all = g_strjoinv(", ", words);

        remedy = g_strdup_printf("Allowed are %s.", all);
    }
    return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, remedy ?: p->kind->allowed,
            err == -ERANGE ? "\"%.100s\" is out of range for %s= in [Scope]"
                           : "\"%.100s\" is no valid value for %s= in [Scope]",
            value, p->name);
}

bool scope_property_check(const char *key, const char *value, Error **ret_error)
{
    const ScopeProperty *p = find_or_fail(key, ret_error);
    g_autofree char *name = NULL;
    ScopeProperty resolved;
    int r;

    if (!p)
        return false;
    name = resolve(p, value, &resolved);
    r = resolved.kind->append(&resolved, NULL, value);
    return r < 0 ? fail_value(p, value, r, ret_error) : true;
}

/* One (sv). An empty value is an empty list. */
static int append_line(sd_bus_message *m, const ScopeProperty *p, const char *name, const char *value)
{
    const char *signature = p->kind->signature;
    bool array = signature[0] == 'a' && strcmp(signature, "ay") != 0;
    int r;

    r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, "sv");
    if (r < 0)
        return r;
    r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, name);
    if (r < 0)
        return r;
    r = sd_bus_message_open_container(m, SD_BUS_TYPE_VARIANT, signature);
    if (r < 0)
        return r;
    if (array) {
        r = sd_bus_message_open_container(m, SD_BUS_TYPE_ARRAY, signature + 1);
        if (r < 0)
            return r;
    }
    if (!array || value[0] != '\0') {
        r = p->kind->append(p, m, value);
        if (r < 0)
            return r;
    }
    if (array) {
        r = sd_bus_message_close_container(m);
        if (r < 0)
            return r;
    }
    r = sd_bus_message_close_container(m);
    if (r < 0)
        return r;
    return sd_bus_message_close_container(m);
}

bool scope_property_append(sd_bus_message *m, const char *key, const char *const *values, Error **ret_error)
{
    static const char *const reset[] = {"", NULL};
    const ScopeProperty *p = find_or_fail(key, ret_error);

    if (!p)
        return false;
    if (!values || !values[0])
        values = reset;
    /* Checked first: a message with half a property in it is of no use. */
    for (const char *const *v = values; *v; v++)
        if (!(**v == '\0' && is_list(p->kind)) && !scope_property_check(key, *v, ret_error))
            return false;

    for (; *values; values++) {
        g_autofree char *name = NULL;
        ScopeProperty resolved;
        int r;

        if (values[1] && !is_list(p->kind))
            continue; /* the last line counts */
        name = resolve(p, *values, &resolved);
        r = append_line(m, &resolved, name, *values);
        if (r < 0)
            return fail_value(p, *values, r, ret_error);
    }
    return true;
}
