/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What the host's kernel is set to, and which ways it has. */

#include <errno.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "doctor-internal.h"
#include "sysctl.h"

#define TABLE_MAX (1024U * 1024U)

static bool has_value(const char *sysctl, const char *value)
{
    g_autofree char *now = sysctl_read(sysctl);
    return g_strcmp0(now, value) == 0;
}

static bool any_goes_out(const Doctor *doctor, int family)
{
    for (guint i = 0; i < doctor->networks->len; i++) {
        const Network *network = doctor->networks->pdata[i];
        if (network_goes_out(network->run) && (family == AF_UNSPEC || network_has_family(network->run, family)))
            return true;
    }
    return false;
}

/* ---- forwarding ---- */

/* "0" of one link, where the host as a whole forwards. */
static void look_at_link(Doctor *doctor, const char *link, const char *protocol)
{
    g_autofree char *sysctl = g_strdup_printf("net/%s/conf/%s/forwarding", protocol, link);
    g_autofree char *remedy = g_strdup_printf("sysctl -w %s=1", sysctl), *thing = g_strdup_printf("link %s", link);
    if (has_value(sysctl, "0"))
        doctor_find(doctor, FINDING_ERROR, thing, remedy, "the host does not forward what comes in by it");
}

static void look_at_forwarding(Doctor *doctor, const char *sysctl, const char *dotted, const char *what)
{
    g_autofree char *remedy = g_strdup_printf("sysctl -w %s=1", dotted), *value = sysctl_read(sysctl);
    if (value && !g_str_equal(value, "0"))
        return;
    if (!value)
        doctor_find(doctor, FINDING_ERROR, dotted, NULL, "the kernel has no such setting, and so no %s", what);
    else
        doctor_find(doctor, FINDING_ERROR, dotted, remedy, "the host does not forward %s, and networks that lead out need it", what);
}

void doctor_check_forwarding(Doctor *doctor)
{
    if (any_goes_out(doctor, AF_INET))
        look_at_forwarding(doctor, "net/ipv4/ip_forward", "net.ipv4.ip_forward", "IPv4");
    if (any_goes_out(doctor, AF_INET6))
        look_at_forwarding(doctor, "net/ipv6/conf/all/forwarding", "net.ipv6.conf.all.forwarding", "IPv6");
    if (!any_goes_out(doctor, AF_INET) || has_value("net/ipv4/ip_forward", "0"))
        return;
    for (guint i = 0; i < doctor->networks->len; i++) {
        const Network *network = doctor->networks->pdata[i];
        if (network_goes_out(network->run) && network_has_family(network->run, AF_INET))
            look_at_link(doctor, network->run->bridge, "ipv4");
    }
    if (*doctor->uplink)
        look_at_link(doctor, doctor->uplink, "ipv4");
}

/* ---- ways out ---- */

/* The links of default routes; a set. */
static GHashTable *default_links(void)
{
    GHashTable *links = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    g_autofree char *text = NULL;
    gsize length;
    if (!g_file_get_contents("/proc/net/route", &text, &length, NULL) || length > TABLE_MAX)
        return links;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 1; lines[0] && lines[i]; i++) {
        g_auto(GStrv) fields = g_strsplit_set(g_strstrip(lines[i]), "\t ", -1);
        if (g_strv_length(fields) > 7 && g_str_equal(fields[1], "00000000") && g_str_equal(fields[7], "00000000"))
            g_hash_table_add(links, g_strdup(fields[0]));
    }
    return links;
}

/* Strict filtering drops what comes in by another link than the one that leads back. With one way out there is no other. */
void doctor_check_reverse_path(Doctor *doctor)
{
    g_autoptr(GHashTable) links = default_links();
    GHashTableIter iter;
    gpointer name;
    if (!any_goes_out(doctor, AF_INET) || g_hash_table_size(links) < 2)
        return;
    g_hash_table_iter_init(&iter, links);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autofree char *own = g_strdup_printf("net/ipv4/conf/%s/rp_filter", (const char *) name), *thing = g_strdup_printf("link %s", (const char *) name);
        g_autofree char *remedy = g_strdup_printf("sysctl -w %s=2", own);
        /* The greater of both counts. */
        bool strict = (has_value(own, "1") && !has_value("net/ipv4/conf/all/rp_filter", "2")) ||
            (has_value(own, "0") && has_value("net/ipv4/conf/all/rp_filter", "1"));
        if (strict)
            doctor_find(doctor, FINDING_WARNING, thing, remedy,
                "its reverse path filter is strict, and the host has several default routes: answers that come by this one may be dropped");
    }
}

void doctor_check_default_route(Doctor *doctor)
{
    if (any_goes_out(doctor, AF_UNSPEC) && !*doctor->uplink)
        doctor_find(doctor, FINDING_WARNING, "default route", "ip route show default", "the host has none: guests get as far as the host does, and no further");
}

void doctor_check_subnets(Doctor *doctor)
{
    for (guint i = 0; i < doctor->networks->len; i++) {
        const Network *network = doctor->networks->pdata[i];
        const NetworkRun *run = network->run;
        for (guint a = 0; a < run->addresses->len; a++) {
            const Address *own = &g_array_index(run->addresses, Address, a);
            g_autofree char *who = NULL, *text = address_to_string(own), *thing = g_strdup_printf("Network \"%s\"", network->name);
            g_autofree char *remedy = g_strdup_printf("vmctl network set %s -p Network.Address=; vmctl network stop %s", network->name, network->name);
            if (links_find_collision(doctor->manager->links, own, run->index, &who, NULL) && who)
                doctor_find(doctor, FINDING_ERROR, thing, remedy, "its subnet, that of %s, overlaps with %s, and one of them is not reached; when its VMs have ended it can have one that is free", text, who);
        }
    }
}

/* ---- what is slower than it could be ---- */

void doctor_check_vhost(Doctor *doctor)
{
    if (access("/dev/vhost-net", F_OK) < 0 && errno == ENOENT)
        doctor_find(doctor, FINDING_HINT, "/dev/vhost-net", "modprobe vhost_net",
            "it is not there: guests' packets go through QEMU, which is slower");
}

static bool kernel_is_at_least(unsigned major)
{
    struct utsname name;
    return uname(&name) == 0 && g_ascii_strtoull(name.release, NULL, 10) >= major;
}

/* Where "favordynmods" is not set, to put a new VM's first process into its cgroup takes 10 ms and more. */
void doctor_check_cgroups(Doctor *doctor)
{
    g_autofree char *text = NULL;
    gsize length;
    if (!kernel_is_at_least(6) || !g_file_get_contents("/proc/self/mountinfo", &text, &length, NULL) || length > TABLE_MAX)
        return;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        const char *rest = strstr(lines[i], " - cgroup2 ");
        g_auto(GStrv) fields = rest ? g_strsplit(lines[i], " ", 6) : NULL;
        if (!rest || g_strv_length(fields) < 6)
            continue;
        g_autofree char *remedy = g_strdup_printf("mount -o remount,favordynmods %s", fields[4]);
        if (!strstr(rest, "favordynmods"))
            doctor_find(doctor, FINDING_HINT, fields[4], remedy, "VMs would start some 10 ms faster with the mount option favordynmods");
        return;
    }
}
