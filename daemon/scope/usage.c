/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usage.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define FILE_MAX 16384
#define THREADS_MAX 4096U
#define VCPUS_MAX 1024U

/* A file that the kernel writes, in one piece; false where it is not there. */
static bool read_file(int dir, const char *name, char buffer[static FILE_MAX])
{
    fd_cleanup int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, FILE_MAX - 1);
    if (n <= 0)
        return false;
    buffer[n] = 0;
    return true;
}

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
    char buffer[FILE_MAX];
    if (read_file(dir, file, buffer) && g_ascii_isdigit(*buffer))
        figures_add(figures, group, NULL, name, g_ascii_strtoull(buffer, NULL, 10));
}

/* "some avg10=0.00 ... total=123" and "full ...": how long some of its tasks had to wait for it, and all at once. */
static void add_pressure(Figures *figures, int cgroup, const char *file, const char *some, const char *full)
{
    char buffer[FILE_MAX];
    uint64_t value;
    if (!read_file(cgroup, file, buffer))
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
    char buffer[FILE_MAX];
    if (read_file(cgroup, "cpu.stat", buffer))
        add_keys(figures, "cpu", buffer, cpu);
    add_number(figures, "memory", "current", cgroup, "memory.current");
    add_number(figures, "memory", "peak", cgroup, "memory.peak");
    add_number(figures, "memory", "swap", cgroup, "memory.swap.current");
    if (read_file(cgroup, "io.stat", buffer))
        add_keys(figures, "io", buffer, io);
    add_number(figures, "tasks", "current", cgroup, "pids.current");
    add_pressure(figures, cgroup, "cpu.pressure", "cpu", "cpu-full");
    add_pressure(figures, cgroup, "memory.pressure", "memory", "memory-full");
    add_pressure(figures, cgroup, "io.pressure", "io", "io-full");
}

/* "123 (the (name) S 77 ...": its parent. */
static bool has_parent(int process, pid_t parent)
{
    char buffer[FILE_MAX];
    const char *after_name = read_file(process, "stat", buffer) ? strrchr(buffer, ')') : NULL;
    int ppid;
    return after_name && sscanf(after_name + 1, " %*c %d", &ppid) == 1 && ppid == parent;
}

/* "CPU 3/KVM": 3. QEMU names its threads so, which is true in any PID namespace. */
static bool is_vcpu(int thread, char index[static 8])
{
    char name[FILE_MAX];
    unsigned n;
    if (!read_file(thread, "comm", name) || sscanf(name, "CPU %u/", &n) != 1 || n >= VCPUS_MAX)
        return false;
    (void) snprintf(index, 8, "%u", n);
    return true;
}

static void add_thread(Figures *figures, int tasks, const char *id, GHashTable *seen)
{
    fd_cleanup int thread = openat(tasks, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    char index[8], buffer[FILE_MAX];
    unsigned long long ran, waited;
    if (thread < 0 || !is_vcpu(thread, index) || !read_file(thread, "schedstat", buffer) || sscanf(buffer, "%llu %llu", &ran, &waited) != 2)
        return;
    if (!g_hash_table_add(seen, g_strdup(index)))
        return;
    figures_add(figures, "vcpus", index, "usage", ran / 1000);
    figures_add(figures, "vcpus", index, "waited", waited / 1000);
}

static void add_threads(Figures *figures, int process)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (!tasks) {
        close_fd(&fd);
        return;
    }
    for (unsigned n = 0; n < THREADS_MAX && (entry = readdir(tasks)); n++)
        if (g_ascii_isdigit(*entry->d_name))
            add_thread(figures, dirfd(tasks), entry->d_name, seen);
    (void) closedir(tasks);
}

void usage_read_process(pid_t pid, pid_t parent, Figures *figures)
{
    g_autofree char *path = g_strdup_printf("/proc/%d", (int) pid);
    /* Of the one process for as long as it is open, also when another gets its PID. */
    fd_cleanup int process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char buffer[FILE_MAX];
    unsigned long long resident;
    if (process < 0 || !has_parent(process, parent))
        return;
    if (read_file(process, "statm", buffer) && sscanf(buffer, "%*u %llu", &resident) == 1)
        figures_add(figures, "process", NULL, "memory", resident * (unsigned long long) sysconf(_SC_PAGESIZE));
    add_threads(figures, process);
}
