/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-redirections.h"

#include "call-options.h"
#include "redirections.h"

bool method_open_usb_redirection(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    g_autofree char *name = NULL;
    const CallOption table[] = {{"name", 's', &name}, {NULL}};
    if (!call_options_read(m, table, ret_error))
        return false;
    LaterReply *later = reply_later(manager, m);
    if (vm_open_redirection(object, name ? name : "", caller, reply_fd, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

bool method_close_usb_redirection(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    uint32_t id;
    int r = sd_bus_message_read(m, "u", &id);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    if (!vm_close_redirection(object, id, ret_error))
        return false;
    (void) sd_bus_reply_method_return(m, NULL);
    return true;
}
