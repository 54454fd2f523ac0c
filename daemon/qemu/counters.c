/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "counters.h"

#include <string.h>

#include "name.h"

#define DISKS_MAX 256U
#define NSEC_PER_USEC 1000U
#define BALLOON_UNKNOWN UINT64_MAX

/* What it says as a number: one above INT64_MAX comes as the negative one with the same bits (qmp.h). */
static bool read_number(const json_t *object, const char *key, uint64_t *ret)
{
    const json_t *value = json_object_get(object, key);
    if (!json_is_integer(value))
        return false;
    *ret = (uint64_t) json_integer_value(value);
    return true;
}

/* ---- disks ---- */

static const struct {
    const char *qemus, *ours;
    unsigned divisor;
} disk_counters[] = {
    {"rd_bytes", "read", 1},
    {"wr_bytes", "written", 1},
    {"rd_operations", "reads", 1},
    {"wr_operations", "writes", 1},
    {"flush_operations", "flushes", 1},
    {"unmap_bytes", "discarded", 1},
    {"unmap_operations", "discards", 1},
    {"rd_total_time_ns", "read-time", NSEC_PER_USEC},
    {"wr_total_time_ns", "write-time", NSEC_PER_USEC},
    {"flush_total_time_ns", "flush-time", NSEC_PER_USEC},
    {"failed_rd_operations", "read-errors", 1},
    {"failed_wr_operations", "write-errors", 1},
    {"failed_flush_operations", "flush-errors", 1},
};

/* "root" of "disk-root", or of "/machine/peripheral/disk-root/virtio-backend" (machine_disk_id()). A new string, or NULL. */
static char *disk_name(const char *qdev)
{
    g_auto(GStrv) parts = g_strsplit(qdev, "/", 8);
    for (char **part = parts; *part; part++) {
        const char *name = g_str_has_prefix(*part, "disk-") ? *part + strlen("disk-") : NULL;
        if (name && device_name_is_valid(name))
            return g_strdup(name);
    }
    return NULL;
}

static void read_disk(const json_t *disk, const char *name, Figures *figures)
{
    const json_t *stats = json_object_get(disk, "stats");
    uint64_t value;
    for (size_t i = 0; i < G_N_ELEMENTS(disk_counters); i++)
        if (read_number(stats, disk_counters[i].qemus, &value))
            figures_add(figures, "disks", name, disk_counters[i].ours, value / disk_counters[i].divisor);
}

void counters_read_disks(const json_t *answer, Figures *figures)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    size_t i;
    json_t *disk;
    json_array_foreach((json_t *) answer, i, disk) {
        const char *qdev = json_string_value(json_object_get(disk, "qdev"));
        g_autofree char *name = qdev ? disk_name(qdev) : NULL;
        if (!name || g_hash_table_size(seen) >= DISKS_MAX || g_hash_table_contains(seen, name))
            continue;
        read_disk(disk, name, figures);
        g_hash_table_add(seen, g_steal_pointer(&name));
    }
}

/* ---- memory ---- */

void counters_read_balloon(const json_t *answer, Figures *figures)
{
    uint64_t value;
    if (read_number(answer, "actual", &value))
        figures_add(figures, "balloon", NULL, "current", value);
}

void counters_read_plugged(const json_t *answer, Figures *figures)
{
    size_t i;
    json_t *device;
    json_array_foreach((json_t *) answer, i, device) {
        const char *type = json_string_value(json_object_get(device, "type"));
        const json_t *data = json_object_get(device, "data");
        uint64_t current, wanted;
        /* There is one at most. */
        if (type && strcmp(type, "virtio-mem") == 0 && read_number(data, "size", &current) && read_number(data, "requested-size", &wanted)) {
            figures_add(figures, "plugged", NULL, "current", current);
            figures_add(figures, "plugged", NULL, "wanted", wanted);
            return;
        }
    }
}

void counters_read_guest(const json_t *answer, Figures *figures)
{
    static const struct {
        const char *qemus, *ours;
        bool part; /* of the total */
    } counters[] = {
        {"stat-total-memory", "total"},   {"stat-free-memory", "free", true},  {"stat-available-memory", "available", true},
        {"stat-disk-caches", "caches", true}, {"stat-swap-in", "swapped-in"},      {"stat-swap-out", "swapped-out"},
        {"stat-major-faults", "major-faults"}, {"stat-minor-faults", "minor-faults"},
    };
    const json_t *stats = json_object_get(answer, "stats");
    uint64_t updated, value, total;
    if (!read_number(stats, "stat-total-memory", &total))
        total = BALLOON_UNKNOWN;
    if (!read_number(answer, "last-update", &updated) || updated == 0 || updated > UINT64_MAX / G_USEC_PER_SEC)
        return;
    figures_add(figures, "guest", NULL, "updated", updated * G_USEC_PER_SEC);
    for (size_t i = 0; i < G_N_ELEMENTS(counters); i++)
        /* The guest may say anything; what cannot be is left out. */
        if (read_number(stats, counters[i].qemus, &value) && value != BALLOON_UNKNOWN && (!counters[i].part || value <= total))
            figures_add(figures, "guest", NULL, counters[i].ours, value);
}

/* ---- exits ---- */

/* Of all that KVM counts, by the words of x86 and arm64; what a kernel has not is left out by QEMU. */
static const char *const exits[] = {
    "exits", "io_exits", "mmio_exits", "halt_exits", "irq_exits", "signal_exits", "irq_window_exits", "nmi_window_exits", "request_irq_exits",
    "notify_window_exits", "hypercalls", "insn_emulation", "fpu_reload", "nested_run", "irq_injections", "nmi_injections",
    "hvc_exit_stat", "wfe_exit_stat", "wfi_exit_stat", "mmio_exit_user", "mmio_exit_kernel",
};

json_t *counters_exits_arguments(void)
{
    json_t *names = json_array();
    for (size_t i = 0; i < G_N_ELEMENTS(exits); i++)
        (void) json_array_append_new(names, json_string(exits[i]));
    return json_pack("{ss s[{ss so}]}", "target", "vcpu", "providers", "provider", "kvm", "names", names);
}

/* Which of ours it is, or as many as there are. */
static size_t find_exit(const json_t *stat)
{
    const char *name = json_string_value(json_object_get(stat, "name"));
    size_t i = 0;
    while (i < G_N_ELEMENTS(exits) && (!name || strcmp(exits[i], name) != 0))
        i++;
    return i;
}

void counters_read_exits(const json_t *answer, Figures *figures)
{
    uint64_t sums[G_N_ELEMENTS(exits)] = {0}, value;
    bool found[G_N_ELEMENTS(exits)] = {false};
    size_t i, k;
    json_t *vcpu, *stat;
    json_array_foreach((json_t *) answer, i, vcpu) {
        json_array_foreach(json_object_get(vcpu, "stats"), k, stat) {
            size_t n = find_exit(stat);
            if (n == G_N_ELEMENTS(exits) || !read_number(stat, "value", &value))
                continue;
            sums[n] += value;
            found[n] = true;
        }
    }
    for (i = 0; i < G_N_ELEMENTS(exits); i++)
        if (found[i])
            figures_add(figures, "exits", NULL, exits[i], sums[i]);
}
