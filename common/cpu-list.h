/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* CpuList: a set of small numbers, written as the kernel and systemd write CPUs: "0-3,8". Of CPUs of the host, of a guest, or of NUMA
 * nodes. A plain value, without anything to free. */

#include <stdbool.h>
#include <stdint.h>

#define CPU_LIST_MAX 8192U

typedef struct CpuList {
    uint8_t bits[CPU_LIST_MAX / 8]; /* the first one in the lowest bit of the first byte */
} CpuList;

/* Numbers and ranges with commas or blanks between them; nothing is an empty list. -EINVAL: it is none, -ERANGE: a number is too
 * large; `ret` is then as it was. */
int cpu_list_parse(const char *s, CpuList *ret);

/* What a file of the kernel's holds ("/sys/devices/system/cpu/online"); a negative errno. */
int cpu_list_read(const char *path, CpuList *ret);

bool cpu_list_has(const CpuList *list, unsigned number);
void cpu_list_add(CpuList *list, unsigned number);
unsigned cpu_list_count(const CpuList *list);
/* The first one from `number` on, or -1. */
int cpu_list_next(const CpuList *list, unsigned number);
/* The first one of `list` that `all` has not, or -1. */
int cpu_list_find_missing(const CpuList *list, const CpuList *all);

/* "0-3,8"; the caller frees. */
char *cpu_list_format(const CpuList *list);
