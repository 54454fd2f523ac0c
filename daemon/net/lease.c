/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lease.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "cleanup.h"
#include "io.h"
#include "value.h"

#define LINE_LENGTH_MAX 1024U
#define FIELDS 5U
#define LABEL_MAX 63U

/* Labels of letters, digits and hyphens with dots between them. */
static bool is_host_name(const char *s)
{
    size_t length = strlen(s);
    if (length == 0 || length >= sizeof ((Lease *) NULL)->name)
        return false;
    for (size_t i = 0; i < length; i++) {
        bool edge = i == 0 || i + 1 == length || s[i - 1] == '.' || s[i + 1] == '.';
        if (!g_ascii_isalnum(s[i]) && (edge || (s[i] != '-' && s[i] != '.')))
            return false;
    }
    return true;
}

/* "00:03:00:01:MAC" (LL), "00:01:00:01:TIME:MAC" (LLT): of Ethernet; other kinds do not tell. */
static void mac_from_duid(const char *duid, struct ether_addr *ret)
{
    size_t length = strlen(duid);
    if ((length == 29 && g_str_has_prefix(duid, "00:03:00:01:")) || (length == 41 && g_str_has_prefix(duid, "00:01:00:01:")))
        (void) mac_parse(duid + length - 17, ret);
}

/* EXPIRES MAC ADDRESS NAME CLIENT-ID, or for IPv6 EXPIRES IAID ADDRESS NAME DUID. */
static bool parse_line(char *line, Lease *ret)
{
    char *field[FIELDS], *at = line;
    Lease lease = {0};
    for (size_t i = 0; i < FIELDS; i++)
        if (!(field[i] = strsep(&at, " ")) || *field[i] == '\0')
            return false;
    if (at || parse_uint64(field[0], &lease.expires) < 0)
        return false;
    if (strchr(field[2], '/') || address_parse(field[2], &lease.address) < 0)
        return false;
    if (lease.address.family == AF_INET6)
        mac_from_duid(field[4], &lease.mac);
    else if (mac_parse(field[1], &lease.mac) < 0)
        return false;
    if (is_host_name(field[3]))
        g_strlcpy(lease.name, field[3], sizeof lease.name);
    *ret = lease;
    return true;
}

GArray *leases_parse(const char *text, size_t length)
{
    GArray *leases = g_array_new(false, true, sizeof(Lease));
    const char *end = text + MIN(length, LEASE_FILE_MAX), *newline;

    /* dnsmasq writes the file in place: a last line without an end is half a line. */
    while (leases->len < LEASES_MAX && text < end && (newline = memchr(text, '\n', (size_t) (end - text)))) {
        size_t n = (size_t) (newline - text);
        char line[LINE_LENGTH_MAX];
        Lease lease;
        if (n < sizeof line && !memchr(text, '\0', n)) {
            memcpy(line, text, n);
            line[n] = '\0';
            if (parse_line(line, &lease))
                g_array_append_val(leases, lease);
        }
        text = newline + 1;
    }
    return leases;
}

GArray *leases_read(const char *path)
{
    struct stat st;
    /* dnsmasq may have been taken over: what it left there may be no file. */
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return leases_parse("", 0);
    size_t size = (size_t) CLAMP(st.st_size, 0, (off_t) LEASE_FILE_MAX);
    g_autofree char *buffer = g_malloc(size + 1);
    ssize_t n = io_read_all(fd, buffer, size);
    return leases_parse(buffer, n > 0 ? (size_t) n : 0);
}
