/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Doctor: says why a VM has no network, by looking at the host: firewalls, forwarding, addresses, servers, links. It changes nothing.
 *
 * One call looks at everything once. What may wait (nftables, systemd, NetworkManager) is asked first, all at the same time; then
 * a table of checks (doctor.c) makes findings of what is there. A new check is a function and a row.
 *
 * Called by manager-dbus.c. Not for a user's vmd, which has no networks. */

#include "network.h"

typedef enum FindingLevel { FINDING_OK, FINDING_HINT, FINDING_WARNING, FINDING_ERROR, _FINDING_LEVEL_MAX } FindingLevel;

typedef struct Finding {
    char *thing;  /* what it is about: "table ip filter, chain FORWARD"; of FINDING_OK the check's name */
    FindingLevel level;
    char *text;   /* what was found; one line */
    char *remedy; /* commands that mend it or say more, one line for a shell; "" where there are none */
} Finding;

const char *finding_level_to_string(FindingLevel level);

/* GPtrArray of Finding, the worst first, then a FINDING_OK for each check that found nothing. NULL: vmd ends. */
typedef void (*DoctorDone)(const GPtrArray *findings, void *userdata);

/* `vm`: only what concerns this VM, beside the host; NULL: all of them. `done` comes once, perhaps before this returns. False and
 * an Error: it will not come. */
bool doctor_run(Manager *manager, const char *vm, DoctorDone done, void *userdata, Error **ret_error);

/* At vmd's end: those that are under way are told. */
void doctors_free(Manager *manager);
