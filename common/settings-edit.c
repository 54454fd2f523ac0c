/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <string.h>

#include "settings-internal.h"
#include "settings-text.h"

/* A text is a row of blocks: the lines before the first section, then each header with the lines up to the
 * next one. A change looks at the blocks of its section only. Lines are kept as they are. */
typedef struct EditLine {
    char *text; /* with its end; of a key that repeats it may be several lines */
    LineKind kind;
    char *key; /* of a LINE_KEY */
} EditLine;

typedef struct Block {
    int section; /* SECTION_NONE: has no header (any more) */
    GPtrArray *lines;
} Block;

#define SECTION_NONE (-1)

typedef struct Editor {
    GPtrArray *blocks;
    GHashTable *sections; /* name to number */
    int n_sections;       /* numbers given */
    const char *end;      /* of a line in this file: "\n" or "\r\n" */
} Editor;

static void edit_line_free(void *p)
{
    EditLine *line = p;

    g_free(line->text);
    g_free(line->key);
    g_free(line);
}

static void block_free(void *p)
{
    Block *block = p;

    g_ptr_array_unref(block->lines);
    g_free(block);
}

static void editor_clear(Editor *e)
{
    g_clear_pointer(&e->blocks, g_ptr_array_unref);
    g_clear_pointer(&e->sections, g_hash_table_unref);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Editor, editor_clear)

static EditLine *line_at(const Block *block, unsigned i)
{
    return block->lines->pdata[i];
}

static bool is_kind(const Block *block, unsigned i, LineKind kind)
{
    return i < block->lines->len && line_at(block, i)->kind == kind;
}

static void insert(Block *block, unsigned at, LineKind kind, const char *key, char *text)
{
    EditLine *line = g_new(EditLine, 1);

    *line = (EditLine){.text = text, .kind = kind, .key = g_strdup(key)};
    g_ptr_array_insert(block->lines, (int) at, line);
}

static Block *add_block(Editor *e, int section)
{
    Block *block = g_new(Block, 1);

    *block = (Block){.section = section, .lines = g_ptr_array_new_with_free_func(edit_line_free)};
    g_ptr_array_add(e->blocks, block);
    return block;
}

static int section_find(const Editor *e, const char *name)
{
    void *number;

    return g_hash_table_lookup_extended(e->sections, name, NULL, &number) ? GPOINTER_TO_INT(number)
                                                                          : SECTION_NONE;
}

/* Takes `name`. */
static int section_add(Editor *e, char *name)
{
    int number = section_find(e, name);

    if (number != SECTION_NONE) {
        g_free(name);
        return number;
    }
    number = e->n_sections++;
    g_hash_table_insert(e->sections, name, GINT_TO_POINTER(number));
    return number;
}

static void editor_read(Editor *e, const char *text)
{
    LineReader reader;
    Block *block;
    Line line;

    e->blocks = g_ptr_array_new_with_free_func(block_free);
    e->sections = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    e->end = "\n";
    block = add_block(e, SECTION_NONE);

    line_reader_init(&reader, text, strlen(text));
    while (line_reader_next(&reader, &line)) {
        /* The first line takes the byte order mark along. */
        const char *start = line.number == 1 ? text : line.start, *end = line.start + line.length;
        g_autofree char *key = line.kind == LINE_KEY ? g_strndup(line.name, line.name_length) : NULL;
        char *copy = g_strndup(start, (size_t) (end - start));

        if (line.number == 1 && (g_str_has_suffix(copy, "\r\n") || g_str_has_suffix(copy, "\r")))
            e->end = "\r\n";
        /* The last line may lack its end; another may follow it. */
        if (end[-1] != '\n') {
            g_autofree char *cut = copy;

            copy = g_strconcat(cut, end[-1] == '\r' ? "\n" : e->end, NULL);
        }
        if (line.kind == LINE_SECTION)
            block = add_block(e, section_add(e, g_strndup(line.name, line.name_length)));
        insert(block, block->lines->len, line.kind, key, copy);
    }
}

/* Where a new key goes: behind the last key of the section's last block, and behind comments that follow it
 * at once, unless the next section follows those at once: then they speak of that. */
static void append_key(const Editor *e, Block *block, const char *key, char *text)
{
    bool is_last = block == e->blocks->pdata[e->blocks->len - 1];
    unsigned last = 0, at;

    for (unsigned i = 0; i < block->lines->len; i++)
        if (is_kind(block, i, LINE_KEY))
            last = i;
    for (at = last + 1; is_kind(block, at, LINE_COMMENT); at++)
        ;
    if (at == block->lines->len && !is_last)
        at = last + 1;
    insert(block, at, LINE_KEY, key, text);
}

/* At the end of the file, with a blank line before it. */
static Block *begin_section(Editor *e, const char *section)
{
    Block *block = NULL;

    for (unsigned i = e->blocks->len; i > 0 && (!block || block->lines->len == 0); i--)
        block = e->blocks->pdata[i - 1];
    if (block->lines->len > 0 && !is_kind(block, block->lines->len - 1, LINE_BLANK))
        insert(block, block->lines->len, LINE_BLANK, NULL, g_strdup(e->end));

    block = add_block(e, section_add(e, g_strdup(section)));
    insert(block, 0, LINE_SECTION, NULL, g_strdup_printf("[%s]%s", section, e->end));
    return block;
}

/* All values as one piece of text, a line each. */
static char *lines_of(const Editor *e, const char *key, const char *const *values)
{
    GString *s = g_string_new(NULL);

    for (; *values; values++)
        g_string_append_printf(s, "%s=%s%s", key, *values, e->end);
    return g_string_free(s, FALSE);
}

/* Gives the lines of a key that a block has the new values, in order, and takes out those that are left.
 * Returns the last line that has one. */
static EditLine *replace_values(const Editor *e, Block *block, const char *key, const char *const **values)
{
    EditLine *last = NULL;

    for (unsigned i = 0; i < block->lines->len; i++) {
        EditLine *line = line_at(block, i);

        if (line->kind != LINE_KEY || strcmp(line->key, key) != 0)
            continue;
        g_clear_pointer(&line->text, g_free);
        if (!*values || !**values)
            continue;
        line->text = g_strconcat(key, "=", *(*values)++, e->end, NULL);
        last = line;
    }
    return last;
}

/* All lines without text, at once: there may be many. */
static void drop_removed(Block *block)
{
    g_autoptr(GPtrArray) old = g_steal_pointer(&block->lines);

    block->lines = g_ptr_array_new_full(old->len, edit_line_free);
    g_ptr_array_set_free_func(old, NULL);
    for (unsigned i = 0; i < old->len; i++) {
        EditLine *line = old->pdata[i];

        if (line->text)
            g_ptr_array_add(block->lines, line);
        else
            edit_line_free(line);
    }
}

static void set_key(Editor *e, const char *section, const char *key, const char *const *values)
{
    int number = section_find(e, section);
    EditLine *last_line = NULL;
    Block *last = NULL;

    for (unsigned i = 0; number != SECTION_NONE && i < e->blocks->len; i++) {
        Block *block = e->blocks->pdata[i];

        if (block->section != number)
            continue;
        last = block;
        last_line = replace_values(e, block, key, &values) ?: last_line;
        drop_removed(block);
    }
    if (!values || !*values)
        return;
    if (last_line) {
        g_autofree char *first = last_line->text, *rest = lines_of(e, key, values);

        last_line->text = g_strconcat(first, rest, NULL);
    } else
        append_key(e, last ?: begin_section(e, section), key, lines_of(e, key, values));
}

/* Empties a block but for the comments that stand right above the next header, and with `apart` a blank line
 * before those. */
static void empty_block(Block *block, bool is_last, bool apart)
{
    unsigned keep = block->lines->len;

    while (!is_last && keep > 1 && is_kind(block, keep - 1, LINE_COMMENT))
        keep--;
    if (!is_last && apart && keep > 1 && is_kind(block, keep - 1, LINE_BLANK))
        keep--;
    g_ptr_array_remove_range(block->lines, 0, keep);
    block->section = SECTION_NONE;
}

static void remove_section(Editor *e, const char *section)
{
    int number = section_find(e, section);
    const EditLine *above = NULL;
    bool was_last = false;

    if (number == SECTION_NONE)
        return;
    for (unsigned i = 0; i < e->blocks->len; i++) {
        Block *block = e->blocks->pdata[i];

        if (block->section == number) {
            was_last = i + 1 == e->blocks->len;
            empty_block(block, was_last, above && above->kind != LINE_BLANK);
        }
        if (block->lines->len > 0)
            above = line_at(block, block->lines->len - 1);
    }
    g_hash_table_remove(e->sections, section);

    /* At the end of the file, the blank line that set the section apart goes too. */
    for (unsigned i = e->blocks->len; was_last && i > 0; i--) {
        Block *block = e->blocks->pdata[i - 1];

        while (block->lines->len > 0 && is_kind(block, block->lines->len - 1, LINE_BLANK))
            g_ptr_array_set_size(block->lines, (int) block->lines->len - 1);
        if (block->lines->len > 0)
            break;
    }
}

static char *editor_text(const Editor *e)
{
    GString *s = g_string_new(NULL);

    for (unsigned i = 0; i < e->blocks->len; i++) {
        const Block *block = e->blocks->pdata[i];

        for (unsigned k = 0; k < block->lines->len; k++)
            g_string_append(s, line_at(block, k)->text);
    }
    return g_string_free(s, FALSE);
}

/* key NULL: the section. */
static bool editor_has(const Editor *e, const char *section, const char *key)
{
    int number = section_find(e, section);

    if (number == SECTION_NONE || !key)
        return number != SECTION_NONE;
    for (unsigned i = 0; i < e->blocks->len; i++) {
        const Block *block = e->blocks->pdata[i];

        for (unsigned k = 0; block->section == number && k < block->lines->len; k++)
            if (g_strcmp0(line_at(block, k)->key, key) == 0)
                return true;
    }
    return false;
}

/* What is asked for is sound in itself: a value stays on its line, so that none can bring a key or a
 * section with it. The parser then checks what it says. */
static bool check_change(const Schema *all, const Editor *e, const SettingsChange *change, Error **ret_error)
{
    const SettingSection *section;
    const SettingKey *schema;
    const char *device;

    /* What is unknown but there can be taken away. */
    if (!change->values && editor_has(e, change->section, change->key))
        return true;

    section = settings_section_check(all, change->section, NULL, &device, ret_error);
    if (!section)
        return false;
    if (!change->key)
        return true;
    schema = settings_key_check(all, section->name, change->key, NULL, ret_error);
    if (!schema)
        return false;
    if (!change->values || !change->values[0])
        return true;

    if (change->values[1] && !settings_key_repeats(schema, change->key))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, NULL, "%s= in [%s] takes one value only",
                change->key, change->section);
    for (const char *const *v = change->values; *v; v++) {
        if (strlen(*v) > SETTINGS_FILE_MAX || !g_utf8_validate(*v, -1, NULL))
            return error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, NULL, "the value for %s= in [%s] is %s",
                    change->key, change->section, strlen(*v) > SETTINGS_FILE_MAX ? "too long" : "not UTF-8");
        if (strpbrk(*v, "\n\r"))
            return error_set(ret_error, ERROR_INVALID_SETTINGS, NULL, NULL,
                    "the value for %s= in [%s] has more than one line", change->key, change->section);
    }
    return true;
}

char *settings_edit(const Schema *schema, const char *text, const SettingsChange *changes, size_t n_changes, const char *origin,
        Error **ret_error)
{
    g_autoptr(Settings) before = settings_new(schema), after = settings_new(schema);
    g_autofree char *result = NULL;
    g_auto(Editor) e = {0};

    editor_read(&e, text);
    for (size_t i = 0; i < n_changes; i++) {
        const SettingsChange *change = &changes[i];

        if (!check_change(schema, &e, change, ret_error))
            return NULL;
        if (change->key)
            set_key(&e, change->section, change->key, change->values);
        else
            remove_section(&e, change->section);
    }

    result = editor_text(&e);
    if (!settings_merge(after, g_strdup(result), strlen(result), origin, ret_error))
        return NULL;
    /* The text before may be broken; what it lacks is then not known, and all is required. */
    if (!settings_merge(before, g_strdup(text), strlen(text), origin, NULL))
        g_array_set_size(before->sections, 0);
    if (!settings_check_required(after, before, ret_error))
        return NULL;
    return g_steal_pointer(&result);
}
