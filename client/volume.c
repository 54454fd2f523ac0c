/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "volume.h"

#include <string.h>

#include "connect.h"
#include "image.h"
#include "kind.h"
#include "name.h"
#include "report.h"
#include "verb.h"

const char *volume_pool(const Client *client)
{
    return g_str_has_prefix(client->verb->name, "image ") ? IMAGE_POOL : VOLUME_DEFAULT_POOL;
}

int volume_new_call(Client *client, const char *pool, const char *method, sd_bus_message **ret)
{
    g_autofree char *path = kind_object(&kind_pool, pool);
    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_new_method_call(client->bus, ret, BUS_NAME, path, POOL_INTERFACE, method);
    return r < 0 ? report_errno(r, "%s: cannot make the call", method) : EXIT_DONE;
}

int volume_list(Client *client, const char *pool, json_t **ret)
{
    g_autoptr(sd_bus_message) reply = NULL;
    g_autofree char *path = kind_object(&kind_pool, pool);
    bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = client_connect(client);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_call_method(client->bus, BUS_NAME, path, POOL_INTERFACE, "ListVolumes", &error, &reply, NULL);
    if (r < 0)
        return report_bus(client, NULL, &error, r);
    *ret = json_from_message(reply, &r);
    return *ret ? EXIT_DONE : report_errno(r, "vmd: cannot read its answer");
}

int volume_split(const char *word, const char *pool, char **ret_pool, char **ret_name)
{
    g_autoptr(Error) error = NULL;
    if (strchr(word, '/')) {
        if (name_split_source(word, ret_pool, ret_name))
            return EXIT_DONE;
        return report_usage("\"%s\": it is no volume. Write it as POOL/VOLUME, or VOLUME alone for one in the pool \"%s\"", word, pool);
    }
    if (!volume_name_check(word, &error))
        return report_error(error);
    *ret_pool = g_strdup(pool);
    *ret_name = g_strdup(word);
    return EXIT_DONE;
}

int volume_get(Client *client, const char *pool, const char *name, json_t **ret)
{
    return json_call_object(client, pool, POOL_INTERFACE, "GetVolume", name, ret);
}

uint64_t volume_size(Client *client, const char *pool, const char *name)
{
    g_autoptr(sd_bus_message) reply = NULL;
    g_autofree char *path = kind_object(&kind_pool, pool);
    int r = sd_bus_call_method(client->bus, BUS_NAME, path, POOL_INTERFACE, "GetVolume", NULL, &reply, "s", name);
    g_autoptr(json_t) volume = r >= 0 ? json_from_message(reply, &r) : NULL;
    return volume ? json_get_number(volume, "size") : 0;
}
