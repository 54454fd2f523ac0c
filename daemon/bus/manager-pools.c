/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "manager-pools.h"

#include <errno.h>

#include "cleanup.h"
#include "file-methods.h"
#include "name.h"
#include "settings-dbus.h"

/* ---- before anybody is asked ---- */

bool check_pool(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    const char *name;
    if (sd_bus_message_read(m, "s", &name) < 0)
        return error_set(ret_error, ERROR_INVALID_NAME, NULL, NULL, "the name cannot be read");
    return device_name_is_valid(name) || error_set(ret_error, ERROR_INVALID_NAME, NULL,
        "Allowed are 1 to 32 characters from A-Z, a-z, 0-9, \"_\" and \"-\", the first one a letter or a digit",
        "\"%.64s\" cannot be the name of a pool", name);
}

bool check_new_pool(sd_bus_message *m, ChangeActions *ret, Error **ret_error)
{
    g_autoptr(SettingsChanges) changes = check_pool(m, ret, ret_error) ? settings_changes_read(&pool_schema, m, ret_error) : NULL;
    return changes != NULL;
}

/* ---- methods ---- */

static bool check_text(void *object, const char *text, const char *origin, Error **ret_error)
{
    return pool_check_text(object, text, origin, ret_error);
}

static bool write_file(Manager *manager, sd_bus_message *m, const char *name, const char *thing, Error **ret_error)
{
    Pool wanted = {.manager = manager, .name = (char *) name};
    g_auto(SettingsFile) file = {.schema = &pool_schema, .path = pool_settings_path(&wanted), .object = &wanted, .check = check_text};
    if (!file_create(&file, m, thing, ret_error))
        return false;
    manager_read_pool_file(manager, name);
    return manager_find_pool(manager, name) || error_set(ret_error, ERROR_FAILED, file.path, NULL, "it was written but cannot be read back");
}

/* Whether or not its folder could be made: State tells. */
static void on_created(const Error *error, void *later_reply)
{
    LaterReply *later = later_reply;
    Manager *manager = later->manager;
    const char *name;
    if (sd_bus_message_rewind(later->message, true) >= 0 && sd_bus_message_read(later->message, "s", &name) > 0) {
        g_autofree char *path = name_to_pool_path(name);
        (void) sd_bus_reply_method_return(later->message, "o", path);
    }
    reply_later_free(later);
    manager_check_idle(manager);
}

bool method_create_pool(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    g_autofree char *thing = g_strdup_printf("Pool \"%s\"", name);
    if (manager_find_pool(manager, name))
        return error_set(ret_error, ERROR_EXISTS, thing, "Choose another name, or delete it first", "there is one of this name");
    if (!write_file(manager, m, name, thing, ret_error))
        return false;
    Pool *pool = manager_find_pool(manager, name);
    /* A folder costs nothing; a mount waits for who wants it. */
    if (pool->type == POOL_DIR)
        pool_start(pool, on_created, reply_later(manager, m));
    else
        on_created(NULL, reply_later(manager, m));
    return true;
}

bool method_get_pool(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *name;
    int r = sd_bus_message_read(m, "s", &name);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    const Pool *pool = manager_find_pool_or_error(manager, name, ret_error);
    if (!pool)
        return false;
    g_autofree char *path = pool_object_path(pool);
    (void) sd_bus_reply_method_return(m, "o", path);
    return true;
}

bool method_list_pools(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    size_t n;
    g_autofree Pool **pools = manager_list_pools(manager, &n);
    g_autoptr(sd_bus_message) reply = NULL;
    int r = reply_array_new(m, "(sssttto)", &reply);
    for (size_t i = 0; r >= 0 && i < n; i++) {
        const Pool *pool = pools[i];
        g_autofree char *path = pool_object_path(pool);
        r = sd_bus_message_append(reply, "(sssttto)", pool->name, pool_state_to_string(pool->state), pool_type_to_string(pool->type),
            pool->capacity, pool->available, pool->allocation, path);
    }
    return reply_array_send(reply, r, ret_error);
}
