/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-snapshots.h"

#include <string.h>

#include "call-options.h"
#include "cleanup.h"
#include "name.h"
#include "snapshot.h"

#define DESCRIPTION_MAX 512U

bool check_snapshot(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *name;
    if (sd_bus_message_read(m, "s", &name) < 0)
        return error_set(ret_error, ERROR_INVALID_NAME, NULL, NULL, "the name cannot be read");
    return name_check(name, ret_error);
}

static bool read_name(sd_bus_message *m, const char **ret, Error **ret_error)
{
    int r = sd_bus_message_read(m, "s", ret);
    return r >= 0 || error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
}

bool method_create_snapshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    VM *vm = object;
    g_autofree char *description = NULL;
    g_autofree char *quiesce = NULL;
    SnapshotWish wish = {.memory = vm->instance != NULL};
    const CallOption options[] = {{"description", 's', &description}, {"memory", 'b', &wish.memory}, {"quiesce", 's', &quiesce}, {NULL}};
    const char *job;
    if (!read_name(m, &wish.name, ret_error) || !call_options_read(m, options, ret_error))
        return false;
    if (quiesce && !quiesce_mode_read(quiesce, &wish.quiesce, ret_error))
        return false;
    if (description && (strlen(description) > DESCRIPTION_MAX || strpbrk(description, "\n\r")))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "description", NULL, "it is one line of at most %u bytes", DESCRIPTION_MAX);
    wish.description = description;
    if (!vm_snapshot_create(vm, &wish, &job, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, "o", job);
    return true;
}

static bool begin(sd_bus_message *m, VM *vm, bool (*function)(VM *, const char *, const char **, Error **), Error **ret_error)
{
    const char *name, *job;
    if (!read_name(m, &name, ret_error) || !function(vm, name, &job, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, "o", job);
    return true;
}

bool method_revert_snapshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    return begin(m, object, vm_snapshot_revert, ret_error);
}

bool method_delete_snapshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    return begin(m, object, vm_snapshot_delete, ret_error);
}

/* One that is hidden is passed by: what it came from counts. */
static const char *parent_name(const SnapshotTree *tree, unsigned id)
{
    const Snapshot *snapshot = snapshot_find_id(tree, id);
    while (snapshot && snapshot->hidden)
        snapshot = snapshot_find_id(tree, snapshot->parent);
    return snapshot ? snapshot->name : "";
}

bool method_list_snapshots(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_autoptr(SnapshotTree) tree = vm_snapshots(object, ret_error);
    g_autoptr(sd_bus_message) reply = NULL;
    if (!tree)
        return false;
    const char *current = parent_name(tree, tree->current);
    int r = reply_array_new(m, "(sstbbbs)", &reply);
    for (guint i = 0; r >= 0 && i < tree->all->len; i++) {
        const Snapshot *s = tree->all->pdata[i];
        if (!s->hidden)
            r = sd_bus_message_append(reply, "(sstbbbs)", s->name, parent_name(tree, s->parent), s->created, (int) s->memory,
                (int) g_str_equal(s->name, current), (int) s->quiesced, s->description ?: "");
    }
    return reply_array_send(reply, r, ret_error);
}

static int append_layers(sd_bus_message *m, const Snapshot *snapshot)
{
    int r = sd_bus_message_open_container(m, 'e', "sv");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", "files");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', "a{ss}");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "{ss}");
    for (guint i = 0; r >= 0 && i < snapshot->layers->len; i++) {
        const Layer *layer = snapshot->layers->pdata[i];
        r = sd_bus_message_append(m, "{ss}", layer->section + strlen("Disk "), layer->frozen);
    }
    for (unsigned i = 0; r >= 0 && i < 3; i++)
        r = sd_bus_message_close_container(m);
    return r;
}

bool method_get_snapshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const VM *vm = object;
    const char *name;
    g_autoptr(SnapshotTree) tree = vm_snapshots(vm, ret_error);
    const Snapshot *s = tree && read_name(m, &name, ret_error) ? snapshot_find_or_error(tree, vm->name, name, ret_error) : NULL;
    if (!s)
        return false;
    g_autoptr(sd_bus_message) reply = NULL;
    int r = reply_array_new(m, "{sv}", &reply);
    if (r >= 0)
        r = sd_bus_message_append(reply, "{sv}{sv}{sv}{sv}{sv}{sv}{sv}{sv}", "name", "s", s->name, "parent", "s", parent_name(tree, s->parent), "created",
            "t", s->created, "memory", "b", (int) s->memory, "current", "b", (int) g_str_equal(s->name, parent_name(tree, tree->current)), "quiesced",
            "b", (int) s->quiesced, "unquiesced", "s", s->unquiesced ?: "", "description", "s", s->description ?: "");
    if (r >= 0)
        r = append_layers(reply, s);
    return reply_array_send(reply, r, ret_error);
}
