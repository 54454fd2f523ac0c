/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usage.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cleanup.h"
#include "process.h"

/* The number behind `key` in "usage_usec 123\n" or "rbytes=1 wbytes=2"; of several, their sum. */
static bool find_number(const char *text, const char *key, uint64_t *ret)
{
    size_t length = strlen(key);
    bool found = false;
    uint64_t sum = 0;
    for (const char *p = text; (p = strstr(p, key)); p += length) {
        bool begins = p == text || p[-1] == '\n' || p[-1] == ' ';
        if (!begins || (p[length] != ' ' && p[length] != '=') || !g_ascii_isdigit(p[length + 1]))
            continue;
        sum += g_ascii_strtoull(p + length + 1, NULL, 10);
        found = true;
    }
    if (found)
        *ret = sum;
    return found;
}

typedef struct Key {
    const char *kernels, *ours;
} Key;

static void add_keys(Figures *figures, const char *group, const char *text, const Key *keys)
{
    uint64_t value;
    for (const Key *key = keys; key->ours; key++)
        if (find_number(text, key->kernels, &value))
            figures_add(figures, group, NULL, key->ours, value);
}

static void add_number(Figures *figures, const char *group, const char *name, int dir, const char *file)
{
    char buffer[KERNEL_FILE_MAX];
    if (kernel_file_read(dir, file, buffer) && g_ascii_isdigit(*buffer))
        figures_add(figures, group, NULL, name, g_ascii_strtoull(buffer, NULL, 10));
}

/* "some avg10=0.00 ... total=123" and "full ...": how long some of its tasks had to wait for it, and all at once. */
static void add_pressure(Figures *figures, int cgroup, const char *file, const char *some, const char *full)
{
    char buffer[KERNEL_FILE_MAX];
    uint64_t value;
    if (!kernel_file_read(cgroup, file, buffer))
        return;
    char *second = strstr(buffer, "\nfull ");
    if (second && find_number(second + 1, "total", &value))
        figures_add(figures, "pressure", NULL, full, value);
    if (second)
        *second = 0;
    if (find_number(buffer, "total", &value))
        figures_add(figures, "pressure", NULL, some, value);
}

void usage_read(int cgroup, Figures *figures)
{
    static const Key cpu[] = {
        {"usage_usec", "usage"}, {"user_usec", "user"}, {"system_usec", "system"}, {"throttled_usec", "throttled"}, {},
    };
    static const Key io[] = {{"rbytes", "read"}, {"wbytes", "written"}, {"rios", "reads"}, {"wios", "writes"}, {}};
    char buffer[KERNEL_FILE_MAX];
    if (kernel_file_read(cgroup, "cpu.stat", buffer))
        add_keys(figures, "cpu", buffer, cpu);
    add_number(figures, "memory", "current", cgroup, "memory.current");
    add_number(figures, "memory", "peak", cgroup, "memory.peak");
    add_number(figures, "memory", "swap", cgroup, "memory.swap.current");
    if (kernel_file_read(cgroup, "io.stat", buffer))
        add_keys(figures, "io", buffer, io);
    add_number(figures, "tasks", "current", cgroup, "pids.current");
    add_pressure(figures, cgroup, "cpu.pressure", "cpu", "cpu-full");
    add_pressure(figures, cgroup, "memory.pressure", "memory", "memory-full");
    add_pressure(figures, cgroup, "io.pressure", "io", "io-full");
}

static void add_thread(unsigned index, pid_t id, int thread, void *userdata)
{
    Figures *figures = userdata;
    char number[16], buffer[KERNEL_FILE_MAX];
    unsigned long long ran, waited;
    if (!kernel_file_read(thread, "schedstat", buffer) || sscanf(buffer, "%llu %llu", &ran, &waited) != 2)
        return;
    (void) snprintf(number, sizeof number, "%u", index);
    figures_add(figures, "vcpus", number, "usage", ran / 1000);
    figures_add(figures, "vcpus", number, "waited", waited / 1000);
}

void usage_read_process(pid_t pid, pid_t parent, Figures *figures)
{
    fd_cleanup int process = process_open(pid, parent);
    char buffer[KERNEL_FILE_MAX];
    unsigned long long resident;
    if (process < 0)
        return;
    if (kernel_file_read(process, "statm", buffer) && sscanf(buffer, "%*u %llu", &resident) == 1)
        figures_add(figures, "process", NULL, "memory", resident * (unsigned long long) sysconf(_SC_PAGESIZE));
    process_find_vcpus(process, add_thread, figures);
}
