/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "machine-memory.h"

#include <string.h>

#include "machine-internal.h"
#include "value.h"

#define HUGE_PAGE_DEFAULT (UINT64_C(2) << 20)
#define PREALLOC_THREADS_MAX 16U
/* A transparent huge page's on most kernels; where they are larger there are none. */
#define ALIGN "2M"

uint64_t machine_huge_page(const Settings *settings)
{
    const char *set = settings_get_string(settings, "VM", "HugePages");
    g_autofree char *text = NULL;
    uint64_t size = 0;
    if (g_str_equal(set, "no") || (!g_str_equal(set, "yes") && parse_size(set, &size) == 0))
        return size;
    const char *line = g_file_get_contents("/proc/meminfo", &text, NULL, NULL) ? strstr(text, "\nHugepagesize:") : NULL;
    size = line ? g_ascii_strtoull(line + strlen("\nHugepagesize:"), NULL, 10) * 1024 : 0;
    return size > 0 ? size : HUGE_PAGE_DEFAULT;
}

/* ---- nodes ---- */

static bool read_list(const Settings *settings, const char *section, const char *key, CpuList *ret, Error **ret_error)
{
    const char *set = settings_get_string(settings, section, key);
    *ret = (CpuList){0};
    if (!set || (cpu_list_parse(set, ret) == 0 && cpu_list_count(ret) > 0))
        return true;
    return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, section, key), "Write numbers and ranges, such as 0-3,8",
        "\"%s\" of %s= is no list of numbers", set, key);
}

static bool read_node(const Settings *settings, const char *section, MachineNode *node, Error **ret_error)
{
    const char *policy = settings_get_string(settings, section, "Policy");
    *node = (MachineNode){.section = section, .memory = settings_get_number(settings, section, "Memory")};
    if (!read_list(settings, section, "CPUs", &node->cpus, ret_error) || !read_list(settings, section, "HostNodes", &node->host_nodes, ret_error))
        return false;
    node->bound = cpu_list_count(&node->host_nodes) > 0;
    node->policy = policy ? policy : "bind";
    return node->bound || !policy || error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, section, "Policy"), "Set HostNodes= too, or leave it out",
        "it says how nodes of the host are used, and there are none in HostNodes=");
}

/* Each CPU that there can be is on one node, and all memory that is there from the start. */
static bool check_sums(const Settings *settings, const GArray *nodes, Error **ret_error)
{
    uint64_t cpus = MAX(settings_get_number(settings, "VM", "CPUs"), settings_get_maximum(settings, "VM", "CPUs"));
    uint64_t memory = settings_get_number(settings, "VM", "Memory"), sum = 0;
    CpuList all = {0};
    for (guint i = 0; i < nodes->len; i++) {
        const MachineNode *node = &g_array_index(nodes, MachineNode, i);
        const char *thing = settings_origin(settings, node->section, "CPUs") ?: node->section;
        for (int cpu = -1; (cpu = cpu_list_next(&node->cpus, (unsigned) (cpu + 1))) >= 0; cpu_list_add(&all, (unsigned) cpu)) {
            if (cpu_list_has(&all, (unsigned) cpu))
                return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "CPU %d is on another node already", cpu);
            if ((uint64_t) cpu >= cpus)
                return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "there is no CPU %d: CPUs= of [VM] has 0 to %" G_GUINT64_FORMAT, cpu, cpus - 1);
        }
        sum = node->memory > memory - sum ? UINT64_MAX : sum + node->memory;
        if (sum == UINT64_MAX)
            break;
    }
    if (sum != memory)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "[NUMA]", "Make them the same", "the nodes have %s memory than Memory= of [VM] says", sum < memory ? "less" : "more");
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        if (!cpu_list_has(&all, cpu))
            return error_set(ret_error, ERROR_INVALID_SETTINGS, "[NUMA]", "Name it in CPUs= of one", "CPU %u is on no node", cpu);
    return true;
}

GArray *machine_nodes(const Settings *settings, Error **ret_error)
{
    g_autoptr(GArray) nodes = g_array_new(false, false, sizeof(MachineNode));
    g_autofree const char **sections = settings_sections(settings, "NUMA");
    for (size_t i = 0; sections[i]; i++) {
        MachineNode node;
        if (!read_node(settings, sections[i], &node, ret_error))
            return NULL;
        g_array_append_val(nodes, node);
    }
    return nodes->len == 0 || check_sums(settings, nodes, ret_error) ? g_steal_pointer(&nodes) : NULL;
}

/* ---- what it is made of ---- */

typedef enum MemoryBackend { BACKEND_RAM, BACKEND_MEMFD, BACKEND_FILE } MemoryBackend;

/* Shared, as virtiofs and vhost-user need it: a folder can be shared with any VM that runs. QEMU maps its own memfds where the kernel can give them no
 * transparent huge pages, and a file's at a place that we choose (ALIGN). */
static MemoryBackend choose_backend(const Settings *settings, const QemuBuild *build)
{
    if (!qemu_build_has_object(build, "memory-backend-memfd"))
        return BACKEND_RAM;
    return machine_huge_page(settings) > 0 || !qemu_build_has_object(build, "memory-backend-file") ? BACKEND_MEMFD : BACKEND_FILE;
}

static uint64_t count_more(const Settings *settings)
{
    uint64_t memory = settings_get_number(settings, "VM", "Memory"), memory_max = settings_get_maximum(settings, "VM", "Memory");
    return memory_max > memory ? (memory_max - memory) / MACHINE_MEMORY_BLOCK * MACHINE_MEMORY_BLOCK : 0;
}

GArray *machine_memory_sizes(const Settings *settings, const QemuBuild *build, Error **ret_error)
{
    g_autoptr(GArray) nodes = machine_nodes(settings, ret_error), sizes = g_array_new(FALSE, FALSE, sizeof(uint64_t));
    uint64_t memory = settings_get_number(settings, "VM", "Memory"), more = count_more(settings);
    if (!nodes)
        return NULL;
    if (choose_backend(settings, build) != BACKEND_FILE)
        return g_steal_pointer(&sizes);
    for (guint i = 0; i < nodes->len; i++)
        g_array_append_val(sizes, g_array_index(nodes, MachineNode, i).memory);
    if (nodes->len == 0)
        g_array_append_val(sizes, memory);
    if (more > 0)
        g_array_append_val(sizes, more);
    return g_steal_pointer(&sizes);
}

/* ---- QEMU's arguments ---- */

/* The `n`th. Of huge pages all are taken at once, where there are too few of them QEMU says so: to lack one later would be the guest's death. */
static GString *make_backend(Command *command, const MachineParts *parts, unsigned n, const char *id, uint64_t size)
{
    static const char *const types[] = {"ram", "memfd", "file"};
    MemoryBackend backend = choose_backend(parts->settings, parts->build);
    uint64_t page = machine_huge_page(parts->settings);
    GString *text = g_string_new(NULL);
    g_string_append_printf(text, "memory-backend-%s,id=%s,size=%" G_GUINT64_FORMAT "%s", types[backend], id, size, backend == BACKEND_RAM ? "" : ",share=on");
    if (backend == BACKEND_FILE) {
        int fd = g_array_index(parts->memory_fds, int, n);
        g_string_append_printf(text, ",mem-path=/proc/self/fd/%d,align=" ALIGN, fd);
        command_add_fd(command, fd);
    }
    if (page > 0)
        g_string_append_printf(text, ",hugetlb=on,hugetlbsize=%" G_GUINT64_FORMAT, page);
    return text;
}

static void append_prealloc(const MachineParts *parts, GString *text)
{
    if (machine_huge_page(parts->settings) > 0)
        g_string_append_printf(text, ",prealloc=on,prealloc-threads=%u",
            (unsigned) MIN(settings_get_number(parts->settings, "VM", "CPUs"), PREALLOC_THREADS_MAX));
}

/* "cpus=0-1,cpus=4" */
static void append_list(GString *text, const char *key, const CpuList *list)
{
    g_autofree char *all = cpu_list_format(list);
    g_auto(GStrv) ranges = g_strsplit(all, ",", -1);
    for (char **range = ranges; *range; range++)
        g_string_append_printf(text, ",%s=%s", key, *range);
}

static void add_node(Command *command, const MachineParts *parts, const MachineNode *node, unsigned n)
{
    const char *from = settings_section_origin(parts->settings, node->section);
    g_autofree char *id = g_strdup_printf("ram%u", n);
    g_autoptr(GString) backend = make_backend(command, parts, n, id, node->memory), numa = g_string_new(NULL);
    append_prealloc(parts, backend);
    if (node->bound) {
        append_list(backend, "host-nodes", &node->host_nodes);
        g_string_append_printf(backend, ",policy=%s", node->policy);
    }
    command_add(command, from, "-object", backend->str, NULL);
    g_string_append_printf(numa, "node,nodeid=%u,memdev=%s", n, id);
    append_list(numa, "cpus", &node->cpus);
    command_add(command, from, "-numa", numa->str, NULL);
}

/* What Memory= can become: a device that gives the guest as much of it as it is told to, which the guest takes in blocks, and gives back. */
static bool add_more_memory(Command *command, const MachineParts *parts, unsigned n, uint64_t more, Error **ret_error)
{
    const char *from = machine_origin(parts, "VM", "Memory");
    uint64_t page = machine_huge_page(parts->settings);
    if (!machine_needs_device(parts->build, "virtio-mem-pci", from, ret_error))
        return false;
    if (page > MACHINE_MEMORY_BLOCK)
        return error_set(ret_error, ERROR_UNSUPPORTED, machine_origin(parts, "VM", "HugePages"), "Use HugePages=2M, or leave out what is behind the \"/\" of Memory=",
            "memory comes and goes in blocks of 2M, which are smaller than such a page");
    g_autoptr(GString) backend = make_backend(command, parts, n, MACHINE_MORE_MEMORY "-ram", more);
    command_addf(command, from, "-object", "%s,reserve=off", backend->str);
    command_addf(command, from, "-device", "virtio-mem-pci,id=" MACHINE_MORE_MEMORY ",memdev=" MACHINE_MORE_MEMORY "-ram,requested-size=0,block-size=%" G_GUINT64_FORMAT "%s",
        MACHINE_MEMORY_BLOCK, page > 0 ? ",prealloc=on" : "");
    return true;
}

/* Where the nodes are equal parts, one after the other, each is a socket: CPUs of one socket share what CPUs of two nodes do not. */
static unsigned count_sockets(const GArray *nodes, uint64_t cpus)
{
    if (nodes->len < 2 || cpus % nodes->len != 0)
        return 0;
    for (unsigned cpu = 0; cpu < cpus; cpu++)
        if (!cpu_list_has(&g_array_index(nodes, MachineNode, cpu / (cpus / nodes->len)).cpus, cpu))
            return 0;
    return nodes->len;
}

static void add_cpus(Command *command, const MachineParts *parts, const GArray *nodes)
{
    uint64_t cpus = settings_get_number(parts->settings, "VM", "CPUs"), cpus_max = settings_get_maximum(parts->settings, "VM", "CPUs");
    unsigned sockets = count_sockets(nodes, MAX(cpus, cpus_max));
    g_autoptr(GString) smp = g_string_new(NULL);
    g_string_append_printf(smp, "%" G_GUINT64_FORMAT, cpus);
    if (cpus_max > 0)
        g_string_append_printf(smp, ",maxcpus=%" G_GUINT64_FORMAT, cpus_max);
    if (sockets > 0)
        g_string_append_printf(smp, ",sockets=%u", sockets);
    command_add(command, machine_origin(parts, "VM", "CPUs"), "-smp", smp->str, NULL);
}

bool machine_add_memory(Command *command, const MachineParts *parts, Error **ret_error)
{
    const Settings *s = parts->settings;
    const char *from = machine_origin(parts, "VM", "Memory");
    uint64_t memory = settings_get_number(s, "VM", "Memory"), memory_max = settings_get_maximum(s, "VM", "Memory");
    uint64_t more = count_more(s);
    g_autoptr(GArray) nodes = machine_nodes(s, ret_error);
    if (!nodes)
        return false;
    if (machine_huge_page(s) > 0 && choose_backend(s, parts->build) == BACKEND_RAM)
        return error_set(ret_error, ERROR_UNSUPPORTED, machine_origin(parts, "VM", "HugePages"), "Use a QEMU that was built with memfd, or remove HugePages=",
            "%s has no memory-backend-memfd", qemu_build_path(parts->build));
    add_cpus(command, parts, nodes);
    if (nodes->len == 0) {
        g_autoptr(GString) backend = make_backend(command, parts, 0, "ram", memory);
        append_prealloc(parts, backend);
        command_add(command, from, "-object", backend->str, NULL);
    }
    if (more > 0)
        command_addf(command, from, "-m", "size=%" G_GUINT64_FORMAT "k,maxmem=%" G_GUINT64_FORMAT "k", memory / 1024, memory_max / 1024);
    else
        command_addf(command, from, "-m", "size=%" G_GUINT64_FORMAT "k", memory / 1024);
    for (guint i = 0; i < nodes->len; i++)
        add_node(command, parts, &g_array_index(nodes, MachineNode, i), i);
    return more == 0 || add_more_memory(command, parts, MAX(nodes->len, 1), more, ret_error);
}
