/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* console: the serial console on this terminal. */
#include "attach.h"
#include "verb.h"

int verb_console(Client *client)
{
    return attach_console(client, client->arguments[0]);
}
