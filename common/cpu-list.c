/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "cpu-list.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"
#include "value.h"

#define FILE_MAX 65536

int cpu_list_parse(const char *s, CpuList *ret)
{
    CpuList list = {0};

    while (*(s += strspn(s, " \t\n,")) != '\0') {
        g_autofree char *range = g_strndup(s, strcspn(s, " \t\n,"));
        char *dash = strchr(range, '-');
        uint64_t first, last;
        int r;

        s += strlen(range);
        if (dash)
            *dash = '\0';
        r = parse_uint64(range, &first);
        if (r < 0)
            return r;
        r = parse_uint64(dash ? dash + 1 : range, &last);
        if (r < 0)
            return r;
        if (last < first)
            return -EINVAL;
        if (last >= CPU_LIST_MAX)
            return -ERANGE;
        for (; first <= last; first++)
            cpu_list_add(&list, (unsigned) first);
    }
    *ret = list;
    return 0;
}

int cpu_list_read(const char *path, CpuList *ret)
{
    g_autofree char *buffer = g_malloc(FILE_MAX);
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buffer, FILE_MAX - 1);

    if (n < 0)
        return -errno;
    buffer[n] = '\0';
    return cpu_list_parse(buffer, ret);
}

bool cpu_list_has(const CpuList *list, unsigned number)
{
    return number < CPU_LIST_MAX && (list->bits[number / 8] >> (number % 8) & 1);
}

void cpu_list_add(CpuList *list, unsigned number)
{
    list->bits[number / 8] |= (uint8_t) (1U << (number % 8));
}

unsigned cpu_list_count(const CpuList *list)
{
    unsigned n = 0;

    for (unsigned i = 0; i < CPU_LIST_MAX; i++)
        n += cpu_list_has(list, i);
    return n;
}

int cpu_list_next(const CpuList *list, unsigned number)
{
    for (; number < CPU_LIST_MAX; number++)
        if (cpu_list_has(list, number))
            return (int) number;
    return -1;
}

int cpu_list_find_missing(const CpuList *list, const CpuList *all)
{
    for (unsigned i = 0; i < CPU_LIST_MAX; i++)
        if (cpu_list_has(list, i) && !cpu_list_has(all, i))
            return (int) i;
    return -1;
}

char *cpu_list_format(const CpuList *list)
{
    GString *s = g_string_new(NULL);

    for (int first = cpu_list_next(list, 0); first >= 0;) {
        int last = first;

        while (cpu_list_has(list, (unsigned) last + 1))
            last++;
        g_string_append_printf(s, "%s%d", s->len > 0 ? "," : "", first);
        if (last > first)
            g_string_append_printf(s, "-%d", last);
        first = cpu_list_next(list, (unsigned) last + 1);
    }
    return g_string_free(s, FALSE);
}
