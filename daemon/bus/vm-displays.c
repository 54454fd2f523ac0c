/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-displays.h"

#include "display.h"
#include "screenshot.h"

static void on_opened(int fd, const Error *error, void *userdata)
{
    LaterReply *later = userdata;
    if (error)
        reply_error(later->message, error);
    else
        (void) sd_bus_reply_method_return(later->message, "h", fd);
    reply_later_free(later);
}

bool method_open_display(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *type;
    int r = sd_bus_message_read(m, "s", &type);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    const DisplayCaller who = {.sender = sd_bus_message_get_sender(m), .uid = caller};
    LaterReply *later = reply_later(manager, m);
    if (vm_open_display(object, type, &who, on_opened, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

static bool take_picture(Manager *manager, sd_bus_message *m, VM *vm, uint32_t head, Error **ret_error)
{
    LaterReply *later = reply_later(manager, m);
    if (vm_screenshot(vm, head, on_opened, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

bool method_screenshot(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    return take_picture(manager, m, object, 0, ret_error);
}

bool method_screenshot_head(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    uint32_t head;
    int r = sd_bus_message_read(m, "u", &head);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    return take_picture(manager, m, object, head, ret_error);
}

bool method_disconnect(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    uint32_t client;
    int r = sd_bus_message_read(m, "u", &client);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!vm_disconnect_display(object, client, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}
