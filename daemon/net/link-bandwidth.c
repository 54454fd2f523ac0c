/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Links: limits of bandwidth. What the host sends to a tap, the guest receives: it waits in a queue (tbf). What a guest sends
 * has no queue on the host: it is dropped (a policer), and TCP slows down. */

#include <errno.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <string.h>

#include "link-internal.h"

#define INGRESS_HANDLE 0xffff0000U
#define ROOT_HANDLE 0x00010000U
#define NSEC_PER_TICK 64U     /* PSCHED_SHIFT */
#define BURST_MIN 131072U     /* two packets of the largest size that offloading makes */
#define BURST_PER_S 20U       /* a burst is at least what passes in 50 ms */
#define LATENCY_PER_S 20U     /* what waits, too */
#define RATE_TABLE_SIZE 1024U
#define PACKET_MAX 65535U

static uint32_t burst_of(uint64_t rate)
{
    return (uint32_t) CLAMP(rate / BURST_PER_S, BURST_MIN, UINT32_MAX / 4);
}

/* The time that a burst takes, in the kernel's ticks. */
static uint32_t ticks_of(uint64_t rate, uint32_t burst)
{
    return (uint32_t) MIN(burst * UINT64_C(1000000000) / NSEC_PER_TICK / rate, UINT32_MAX);
}

static struct tc_ratespec ratespec(uint64_t rate)
{
    return (struct tc_ratespec){.rate = (uint32_t) MIN(rate, UINT32_MAX), .linklayer = TC_LINKLAYER_ETHERNET, .cell_log = 8, .mpu = 0};
}

static NlMessage *qdisc_message(int type, int flags, int index, uint32_t parent, uint32_t handle)
{
    const struct tcmsg head = {.tcm_ifindex = index, .tcm_parent = parent, .tcm_handle = handle};
    return link_message(type, flags, &head, sizeof head);
}

/* One that is not there is gone. */
static int remove_qdisc(Links *links, int index, uint32_t parent, uint32_t handle)
{
    g_autoptr(NlMessage) message = qdisc_message(RTM_DELQDISC, 0, index, parent, handle);
    int r = link_request(links, message, NULL, NULL, NULL);
    return r == -ENOENT || r == -EINVAL ? 0 : r;
}

static int set_in(Links *links, int index, uint64_t rate)
{
    if (rate == 0)
        return remove_qdisc(links, index, TC_H_ROOT, 0);
    const uint8_t table[RATE_TABLE_SIZE] = {0};
    uint32_t burst = burst_of(rate);
    struct tc_tbf_qopt options = {.rate = ratespec(rate), .buffer = ticks_of(rate, burst),
        .limit = (uint32_t) MIN(rate / LATENCY_PER_S + burst, UINT32_MAX)};
    g_autoptr(NlMessage) message = qdisc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, index, TC_H_ROOT, ROOT_HANDLE);
    link_put_string(message, TCA_KIND, "tbf");
    struct nlattr *nest = link_nest(message, TCA_OPTIONS);
    link_put(message, TCA_TBF_PARMS, &options, sizeof options);
    link_put(message, TCA_TBF_RATE64, &rate, sizeof rate);
    link_put_u32(message, TCA_TBF_BURST, burst);
    link_put(message, TCA_TBF_RTAB, table, sizeof table);
    nla_nest_end(message, nest);
    return link_request(links, message, NULL, NULL, NULL);
}

static void put_police(NlMessage *message, uint64_t rate)
{
    const uint8_t table[RATE_TABLE_SIZE] = {0};
    const struct tc_police police = {.action = TC_POLICE_SHOT, .rate = ratespec(rate), .burst = ticks_of(rate, burst_of(rate)), .mtu = PACKET_MAX};
    struct nlattr *actions = link_nest(message, TCA_MATCHALL_ACT), *first = link_nest(message, 1);
    link_put_string(message, TCA_ACT_KIND, "police");
    struct nlattr *options = link_nest(message, TCA_ACT_OPTIONS);
    link_put(message, TCA_POLICE_TBF, &police, sizeof police);
    link_put(message, TCA_POLICE_RATE, table, sizeof table);
    link_put(message, TCA_POLICE_RATE64, &rate, sizeof rate);
    nla_nest_end(message, options);
    nla_nest_end(message, first);
    nla_nest_end(message, actions);
}

static int set_out(Links *links, int index, uint64_t rate)
{
    int r = remove_qdisc(links, index, TC_H_INGRESS, INGRESS_HANDLE);
    if (r < 0 || rate == 0)
        return r;
    g_autoptr(NlMessage) qdisc = qdisc_message(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL, index, TC_H_INGRESS, INGRESS_HANDLE);
    link_put_string(qdisc, TCA_KIND, "ingress");
    r = link_request(links, qdisc, NULL, NULL, NULL);
    if (r < 0)
        return r;

    const struct tcmsg head = {.tcm_ifindex = index, .tcm_parent = INGRESS_HANDLE, .tcm_info = TC_H_MAKE(1U << 16, htons(ETH_P_ALL))};
    g_autoptr(NlMessage) filter = link_message(RTM_NEWTFILTER, NLM_F_CREATE | NLM_F_EXCL, &head, sizeof head);
    link_put_string(filter, TCA_KIND, "matchall");
    struct nlattr *nest = link_nest(filter, TCA_OPTIONS);
    put_police(filter, rate);
    nla_nest_end(filter, nest);
    return link_request(links, filter, NULL, NULL, NULL);
}

bool links_set_bandwidth(Links *links, const char *name, uint64_t in, uint64_t out, Error **ret_error)
{
    Link link;
    int r = links_get(links, name, &link);
    if (r >= 0)
        r = set_in(links, link.index, in);
    if (r >= 0)
        r = set_out(links, link.index, out);
    if (r == -ENOENT)
        return error_set(ret_error, ERROR_UNSUPPORTED, name, "The kernel needs the modules sch_tbf, sch_ingress, cls_matchall and act_police",
            "the limit of bandwidth cannot be set: the kernel has no such queue or policer");
    return r >= 0 || link_fail(links, r, name, "the limit of bandwidth cannot be set", ret_error);
}
