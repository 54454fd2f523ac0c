/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-keys.h"

#include "call-options.h"
#include "keyboard.h"

bool method_send_keys(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_auto(GStrv) keys = NULL;
    int r = sd_bus_message_read_strv(m, &keys);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    /* sd-bus has none for an empty array. */
    if (!keys)
        keys = g_new0(char *, 1);
    LaterReply *later = reply_later(manager, m);
    if (vm_send_keys(object, keys, reply_done, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

static void on_begun(const char *job, const Error *error, void *userdata)
{
    LaterReply *later = userdata;
    if (error)
        reply_error(later->message, error);
    else
        (void) sd_bus_reply_method_return(later->message, "o", job);
    reply_later_free(later);
}

bool method_type_text(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_autofree char *layout = NULL;
    uint64_t interval = 0;
    const CallOption options[] = {{"layout", 's', &layout}, {"interval", 't', &interval}, {NULL}};
    const char *text;
    int r = sd_bus_message_read(m, "s", &text);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!call_options_read(m, options, ret_error))
        return false;
    LaterReply *later = reply_later(manager, m);
    if (vm_type_text(object, text, layout ?: "us", interval, on_begun, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}
