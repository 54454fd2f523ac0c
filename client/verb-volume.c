/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* volume create, clone, resize, rename, delete, wipe, list. */
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "job.h"
#include "json.h"
#include "pager.h"
#include "report.h"
#include "table.h"
#include "value.h"
#include "verb.h"
#include "volume.h"

static const JobKind create_kind = {"Volume", "creating", "creation", "nothing of it is left"};
static const JobKind copy_kind = {"Volume", "copying", "copy", "nothing of it is left"};
static const JobKind resize_kind = {"Volume", "resizing", "resize", "see what size it has"};
static const JobKind rename_kind = {"Volume", "renaming", "renaming", ""};
static const JobKind delete_kind = {"Volume", "deleting", "deletion", ""};
static const JobKind wipe_kind = {"Volume", "wiping", "wiping", "what was on it is lost in part"};

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobCall, job_call_clear)

/* A call of METHOD whose first argument is the volume's name. */
static int new_call(Client *client, const char *word, const char *method, JobCall *ret)
{
    int r = volume_split(word, volume_pool(client), &ret->pool, &ret->volume);
    if (r == EXIT_DONE)
        r = volume_new_call(client, ret->pool, method, &ret->message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(ret->message, "s", ret->volume);
    return r < 0 ? report_errno(r, "%s: cannot make the call", method) : EXIT_DONE;
}

/* For the bar. */
static bool wants_size(const Client *client)
{
    return !client->quiet && !client->no_block && isatty(STDERR_FILENO);
}

static int read_size(const char *word, uint64_t *ret)
{
    int r = parse_size(word, ret);
    if (r >= 0 && *ret > 0)
        return EXIT_DONE;
    return report_usage("\"%s\": it is no size. Write it as 20G, 512M or in bytes", word);
}

/* ---- making ---- */

static int append_option(sd_bus_message *m, const char *name, const char *value)
{
    return value ? sd_bus_message_append(m, "{sv}", name, "s", value) : 0;
}

static int append_flag(sd_bus_message *m, const char *name, bool value)
{
    return value ? sd_bus_message_append(m, "{sv}", name, "b", true) : 0;
}

static int append_wish(const Client *client, sd_bus_message *m, uint64_t size, const char *from)
{
    int r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0 && size > 0)
        r = sd_bus_message_append(m, "{sv}", "size", "t", size);
    if (r >= 0)
        r = append_option(m, "format", client->format);
    if (r >= 0)
        r = append_option(m, "preallocation", client->preallocation);
    if (r >= 0)
        r = append_option(m, "from", from);
    if (r >= 0)
        r = append_flag(m, "overlay", client->overlay);
    if (r >= 0)
        r = append_flag(m, "compress", client->compress);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? report_errno(r, "CreateVolume: cannot make the call") : EXIT_DONE;
}

/* `from_word` NULL: it is empty. */
static int make(Client *client, const char *word, const char *from_word)
{
    g_auto(JobCall) call = {};
    g_autofree char *pool = NULL, *volume = NULL, *from = NULL;
    uint64_t size = 0;
    int r = client->size ? read_size(client->size, &size) : EXIT_DONE;

    if (r == EXIT_DONE && from_word)
        r = volume_split(from_word, volume_pool(client), &pool, &volume);
    if (r == EXIT_DONE)
        r = new_call(client, word, "CreateVolume", &call);
    if (r != EXIT_DONE)
        return r;
    if (from_word) {
        from = g_strjoin("/", pool, volume, NULL);
        call.size = wants_size(client) ? volume_size(client, pool, volume) : 0;
    }
    r = append_wish(client, call.message, size, from);
    if (r == EXIT_DONE)
        r = job_perform(client, from && !client->overlay ? &copy_kind : &create_kind, &call, 1);
    if (r == EXIT_DONE && !client->quiet && !client->no_block)
        printf("Created %s/%s.\n", call.pool, call.volume);
    return r;
}

int verb_volume_create(Client *client)
{
    if (!client->size && !client->from)
        return report_usage("volume create: how large is it to be? Give --size=SIZE, or --from=VOLUME to copy one");
    return make(client, client->arguments[0], client->from);
}

int verb_volume_clone(Client *client)
{
    return make(client, client->arguments[1], client->arguments[0]);
}

/* ---- changing ---- */

/* "30G", or "+10G" to what it has. */
static int new_size(Client *client, const JobCall *call, const char *word, uint64_t *ret)
{
    g_autoptr(json_t) volume = NULL;
    uint64_t size, more;
    if (word[0] != '+')
        return read_size(word, ret);
    int r = read_size(word + 1, &more);
    if (r == EXIT_DONE)
        r = volume_get(client, call->pool, call->volume, &volume);
    if (r != EXIT_DONE)
        return r;
    size = json_get_number(volume, "size");
    if (__builtin_add_overflow(size, more, ret))
        return report_usage("\"%s\": that is too much", word);
    return EXIT_DONE;
}

int verb_volume_resize(Client *client)
{
    g_auto(JobCall) call = {};
    uint64_t size;
    int r = new_call(client, client->arguments[0], "ResizeVolume", &call);
    if (r == EXIT_DONE)
        r = new_size(client, &call, client->arguments[1], &size);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(call.message, "ta{sv}", size, client->shrink ? 1 : 0, "shrink", "b", true);
    return r < 0 ? report_errno(r, "ResizeVolume: cannot make the call") : job_perform(client, &resize_kind, &call, 1);
}

int verb_volume_rename(Client *client)
{
    g_auto(JobCall) call = {};
    g_autofree char *pool = NULL, *to = NULL;
    int r = new_call(client, client->arguments[0], "RenameVolume", &call);
    if (r == EXIT_DONE)
        r = volume_split(client->arguments[1], call.pool, &pool, &to);
    if (r != EXIT_DONE)
        return r;
    if (strcmp(pool, call.pool) != 0)
        return report_usage("volume rename: a volume stays in its pool. To have it in \"%s\", clone it and delete the other", pool);
    r = sd_bus_message_append(call.message, "s", to);
    return r < 0 ? report_errno(r, "RenameVolume: cannot make the call") : job_perform(client, &rename_kind, &call, 1);
}

/* "Delete "a", "b"AFTER?" */
static bool confirm(const Client *client, const char *what, const char *after)
{
    if (client->yes || client->quiet || !terminal_is_interactive())
        return true;
    g_autofree char *names = g_strjoinv("\", \"", client->arguments);
    return terminal_confirm(false, "%s \"%s\"%s?", what, names, after);
}

static void clear_call(gpointer call)
{
    job_call_clear(call);
}

/* The same with all that are named, each word of which must be a volume. */
static int perform_each(Client *client, char **words, const char *method, const JobKind *kind, int (*complete)(Client *client, JobCall *call, uint64_t flags), uint64_t flags)
{
    g_autoptr(GArray) calls = g_array_new(false, true, sizeof(JobCall));
    g_array_set_clear_func(calls, clear_call);
    g_array_set_size(calls, g_strv_length(words));
    for (guint i = 0; i < calls->len; i++) {
        JobCall *call = &g_array_index(calls, JobCall, i);
        int r = new_call(client, words[i], method, call);
        if (r == EXIT_DONE)
            r = complete(client, call, flags);
        if (r != EXIT_DONE)
            return r;
    }
    return job_perform(client, kind, (JobCall *) (void *) calls->data, calls->len);
}

static int complete_delete(Client *client, JobCall *call, uint64_t flags)
{
    int r = sd_bus_message_append(call->message, "t", flags);
    return r < 0 ? report_errno(r, "DeleteVolume: cannot make the call") : EXIT_DONE;
}

int volume_delete(Client *client, char **words, uint64_t flags)
{
    return perform_each(client, words, "DeleteVolume", &delete_kind, complete_delete, flags);
}

int verb_volume_delete(Client *client)
{
    if (confirm(client, "Delete", " and all that is on it"))
        return volume_delete(client, client->arguments, client->force);
    note(client, "Nothing was deleted.");
    return EXIT_FAILED;
}

static int complete_wipe(Client *client, JobCall *call, uint64_t flags)
{
    call->size = wants_size(client) ? volume_size(client, call->pool, call->volume) : 0;
    return EXIT_DONE;
}

int verb_volume_wipe(Client *client)
{
    if (confirm(client, "Overwrite all that is on", ""))
        return perform_each(client, client->arguments, "WipeVolume", &wipe_kind, complete_wipe, 0);
    note(client, "Nothing was overwritten.");
    return EXIT_FAILED;
}

/* ---- listing ---- */

static int list_pool(Client *client, const char *pool, json_t *all)
{
    static const char *const members[] = {"name", "format", "size", "allocation", "owner", "backing", NULL};
    g_autoptr(json_t) rows = NULL;
    size_t i;
    json_t *row;
    int r = json_call_array(client, pool, "ListVolumes", &rows);
    if (r != EXIT_DONE)
        return r;
    g_autoptr(json_t) named = json_name_members(rows, members);
    json_array_foreach(named, i, row)
    {
        json_t *volume = json_pack("{ss}", "pool", pool);
        (void) json_object_update(volume, row);
        (void) json_array_append_new(all, volume);
    }
    return EXIT_DONE;
}

/* One that cannot be asked is told of, and is no reason to hide the others. */
static int list_all(Client *client, json_t *all)
{
    g_autoptr(json_t) pools = NULL;
    size_t i;
    json_t *row;
    int r = json_call_array(client, NULL, "ListPools", &pools);
    json_array_foreach(pools, i, row)
    {
        const char *name = json_string_value(json_array_get(row, 0)), *state = json_string_value(json_array_get(row, 1));
        if (g_strcmp0(state, "running") == 0)
            (void) list_pool(client, name, all);
        else if (g_strcmp0(state, "failed") == 0)
            note(client, "Pool \"%s\": it has failed, and its volumes are not shown. See: vmctl%s pool show %s", name,
                    client_hint_options(client), name);
    }
    return r;
}

static void print_volumes(const Client *client, const json_t *volumes)
{
    static const char *const header[] = {"NAME", "FORMAT", ">SIZE", ">ALLOCATION", "OWNER", "BACKING", NULL};
    g_autoptr(Table) table = table_new(header);
    size_t i;
    json_t *volume;
    json_array_foreach(volumes, i, volume)
    {
        g_autofree char *size = format_size_human(json_get_number(volume, "size"));
        g_autofree char *allocation = format_size_human(json_get_number(volume, "allocation"));
        table_addf(table, STYLE_NONE, "%s/%s", json_get_string(volume, "pool"), json_get_string(volume, "name"));
        table_add(table, STYLE_NONE, json_get_string(volume, "format"));
        table_add(table, STYLE_NONE, size);
        table_add(table, STYLE_NONE, allocation);
        table_add(table, STYLE_NONE, json_get_string(volume, "owner"));
        table_add(table, STYLE_NONE, json_get_string(volume, "backing"));
    }
    table_print(table, client, client->full, "volume", "volumes");
}

int verb_volume_list(Client *client)
{
    g_autoptr(json_t) volumes = json_array();
    bool images = strcmp(volume_pool(client), VOLUME_DEFAULT_POOL) != 0;
    int first = images ? list_pool(client, volume_pool(client), volumes) : client->n_arguments == 0 ? list_all(client, volumes) : EXIT_DONE;
    for (size_t i = 0; i < client->n_arguments; i++) {
        int r = list_pool(client, client->arguments[i], volumes);
        if (first == EXIT_DONE)
            first = r;
    }
    if (first != EXIT_DONE && json_array_size(volumes) == 0)
        return first;
    if (client_json(client))
        json_print(client, volumes);
    else {
        pager_open(client->no_pager, client->full);
        print_volumes(client, volumes);
    }
    return first;
}
