/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ovf.h"

#include <stdarg.h>
#include <string.h>

#define THINGS_MAX 256U

/* Resource types of CIM. */
enum { TYPE_CPU = 3, TYPE_MEMORY = 4, TYPE_DISK = 17 };

/* An Item of the VirtualHardwareSection. */
typedef struct Item {
    uint64_t type, quantity, address;
    unsigned shift;
    bool optional; /* of one configuration among several, or a bound */
    char *id, *parent, *source;
} Item;

typedef struct Reader {
    Ovf *ovf;
    GString *text;
    GHashTable *files, *disks; /* id to name of a file; id of a disk to that of a file */
    GPtrArray *items;          /* Item */
    Item *item;                /* the one that is being read; NULL: none */
    unsigned machines, things;
    char *problem;
} Reader;

static void item_free(gpointer data)
{
    Item *item = data;
    if (!item)
        return;
    g_free(item->id);
    g_free(item->parent);
    g_free(item->source);
    g_free(item);
}

/* The first problem is the one that is told. */
static void G_GNUC_PRINTF(2, 3) complain(Reader *reader, const char *format, ...)
{
    va_list arguments;
    if (reader->problem)
        return;
    va_start(arguments, format);
    reader->problem = g_strdup_vprintf(format, arguments);
    va_end(arguments);
}

static const char *local_name(const char *name)
{
    const char *colon = strchr(name, ':');
    return colon ? colon + 1 : name;
}

static const char *attribute(const char **names, const char **values, const char *name)
{
    for (size_t i = 0; names[i]; i++)
        if (strcmp(local_name(names[i]), name) == 0)
            return values[i];
    return NULL;
}

static void on_file(Reader *reader, const char **names, const char **values)
{
    const char *id = attribute(names, values, "id"), *href = attribute(names, values, "href");
    const char *compression = attribute(names, values, "compression");
    if (!id || !href)
        return;
    if ((compression && *compression && strcmp(compression, "identity") != 0) || attribute(names, values, "chunkSize"))
        complain(reader, "its file \"%s\" is compressed or in parts, which vmctl cannot read", href);
    g_hash_table_replace(reader->files, g_strdup(id), g_strdup(href));
}

static void on_disk(Reader *reader, const char **names, const char **values)
{
    const char *id = attribute(names, values, "diskId"), *file = attribute(names, values, "fileRef");
    if (id)
        g_hash_table_replace(reader->disks, g_strdup(id), g_strdup(file ? file : ""));
}

static bool is_item(const char *name)
{
    return strcmp(name, "Item") == 0 || strcmp(name, "StorageItem") == 0;
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names, const char **values, gpointer userdata, GError **error)
{
    Reader *reader = userdata;
    const char *name = local_name(element);
    bool file = strcmp(name, "File") == 0, disk = strcmp(name, "Disk") == 0, item = is_item(name);
    g_string_set_size(reader->text, 0);
    if ((file || disk || item) && ++reader->things > THINGS_MAX) {
        g_set_error(error, G_MARKUP_ERROR, G_MARKUP_ERROR_INVALID_CONTENT, "it has too many parts");
        return;
    }
    if (file)
        on_file(reader, names, values);
    else if (disk)
        on_disk(reader, names, values);
    else if (strcmp(name, "VirtualSystem") == 0 && ++reader->machines == 2)
        complain(reader, "it describes several machines");
    else if (strcmp(name, "Config") == 0 && g_strcmp0(attribute(names, values, "key"), "firmware") == 0)
        reader->ovf->uefi = g_strcmp0(attribute(names, values, "value"), "efi") == 0;
    else if (item && !reader->item) {
        reader->item = g_new0(Item, 1);
        reader->item->shift = 20;
        reader->item->optional = attribute(names, values, "bound") || attribute(names, values, "configuration");
    }
}

static void on_text(GMarkupParseContext *context, const char *text, gsize n, gpointer userdata, GError **error)
{
    g_string_append_len(((Reader *) userdata)->text, text, (gssize) n);
}

/* "byte * 2^20", or "MegaBytes" as older ones have it. */
static unsigned shift_of(const char *unit)
{
    static const struct {
        const char *unit;
        unsigned shift;
    } units[] = {{"byte * 2^10", 10}, {"byte * 2^20", 20}, {"byte * 2^30", 30}, {"byte", 0}, {"bytes", 0}, {"KiloBytes", 10}, {"MegaBytes", 20},
        {"GigaBytes", 30}, {"KB", 10}, {"MB", 20}, {"GB", 30}};
    g_auto(GStrv) words = g_strsplit(unit, " ", -1);
    g_autofree char *packed = g_strjoinv("", words);
    for (size_t i = 0; i < G_N_ELEMENTS(units); i++) {
        g_auto(GStrv) parts = g_strsplit(units[i].unit, " ", -1);
        g_autofree char *wanted = g_strjoinv("", parts);
        if (g_ascii_strcasecmp(packed, wanted) == 0)
            return units[i].shift;
    }
    return 20;
}

static void on_field(Item *item, const char *name, const char *text)
{
    const struct {
        const char *name;
        uint64_t *number;
        char **text;
    } fields[] = {{"ResourceType", &item->type, NULL}, {"VirtualQuantity", &item->quantity, NULL}, {"AddressOnParent", &item->address, NULL},
        {"InstanceID", NULL, &item->id}, {"Parent", NULL, &item->parent}, {"HostResource", NULL, &item->source}};
    if (strcmp(name, "AllocationUnits") == 0)
        item->shift = shift_of(text);
    for (size_t i = 0; i < G_N_ELEMENTS(fields); i++) {
        if (g_ascii_strcasecmp(name, fields[i].name) != 0)
            continue;
        if (fields[i].number)
            *fields[i].number = g_ascii_strtoull(text, NULL, 10);
        else {
            g_free(*fields[i].text);
            *fields[i].text = g_strdup(text);
        }
    }
}

static void on_end(GMarkupParseContext *context, const char *element, gpointer userdata, GError **error)
{
    Reader *reader = userdata;
    const char *name = local_name(element);
    if (reader->item && is_item(name))
        g_ptr_array_add(reader->items, g_steal_pointer(&reader->item));
    else if (reader->item)
        on_field(reader->item, name, g_strstrip(reader->text->str));
    g_string_set_size(reader->text, 0);
}

/* ---- what it comes to ---- */

static void read_numbers(Reader *reader)
{
    Ovf *ovf = reader->ovf;
    for (guint i = 0; i < reader->items->len; i++) {
        const Item *item = reader->items->pdata[i];
        if (item->type == TYPE_CPU && item->quantity > 0 && item->quantity <= 4096 && (ovf->cpus == 0 || !item->optional))
            ovf->cpus = item->quantity;
        if (item->type == TYPE_MEMORY && item->quantity > 0 && item->quantity < UINT64_C(1) << (50 - item->shift) && (ovf->memory == 0 || !item->optional))
            ovf->memory = item->quantity << item->shift;
    }
}

/* Which one of the list a disk's controller is; G_MAXUINT: none. */
static guint controller_of(const GPtrArray *items, const Item *disk)
{
    for (guint i = 0; disk->parent && i < items->len; i++)
        if (g_strcmp0(((Item *) items->pdata[i])->id, disk->parent) == 0)
            return i;
    return G_MAXUINT;
}

/* By controller, and by address on that. */
static int compare_disks(gconstpointer a, gconstpointer b, gpointer items)
{
    const Item *one = *(Item *const *) a, *other = *(Item *const *) b;
    guint first = controller_of(items, one), second = controller_of(items, other);
    if (first != second)
        return first < second ? -1 : 1;
    return one->address < other->address ? -1 : one->address > other->address;
}

/* "ovf:/disk/vmdisk1" and "ovf:/file/file1". */
static const char *file_of(const Reader *reader, const char *source)
{
    const char *id = source, *file = NULL;
    if (g_str_has_prefix(id, "ovf:"))
        id += strlen("ovf:");
    if (g_str_has_prefix(id, "/disk/"))
        file = g_hash_table_lookup(reader->disks, id + strlen("/disk/"));
    else if (g_str_has_prefix(id, "/file/"))
        file = id + strlen("/file/");
    return file ? g_hash_table_lookup(reader->files, file) : NULL;
}

static void read_disks(Reader *reader)
{
    g_autoptr(GPtrArray) disks = g_ptr_array_new();
    for (guint i = 0; i < reader->items->len; i++)
        if (((Item *) reader->items->pdata[i])->type == TYPE_DISK)
            g_ptr_array_add(disks, reader->items->pdata[i]);
    if (disks->len > OVF_DISKS_MAX)
        complain(reader, "it has more than %u disks", OVF_DISKS_MAX);
    g_ptr_array_sort_with_data(disks, compare_disks, reader->items);
    for (guint i = 0; i < disks->len && i < OVF_DISKS_MAX; i++) {
        const char *source = ((Item *) disks->pdata[i])->source, *file = source ? file_of(reader, source) : NULL;
        if (!file)
            complain(reader, "its disk %u is an empty one, or in no file that it names", i);
        else if (g_ptr_array_find_with_equal_func(reader->ovf->disks, file, g_str_equal, NULL))
            complain(reader, "two of its disks are in the file \"%s\"", file);
        else
            g_ptr_array_add(reader->ovf->disks, g_strdup(file));
    }
}

char *ovf_read(const char *text, size_t size, Ovf *ret)
{
    static const GMarkupParser parser = {.start_element = on_start, .text = on_text, .end_element = on_end};
    g_autoptr(GHashTable) files = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GHashTable) disks = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
    g_autoptr(GPtrArray) items = g_ptr_array_new_with_free_func(item_free);
    g_autoptr(GString) buffer = g_string_new(NULL);
    g_autoptr(GError) error = NULL;
    *ret = (Ovf){.disks = g_ptr_array_new_with_free_func(g_free)};
    Reader reader = {.ovf = ret, .text = buffer, .files = files, .disks = disks, .items = items};
    GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, &reader, NULL);
    if (!g_markup_parse_context_parse(context, text, (gssize) size, &error) || !g_markup_parse_context_end_parse(context, &error))
        complain(&reader, "it is no whole XML: %s", error->message);
    g_markup_parse_context_free(context);
    item_free(reader.item);
    read_numbers(&reader);
    read_disks(&reader);
    return reader.problem;
}

void ovf_clear(Ovf *ovf)
{
    g_clear_pointer(&ovf->disks, g_ptr_array_unref);
}
