/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot create, revert, delete, list; show is in verb-show.c. */
#include <string.h>

#include "connect.h"
#include "job.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "table.h"
#include "terminal.h"
#include "timestamp.h"
#include "verb.h"

static const JobKind create_kind = {"Snapshot", "making a snapshot", "snapshot", "nothing of it is left"};
static const JobKind revert_kind = {"Snapshot", "going back", "revert", "see 'vmctl snapshot list'"};
static const JobKind delete_kind = {"Snapshot", "deleting", "deletion", "see 'vmctl snapshot list'"};

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobCall, job_call_clear)

/* METHOD(name) of the VM. */
static int new_call(Client *client, const char *vm, const char *name, const char *method, JobCall *ret)
{
    ret->pool = g_strdup(vm);
    ret->volume = g_strdup(name);
    int r = client_new_call(client, vm, VM_INTERFACE, method, &ret->message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(ret->message, "s", name);
    return r < 0 ? report_errno(r, "%s: cannot make the call", method) : EXIT_DONE;
}

static int append_options(const Client *client, sd_bus_message *m)
{
    int r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0 && client->description)
        r = sd_bus_message_append(m, "{sv}", "description", "s", client->description);
    if (r >= 0 && client->disks_only)
        r = sd_bus_message_append(m, "{sv}", "memory", "b", false);
    if (r >= 0 && client->quiesce)
        r = sd_bus_message_append(m, "{sv}", "quiesce", "s", client->quiesce);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? report_errno(r, "CreateSnapshot: cannot make the call") : EXIT_DONE;
}

/* That it was wanted, and could not be. */
static void note_unquiesced(Client *client)
{
    g_autoptr(json_t) snapshot = NULL;
    if (json_call_object(client, client->arguments[0], VM_INTERFACE, "GetSnapshot", client->arguments[1], &snapshot) != EXIT_DONE)
        return;
    const char *why = json_get_string(snapshot, "unquiesced");
    if (*why) {
        g_autofree char *clean = terminal_clean(why);
        fprintf(stderr, "The guest's file systems were not frozen: %s\n", clean);
    }
}

int verb_snapshot_create(Client *client)
{
    g_auto(JobCall) call = {};
    int r = new_call(client, client->arguments[0], client->arguments[1], "CreateSnapshot", &call);
    if (r == EXIT_DONE)
        r = append_options(client, call.message);
    if (r == EXIT_DONE)
        r = job_perform(client, &create_kind, &call, 1);
    if (r == EXIT_DONE && client->disks_only && !client->quiet && !client->no_block)
        note_unquiesced(client);
    return r;
}

int verb_snapshot_revert(Client *client)
{
    g_auto(JobCall) call = {};
    int r = new_call(client, client->arguments[0], client->arguments[1], "RevertSnapshot", &call);
    return r == EXIT_DONE ? job_perform(client, &revert_kind, &call, 1) : r;
}

/* One after the other: a VM has one job at a time. */
int verb_snapshot_delete(Client *client)
{
    int first = EXIT_DONE;
    for (size_t i = 1; i < client->n_arguments; i++) {
        g_auto(JobCall) call = {};
        int r = new_call(client, client->arguments[0], client->arguments[i], "DeleteSnapshot", &call);
        if (r == EXIT_DONE)
            r = job_perform(client, &delete_kind, &call, 1);
        if (first == EXIT_DONE)
            first = r;
    }
    return first;
}

/* ---- listing ---- */

static void print_below(Table *table, const json_t *snapshots, const char *parent, unsigned depth)
{
    size_t i;
    json_t *snapshot;
    json_array_foreach((json_t *) snapshots, i, snapshot)
    {
        const char *name = json_get_string(snapshot, "name");
        if (strcmp(json_get_string(snapshot, "parent"), parent) != 0)
            continue;
        g_autofree char *made = timestamp_format(json_get_number(snapshot, "created"));
        bool current = json_is_true(json_object_get(snapshot, "current"));
        table_addf(table, STYLE_NONE, "%*s%s%s", (int) depth * 2, "", name, current ? " *" : "");
        table_add(table, STYLE_NONE, made);
        table_add(table, STYLE_NONE, json_get_bool(snapshot, "memory") ? "yes" : "no");
        table_add(table, STYLE_NONE, json_get_bool(snapshot, "quiesced") ? "yes" : "no");
        table_add(table, STYLE_NONE, json_get_string(snapshot, "description"));
        print_below(table, snapshots, name, depth + 1);
    }
}

int verb_snapshot_list(Client *client)
{
    static const char *const members[] = {"name", "parent", "created", "memory", "current", "quiesced", "description", NULL};
    static const char *const header[] = {"NAME", "MADE", "MEMORY", "QUIESCED", "DESCRIPTION", NULL};
    g_autoptr(json_t) rows = NULL;
    int r = json_call_array(client, client->arguments[0], "ListSnapshots", &rows);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) snapshots = json_name_members(rows, members);
    if (client_json(client)) {
        json_print(client, snapshots);
        return EXIT_DONE;
    }
    g_autoptr(Table) table = table_new(header);
    print_below(table, snapshots, "", 0);
    pager_open(client->no_pager, false);
    table_print(table, client, client->full, "snapshot", "snapshots");
    return EXIT_DONE;
}
