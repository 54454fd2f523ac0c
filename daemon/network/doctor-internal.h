/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Of doctor*.c alone: what a check looks at, and how it says what it has found. */

#include "doctor.h"
#include "listener.h"
#include "manager.h"
#include "port.h"
#include "ruleset.h"
#include "task.h"

/* A socket on a port that a network's server wants. */
typedef struct DoctorListener {
    Listener listener;
    char *unit; /* or NULL */
} DoctorListener;

typedef struct Doctor {
    Manager *manager;
    VM *vm; /* NULL: all */
    char *vm_name;
    DoctorDone done;
    void *userdata;

    unsigned pending; /* questions without an answer */
    Task *task;
    GPtrArray *slots; /* sd_bus_slot: questions on the bus */

    /* Answers. */
    Ruleset *rules;      /* NULL: see rules_error */
    Error *rules_error;
    GPtrArray *listeners; /* DoctorListener */
    GHashTable *managed;  /* names of links that NetworkManager manages */
    GHashTable *servers;  /* name of a network to its server's ActiveState */

    /* Filled when all answers are there: what is looked at. */
    GPtrArray *networks; /* Network: those that run, not of Mode=bridge */
    GPtrArray *ports;    /* Port */
    char uplink[IFNAMSIZ]; /* the link of the default route, or "" */

    GPtrArray *findings;
    GHashTable *told; /* "BRIDGE CHAIN": drops that there is a finding of */
} Doctor;

/* `remedy`: one line that can be pasted into a root's shell; NULL: there is none. */
void doctor_find(Doctor *doctor, FindingLevel level, const char *thing, const char *remedy, const char *format, ...) G_GNUC_PRINTF(5, 6);

bool network_has_family(const NetworkRun *run, int family);
bool network_goes_out(const NetworkRun *run); /* nat, routed */

/* doctor-firewall.c */
void doctor_check_own_rules(Doctor *doctor);
void doctor_check_firewalls(Doctor *doctor);
void doctor_check_old_iptables(Doctor *doctor);
void doctor_check_bridged(Doctor *doctor);

/* doctor-host.c */
void doctor_check_forwarding(Doctor *doctor);
void doctor_check_reverse_path(Doctor *doctor);
void doctor_check_default_route(Doctor *doctor);
void doctor_check_subnets(Doctor *doctor);
void doctor_check_vhost(Doctor *doctor);
void doctor_check_cgroups(Doctor *doctor);

/* doctor-network.c */
void doctor_check_networks(Doctor *doctor);
void doctor_check_servers(Doctor *doctor);
void doctor_check_taken_ports(Doctor *doctor);
void doctor_check_links(Doctor *doctor);
void doctor_check_managers(Doctor *doctor);
void doctor_check_cables(Doctor *doctor);
void doctor_check_leases(Doctor *doctor);
