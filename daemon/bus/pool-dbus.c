/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* org.vmd1.Pool on the bus. */

#include <errno.h>
#include <string.h>

#include "call-options.h"
#include "cleanup.h"
#include "file-methods.h"
#include "method.h"
#include "name.h"
#include "settings-dbus.h"
#include "volume.h"

#define POOL_PREFIX "/org/vmd1/pool"

#define DELETE_NAMED 1U
#define WAITING_MAX 256U /* calls for one pool; others are told that it is starting */

static Pool *pool_of_path(Manager *manager, const char *path)
{
    g_autofree char *name = NULL;
    return sd_bus_path_decode(path, POOL_PREFIX, &name) > 0 ? manager_find_pool(manager, name) : NULL;
}

static void *find(Manager *manager, const char *path, Error **ret_error)
{
    Pool *pool = pool_of_path(manager, path);
    if (!pool)
        error_set(ret_error, ERROR_NO_SUCH_POOL, path, "See 'vmctl pool list'", "there is no such pool");
    return pool;
}

typedef struct ImportOptions {
    VolumeWish wish;
    char *format;
    int fd; /* the message's */
    GArray *backing; /* the same */
} ImportOptions;

static void import_options_clear(ImportOptions *options)
{
    g_free(options->format);
    if (options->backing)
        g_array_unref(options->backing);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(ImportOptions, import_options_clear)

static bool read_import(sd_bus_message *m, ImportOptions *options, Error **ret_error)
{
    VolumeWish *wish = &options->wish;
    const CallOption table[] = {{"format", 's', &options->format}, {"size", 't', &wish->size}, {"image", 'b', &wish->image}, {"backing", 'h', &options->backing},
        {NULL}};
    int r = sd_bus_message_read(m, "sh", &wish->name, &options->fd);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    bool read = call_options_read(m, table, ret_error);
    wish->backing = options->backing;
    return read && (options->format ||
        error_set(ret_error, ERROR_INVALID_SETTINGS, "format", "Say it: it is never guessed from what stands in an image", "it is not given"));
}

static bool makes_image(sd_bus_message *m)
{
    g_auto(ImportOptions) options = {0};
    g_autoptr(Error) error = NULL;
    return !read_import(m, &options, &error) || options.wish.image;
}

/* Of what works on a volume, whose that is. */
static void details(Manager *manager, sd_bus_message *m, AccessDetails *details)
{
    const Pool *pool = pool_of_path(manager, sd_bus_message_get_path(m));
    const char *name, *member = sd_bus_message_get_member(m);
    if (!pool)
        return;
    details->pool = g_strdup(pool->name);
    bool import = g_str_equal(member, "ImportVolume"), upload = g_str_has_suffix(member, "Upload") || g_str_equal(member, "UploadVolume");
    details->callers_own = upload || g_str_equal(member, "CreateVolume") || (import && !makes_image(m));
    if (import || details->callers_own || !g_str_has_suffix(member, "Volume") || sd_bus_message_read(m, "s", &name) < 0)
        return;
    const Volume *volume = pool_find_volume(pool, name);
    if (!volume)
        return;
    details->owner = volume->owner;
    /* It is then opened with the caller's rights. */
    details->callers_own = volume->readable && g_str_equal(member, "OpenVolume");
}

/* ---- before anybody is asked ---- */

static bool check_volume(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *name;
    if (sd_bus_message_read(m, "s", &name) < 0)
        return error_set(ret_error, ERROR_INVALID_NAME, NULL, NULL, "the name cannot be read");
    return volume_name_check(name, ret_error);
}

static bool check_volumes(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    return check_volume(m, ret, ret_error) && check_volume(m, ret, ret_error);
}

static bool check_settings(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    g_autoptr(SettingsChanges) changes = settings_changes_read(&pool_schema, m, ret_error);
    return changes != NULL;
}

static bool check_file(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *expected, *text;
    return file_read_texts(m, &expected, &text, ret_error);
}

/* ---- the pool ---- */

static bool method_start(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    Pool *pool = object;
    g_autofree char *thing = g_strdup_printf("Pool \"%s\"", pool->name);
    if (pool->state == POOL_RUNNING)
        return error_set(ret_error, ERROR_ALREADY_RUNNING, thing, NULL, "it runs already");
    pool_start(pool, reply_done, reply_later(manager, m));
    return true;
}

static bool method_stop(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    pool_stop(object, reply_done, reply_later(manager, m));
    return true;
}

static bool method_delete(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    Pool *pool = object;
    g_autofree char *path = pool_settings_path(pool), *thing = g_strdup_printf("Pool \"%s\"", pool->name), *own = pool_object_path(pool);
    bool mounted = pool->type != POOL_DIR && pool->state != POOL_STOPPED && pool->state != POOL_FAILED;
    if (mounted || pool->state == POOL_STARTING)
        return error_set(ret_error, ERROR_BUSY, thing, "Stop it first", "it is %s", pool_state_to_string(pool->state));
    if (job_find(manager->jobs, own))
        return error_set(ret_error, ERROR_BUSY, thing, "Wait for it, or cancel it (vmctl jobs)", "a job works on one of its volumes");
    if (!settings_delete(path, ret_error))
        return false;
    pool->defined = false;
    manager_settle_pool(manager, pool);
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}

static bool method_refresh(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    Pool *pool = object;
    if (!pool_check_running(pool, ret_error))
        return false;
    pool_look(pool, reply_done, reply_later(manager, m));
    return true;
}

static bool check_text(void *object, const char *text, const char *origin, Error **ret_error)
{
    return pool_check_text(object, text, origin, ret_error);
}

static void written(void *object)
{
    const Pool *pool = object;
    manager_read_pool_file(pool->manager, pool->name);
}

static SettingsFile file_of(Pool *pool)
{
    return (SettingsFile){
        .schema = &pool_schema,
        .path = pool_settings_path(pool),
        .object = pool,
        .check = check_text,
        .written = written,
    };
}

FILE_METHODS(file_of)

/* ---- volumes ---- */

static bool method_list_volumes(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const Pool *pool = object;
    g_autoptr(sd_bus_message) reply = NULL;
    if (!pool_check_running(pool, ret_error))
        return false;
    int r = reply_array_new(m, "(ssttss)", &reply);
    for (guint i = 0; r >= 0 && i < pool->volumes->len; i++) {
        const Volume *volume = pool->volumes->pdata[i];
        g_autofree char *owner = identity_name(volume->owner);
        r = sd_bus_message_append(reply, "(ssttss)", volume->name, image_format_to_string(volume->format), volume->size, volume->allocation, owner,
            volume->backing ?: "");
    }
    return reply_array_send(reply, r, ret_error);
}

/* The volume that the message names first. */
static Volume *read_volume(Pool *pool, sd_bus_message *m, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0) {
        error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
        return NULL;
    }
    return pool_check_running(pool, ret_error) ? pool_find_volume_or_error(pool, name, ret_error) : NULL;
}

static bool method_get_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    Pool *pool = object;
    const Volume *volume = read_volume(pool, m, ret_error);
    bool busy;
    if (!volume)
        return false;
    g_autofree char *path = g_build_filename(pool->path, volume->name, NULL), *owner = identity_name(volume->owner);
    g_autofree char *user = volume_user(pool, volume, &busy);
    (void) sd_bus_reply_method_return(m, "a{sv}", 10, "name", "s", volume->name, "path", "s", path, "format", "s",
        image_format_to_string(volume->format), "size", "t", volume->size, "allocation", "t", volume->allocation, "owner", "s", owner,
        "backing", "s", volume->backing ?: "", "modified", "t", volume->modified, "user", "s", user ?: "", "busy", "b", (int) busy);
    return true;
}

static void reply_job(sd_bus_message *m, const char *job)
{
    (void) sd_bus_reply_method_return(m, "o", job);
}

static bool read_format(const char *format, VolumeWish *wish, Error **ret_error)
{
    if (!format)
        return true;
    wish->format_set = true;
    wish->format = g_str_equal(format, "qcow2") ? IMAGE_QCOW2 : IMAGE_RAW;
    return g_str_equal(format, image_format_to_string(wish->format)) ||
        error_set(ret_error, ERROR_UNSUPPORTED, "format", "There are raw and qcow2", "there is no format \"%.32s\"", format);
}

static bool read_from(Manager *manager, const char *from, VolumeWish *wish, char **ret_volume, Error **ret_error)
{
    g_autofree char *pool = NULL;
    if (!from)
        return !wish->overlay || error_set(ret_error, ERROR_INVALID_SETTINGS, "overlay", "Say over which volume (from)", "there is nothing that it could be over");
    if (!name_split_source(from, &pool, ret_volume))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, "from", "Write it as POOL/VOLUME", "\"%.100s\" is no volume", from);
    wish->volume = *ret_volume;
    wish->from = manager_find_pool_or_error(manager, pool, ret_error);
    return wish->from != NULL;
}

typedef struct CreateOptions {
    VolumeWish wish;
    char *volume; /* what wish.volume is */
} CreateOptions;

static void create_options_clear(CreateOptions *options)
{
    g_free(options->volume);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(CreateOptions, create_options_clear)

static bool read_create(Manager *manager, sd_bus_message *m, CreateOptions *ret, Error **ret_error)
{
    VolumeWish *wish = &ret->wish;
    g_autofree char *format = NULL, *preallocation = NULL, *from = NULL;
    const CallOption options[] = {
        {"size", 't', &wish->size}, {"format", 's', &format}, {"preallocation", 's', &preallocation}, {"from", 's', &from},
        {"overlay", 'b', &wish->overlay}, {"compress", 'b', &wish->compress}, {NULL},
    };
    int r = sd_bus_message_read(m, "s", &wish->name);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!call_options_read(m, options, ret_error) || !read_format(format, wish, ret_error) ||
        !read_from(manager, from, wish, &ret->volume, ret_error))
        return false;
    return !preallocation || preallocation_from_string(preallocation, &wish->preallocation) ||
        error_set(ret_error, ERROR_INVALID_SETTINGS, "preallocation", "There are off, metadata and full", "there is no \"%.32s\"", preallocation);
}

static bool method_create_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_auto(CreateOptions) options = {.wish.owner = caller};
    const char *job;
    if (!read_create(manager, m, &options, ret_error) || !volume_make(object, &options.wish, &job, ret_error))
        return false;
    reply_job(m, job);
    return true;
}

static bool method_import_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_auto(ImportOptions) options = {.wish.owner = caller};
    const char *job;
    if (!read_import(m, &options, ret_error) || !volume_import(object, &options.wish, options.fd, options.format, &job, ret_error))
        return false;
    reply_job(m, job);
    return true;
}

#define PULL_MAX (UINT64_C(64) << 30)

static bool method_pull_image(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    PullWish wish = {.max_size = PULL_MAX, .keyring = -1};
    g_autofree char *sha256 = NULL, *sha512 = NULL, *proxy = NULL, *list = NULL, *signature = NULL;
    g_autoptr(GArray) keyring = NULL;
    const CallOption options[] = {{"sha256", 's', &sha256}, {"sha512", 's', &sha512}, {"max-size", 't', &wish.max_size}, {"proxy", 's', &proxy},
        {"keyring", 'h', &keyring}, {"sums", 's', &list}, {"signature", 's', &signature}, {NULL}};
    const char *job;
    int r = sd_bus_message_read(m, "ss", &wish.name, &wish.url);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!call_options_read(m, options, ret_error))
        return false;
    wish.sums[0] = sha256;
    wish.sums[1] = sha512;
    wish.proxy = proxy;
    wish.list = list;
    wish.signature = signature;
    if (keyring && keyring->len == 1)
        wish.keyring = g_array_index(keyring, int, 0);
    if (!volume_pull(object, &wish, &job, ret_error))
        return false;
    reply_job(m, job);
    return true;
}

static bool method_resize_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const Volume *volume = read_volume(object, m, ret_error);
    bool shrink = false;
    const CallOption options[] = {{"shrink", 'b', &shrink}, {NULL}};
    uint64_t size;
    const char *job;
    if (!volume)
        return false;
    int r = sd_bus_message_read(m, "t", &size);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!call_options_read(m, options, ret_error) || !volume_resize(object, volume, size, shrink, &job, ret_error))
        return false;
    reply_job(m, job);
    return true;
}

static void on_descriptor(int fd, const Error *error, void *userdata)
{
    reply_fd(fd, error, userdata);
    close_fd(&fd);
}

static bool method_open_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const Volume *volume = read_volume(object, m, ret_error);
    if (!volume)
        return false;
    volume_open(object, volume, caller, on_descriptor, reply_later(manager, m));
    return true;
}

/* Of an upload. */
static bool read_name(Pool *pool, sd_bus_message *m, const char **ret, Error **ret_error)
{
    int r = sd_bus_message_read(m, "s", ret);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    return pool_check_running(pool, ret_error);
}

static bool method_upload_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name;
    if (!read_name(object, m, &name, ret_error))
        return false;
    volume_open_upload(object, name, caller, on_descriptor, reply_later(manager, m));
    return true;
}

static bool method_finish_upload(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name, *job;
    if (!read_name(object, m, &name, ret_error) || !volume_finish_upload(object, name, caller, &job, ret_error))
        return false;
    reply_job(m, job);
    return true;
}

static bool method_discard_upload(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name;
    if (!read_name(object, m, &name, ret_error))
        return false;
    volume_discard_upload(object, name, caller, reply_done, reply_later(manager, m));
    return true;
}

/* `named`: a VM that does not run may name it. */
static bool check_unused(const Pool *pool, const Volume *volume, bool named, Error **ret_error)
{
    bool busy;
    g_autofree char *user = volume_user(pool, volume, &busy), *thing = g_strdup_printf("Volume \"%s/%s\"", pool->name, volume->name);
    if (!user || (named && !busy && g_str_has_prefix(user, "VM ")))
        return true;
    return error_set(ret_error, ERROR_IN_USE, thing, NULL, "%s %s", user, busy ? "has it open" : "needs it");
}

static bool method_rename_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    Pool *pool = object;
    const Volume *volume = read_volume(pool, m, ret_error);
    const char *to;
    if (!volume)
        return false;
    int r = sd_bus_message_read(m, "s", &to);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (g_str_has_suffix(to, ".qcow2") != (volume->format == IMAGE_QCOW2))
        return error_set(ret_error, ERROR_INVALID_SETTINGS, to, "Convert it", "the name of a qcow2 volume ends in \".qcow2\", and no other does");
    if (!check_unused(pool, volume, false, ret_error))
        return false;
    volume_rename(pool, volume, to, reply_done, reply_later(manager, m));
    return true;
}

static bool method_delete_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    Pool *pool = object;
    const Volume *volume = read_volume(pool, m, ret_error);
    uint64_t flags;
    if (!volume)
        return false;
    int r = sd_bus_message_read(m, "t", &flags);
    if (r < 0 || flags & ~(uint64_t) DELETE_NAMED)
        return error_set(ret_error, ERROR_UNSUPPORTED, "DeleteVolume", NULL, "there are no such flags");
    if (!check_unused(pool, volume, flags & DELETE_NAMED, ret_error))
        return false;
    volume_rename(pool, volume, NULL, reply_done, reply_later(manager, m));
    return true;
}

static bool method_wipe_volume(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const Volume *volume = read_volume(object, m, ret_error);
    const char *job;
    if (!volume || !volume_wipe(object, volume, &job, ret_error))
        return false;
    reply_job(m, job);
    return true;
}

/* ---- pools that are starting ---- */

/* What the first call after vmd was started finds: its folder is still being looked at. */
static bool awaits_start(Pool *pool, MethodGoOn go_on, void *userdata)
{
    if (!pool || pool->state != POOL_STARTING || pool->starters->len >= WAITING_MAX)
        return false;
    pool_add_waiter(pool->starters, go_on, userdata);
    return true;
}

static bool await_pool(Manager *manager, sd_bus_message *m, MethodGoOn go_on, void *userdata)
{
    return awaits_start(pool_of_path(manager, sd_bus_message_get_path(m)), go_on, userdata);
}

/* That of what it is made from, too. */
static bool await_pools(Manager *manager, sd_bus_message *m, MethodGoOn go_on, void *userdata)
{
    g_auto(CreateOptions) options = {0};
    g_autoptr(Error) error = NULL;
    return await_pool(manager, m, go_on, userdata) ||
        (read_create(manager, m, &options, &error) && awaits_start(options.wish.from, go_on, userdata));
}

/* ---- properties ---- */

#define GET(name)                                                                                                      \
    static int name(sd_bus *bus, const char *path, const char *interface, const char *property, sd_bus_message *reply, \
        void *userdata, sd_bus_error *error)

#define GET_VALUE(name, signature, expression)                                                                         \
    GET(name)                                                                                                          \
    {                                                                                                                  \
        const Pool *pool = userdata;                                                                                   \
        return sd_bus_message_append(reply, signature, expression);                                                    \
    }
GET_VALUE(get_description, "s", pool->description ?: "")
GET_VALUE(get_type, "s", pool_type_to_string(pool->type))
GET_VALUE(get_state, "s", pool_state_to_string(pool->state))
GET_VALUE(get_message, "s", pool->message ?: "")
GET_VALUE(get_path, "s", pool->path ?: "")
GET_VALUE(get_problem, "s", pool->problem ?: "")
GET_VALUE(get_autostart, "b", (int) pool->autostart)
GET_VALUE(get_capacity, "t", pool->capacity)
GET_VALUE(get_available, "t", pool->available)
GET_VALUE(get_allocation, "t", pool->allocation)
GET_VALUE(get_volumes, "u", (uint32_t) pool->volumes->len)

GET(get_unit)
{
    g_autofree char *unit = pool_unit(userdata);
    return sd_bus_message_append(reply, "s", unit ?: "");
}

GET(get_settings_file)
{
    g_autofree char *file = pool_settings_path(userdata);
    return sd_bus_message_append(reply, "s", file);
}

#define NEW_VOLUME "sa{sv}", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(options) SD_BUS_PARAM(job)
#define IMPORT_VOLUME "sha{sv}", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(image) SD_BUS_PARAM(options) SD_BUS_PARAM(job)
#define PULL_IMAGE "ssa{sv}", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(url) SD_BUS_PARAM(options) SD_BUS_PARAM(job)
#define RESIZE_VOLUME "sta{sv}", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(size) SD_BUS_PARAM(options) SD_BUS_PARAM(job)

static const Method methods[] = {
    {"Start", "", "", "", ACTION_MANAGE_POOLS, NULL, method_start},
    {"Stop", "", "", "", ACTION_MANAGE_POOLS, NULL, method_stop},
    {"Delete", "", "", "", ACTION_MANAGE_POOLS, NULL, method_delete},
    {"Refresh", "", "", "", ACTION_VIEW, NULL, method_refresh, await_pool},
    {"GetSettings", "", "a{sa{sv}}", SD_BUS_PARAM(settings), ACTION_VIEW, NULL, method_get_settings},
    {"SetSettings", "a{sa{sv}}", "", SD_BUS_PARAM(settings), ACTION_MANAGE_POOLS, check_settings, method_set_settings},
    {"GetFiles", "", "a(ss)", SD_BUS_PARAM(files), ACTION_VIEW, NULL, method_get_files},
    {"SetFile", "ss", "", SD_BUS_PARAM(expected) SD_BUS_PARAM(text), ACTION_MANAGE_POOLS, check_file, method_set_file},
    {"ListVolumes", "", "a(ssttss)", SD_BUS_PARAM(volumes), ACTION_VIEW, NULL, method_list_volumes, await_pool},
    {"GetVolume", "s", "a{sv}", SD_BUS_PARAM(name) SD_BUS_PARAM(volume), ACTION_VIEW, check_volume, method_get_volume, await_pool},
    {"CreateVolume", NEW_VOLUME, ACTION_MANAGE_POOLS, check_volume, method_create_volume, await_pools},
    {"ImportVolume", IMPORT_VOLUME, ACTION_MANAGE_POOLS, check_volume, method_import_volume, await_pool},
    {"PullImage", PULL_IMAGE, ACTION_MANAGE_POOLS, check_volume, method_pull_image, await_pool},
    {"OpenVolume", "s", "h", SD_BUS_PARAM(name) SD_BUS_PARAM(file), ACTION_MANAGE_POOLS, check_volume, method_open_volume, await_pool},
    {"UploadVolume", "s", "h", SD_BUS_PARAM(name) SD_BUS_PARAM(part), ACTION_MANAGE_POOLS, check_volume, method_upload_volume, await_pool},
    {"FinishUpload", "s", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(job), ACTION_MANAGE_POOLS, check_volume, method_finish_upload, await_pool},
    {"DiscardUpload", "s", "", SD_BUS_PARAM(name), ACTION_MANAGE_POOLS, check_volume, method_discard_upload, await_pool},
    {"ResizeVolume", RESIZE_VOLUME, ACTION_MANAGE_POOLS, check_volume, method_resize_volume, await_pool},
    {"RenameVolume", "ss", "", SD_BUS_PARAM(name) SD_BUS_PARAM(new_name), ACTION_MANAGE_POOLS, check_volumes, method_rename_volume, await_pool},
    {"DeleteVolume", "st", "", SD_BUS_PARAM(name) SD_BUS_PARAM(flags), ACTION_MANAGE_POOLS, check_volume, method_delete_volume, await_pool},
    {"WipeVolume", "s", "o", SD_BUS_PARAM(name) SD_BUS_PARAM(job), ACTION_MANAGE_POOLS, check_volume, method_wipe_volume, await_pool},
    {NULL},
};

static const sd_bus_vtable properties[] = {
    SD_BUS_VTABLE_START(0),
    SD_BUS_PROPERTY("Name", "s", NULL, offsetof(Pool, name), SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Description", "s", get_description, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Type", "s", get_type, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("State", "s", get_state, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("StateMessage", "s", get_message, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Path", "s", get_path, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Unit", "s", get_unit, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Autostart", "b", get_autostart, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Capacity", "t", get_capacity, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Available", "t", get_available, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Allocation", "t", get_allocation, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("Volumes", "u", get_volumes, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_PROPERTY("SettingsFile", "s", get_settings_file, 0, SD_BUS_VTABLE_PROPERTY_CONST),
    SD_BUS_PROPERTY("Problem", "s", get_problem, 0, SD_BUS_VTABLE_PROPERTY_EMITS_CHANGE),
    SD_BUS_VTABLE_END,
};

const Interface pool_interface = {
    .name = "org.vmd1.Pool",
    .methods = methods,
    .properties = properties,
    .find = find,
    .details = details,
};
