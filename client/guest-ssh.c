/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "guest-ssh.h"

#include <errno.h>
#include <unistd.h>

#include "connect.h"
#include "json.h"
#include "polkit-agent.h"
#include "report.h"
#include "ssh.h"
#include "verb.h"
#include "watch.h"

static int check(const Client *client, const char *name, const json_t *vm)
{
    size_t i;
    json_t *row;
    bool known = json_get_number(vm, "VSockCID") > 0;
    json_array_foreach(json_object_get(vm, "Addresses"), i, row)
        known |= *(json_string_value(json_array_get(row, 2)) ?: "") != '\0';
    if (!watch_is_up(vm))
        return report("VM \"%s\": it is %s. See: vmctl%s start %s", name, json_get_string(vm, "State"), client_hint_options(client), name);
    return known ? EXIT_DONE : report("VM \"%s\": no address of it is known yet, and it has no vsock. To wait for one: vmctl%s ip --wait %s. Without a network: vmctl%s exec %s", name,
        client_hint_options(client), name, client_hint_options(client), name);
}

/* The words that a shell reads, which ssh has exec them; where it runs on the host of -H another one there, too. */
static char *proxy_command(const Client *client, const char *name)
{
    g_autoptr(GString) text = g_string_new(NULL);
    if (!client->host) {
        g_autofree char *self = g_file_read_link("/proc/self/exe", NULL), *quoted = g_shell_quote(self ? self : "vmctl");
        g_string_append_printf(text, "%s%s%s ssh-connect -- %s", quoted, client->user ? " --user" : "", client->quiet ? " -q" : "", name);
    } else {
        const char *const options[] = {"-T", NULL}, *const words[] = {"vmctl", "ssh-connect", "--pipe", "--", name};
        g_autoptr(GPtrArray) argv = ssh_command(client, options, words, G_N_ELEMENTS(words));
        for (guint i = 0; argv && argv->pdata[i]; i++) {
            g_autofree char *quoted = g_shell_quote(argv->pdata[i]);
            g_string_append_printf(text, "%s%s", i > 0 ? " " : "", quoted);
        }
        if (!argv)
            return NULL;
    }
    /* ssh replaces %h and the like. */
    g_string_replace(text, "%", "%%", 0);
    return g_string_free(g_steal_pointer(&text), FALSE);
}

static void add_option(GPtrArray *argv, const char *name, const char *value)
{
    g_ptr_array_add(argv, g_strdup("-o"));
    g_ptr_array_add(argv, g_strdup_printf("%s=%s", name, value));
}

GPtrArray *guest_ssh_command(Client *client, const char *program, const char *name, int *ret_code)
{
    g_autoptr(json_t) vm = NULL;
    *ret_code = client->machine ? report_usage("%s: a guest cannot be reached through a container; run vmctl there", client->verb->name)
                                : json_get_properties(client, name, &vm);
    if (*ret_code == EXIT_DONE)
        *ret_code = check(client, name, vm);
    g_autofree char *proxy = *ret_code == EXIT_DONE ? proxy_command(client, name) : NULL;
    if (*ret_code == EXIT_DONE && !proxy)
        *ret_code = EXIT_USAGE;
    if (!proxy)
        return NULL;
    g_autofree char *alias = g_strdup_printf("%s.vm.%s", name, json_get_string(vm, "UUID"));
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup(program));
    /* The first of each counts: what the caller wants comes before what is only a habit. */
    add_option(argv, "ProxyCommand", proxy);
    add_option(argv, "ProxyUseFdpass", client->host ? "no" : "yes");
    add_option(argv, "HostKeyAlias", alias);
    for (guint i = 0; client->ssh_options && i < client->ssh_options->len; i++) {
        g_ptr_array_add(argv, g_strdup("-o"));
        g_ptr_array_add(argv, g_strdup(client->ssh_options->pdata[i]));
    }
    if (client->identity) {
        g_ptr_array_add(argv, g_strdup("-i"));
        g_ptr_array_add(argv, g_strdup(client->identity));
    }
    if (client->quiet)
        g_ptr_array_add(argv, g_strdup("-q"));
    return argv;
}

int guest_ssh_execute(GPtrArray *argv)
{
    g_ptr_array_add(argv, NULL);
    polkit_agent_stop();
    (void) execvp(argv->pdata[0], (char **) argv->pdata);
    (void) report_errno(errno, "%s: it cannot be run", (const char *) argv->pdata[0]);
    return EXIT_NOT_EXECUTED;
}
