/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Failures, as people read them: "vmctl: THING: CAUSE. REMEDY" on stderr, and the exit code for each. */

#include "client.h"
#include "error.h"

/* Prints one line. Returns EXIT_FAILED. */
int report(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The same for a command line that cannot be meant. Returns EXIT_USAGE. */
int report_usage(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* "CAUSE: strerror." Returns EXIT_FAILED. */
int report_errno(int err, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* What our own Error says. */
int report_error(const Error *error);

/* What the bus says; `name` is the VM or network (kind.h) that it was about, or NULL. An error of org.vmd1 is
 * printed as it came; for those of the bus itself the way out is added. */
int report_bus(Client *client, const char *name, const sd_bus_error *error, int r);

/* What JobRemoved says of a job that failed, "ERROR-NAME: MESSAGE". */
int report_job(Client *client, const char *name, const char *message);

/* The exit code of a D-Bus error's name, without printing. */
int report_exit_code(const char *error_name);

/* A note that is no failure: on stderr, left out with --quiet. */
void note(const Client *client, const char *format, ...) G_GNUC_PRINTF(2, 3);
