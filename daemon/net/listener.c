/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "listener.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>

#include "cleanup.h"

#define LISTENING (1U << 10) /* TCP_LISTEN */
#define UNCONNECTED (1U << 7) /* TCP_CLOSE: of UDP a socket that is bound */
#define ANSWER_MAX 32768U
#define CGROUP_DEPTH_MAX 10U

typedef struct Extras {
    bool only_six;
    uint64_t cgroup;
} Extras;

static Extras read_extras(const struct nlmsghdr *h)
{
    Extras extras = {0};
    int left = (int) (h->nlmsg_len - NLMSG_LENGTH(sizeof(struct inet_diag_msg)));
    for (const struct rtattr *a = (const struct rtattr *) ((const char *) NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct inet_diag_msg)));
         left > 0 && RTA_OK(a, left); a = RTA_NEXT(a, left)) {
        if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) >= 1)
            extras.only_six = *(const uint8_t *) RTA_DATA(a) != 0;
        else if (a->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(a) >= sizeof extras.cgroup)
            memcpy(&extras.cgroup, RTA_DATA(a), sizeof extras.cgroup);
    }
    return extras;
}

static Address read_address(const struct inet_diag_msg *m, bool only_six)
{
    Address own = {.family = m->idiag_family, .prefix = m->idiag_family == AF_INET ? 32 : 128};
    if (own.family == AF_INET) {
        memcpy(&own.v4, m->id.idiag_src, sizeof own.v4);
        return own;
    }
    memcpy(&own.v6, m->id.idiag_src, sizeof own.v6);
    if (IN6_IS_ADDR_V4MAPPED(&own.v6)) {
        struct in_addr v4;
        memcpy(&v4, own.v6.s6_addr + 12, sizeof v4);
        own = (Address){.family = AF_INET, .prefix = 32, .v4 = v4};
    } else if (IN6_IS_ADDR_UNSPECIFIED(&own.v6) && !only_six) {
        own = (Address){.family = AF_UNSPEC};
    }
    return own;
}

static int ask(int fd, int family, bool udp)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct {
        struct nlmsghdr head;
        struct inet_diag_req_v2 request;
    } message = {
        .head = {.nlmsg_len = sizeof message, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = (uint32_t) family},
        .request = {.sdiag_family = (uint8_t) family, .sdiag_protocol = udp ? IPPROTO_UDP : IPPROTO_TCP, .idiag_states = udp ? UNCONNECTED : LISTENING},
    };
    return sendto(fd, &message, sizeof message, 0, (const struct sockaddr *) &kernel, sizeof kernel) < 0 ? -errno : 0;
}

static void take(const struct nlmsghdr *h, bool udp, uint16_t first, uint16_t last, GArray *listeners)
{
    const struct inet_diag_msg *m = NLMSG_DATA(h);
    if (h->nlmsg_len < NLMSG_LENGTH(sizeof *m))
        return;
    Extras extras = read_extras(h);
    const Listener listener = {
        .udp = udp,
        .address = read_address(m, extras.only_six),
        .port = ntohs(m->id.idiag_sport),
        .index = (int) m->id.idiag_if,
        .cgroup = extras.cgroup,
    };
    if (listener.port >= first && listener.port <= last)
        g_array_append_val(listeners, listener);
}

static void receive(int fd, bool udp, uint16_t first, uint16_t last, GArray *listeners)
{
    g_autofree char *buffer = g_malloc(ANSWER_MAX);
    for (;;) {
        ssize_t n = recv(fd, buffer, ANSWER_MAX, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return;
        unsigned left = (unsigned) n;
        for (const struct nlmsghdr *h = (const struct nlmsghdr *) buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                return;
            take(h, udp, first, last, listeners);
        }
    }
}

GArray *listeners_list(bool udp, uint16_t first, uint16_t last)
{
    static const int families[] = {AF_INET, AF_INET6};
    const struct timeval timeout = {.tv_sec = 2};
    GArray *listeners = g_array_new(FALSE, FALSE, sizeof(Listener));
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        fd_cleanup int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) >= 0 && ask(fd, families[i], udp) >= 0)
            receive(fd, udp, first, last, listeners);
    }
    return listeners;
}

/* ---- whose it is ---- */

/* A cgroup's id is the inode of its folder. NULL: not below this one. */
static char *find_cgroup(const char *dir, uint64_t cgroup, unsigned depth)
{
    g_autoptr(GDir) list = depth < CGROUP_DEPTH_MAX ? g_dir_open(dir, 0, NULL) : NULL;
    char *found = NULL;
    const char *name;
    while (list && !found && (name = g_dir_read_name(list))) {
        g_autofree char *path = g_build_filename(dir, name, NULL);
        struct stat st;
        if (lstat(path, &st) < 0 || !S_ISDIR(st.st_mode))
            continue;
        found = st.st_ino == cgroup ? g_strdup(path) : find_cgroup(path, cgroup, depth + 1);
    }
    return found;
}

char *listener_unit(uint64_t cgroup)
{
    static const char *const roots[] = {"/sys/fs/cgroup", "/sys/fs/cgroup/unified"};
    char *unit = NULL;
    for (size_t i = 0; cgroup && !unit && i < G_N_ELEMENTS(roots); i++) {
        g_autofree char *controllers = g_build_filename(roots[i], "cgroup.controllers", NULL);
        g_autofree char *path = g_file_test(controllers, G_FILE_TEST_EXISTS) ? find_cgroup(roots[i], cgroup, 0) : NULL;
        g_auto(GStrv) parts = path ? g_strsplit(path, "/", -1) : NULL;
        for (guint p = parts ? g_strv_length(parts) : 0; p > 0 && !unit; p--)
            if (g_str_has_suffix(parts[p - 1], ".service") || g_str_has_suffix(parts[p - 1], ".scope"))
                unit = g_strdup(parts[p - 1]);
    }
    return unit;
}
