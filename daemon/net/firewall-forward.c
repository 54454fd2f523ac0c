/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Firewall: forwards of ports as people write them, and who has these ports already. */

#include <string.h>

#include "firewall.h"
#include "listener.h"
#include "value.h"

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

bool firewall_port_is_taken(const FirewallForward *forward, uint16_t *ret_port)
{
    g_autoptr(GArray) listeners = listeners_list(forward->udp, forward->first, forward->last);
    uint16_t port = 0;
    for (guint i = 0; i < listeners->len; i++) {
        const Listener *listener = &g_array_index(listeners, Listener, i);
        if (listens_collide(&listener->address, &forward->listen) && (port == 0 || listener->port < port))
            port = listener->port;
    }
    if (port == 0)
        return false;
    *ret_port = port;
    return true;
}
