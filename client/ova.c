/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "ova.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "connect.h"
#include "image.h"
#include "ovf.h"
#include "report.h"
#include "value.h"
#include "volume.h"

#define BLOCK 512U
#define MEMBERS_MAX 256U
#define OVF_MAX (1024U * 1024)

/* Fields of a tar header. */
#define TAR_SIZE 124
#define TAR_SIZE_LENGTH 12U
#define TAR_TYPE 156
#define TAR_NAME_LENGTH 100U

static const JobKind import_kind = {"Volume", "importing", "import", "nothing of it is left"};

typedef struct Member {
    char name[TAR_NAME_LENGTH + 1]; /* without folders */
    off_t at;
    uint64_t size;
} Member;

typedef struct Ova {
    const char *file;
    int fd;
    GArray *disks; /* Member: in the order in which the machine has them */
    Ovf machine;
} Ova;

static void ova_clear(Ova *ova)
{
    g_clear_pointer(&ova->disks, g_array_unref);
    ovf_clear(&ova->machine);
}

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Ova, ova_clear)

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

static void set_name(Member *member, const uint8_t *header)
{
    g_autofree char *path = g_strndup((const char *) header, TAR_NAME_LENGTH);
    const char *slash = strrchr(path, '/');
    (void) g_strlcpy(member->name, slash ? slash + 1 : path, sizeof member->name);
}

/* All disks that are in it, as they come. */
static int find_members(const char *file, int fd, GArray *disks, Member *ret_ovf)
{
    uint8_t header[BLOCK];
    off_t end = lseek(fd, 0, SEEK_END);
    for (off_t at = 0;;) {
        Member member = {.at = at + BLOCK};
        if (pread(fd, header, BLOCK, at) != BLOCK || memcmp(header + 257, "ustar", 5) != 0)
            break;
        if (!read_number(header + TAR_SIZE, &member.size) || member.size > (uint64_t) (end - member.at))
            return fail_archive(file);
        set_name(&member, header);
        bool regular = header[TAR_TYPE] == '0' || header[TAR_TYPE] == 0;
        if (regular && g_str_has_suffix(member.name, ".ovf") && ret_ovf->at == 0)
            *ret_ovf = member;
        else if (regular && g_str_has_suffix(member.name, ".vmdk"))
            g_array_append_val(disks, member);
        at = member.at + (off_t) ((member.size + BLOCK - 1) / BLOCK * BLOCK);
    }
    if (ret_ovf->at == 0 || disks->len == 0)
        return fail_archive(file);
    return disks->len > MEMBERS_MAX ? report("%s: it has more than %u disks", file, MEMBERS_MAX) : EXIT_DONE;
}

/* A name in the description is that of a file, or of one as URLs have it. */
static const Member *find_member(const GArray *members, const char *href)
{
    g_autofree char *plain = g_uri_unescape_string(href, "/");
    for (guint i = 0; i < members->len; i++) {
        const Member *member = &g_array_index(members, Member, i);
        if (strcmp(member->name, href) == 0 || g_strcmp0(member->name, plain) == 0)
            return member;
    }
    return NULL;
}

/* As the machine has them, where its description says that. */
static int order_disks(Ova *ova, const GArray *members)
{
    for (guint i = 0; i < ova->machine.disks->len; i++) {
        const char *name = ova->machine.disks->pdata[i];
        const Member *member = find_member(members, name);
        if (!member)
            return report("%s: its machine has a disk \"%s\", which is no vmdk file in it", ova->file, name);
        g_array_append_val(ova->disks, *member);
    }
    if (ova->disks->len == 0)
        g_array_append_vals(ova->disks, members->data, members->len);
    return ova->disks->len > OVF_DISKS_MAX ? report("%s: it has more than %u disks", ova->file, OVF_DISKS_MAX) : EXIT_DONE;
}

/* `strict`: a description that cannot be followed is an error. Else the disks are what matters, as they come. */
static int ova_read(Ova *ova, bool strict)
{
    g_autoptr(GArray) members = g_array_new(false, true, sizeof(Member));
    Member description = {};
    int r = find_members(ova->file, ova->fd, members, &description);
    if (r != EXIT_DONE)
        return r;
    if (description.size > OVF_MAX)
        return report("%s: its description is larger than %u KiB", ova->file, OVF_MAX / 1024);
    g_autofree char *text = g_malloc(description.size + 1);
    if (pread(ova->fd, text, description.size, description.at) != (ssize_t) description.size)
        return fail_archive(ova->file);
    g_autofree char *problem = ovf_read(text, description.size, &ova->machine);
    ova->disks = g_array_new(false, true, sizeof(Member));
    if (problem && strict)
        return report("%s: no VM can be made of its description: %s", ova->file, problem);
    if (problem)
        g_ptr_array_set_size(ova->machine.disks, 0);
    return order_disks(ova, members);
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

static int add_disk(Client *client, const Ova *ova, const char *word, guint i, JobCall *call)
{
    const Member *member = &g_array_index(ova->disks, Member, i);
    g_autofree char *name = g_strdup_printf("%s-%u.qcow2", word, i);
    fd_cleanup int disk = extract(member, ova->fd);
    if (disk < 0)
        return report_errno(disk, "%s: disk %u cannot be unpacked into %s", ova->file, i, g_getenv("TMPDIR") ?: "/var/tmp");
    call->size = member->size;
    return image_import_call(client, name, disk, "vmdk", 0, call);
}

/* *ret: JobCall, a disk each, of which those that are `done` are there. */
static int import_disks(Client *client, const Ova *ova, const char *word, GArray **ret)
{
    int r = EXIT_DONE;
    GArray *calls = g_array_new(false, true, sizeof(JobCall));
    g_array_set_clear_func(calls, clear_call);
    g_array_set_size(calls, ova->disks->len);
    for (guint i = 0; r == EXIT_DONE && i < calls->len; i++)
        r = add_disk(client, ova, word, i, &g_array_index(calls, JobCall, i));
    if (r == EXIT_DONE)
        r = job_perform(client, &import_kind, (JobCall *) (void *) calls->data, calls->len);
    *ret = calls;
    return r;
}

static void say_how(const Client *client, const Ova *ova, const GArray *calls, const char *word)
{
    const Ovf *machine = &ova->machine;
    g_autofree char *base = g_path_get_basename(word), *memory = machine->memory > 0 ? format_size(machine->memory) : NULL;
    printf("vmctl%s create %s", client_hint_options(client), base);
    if (machine->cpus > 0)
        printf(" --cpus=%" G_GUINT64_FORMAT, machine->cpus);
    if (memory)
        printf(" --memory=%s", memory);
    if (machine->uefi)
        printf(" --firmware=uefi");
    for (guint i = 0; i < calls->len; i++) {
        const JobCall *call = &g_array_index(calls, JobCall, i);
        printf(" --disk=%s/%s", call->pool, call->volume);
    }
    printf("\n");
}

int ova_import(Client *client, const char *file, int fd, const char *word)
{
    g_auto(Ova) ova = {.file = file, .fd = fd};
    g_autoptr(GArray) calls = NULL;
    if (client->size)
        return report_usage("--size: an OVA may have several disks; resize them afterwards");
    int r = ova_read(&ova, false);
    if (r == EXIT_DONE)
        r = import_disks(client, &ova, word, &calls);
    if (r == EXIT_DONE && !client->quiet && !client->no_block) {
        for (guint i = 0; i < calls->len; i++)
            printf("Created %s/%s.\n", g_array_index(calls, JobCall, i).pool, g_array_index(calls, JobCall, i).volume);
        say_how(client, &ova, calls, word);
    }
    return r;
}

/* ---- create --ova ---- */

/* As if these options came first: others of the same kind come after them, and have the last word. */
static void add_settings(Client *client, const Ovf *machine, GPtrArray *volumes, GPtrArray *texts)
{
    for (guint i = volumes->len; i > 0; i--)
        image_put_first(client, "disk", volumes->pdata[i - 1]);
    if (machine->uefi)
        image_put_first(client, "firmware", "uefi");
    if (machine->memory > 0) {
        g_ptr_array_add(texts, format_size(machine->memory));
        image_put_first(client, "memory", texts->pdata[texts->len - 1]);
    }
    if (machine->cpus > 0) {
        g_ptr_array_add(texts, g_strdup_printf("%" G_GUINT64_FORMAT, machine->cpus));
        image_put_first(client, "cpus", texts->pdata[texts->len - 1]);
    }
}

int ova_make_machine(Client *client, const char *vm, GPtrArray *volumes, GPtrArray *texts)
{
    g_autoptr(GArray) calls = NULL;
    g_autofree char *word = g_strjoin("/", VOLUME_DEFAULT_POOL, vm, NULL);
    if (!client->ova)
        return EXIT_DONE;
    if (client->image)
        return report_usage("--ova and --image cannot both be given");
    if (!client_is_local(client))
        return report_usage("--ova: a file cannot be handed to another machine; copy it there and run vmctl there");
    fd_cleanup int fd = open(client->ova, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return report_errno(errno, "%s: it cannot be opened", client->ova);
    g_auto(Ova) ova = {.file = client->ova, .fd = fd};
    int r = ova_read(&ova, true);
    if (r == EXIT_DONE)
        r = import_disks(client, &ova, word, &calls);
    for (guint i = 0; calls && i < calls->len; i++) {
        const JobCall *call = &g_array_index(calls, JobCall, i);
        if (call->done)
            g_ptr_array_add(volumes, g_strjoin("/", call->pool, call->volume, NULL));
    }
    if (r == EXIT_DONE)
        add_settings(client, &ova.machine, volumes, texts);
    return r;
}
