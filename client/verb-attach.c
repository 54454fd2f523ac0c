/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* attach, detach, insert, eject: devices, and what is in CD drives, that come and go, while a VM runs too. */
#include <string.h>

#include "changes.h"
#include "connect.h"
#include "name.h"
#include "report.h"
#include "sections.h"
#include "verb.h"

int verb_attach(Client *client)
{
    const char *name = client->arguments[0];
    g_auto(GStrv) taken = NULL;
    g_autoptr(sd_bus_message) message = NULL;
    int r = sections_get(client, name, &taken);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(Changes) changes = changes_new(client, (const char *const *) taken);
    if (!changes)
        return EXIT_USAGE;
    if (changes_count(changes) != 1)
        return report_usage("attach: one device at a time; give --disk=SOURCE, --network=NAME, or -p 'SECTION.KEY=VALUE' of one section");
    r = client_new_call(client, name, VM_INTERFACE, "AttachDevice", &message);
    if (r != EXIT_DONE)
        return r;
    int k = changes_append_section(changes, message);
    if (k < 0)
        return report_errno(k, "AttachDevice: cannot make the call");
    r = client_send(client, name, message, NULL);
    if (r == EXIT_DONE && !client->quiet)
        printf("Attached [%s].\n", changes_first(changes));
    return r;
}

/* "Network lan", or "lan" where one section alone has that name. */
static const char *find_section(char **sections, const char *wanted)
{
    const char *found = NULL;
    for (size_t i = 0; sections[i]; i++) {
        const char *space = strchr(sections[i], ' ');
        if (strcmp(sections[i], wanted) == 0)
            return sections[i];
        if (space && strcmp(space + 1, wanted) == 0) {
            if (found)
                return wanted;
            found = sections[i];
        }
    }
    return found ? found : wanted;
}

int verb_detach(Client *client)
{
    const char *name = client->arguments[0];
    g_auto(GStrv) sections = NULL;
    int r = sections_get(client, name, &sections);
    if (r != EXIT_DONE)
        return r;
    return client_call(client, name, VM_INTERFACE, "DetachDevice", NULL, "s", find_section(sections, client->arguments[1]));
}

#define MEDIUM_FORCE UINT64_C(1)

/* `disk` NULL: the only drive. */
static int change_medium(Client *client, const char *disk, const char *source)
{
    const char *name = client->arguments[0];
    g_auto(GStrv) sections = NULL;
    int r = disk ? sections_get(client, name, &sections) : EXIT_DONE;
    if (r != EXIT_DONE)
        return r;
    return client_call(client, name, VM_INTERFACE, "ChangeMedium", NULL, "sst", disk ? find_section(sections, disk) : "", source,
        client->force ? MEDIUM_FORCE : UINT64_C(0));
}

int verb_insert(Client *client)
{
    const char *source = client->arguments[client->n_arguments - 1];
    bool path = *source != '/' && client_is_local(client) && !name_split_source(source, NULL, NULL);
    g_autofree char *absolute = path ? g_canonicalize_filename(source, NULL) : g_strdup(source);
    if (!*source)
        return report_usage("insert: name an image; 'vmctl eject' takes one out");
    return change_medium(client, client->n_arguments > 2 ? client->arguments[1] : NULL, absolute);
}

int verb_eject(Client *client)
{
    return change_medium(client, client->n_arguments > 1 ? client->arguments[1] : NULL, "");
}
