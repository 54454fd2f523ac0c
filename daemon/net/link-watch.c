/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links: being told of changes. */

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "link-internal.h"

#define PIECE_MAX 65536U
#define PIECES_A_TURN 16U /* others are on the loop, too */
#define QUEUE_SIZE (1024 * 1024)

struct LinkWatch {
    int fd;
    sd_event_source *source;
    LinksChanged changed;
    void *userdata;
    bool over; /* the watcher has had enough, perhaps while it was told */
    unsigned n_ref;
    char *buffer;
};

static void watch_unref(LinkWatch *watch)
{
    if (--watch->n_ref > 0)
        return;
    g_free(watch->buffer);
    g_free(watch);
}

void link_unwatch(LinkWatch *watch)
{
    watch->over = true;
    sd_event_source_disable_unref(watch->source);
    close_fd(&watch->fd);
    watch_unref(watch);
}

static void tell(LinkWatch *watch, const struct nlmsghdr *h)
{
    Link link;
    if (h->nlmsg_type == RTM_NEWLINK || h->nlmsg_type == RTM_DELLINK) {
        /* A bridge tells of its ports in the same words: one that leaves it is not gone. */
        const struct ifinfomsg *head = nlmsg_data(h);
        if (link_read(h, &link) && head->ifi_family == AF_UNSPEC)
            watch->changed(LINKS_LINK, link.index, link.name, h->nlmsg_type == RTM_DELLINK, watch->userdata);
    } else if ((h->nlmsg_type == RTM_NEWNEIGH || h->nlmsg_type == RTM_DELNEIGH) && nlmsg_datalen(h) >= (int) sizeof(struct ndmsg)) {
        const struct ndmsg *head = nlmsg_data(h);
        if (head->ndm_family == AF_INET || head->ndm_family == AF_INET6)
            watch->changed(LINKS_NEIGHBOUR, head->ndm_ifindex, NULL, h->nlmsg_type == RTM_DELNEIGH, watch->userdata);
    }
}

static int on_change(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    LinkWatch *watch = userdata;
    watch->n_ref++;
    for (unsigned i = 0; i < PIECES_A_TURN && !watch->over; i++) {
        struct sockaddr_nl from;
        socklen_t from_length = sizeof from;
        ssize_t n = recvfrom(watch->fd, watch->buffer, PIECE_MAX, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *) &from, &from_length);
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 || n > (ssize_t) PIECE_MAX) {
            watch->changed(LINKS_LOST, 0, NULL, false, watch->userdata);
            continue;
        }
        if (from_length != sizeof from || from.nl_pid != 0)
            continue;
        int left = (int) n;
        for (struct nlmsghdr *h = (struct nlmsghdr *) watch->buffer; nlmsg_ok(h, left) && !watch->over; h = nlmsg_next(h, &left))
            tell(watch, h);
    }
    watch_unref(watch);
    return 0;
}

static int open_socket(void)
{
    static const int groups[] = {RTNLGRP_LINK, RTNLGRP_NEIGH};
    const int size = QUEUE_SIZE;
    const struct sockaddr_nl own = {.nl_family = AF_NETLINK}; /* without one it is taken for the kernel and told nothing */
    fd_cleanup int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    if (bind(fd, (const struct sockaddr *) &own, sizeof own) < 0)
        return -errno;
    for (size_t i = 0; i < G_N_ELEMENTS(groups); i++)
        if (setsockopt(fd, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]) < 0)
            return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size) < 0)
        (void) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return steal_fd(&fd);
}

int links_watch(Links *links, LinksChanged changed, void *userdata)
{
    links_unwatch(links);
    int fd = open_socket();
    if (fd < 0)
        return fd;
    LinkWatch *watch = g_new(LinkWatch, 1);
    *watch = (LinkWatch){.fd = fd, .changed = changed, .userdata = userdata, .n_ref = 1, .buffer = g_malloc(PIECE_MAX)};
    int r = sd_event_add_io(links->event, &watch->source, fd, EPOLLIN, on_change, watch);
    if (r < 0) {
        link_unwatch(watch);
        return r;
    }
    links->watch = watch;
    return 0;
}

void links_unwatch(Links *links)
{
    LinkWatch *watch = g_steal_pointer(&links->watch);
    if (watch)
        link_unwatch(watch);
}
