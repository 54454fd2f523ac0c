/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Firewall: forwards of ports as people write them, and who has these ports already. */

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "cleanup.h"
#include "firewall.h"
#include "value.h"

#define LISTENING (1U << 10) /* TCP_LISTEN */
#define UNCONNECTED (1U << 7) /* TCP_CLOSE: of UDP a socket that is bound */
#define ANSWER_MAX 32768U

static bool parse_port(const char *s, size_t length, uint16_t *ret)
{
    char text[6];
    uint64_t n;
    if (length == 0 || length >= sizeof text || s[0] == '0')
        return false;
    memcpy(text, s, length);
    text[length] = '\0';
    if (strspn(text, "0123456789") != length || parse_uint64(text, &n) < 0 || n > UINT16_MAX)
        return false;
    *ret = (uint16_t) n;
    return true;
}

/* [FIRST-]LAST */
static bool parse_ports(const char *s, size_t length, FirewallForward *f)
{
    const char *dash = memchr(s, '-', length);
    size_t n = dash ? (size_t) (dash - s) : length;
    if (!parse_port(s, n, &f->first))
        return false;
    f->last = f->first;
    return !dash || (parse_port(dash + 1, length - n - 1, &f->last) && f->last >= f->first);
}

/* Steps over "ADDRESS:"; of IPv6 in brackets. */
static bool parse_listen(const char **at, Address *ret)
{
    char text[64];
    bool six = **at == '[';
    const char *begin = *at + six, *end = strchr(begin, six ? ']' : ':');
    if (!six && (!end || !memchr(begin, '.', (size_t) (end - begin))))
        return true; /* a port */
    if (!end || (size_t) (end - begin) >= sizeof text || end[six] != ':')
        return false;
    memcpy(text, begin, (size_t) (end - begin));
    text[end - begin] = '\0';
    if (strchr(text, '/') || address_parse(text, ret) < 0 || ret->family != (six ? AF_INET6 : AF_INET))
        return false;
    *at = end + six + 1;
    return true;
}

static const char *parse(const char *text, FirewallForward *f)
{
    if (g_str_has_prefix(text, "udp:"))
        f->udp = true;
    else if (!g_str_has_prefix(text, "tcp:"))
        return "it begins neither with \"tcp:\" nor with \"udp:\"";
    const char *at = text + 4;
    if (!parse_listen(&at, &f->listen))
        return "there is no such address";
    const char *colon = strchrnul(at, ':');
    if (!parse_ports(at, (size_t) (colon - at), f))
        return "the host's port is none, nor a range of ports from 1 to 65535";
    f->to = f->first;
    if (*colon && !parse_port(colon + 1, strlen(colon + 1), &f->to))
        return "the guest's port is none, from 1 to 65535";
    if ((unsigned) f->to + (f->last - f->first) > UINT16_MAX)
        return "the guest has not that many ports";
    return NULL;
}

bool firewall_forward_parse(const char *text, FirewallForward *ret, Error **ret_error)
{
    FirewallForward f = {0};
    const char *cause = parse(text, &f);
    if (cause) {
        g_autofree char *valid = g_utf8_make_valid(text, (gssize) strnlen(text, 128)), *thing = g_strdup_printf("the forward \"%s\"", valid);
        return error_set(ret_error, ERROR_INVALID_SETTINGS, thing, "Write it as \"tcp:2222:22\", \"udp:5000-5010:6000\" or \"tcp:192.168.1.5:80:8080\"", "%s", cause);
    }
    *ret = f;
    return true;
}

static bool is_any(const Address *a)
{
    return a->family == AF_UNSPEC || (a->family == AF_INET ? a->v4.s_addr == 0 : IN6_IS_ADDR_UNSPECIFIED(&a->v6));
}

static bool listens_collide(const Address *a, const Address *b)
{
    if (a->family == AF_UNSPEC || b->family == AF_UNSPEC)
        return true;
    return a->family == b->family && (is_any(a) || is_any(b) || address_equal(a, b));
}

bool firewall_forward_collides(const FirewallForward *a, const FirewallForward *b)
{
    return a->udp == b->udp && a->first <= b->last && b->first <= a->last && listens_collide(&a->listen, &b->listen);
}

/* Whether this socket would get what the forward takes. */
static bool takes(const struct inet_diag_msg *m, bool only_six, const FirewallForward *f)
{
    Address own = {.family = m->idiag_family};
    uint16_t port = ntohs(m->id.idiag_sport);
    if (port < f->first || port > f->last)
        return false;
    if (own.family == AF_INET) {
        own.prefix = 32;
        memcpy(&own.v4, m->id.idiag_src, sizeof own.v4);
    } else {
        own.prefix = 128;
        memcpy(&own.v6, m->id.idiag_src, sizeof own.v6);
        if (IN6_IS_ADDR_V4MAPPED(&own.v6)) {
            struct in_addr v4;
            memcpy(&v4, own.v6.s6_addr + 12, sizeof v4);
            own = (Address){.family = AF_INET, .prefix = 32, .v4 = v4};
        } else if (is_any(&own) && !only_six)
            own.family = AF_UNSPEC; /* IPv4, too */
    }
    return listens_collide(&own, &f->listen);
}

static bool has_only_six(const struct nlmsghdr *h)
{
    int left = (int) (h->nlmsg_len - NLMSG_LENGTH(sizeof(struct inet_diag_msg)));
    for (const struct rtattr *a = (const struct rtattr *) ((const char *) NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct inet_diag_msg)));
         left > 0 && RTA_OK(a, left); a = RTA_NEXT(a, left))
        if (a->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(a) >= 1)
            return *(const uint8_t *) RTA_DATA(a) != 0;
    return false;
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

/* The lowest port of the forward that a socket has; 0: none. */
static uint16_t find_taken(int fd, const FirewallForward *f)
{
    uint16_t port = 0;
    g_autofree char *buffer = g_malloc(ANSWER_MAX);
    for (;;) {
        ssize_t n = recv(fd, buffer, ANSWER_MAX, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return port;
        unsigned left = (unsigned) n;
        for (const struct nlmsghdr *h = (const struct nlmsghdr *) buffer; NLMSG_OK(h, left); h = NLMSG_NEXT(h, left)) {
            if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
                return port;
            const struct inet_diag_msg *m = NLMSG_DATA(h);
            if (h->nlmsg_len >= NLMSG_LENGTH(sizeof *m) && takes(m, has_only_six(h), f) && (port == 0 || ntohs(m->id.idiag_sport) < port))
                port = ntohs(m->id.idiag_sport);
        }
    }
}

bool firewall_port_is_taken(const FirewallForward *forward, uint16_t *ret_port)
{
    static const int families[] = {AF_INET, AF_INET6};
    const struct timeval timeout = {.tv_sec = 2};
    uint16_t port = 0;
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        fd_cleanup int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
        if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0 || ask(fd, families[i], forward->udp) < 0)
            continue;
        uint16_t taken = find_taken(fd, forward);
        if (taken && (port == 0 || taken < port))
            port = taken;
    }
    if (port == 0)
        return false;
    *ret_port = port;
    return true;
}
