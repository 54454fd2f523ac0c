/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links: what addresses, routes and neighbours there are, and what has passed. */

#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <string.h>

#include "link-internal.h"

/* An address of a link, or a route. */
typedef struct Used {
    Address address;
    int index; /* 0: a route that has several ways */
    uint32_t metric;
} Used;

static bool read_address(struct nlattr *attribute, int family, unsigned prefix, Address *ret)
{
    Address a = {.family = family, .prefix = prefix};
    size_t length = family == AF_INET ? sizeof a.v4 : sizeof a.v6;
    if ((family != AF_INET && family != AF_INET6) || prefix > length * 8)
        return false;
    if (attribute) {
        if ((size_t) nla_len(attribute) != length)
            return false;
        memcpy(&a.v6, nla_data(attribute), length);
    }
    *ret = a;
    return true;
}

static void take_address(const struct nlmsghdr *header, GArray *items, void *userdata)
{
    struct nlattr *a[IFA_MAX + 1];
    const struct ifaddrmsg *head = nlmsg_data(header);
    Used used = {0};
    if (header->nlmsg_type != RTM_NEWADDR || nlmsg_datalen(header) < (int) sizeof *head ||
        nlmsg_parse((struct nlmsghdr *) header, sizeof *head, a, IFA_MAX, NULL) < 0)
        return;
    struct nlattr *own = a[IFA_LOCAL] ? a[IFA_LOCAL] : a[IFA_ADDRESS];
    used.index = (int) head->ifa_index;
    if (own && read_address(own, head->ifa_family, head->ifa_prefixlen, &used.address))
        g_array_append_val(items, used);
}

/* Unicast routes that are no address's own: those are of the table "local". */
static void take_route(const struct nlmsghdr *header, GArray *items, void *userdata)
{
    struct nlattr *a[RTA_MAX + 1];
    const struct rtmsg *head = nlmsg_data(header);
    Used used = {0};
    if (header->nlmsg_type != RTM_NEWROUTE || nlmsg_datalen(header) < (int) sizeof *head ||
        nlmsg_parse((struct nlmsghdr *) header, sizeof *head, a, RTA_MAX, NULL) < 0)
        return;
    if (head->rtm_type != RTN_UNICAST || head->rtm_table == RT_TABLE_LOCAL || (head->rtm_flags & RTM_F_CLONED))
        return;
    if (a[RTA_OIF] && nla_len(a[RTA_OIF]) >= 4)
        used.index = nla_get_s32(a[RTA_OIF]);
    else if (a[RTA_MULTIPATH] && nla_len(a[RTA_MULTIPATH]) >= (int) sizeof(struct rtnexthop))
        used.index = ((const struct rtnexthop *) nla_data(a[RTA_MULTIPATH]))->rtnh_ifindex;
    if (a[RTA_PRIORITY] && nla_len(a[RTA_PRIORITY]) >= 4)
        used.metric = nla_get_u32(a[RTA_PRIORITY]);
    if (read_address(a[RTA_DST], head->rtm_family, head->rtm_dst_len, &used.address))
        g_array_append_val(items, used);
}

static GArray *list_addresses(Links *links, int family, Error **ret_error)
{
    const struct ifaddrmsg head = {.ifa_family = (uint8_t) family};
    g_autoptr(NlMessage) message = link_message(RTM_GETADDR, NLM_F_DUMP, &head, sizeof head);
    return link_dump(links, message, take_address, sizeof(Used), NULL, "addresses", ret_error);
}

static GArray *list_routes(Links *links, int family, Error **ret_error)
{
    const struct rtmsg head = {.rtm_family = (uint8_t) family};
    g_autoptr(NlMessage) message = link_message(RTM_GETROUTE, NLM_F_DUMP, &head, sizeof head);
    return link_dump(links, message, take_route, sizeof(Used), NULL, "routes", ret_error);
}

/* A way to everywhere, or to half of it as VPNs have two, says nothing of a network. */
static bool is_default(const Address *route)
{
    return route->prefix <= (route->family == AF_INET ? 1U : 3U);
}

static char *describe(Links *links, const char *what, const Used *used)
{
    Link link = {.name = "?"};
    g_autofree char *text = address_to_string(&used->address);
    (void) links_get_by_index(links, used->index, &link);
    return g_strdup_printf("the %s %s of %s", what, text, link.name);
}

bool links_find_collision(Links *links, const Address *network, int except_index, char **ret_who, Error **ret_error)
{
    g_autoptr(GArray) addresses = list_addresses(links, network->family, ret_error);
    g_autoptr(GArray) routes = addresses ? list_routes(links, network->family, ret_error) : NULL;
    if (!routes)
        return false;

    char *who = NULL;
    for (guint i = 0; i < addresses->len && !who; i++) {
        const Used *used = &g_array_index(addresses, Used, i);
        if (address_overlaps(network, &used->address) && (!except_index || used->index != except_index))
            who = describe(links, "address", used);
    }
    for (guint i = 0; i < routes->len && !who; i++) {
        const Used *used = &g_array_index(routes, Used, i);
        if (address_overlaps(network, &used->address) && !is_default(&used->address) && (!except_index || used->index != except_index))
            who = describe(links, "route", used);
    }
    *ret_who = who;
    return true;
}

bool links_default_route(Links *links, int *ret_index, Error **ret_error)
{
    static const int families[] = {AF_INET, AF_INET6};
    int found = 0;
    for (size_t f = 0; f < G_N_ELEMENTS(families) && !found; f++) {
        uint32_t metric = UINT32_MAX;
        g_autoptr(GArray) routes = list_routes(links, families[f], ret_error);
        if (!routes)
            break;
        for (guint i = 0; i < routes->len; i++) {
            const Used *used = &g_array_index(routes, Used, i);
            if (used->address.prefix != 0 || used->index == 0 || (found && used->metric >= metric))
                continue;
            found = used->index;
            metric = used->metric;
        }
    }
    *ret_index = found;
    return found > 0;
}

static void take_neighbour(const struct nlmsghdr *header, GArray *items, void *userdata)
{
    struct nlattr *a[NDA_MAX + 1];
    const struct ndmsg *head = nlmsg_data(header);
    Neighbour n = {0};
    if (header->nlmsg_type != RTM_NEWNEIGH || nlmsg_datalen(header) < (int) sizeof *head ||
        nlmsg_parse((struct nlmsghdr *) header, sizeof *head, a, NDA_MAX, NULL) < 0)
        return;
    const int heard = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT;
    if (head->ndm_ifindex != *(const int *) userdata || !(head->ndm_state & heard) || head->ndm_type != RTN_UNICAST)
        return;
    if (!a[NDA_DST] || !a[NDA_LLADDR] || nla_len(a[NDA_LLADDR]) != ETH_ALEN)
        return;
    if (!read_address(a[NDA_DST], head->ndm_family, head->ndm_family == AF_INET ? 32 : 128, &n.address))
        return;
    n.index = head->ndm_ifindex;
    memcpy(&n.mac, nla_data(a[NDA_LLADDR]), ETH_ALEN);
    g_array_append_val(items, n);
}

GArray *links_neighbours(Links *links, int index, Error **ret_error)
{
    const struct ndmsg head = {.ndm_family = AF_UNSPEC};
    g_autoptr(NlMessage) message = link_message(RTM_GETNEIGH, NLM_F_DUMP, &head, sizeof head);
    link_put_u32(message, NDA_IFINDEX, (uint32_t) index);
    return link_dump(links, message, take_neighbour, sizeof(Neighbour), &index, "neighbours", ret_error);
}

static void take_counters(const struct nlmsghdr *header, GArray *items, void *userdata)
{
    struct nlattr *a[IFLA_MAX + 1];
    const struct ifinfomsg *head = nlmsg_data(header);
    struct rtnl_link_stats64 stats = {0};
    if (header->nlmsg_type != RTM_NEWLINK || nlmsg_datalen(header) < (int) sizeof *head ||
        nlmsg_parse((struct nlmsghdr *) header, sizeof *head, a, IFLA_MAX, NULL) < 0 || !a[IFLA_STATS64])
        return;
    /* A kernel that is newer than what this was built with has more of them, at the end. */
    memcpy(&stats, nla_data(a[IFLA_STATS64]), MIN((size_t) nla_len(a[IFLA_STATS64]), sizeof stats));
    const LinkCounters counters = {
        .received = stats.rx_bytes,
        .sent = stats.tx_bytes,
        .packets_received = stats.rx_packets,
        .packets_sent = stats.tx_packets,
        .errors_received = stats.rx_errors,
        .errors_sent = stats.tx_errors,
        .dropped_received = stats.rx_dropped,
        .dropped_sent = stats.tx_dropped,
    };
    g_array_append_val(items, counters);
}

int links_counters(Links *links, int index, LinkCounters *ret)
{
    if (index <= 0)
        return -ENODEV;
    g_autoptr(NlMessage) message = link_message_for(RTM_GETLINK, 0, index);
    g_autoptr(GArray) items = g_array_new(false, false, sizeof(LinkCounters));
    int r = link_request(links, message, take_counters, items, NULL);
    if (r < 0)
        return r;
    if (items->len == 0)
        return -ENODEV;
    *ret = g_array_index(items, LinkCounters, 0);
    return 0;
}
