/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ova.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "image.h"
#include "report.h"
#include "value.h"
#include "volume.h"

#define BLOCK 512U
#define DISKS_MAX 32U
#define OVF_MAX (1024U * 1024)

/* Fields of a tar header. */
#define TAR_SIZE 124
#define TAR_SIZE_LENGTH 12U
#define TAR_TYPE 156
#define TAR_NAME_LENGTH 100U

static const JobKind import_kind = {"Volume", "importing", "import", "nothing of it is left"};

typedef struct Member {
    off_t at;
    uint64_t size;
} Member;

typedef struct Ova {
    GArray *disks; /* Member */
    Member ovf;
    uint64_t cpus, memory; /* 0: not said */
} Ova;

/* Octal, or, for large ones, binary with the highest bit set. */
static bool read_number(const uint8_t *field, uint64_t *ret)
{
    uint64_t value = 0;
    if (field[0] & 0x80) {
        for (size_t i = 4; i < TAR_SIZE_LENGTH; i++)
            value = value << 8 | field[i];
        *ret = value;
        return value < INT64_MAX;
    }
    for (size_t i = 0; i < TAR_SIZE_LENGTH && field[i] && field[i] != ' '; i++) {
        if (field[i] < '0' || field[i] > '7')
            return false;
        value = value << 3 | (uint64_t) (field[i] - '0');
    }
    *ret = value;
    return true;
}

static int fail_archive(const char *file)
{
    return report("%s: it is no OVA archive, or not whole", file);
}

static int find_members(const char *file, int fd, Ova *ova)
{
    uint8_t header[BLOCK];
    off_t end = lseek(fd, 0, SEEK_END);
    for (off_t at = 0;;) {
        Member member = {.at = at + BLOCK};
        if (pread(fd, header, BLOCK, at) != BLOCK || memcmp(header + 257, "ustar", 5) != 0)
            break;
        if (!read_number(header + TAR_SIZE, &member.size) || member.size > (uint64_t) (end - member.at))
            return fail_archive(file);
        g_autofree char *name = g_strndup((const char *) header, TAR_NAME_LENGTH);
        bool regular = header[TAR_TYPE] == '0' || header[TAR_TYPE] == 0;
        if (regular && g_str_has_suffix(name, ".ovf") && ova->ovf.at == 0)
            ova->ovf = member;
        else if (regular && g_str_has_suffix(name, ".vmdk"))
            g_array_append_val(ova->disks, member);
        at = member.at + (off_t) ((member.size + BLOCK - 1) / BLOCK * BLOCK);
    }
    if (ova->ovf.at == 0 || ova->disks->len == 0)
        return fail_archive(file);
    if (ova->disks->len > DISKS_MAX)
        return report("%s: it has more than %u disks", file, DISKS_MAX);
    return EXIT_DONE;
}

/* ---- what the machine has ---- */

/* An Item of the VirtualHardwareSection: a CPU count has the type 3, memory 4. */
typedef struct Item {
    Ova *ova;
    GString *text;
    uint64_t type, quantity;
    unsigned shift;
} Item;

static const char *local_name(const char *element)
{
    const char *colon = strchr(element, ':');
    return colon ? colon + 1 : element;
}

static void on_start(GMarkupParseContext *context, const char *element, const char **names, const char **values, gpointer userdata, GError **error)
{
    Item *item = userdata;
    if (strcmp(local_name(element), "Item") == 0) {
        item->type = item->quantity = 0;
        item->shift = 20;
    }
    g_string_set_size(item->text, 0);
}

static void on_text(GMarkupParseContext *context, const char *text, gsize n, gpointer userdata, GError **error)
{
    g_string_append_len(((Item *) userdata)->text, text, (gssize) n);
}

static void on_end(GMarkupParseContext *context, const char *element, gpointer userdata, GError **error)
{
    Item *item = userdata;
    const char *name = local_name(element), *text = g_strstrip(item->text->str);
    if (strcmp(name, "ResourceType") == 0)
        item->type = g_ascii_strtoull(text, NULL, 10);
    else if (strcmp(name, "VirtualQuantity") == 0)
        item->quantity = g_ascii_strtoull(text, NULL, 10);
    else if (strcmp(name, "AllocationUnits") == 0)
        item->shift = strstr(text, "2^30") || strcmp(text, "GigaBytes") == 0 ? 30 : strstr(text, "2^10") || strcmp(text, "KiloBytes") == 0 ? 10 : 20;
    else if (strcmp(name, "Item") == 0 && item->type == 3 && item->quantity > 0 && item->quantity <= 4096)
        item->ova->cpus = item->quantity;
    else if (strcmp(name, "Item") == 0 && item->type == 4 && item->quantity > 0 && item->quantity < UINT64_C(1) << 30)
        item->ova->memory = item->quantity << item->shift;
    g_string_set_size(item->text, 0);
}

/* What it cannot read, it leaves out: the disks are what matters. */
static void read_ovf(int fd, Ova *ova)
{
    static const GMarkupParser parser = {.start_element = on_start, .text = on_text, .end_element = on_end};
    size_t n = MIN(ova->ovf.size, OVF_MAX);
    g_autofree char *text = g_malloc(n + 1);
    g_autoptr(GString) buffer = g_string_new(NULL);
    Item item = {.ova = ova, .text = buffer, .shift = 20};
    ssize_t r = pread(fd, text, n, ova->ovf.at);
    GMarkupParseContext *context = g_markup_parse_context_new(&parser, 0, &item, NULL);
    if (r > 0)
        (void) g_markup_parse_context_parse(context, text, r, NULL);
    g_markup_parse_context_free(context);
}

/* ---- its disks ---- */

/* A nameless file with that part of the archive, open for reading only. */
static int extract(const Member *member, int fd)
{
    char self[64];
    const char *dir = g_getenv("TMPDIR");
    fd_cleanup int copy = open(dir ? dir : "/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    off_t at = member->at;
    if (copy < 0)
        return -errno;
    for (uint64_t left = member->size; left > 0;) {
        ssize_t n = copy_file_range(fd, &at, copy, NULL, MIN(left, 64U << 20), 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP)) {
            char buffer[65536];
            n = pread(fd, buffer, MIN(left, sizeof buffer), at);
            if (n > 0 && write(copy, buffer, (size_t) n) != n)
                return -ENOSPC;
            at += MAX(n, 0);
        }
        if (n <= 0)
            return n < 0 ? -errno : -EIO;
        left -= (uint64_t) n;
    }
    (void) snprintf(self, sizeof self, "/proc/self/fd/%d", copy);
    int again = open(self, O_RDONLY | O_CLOEXEC);
    return again < 0 ? -errno : again;
}

static void clear_call(gpointer call)
{
    job_call_clear(call);
}

static int add_disk(Client *client, const char *file, int fd, const char *word, guint i, const Member *member, JobCall *call)
{
    g_autofree char *name = g_strdup_printf("%s-%u.qcow2", word, i);
    fd_cleanup int disk = extract(member, fd);
    if (disk < 0)
        return report_errno(disk, "%s: disk %u cannot be unpacked into %s", file, i, g_getenv("TMPDIR") ?: "/var/tmp");
    call->size = member->size;
    return image_import_call(client, name, disk, "vmdk", 0, call);
}

static void say_how(const Client *client, const Ova *ova, const GArray *calls, const char *word)
{
    g_autofree char *base = g_path_get_basename(word), *memory = ova->memory > 0 ? format_size(ova->memory) : NULL;
    printf("vmctl%s create %s", client_hint_options(client), base);
    if (ova->cpus > 0)
        printf(" --cpus=%" G_GUINT64_FORMAT, ova->cpus);
    if (memory)
        printf(" --memory=%s", memory);
    for (guint i = 0; i < calls->len; i++) {
        const JobCall *call = &g_array_index(calls, JobCall, i);
        printf(" --disk=%s/%s", call->pool, call->volume);
    }
    printf("\n");
}

int ova_import(Client *client, const char *file, int fd, const char *word)
{
    g_autoptr(GArray) disks = g_array_new(false, true, sizeof(Member)), calls = g_array_new(false, true, sizeof(JobCall));
    Ova ova = {.disks = disks};
    g_array_set_clear_func(calls, clear_call);
    if (client->size)
        return report_usage("--size: an OVA may have several disks; resize them afterwards");
    int r = find_members(file, fd, &ova);
    if (r != EXIT_DONE)
        return r;
    read_ovf(fd, &ova);
    g_array_set_size(calls, disks->len);
    for (guint i = 0; r == EXIT_DONE && i < disks->len; i++)
        r = add_disk(client, file, fd, word, i, &g_array_index(disks, Member, i), &g_array_index(calls, JobCall, i));
    if (r == EXIT_DONE)
        r = job_perform(client, &import_kind, (JobCall *) (void *) calls->data, calls->len);
    if (r == EXIT_DONE && !client->quiet && !client->no_block) {
        for (guint i = 0; i < calls->len; i++)
            printf("Created %s/%s.\n", g_array_index(calls, JobCall, i).pool, g_array_index(calls, JobCall, i).volume);
        say_how(client, &ova, calls, word);
    }
    return r;
}
