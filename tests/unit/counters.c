/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What a QEMU says that it has counted, whatever it says. */

#include "counters.h"

#include <string.h>

#include "qmp-message.h"

static Figures *read_answer(void (*read)(const json_t *, Figures *), const char *text)
{
    g_autofree char *line = g_strdup_printf("{\"return\": %s}", text);
    g_autoptr(QmpMessage) message = qmp_message_parse(line, strlen(line), NULL);
    Figures *figures = figures_new();
    g_assert_nonnull(message);
    read(json_object_get(message, "return"), figures);
    return figures;
}

static void assert_figure(const Figures *figures, const char *group, const char *of, const char *name, uint64_t expected)
{
    uint64_t value = 0;
    g_assert_true(figures_get(figures, group, of, name, &value));
    g_assert_cmpuint(value, ==, expected);
}

static void assert_none(const Figures *figures, const char *group, const char *of, const char *name)
{
    uint64_t value;
    g_assert_false(figures_get(figures, group, of, name, &value));
}

static void test_disks(void)
{
    g_autoptr(Figures) figures = read_answer(counters_read_disks,
        "[{\"qdev\": \"/machine/peripheral/disk-root/virtio-backend\", \"stats\": {\"rd_bytes\": 512, \"wr_bytes\": 18446744073709551615,"
        " \"rd_total_time_ns\": 5999, \"failed_rd_operations\": true, \"wr_operations\": \"7\"}},"
        " {\"qdev\": \"disk-cd\", \"stats\": {\"rd_bytes\": 2048}},"
        " {\"qdev\": \"/machine/system.flash0\", \"stats\": {\"rd_bytes\": 1}},"
        " {\"qdev\": \"disk-root\", \"stats\": {\"rd_bytes\": 99}},"
        " {\"qdev\": \"disk-a.b\", \"stats\": {\"rd_bytes\": 99}}, {\"qdev\": 7}, 7, {\"qdev\": \"disk-none\"}]");
    assert_figure(figures, "disks", "root", "read", 512);
    assert_figure(figures, "disks", "root", "written", UINT64_MAX);
    assert_figure(figures, "disks", "root", "read-time", 5);
    assert_figure(figures, "disks", "cd", "read", 2048);
    assert_none(figures, "disks", "root", "read-errors");
    assert_none(figures, "disks", "root", "writes");
    assert_none(figures, "disks", "a.b", "read");
    assert_none(figures, "disks", "none", "read");
}

/* As many as one answer can hold. */
static void test_many_disks(void)
{
    g_autoptr(GString) text = g_string_new("[");
    for (unsigned i = 0; i < 20000; i++)
        g_string_append_printf(text, "%s{\"qdev\": \"disk-%u\", \"stats\": {\"rd_bytes\": 1}}", i ? "," : "", i);
    g_string_append_c(text, ']');
    g_autoptr(Figures) figures = read_answer(counters_read_disks, text->str);
    assert_figure(figures, "disks", "0", "read", 1);
    assert_none(figures, "disks", "19999", "read");
}

static void test_memory(void)
{
    g_autoptr(Figures) balloon = read_answer(counters_read_balloon, "{\"actual\": 268435456}");
    g_autoptr(Figures) guest = read_answer(counters_read_guest,
        "{\"last-update\": 1700000000, \"stats\": {\"stat-total-memory\": 100, \"stat-htlb-pgalloc\": 0, \"stat-free-memory\": 18446744073709551615,"
        " \"stat-swap-in\": 1.5}}");
    g_autoptr(Figures) silent = read_answer(counters_read_guest, "{\"last-update\": 0, \"stats\": {\"stat-total-memory\": 18446744073709551615}}");
    g_autoptr(Figures) far = read_answer(counters_read_guest, "{\"last-update\": 18446744073709551615, \"stats\": {\"stat-total-memory\": 100}}");
    assert_figure(balloon, "balloon", NULL, "current", 268435456);
    assert_figure(guest, "guest", NULL, "updated", UINT64_C(1700000000000000));
    assert_figure(guest, "guest", NULL, "total", 100);
    assert_none(guest, "guest", NULL, "free");
    assert_none(guest, "guest", NULL, "swapped-in");
    assert_none(silent, "guest", NULL, "updated");
    assert_none(far, "guest", NULL, "total");
    g_autoptr(Figures) liar = read_answer(counters_read_guest,
        "{\"last-update\": 1, \"stats\": {\"stat-total-memory\": 100, \"stat-free-memory\": 101, \"stat-available-memory\": 100,"
        " \"stat-disk-caches\": 9223372036854775808, \"stat-major-faults\": 101}}");
    assert_none(liar, "guest", NULL, "free");
    assert_none(liar, "guest", NULL, "caches");
    assert_figure(liar, "guest", NULL, "available", 100);
    assert_figure(liar, "guest", NULL, "major-faults", 101);
}

static void test_plugged(void)
{
    g_autoptr(Figures) figures = read_answer(counters_read_plugged, "[{\"type\": \"dimm\", \"data\": {\"size\": 5, \"requested-size\": 5}},"
        " {\"type\": \"virtio-mem\", \"data\": {\"size\": 4096, \"requested-size\": 8192}}, {\"type\": \"virtio-mem\", \"data\": {\"size\": 1, \"requested-size\": 1}}]");
    g_autoptr(Figures) none = read_answer(counters_read_plugged, "[{\"type\": \"virtio-mem\", \"data\": 7}, {\"type\": 7}, null]");
    assert_figure(figures, "plugged", NULL, "current", 4096);
    assert_figure(figures, "plugged", NULL, "wanted", 8192);
    assert_none(none, "plugged", NULL, "current");
}

static void test_exits(void)
{
    g_autoptr(Figures) figures = read_answer(counters_read_exits,
        "[{\"provider\": \"kvm\", \"qom-path\": \"/machine/unattached/device[0]\", \"stats\": [{\"name\": \"exits\", \"value\": 10},"
        " {\"name\": \"io_exits\", \"value\": 3}, {\"name\": \"halt_wait_hist\", \"value\": [1, 2]}, {\"name\": \"own_exits\", \"value\": 5},"
        " {\"name\": \"mmio_exits\", \"value\": [1]}, {\"value\": 1}, 7]}, {\"stats\": [{\"name\": \"exits\", \"value\": 5}]}, {\"stats\": {}}, null]");
    g_autoptr(QmpMessage) arguments = counters_exits_arguments();
    assert_figure(figures, "exits", NULL, "exits", 15);
    assert_figure(figures, "exits", NULL, "io_exits", 3);
    assert_none(figures, "exits", NULL, "own_exits");
    assert_none(figures, "exits", NULL, "mmio_exits");
    g_assert_cmpstr(json_string_value(json_object_get(arguments, "target")), ==, "vcpu");
}

static void test_nonsense(void)
{
    static const char *const answers[] = {"null", "7", "\"x\"", "[]", "{}", "[[[]]]", "{\"stats\": 7, \"last-update\": 5}", "[{\"stats\": [{}]}]"};
    for (size_t i = 0; i < G_N_ELEMENTS(answers); i++) {
        g_autoptr(Figures) a = read_answer(counters_read_disks, answers[i]), b = read_answer(counters_read_balloon, answers[i]);
        g_autoptr(Figures) c = read_answer(counters_read_guest, answers[i]), d = read_answer(counters_read_exits, answers[i]);
        assert_none(a, "disks", "root", "read");
        assert_none(b, "balloon", NULL, "current");
        assert_none(c, "guest", NULL, "total");
        assert_none(d, "exits", NULL, "exits");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/counters/disks", test_disks);
    g_test_add_func("/counters/many-disks", test_many_disks);
    g_test_add_func("/counters/memory", test_memory);
    g_test_add_func("/counters/plugged", test_plugged);
    g_test_add_func("/counters/exits", test_exits);
    g_test_add_func("/counters/nonsense", test_nonsense);
    return g_test_run();
}
