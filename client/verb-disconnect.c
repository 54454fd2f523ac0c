/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* disconnect: viewers are put out. */
#include <inttypes.h>

#include "connect.h"
#include "json.h"
#include "report.h"
#include "value.h"
#include "verb.h"

static int disconnect(Client *client, uint32_t viewer)
{
    return client_call(client, client->arguments[0], VM_INTERFACE, "Disconnect", NULL, "u", viewer);
}

static int disconnect_all(Client *client)
{
    g_autoptr(json_t) vm = NULL;
    size_t i;
    json_t *row;
    int r = json_get_properties(client, client->arguments[0], &vm), first = r;
    if (r == EXIT_DONE && json_array_size(json_object_get(vm, "DisplayClients")) == 0)
        note(client, "VM \"%s\": nobody looks at it", client->arguments[0]);
    json_array_foreach(json_object_get(vm, "DisplayClients"), i, row)
    {
        r = disconnect(client, (uint32_t) json_integer_value(json_array_get(row, 0)));
        if (first == EXIT_DONE)
            first = r;
    }
    return first;
}

int verb_disconnect(Client *client)
{
    const char *word = client->arguments[1];
    uint64_t viewer;
    if (!word)
        return disconnect_all(client);
    if (parse_uint64(*word == '#' ? word + 1 : word, &viewer) < 0 || viewer > UINT32_MAX)
        return report_usage("disconnect: \"%s\" is no number of a viewer. See: vmctl status %s", word, client->arguments[0]);
    return disconnect(client, (uint32_t) viewer);
}
