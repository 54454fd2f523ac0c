/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <locale.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "config.h"
#include "option.h"
#include "pager.h"
#include "polkit-agent.h"
#include "verb.h"

static void client_done(Client *client)
{
    sd_bus_flush_close_unref(client->bus);
    g_free(client->arguments);
    g_clear_pointer(&client->properties, g_ptr_array_unref);
    g_clear_pointer(&client->changes, g_array_unref);
    g_clear_pointer(&client->cdroms, g_ptr_array_unref);
    g_clear_pointer(&client->forwards, g_ptr_array_unref);
    g_clear_pointer(&client->ssh_options, g_ptr_array_unref);
}

static int run(Client *client, int argc, char **argv)
{
    int r = option_parse(client, argc, argv);
    if (r != 0)
        return r;
    if (client->version) {
        puts("vmctl " PROJECT_VERSION);
        return EXIT_DONE;
    }
    if (client->help)
        return verb_help(client, client->verb, client->group);
    if (!client->verb)
        client->verb = verb_find("list");
    return client->verb->handler(client);
}

/* A full disk must not look like success. A reader that left, as head and pagers do, has had what it wanted.
 */
static bool output_was_written(void)
{
    bool failed = fflush(stdout) != 0 || ferror(stdout);
    struct pollfd poller = {.fd = STDOUT_FILENO};
    return !failed || (poll(&poller, 1, 0) > 0 && poller.revents & POLLERR);
}

int main(int argc, char **argv)
{
    Client client = {};
    setlocale(LC_CTYPE, "");
    (void) signal(SIGPIPE, SIG_IGN);

    int r = run(&client, argc, argv);

    if (!output_was_written() && r == EXIT_DONE) {
        fputs("vmctl: cannot write the output\n", stderr);
        r = EXIT_FAILED;
    }
    pager_close();
    polkit_agent_stop();
    client_done(&client);
    return r;
}
