/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links: found, made, changed, removed. */

#include "link.h"

#include <errno.h>
#include <linux/if_bridge.h>
#include <linux/if_link.h>
#include <string.h>

#include "link-internal.h"
#include "sysctl.h"

bool link_name_is_valid(const char *name)
{
    size_t length = strlen(name);
    if (length == 0 || length >= IFNAMSIZ || g_str_equal(name, ".") || g_str_equal(name, ".."))
        return false;
    for (const char *c = name; *c; c++)
        if (*c == '/' || *c == ':' || *c == '"' || *c == '\\' || !g_ascii_isgraph(*c))
            return false;
    return true;
}

static void copy_string(struct nlattr *attribute, char *to, size_t size)
{
    if (attribute)
        (void) nla_strlcpy(to, attribute, size);
}

bool link_read(const struct nlmsghdr *header, Link *ret)
{
    struct nlattr *a[IFLA_MAX + 1], *info[IFLA_INFO_MAX + 1];
    const struct ifinfomsg *head = nlmsg_data(header);
    if ((header->nlmsg_type != RTM_NEWLINK && header->nlmsg_type != RTM_DELLINK) || nlmsg_datalen(header) < (int) sizeof *head ||
        nlmsg_parse((struct nlmsghdr *) header, sizeof *head, a, IFLA_MAX, NULL) < 0 || !a[IFLA_IFNAME])
        return false;

    Link link = {.index = head->ifi_index, .up = head->ifi_flags & IFF_UP, .running = head->ifi_flags & IFF_RUNNING};
    copy_string(a[IFLA_IFNAME], link.name, sizeof link.name);
    copy_string(a[IFLA_IFALIAS], link.alias, sizeof link.alias);
    if (a[IFLA_LINKINFO] && nla_parse_nested(info, IFLA_INFO_MAX, a[IFLA_LINKINFO], NULL) == 0)
        copy_string(info[IFLA_INFO_KIND], link.kind, sizeof link.kind);
    if (a[IFLA_MASTER] && nla_len(a[IFLA_MASTER]) >= 4)
        link.master = nla_get_s32(a[IFLA_MASTER]);
    if (a[IFLA_MTU] && nla_len(a[IFLA_MTU]) >= 4)
        link.mtu = nla_get_u32(a[IFLA_MTU]);
    if (a[IFLA_ADDRESS] && nla_len(a[IFLA_ADDRESS]) == ETH_ALEN)
        memcpy(&link.mac, nla_data(a[IFLA_ADDRESS]), ETH_ALEN);
    *ret = link;
    return true;
}

/* `userdata`: what the alias begins with, or NULL. */
static void take_link(const struct nlmsghdr *header, GArray *items, void *userdata)
{
    Link link;
    if (link_read(header, &link) && (!userdata || g_str_has_prefix(link.alias, userdata)))
        g_array_append_val(items, link);
}

static int get(Links *links, NlMessage *message, Link *ret)
{
    g_autoptr(GArray) items = g_array_new(false, false, sizeof(Link));
    int r = link_request(links, message, take_link, items, NULL);
    if (r < 0)
        return r;
    if (items->len == 0)
        return -ENODEV;
    *ret = g_array_index(items, Link, 0);
    return 0;
}

int links_get(Links *links, const char *name, Link *ret)
{
    if (!link_name_is_valid(name))
        return -ENODEV;
    g_autoptr(NlMessage) message = link_message_for(RTM_GETLINK, 0, 0);
    link_put_string(message, IFLA_IFNAME, name);
    return get(links, message, ret);
}

int links_get_by_index(Links *links, int index, Link *ret)
{
    if (index <= 0)
        return -ENODEV;
    g_autoptr(NlMessage) message = link_message_for(RTM_GETLINK, 0, index);
    return get(links, message, ret);
}

GArray *links_list(Links *links, const char *alias, Error **ret_error)
{
    g_autoptr(NlMessage) message = link_message_for(RTM_GETLINK, NLM_F_DUMP, 0);
    return link_dump(links, message, take_link, sizeof(Link), (char *) alias, "links", ret_error);
}

static int remove_link(Links *links, int index)
{
    g_autoptr(NlMessage) message = link_message_for(RTM_DELLINK, 0, index);
    int r = link_request(links, message, NULL, NULL, NULL);
    return r == -ENODEV ? 0 : r;
}

/* What one call can change of a link that is there; 0 and NULL: nothing. */
static int change_link(Links *links, int index, unsigned mtu, const char *alias, int master)
{
    g_autoptr(NlMessage) message = link_message_for(RTM_NEWLINK, 0, index);
    if (mtu)
        link_put_u32(message, IFLA_MTU, mtu);
    if (alias)
        link_put_string(message, IFLA_IFALIAS, alias);
    if (master)
        link_put_u32(message, IFLA_MASTER, (uint32_t) master);
    return link_request(links, message, NULL, NULL, NULL);
}

static int set_up(Links *links, int index, bool up)
{
    const struct ifinfomsg head = {.ifi_index = index, .ifi_flags = up ? IFF_UP : 0, .ifi_change = IFF_UP};
    g_autoptr(NlMessage) message = link_message(RTM_NEWLINK, 0, &head, sizeof head);
    return link_request(links, message, NULL, NULL, NULL);
}

/* How the kernel makes a link's own IPv6 address, whatever the host's default is. A kernel without IPv6 makes none anyway. */
static void set_address_mode(Links *links, int index, uint8_t mode)
{
    g_autoptr(NlMessage) message = link_message_for(RTM_NEWLINK, 0, index);
    struct nlattr *families = link_nest(message, IFLA_AF_SPEC), *six = link_nest(message, AF_INET6);
    link_put_u8(message, IFLA_INET6_ADDR_GEN_MODE, mode);
    nla_nest_end(message, six);
    nla_nest_end(message, families);
    (void) link_request(links, message, NULL, NULL, NULL);
}

static int create_bridge(Links *links, const BridgeSpec *spec)
{
    g_autoptr(NlMessage) message = link_message_for(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
    link_put_string(message, IFLA_IFNAME, spec->name);
    link_put(message, IFLA_ADDRESS, &spec->mac, ETH_ALEN);
    struct nlattr *info = link_nest(message, IFLA_LINKINFO);
    link_put_string(message, IFLA_INFO_KIND, "bridge");
    struct nlattr *data = link_nest(message, IFLA_INFO_DATA);
    link_put_u32(message, IFLA_BR_STP_STATE, 0);
    link_put_u32(message, IFLA_BR_FORWARD_DELAY, 0);
    nla_nest_end(message, data);
    nla_nest_end(message, info);
    return link_request(links, message, NULL, NULL, NULL);
}

static int add_address(Links *links, int index, const Address *address)
{
    const struct ifaddrmsg head = {.ifa_family = (uint8_t) address->family, .ifa_prefixlen = (uint8_t) address->prefix,
        .ifa_flags = address->family == AF_INET6 ? IFA_F_NODAD : 0, .ifa_index = (unsigned) index};
    g_autoptr(NlMessage) message = link_message(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
    size_t length = address->family == AF_INET ? sizeof address->v4 : sizeof address->v6;
    link_put(message, IFA_LOCAL, &address->v6, length);
    link_put(message, IFA_ADDRESS, &address->v6, length);
    if (address->family == AF_INET && address->prefix < 31) {
        struct in_addr broadcast = {.s_addr = address->v4.s_addr | htonl(UINT32_MAX >> address->prefix)};
        link_put(message, IFA_BROADCAST, &broadcast, sizeof broadcast);
    }
    return link_request(links, message, NULL, NULL, NULL);
}

/* What guests say of routers and ways is for guests. */
static void believe_nothing(const char *name)
{
    static const char *const settings[][2] = {{"ipv6", "accept_ra"}, {"ipv6", "accept_redirects"}, {"ipv4", "accept_redirects"}};
    for (size_t i = 0; i < G_N_ELEMENTS(settings); i++) {
        g_autofree char *path = g_strdup_printf("net/%s/conf/%s/%s", settings[i][0], name, settings[i][1]);
        (void) sysctl_write(path, "0");
    }
}

static bool fill_bridge(Links *links, const BridgeSpec *spec, int index, Error **ret_error)
{
    int r = change_link(links, index, spec->mtu, spec->alias, 0);
    if (r < 0)
        return link_fail(links, r, spec->name, "the new bridge cannot be set up", ret_error);
    believe_nothing(spec->name);
    /* Of its MAC: that no guest takes this address is a rule of the firewall's, which does not look for it. */
    set_address_mode(links, index, IN6_ADDR_GEN_MODE_EUI64);
    for (size_t i = 0; i < spec->n_addresses; i++) {
        r = add_address(links, index, &spec->addresses[i]);
        if (r < 0) {
            g_autofree char *text = address_to_string(&spec->addresses[i]), *cause = g_strdup_printf("the bridge cannot have the address %s", text);
            return link_fail(links, r, spec->name, cause, ret_error);
        }
    }
    r = set_up(links, index, true);
    return r >= 0 || link_fail(links, r, spec->name, "the new bridge cannot be set up", ret_error);
}

bool links_add_bridge(Links *links, const BridgeSpec *spec, int *ret_index, Error **ret_error)
{
    Link link;
    if (!link_name_is_valid(spec->name))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, spec->name, "Take 1 to 15 letters and digits", "a link cannot have this name");
    int r = create_bridge(links, spec);
    if (r == -EEXIST)
        return error_set(ret_error, ERROR_EXISTS, spec->name, "Give the network another bridge's name, or remove that link", "there is a link of this name already");
    if (r < 0)
        return link_fail(links, r, spec->name, "the kernel makes no bridge", ret_error);
    r = links_get(links, spec->name, &link);
    if (r < 0)
        return link_fail(links, r, spec->name, "the new bridge cannot be found", ret_error);
    if (!fill_bridge(links, spec, link.index, ret_error)) {
        (void) remove_link(links, link.index);
        return false;
    }
    *ret_index = link.index;
    return true;
}

static bool remove_ours(Links *links, int index, const char *kind, const char *alias, Error **ret_error)
{
    Link link;
    int r = links_get_by_index(links, index, &link);
    if (r == -ENODEV)
        return true;
    if (r >= 0 && (!g_str_equal(link.kind, kind) || !g_str_has_prefix(link.alias, alias)))
        return error_set(ret_error, ERROR_FAILED, link.name, NULL, "it is not removed, since vmd has not made it");
    if (r >= 0)
        r = remove_link(links, index);
    return r >= 0 || link_fail(links, r, kind, "it cannot be removed", ret_error);
}

void links_remove_unfinished(Links *links, const char *name, const char *kind, const struct ether_addr *mac)
{
    Link link;
    if (links_get(links, name, &link) >= 0 && g_str_equal(link.kind, kind) && !*link.alias && memcmp(&link.mac, mac, sizeof *mac) == 0)
        (void) remove_link(links, link.index);
}

bool links_remove_bridge(Links *links, int index, Error **ret_error)
{
    return remove_ours(links, index, "bridge", LINK_ALIAS_BRIDGE, ret_error);
}

static bool find_bridge(Links *links, const char *name, Link *ret, Error **ret_error)
{
    int r = links_get(links, name, ret);
    if (r == -ENODEV)
        return error_set(ret_error, ERROR_FAILED, name, "Make it, or name another bridge", "there is no such bridge");
    if (r < 0)
        return link_fail(links, r, name, "the bridge cannot be found", ret_error);
    if (!g_str_equal(ret->kind, "bridge"))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, name, "Name a bridge", "this link is no bridge");
    return true;
}

/* Needs its master; sets it up in the same call, so that there is no moment without. */
static int set_port(Links *links, int index, const PortSpec *spec)
{
    const struct ifinfomsg head = {.ifi_index = index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP};
    g_autoptr(NlMessage) message = link_message(RTM_NEWLINK, 0, &head, sizeof head);
    struct nlattr *info = link_nest(message, IFLA_LINKINFO);
    link_put_string(message, IFLA_INFO_SLAVE_KIND, "bridge");
    struct nlattr *data = link_nest(message, IFLA_INFO_SLAVE_DATA);
    link_put_u8(message, IFLA_BRPORT_ISOLATED, spec->isolated);
    link_put_u8(message, IFLA_BRPORT_MODE, spec->hairpin);
    nla_nest_end(message, data);
    nla_nest_end(message, info);
    return link_request(links, message, NULL, NULL, NULL);
}

bool links_enslave(Links *links, const PortSpec *spec, Error **ret_error)
{
    Link bridge, tap;
    if (!find_bridge(links, spec->bridge, &bridge, ret_error))
        return false;
    int r = links_get(links, spec->link, &tap);
    if (r < 0)
        return link_fail(links, r, spec->link, "the tap device cannot be found", ret_error);
    /* The host has no business on a guest's cable. */
    set_address_mode(links, tap.index, IN6_ADDR_GEN_MODE_NONE);
    r = change_link(links, tap.index, spec->mtu ? spec->mtu : bridge.mtu, spec->alias, bridge.index);
    if (r >= 0)
        r = set_port(links, tap.index, spec);
    if (r >= 0)
        return true;
    g_autofree char *cause = g_strdup_printf("it cannot be made a port of the bridge \"%s\"", spec->bridge);
    return link_fail(links, r, spec->link, cause, ret_error);
}

bool links_set_up(Links *links, const char *name, bool up, Error **ret_error)
{
    Link link;
    int r = links_get(links, name, &link);
    if (r >= 0)
        r = set_up(links, link.index, up);
    return r >= 0 || link_fail(links, r, name, up ? "the link cannot be set up" : "the link cannot be set down", ret_error);
}

static int create_macvtap(Links *links, int parent, const char *name, const struct ether_addr *mac)
{
    g_autoptr(NlMessage) message = link_message_for(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, 0);
    link_put_string(message, IFLA_IFNAME, name);
    link_put_u32(message, IFLA_LINK, (uint32_t) parent);
    link_put(message, IFLA_ADDRESS, mac, ETH_ALEN);
    struct nlattr *info = link_nest(message, IFLA_LINKINFO);
    link_put_string(message, IFLA_INFO_KIND, "macvtap");
    struct nlattr *data = link_nest(message, IFLA_INFO_DATA);
    link_put_u32(message, IFLA_MACVLAN_MODE, MACVLAN_MODE_BRIDGE);
    nla_nest_end(message, data);
    nla_nest_end(message, info);
    return link_request(links, message, NULL, NULL, NULL);
}

bool links_add_macvtap(Links *links, const char *parent, const char *name, const struct ether_addr *mac, const char *alias, int *ret_index, Error **ret_error)
{
    Link below, link;
    int r = links_get(links, parent, &below);
    if (r < 0)
        return link_fail(links, r, parent, "there is no such link for a macvtap", ret_error);
    if (!link_name_is_valid(name))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, name, NULL, "a link cannot have this name");
    r = create_macvtap(links, below.index, name, mac);
    if (r == -EEXIST)
        return error_set(ret_error, ERROR_EXISTS, name, NULL, "there is a link of this name already");
    if (r >= 0)
        r = links_get(links, name, &link);
    if (r < 0) {
        g_autofree char *cause = g_strdup_printf("the kernel makes no macvtap over \"%s\"", parent);
        return link_fail(links, r, name, cause, ret_error);
    }
    /* The host has no business on a guest's cable. */
    set_address_mode(links, link.index, IN6_ADDR_GEN_MODE_NONE);
    r = change_link(links, link.index, 0, alias, 0);
    if (r >= 0)
        r = set_up(links, link.index, true);
    if (r < 0) {
        link_fail(links, r, name, "the new macvtap cannot be set up", ret_error);
        (void) remove_link(links, link.index);
        return false;
    }
    *ret_index = link.index;
    return true;
}

bool links_remove_tap(Links *links, int index, Error **ret_error)
{
    return remove_ours(links, index, "tun", LINK_ALIAS_TAP, ret_error);
}

bool links_remove_macvtap(Links *links, int index, Error **ret_error)
{
    return remove_ours(links, index, "macvtap", LINK_ALIAS_TAP, ret_error);
}
