/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "cleanup.h"

#define THREADS_MAX 4096U
#define VCPUS_MAX 4096U

bool kernel_file_read(int dir, const char *name, char buffer[static KERNEL_FILE_MAX])
{
    fd_cleanup int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, KERNEL_FILE_MAX - 1);
    if (n <= 0)
        return false;
    buffer[n] = 0;
    return true;
}

/* "123 (the (name) S 77 ...": its parent. */
static bool has_parent(int process, pid_t parent)
{
    char buffer[KERNEL_FILE_MAX];
    const char *after_name = kernel_file_read(process, "stat", buffer) ? strrchr(buffer, ')') : NULL;
    int ppid;
    return after_name && sscanf(after_name + 1, " %*c %d", &ppid) == 1 && ppid == parent;
}

int process_open(pid_t pid, pid_t parent)
{
    g_autofree char *path = g_strdup_printf("/proc/%d", (int) pid);
    fd_cleanup int process = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (process < 0)
        return -errno;
    return has_parent(process, parent) ? steal_fd(&process) : -ESRCH;
}

/* "CPU 3/KVM": 3. QEMU names its threads so, which is true in any PID namespace. */
static bool is_vcpu(int thread, unsigned *ret)
{
    char name[KERNEL_FILE_MAX];
    return kernel_file_read(thread, "comm", name) && sscanf(name, "CPU %u/", ret) == 1 && *ret < VCPUS_MAX;
}

void process_find_vcpus(int process, VcpuFound found, void *userdata)
{
    CpuList seen = {0};
    int fd = openat(process, "task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *tasks = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    if (!tasks) {
        close_fd(&fd);
        return;
    }
    for (unsigned n = 0; n < THREADS_MAX && (entry = readdir(tasks)); n++) {
        fd_cleanup int thread = g_ascii_isdigit(*entry->d_name) ? openat(dirfd(tasks), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW) : -1;
        unsigned index;
        if (thread < 0 || !is_vcpu(thread, &index) || cpu_list_has(&seen, index))
            continue;
        cpu_list_add(&seen, index);
        found(index, (pid_t) g_ascii_strtoll(entry->d_name, NULL, 10), thread, userdata);
    }
    (void) closedir(tasks);
}

/* The system call itself: libc's would change all threads. Only that of vmd's which asks is somebody else for a moment. */
static int be(uid_t uid)
{
    return uid == (uid_t) -1 || syscall(SYS_setresuid, (uid_t) -1, uid, (uid_t) -1) == 0 ? 0 : -errno;
}

int thread_set_cpus(pid_t thread, uid_t uid, const CpuList *cpus)
{
    /* As who the thread is: so the kernel sees to it that a number that has been given to another meanwhile changes nothing of anybody
     * else's, and vmd needs no right over all processes. */
    uid_t self = geteuid();
    int r = be(uid);
    if (r < 0)
        return r;
    r = syscall(SYS_sched_setaffinity, thread, sizeof cpus->bits, cpus->bits) < 0 ? -errno : 0;
    if (be(uid == (uid_t) -1 ? uid : self) < 0)
        g_error("vmd cannot be itself again: %s", g_strerror(errno));
    return r;
}

int thread_get_cpus(pid_t thread, CpuList *ret)
{
    CpuList list = {0};
    if (syscall(SYS_sched_getaffinity, thread, sizeof list.bits, list.bits) < 0)
        return -errno;
    *ret = list;
    return 0;
}
