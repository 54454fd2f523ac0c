/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "option.h"

#include <string.h>

#include "report.h"
#include "schema.h"

#define AT(field) offsetof(Client, field)

const Option options[] = {
        /* clang-format off */
    { NULL, "help", 'h', OPTION_FLAG, AT(help), NULL, NULL, "Show this help, or that of a command" },
    { NULL, "version", 0, OPTION_FLAG, AT(version), NULL, NULL, "Show the version of vmctl" },
    { NULL, "system", 0, OPTION_FLAG, AT(system), NULL, NULL, "Talk to the system's vmd (the default)" },
    { NULL, "user", 0, OPTION_FLAG, AT(user), NULL, NULL, "Talk to the calling user's own vmd" },
    { NULL, "host", 'H', OPTION_STRING, AT(host), "[USER@]HOST", NULL, "Talk to the vmd of another host, over ssh" },
    { NULL, "machine", 'M', OPTION_STRING, AT(machine), "[USER@]CONTAINER", NULL, "Talk to the vmd in a local container" },
    { NULL, "json", 'j', OPTION_OPTIONAL, AT(json), "MODE", "pretty|short|off", "Print JSON: pretty, short or off" },
    { NULL, "no-pager", 0, OPTION_FLAG, AT(no_pager), NULL, NULL, "Do not pipe output into a pager" },
    { NULL, "no-legend", 0, OPTION_FLAG, AT(no_legend), NULL, NULL, "Do not print headers and footers" },
    { NULL, "quiet", 'q', OPTION_FLAG, AT(quiet), NULL, NULL, "Print nothing that is not asked for" },
    { NULL, "no-ask-password", 0, OPTION_FLAG, AT(no_ask_password), NULL, NULL, "Do not ask for authorisation" },

    { "create,run,set,attach", "property", 'p', OPTION_CHANGE, 0, "SECTION.KEY=VALUE", NULL, "Set any key of vmd.vm(5); without a section one of [VM] or [Scope]" },
    { "network create,network set", "property", 'p', OPTION_CHANGE, 0, "SECTION.KEY=VALUE", NULL, "Set any key of vmd.net(5); without a section one of [Network]" },
    { "pool create,pool set", "property", 'p', OPTION_CHANGE, 0, "SECTION.KEY=VALUE", NULL, "Set any key of vmd.pool(5); without a section one of [Pool]" },
    { "create,run,set", "cdrom", 0, OPTION_CDROM, AT(cdroms), "PATH", NULL, "A CD-ROM image: makes a [Disk cdrom0], [Disk cdrom1], ..." },
    { "create,network create,pool create", "start", 0, OPTION_FLAG, AT(now), NULL, NULL, "Start it, too" },
    { "create,network create,pool create", "now", 0, OPTION_FLAG, AT(now), NULL, NULL, NULL },
    { "enable", "now", 0, OPTION_FLAG, AT(now), NULL, NULL, "Start it, too" },
    { "disable", "now", 0, OPTION_FLAG, AT(now), NULL, NULL, "Stop it, too" },
    { "run,start", "attach", 'a', OPTION_FLAG, AT(attach), NULL, NULL, "Attach this terminal to the console" },
    { "run,start", "console", 0, OPTION_FLAG, AT(attach), NULL, NULL, "The same" },
    { "start", "wait", 0, OPTION_STRING, AT(wait_for), "WHAT", "booted|agent|ip", "Until the guest is up, its guest agent answers, or it has an address" },
    { "run", "wait", 0, OPTION_FLAG, AT(wait), NULL, NULL, "Wait until the guest has ended" },
    { "start,stop,save,type,volume create,volume clone,volume convert,volume resize,volume wipe,import,image import,image pull", "no-block", 0, OPTION_FLAG, AT(no_block), NULL, NULL, "Do not wait until it is done" },
    { "start,stop", "notify", 0, OPTION_FLAG, AT(notify), NULL, NULL, NULL },
    { "delete", "force", 'f', OPTION_FLAG, AT(force), NULL, NULL, "Also when it runs: terminate it first" },
    { "delete", "volumes", 0, OPTION_FLAG, AT(with_volumes), NULL, NULL, "Delete the volumes that it writes to, too" },
    { "volume download", "force", 'f', OPTION_FLAG, AT(force), NULL, NULL, "Replace a file that is there" },
    { "volume delete,image delete", "force", 'f', OPTION_FLAG, AT(force), NULL, NULL, "Also when a VM that does not run has it as a disk" },
    { "insert,eject", "force", 'f', OPTION_FLAG, AT(force), NULL, NULL, "Also when the guest keeps the tray locked" },
    { "delete,network delete,pool delete,volume delete,volume wipe,image delete", "yes", 'y', OPTION_FLAG, AT(yes), NULL, NULL, "Do not ask" },
    { "list", "state", 0, OPTION_STRING, AT(state), "STATE", "stopped|starting|running|paused|stopping|saving|saved|failed", "Only VMs in this state" },
    { "network list", "state", 0, OPTION_STRING, AT(state), "STATE", "stopped|starting|running|stopping|failed", "Only networks in this state" },
    { "pool list", "state", 0, OPTION_STRING, AT(state), "STATE", "stopped|starting|running|stopping|failed", "Only pools in this state" },
    { "list,status,doctor,network list,pool list,volume list,image list,qemu list", "full", 'l', OPTION_FLAG, AT(full), NULL, NULL, "Show more, and do not cut it to the terminal" },
    { "show,network show,pool show,volume show,image show,snapshot show", "property", 'p', OPTION_NAMES, AT(properties), "NAME,...", NULL, "Only these properties" },
    { "show,ip,network show,pool show,volume show,image show,snapshot show", "value", 0, OPTION_FLAG, AT(value), NULL, NULL, "Only the values" },
    { "show,network show,pool show", "settings", 0, OPTION_FLAG, AT(settings), NULL, NULL, "The settings that file and drop-ins come to, in place of properties" },
    { "show,network show,pool show,volume show,image show,snapshot show", "all", 0, OPTION_FLAG, AT(all), NULL, NULL, "Also properties that are empty" },
    { "log", "follow", 'f', OPTION_FLAG, AT(follow), NULL, NULL, "Go on with what comes" },
    { "log,status", "lines", 'n', OPTION_STRING, AT(lines), "N", NULL, "Number of journal lines" },
    { "log,status", "output", 'o', OPTION_STRING, AT(output), "MODE", "short|short-precise|short-iso|short-full|short-monotonic|verbose|json|json-pretty|cat|with-unit|export", "Journal format, see journalctl(1)" },
    { "log", "boot", 'b', OPTION_OPTIONAL, AT(boot), "ID", NULL, "Only from this, or another, boot of the host" },
    { "log", "since", 'S', OPTION_STRING, AT(since), "TIME", NULL, "Only from this time on" },
    { "log", "until", 'U', OPTION_STRING, AT(until), "TIME", NULL, "Only up to this time" },
    { "log", "reverse", 'r', OPTION_FLAG, AT(reverse), NULL, NULL, "Newest first" },
    { "log", "console", 0, OPTION_FLAG, AT(console_log), NULL, NULL, "What the guest printed to its console, in place of the journal" },
    { "console", "no-replay", 0, OPTION_FLAG, AT(no_replay), NULL, NULL, "Leave out what was printed before" },
    { "exec", "timeout", 0, OPTION_STRING, AT(timeout), "TIME", NULL, "Wait no longer than this, such as 30s; the command goes on" },
    { "ssh,cp", "option", 'o', OPTION_WORDS, AT(ssh_options), "SETTING", NULL, "Give ssh this setting of ssh_config(5)" },
    { "ssh,cp", "identity", 'i', OPTION_FILE, AT(identity), "FILE", NULL, "Log in with this key" },
    { "cp", "recursive", 'r', OPTION_FLAG, AT(recursive), NULL, NULL, "Folders, too" },
    { "usb redirect", "stdio", 0, OPTION_FLAG, AT(stdio), NULL, NULL, NULL },
    { "ssh-connect", "pipe", 0, OPTION_FLAG, AT(pipe), NULL, NULL, NULL },
    { "guest fsfreeze", "timeout", 0, OPTION_STRING, AT(timeout), "TIME", NULL, "Thaw them after this, such as 30s; else after a minute" },
    { "guest set-password", "crypted", 0, OPTION_FLAG, AT(crypted), NULL, NULL, "It is what crypt(3) has made of one" },
    { "guest add-ssh-key", "replace", 0, OPTION_FLAG, AT(replace), NULL, NULL, "In place of those that are there" },
    { "exec", "no-input", 'n', OPTION_FLAG, AT(no_input), NULL, NULL, "Do not read stdin, which is else the command's unless it is a terminal" },
    { "view", "full-screen", 'f', OPTION_FLAG, AT(full_screen), NULL, NULL, "Fill the screen" },
    { "view", "viewer", 0, OPTION_STRING, AT(viewer), "PROGRAM", "remote-viewer|spicy|vncviewer", "With this viewer; else the first that is installed" },
    { "view", "type", 0, OPTION_STRING, AT(display_type), "TYPE", "spice|vnc", "What it speaks; else SPICE where the VM has it" },
    { "view", "listen", 0, OPTION_FILE, AT(listen), "PATH", NULL, "Start no viewer: make a socket that one can be pointed at, until Ctrl-C" },
    { "view", "until-eof", 0, OPTION_FLAG, AT(until_eof), NULL, NULL, NULL },
    { "invite", "lifetime", 0, OPTION_STRING, AT(lifetime), "TIME", NULL, "How long the password lets people in, such as 10min; else 2min" },
    { "invite", "address", 0, OPTION_STRING, AT(address), "HOST", NULL, "What this host is called there, as its certificate has it" },
    { "invite", "ca", 0, OPTION_FILE, AT(ca), "FILE", NULL, "Write the certificate there by which viewers know this host" },
    { "screenshot", "head", 0, OPTION_STRING, AT(head), "N", NULL, "Of this head; 0 is the first" },
    { "type", "layout", 0, OPTION_STRING, AT(layout), "LAYOUT", NULL, "The keyboard layout of the guest, such as fr or de(nodeadkeys); else us" },
    { "type", "interval", 0, OPTION_STRING, AT(interval), "TIME", NULL, "From one key to the next, such as 200ms, for a guest that loses some" },
    { "top", "delay", 'd', OPTION_STRING, AT(delay), "TIME", NULL, "From one reading to the next, such as 5s; else 2s" },
    { "top", "iterations", 'n', OPTION_STRING, AT(iterations), "N", NULL, "End after so many; of --json, and where no terminal is there, one" },
    { "top", "sort", 0, OPTION_STRING, AT(sort), "COLUMN", "cpu|memory|disk|network|pressure|exits|name", "What comes first; else what uses most of the processor" },
    { "top", "batch", 'b', OPTION_FLAG, AT(batch), NULL, NULL, "Print lines, and nothing that drives a terminal" },
    { "ip", "wait", 0, OPTION_OPTIONAL, AT(wait_time), "TIME", NULL, "Wait until there is an address, for TIME at most" },
    { "volume create,volume clone,volume convert", "size", 0, OPTION_STRING, AT(size), "SIZE", NULL, "What a guest sees, such as 20G; of a copy, that of what it is made from" },
    { "volume create,volume clone,volume convert", "format", 0, OPTION_STRING, AT(format), "FORMAT", "raw|qcow2", "raw or qcow2; else by the name, which ends in .qcow2 for qcow2 alone" },
    { "volume create,volume clone,volume convert", "preallocation", 0, OPTION_STRING, AT(preallocation), "MODE", "off|metadata|full", "What is allocated at once: off, metadata or full" },
    { "volume create", "from", 0, OPTION_VOLUME, AT(from), "VOLUME", NULL, "Make a copy of this volume, with all that is behind it" },
    { "volume create,volume clone,volume convert", "overlay", 0, OPTION_FLAG, AT(overlay), NULL, NULL, "Hold only what differs from that, which then must stay as it is" },
    { "volume create,volume clone,volume convert", "compress", 0, OPTION_FLAG, AT(compress), NULL, NULL, "Compress a qcow2 copy" },
    { "volume upload", "size", 0, OPTION_STRING, AT(size), "SIZE", NULL, "How many bytes are to come; others are an error" },
    { "import,image import", "size", 0, OPTION_STRING, AT(size), "SIZE", NULL, "Make it larger than the image" },
    { "import,image import", "format", 0, OPTION_STRING, AT(format), "FORMAT", "raw|qcow2|vmdk|vdi|vhdx|vpc", "The format of the file; else by its name" },
    { "image pull", "sha256", 0, OPTION_STRING, AT(sha256), "SUM", NULL, "The SHA-256 checksum that it must have" },
    { "image pull", "sha512", 0, OPTION_STRING, AT(sha512), "SUM", NULL, "The SHA-512 checksum that it must have" },
    { "image pull", "max-size", 0, OPTION_STRING, AT(max_size), "SIZE", NULL, "How large it may be; else 64G" },
    { "image pull", "keyring", 0, OPTION_FILE, AT(keyring), "FILE", NULL, "Take the checksum from a list that is signed by a key of this keyring" },
    { "image pull", "sums", 0, OPTION_STRING, AT(sums), "URL", NULL, "That list; else SHA256SUMS beside the image" },
    { "image pull", "signature", 0, OPTION_STRING, AT(signature), "URL", NULL, "Its signature; else the list's URL with .gpg" },
    { "image pull", "proxy", 0, OPTION_STRING, AT(proxy), "URL", NULL, "Download it through this proxy" },
    { "create", "image", 0, OPTION_VOLUME, AT(image), "IMAGE", NULL, "Make a disk of this image (vmctl image list); --disk=SIZE says how large" },
    { "create", "os", 0, OPTION_STRING, AT(os), "NAME", "linux|windows10|windows11", "Settings that this system wants, where options do not say otherwise" },
    { "create", "ova", 0, OPTION_FILE, AT(ova), "FILE", NULL, "Make its disks, CPUs and memory what this .ova says" },
    { "create", "copy", 0, OPTION_FLAG, AT(copy), NULL, NULL, "With --image: a copy, and not only what differs from it" },
    { "snapshot create", "description", 0, OPTION_STRING, AT(description), "TEXT", NULL, "What it is for" },
    { "snapshot create", "disks-only", 0, OPTION_FLAG, AT(disks_only), NULL, NULL, "Of a VM that runs: not its memory" },
    { "snapshot create,backup", "quiesce", 0, OPTION_STRING, AT(quiesce), "WHEN", "auto|yes|no", "Whether the guest agent freezes the guest's file systems; a snapshot's without its memory" },
    { "backup", "since", 0, OPTION_STRING, AT(since), "BACKUP", NULL, "Only what has changed since this backup in the folder, or \"last\"" },
    { "backup", "name", 0, OPTION_STRING, AT(name), "NAME", NULL, "What the backup is called; else by the time" },
    { "backup", "compress", 0, OPTION_FLAG, AT(compress), NULL, NULL, "Compress it" },
    { "backup", "bandwidth", 0, OPTION_STRING, AT(bandwidth), "RATE", NULL, "At most so many bytes a second" },
    { "backup", "pull", 0, OPTION_FLAG, AT(pull), NULL, NULL, "Offer the disks over NBD to a command: NAME --pull -- COMMAND..." },
    { "backup", "checkpoint", 0, OPTION_STRING, AT(checkpoint), "NAME", NULL, "With --pull: what a later --since= can name" },
    { "restore", "name", 0, OPTION_STRING, AT(name), "BACKUP", NULL, "Of this backup, not of the newest" },
    { "restore", "as", 0, OPTION_STRING, AT(as), "NAME", NULL, "Call the VM so" },
    { "restore", "pool", 0, OPTION_STRING, AT(pool), "POOL", NULL, "Where its disks go; else where they were, or to \"default\"" },
    { "share add", "as", 0, OPTION_STRING, AT(as), "NAME", NULL, "What the guest mounts; else the folder's own name" },
    { "share add", "read-only", 0, OPTION_FLAG, AT(read_only), NULL, NULL, "The guest may only read" },
    { "volume resize", "shrink", 0, OPTION_FLAG, AT(shrink), NULL, NULL, "It may lose what is at its end" },
    { "tap", "mac", 0, OPTION_STRING, AT(mac), "MAC", NULL, "The guest's MAC address; else vmd chooses one" },
    { "tap", "name", 0, OPTION_STRING, AT(port_name), "NAME", NULL, "What the guest is called in DNS; else your user name" },
    { "tap", "forward", 0, OPTION_NAMES, AT(forwards), "PORTS,...", NULL, "Ports of the host that lead to the guest, as Forward= of vmd.vm(5)" },
    {}
        /* clang-format on */
};

static bool words_have(const char *words, const char *word, size_t length, char separator)
{
    for (const char *p = words; p && *p;) {
        const char *end = strchrnul(p, separator);
        if ((size_t) (end - p) == length && memcmp(p, word, length) == 0)
            return true;
        p = *end ? end + 1 : end;
    }
    return false;
}

bool option_is_for(const Option *option, const Verb *verb)
{
    return !option->verbs || !verb || words_have(option->verbs, verb->name, strlen(verb->name), ',');
}

const SettingKey *option_find_setting(const Verb *verb, const char *name, size_t length)
{
    if (verb && !(verb->flags & VERB_SETTINGS))
        return NULL;
    for (const ObjectKind *const *kind = kinds; *kind; kind++) {
        const SettingKey *keys = (*kind)->schema->keys;
        if (verb && keys != verb_setting_keys(verb))
            continue;
        for (const SettingKey *key = keys; key->section; key++)
            if (key->option && strlen(key->option) == length && memcmp(key->option, name, length) == 0)
                return key;
    }
    return NULL;
}

static const Option *find_long(const Verb *verb, const char *name, size_t length)
{
    for (const Option *option = options; option->name; option++)
        if (option_is_for(option, verb) && strlen(option->name) == length &&
                memcmp(option->name, name, length) == 0)
            return option;
    return NULL;
}

static const Option *find_letter(const Verb *verb, char letter)
{
    for (const Option *option = options; option->name; option++)
        if (option_is_for(option, verb) && option->letter == letter)
            return option;
    return NULL;
}

/* The verbs that have an option, for people: "create, run, network set". The caller frees. */
static char *owners(const char *name)
{
    g_autoptr(GString) text = g_string_new(NULL);
    for (const Verb *verb = verbs; verb->name; verb++)
        if (verb->handler && !(verb->flags & VERB_HIDDEN) &&
                (find_long(verb, name, strlen(name)) || option_find_setting(verb, name, strlen(name))))
            g_string_append_printf(text, "%s%s", text->len ? ", " : "", verb->name);
    return g_string_free(g_steal_pointer(&text), false);
}

/* Edits (insert, delete, replace, swap neighbours) that make one word the other. */
static unsigned distance(const char *a, const char *b)
{
    enum { LONGEST = 40 };
    size_t n = strlen(a), m = strlen(b);
    unsigned rows[3][LONGEST + 1];
    if (n > LONGEST || m > LONGEST)
        return UINT_MAX;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned) j;
    for (size_t i = 1; i <= n; i++) {
        unsigned *row = rows[i % 3], *above = rows[(i + 2) % 3], *two_above = rows[(i + 1) % 3];
        row[0] = (unsigned) i;
        for (size_t j = 1; j <= m; j++) {
            unsigned best = above[j - 1] + (a[i - 1] != b[j - 1]);
            best = MIN(best, MIN(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                best = MIN(best, two_above[j - 2] + 1);
            row[j] = best;
        }
    }
    return rows[n % 3][m];
}

const char *option_nearest(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    unsigned best_distance = MAX(1U, (unsigned) MIN(strlen(word), 40U) / 3) + 1;
    for (const char *const *candidate = candidates; *candidate; candidate++) {
        unsigned d = distance(word, *candidate);
        if (strlen(word) >= 3 && g_str_has_prefix(*candidate, word))
            d = MIN(d, 1);
        if (d < best_distance) {
            best = *candidate;
            best_distance = d;
        }
    }
    return best;
}

static int report_unknown(const Verb *verb, const char *word, size_t length)
{
    g_autofree char *name = g_strndup(word, length);
    g_autoptr(GPtrArray) names = g_ptr_array_new();
    const Option *other = find_long(NULL, name, strlen(name));
    const SettingKey *setting = option_find_setting(NULL, name, strlen(name));

    if (verb && (other || setting)) {
        g_autofree char *names_of_owners = owners(name);
        return report_usage(
                "--%s: \"%s\" has no such option; it belongs to: %s", name, verb->name, names_of_owners);
    }

    for (const Option *option = options; option->name; option++)
        if (option_is_for(option, verb) && option->summary)
            g_ptr_array_add(names, (char *) option->name);
    for (const SettingKey *key = verb_setting_keys(verb); key && key->section; key++)
        if (key->option)
            g_ptr_array_add(names, (char *) key->option);
    g_ptr_array_add(names, NULL);

    const char *nearest = option_nearest(name, (const char *const *) names->pdata);
    if (nearest)
        return report_usage("--%s: there is no such option. Did you mean --%s?", name, nearest);
    return report_usage("--%s: there is no such option. See vmctl %s%s--help", name, verb ? verb->name : "",
            verb ? " " : "");
}

static void take_names(GPtrArray **names, const char *value)
{
    if (!*names)
        *names = g_ptr_array_new_with_free_func(g_free);
    g_auto(GStrv) words = g_strsplit(value, ",", -1);
    for (char **word = words; *word; word++)
        if (**word)
            g_ptr_array_add(*names, g_strdup(*word));
}

static void take_change(Client *client, const SettingKey *key, const char *value)
{
    SettingArgument argument = {key, value};
    if (!client->changes)
        client->changes = g_array_new(false, false, sizeof(SettingArgument));
    g_array_append_val(client->changes, argument);
}

static int take(Client *client, const Option *option, const char *value)
{
    void *field = (char *) client + option->offset;

    if (option->words && *value && !words_have(option->words, value, strlen(value), '|'))
        return report_usage("--%s=%s: it can be: %s", option->name, value, option->words);

    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *) field = true;
        break;
    case OPTION_STRING:
    case OPTION_OPTIONAL:
    case OPTION_VOLUME:
    case OPTION_FILE:
        *(const char **) field = value;
        break;
    case OPTION_NAMES:
        take_names(field, value);
        break;
    case OPTION_CHANGE:
        take_change(client, NULL, value);
        break;
    case OPTION_CDROM:
    case OPTION_WORDS:
        if (!*(GPtrArray **) field)
            *(GPtrArray **) field = g_ptr_array_new();
        g_ptr_array_add(*(GPtrArray **) field, (char *) value);
        break;
    }
    return 0;
}

/* The position in argv, and what is done there: without a client it is only skipped, to find the verb. */
typedef struct Parser {
    Client *client;
    const Verb *verb;
    int argc, at;
    char **argv;
} Parser;

static const char *next_word(Parser *p)
{
    return p->at + 1 < p->argc ? p->argv[++p->at] : NULL;
}

static int parse_long(Parser *p, const char *word)
{
    const char *equals = strchrnul(word, '=');
    const char *value = *equals ? equals + 1 : NULL;
    size_t length = (size_t) (equals - word);
    const Option *option = find_long(p->verb, word, length);
    const SettingKey *setting = option_find_setting(p->verb, word, length);

    /* "run --console" attaches, "run --console=none" is the setting. */
    if (option && option->kind == OPTION_FLAG && value && setting)
        option = NULL;
    if (!option && !setting)
        return p->client ? report_unknown(p->verb, word, length) : 0;

    bool needs_value = !option || (option->kind != OPTION_FLAG && option->kind != OPTION_OPTIONAL);
    if (needs_value && !value)
        value = next_word(p);
    if (!p->client)
        return 0;
    if (needs_value && !value)
        return report_usage("--%s: it needs a value, --%s=%s", word, word,
                option             ? option->metavar
                : setting->metavar ? setting->metavar
                                   : "VALUE");
    if (option && option->kind == OPTION_FLAG && value)
        return report_usage("--%.*s: it takes no value", (int) length, word);
    if (option)
        return take(p->client, option, value ? value : "");
    take_change(p->client, setting, value);
    return 0;
}

static int parse_letters(Parser *p, const char *letters)
{
    for (const char *l = letters; *l; l++) {
        const Option *option = find_letter(p->verb, *l);
        if (!option) {
            if (!p->client)
                return 0;
            if (p->verb && find_letter(NULL, *l))
                return report_usage("-%c: \"%s\" has no such option", *l, p->verb->name);
            return report_usage("-%c: there is no such option. See vmctl --help", *l);
        }
        const char *value = "";
        bool last = true;
        if (option->kind == OPTION_FLAG)
            last = false;
        else if (option->kind == OPTION_OPTIONAL && option->words)
            last = false; /* -j: whatever follows is another letter */
        else if (option->kind == OPTION_OPTIONAL)
            value = l + 1;
        else
            value = l[1] ? l + 1 : next_word(p);
        if (p->client && !value)
            return report_usage("-%c: it needs a value, -%c %s", *l, *l, option->metavar);
        int r = p->client ? take(p->client, option, value) : 0;
        if (r != 0 || last)
            return r;
    }
    return 0;
}

/* The first word behind `from` that is neither an option nor the value of one; 0: there is none. */
static int find_word(int argc, char **argv, int from)
{
    Parser p = {.argc = argc, .argv = argv};
    for (p.at = from + 1; p.at < argc; p.at++) {
        const char *word = argv[p.at];
        if (strcmp(word, "--") == 0)
            return p.at + 1 < argc ? p.at + 1 : 0;
        if (g_str_has_prefix(word, "--"))
            (void) parse_long(&p, word + 2);
        else if (word[0] == '-' && word[1])
            (void) parse_letters(&p, word + 1);
        else
            return p.at;
    }
    return 0;
}

static int check_arguments(const Client *client)
{
    const Verb *verb = client->verb;
    if (client->n_arguments < verb->min)
        return report_usage(
                "%s: something is missing; it is: vmctl %s %s", verb->name, verb->name, verb->synopsis);
    if (client->n_arguments > verb->max)
        return report_usage("%s: \"%s\" is too much; it is: vmctl %s %s", verb->name,
                client->arguments[verb->max], verb->name, verb->synopsis);
    return 0;
}

/* Fills Client.verb and where its words stand. */
static int find_verb(Client *client, int argc, char **argv, int at[2])
{
    unsigned n;
    at[0] = find_word(argc, argv, 0);
    if (at[0] == 0)
        return 0;
    int second = verb_group(argv[at[0]]) ? find_word(argc, argv, at[0]) : 0;
    client->verb =
            verb_find_words(argv[at[0]], second > 0 ? argv[second] : NULL, &client->group, &n);
    if (n == 2)
        at[1] = second;
    if (client->verb)
        return 0;

    g_autofree char *name = g_strjoin(" ", argv[at[0]], n == 2 ? argv[second] : NULL, NULL);
    const char *nearest = verb_suggest(name);
    g_autofree char *group = n == 2 ? g_strconcat(argv[at[0]], " ", NULL) : g_strdup("");
    return nearest ? report_usage("%s: there is no such command. Did you mean \"vmctl %s\"?", name, nearest)
                   : report_usage("%s: there is no such command. See vmctl %s--help", name, group);
}

int option_parse(Client *client, int argc, char **argv)
{
    Parser p = {.client = client, .argc = argc, .argv = argv};
    int verb_at[2] = {};
    bool words_only = false;

    int r = find_verb(client, argc, argv, verb_at);
    if (r != 0)
        return r;
    p.verb = client->verb;

    client->arguments = g_new0(char *, (size_t) argc + 1);
    for (p.at = 1; p.at < argc; p.at++) {
        char *word = argv[p.at];
        if (p.at == verb_at[0] || p.at == verb_at[1])
            continue;
        if (words_only || word[0] != '-' || !word[1]) {
            client->arguments[client->n_arguments++] = word;
            words_only |= p.verb && p.verb->flags & VERB_COMMAND && client->n_arguments > 1;
        } else if (strcmp(word, "--") == 0)
            words_only = true;
        else if (word[1] == '-')
            r = parse_long(&p, word + 2);
        else
            r = parse_letters(&p, word + 1);
        if (r != 0)
            return r;
    }
    if (client->help || client->version)
        return 0;
    if (client->host && client->machine)
        return report_usage("-H and -M cannot both be given");
    if (client->user && client->system)
        return report_usage("--user and --system cannot both be given");
    if (client->user && client->host)
        return report_usage(
                "--user: there is no way to another user's bus over -H; use -H USER@HOST with ssh itself");
    return client->verb ? check_arguments(client) : 0;
}

JsonMode client_json(const Client *client)
{
    if (!client->json || strcmp(client->json, "off") == 0)
        return JSON_MODE_OFF;
    if (strcmp(client->json, "pretty") == 0)
        return JSON_MODE_PRETTY;
    if (strcmp(client->json, "short") == 0)
        return JSON_MODE_SHORT;
    return isatty(STDOUT_FILENO) ? JSON_MODE_PRETTY : JSON_MODE_SHORT;
}

bool client_is_local(const Client *client)
{
    return !client->host && !client->machine;
}

const char *client_hint_options(const Client *client)
{
    return client->user ? " --user" : "";
}
