/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-keys.h"

#include "call-options.h"
#include "keyboard.h"
#include "pointer.h"

/* sd-bus has none for an empty array. */
static char **read_words(sd_bus_message *m, Error **ret_error)
{
    char **words = NULL;
    int r = sd_bus_message_read_strv(m, &words);
    if (r < 0) {
        error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
        return NULL;
    }
    return words ? words : g_new0(char *, 1);
}

static bool answer_later(bool begun, LaterReply *later)
{
    if (!begun)
        reply_later_free(later);
    return begun;
}

bool method_send_keys(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_auto(GStrv) keys = read_words(m, ret_error);
    LaterReply *later = keys ? reply_later(manager, m) : NULL;
    return later && answer_later(vm_send_keys(object, keys, reply_done, later, ret_error), later);
}

bool method_send_buttons(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_auto(GStrv) buttons = read_words(m, ret_error);
    LaterReply *later = buttons ? reply_later(manager, m) : NULL;
    return later && answer_later(vm_send_buttons(object, buttons, reply_done, later, ret_error), later);
}

bool method_move_pointer(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    double x, y;
    int r = sd_bus_message_read(m, "dd", &x, &y);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_move_pointer(object, x, y, reply_done, later, ret_error), later);
}

bool method_drag_pointer(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    double x, y;
    const char *button;
    int r = sd_bus_message_read(m, "dds", &x, &y, &button);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    LaterReply *later = reply_later(manager, m);
    return answer_later(vm_drag_pointer(object, x, y, button, reply_done, later, ret_error), later);
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
    return answer_later(vm_type_text(object, text, layout ?: "us", interval, on_begun, later, ret_error), later);
}
