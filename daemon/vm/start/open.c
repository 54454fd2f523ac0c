/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "open.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "claims.h"
#include "cleanup.h"
#include "manager.h"
#include "nvram.h"
#include "sources.h"

void opened_init(Opened *opened)
{
    *opened = (Opened){
        .parts = {.monitor_fd = -1, .guard_fd = -1, .console_fd = -1, .agent_fd = -1, .tpm_fd = -1, .vsock_fd = -1, .kernel_fd = -1, .initrd_fd = -1},
        .guard_console_fd = -1,
        .console_listen_fd = -1,
        .console_log_fd = -1,
        .status_fd = -1,
        .guard_qmp_fd = -1,
        .tls_fds = {-1, -1, -1},
        .journal_fd = -1,
        .cgroup_fd = -1,
        .go_read_fd = -1,
    };
    for (size_t i = 0; i < G_N_ELEMENTS(opened->parts.spice_fds); i++)
        opened->parts.spice_fds[i] = -1;
}

void opened_close(Opened *opened)
{
    int *fds[] = {
        &opened->parts.monitor_fd, &opened->parts.guard_fd, &opened->parts.console_fd, &opened->parts.agent_fd, &opened->parts.tpm_fd, &opened->parts.vsock_fd,
        &opened->guard_console_fd, &opened->console_listen_fd, &opened->console_log_fd, &opened->status_fd, &opened->guard_qmp_fd,
        &opened->journal_fd, &opened->cgroup_fd, &opened->go_read_fd, &opened->tls_fds[0], &opened->tls_fds[1], &opened->tls_fds[2],
    };
    for (size_t i = 0; i < G_N_ELEMENTS(fds); i++)
        close_fd(fds[i]);
    for (size_t i = 0; i < G_N_ELEMENTS(opened->parts.spice_fds); i++)
        close_fd(&opened->parts.spice_fds[i]);
    g_clear_pointer(&opened->parts.memory_fds, g_array_unref);
    sources_close(&opened->parts);
    nvram_close(&opened->parts);
    g_clear_pointer(&opened->parts.interfaces, g_ptr_array_unref);
    g_clear_pointer(&opened->parts.pci, g_ptr_array_unref);
}

static int listen_socket(const char *dir_path, const char *name)
{
    return instance_listen(dir_path, name, SOCK_STREAM);
}

static int open_file(const char *dir_path, const char *name)
{
    g_autofree char *path = g_build_filename(dir_path, name, NULL);
    int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd < 0 ? -errno : fd;
}

static bool open_pair(int *ret_a, int *ret_b, Error **ret_error)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_set_errno(ret_error, errno, NULL, "a socket cannot be made");
    *ret_a = fds[0];
    *ret_b = fds[1];
    return true;
}

bool open_sockets(Opened *opened, const char *dir, bool console, Error **ret_error)
{
    MachineParts *parts = &opened->parts;
    const struct {
        int *fd;
        const char *name;
        int (*open)(const char *dir_path, const char *name);
        bool wanted;
    } files[] = {
        {&parts->monitor_fd, "monitor", listen_socket, true},
        {&parts->agent_fd, "agent", listen_socket, true},
        {&opened->status_fd, "status", open_file, true},
        {&opened->console_listen_fd, "console", listen_socket, console},
        {&opened->console_log_fd, "console.log", open_file, console},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        if (!files[i].wanted)
            continue;
        *files[i].fd = files[i].open(dir, files[i].name);
        if (*files[i].fd < 0)
            return error_set_errno(ret_error, *files[i].fd, dir, "\"%s\" cannot be made in it", files[i].name);
    }
    if (!open_pair(&parts->guard_fd, &opened->guard_qmp_fd, ret_error))
        return false;
    return !console || open_pair(&parts->console_fd, &opened->guard_console_fd, ret_error);
}

bool claim_disks(const Opened *opened, VM *vm, Error **ret_error)
{
    for (guint i = 0; i < opened->parts.disks->len; i++) {
        const MachineDisk *disk = opened->parts.disks->pdata[i];
        if (!claim_disk(vm, disk->name, disk->image, ret_error))
            return false;
    }
    return true;
}
