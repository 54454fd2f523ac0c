/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* What a NAME.net may hold. */

#include "schema.h"

#include "value.h"

static const SettingSection sections[] = {
        {"Network", false, "The network itself: who reaches whom, and with which addresses."},
        {"Reservation", true, "An address that a VM always gets; the section's name is the VM's."},
        {NULL},
};

static const SettingKey keys[] = {
        {"Network", "Description", SETTING_STRING, .max = 512, .live = true, .option = "description",
                .metavar = "TEXT", .summary = "What the network is for, shown by list and show."},
        {"Network", "Mode", SETTING_ENUM, "nat", "nat|routed|isolated|bridge", .option = "mode", .metavar = "MODE",
                .summary = "nat: guests reach what the host reaches, and are reached by Forward= only; routed: "
                           "both ways, with their own addresses; isolated: each other only; bridge: they are "
                           "on a bridge that somebody else looks after."},
        {"Network", "Bridge", SETTING_STRING, .max = 15, .option = "bridge", .metavar = "LINK",
                .summary = "The bridge's name; unset, vmbr- and the network's name. With Mode=bridge the bridge that is there, "
                           "or auto: the one that holds the default route."},
        {"Network", "Address", SETTING_WORDS, .option = "address", .metavar = "ADDRESS/PREFIX",
                .summary = "The host's own addresses in it, IPv4 and IPv6, several on a line or on several lines; "
                           "unset, a free IPv4 subnet and an IPv6 one of its own (not with Mode=routed)."},
        {"Network", "DHCP", SETTING_BOOL, "yes", .option = "dhcp", .metavar = "BOOL",
                .summary = "Whether guests are given addresses (DHCP, and router advertisements for IPv6) and names "
                           "(DNS)."},
        {"Network", "Range", SETTING_STRING, .max = 40, .option = "range", .metavar = "FIRST-LAST",
                .summary = "The IPv4 addresses that guests are given; unset, all of the subnet but the host's."},
        {"Network", "LeaseTime", SETTING_DURATION, "1h", .min = 2 * 60 * USEC_PER_SEC,
                .summary = "For how long a guest is given an address before it asks again."},
        {"Network", "Domain", SETTING_STRING, "vmd", .max = 253, .option = "domain", .metavar = "NAME",
                .summary = "The domain in which guests have names."},
        {"Network", "MTU", SETTING_UINT, .min = 576, .max = 65535, .option = "mtu", .metavar = "BYTES",
                .summary = "The largest packet; unset, 1500."},
        {"Network", "Isolate", SETTING_BOOL, "no", .option = "isolate", .metavar = "BOOL",
                .summary = "Whether guests reach the host and what is beyond, but not each other."},
        {"Network", "Filter", SETTING_BOOL, "no", .option = "filter", .metavar = "BOOL",
                .summary = "Whether guests may use their own MAC and IP addresses only, whatever their VM says."},
        {"Network", "HostAccess", SETTING_BOOL, "no", .option = "host-access", .metavar = "BOOL",
                .summary = "Whether guests reach the host's services; else only DHCP, DNS and ping."},
        {"Network", "Zone", SETTING_STRING, .max = 17, .option = "zone", .metavar = "NAME",
                .summary = "The zone of firewalld that the bridge is in, where firewalld runs; unset, vmd, or with "
                           "HostAccess=yes vmd-host-access."},
        {"Network", "Autostart", SETTING_BOOL, "no", .option = "autostart", .metavar = "BOOL",
                .summary = "Whether it is there while no VM uses it; else it starts with the first and goes with the "
                           "last."},

        {"Reservation", "Address", SETTING_STRING, .max = 45, .required = true,
                .summary = "The IPv4 address, one of the network's subnet."},
        {"Reservation", "MAC", SETTING_STRING, .max = 17,
                .summary = "Whose it is, where it is no VM of this vmd."},
        {NULL},
};

const Schema network_schema = {"vmd.net(5)", sections, keys};
