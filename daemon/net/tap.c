/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/sockios.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"

#define TUN_PATH "/dev/net/tun"
#define VHOST_PATH "/dev/vhost-net"

static const Tap no_tap = {.queues = 0};

static bool fail_tun(int err, const char *cause, Error **ret_error)
{
    const char *remedy = err == ENOENT || err == ENODEV || err == ENXIO ? "Load the kernel's module \"tun\" ('modprobe tun')" :
        err == EPERM || err == EACCES ? "vmd needs the capability CAP_NET_ADMIN for this, and a sandbox or container that lets it use the device" : NULL;
    if (remedy)
        return error_set(ret_error, ERROR_UNSUPPORTED, TUN_PATH, remedy, "%s: %s", cause, g_strerror(err));
    return error_set_errno(ret_error, err, TUN_PATH, "%s", cause);
}

/* Of any socket: vmd's sandbox has none of AF_INET. */
static int find_index(const char *name)
{
    struct ifreq request = {0};
    fd_cleanup int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    return ioctl(fd, SIOCGIFINDEX, &request) < 0 ? -errno : request.ifr_ifindex;
}

/* A high MAC of the host's end: a bridge takes the lowest of its ports' as its own. */
static int choose_mac(int fd)
{
    struct ifreq request = {.ifr_hwaddr.sa_family = ARPHRD_ETHER};
    request.ifr_hwaddr.sa_data[0] = (char) 0xfe;
    if (getrandom(request.ifr_hwaddr.sa_data + 1, 5, 0) != 5)
        return -EIO;
    return ioctl(fd, SIOCSIFHWADDR, &request) < 0 ? -errno : 0;
}

static int set_queue(int fd, const char *name, unsigned queues, char *ret_name)
{
    struct ifreq request = {0};
    request.ifr_flags = (short) (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
    g_strlcpy(request.ifr_name, name, sizeof request.ifr_name);
    if (ioctl(fd, TUNSETIFF, &request) < 0)
        return -errno;
    if (ret_name)
        g_strlcpy(ret_name, request.ifr_name, IFNAMSIZ);
    return 0;
}

/* Not there, or not allowed: QEMU moves the packets itself then. */
static int open_vhost(bool vhost)
{
    return vhost ? open(VHOST_PATH, O_RDWR | O_CLOEXEC) : -1;
}

static bool open_queues(Tap *tap, const char *pattern, unsigned queues, bool vhost, Error **ret_error)
{
    while (tap->queues < queues) {
        int fd = open(TUN_PATH, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (fd < 0)
            return fail_tun(errno, "it cannot be opened", ret_error);
        tap->fds[tap->queues] = fd;
        tap->vhost_fds[tap->queues] = -1;
        tap->queues++;

        bool first = tap->queues == 1;
        int r = set_queue(fd, first ? pattern : tap->name, queues, first ? tap->name : NULL);
        if (r >= 0 && first)
            r = choose_mac(fd);
        if (r < 0)
            return fail_tun(-r, "the kernel makes no tap device", ret_error);
        tap->vhost_fds[tap->queues - 1] = open_vhost(vhost);
    }
    return true;
}

bool tap_open(const char *pattern, unsigned queues, bool vhost, Tap *ret, Error **ret_error)
{
    g_assert(queues >= 1 && queues <= TAP_QUEUES_MAX);
    Tap tap = no_tap;
    bool ok = open_queues(&tap, pattern, queues, vhost, ret_error);
    if (ok) {
        tap.index = find_index(tap.name);
        if (tap.index < 0)
            ok = error_set_errno(ret_error, tap.index, tap.name, "the new tap device cannot be found");
    }
    if (!ok)
        tap_close(&tap);
    else
        *ret = tap;
    return ok;
}

/* The node may be an old one's that had this index before: sysfs knows the number. */
static int check_node(int fd, int index, const char *name)
{
    struct stat st;
    g_autofree char *path = g_strdup_printf("/sys/class/net/%s/macvtap/tap%d/dev", name, index), *text = NULL;
    unsigned major, minor;
    char end;
    if (fstat(fd, &st) < 0)
        return -errno;
    if (!S_ISCHR(st.st_mode))
        return -ENXIO;
    if (!g_file_get_contents(path, &text, NULL, NULL))
        return 0; /* a sysfs of another network namespace */
    if (sscanf(text, "%u:%u%c", &major, &minor, &end) != 3 || end != '\n')
        return -ENXIO;
    return st.st_rdev == makedev(major, minor) ? 0 : -ENXIO;
}

static bool open_macvtap_queues(Tap *tap, unsigned queues, bool vhost, Error **ret_error)
{
    g_autofree char *path = g_strdup_printf("/dev/tap%d", tap->index);
    while (tap->queues < queues) {
        int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | O_NOFOLLOW);
        int r = fd < 0 ? -errno : 0;
        if (r >= 0) {
            tap->fds[tap->queues] = fd;
            tap->vhost_fds[tap->queues] = -1;
            tap->queues++;
            r = check_node(fd, tap->index, tap->name);
        }
        if (r == -ENOENT || r == -ENXIO || r == -ENODEV)
            return error_set(ret_error, ERROR_BUSY, path, "udev makes it, see 'systemctl status systemd-udevd'",
                "the device node of the macvtap \"%s\" is not there yet", tap->name);
        /* The device policy of vmd's unit names macvtap, whose number systemd reads when the unit starts. */
        if (r == -EPERM)
            return error_set(ret_error, ERROR_UNSUPPORTED, path, "Run 'systemctl restart vmd.service', which no VM minds; load the kernel's module \"macvtap\" at boot",
                "vmd's sandbox does not let it open the macvtap \"%s\", since the kernel had no macvtap when vmd started", tap->name);
        if (r >= 0)
            r = set_queue(fd, tap->name, queues, NULL);
        if (r < 0)
            return error_set_errno(ret_error, r, path, "the macvtap \"%s\" cannot be opened", tap->name);
        tap->vhost_fds[tap->queues - 1] = open_vhost(vhost);
    }
    return true;
}

bool tap_open_macvtap(int index, const char *name, unsigned queues, bool vhost, Tap *ret, Error **ret_error)
{
    g_assert(queues >= 1 && queues <= TAP_QUEUES_MAX);
    Tap tap = no_tap;
    tap.index = index;
    g_strlcpy(tap.name, name, sizeof tap.name);
    if (!open_macvtap_queues(&tap, queues, vhost, ret_error)) {
        tap_close(&tap);
        return false;
    }
    *ret = tap;
    return true;
}

void tap_close(Tap *tap)
{
    for (unsigned i = 0; i < tap->queues; i++) {
        close_fd(&tap->fds[i]);
        close_fd(&tap->vhost_fds[i]);
    }
    tap->queues = 0;
}
