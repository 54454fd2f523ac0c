/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scope-property.h"

#include <glib.h>
#include <string.h>

#include "settings-message.h"

static char *encode(const char *key, const char *const *values)
{
    g_autoptr(sd_bus_message) m = message_new();
    GString *s = g_string_new(NULL);
    g_autoptr(Error) error = NULL;

    g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(sv)"), >=, 0);
    if (!scope_property_append(m, key, values, &error)) {
        g_autofree char *message = error_message(error);
        g_error("%s", message);
    }
    g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
    message_seal(m);
    g_assert_cmpint(sd_bus_message_enter_container(m, 'a', "(sv)"), >, 0);
    message_dump(m, s);
    return g_string_free(s, FALSE);
}

/* As systemd-run of systemd 252 encodes them. */
static const struct {
    const char *key, *value, *expected;
} encodings[] = {
        {"CPUAccounting", "yes", "(CPUAccounting b: 1)"},
        {"CPUWeight", "200", "(CPUWeight t: 200)"},
        {"CPUWeight", "idle", "(CPUWeight t: 0)"},
        {"StartupCPUWeight", "10000", "(StartupCPUWeight t: 10000)"},
        {"CPUQuota", "50%", "(CPUQuotaPerSecUSec t: 500000)"},
        {"CPUQuota", "12.5%", "(CPUQuotaPerSecUSec t: 125000)"},
        {"CPUQuota", "0.01%", "(CPUQuotaPerSecUSec t: 100)"},
        {"CPUQuota", "250%", "(CPUQuotaPerSecUSec t: 2500000)"},
        {"CPUQuotaPeriodSec", "10ms", "(CPUQuotaPeriodUSec t: 10000)"},
        {"AllowedCPUs", "0-3,8 10", "(AllowedCPUs ay: [0f 05])"},
        {"AllowedMemoryNodes", "0", "(AllowedMemoryNodes ay: [01])"},
        {"MemoryMin", "0", "(MemoryMin t: 0)"},
        {"MemoryLow", "1.5G", "(MemoryLow t: 1610612736)"},
        {"MemoryHigh", "50%", "(MemoryHighScale u: 2147483648)"},
        {"MemoryMax", "2G", "(MemoryMax t: 2147483648)"},
        {"MemoryMax", "100%", "(MemoryMaxScale u: 4294967295)"},
        {"MemoryMax", "infinity", "(MemoryMax t: 18446744073709551615)"},
        {"MemorySwapMax", "0", "(MemorySwapMax t: 0)"},
        {"TasksMax", "100", "(TasksMax t: 100)"},
        {"TasksMax", "40%", "(TasksMaxScale u: 1717986918)"},
        {"IOWeight", "200", "(IOWeight t: 200)"},
        {"IODeviceWeight", "/dev/sda 200", "(IODeviceWeight a(st): [(/dev/sda 200)])"},
        {"IOReadBandwidthMax", "/dev/my disk 5M", "(IOReadBandwidthMax a(st): [(/dev/my disk 5000000)])"},
        {"IOWriteBandwidthMax", "/dev/sda infinity",
                "(IOWriteBandwidthMax a(st): [(/dev/sda 18446744073709551615)])"},
        {"IOReadIOPSMax", "/dev/sda 1K", "(IOReadIOPSMax a(st): [(/dev/sda 1000)])"},
        {"IODeviceLatencyTargetSec", "/dev/sda 25ms",
                "(IODeviceLatencyTargetUSec a(st): [(/dev/sda 25000)])"},
        {"IPAddressAllow", "10.0.0.0/8 fe80::/64",
                "(IPAddressAllow a(iayu): [(2 [0a 00 00 00] 8) "
                "(10 [fe 80 00 00 00 00 00 00 00 00 00 00 00 00 00 00] 64)])"},
        {"IPAddressDeny", "192.168.1.1", "(IPAddressDeny a(iayu): [(2 [c0 a8 01 01] 32)])"},
        {"IPAddressDeny", "localhost",
                "(IPAddressDeny a(iayu): [(2 [7f 00 00 00] 8) "
                "(10 [00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01] 128)])"},
        {"IPIngressFilterPath", "/sys/fs/bpf/x", "(IPIngressFilterPath as: [/sys/fs/bpf/x])"},
        {"BPFProgram", "egress:/sys/fs/bpf/x", "(BPFProgram a(ss): [(egress /sys/fs/bpf/x)])"},
        {"SocketBindAllow", "ipv4:tcp:8000-9000", "(SocketBindAllow a(iiqq): [(2 6 1001 8000)])"},
        {"SocketBindAllow", "22", "(SocketBindAllow a(iiqq): [(0 0 1 22)])"},
        {"SocketBindAllow", "ipv6", "(SocketBindAllow a(iiqq): [(10 0 0 0)])"},
        {"SocketBindAllow", "ipv4:udp", "(SocketBindAllow a(iiqq): [(2 17 0 0)])"},
        {"SocketBindDeny", "any", "(SocketBindDeny a(iiqq): [(0 0 0 0)])"},
        {"RestrictNetworkInterfaces", "eth0 eth1", "(RestrictNetworkInterfaces (bas): (1 [eth0 eth1]))"},
        {"RestrictNetworkInterfaces", "~eth1", "(RestrictNetworkInterfaces (bas): (0 [eth1]))"},
        {"DeviceAllow", "/dev/null rw", "(DeviceAllow a(ss): [(/dev/null rw)])"},
        {"DeviceAllow", "/dev/kvm", "(DeviceAllow a(ss): [(/dev/kvm rwm)])"},
        {"DeviceAllow", "char-pts r", "(DeviceAllow a(ss): [(char-pts r)])"},
        {"DevicePolicy", "closed", "(DevicePolicy s: closed)"},
        {"Delegate", "yes", "(Delegate b: 1)"},
        {"Delegate", "cpu memory", "(DelegateControllers as: [cpu memory])"},
        {"DisableControllers", "cpu io", "(DisableControllers as: [cpu io])"},
        {"ManagedOOMSwap", "kill", "(ManagedOOMSwap s: kill)"},
        {"ManagedOOMMemoryPressureLimit", "40%", "(ManagedOOMMemoryPressureLimit u: 1717986918)"},
        {"ManagedOOMMemoryPressureLimit", "33.33%", "(ManagedOOMMemoryPressureLimit u: 1431512599)"},
        {"ManagedOOMPreference", "avoid", "(ManagedOOMPreference s: avoid)"},
};

static void encodings_as_systemd(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(encodings); i++) {
        const char *values[] = {encodings[i].value, NULL};
        g_autofree char *got = encode(encodings[i].key, values);

        g_assert_cmpstr(got, ==, encodings[i].expected);
        g_assert_true(scope_property_check(encodings[i].key, encodings[i].value, NULL));
    }
}

static void lists(void)
{
    g_autofree char *several = encode("DeviceAllow", (const char *const[]){"/dev/null", "/dev/kvm rw", NULL}),
                    *reset = encode("DeviceAllow", (const char *const[]){"", NULL}),
                    *none = encode("IPAddressAllow", NULL),
                    *cpus = encode("AllowedCPUs", (const char *const[]){"", NULL}),
                    *last = encode("MemoryMax", (const char *const[]){"1G", "1M", NULL});

    g_assert_cmpstr(
            several, ==, "(DeviceAllow a(ss): [(/dev/null rwm)]) (DeviceAllow a(ss): [(/dev/kvm rw)])");
    g_assert_cmpstr(reset, ==, "(DeviceAllow a(ss): [])");
    g_assert_cmpstr(none, ==, "(IPAddressAllow a(iayu): [])");
    g_assert_cmpstr(cpus, ==, "(AllowedCPUs ay: [])");
    g_assert_cmpstr(last, ==, "(MemoryMax t: 1048576)");
    g_assert_true(scope_property_repeats("DeviceAllow"));
    g_assert_true(scope_property_repeats("Delegate"));
    g_assert_false(scope_property_repeats("MemoryMax"));
    g_assert_false(scope_property_repeats("Banana"));
}

static const struct {
    const char *key, *value;
} bad[] = {
        {"CPUAccounting", "maybe"},
        {"CPUAccounting", ""},
        {"CPUWeight", "0"},
        {"CPUWeight", "10001"},
        {"CPUWeight", ""},
        {"IOWeight", "idle"},
        {"CPUQuota", "50"},
        {"CPUQuota", "0%"},
        {"CPUQuota", "-5%"},
        {"CPUQuota", "%"},
        {"CPUQuota", "1.234%"},
        {"CPUQuota", "99999999999%"},
        {"CPUQuotaPeriodSec", "0"},
        {"CPUQuotaPeriodSec", "2s"},
        {"CPUQuotaPeriodSec", "infinity"},
        {"AllowedCPUs", "3-1"},
        {"AllowedCPUs", "a"},
        {"AllowedCPUs", "8192"},
        {"AllowedCPUs", "0-99999999999"},
        {"AllowedCPUs", "0-"},
        {"AllowedCPUs", "-1"},
        {"MemoryMax", "0"},
        {"MemoryMax", "0%"},
        {"MemoryMax", "101%"},
        {"MemoryMax", "2GB"},
        {"MemoryMax", ""},
        {"MemoryHigh", "-1"},
        {"TasksMax", "0"},
        {"TasksMax", "1K"},
        {"TasksMax", "some"},
        {"IODeviceWeight", "/dev/sda"},
        {"IODeviceWeight", "sda 100"},
        {"IODeviceWeight", "/dev/sda 0"},
        {"IODeviceWeight", "/dev/../x 5"},
        {"IODeviceWeight", " 100"},
        {"IODeviceWeight", ""},
        {"IOReadBandwidthMax", "/dev/sda 0"},
        {"IOReadBandwidthMax", "/dev/sda x"},
        {"IPAddressAllow", "10.0.0.0/33"},
        {"IPAddressAllow", "fe80::/129"},
        {"IPAddressAllow", "10.0.0"},
        {"IPAddressAllow", "localhost x"},
        {"IPAddressAllow", "10.0.0.0/"},
        {"IPAddressAllow", "/8"},
        {"IPIngressFilterPath", "x"},
        {"BPFProgram", "egress"},
        {"BPFProgram", "egress:x"},
        {"BPFProgram", "banana:/x"},
        {"BPFProgram", ":/x"},
        {"SocketBindAllow", "0"},
        {"SocketBindAllow", "65536"},
        {"SocketBindAllow", "9-8"},
        {"SocketBindAllow", "ipv4:"},
        {"SocketBindAllow", "ipv4tcp"},
        {"SocketBindAllow", "tcp:ipv4"},
        {"SocketBindAllow", "ipv4:tcp:"},
        {"SocketBindAllow", "tcp:udp"},
        {"SocketBindAllow", ""},
        {"SocketBindAllow", "sctp"},
        {"SocketBindAllow", "any:22"},
        {"RestrictNetworkInterfaces", "a/b"},
        {"RestrictNetworkInterfaces", ".."},
        {"DeviceAllow", "null"},
        {"DeviceAllow", "/dev/null x"},
        {"DeviceAllow", "/dev/../etc/passwd"},
        {"DeviceAllow", "/etc/passwd r"},
        {"DevicePolicy", "open"},
        {"DevicePolicy", ""},
        {"Delegate", "maybe"},
        {"DisableControllers", "cpu banana"},
        {"ManagedOOMSwap", "no"},
        {"ManagedOOMMemoryPressureLimit", "40"},
        {"ManagedOOMMemoryPressureLimit", "100.01%"},
};

static void bad_values(void)
{
    for (size_t i = 0; i < G_N_ELEMENTS(bad); i++) {
        g_autoptr(Error) error = NULL, append_error = NULL;
        g_autoptr(sd_bus_message) m = message_new();
        const char *values[] = {bad[i].value, NULL};

        if (scope_property_check(bad[i].key, bad[i].value, &error))
            g_error("accepted: %s=%s", bad[i].key, bad[i].value);
        g_assert_cmpint(error->code, ==, ERROR_INVALID_SETTINGS);
        g_assert_true(g_str_has_prefix(error->remedy, "Allowed "));
        if (bad[i].value[0] == '\0' && scope_property_repeats(bad[i].key))
            continue;
        /* Nothing of it gets into a message. */
        g_assert_cmpint(sd_bus_message_open_container(m, 'a', "(sv)"), >=, 0);
        g_assert_false(scope_property_append(m, bad[i].key, values, &append_error));
        g_assert_cmpint(sd_bus_message_append(m, "(sv)", "x", "s", "y"), >=, 0);
        g_assert_cmpint(sd_bus_message_close_container(m), >=, 0);
    }
}

static void unknown_properties(void)
{
    g_autoptr(Error) error = NULL, other = NULL;

    g_assert_false(scope_property_check("MemryMax", "1G", &error));
    g_assert_cmpstr(error->remedy, ==, "Did you mean MemoryMax=?");
    g_assert_false(scope_property_check("KillMode", "none", &other));
    g_assert_nonnull(strstr(other->remedy, "systemd.resource-control(5)"));
    g_assert_false(scope_property_append(NULL, "KillMode", NULL, NULL));
    g_assert_false(scope_property_check("Slice", "system.slice", NULL));
    g_assert_false(scope_property_check("PIDs", "1", NULL));
}

static void names(void)
{
    const char *const *list = scope_property_names();
    g_autoptr(GHashTable) seen = g_hash_table_new(g_str_hash, g_str_equal);

    for (; *list; list++)
        g_assert_true(g_hash_table_add(seen, (void *) *list));
    g_assert_true(g_hash_table_contains(seen, "MemoryMax"));
    g_assert_cmpuint(g_hash_table_size(seen), >=, 45);
}

int main(int argc, char *argv[])
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/scope-property/encodings", encodings_as_systemd);
    g_test_add_func("/scope-property/lists", lists);
    g_test_add_func("/scope-property/bad-values", bad_values);
    g_test_add_func("/scope-property/unknown-properties", unknown_properties);
    g_test_add_func("/scope-property/names", names);
    return g_test_run();
}
