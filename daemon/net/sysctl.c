/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sysctl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "cleanup.h"

#define VALUE_MAX 256
#define CONF6 "net/ipv6/conf"

static int open_sysctl(const char *name, int flags)
{
    g_autofree char *path = g_strdup_printf("/proc/sys/%s", name);
    if (strstr(name, ".."))
        return -EINVAL;
    int fd = open(path, flags | O_CLOEXEC | O_NOCTTY);
    return fd < 0 ? -errno : fd;
}

int sysctl_write(const char *name, const char *value)
{
    fd_cleanup int fd = open_sysctl(name, O_WRONLY);
    if (fd < 0)
        return fd;
    ssize_t n = write(fd, value, strlen(value));
    return n < 0 ? -errno : n == (ssize_t) strlen(value) ? 0 : -EIO;
}

char *sysctl_read(const char *name)
{
    char text[VALUE_MAX];
    fd_cleanup int fd = open_sysctl(name, O_RDONLY);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (n < 0)
        return NULL;
    text[n] = '\0';
    return g_strdup(g_strchomp(text));
}

static bool has_value(const char *name, const char *value)
{
    g_autofree char *now = sysctl_read(name);
    return g_strcmp0(now, value) == 0;
}

/* A host that forwards takes no router's advertisements, unless accept_ra is 2. Only of links that are there: with "default"
 * our own bridges, made later, would believe what guests advertise. */
static int keep_accepting_routers(void)
{
    int result = 0;
    DIR *dir = opendir("/proc/sys/" CONF6);
    if (!dir)
        return -errno;
    for (struct dirent *d; (d = readdir(dir));) {
        if (g_str_equal(d->d_name, "all") || g_str_equal(d->d_name, "default") || d->d_name[0] == '.')
            continue;
        g_autofree char *accept = g_strdup_printf(CONF6 "/%s/accept_ra", d->d_name);
        g_autofree char *forwarding = g_strdup_printf(CONF6 "/%s/forwarding", d->d_name);
        if (!has_value(forwarding, "0") || !has_value(accept, "1"))
            continue;
        int r = sysctl_write(accept, "2");
        if (r < 0 && r != -ENOENT)
            result = r;
    }
    (void) closedir(dir);
    return result;
}

bool sysctl_enable_forwarding(int family, Error **ret_error)
{
    const char *name = family == AF_INET ? "net/ipv4/ip_forward" : CONF6 "/all/forwarding";
    if (has_value(name, "1"))
        return true;
    int r = family == AF_INET ? 0 : keep_accepting_routers();
    if (r >= 0)
        r = sysctl_write(name, "1");
    if (r >= 0)
        return true;
    g_autofree char *thing = g_strdup_printf("/proc/sys/%s", name);
    g_autofree char *remedy = g_strdup_printf("Set it with 'sysctl -w %s=1'", name);
    return error_set(ret_error, r == -ENOENT ? ERROR_UNSUPPORTED : ERROR_FAILED, thing, remedy,
        "the host cannot be made to forward %s: %s", family == AF_INET ? "IPv4" : "IPv6", g_strerror(-r));
}
