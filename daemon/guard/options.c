/* SPDX-License-Identifier: LGPL-2.1-or-later */

#include "options.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "journal.h"

typedef enum OptionType {
    OPTION_STRING,
    OPTION_FD,
    OPTION_NUMBER,
    OPTION_ID,
    OPTION_IDS,
    OPTION_OWNER_IDS,
    OPTION_BOOLEAN,
    OPTION_BIND,
    OPTION_BIND_READ_ONLY,
    OPTION_DEVICE,
} OptionType;

typedef struct OptionKind {
    const char *name;
    OptionType type;
    size_t offset;
} OptionKind;

static const OptionKind option_kinds[] = {
        {"name", OPTION_STRING, offsetof(Options, name)},
        {"status", OPTION_FD, offsetof(Options, status)},
        {"qmp", OPTION_FD, offsetof(Options, qmp)},
        {"console", OPTION_FD, offsetof(Options, console)},
        {"console-listen", OPTION_FD, offsetof(Options, console_listen)},
        {"console-log", OPTION_FD, offsetof(Options, console_log)},
        {"log-size", OPTION_NUMBER, offsetof(Options, log_size)},
        {"go", OPTION_FD, offsetof(Options, go)},
        {"uid", OPTION_ID, offsetof(Options, uid)},
        {"gid", OPTION_ID, offsetof(Options, gid)},
        {"groups", OPTION_IDS, offsetof(Options, groups)},
        {"guard-uid", OPTION_ID, offsetof(Options, guard_uid)},
        {"guard-gid", OPTION_ID, offsetof(Options, guard_gid)},
        {"press-interval", OPTION_NUMBER, offsetof(Options, press_interval_usec)},
        {"filter", OPTION_BOOLEAN, offsetof(Options, filter)},
        {"jail", OPTION_BOOLEAN, offsetof(Options, jail)},
        {"helper", OPTION_BOOLEAN, offsetof(Options, helper)},
        {"life", OPTION_FD, offsetof(Options, life)},
        {"probe", OPTION_BOOLEAN, offsetof(Options, probe)},
        {"root", OPTION_STRING, offsetof(Options, root)},
        {"own", OPTION_STRING, offsetof(Options, own)},
        {"file-size", OPTION_NUMBER, offsetof(Options, file_size)},
        {"locked-memory", OPTION_NUMBER, offsetof(Options, locked_memory)},
        {"device", OPTION_DEVICE, 0},
        {"tree", OPTION_STRING, offsetof(Options, tree)},
        {"tree-fd", OPTION_FD, offsetof(Options, tree_fd)},
        {"tree-read-only", OPTION_BOOLEAN, offsetof(Options, tree_read_only)},
        {"owner-uid", OPTION_ID, offsetof(Options, owner_uid)},
        {"owner-gid", OPTION_ID, offsetof(Options, owner_gid)},
        {"owner-groups", OPTION_OWNER_IDS, 0},
        {"tls-ca", OPTION_FD, offsetof(Options, tls[0])},
        {"tls-cert", OPTION_FD, offsetof(Options, tls[1])},
        {"tls-key", OPTION_FD, offsetof(Options, tls[2])},
        {"bind", OPTION_BIND, 0},
        {"bind-read-only", OPTION_BIND_READ_ONLY, 0},
};

const char *const options_tls_names[OPTIONS_TLS_MAX] = {GUARD_TLS_NAMES};

#define N_OPTION_KINDS (sizeof(option_kinds) / sizeof(option_kinds[0]))

/* A decimal number up to `max`; *end is what follows it. */
static bool parse_number(const char *text, uint64_t max, uint64_t *ret, const char **end)
{
    uint64_t value = 0;

    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        unsigned digit = (unsigned) (*text - '0');

        if (value > (max - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    *end = text;
    return true;
}

static bool parse_groups(const char *text, gid_t *ret_groups, unsigned *ret_n)
{
    uint64_t value;

    *ret_n = 0;
    while (*text) {
        if (*ret_n == OPTIONS_GROUPS_MAX || !parse_number(text, OPTIONS_NO_ID - 1, &value, &text))
            return false;
        ret_groups[(*ret_n)++] = (gid_t) value;
        if (*text == ',' && text[1])
            text++;
        else if (*text)
            return false;
    }
    return true;
}

static bool parse_value(Options *options, const OptionKind *kind, const char *text)
{
    void *field = (char *) options + kind->offset;
    const char *end = "";
    uint64_t value;

    switch (kind->type) {
    case OPTION_STRING:
        *(const char **) field = text;
        return true;
    case OPTION_FD:
        if (!parse_number(text, INT32_MAX, &value, &end) || *end || value < 3)
            return false;
        *(int *) field = (int) value;
        return fcntl((int) value, F_SETFD, FD_CLOEXEC) >= 0;
    case OPTION_NUMBER:
        return parse_number(text, INT64_MAX, field, &end) && !*end;
    case OPTION_ID:
        if (!parse_number(text, OPTIONS_NO_ID - 1, &value, &end) || *end)
            return false;
        *(uint32_t *) field = (uint32_t) value;
        return true;
    case OPTION_IDS:
        return parse_groups(text, options->groups, &options->n_groups);
    case OPTION_OWNER_IDS:
        return parse_groups(text, options->owner_groups, &options->n_owner_groups);
    case OPTION_BOOLEAN:
        *(bool *) field = strcmp(text, "yes") == 0;
        return *(bool *) field || strcmp(text, "no") == 0;
    case OPTION_BIND:
    case OPTION_BIND_READ_ONLY:
        if (options->n_binds == OPTIONS_BINDS_MAX || text[0] != '/')
            return false;
        options->binds[options->n_binds++] = (OptionBind){.path = text, .writable = kind->type == OPTION_BIND};
        return true;
    case OPTION_DEVICE:
        if (options->n_devices == OPTIONS_DEVICES_MAX || strncmp(text, "/dev/", 5) != 0 || strstr(text, "/../"))
            return false;
        options->devices[options->n_devices++] = text;
        return true;
    }
    return false;
}

static bool parse_option(Options *options, const char *argument)
{
    for (size_t i = 0; i < N_OPTION_KINDS; i++) {
        size_t n = strlen(option_kinds[i].name);

        if (strncmp(argument, "--", 2) == 0 && strncmp(argument + 2, option_kinds[i].name, n) == 0 &&
                argument[2 + n] == '=')
            return parse_value(options, &option_kinds[i], argument + 2 + n + 1);
    }
    return false;
}

/* What is wrong with the options taken together, or NULL. */
static const char *options_conflict(const Options *options)
{
    if (!options->qemu || !options->qemu[0])
        return "no QEMU to execute after --";
    if (options->helper && (options->status < 0 || options->life < 0))
        return "--helper= needs --status= and --life=";
    if (!options->helper && (options->status < 0 || options->qmp < 0))
        return "--status= and --qmp= are needed";
    if ((options->console < 0) != (options->console_listen < 0) ||
            (options->console < 0) != (options->console_log < 0))
        return "--console=, --console-listen= and --console-log= go together";
    if ((options->uid == OPTIONS_NO_ID) != (options->gid == OPTIONS_NO_ID) ||
            (options->guard_uid == OPTIONS_NO_ID) != (options->guard_gid == OPTIONS_NO_ID))
        return "a uid needs its gid";
    if (options->uid == OPTIONS_NO_ID && (options->guard_uid != OPTIONS_NO_ID || options->n_groups > 0))
        return "--guard-uid= and --groups= need --uid=";
    if (options->uid != OPTIONS_NO_ID && options->uid == options->guard_uid)
        return "--guard-uid= must differ from --uid=";
    if ((options->tls[0] < 0) != (options->tls[1] < 0) || (options->tls[0] < 0) != (options->tls[2] < 0) || (options->tls[0] >= 0 && !options->jail))
        return "--tls-ca=, --tls-cert= and --tls-key= go together, and need a jail";
    if (options->root && (options->root[0] != '/' || !options->jail))
        return "--root= is a path, and needs a jail";
    if (options->tree && (options->tree_fd < 0 || options->tree[0] != '/' || !options->helper || !options->jail))
        return "--tree= is of helpers in a jail, and needs --tree-fd=";
    if (options->tree && ((options->uid == OPTIONS_NO_ID) != (options->owner_uid == OPTIONS_NO_ID) ||
                                 (options->owner_uid == OPTIONS_NO_ID) != (options->owner_gid == OPTIONS_NO_ID)))
        return "--tree= needs --owner-uid= and --owner-gid= where it has --uid=";
    return NULL;
}

bool options_parse(Options *options, int argc, char **argv)
{
    const char *conflict;

    *options = (Options){
            .name = "?",
            .status = -1,
            .qmp = -1,
            .console = -1,
            .console_listen = -1,
            .console_log = -1,
            .go = -1,
            .life = -1,
            .tree_fd = -1,
            .tls = {-1, -1, -1},
            .owner_uid = OPTIONS_NO_ID,
            .owner_gid = OPTIONS_NO_ID,
            .log_size = 1024 * 1024,
            .press_interval_usec = 10 * 1000 * 1000,
            .uid = OPTIONS_NO_ID,
            .gid = OPTIONS_NO_ID,
            .guard_uid = OPTIONS_NO_ID,
            .guard_gid = OPTIONS_NO_ID,
            .filter = true,
            .jail = true,
    };
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            options->qemu = argv + i + 1;
            break;
        }
        if (!parse_option(options, argv[i])) {
            journal_say(JOURNAL_ERROR, "vmd-guard: unknown option or bad value: %s", argv[i]);
            return false;
        }
    }
    conflict = options_conflict(options);
    if (conflict)
        journal_say(JOURNAL_ERROR, "vmd-guard: %s", conflict);
    return !conflict;
}
