/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "render-node.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cleanup.h"

#define NAME "/dev/dri/renderD%u"

/* Numbers that the kernel has given to this kind of node for good. */
#define DRM_MAJOR 226U
#define MINOR_FIRST 128U
#define MINOR_LAST 191U

/* -ENODEV: it is something else. */
static int open_node(const char *path, unsigned *ret_minor)
{
    struct stat st;
    fd_cleanup int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISCHR(st.st_mode) || major(st.st_rdev) != DRM_MAJOR || minor(st.st_rdev) < MINOR_FIRST || minor(st.st_rdev) > MINOR_LAST)
        return -ENODEV;
    *ret_minor = minor(st.st_rdev);
    return 0;
}

static bool cannot_open(const char *path, int r, Error **ret_error)
{
    if (r == -ENODEV)
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, "Let RenderNode= name one, such as /dev/dri/renderD128", "it is no render node");
    if (r == -EPERM) /* the rules of its service, which stand from its start on */
        return error_set(ret_error, ERROR_UNSUPPORTED, path, "Run 'systemctl restart vmd.service', which no VM minds",
            "vmd may not open this kind of device, whose driver has come after it");
    if (r == -EACCES)
        return error_set(ret_error, ERROR_FAILED, path, "Let the VM's owner be in the group that the node belongs to, most often render",
            "the VM's owner may not open it");
    return error_set_errno(ret_error, r, path, "the render node cannot be opened");
}

static bool find_first(const char *root, unsigned *ret_minor, Error **ret_error)
{
    g_autofree char *refused = NULL;
    int why = 0;
    for (unsigned i = MINOR_FIRST; i <= MINOR_LAST; i++) {
        g_autofree char *path = g_strdup_printf("%s" NAME, root, i);
        int r = open_node(path, ret_minor);
        if (r >= 0)
            return true;
        if (r != -ENOENT && !refused) {
            refused = g_steal_pointer(&path);
            why = r;
        }
    }
    return refused ? cannot_open(refused, why, ret_error)
                   : error_set(ret_error, ERROR_UNSUPPORTED, "GL=yes", "Load the driver of its graphics processor, or remove GL= from [Display]",
                         "this host has no render node, that is no /dev/dri/renderD128");
}

char *render_node_find(const char *root, const char *path, Error **ret_error)
{
    unsigned number = 0;
    int r = path ? open_node(path, &number) : 0;
    bool found = path ? r >= 0 || cannot_open(path, r, ret_error) : find_first(root, &number, ret_error);
    return found ? g_strdup_printf(NAME, number) : NULL;
}
