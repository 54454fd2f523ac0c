/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ssh.h"

#include <string.h>

#include "report.h"

GPtrArray *ssh_command(const Client *client, const char *const *options, const char *const *words, size_t n)
{
    if (strchr(client->host, '/')) {
        (void) report_usage("-H \"%s\": ssh does not lead into a container; run vmctl on that host", client->host);
        return NULL;
    }
    GPtrArray *argv = g_ptr_array_new_with_free_func(g_free);
    g_ptr_array_add(argv, g_strdup("ssh"));
    for (size_t i = 0; options[i]; i++)
        g_ptr_array_add(argv, g_strdup(options[i]));
    g_ptr_array_add(argv, g_strdup("--"));
    /* A port is in no plain destination of ssh's. */
    g_ptr_array_add(argv, g_strdup_printf("%s%s", strchr(client->host, ':') ? "ssh://" : "", client->host));
    for (size_t i = 0; i < n; i++)
        if (words[i])
            g_ptr_array_add(argv, g_shell_quote(words[i]));
    g_ptr_array_add(argv, NULL);
    return argv;
}
