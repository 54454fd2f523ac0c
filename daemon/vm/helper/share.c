/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "share.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "guard.h"
#include "instance.h"

/* virtiofsd takes a socket that listens, once, and QEMU one that is connected. Nobody else connects to it: it is in vmd's own folder, and
 * that for this moment only. */
static int open_pair(const char *dir_path, int *ret_listening, int *ret_connected)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fd_cleanup int dir = open(dir_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    fd_cleanup int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (dir < 0 || listening < 0 || connected < 0)
        return -errno;
    (void) snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/share", dir);
    if (bind(listening, (struct sockaddr *) &address, sizeof address) < 0)
        return -errno;
    int r = listen(listening, 1) < 0 || connect(connected, (struct sockaddr *) &address, sizeof address) < 0 ? -errno : 0;
    (void) unlinkat(dir, "share", 0);
    if (r < 0)
        return r;
    *ret_listening = steal_fd(&listening);
    *ret_connected = steal_fd(&connected);
    return 0;
}

Helper *share_prepare(Instance *instance, MachineShare *share, Error **ret_error)
{
    int listening = -1;
    int r = open_pair(instance->dir, &listening, &share->socket_fd);
    if (r < 0) {
        error_set_errno(ret_error, r, share->section, "a socket to its virtiofsd cannot be made");
        return NULL;
    }
    const VM *vm = instance->vm;
    const HelperTree tree = {
        .path = share->path,
        .fd = steal_fd(&share->fd),
        .read_only = share->read_only,
        .owner = vm->owner,
        .gid = share->gid,
        .groups = share->groups,
    };
    Helper *helper = helpers_add(instance, HELPER_SHARE, share->name, share->program);
    helper_set_tree(helper, &tree);
    if (share->of_tree)
        helper_set_of_tree(helper);
    helper_add_fd(helper, listening);
    helper_add_argument(helper, "--fd=%d", listening);
    helper_add_argument(helper, "--rlimit-nofile=0");
    helper_add_argument(helper, "-o");
    /* The jail has the folder and nothing else; virtiofsd insists on one of its own inside. */
    helper_add_argument(helper, "source=" GUARD_TREE ",sandbox=chroot");
    return helper;
}

bool shares_prepare(Instance *instance, MachineParts *parts, Error **ret_error)
{
    for (guint i = 0; i < parts->shares->len; i++)
        if (!share_prepare(instance, parts->shares->pdata[i], ret_error))
            return false;
    return true;
}
