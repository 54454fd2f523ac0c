/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Each property that scope-property.c knows, sent to the systemd that runs here, with a process in a scope
 * of its own, and read back from it. Needs root and a booted systemd; exits with 77 where there is none. */

#include <glib.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "scope-property.h"
#include "settings-message.h"

#define EXIT_SKIPPED 77

/* `expected`: the contents of the D-Bus property as message_dump() writes it; for a mask, how it begins. */
static const struct {
    const char *key, *value, *property, *expected;
} cases[] = {
        {"CPUAccounting", "no", "CPUAccounting", "b: 0"},
        {"CPUWeight", "200", "CPUWeight", "t: 200"},
        {"CPUWeight", "idle", "CPUWeight", "t: 0"},
        {"StartupCPUWeight", "300", "StartupCPUWeight", "t: 300"},
        {"CPUQuota", "12.5%", "CPUQuotaPerSecUSec", "t: 125000"},
        {"CPUQuotaPeriodSec", "10ms", "CPUQuotaPeriodUSec", "t: 10000"},
        {"AllowedCPUs", "0-3,8 10", "AllowedCPUs", "ay: [0f 05"},
        {"StartupAllowedCPUs", "1", "StartupAllowedCPUs", "ay: [02"},
        {"AllowedMemoryNodes", "0", "AllowedMemoryNodes", "ay: [01"},
        {"StartupAllowedMemoryNodes", "0-1", "StartupAllowedMemoryNodes", "ay: [03"},
        {"MemoryAccounting", "no", "MemoryAccounting", "b: 0"},
        {"MemoryMin", "1G", "MemoryMin", "t: 1073741824"},
        {"MemoryLow", "1.5G", "MemoryLow", "t: 1610612736"},
        {"DefaultMemoryMin", "5M", "DefaultMemoryMin", "t: 5242880"},
        {"DefaultMemoryLow", "infinity", "DefaultMemoryLow", "t: 18446744073709551615"},
        {"MemoryHigh", "2G", "MemoryHigh", "t: 2147483648"},
        {"MemoryMax", "3G", "MemoryMax", "t: 3221225472"},
        {"MemorySwapMax", "0", "MemorySwapMax", "t: 0"},
        {"TasksAccounting", "no", "TasksAccounting", "b: 0"},
        {"TasksMax", "100", "TasksMax", "t: 100"},
        {"IOAccounting", "yes", "IOAccounting", "b: 1"},
        {"IOWeight", "200", "IOWeight", "t: 200"},
        {"StartupIOWeight", "10", "StartupIOWeight", "t: 10"},
        {"IODeviceWeight", "/dev/null 200", "IODeviceWeight", "a(st): [(/dev/null 200)]"},
        {"IOReadBandwidthMax", "/dev/null 5M", "IOReadBandwidthMax", "a(st): [(/dev/null 5000000)]"},
        {"IOWriteBandwidthMax", "/dev/null 1K", "IOWriteBandwidthMax", "a(st): [(/dev/null 1000)]"},
        {"IOReadIOPSMax", "/dev/null 1K", "IOReadIOPSMax", "a(st): [(/dev/null 1000)]"},
        {"IOWriteIOPSMax", "/dev/null 500", "IOWriteIOPSMax", "a(st): [(/dev/null 500)]"},
        {"IODeviceLatencyTargetSec", "/dev/null 25ms", "IODeviceLatencyTargetUSec",
                "a(st): [(/dev/null 25000)]"},
        {"IPAccounting", "yes", "IPAccounting", "b: 1"},
        {"IPAddressAllow", "10.0.0.0/8", "IPAddressAllow", "a(iayu): [(2 [0a 00 00 00] 8)]"},
        {"IPAddressDeny", "link-local", "IPAddressDeny",
                "a(iayu): [(2 [a9 fe 00 00] 16) (10 [fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 00] 64)]"},
        {"BPFProgram", "egress:/sys/fs/bpf/x", "BPFProgram", "a(ss): [(egress /sys/fs/bpf/x)]"},
        {"SocketBindAllow", "ipv4:tcp:8000-9000", "SocketBindAllow", "a(iiqq): [(2 6 1001 8000)]"},
        {"SocketBindDeny", "any", "SocketBindDeny", "a(iiqq): [(0 0 0 0)]"},
        {"RestrictNetworkInterfaces", "~eth1", "RestrictNetworkInterfaces", "(bas): (0 [eth1])"},
        {"DeviceAllow", "/dev/null rw", "DeviceAllow", "a(ss): [(/dev/null rw)]"},
        {"DevicePolicy", "strict", "DevicePolicy", "s: strict"},
        {"Delegate", "cpu memory", "DelegateControllers", "as: [cpu memory]"},
        {"Delegate", "yes", "Delegate", "b: 1"},
        {"DisableControllers", "cpu io", "DisableControllers", "as: [cpu io]"},
        {"ManagedOOMSwap", "kill", "ManagedOOMSwap", "s: kill"},
        {"ManagedOOMMemoryPressure", "kill", "ManagedOOMMemoryPressure", "s: kill"},
        {"ManagedOOMMemoryPressureLimit", "33.33%", "ManagedOOMMemoryPressureLimit", "u: 1431512599"},
        {"ManagedOOMPreference", "avoid", "ManagedOOMPreference", "s: avoid"},
};

/* A BPF filter that is not there makes the scope fail; systemd 252 has none of the others. */
static const char *const not_tried[] = {"IPIngressFilterPath", "IPEgressFilterPath", "MemoryZSwapMax",
        "MemoryZSwapWriteback", "StartupMemoryLow", "StartupMemoryHigh", "StartupMemoryMax",
        "StartupMemorySwapMax", "StartupMemoryZSwapMax", NULL};

static sd_bus *bus;

static void start_scope(const char *unit, pid_t pid, const char *key, const char *value)
{
    g_autoptr(sd_bus_message) m = NULL, reply = NULL;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    const char *values[] = {value, NULL};

    g_assert_cmpint(
            sd_bus_message_new_method_call(bus, &m, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager", "StartTransientUnit"),
            >=, 0);
    g_assert_cmpint(sd_bus_message_append(m, "ss", unit, "fail"), >=, 0);
    g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(sv)"), >=, 0);
    g_assert_cmpint(sd_bus_message_append(m, "(sv)(sv)", "PIDs", "au", 1, (uint32_t) pid, "CollectMode", "s",
                            "inactive-or-failed"),
            >=, 0);
    g_assert_true(scope_property_append(m, key, values, NULL));
    g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
    g_assert_cmpint(sd_bus_message_append(m, "a(sa(sv))", 0), >=, 0);
    if (sd_bus_call(bus, m, 0, &error, &reply) < 0)
        g_error("%s=%s: %s", key, value, error.message);
}

static void check(unsigned i)
{
    g_autofree char *unit = g_strdup_printf("scope-property-%d-%u.scope", (int) getpid(), i), *path = NULL;
    g_autoptr(GString) got = g_string_new(NULL);
    g_autoptr(sd_bus_message) reply = NULL;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    pid_t pid = fork();

    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        pause();
        _exit(0);
    }
    start_scope(unit, pid, cases[i].key, cases[i].value);
    g_assert_cmpint(sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path), >=, 0);
    if (sd_bus_call_method(bus, "org.freedesktop.systemd1", path, "org.freedesktop.DBus.Properties", "Get",
                &error, &reply, "ss", "org.freedesktop.systemd1.Scope", cases[i].property) < 0)
        g_error("%s: %s", cases[i].property, error.message);
    message_dump(reply, got);
    g_assert_cmpint(
            sd_bus_call_method(bus, "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
                    "org.freedesktop.systemd1.Manager", "StopUnit", NULL, NULL, "ss", unit, "replace"),
            >=, 0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    if (!g_str_has_prefix(got->str, cases[i].expected))
        g_error("%s=%s: expected %s, got %s", cases[i].key, cases[i].value, cases[i].expected, got->str);
    printf("ok %s=%s\n", cases[i].key, cases[i].value);
}

int main(void)
{
    if (sd_booted() <= 0 || geteuid() != 0 || sd_bus_open_system(&bus) < 0) {
        printf("SKIP: there is no systemd here, or this is not root.\n");
        return EXIT_SKIPPED;
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
        check(i);
    for (const char *const *name = scope_property_names(); *name; name++) {
        bool tried = g_strv_contains(not_tried, *name);

        for (unsigned i = 0; i < G_N_ELEMENTS(cases) && !tried; i++)
            tried = strcmp(cases[i].key, *name) == 0;
        if (!tried)
            g_error("%s= is not tried", *name);
    }
    sd_bus_flush_close_unref(bus);
    return EXIT_SUCCESS;
}
