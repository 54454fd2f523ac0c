/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "figures.h"

typedef struct Figure {
    const char *group, *of, *name; /* in the chunk, each once: equal strings are the same */
    uint64_t value;
} Figure;

struct Figures {
    GStringChunk *names;
    GArray *items;
};

Figures *figures_new(void)
{
    Figures *figures = g_new(Figures, 1);
    *figures = (Figures){.names = g_string_chunk_new(1024), .items = g_array_new(false, false, sizeof(Figure))};
    return figures;
}

void figures_free(Figures *figures)
{
    if (!figures)
        return;
    g_string_chunk_free(figures->names);
    g_array_unref(figures->items);
    g_free(figures);
}

void figures_add(Figures *figures, const char *group, const char *of, const char *name, uint64_t value)
{
    if (figures->items->len >= FIGURES_MAX)
        return;
    Figure figure = {
        .group = g_string_chunk_insert_const(figures->names, group),
        .of = of ? g_string_chunk_insert_const(figures->names, of) : NULL,
        .name = g_string_chunk_insert_const(figures->names, name),
        .value = value,
    };
    g_array_append_val(figures->items, figure);
}

bool figures_get(const Figures *figures, const char *group, const char *of, const char *name, uint64_t *ret)
{
    for (guint i = 0; i < figures->items->len; i++) {
        const Figure *figure = &g_array_index(figures->items, Figure, i);
        if (g_str_equal(figure->group, group) && g_strcmp0(figure->of, of) == 0 && g_str_equal(figure->name, name)) {
            *ret = figure->value;
            return true;
        }
    }
    return false;
}

/* Those from *i on that are of the same group and the same thing, as a{st}. */
static int append_run(const Figures *figures, guint *i, sd_bus_message *m)
{
    const Figure *first = &g_array_index(figures->items, Figure, *i), *figure;
    int r = sd_bus_message_open_container(m, 'a', "{st}");
    while (r >= 0 && *i < figures->items->len && (figure = &g_array_index(figures->items, Figure, *i))->group == first->group && figure->of == first->of) {
        r = sd_bus_message_append(m, "{st}", figure->name, figure->value);
        (*i)++;
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_things(const Figures *figures, guint *i, sd_bus_message *m)
{
    const Figure *first = &g_array_index(figures->items, Figure, *i), *figure;
    int r = sd_bus_message_open_container(m, 'a', "{sa{st}}");
    while (r >= 0 && *i < figures->items->len && (figure = &g_array_index(figures->items, Figure, *i))->group == first->group && figure->of) {
        r = sd_bus_message_open_container(m, 'e', "sa{st}");
        if (r >= 0)
            r = sd_bus_message_append(m, "s", figure->of);
        if (r >= 0)
            r = append_run(figures, i, m);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

int figures_append(const Figures *figures, sd_bus_message *m)
{
    int r = 0;
    for (guint i = 0; r >= 0 && i < figures->items->len;) {
        const Figure *figure = &g_array_index(figures->items, Figure, i);
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(m, "s", figure->group);
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'v', figure->of ? "a{sa{st}}" : "a{st}");
        if (r >= 0)
            r = figure->of ? append_things(figures, &i, m) : append_run(figures, &i, m);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r;
}
