/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Table: columns as systemctl and machinectl draw them. Made with its header, filled cell by cell from
 * left to right, printed once. */

#include <glib.h>

#include "client.h"
#include "terminal.h"

typedef struct Table Table;

/* `header`: column titles, NULL-terminated; one that begins with ">" is set to the right. */
Table *table_new(const char *const *header);
void table_free(Table *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Table, table_free)

/* Adds the next cell; NULL or "" is shown as "-". Control characters are left out. */
void table_add(Table *table, Style style, const char *text);
void table_addf(Table *table, Style style, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* The last column is cut to the terminal unless `full`. `thing` and `things` are for the last line,
 * "3 VMs listed.". */
void table_print(const Table *table, const Client *client, bool full, const char *thing, const char *things);
