/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "trays.h"

#include <string.h>

#include "machine.h"
#include "manager.h"

#define TRAYS_MAX 64U
/* A guest could move its trays as fast as it can: who listens on the bus is told at intervals. */
#define TELL_USEC (100 * 1000)
#define QUERY_USEC (30 * G_USEC_PER_SEC)

struct Trays {
    VM *vm;
    GHashTable *open; /* names */
    sd_event_source *tell;
};

void trays_free(Trays *trays)
{
    if (!trays)
        return;
    sd_event_source_disable_unref(trays->tell);
    g_hash_table_unref(trays->open);
    g_free(trays);
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

const char **trays_open(const Trays *trays)
{
    guint n = 0;
    const char **names = trays ? (const char **) g_hash_table_get_keys_as_array(trays->open, &n) : g_new0(const char *, 1);
    qsort(names, n, sizeof *names, compare);
    return names;
}

static int on_tell(sd_event_source *source, uint64_t usec, void *userdata)
{
    Trays *trays = userdata;
    trays->tell = sd_event_source_disable_unref(trays->tell);
    vm_changed(trays->vm, "OpenTrays", NULL);
    return 0;
}

/* "cd" of "disk-cd", or of "/machine/peripheral/disk-cd/virtio-backend"; NULL: none of a section's. */
static char *name_of(const char *device)
{
    g_auto(GStrv) parts = g_strsplit(device, "/", 8);
    for (size_t i = 0; parts[i]; i++) {
        g_autofree char *section = g_str_has_prefix(parts[i], "disk-") ? g_strdup_printf("Disk %s", parts[i] + strlen("disk-")) : NULL;
        g_autofree char *kind = NULL, *name = NULL;
        if (section && settings_section_split(&vm_schema, section, &kind, &name, NULL) && name)
            return g_steal_pointer(&name);
    }
    return NULL;
}

static void set(Instance *instance, const char *name, bool open)
{
    if (!instance->trays && open) {
        instance->trays = g_new0(Trays, 1);
        instance->trays->vm = instance->vm;
        instance->trays->open = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    }
    Trays *trays = instance->trays;
    if (!trays || open == g_hash_table_contains(trays->open, name) || (open && g_hash_table_size(trays->open) >= TRAYS_MAX))
        return;
    if (open)
        g_hash_table_add(trays->open, g_strdup(name));
    else
        g_hash_table_remove(trays->open, name);
    if (!trays->tell)
        (void) sd_event_add_time_relative(trays->vm->manager->event, &trays->tell, CLOCK_MONOTONIC, TELL_USEC, 0, on_tell, trays);
}

void trays_moved(Instance *instance, const json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "id"));
    g_autofree char *name = device ? name_of(device) : NULL;
    if (name)
        set(instance, name, json_is_true(json_object_get(data, "tray-open")));
}

void trays_forget(Instance *instance, const char *name)
{
    set(instance, name, false);
}

static void on_blocks(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Instance *instance = userdata;
    size_t i;
    json_t *block;
    json_array_foreach((json_t *) result, i, block) {
        const char *qdev = json_string_value(json_object_get(block, "qdev"));
        g_autofree char *name = qdev ? name_of(qdev) : NULL;
        if (name)
            set(instance, name, json_is_true(json_object_get(block, "tray_open")));
    }
}

void trays_find(Instance *instance)
{
    (void) qmp_call(instance->qmp, "query-block", NULL, -1, QUERY_USEC, on_blocks, instance);
}
