/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* The table of `top`: a line a VM, with as many columns as there is room for. */

#include "usage.h"

typedef struct TopOrder {
    char key;      /* of a column; 'a': by name */
    bool reversed; /* the smallest first; by name: the last one */
} TopOrder;

/* What the order is called, "CPU"; NULL: no column has this key. */
const char *top_order_name(char key);

void top_sort(UsageRow *rows, size_t n, TopOrder order);

/* Appends the header's line, or a row's. `columns` 0: all columns, and names are not cut. `name_width`: of the longest name. */
void top_append_header(GString *text, size_t columns, size_t name_width, TopOrder order);
void top_append_row(GString *text, size_t columns, size_t name_width, const UsageRow *row);

/* "Memory 1.2G, disks 12M/s read ..." of all of them together, at most `columns` wide. */
void top_append_sums(GString *text, size_t columns, const UsageRow *rows, size_t n);
