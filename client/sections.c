/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sections.h"

#include "connect.h"
#include "kind.h"
#include "report.h"

int sections_get(Client *client, const char *name, char ***ret)
{
    g_autoptr(sd_bus_message) reply = NULL;
    g_autoptr(GPtrArray) sections = g_ptr_array_new_with_free_func(g_free);
    const char *section;
    int r = client_call(client, name, client_kind(client)->interface, "GetSettings", &reply, NULL);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_enter_container(reply, 'a', "{sa{sv}}");
    while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sa{sv}")) > 0) {
        r = sd_bus_message_read(reply, "s", &section);
        if (r >= 0)
            g_ptr_array_add(sections, g_strdup(section));
        if (r >= 0)
            r = sd_bus_message_skip(reply, "a{sv}");
        if (r >= 0)
            r = sd_bus_message_exit_container(reply);
    }
    if (r < 0)
        return report_errno(r, "vmd: cannot read its answer");
    g_ptr_array_add(sections, NULL);
    *ret = (char **) g_ptr_array_steal(sections, NULL);
    return EXIT_DONE;
}
