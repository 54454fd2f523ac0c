/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "host-memory.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cleanup.h"
#include "machine-memory.h"
#include "value.h"

#define HUGE_PAGES "/sys/kernel/mm/hugepages"
#define NODES "/sys/devices/system/node"

static uint64_t read_number(const char *folder, const char *name)
{
    g_autofree char *path = g_build_filename(folder, name, NULL), *text = NULL;
    return g_file_get_contents(path, &text, NULL, NULL) ? g_ascii_strtoull(text, NULL, 10) : 0;
}

static char *folder_of(const char *above, uint64_t page)
{
    return g_strdup_printf("%s/hugepages-%" PRIu64 "kB", above, page / 1024);
}

/* "64K, 2M" */
static char *list_sizes(void)
{
    g_autoptr(GString) sizes = g_string_new(NULL);
    g_autoptr(GDir) dir = g_dir_open(HUGE_PAGES, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        uint64_t size = g_str_has_prefix(name, "hugepages-") ? g_ascii_strtoull(name + strlen("hugepages-"), NULL, 10) * 1024 : 0;
        g_autofree char *text = format_size(size);
        g_string_append_printf(sizes, "%s%s", sizes->len > 0 ? ", " : "", text);
    }
    return g_string_free(g_steal_pointer(&sizes), false);
}

/* Those that nobody has or was promised, and those that the kernel may make when they are wanted. */
static uint64_t count_free(const char *folder)
{
    uint64_t free = read_number(folder, "free_hugepages"), promised = read_number(folder, "resv_hugepages");
    uint64_t makes = read_number(folder, "nr_overcommit_hugepages"), made = read_number(folder, "surplus_hugepages");
    return free - MIN(free, promised) + makes - MIN(makes, made);
}

static bool too_few(const char *thing, const char *folder, uint64_t page, uint64_t wanted, uint64_t free, Error **ret_error)
{
    g_autofree char *size = format_size(page);
    g_autofree char *remedy = g_strdup_printf("Make more, as in 'echo %" PRIu64 " > %s/nr_hugepages', or as the host boots, by hugepagesz=%s hugepages=N on its kernel's command line",
        read_number(folder, "nr_hugepages") + wanted - free, folder, size);
    return error_set(ret_error, ERROR_LIMIT_REACHED, thing, remedy, "its memory takes %" PRIu64 " huge pages of %s, and %" PRIu64 " of the host's %" PRIu64 " are free", wanted, size,
        free, read_number(folder, "nr_hugepages"));
}

static bool check_pages(const Settings *settings, const GArray *nodes, uint64_t page, Error **ret_error)
{
    const char *thing = settings_origin(settings, "VM", "HugePages") ?: "HugePages=";
    uint64_t memory = settings_get_number(settings, "VM", "Memory");
    g_autofree char *folder = folder_of(HUGE_PAGES, page), *size = format_size(page);
    bool whole = memory % page == 0;
    for (guint i = 0; i < nodes->len; i++)
        whole = whole && g_array_index(nodes, MachineNode, i).memory % page == 0;
    if (!g_file_test(folder, G_FILE_TEST_IS_DIR)) {
        g_autofree char *sizes = list_sizes(), *remedy = *sizes ? g_strdup_printf("It has those of %s", sizes) : NULL;
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, remedy, "the host has no huge pages of %s", size);
    }
    if (!whole)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Change Memory=", "the memory is no whole number of pages of %s", size);
    uint64_t free = count_free(folder);
    return free >= memory / page || too_few(thing, folder, page, memory / page, free, ret_error);
}

/* What is to come from these nodes of the host's and no others. */
static bool check_node(const Settings *settings, const MachineNode *node, uint64_t page, Error **ret_error)
{
    const char *thing = settings_origin(settings, node->section, "HostNodes");
    CpuList there;
    g_autofree char *first = NULL;
    uint64_t free = 0;
    if (!node->bound)
        return true;
    if (cpu_list_read(NODES "/has_memory", &there) < 0)
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, "Leave it out", "the host's kernel knows of no NUMA nodes");
    int missing = cpu_list_find_missing(&node->host_nodes, &there);
    if (missing >= 0) {
        g_autofree char *all = cpu_list_format(&there);
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, NULL, "the host has no node %d with memory; those that it has are %s", missing, all);
    }
    if (page == 0 || !g_str_equal(node->policy, "bind"))
        return true;
    for (int n = -1; (n = cpu_list_next(&node->host_nodes, (unsigned) (n + 1))) >= 0;) {
        g_autofree char *above = g_strdup_printf(NODES "/node%d/hugepages", n);
        char *folder = folder_of(above, page);
        free += read_number(folder, "free_hugepages");
        if (first)
            g_free(folder);
        else
            first = folder;
    }
    return free >= node->memory / page || too_few(thing, first, page, node->memory / page, free, ret_error);
}

bool host_memory_check(const Settings *settings, Error **ret_error)
{
    uint64_t page = machine_huge_page(settings);
    g_autoptr(GArray) nodes = machine_nodes(settings, ret_error);
    if (!nodes || (page > 0 && !check_pages(settings, nodes, page, ret_error)))
        return false;
    for (guint i = 0; i < nodes->len; i++)
        if (!check_node(settings, &g_array_index(nodes, MachineNode, i), page, ret_error))
            return false;
    return true;
}

/* Whom QEMU shares it with, such as virtiofsd, can take none of it away: QEMU would be killed where it is no more. */
static int make_memory(uint64_t size)
{
    fd_cleanup int fd = memfd_create("ram", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0 || ftruncate(fd, (off_t) size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
        return -errno;
    return steal_fd(&fd);
}

GArray *host_memory_open(const Settings *settings, const QemuBuild *build, Error **ret_error)
{
    g_autoptr(GArray) sizes = machine_memory_sizes(settings, build, ret_error), fds = fd_array_new();
    for (guint i = 0; sizes && i < sizes->len; i++) {
        int fd = make_memory(g_array_index(sizes, uint64_t, i));
        if (fd < 0) {
            error_set_errno(ret_error, fd, settings_origin(settings, "VM", "Memory") ?: "Memory=", "it cannot be made");
            return NULL;
        }
        g_array_append_val(fds, fd);
    }
    return sizes ? g_steal_pointer(&fds) : NULL;
}
