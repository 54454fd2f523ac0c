/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "seed.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "io.h"
#include "iso.h"

#define LABEL "CIDATA"
#define FILE_MAX (4U * 1024 * 1024)

/* No section of the settings can have this name. */
#define DISK_NAME "cloud.init"

struct Seed {
    char *meta_data, *user_data;
    char *user_data_path, *network_path; /* or NULL */
};

void seed_free(Seed *seed)
{
    if (!seed)
        return;
    g_free(seed->meta_data);
    g_free(seed->user_data);
    g_free(seed->user_data_path);
    g_free(seed->network_path);
    g_free(seed);
}

static bool host_is_valid(const char *host)
{
    if (!*host || strlen(host) > 253 || *host == '-' || *host == '.')
        return false;
    for (const char *c = host; *c; c++)
        if (!g_ascii_isalnum(*c) && *c != '-' && *c != '.')
            return false;
    return true;
}

static bool user_is_valid(const char *user)
{
    if (!g_ascii_islower(*user) && *user != '_')
        return false;
    for (const char *c = user; *c; c++)
        if (!g_ascii_islower(*c) && !g_ascii_isdigit(*c) && *c != '_' && *c != '-')
            return false;
    return strlen(user) <= 32;
}

/* "ssh-ed25519", "ecdsa-sha2-nistp256", "sk-ssh-ed25519@openssh.com": what stands before a public key. */
static bool is_key_type(const char *word)
{
    return g_str_has_prefix(word, "ssh-") || g_str_has_prefix(word, "ecdsa-") || g_str_has_prefix(word, "sk-");
}

/* A line of authorized_keys, which may have options before the type. */
static bool is_key(const char *line)
{
    g_auto(GStrv) words = g_strsplit_set(line, " \t", -1);
    if (strpbrk(line, "\r\n"))
        return false;
    for (char **word = words; *word; word++)
        if (is_key_type(*word))
            return word[1] && *word[1];
    return false;
}

/* The keys; what was written without quotes has come as a word each, and is put together again. */
static GPtrArray *read_keys(const Settings *settings)
{
    const char *const *words = settings_get_words(settings, "CloudInit", "SSHKeys");
    GPtrArray *keys = g_ptr_array_new_with_free_func(g_free);
    bool open = false;
    for (; words && *words; words++) {
        bool whole = strpbrk(*words, " \t");
        if (!open || whole || is_key_type(*words)) {
            g_ptr_array_add(keys, g_strdup(*words));
            open = !whole;
            continue;
        }
        g_autofree char *begun = keys->pdata[keys->len - 1];
        keys->pdata[keys->len - 1] = g_strjoin(" ", begun, *words, NULL);
    }
    return keys;
}

/* JSON, which YAML has as a part of it: nothing that stands in a value means anything. */
static char *dump(json_t *value)
{
    char *text = json_dumps(value, JSON_INDENT(2) | JSON_ENSURE_ASCII);
    g_autofree char *line = g_strconcat(text, "\n", NULL);
    free(text);
    json_decref(value);
    return g_steal_pointer(&line);
}

static char *make_meta_data(const Settings *settings, const char *name, sd_id128_t uuid)
{
    char id[SD_ID128_UUID_STRING_MAX];
    const char *host = settings_get_string(settings, "CloudInit", "Hostname");
    json_t *meta = json_pack("{ss}", "instance-id", sd_id128_to_uuid_string(uuid, id));
    if (host || host_is_valid(name))
        json_object_set_new(meta, "local-hostname", json_string(host ? host : name));
    return dump(meta);
}

static char *make_user_data(const Settings *settings)
{
    const char *user = settings_get_string(settings, "CloudInit", "User");
    g_autoptr(GPtrArray) keys = read_keys(settings);
    json_t *config = json_object(), *list = json_array();
    for (guint i = 0; i < keys->len; i++)
        json_array_append_new(list, json_string(keys->pdata[i]));
    /* Or a guest whose resolver does not know its own name waits for it, in sudo among others. */
    json_object_set_new(config, "manage_etc_hosts", json_string("localhost"));
    if (user)
        json_object_set_new(config, "users", json_pack("[{ss ss ss sb so}]", "name", user, "shell", "/bin/bash", "sudo", "ALL=(ALL) NOPASSWD:ALL",
            "lock_passwd", 1, "ssh_authorized_keys", list));
    else
        json_object_set_new(config, "ssh_authorized_keys", list);
    g_autofree char *text = dump(config);
    return g_strconcat("#cloud-config\n", text, NULL);
}

static bool check(const Settings *settings, Error **ret_error)
{
    const char *user = settings_get_string(settings, "CloudInit", "User"), *host = settings_get_string(settings, "CloudInit", "Hostname");
    if (user && !user_is_valid(user))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, "CloudInit", "User"), "Use a-z, 0-9, \"_\" and \"-\"",
            "User= of [CloudInit] is no name of a user");
    if (host && !host_is_valid(host))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, "CloudInit", "Hostname"), "Use letters, digits, \"-\" and \".\"",
            "Hostname= of [CloudInit] is no host name");
    g_autoptr(GPtrArray) keys = read_keys(settings);
    for (guint i = 0; i < keys->len; i++)
        if (!is_key(keys->pdata[i]))
            return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, "CloudInit", "SSHKeys"),
                "Write one as a .pub file of ssh-keygen has it", "SSHKeys= of [CloudInit]: \"%s\" is no public key", (char *) keys->pdata[i]);
    if (settings_has(settings, "CloudInit", "UserData") && (user || settings_has(settings, "CloudInit", "SSHKeys")))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, "CloudInit", "UserData"), "Say it in that file",
            "User= and SSHKeys= of [CloudInit] mean nothing beside UserData=");
    return true;
}

bool seed_read(const Settings *settings, const char *name, sd_id128_t uuid, Seed **ret, Error **ret_error)
{
    g_autofree const char **sections = settings_sections(settings, "CloudInit");
    if (!sections || !sections[0])
        return true;
    if (!check(settings, ret_error))
        return false;
    Seed *seed = g_new0(Seed, 1);
    seed->meta_data = make_meta_data(settings, name, uuid);
    seed->user_data = make_user_data(settings);
    seed->user_data_path = g_strdup(settings_get_string(settings, "CloudInit", "UserData"));
    seed->network_path = g_strdup(settings_get_string(settings, "CloudInit", "NetworkConfig"));
    *ret = seed;
    return true;
}

/* ---- in the thread ---- */

static bool read_file(const char *path, const char *key, GByteArray *data, Error **ret_error)
{
    struct stat st;
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(ret_error, errno, path, "%s= of [CloudInit] cannot be opened", key);
    if (!S_ISREG(st.st_mode))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "%s= of [CloudInit] is no regular file", key);
    g_byte_array_set_size(data, FILE_MAX + 1);
    ssize_t n = io_read_all(fd, data->data, data->len);
    if (n < 0)
        return error_set_errno(ret_error, (int) -n, path, "%s= of [CloudInit] cannot be read", key);
    g_byte_array_set_size(data, (guint) n);
    if (n <= (ssize_t) FILE_MAX)
        return true;
    return error_set(ret_error, ERROR_INVALID_SETTINGS, path, NULL, "%s= of [CloudInit] is larger than %u MiB", key, FILE_MAX >> 20);
}

static MachineDisk *disk_of(int fd, Error **ret_error)
{
    struct stat st;
    if (fstat(fd, &st) < 0) {
        error_set_errno(ret_error, errno, "[CloudInit]", "what is made of it cannot be kept");
        return NULL;
    }
    Image *image = g_new0(Image, 1);
    *image = (Image){.path = g_strdup("[CloudInit]"), .format = IMAGE_RAW, .read_only = true, .fd = fd, .read_fd = -1, .dev = st.st_dev,
        .inode = st.st_ino, .size = (uint64_t) st.st_size};
    MachineDisk *disk = g_new0(MachineDisk, 1);
    disk->section = g_strdup("Disk " DISK_NAME);
    disk->name = g_strdup(DISK_NAME);
    /* Kernels for clouds have no SATA, and so no CD of the usual kind. */
    disk->cdrom = false;
    disk->image = image;
    return disk;
}

MachineDisk *seed_open(const Seed *seed, Error **ret_error)
{
    g_autoptr(GByteArray) user_data = g_byte_array_new(), network = g_byte_array_new();
    if (seed->user_data_path && !read_file(seed->user_data_path, "UserData", user_data, ret_error))
        return NULL;
    if (seed->network_path && !read_file(seed->network_path, "NetworkConfig", network, ret_error))
        return NULL;
    bool own = !seed->user_data_path;
    const IsoFile files[] = {
        {"meta-data", seed->meta_data, strlen(seed->meta_data)},
        {"user-data", own ? (const void *) seed->user_data : user_data->data, own ? strlen(seed->user_data) : user_data->len},
        {"network-config", network->data, network->len},
    };
    int fd = iso_write(LABEL, files, seed->network_path ? 3 : 2);
    if (fd < 0) {
        error_set_errno(ret_error, fd, "[CloudInit]", "what is made of it cannot be kept");
        return NULL;
    }
    return disk_of(fd, ret_error);
}
