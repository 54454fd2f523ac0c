/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "verb.h"

#include <string.h>

#include "option.h"
#include "pager.h"
#include "schema.h"
#include "terminal.h"

const Verb verbs[] = {
        /* clang-format off */
    { "Virtual machines" },
    { "create", 1, 1, VERB_ACTS | VERB_SETTINGS, "NAME [OPTIONS...]", "Define a VM", verb_create },
    { "run", 0, 1, VERB_ACTS | VERB_SETTINGS, "[NAME] [OPTIONS...]", "Start a VM that is forgotten when it ends", verb_run },
    { "start", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Start VMs; saved ones go on where they were", verb_act },
    { "stop", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Press the power button and wait for the guest to end", verb_act },
    { "kill", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "End VMs at once, as pulling the plug does", verb_act },
    { "reboot", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Reboot guests in an orderly way", verb_act },
    { "reset", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Reset VMs, as the reset button does", verb_act },
    { "pause", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Stop virtual CPUs", verb_act },
    { "resume", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Let paused virtual CPUs go on", verb_act },
    { "save", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Write guests to files and end their VMs", verb_act },
    { "delete", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Forget VMs and delete their settings; images stay", verb_act },
    { "enable", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Start VMs when the host boots", verb_enable },
    { "disable", 1, VERB_ANY, VERB_ACTS | VERB_NAMES, "NAME...", "Do not start VMs when the host boots", verb_disable },

    { "Looking at them" },
    { "list", 0, VERB_ANY, VERB_NAMES, "[PATTERN...]", "List VMs", verb_list },
    { "status", 0, VERB_ANY, VERB_NAMES, "[NAME...]", "Show how VMs, or vmd itself, are doing", verb_status },
    { "show", 0, VERB_ANY, VERB_NAMES, "[NAME...]", "Show properties of VMs, or of vmd itself", verb_show },
    { "console", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Attach the terminal to the serial console", verb_console },
    { "log", 1, VERB_ANY, VERB_NAMES, "NAME [-- JOURNALCTL-OPTION...]", "Show what the journal has on a VM", verb_log },
    { "explain", 1, 1, VERB_NAMES, "NAME", "Show the QEMU command line and where each part comes from", verb_explain },
    { "jobs", 0, 0, 0, "", "List what is under way", verb_jobs },

    { "Their settings" },
    { "cat", 1, VERB_ANY, VERB_NAMES, "NAME...", "Show settings files and drop-ins", verb_cat },
    { "edit", 1, 1, VERB_ACTS | VERB_NAMES, "NAME", "Open the settings file in an editor", verb_edit },
    { "set", 1, 1, VERB_ACTS | VERB_NAMES | VERB_SETTINGS, "NAME OPTIONS...", "Change settings", verb_set },

    { "vmd" },
    { "reload", 0, 0, VERB_ACTS, "", "Read all settings files again", verb_reload },
    { "qemu", 0, 0, 0, "", "List the QEMU builds that were asked so far", verb_qemu },
    { "version", 0, 0, 0, "", "Show the versions of vmctl and vmd", verb_version },

    { "help", 0, 1, VERB_HIDDEN, "[COMMAND]", "Show help", verb_show_help },
    { "complete", 0, VERB_ANY, VERB_HIDDEN, "-- WORD...", "Completions, for shells", verb_complete },
    {}
        /* clang-format on */
};

/* What the same thing is called elsewhere. */
static const struct {
    const char *theirs, *ours;
} synonyms[] = {
        {"attach", "console"},
        {"autostart", "enable"},
        {"config", "cat"},
        {"define", "create"},
        {"destroy", "kill"},
        {"dumpxml", "cat"},
        {"info", "status"},
        {"journal", "log"},
        {"login", "console"},
        {"logs", "log"},
        {"ls", "list"},
        {"managedsave", "save"},
        {"new", "create"},
        {"poweroff", "stop"},
        {"ps", "list"},
        {"remove", "delete"},
        {"restart", "reboot"},
        {"restore", "start"},
        {"rm", "delete"},
        {"set-property", "set"},
        {"shutdown", "stop"},
        {"suspend", "pause"},
        {"terminate", "kill"},
        {"undefine", "delete"},
        {"unpause", "resume"},
};

const Verb *verb_find(const char *name)
{
    for (const Verb *verb = verbs; verb->name; verb++)
        if (verb->handler && strcmp(verb->name, name) == 0)
            return verb;
    return NULL;
}

const char *verb_suggest(const char *name)
{
    const char *names[G_N_ELEMENTS(verbs)];
    size_t n = 0;

    for (size_t i = 0; i < G_N_ELEMENTS(synonyms); i++)
        if (strcmp(synonyms[i].theirs, name) == 0)
            return synonyms[i].ours;
    for (const Verb *verb = verbs; verb->name; verb++)
        if (verb->handler && !(verb->flags & VERB_HIDDEN))
            names[n++] = verb->name;
    names[n] = NULL;
    return option_nearest(name, names);
}

/* "  -n --lines=N          Number of journal lines" */
static void print_option(char letter, const char *name, const char *value, bool optional, const char *summary)
{
    g_autofree char *text = g_strdup_printf("%s--%s%s%s%s%s", letter ? "" : "   ", name, optional ? "[" : "",
            value ? "=" : "", value ? value : "", optional ? "]" : "");
    if (letter)
        printf("  -%c %-31s %s\n", letter, text, summary);
    else
        printf("  %-34s %s\n", text, summary);
}

static void print_heading(const char *text)
{
    printf("\n%s%s:%s\n", terminal_style(stdout, STYLE_BOLD), text, terminal_normal(stdout, STYLE_BOLD));
}

static void print_options(const Verb *verb, bool own)
{
    for (const Option *option = options; option->name; option++) {
        if (own != !!option->verbs || !option->summary || !option_is_for(option, verb))
            continue;
        bool optional = option->kind == OPTION_OPTIONAL;
        print_option(option->letter, option->name, option->metavar, optional, option->summary);
    }
}

static bool has_own_options(const Verb *verb)
{
    for (const Option *option = options; option->name; option++)
        if (option->verbs && option->summary && option_is_for(option, verb))
            return true;
    return false;
}

static void print_setting_options(void)
{
    print_heading("Settings (vmd.vm(5) has all of them)");
    for (const SettingKey *key = vm_schema.keys; key->section; key++) {
        if (!key->option)
            continue;
        g_autofree char *words = NULL;
        if (key->words && !key->metavar)
            words = g_strdup(key->words);
        print_option(0, key->option,
                words          ? words
                : key->metavar ? key->metavar
                               : "VALUE",
                false, key->summary ? key->summary : "");
    }
}

static void print_exit_codes(void)
{
    static const struct {
        int code;
        const char *meaning;
    } codes[] = {
            {EXIT_DONE, "done"},
            {EXIT_FAILED, "it failed; stderr says why"},
            {EXIT_USAGE, "the command line cannot be meant"},
            {EXIT_NOT_RUNNING, "of status: the VM does not run"},
            {EXIT_NO_SUCH_VM, "there is no such VM"},
            {EXIT_NOT_AUTHORIZED, "not authorised"},
            {EXIT_INTERRUPTED, "interrupted; what was begun goes on"},
    };
    print_heading("Exit codes");
    for (size_t i = 0; i < G_N_ELEMENTS(codes); i++)
        printf("  %-6d %s\n", codes[i].code, codes[i].meaning);
}

int verb_help(const Client *client, const Verb *verb)
{
    pager_open(client->no_pager, true);
    if (verb) {
        printf("vmctl %s %s\n\n%s.\n", verb->name, verb->synopsis, verb->summary);
        if (has_own_options(verb)) {
            print_heading("Options");
            print_options(verb, true);
        }
        if (verb->flags & VERB_SETTINGS)
            print_setting_options();
        printf("\nOptions of all commands: vmctl --help\n");
    } else {
        printf("vmctl [OPTIONS...] COMMAND ...\n\nDefine, run and look after virtual machines.\n");
        for (const Verb *v = verbs; v->name; v++) {
            if (!v->handler) {
                print_heading(v->name);
            } else if (!(v->flags & VERB_HIDDEN)) {
                g_autofree char *text = g_strdup_printf("%s %s", v->name, v->synopsis);
                printf("  %-34s %s\n", text, v->summary);
            }
        }
        print_heading("Options");
        print_options(NULL, false);
        print_exit_codes();
        printf("\nvmctl COMMAND --help lists the options of a command. See vmctl(1), vmd.vm(5).\n");
    }
    return EXIT_DONE;
}

int verb_show_help(Client *client)
{
    const Verb *verb = NULL;
    if (client->n_arguments > 0) {
        verb = verb_find(client->arguments[0]);
        if (!verb) {
            const char *nearest = verb_suggest(client->arguments[0]);
            fprintf(stderr, "vmctl: %s: there is no such command.%s%s%s\n", client->arguments[0],
                    nearest ? " Did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
            return EXIT_USAGE;
        }
    }
    return verb_help(client, verb);
}
