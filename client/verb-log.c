/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* log: the journal of a VM, through journalctl. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "attach.h"
#include "child.h"
#include "connect.h"
#include "journal.h"
#include "name.h"
#include "report.h"
#include "ssh.h"
#include "verb.h"

static void add_flag(GPtrArray *argv, const char *flag, bool wanted)
{
    if (wanted)
        g_ptr_array_add(argv, g_strdup(flag));
}

static void add_matches(GPtrArray *argv, const Client *client, const char *name)
{
    g_autofree char *scope = name_to_scope(name), *service = name_to_service(name);
    /* Messages of the VM's own units, what systemd says of them, and what vmd says of the VM. What any
     * process may claim in UNIT= or VM= counts only from those who may; a user's own may claim it. */
    const char *own = client->user ? "_SYSTEMD_USER_UNIT" : "_SYSTEMD_UNIT";
    const char *of = client->user ? "USER_UNIT" : "UNIT";
    g_autofree char *uid = client->user && !client->machine ? g_strdup_printf("_UID=%u", getuid()) : NULL;
    const char *units[] = {scope, service};

    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        g_ptr_array_add(argv, g_strdup_printf("%s=%s", own, units[i]));
        add_flag(argv, uid, uid);
        g_ptr_array_add(argv, g_strdup("+"));
        g_ptr_array_add(argv, g_strdup_printf("%s=%s", of, units[i]));
        add_flag(argv, client->user ? uid : "_PID=1", uid || !client->user);
        g_ptr_array_add(argv, g_strdup("+"));
    }
    g_ptr_array_add(argv, g_strdup_printf("VM=%s", name));
    add_flag(argv, client->user ? uid : "_SYSTEMD_UNIT=vmd.service", uid || !client->user);
}

/* journalctl, to which options and matches are added. */
static GPtrArray *new_command(const Client *client)
{
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup("journalctl"));
    if (client->machine) {
        const char *at = strchr(client->machine, '@');
        g_ptr_array_add(argv, g_strdup_printf("--machine=%s", at ? at + 1 : client->machine));
    }
    return argv;
}

/* Over -H as a command for that host. NULL: that is reported. Takes `argv`. */
static GPtrArray *finish_command(const Client *client, GPtrArray *argv)
{
    const char *const options[] = {isatty(STDOUT_FILENO) ? "-t" : "-T", NULL};
    g_autoptr(GPtrArray) here = argv;
    g_ptr_array_add(here, NULL);
    return client->host ? ssh_command(client, options, (const char *const *) here->pdata, here->len) : g_steal_pointer(&here);
}

static void add_option(GPtrArray *argv, const char *option, const char *value)
{
    if (value)
        g_ptr_array_add(argv, g_strdup_printf("%s=%s", option, value));
}

static const char *journal_output(const Client *client)
{
    if (client->output)
        return client->output;
    return client_json(client) == JSON_MODE_PRETTY  ? "json-pretty"
           : client_json(client) == JSON_MODE_SHORT ? "json"
                                                    : NULL;
}

int journal_print(const Client *client, const char *name, const char *lines)
{
    g_autoptr(GPtrArray) argv = new_command(client);
    add_flag(argv, "--quiet", true);
    add_flag(argv, "--no-pager", true);
    add_option(argv, "--lines", client->lines ? client->lines : lines);
    add_option(argv, "--output", client->output);
    add_matches(argv, client, name);
    argv = finish_command(client, g_steal_pointer(&argv));
    if (!argv)
        return EXIT_USAGE;
    int r = child_run((const char *const *) argv->pdata);
    return r < 0 ? report_errno(r, "journalctl: cannot be run") : EXIT_DONE;
}

int verb_log(Client *client)
{
    const char *name = client->arguments[0];
    g_autoptr(Error) error = NULL;
    g_autoptr(GPtrArray) argv = NULL;

    if (!name_check(name, &error))
        return report_error(error);
    if (client->console_log)
        return attach_print(client, name, client->follow);

    argv = new_command(client);
    add_flag(argv, "--follow", client->follow);
    add_flag(argv, "--reverse", client->reverse);
    add_flag(argv, "--no-pager", client->no_pager);
    add_flag(argv, "--quiet", client->quiet);
    add_option(argv, "--lines", client->lines);
    add_option(argv, "--output", journal_output(client));
    add_option(argv, "--since", client->since);
    add_option(argv, "--until", client->until);
    if (client->boot)
        g_ptr_array_add(
                argv, *client->boot ? g_strdup_printf("--boot=%s", client->boot) : g_strdup("--boot"));
    for (size_t i = 1; i < client->n_arguments; i++)
        g_ptr_array_add(argv, g_strdup(client->arguments[i]));
    add_matches(argv, client, name);
    argv = finish_command(client, g_steal_pointer(&argv));
    if (!argv)
        return EXIT_USAGE;
    child_reset_signals();
    execvp(argv->pdata[0], (char **) argv->pdata);
    return report_errno(errno, "%s: cannot be run", (char *) argv->pdata[0]);
}
