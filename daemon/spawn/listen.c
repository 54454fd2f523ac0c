/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "listen.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 64

static int listen_at(const SpawnListen *where, int family, uint16_t port)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
    const int yes = 1, only = where->family != LISTEN_ANY;
    bool six = family == AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), r;

    if (fd < 0)
        return -errno;
    memcpy(&v4.sin_addr, where->address, sizeof(v4.sin_addr));
    memcpy(&v6.sin6_addr, where->address, sizeof(v6.sin6_addr));
    /* A peer that has gone without a word is noticed. What is accepted inherits it. */
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes)) < 0 || setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes)) < 0 ||
            (six && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, sizeof(only)) < 0) ||
            bind(fd, six ? (struct sockaddr *) &v6 : (struct sockaddr *) &v4, six ? sizeof(v6) : sizeof(v4)) < 0 || listen(fd, BACKLOG) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    return fd;
}

int listen_on(const SpawnListen *where)
{
    int r = -EINVAL;

    if (where->family >= _LISTEN_FAMILY_MAX || where->first == 0)
        return -EINVAL;
    for (unsigned port = where->first; port <= where->last; port++) {
        r = listen_at(where, where->family == LISTEN_IPV4 ? AF_INET : AF_INET6, (uint16_t) port);
        /* A host without IPv6. */
        if (where->family == LISTEN_ANY && (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL))
            r = listen_at(where, AF_INET, (uint16_t) port);
        if (r != -EADDRINUSE)
            break;
    }
    return r;
}
