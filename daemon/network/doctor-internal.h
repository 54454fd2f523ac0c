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

/* A base chain that drops what a question is about. */
typedef struct DoctorDrop {
    char *chain;  /* "table ip filter, chain FORWARD (Docker)" */
    char *reason, *remedy;
    bool maybe;   /* not all of it, or perhaps not */
} DoctorDrop;

/* What others' rules do with one kind of packet: asked on the loop, answered in the thread, since a host may have many rules. */
typedef struct DoctorQuestion {
    RulesetPacket packet;
    char *network;  /* NULL: what is bridged */
    char *bridge, *uplink; /* the packet's in and out */
    const char *what; /* as the object of "drops" */
    GPtrArray *drops; /* DoctorDrop */
} DoctorQuestion;

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
    GPtrArray *questions; /* DoctorQuestion, answered; NULL: see rules_error */
    Error *rules_error;
    bool has_own_rules;
    GPtrArray *listeners; /* DoctorListener */
    GHashTable *managed;  /* names of links that NetworkManager manages */
    GHashTable *servers;  /* name of a network to its server's ActiveState */

    /* What is looked at; found out before the questions, and again when all answers are there. */
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

/* doctor-firewall.c: what is to be asked; the answer to one of it, in the thread; what follows from them all. */
GPtrArray *doctor_questions(const Doctor *doctor);
void doctor_answer(DoctorQuestion *question, const Ruleset *rules);
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
