/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* import, image import, and what create does with --image. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "connect.h"
#include "image.h"
#include "json.h"
#include "kind.h"
#include "name.h"
#include "ova.h"
#include "report.h"
#include "schema.h"
#include "value.h"
#include "verb.h"
#include "volume.h"

static const JobKind import_kind = {"Volume", "importing", "import", "nothing of it is left"};
static const JobKind pull_kind = {"Image", "downloading", "download", "nothing of it is left"};
static const JobKind make_kind = {"Volume", "creating", "creation", "nothing of it is left"};

G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(JobCall, job_call_clear)

/* ---- import ---- */

/* What names end in, and what that is called on the bus. */
static const struct {
    const char *suffix, *format;
} suffixes[] = {
        {".qcow2", "qcow2"}, {".raw", "raw"}, {".img", "raw"}, {".iso", "raw"}, {".vmdk", "vmdk"}, {".vdi", "vdi"}, {".vhdx", "vhdx"},
        {".vhd", "vpc"}, {".vpc", "vpc"},
};

static const char *suffix_of(const char *file, const char **ret_format)
{
    for (size_t i = 0; i < G_N_ELEMENTS(suffixes); i++)
        if (g_str_has_suffix(file, suffixes[i].suffix)) {
            *ret_format = suffixes[i].format;
            return suffixes[i].suffix;
        }
    *ret_format = NULL;
    return "";
}

/* "Some Disk.vmdk" becomes "Some-Disk.qcow2"; a CD stays what it is. */
static char *name_of(const char *file)
{
    const char *format;
    g_autofree char *base = g_path_get_basename(file);
    const char *suffix = g_str_has_suffix(base, ".ova") ? ".ova" : suffix_of(base, &format);
    base[strlen(base) - strlen(suffix)] = 0;
    for (char *c = base; *c; c++)
        if (!g_ascii_isalnum(*c) && !strchr("-_.", *c))
            *c = '-';
    return g_strconcat(base, strcmp(suffix, ".ova") == 0 ? "" : strcmp(suffix, ".iso") == 0 ? ".iso" : ".qcow2", NULL);
}

/* The format is what the caller says, by an option or the file's name. A name that says "raw" while something else is inside is asked about. */
static int find_format(const Client *client, const char *file, int fd, const char **ret)
{
    char head[4];
    if (client->format) {
        *ret = client->format;
        return EXIT_DONE;
    }
    (void) suffix_of(file, ret);
    if (!*ret)
        return report_usage("%s: its name does not say which format it has. Say it: --format=FORMAT", file);
    if (strcmp(*ret, "raw") == 0 && pread(fd, head, sizeof head, 0) == sizeof head && memcmp(head, "QFI\xfb", 4) == 0)
        return report_usage("%s: it holds a qcow2 image, which its name does not say. Say --format=qcow2, or --format=raw if a guest may have "
                            "written that",
                file);
    return EXIT_DONE;
}

int image_import_call(Client *client, const char *word, int fd, const char *format, uint64_t size, JobCall *ret)
{
    bool image = strcmp(client->verb->name, "image import") == 0;
    int r = volume_split(word, volume_pool(client), &ret->pool, &ret->volume);
    if (r == EXIT_DONE)
        r = volume_new_call(client, ret->pool, "ImportVolume", &ret->message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(ret->message, "sh", ret->volume, fd);
    if (r >= 0)
        r = sd_bus_message_open_container(ret->message, 'a', "{sv}");
    if (r >= 0)
        r = sd_bus_message_append(ret->message, "{sv}", "format", "s", format);
    if (r >= 0 && size > 0)
        r = sd_bus_message_append(ret->message, "{sv}", "size", "t", size);
    if (r >= 0 && image)
        r = sd_bus_message_append(ret->message, "{sv}", "image", "b", true);
    if (r >= 0)
        r = sd_bus_message_close_container(ret->message);
    return r < 0 ? report_errno(r, "ImportVolume: cannot make the call") : EXIT_DONE;
}

static int import_one(Client *client, const char *file, const char *word, int fd)
{
    g_auto(JobCall) call = {};
    const char *format = NULL;
    uint64_t size = 0;
    struct stat st;
    int r = client->size && (parse_size(client->size, &size) < 0 || size == 0)
            ? report_usage("\"%s\": it is no size. Write it as 20G, 512M or in bytes", client->size)
            : find_format(client, file, fd, &format);
    if (r == EXIT_DONE)
        r = image_import_call(client, word, fd, format, size, &call);
    if (r != EXIT_DONE)
        return r;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
        call.size = (uint64_t) st.st_size;
    r = job_perform(client, &import_kind, &call, 1);
    if (r == EXIT_DONE && !client->quiet && !client->no_block)
        printf("Created %s/%s.\n", call.pool, call.volume);
    return r;
}

int verb_import(Client *client)
{
    const char *file = client->arguments[0];
    g_autofree char *word = client->n_arguments > 1 ? g_strdup(client->arguments[1]) : name_of(file);
    if (!client_is_local(client))
        return report_usage("%s: a file cannot be handed to another machine; copy it there and run vmctl there", client->verb->name);
    fd_cleanup int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return report_errno(errno, "%s: it cannot be opened", file);
    if (g_str_has_suffix(file, ".ova") && !client->format)
        return ova_import(client, file, fd, word);
    return import_one(client, file, word, fd);
}

/* ---- pull ---- */

/* "debian-12.qcow2" of "https://example.org/images/debian-12.qcow2.xz?x=y". */
static char *name_of_url(const char *url)
{
    const char *host = strstr(url, "://");
    g_autofree char *path = g_strndup(url, strcspn(url, "?#"));
    const char *slash = host ? strrchr(path + (host - url) + strlen("://"), '/') : NULL;
    const char *packing = slash ? name_packing(slash + 1) : NULL;
    return slash && slash[1] ? g_strndup(slash + 1, strlen(slash + 1) - (packing ? strlen(packing) : 0)) : NULL;
}

/* "https://example.org/images/SHA256SUMS" of "https://example.org/images/debian-12.qcow2". */
static char *beside(const char *url, const char *name)
{
    g_autofree char *path = g_strndup(url, strcspn(url, "?#"));
    char *slash = strrchr(path, '/');
    if (slash)
        *slash = 0;
    return g_strjoin("/", path, name, NULL);
}

static int append_keyring(const Client *client, sd_bus_message *m, int keyring)
{
    g_autofree char *list = client->sums ? g_strdup(client->sums) : beside(client->arguments[0], "SHA256SUMS");
    g_autofree char *signature = client->signature ? g_strdup(client->signature) : g_strconcat(list, ".gpg", NULL);
    if (keyring < 0)
        return 0;
    int r = sd_bus_message_append(m, "{sv}", "keyring", "ah", 1, keyring);
    if (r >= 0)
        r = sd_bus_message_append(m, "{sv}", "sums", "s", list);
    return r < 0 ? r : sd_bus_message_append(m, "{sv}", "signature", "s", signature);
}

static int append_pull(const Client *client, sd_bus_message *m, uint64_t max_size, int keyring)
{
    const struct {
        const char *name, *value;
    } texts[] = {{"sha256", client->sha256}, {"sha512", client->sha512}, {"proxy", client->proxy}};
    int r = sd_bus_message_open_container(m, 'a', "{sv}");
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(texts); i++)
        r = texts[i].value ? sd_bus_message_append(m, "{sv}", texts[i].name, "s", texts[i].value) : 0;
    if (r >= 0 && max_size > 0)
        r = sd_bus_message_append(m, "{sv}", "max-size", "t", max_size);
    if (r >= 0)
        r = append_keyring(client, m, keyring);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int check_pull(const Client *client, int *ret_keyring)
{
    if (!client->keyring && (client->sums || client->signature))
        return report_usage("image pull: a list of checksums is as good as the key that signed it. Say which keys you trust: --keyring=FILE");
    if (!client->keyring && !client->sha256 && !client->sha512)
        return report_usage("image pull: what is downloaded must be known by its checksum. Give --sha256=SUM or --sha512=SUM, as its makers publish it, "
                            "or --keyring=FILE with the key that their list of checksums is signed by");
    if (!client->keyring)
        return EXIT_DONE;
    if (!client_is_local(client))
        return report_usage("image pull: a keyring cannot be handed to another machine; copy it there and run vmctl there");
    *ret_keyring = open(client->keyring, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    return *ret_keyring < 0 ? report_errno(errno, "%s: it cannot be opened", client->keyring) : EXIT_DONE;
}

int verb_image_pull(Client *client)
{
    g_auto(JobCall) call = {};
    fd_cleanup int keyring = -1;
    const char *url = client->arguments[0];
    g_autofree char *word = client->n_arguments > 1 ? g_strdup(client->arguments[1]) : name_of_url(url);
    uint64_t max_size = 0;
    int r = check_pull(client, &keyring);
    if (r != EXIT_DONE)
        return r;
    if (!word)
        return report_usage("%s: its end is no name. Give the image one: vmctl image pull URL NAME", url);
    if (client->max_size && (parse_size(client->max_size, &max_size) < 0 || max_size == 0))
        return report_usage("\"%s\": it is no size. Write it as 20G, 512M or in bytes", client->max_size);
    r = volume_split(word, IMAGE_POOL, &call.pool, &call.volume);
    if (r == EXIT_DONE)
        r = client_new_call(client, call.pool, POOL_INTERFACE, "PullImage", &call.message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(call.message, "ss", call.volume, url);
    if (r >= 0)
        r = append_pull(client, call.message, max_size, keyring);
    if (r < 0)
        return report_errno(r, "PullImage: cannot make the call");
    r = job_perform(client, &pull_kind, &call, 1);
    if (r == EXIT_DONE && !client->quiet && !client->no_block)
        printf("Created %s/%s.\n", call.pool, call.volume);
    return r;
}

/* ---- create --image ---- */

/* "debian-12" is "debian-12.qcow2" or whatever else it is called in the pool. */
static int find_image(Client *client, char **ret_pool, char **ret_name, uint64_t *ret_size)
{
    static const char *const endings[] = {"", ".qcow2", ".img", ".raw", NULL};
    g_autofree char *name = NULL;
    g_autoptr(json_t) rows = NULL;
    size_t i;
    json_t *row;
    int r = volume_split(client->image, IMAGE_POOL, ret_pool, &name);
    if (r == EXIT_DONE)
        r = volume_list(client, *ret_pool, &rows);
    if (r != EXIT_DONE)
        return r;
    for (const char *const *ending = endings; *ending; ending++) {
        g_autofree char *wanted = g_strconcat(name, *ending, NULL);
        json_array_foreach(rows, i, row)
            if (g_strcmp0(json_string_value(json_array_get(row, 0)), wanted) == 0) {
                *ret_size = (uint64_t) json_integer_value(json_array_get(row, 2));
                *ret_name = g_steal_pointer(&wanted);
                return EXIT_DONE;
            }
    }
    (void) report("Image \"%s\": it is not in the pool \"%s\". See: vmctl%s image list", name, *ret_pool, client_hint_options(client));
    return EXIT_NO_SUCH_VM;
}

static bool is_disk(const SettingArgument *argument)
{
    return argument->key && g_strcmp0(argument->key->option, "disk") == 0;
}

/* The first --disk= that is a size and no file; it is taken away. Without an image a number alone is a name. */
static uint64_t take_size(Client *client)
{
    uint64_t size = 0;
    for (guint i = 0; client->changes && i < client->changes->len; i++) {
        const SettingArgument *argument = &g_array_index(client->changes, SettingArgument, i);
        bool number = is_disk(argument) && !argument->value[strspn(argument->value, "0123456789")];
        if (is_disk(argument) && (client->image || !number) && parse_size(argument->value, &size) >= 0) {
            g_array_remove_index(client->changes, i);
            return size;
        }
    }
    return 0;
}

void image_put_first(Client *client, const char *option, const char *value)
{
    SettingArgument argument = {.value = value};
    for (const SettingKey *key = vm_schema.keys; key->section; key++)
        if (g_strcmp0(key->option, option) == 0)
            argument.key = key;
    if (!client->changes)
        client->changes = g_array_new(false, false, sizeof(SettingArgument));
    g_array_prepend_val(client->changes, argument);
}

/* `from` NULL: an empty one. */
static int make_call(Client *client, const char *vm, const char *from, uint64_t size, JobCall *ret)
{
    ret->pool = g_strdup(VOLUME_DEFAULT_POOL);
    ret->volume = g_strconcat(vm, ".qcow2", NULL);
    int r = volume_new_call(client, ret->pool, "CreateVolume", &ret->message);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(ret->message, "s", ret->volume);
    if (r >= 0)
        r = sd_bus_message_open_container(ret->message, 'a', "{sv}");
    if (r >= 0 && from)
        r = sd_bus_message_append(ret->message, "{sv}", "from", "s", from);
    if (r >= 0 && size > 0)
        r = sd_bus_message_append(ret->message, "{sv}", "size", "t", size);
    if (r >= 0 && from && !client->copy)
        r = sd_bus_message_append(ret->message, "{sv}", "overlay", "b", true);
    if (r >= 0)
        r = sd_bus_message_close_container(ret->message);
    return r < 0 ? report_errno(r, "CreateVolume: cannot make the call") : EXIT_DONE;
}

/* Finds what the disk is made from, whose size is *ret_least. */
static int choose_image(Client *client, uint64_t size, char **ret_from, uint64_t *ret_least)
{
    g_autofree char *pool = NULL, *name = NULL;
    int r = find_image(client, &pool, &name, ret_least);
    if (r != EXIT_DONE)
        return r;
    if (size > 0 && size < *ret_least) {
        g_autofree char *text = format_size_human(*ret_least);
        return report_usage("--disk: it cannot be smaller than the image, %s", text);
    }
    *ret_from = g_strjoin("/", pool, name, NULL);
    return EXIT_DONE;
}

/* `least`: how large what it is made from is. */
static int make_disk(Client *client, const char *vm, const char *from, uint64_t size, uint64_t least, char **ret_volume)
{
    g_auto(JobCall) call = {.size = least};
    int r = make_call(client, vm, from, size, &call);
    if (r == EXIT_DONE)
        r = job_perform(client, &make_kind, &call, 1);
    if (r != EXIT_DONE)
        return r;
    *ret_volume = g_strjoin("/", call.pool, call.volume, NULL);
    image_put_first(client, "disk", *ret_volume);
    return EXIT_DONE;
}

int image_make_disk(Client *client, const char *vm, char **ret_volume)
{
    g_autofree char *from = NULL;
    uint64_t least = 0;
    int r = EXIT_DONE;
    if (!client->image && client->copy)
        return report_usage("--copy: of what? Name it with --image=IMAGE");
    uint64_t size = take_size(client);
    if (client->image)
        r = choose_image(client, size, &from, &least);
    if (r != EXIT_DONE || (!from && size == 0))
        return r;
    return make_disk(client, vm, from, size, least, ret_volume);
}

int image_make_empty_disk(Client *client, const char *vm, uint64_t size, char **ret_volume)
{
    return make_disk(client, vm, NULL, size, 0, ret_volume);
}

void image_remove_disk(Client *client, const char *volume)
{
    const char *name = strchr(volume, '/') + 1;
    g_autofree char *path = kind_object(&kind_pool, VOLUME_DEFAULT_POOL);
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    if (sd_bus_call_method(client->bus, BUS_NAME, path, POOL_INTERFACE, "DeleteVolume", &error, NULL, "st", name, UINT64_C(0)) < 0)
        note(client, "Volume \"%s\": it was made for this VM, and cannot be deleted again: %s", volume, error.message);
}
