/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "scope-property-kind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "cpu-list.h"
#include "value.h"

#define PERMYRIAD_ONE 10000U
#define INTERFACE_NAME_MAX 127U /* of an alternative name; see ip-link(8) */

static bool is_word(const char *value, const char *words)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);

    return g_strv_contains((const char *const *) list, value);
}

static bool is_path(const char *s)
{
    return s[0] == '/' && strlen(s) < PATH_MAX && !strstr(s, "/../") && !g_str_has_suffix(s, "/..");
}

/* Splits "PATH REST" at its last blanks; the path may have blanks itself. */
static int split_path(const char *value, char **ret_path, const char **ret_rest)
{
    const char *rest = value + strlen(value), *end;

    while (rest > value && rest[-1] != ' ' && rest[-1] != '\t')
        rest--;
    for (end = rest; end > value && (end[-1] == ' ' || end[-1] == '\t'); end--)
        ;
    if (end == value || *rest == '\0')
        return -EINVAL;
    *ret_path = g_strndup(value, (size_t) (end - value));
    *ret_rest = rest;
    return 0;
}

int parse_permyriad(const char *s, uint64_t *ret)
{
    g_autofree char *number = NULL;
    uint64_t whole, hundredths = 0;
    const char *dot;
    int r;

    if (!g_str_has_suffix(s, "%"))
        return -EINVAL;
    number = g_strndup(s, strlen(s) - 1);
    dot = strchr(number, '.');
    if (dot) {
        size_t n = strlen(dot + 1);

        if (n < 1 || n > 2 || parse_uint64(dot + 1, &hundredths) < 0)
            return -EINVAL;
        if (n == 1)
            hundredths *= 10;
        number[dot - number] = '\0';
    }
    r = parse_uint64(number, &whole);
    if (r < 0)
        return r;
    if (whole > INT32_MAX / 100 - 1)
        return -ERANGE;
    *ret = whole * 100 + hundredths;
    return 0;
}

static int append_number(sd_bus_message *m, uint64_t v)
{
    return m ? sd_bus_message_append_basic(m, SD_BUS_TYPE_UINT64, &v) : 0;
}

/* Within the property's limits, when it has some. */
static int append_checked(const ScopeProperty *p, sd_bus_message *m, uint64_t v)
{
    if (v < p->min || (p->max > 0 && v > p->max))
        return -ERANGE;
    return append_number(m, v);
}

static int append_bool(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    bool b;
    int r = parse_boolean(value, &b), i;

    if (r < 0)
        return r;
    i = b;
    return m ? sd_bus_message_append_basic(m, SD_BUS_TYPE_BOOLEAN, &i) : 0;
}

const ScopePropertyKind scope_kind_bool = {"b", "Allowed is yes or no.", append_bool};

static int append_weight(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    uint64_t v;
    int r;

    /* systemd's CGROUP_WEIGHT_IDLE. */
    if (p->words && strcmp(value, p->words) == 0)
        return append_number(m, 0);
    r = parse_uint64(value, &v);
    return r < 0 ? r : append_checked(p, m, v);
}

const ScopePropertyKind scope_kind_weight = {
        "t", "Allowed is a weight from 1 to 10000, 100 being the usual one.", append_weight};

static bool is_infinity(const char *value)
{
    return strcmp(value, "infinity") == 0;
}

static int append_memory(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    uint64_t v = UINT64_MAX;
    int r;

    if (!is_infinity(value)) {
        r = parse_size(value, &v);
        if (r < 0)
            return r;
    }
    return append_checked(p, m, v);
}

const ScopePropertyKind scope_kind_memory = {"t",
        "Allowed is a size such as 2G, a share of the host's memory such as 25%, or infinity.",
        append_memory};

static int append_count(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    uint64_t v = UINT64_MAX;
    int r;

    if (!is_infinity(value)) {
        r = parse_uint64(value, &v);
        if (r < 0)
            return r;
    }
    return append_checked(p, m, v);
}

const ScopePropertyKind scope_kind_number = {"t",
        "Allowed is a number of at least 1, a share of the host's limit such as 25%, or infinity.",
        append_count};

static int append_scale(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    uint64_t v;
    uint32_t u;
    int r;

    r = parse_permyriad(value, &v);
    if (r < 0)
        return r;
    if (v > PERMYRIAD_ONE || (p->min > 0 && v == 0))
        return -ERANGE;
    /* systemd's scale: all bits set is 100 %, rounded to the nearest. */
    u = (uint32_t) ((v * UINT32_MAX + PERMYRIAD_ONE / 2) / PERMYRIAD_ONE);
    return m ? sd_bus_message_append_basic(m, SD_BUS_TYPE_UINT32, &u) : 0;
}

const ScopePropertyKind scope_kind_scale = {"u", "Allowed is a share from 0% to 100%.", append_scale};

static int append_quota(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    uint64_t v;
    int r;

    r = parse_permyriad(value, &v);
    if (r < 0)
        return r;
    if (v == 0)
        return -ERANGE;
    return append_number(m, v * (USEC_PER_SEC / PERMYRIAD_ONE));
}

const ScopePropertyKind scope_kind_quota = {
        "t", "Allowed is a share of one CPU such as 50%, or 200% for two whole CPUs.", append_quota};

static int append_duration(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    uint64_t v;
    int r;

    r = parse_duration(value, &v);
    return r < 0 ? r : append_checked(p, m, v);
}

const ScopePropertyKind scope_kind_duration = {
        "t", "Allowed is a time from 1ms to 1s, such as 10ms.", append_duration};

static int append_word(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    if (!is_word(value, p->words))
        return -EINVAL;
    return m ? sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, value) : 0;
}

const ScopePropertyKind scope_kind_word = {"s", NULL, append_word};

/* "0-3,5 7" as a mask, the first CPU in the lowest bit of the first byte. */
static int append_cpus(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    CpuList list;
    size_t size = 0;
    int r;

    r = cpu_list_parse(value, &list);
    if (r < 0)
        return r;
    for (int i = -1; (i = cpu_list_next(&list, (unsigned) (i + 1))) >= 0;)
        size = (size_t) i / 8 + 1;
    return m ? sd_bus_message_append_array(m, SD_BUS_TYPE_BYTE, list.bits, size) : 0;
}

const ScopePropertyKind scope_kind_cpus = {
        "ay", "Allowed are numbers and ranges such as 0-3,8, each below 8192.", append_cpus};

typedef int (*ParseNumber)(const char *s, uint64_t *ret);

static int append_per_device(
        const ScopeProperty *p, sd_bus_message *m, const char *value, ParseNumber parse, bool infinity)
{
    g_autofree char *path = NULL;
    uint64_t v = UINT64_MAX;
    const char *rest;
    int r;

    r = split_path(value, &path, &rest);
    if (r < 0)
        return r;
    if (!is_path(path))
        return -EINVAL;
    if (!infinity || strcmp(rest, "infinity") != 0) {
        r = parse(rest, &v);
        if (r < 0)
            return r;
        if (v < p->min || (p->max > 0 && v > p->max))
            return -ERANGE;
    }
    return m ? sd_bus_message_append(m, "(st)", path, v) : 0;
}

static int append_device_weight(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    return append_per_device(p, m, value, parse_uint64, false);
}

static int append_device_bytes(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    return append_per_device(p, m, value, parse_size_1000, true);
}

static int append_device_latency(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    return append_per_device(p, m, value, parse_duration, false);
}

const ScopePropertyKind scope_kind_device_weight = {
        "a(st)", "Allowed is a device and a weight, such as \"/dev/sda 200\".", append_device_weight};
const ScopePropertyKind scope_kind_device_bytes = {"a(st)",
        "Allowed is a device and bytes a second, such as \"/dev/sda 5M\" (5000000).", append_device_bytes};
const ScopePropertyKind scope_kind_device_number = {"a(st)",
        "Allowed is a device and operations a second, such as \"/dev/sda 1K\" (1000).", append_device_bytes};
const ScopePropertyKind scope_kind_device_latency = {
        "a(st)", "Allowed is a device and a time, such as \"/dev/sda 25ms\".", append_device_latency};

static int append_prefix(sd_bus_message *m, int family, const void *address, uint32_t length)
{
    int r;

    if (!m)
        return 0;
    r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, "iayu");
    if (r < 0)
        return r;
    r = sd_bus_message_append(m, "i", family);
    if (r < 0)
        return r;
    r = sd_bus_message_append_array(m, SD_BUS_TYPE_BYTE, address, family == AF_INET ? 4 : 16);
    if (r < 0)
        return r;
    r = sd_bus_message_append(m, "u", length);
    if (r < 0)
        return r;
    return sd_bus_message_close_container(m);
}

static int append_address(sd_bus_message *m, const char *word)
{
    g_autofree char *text = g_strdup(word);
    char *slash = strchr(text, '/');
    uint64_t length, longest;
    uint8_t address[16];
    int family;

    if (slash)
        *slash = '\0';
    family = strchr(text, ':') ? AF_INET6 : AF_INET;
    longest = family == AF_INET ? 32 : 128;
    length = longest;
    if (inet_pton(family, text, address) != 1)
        return -EINVAL;
    if (slash && parse_uint64(slash + 1, &length) < 0)
        return -EINVAL;
    if (length > longest)
        return -ERANGE;
    return append_prefix(m, family, address, (uint32_t) length);
}

static int append_addresses(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    static const struct {
        const char *name, *prefixes[2];
    } aliases[] = {
            {"any", {"0.0.0.0/0", "::/0"}},
            {"localhost", {"127.0.0.0/8", "::1/128"}},
            {"link-local", {"169.254.0.0/16", "fe80::/64"}},
            {"multicast", {"224.0.0.0/4", "ff00::/8"}},
    };
    g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
    int r = 0;

    for (unsigned i = 0; words[i] && r >= 0; i++) {
        bool found = false;

        if (words[i][0] == '\0')
            continue;
        for (size_t k = 0; k < G_N_ELEMENTS(aliases) && !found; k++) {
            found = strcmp(words[i], aliases[k].name) == 0;
            for (size_t n = 0; found && n < 2 && r >= 0; n++)
                r = append_address(m, aliases[k].prefixes[n]);
        }
        if (!found)
            r = append_address(m, words[i]);
    }
    return MIN(r, 0);
}

const ScopePropertyKind scope_kind_addresses = {"a(iayu)",
        "Allowed are addresses such as 10.0.0.0/8 or fe80::/64, any, localhost, link-local and multicast.",
        append_addresses};

static int parse_ports(const char *s, uint64_t *ret_first, uint64_t *ret_last)
{
    g_auto(GStrv) ends = g_strsplit(s, "-", 2);
    uint64_t first, last;

    if (!ends[0] || parse_uint64(ends[0], &first) < 0 || parse_uint64(ends[1] ?: ends[0], &last) < 0)
        return -EINVAL;
    if (first < 1 || last > UINT16_MAX || last < first)
        return -ERANGE;
    *ret_first = first;
    *ret_last = last;
    return 0;
}

/* "ipv4:tcp:1000-2000", each part of it optional but not all, or "any". */
static int append_bind_rule(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    g_auto(GStrv) parts = g_strsplit(value, ":", 4);
    int32_t family = AF_UNSPEC, protocol = 0;
    uint64_t first = 0, last = 0;
    unsigned i = 0;
    int r;

    if (strcmp(value, "any") != 0) {
        if (!parts[i])
            return -EINVAL;
        if (strcmp(parts[i], "ipv4") == 0 || strcmp(parts[i], "ipv6") == 0)
            family = strcmp(parts[i++], "ipv4") == 0 ? AF_INET : AF_INET6;
        if (parts[i] && (strcmp(parts[i], "tcp") == 0 || strcmp(parts[i], "udp") == 0))
            protocol = strcmp(parts[i++], "tcp") == 0 ? IPPROTO_TCP : IPPROTO_UDP;
        if (parts[i]) {
            r = parse_ports(parts[i++], &first, &last);
            if (r < 0)
                return r;
        }
        if (parts[i])
            return -EINVAL;
    }
    return m ? sd_bus_message_append(m, "(iiqq)", family, protocol,
                       (uint16_t) (first > 0 ? last - first + 1 : 0), (uint16_t) first)
             : 0;
}

const ScopePropertyKind scope_kind_bind_rules = {
        "a(iiqq)", "Allowed is a rule such as ipv4:tcp:8000-9000, udp, 22 or any.", append_bind_rule};

static int append_interfaces(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    g_auto(GStrv) words = NULL;
    int allow = value[0] != '~', r;

    words = g_strsplit_set(value + !allow, " \t", -1);
    for (unsigned i = 0; words[i]; i++) {
        if (words[i][0] == '\0')
            continue;
        if (strlen(words[i]) > INTERFACE_NAME_MAX || strpbrk(words[i], "/:%") || strcmp(words[i], ".") == 0 ||
                strcmp(words[i], "..") == 0)
            return -EINVAL;
        g_ptr_array_add(names, words[i]);
    }
    g_ptr_array_add(names, NULL);
    if (!m)
        return 0;

    r = sd_bus_message_open_container(m, SD_BUS_TYPE_STRUCT, "bas");
    if (r < 0)
        return r;
    r = sd_bus_message_append_basic(m, SD_BUS_TYPE_BOOLEAN, &allow);
    if (r < 0)
        return r;
    r = sd_bus_message_append_strv(m, (char **) names->pdata);
    if (r < 0)
        return r;
    return sd_bus_message_close_container(m);
}

const ScopePropertyKind scope_kind_interfaces = {"(bas)",
        "Allowed are names of network interfaces, with a leading \"~\" all but those.", append_interfaces};

static int append_device(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    g_autofree char *path = NULL;
    const char *rights = "rwm";

    if (strpbrk(value, " \t")) {
        int r = split_path(value, &path, &rights);

        if (r < 0)
            return r;
    } else
        path = g_strdup(value);
    if (rights[strspn(rights, "rwm")] != '\0')
        return -EINVAL;
    if (!(g_str_has_prefix(path, "/dev/") && is_path(path)) && !g_str_has_prefix(path, "char-") &&
            !g_str_has_prefix(path, "block-"))
        return -EINVAL;
    return m ? sd_bus_message_append(m, "(ss)", path, rights) : 0;
}

const ScopePropertyKind scope_kind_devices = {"a(ss)",
        "Allowed is a device node or group and its rights, such as \"/dev/net/tun rw\" or \"char-pts rwm\".",
        append_device};

static int append_path(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    if (!is_path(value))
        return -EINVAL;
    return m ? sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, value) : 0;
}

const ScopePropertyKind scope_kind_paths = {
        "as", "Allowed is the absolute path of a program in the BPF file system.", append_path};

static int append_program(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    const char *colon = strchr(value, ':');
    g_autofree char *type = colon ? g_strndup(value, (size_t) (colon - value)) : NULL;

    if (!type || !is_word(type, p->words) || !is_path(colon + 1))
        return -EINVAL;
    return m ? sd_bus_message_append(m, "(ss)", type, colon + 1) : 0;
}

const ScopePropertyKind scope_kind_programs = {
        "a(ss)", "Allowed is TYPE:PATH, such as egress:/sys/fs/bpf/egress-hook.", append_program};

static int append_controllers(const ScopeProperty *p, sd_bus_message *m, const char *value)
{
    g_auto(GStrv) words = g_strsplit_set(value, " \t", -1);
    int r = 0;

    for (unsigned i = 0; words[i] && r >= 0; i++) {
        if (words[i][0] == '\0')
            continue;
        if (!is_word(words[i], p->words))
            return -EINVAL;
        if (m)
            r = sd_bus_message_append_basic(m, SD_BUS_TYPE_STRING, words[i]);
    }
    return MIN(r, 0);
}

const ScopePropertyKind scope_kind_controllers = {
        "as", "Allowed are names of cgroup controllers, such as \"cpu memory pids\".", append_controllers};
