/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Credentials: what [Credentials] gives a guest that runs systemd, as strings of the firmware's tables (SMBIOS type 11,
 * systemd.system-credentials(7)).
 *
 * A value travels in a memfd that only vmd and this QEMU have; it stands on no command line, in no file and on no bus, unless the settings
 * themselves say it (Set=). Used by sources.c. */

#include "settings.h"

typedef struct Credential {
    char *id;
    char *path;  /* Load= */
    char *value; /* Set=; one of the two is NULL */
} Credential;

/* Credential; those of a later line take the place of those of the same name. NULL and an Error where one cannot be meant. */
GPtrArray *credentials_read(const Settings *settings, Error **ret_error);

/* In a thread, with the rights of the VM's owner: a descriptor each (int), in which QEMU finds the string. The array closes them. */
GArray *credentials_open(const GPtrArray *credentials, Error **ret_error);
