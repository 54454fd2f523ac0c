/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "vm-displays.h"

#include "display-listen.h"
#include "display-remote.h"
#include "display.h"
#include "instance.h"
#include "manager.h"
#include "screenshot.h"

bool method_open_display(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    const char *type;
    int r = sd_bus_message_read(m, "s", &type);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    const DisplayCaller who = {.sender = sd_bus_message_get_sender(m), .uid = caller};
    LaterReply *later = reply_later(manager, m);
    if (vm_open_display(object, type, &who, reply_fd, later, ret_error))
        return true;
    reply_later_free(later);
    return false;
}

typedef struct Invitation {
    LaterReply *later;
    char *vm;
} Invitation;

static void invitation_free(Invitation *invitation)
{
    reply_later_free(invitation->later);
    g_free(invitation->vm);
    g_free(invitation);
}

static void on_password(const char *password, uint64_t until, const Error *failed, void *userdata)
{
    Invitation *invitation = userdata;
    sd_bus_message *m = invitation->later->message;
    const VM *vm = manager_find_vm(invitation->later->manager, invitation->vm);
    const DisplayListener *listener = vm && vm->instance ? vm->instance->listener : NULL;
    const char *address = display_listener_address(listener);
    g_autoptr(Error) error = error_copy(failed);
    g_autofree char *ca = NULL;
    if (!error && !address)
        error_set(&error, ERROR_NOT_RUNNING, invitation->vm, NULL, "its display is offered on no network any more");
    if (!error)
        ca = display_listener_read_ca(vm, &error);
    if (error)
        reply_error(m, error);
    else
        (void) sd_bus_reply_method_return(m, "sssts", display_listener_type(listener), address, password, until, ca);
    invitation_free(invitation);
}

bool method_create_display_password(Manager *manager, sd_bus_message *m, uid_t caller, void *object, Error **ret_error)
{
    uint64_t lifetime;
    VM *vm = object;
    int r = sd_bus_message_read(m, "t", &lifetime);
    if (r < 0)
        return error_set_errno(ret_error, r, NULL, "the arguments cannot be read");
    Invitation *invitation = g_new0(Invitation, 1);
    *invitation = (Invitation){.later = reply_later(manager, m), .vm = g_strdup(vm->name)};
    if (vm_create_display_password(vm, lifetime, on_password, invitation, ret_error))
        return true;
    invitation_free(invitation);
    return false;
}

static bool take_picture(Manager *manager, sd_bus_message *m, VM *vm, uint32_t head, Error **ret_error)
{
    LaterReply *later = reply_later(manager, m);
    if (vm_screenshot(vm, head, reply_fd, later, ret_error))
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
