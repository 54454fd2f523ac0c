/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "borrow.h"

#include <errno.h>
#include <fcntl.h>

#include "cleanup.h"
#include "manager.h"

/* The system's vmd may have to ask its user, on a terminal or a desktop. */
#define ANSWER_USEC (120 * G_USEC_PER_SEC)

struct Borrow {
    sd_bus *bus;
    sd_bus_slot *call;
    BorrowDone done;
    void *userdata;
};

void borrow_cancel(Borrow *borrow)
{
    if (!borrow)
        return;
    sd_bus_slot_unref(borrow->call);
    sd_bus_flush_close_unref(borrow->bus);
    g_free(borrow);
}

static bool read_tap(sd_bus_message *m, Tap *tap, Error **ret_error)
{
    const char *link, *mac;
    int fd;
    int r = sd_bus_message_read(m, "hss", &fd, &link, &mac);
    if (r < 0)
        return error_set_errno(ret_error, r, "org.vmd1", "its answer cannot be read");
    *tap = (Tap){.queues = 1};
    tap->vhost_fds[0] = -1;
    g_strlcpy(tap->name, link, sizeof tap->name);
    tap->fds[0] = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return tap->fds[0] >= 0 || error_set_errno(ret_error, errno, link, "its descriptor cannot be kept");
}

static int on_answer(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Borrow *borrow = userdata;
    BorrowDone done = borrow->done;
    void *done_userdata = borrow->userdata;
    const sd_bus_error *failure = sd_bus_message_get_error(m);
    g_autoptr(Error) error = NULL;
    Tap tap;
    if (failure && g_str_has_prefix(failure->name, "org.vmd1.Error."))
        error_set(&error, error_code_from_dbus(failure->name), NULL, NULL, "%s", failure->message);
    else if (failure)
        error_set(&error, ERROR_FAILED, "the system's vmd", "Is it installed? See 'systemctl status vmd'", "it does not answer: %s", failure->message);
    bool ok = !error && read_tap(m, &tap, &error);
    /* The connection is not needed for the tap to stay. */
    borrow_cancel(borrow);
    done(ok ? &tap : NULL, error, done_userdata);
    return 0;
}

static int append_options(sd_bus_message *m, const PortWish *wish)
{
    g_autofree char *mac = mac_to_string(&wish->mac);
    int r = sd_bus_message_open_container(m, 'a', "{sv}");
    if (r >= 0)
        r = sd_bus_message_append(m, "{sv}{sv}", "mac", "s", mac, "name", "s", wish->vm);
    if (r >= 0 && wish->forwards && wish->forwards[0]) {
        r = sd_bus_message_open_container(m, 'e', "sv");
        if (r >= 0)
            r = sd_bus_message_append(m, "s", "forward");
        if (r >= 0)
            r = sd_bus_message_open_container(m, 'v', "as");
        if (r >= 0)
            r = sd_bus_message_append_strv(m, (char **) wish->forwards);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
        if (r >= 0)
            r = sd_bus_message_close_container(m);
    }
    return r < 0 ? r : sd_bus_message_close_container(m);
}

static int ask(Borrow *borrow, const Manager *manager, const PortWish *wish)
{
    g_autoptr(sd_bus_message) m = NULL;
    int r = sd_bus_open_system(&borrow->bus);
    if (r >= 0)
        r = sd_bus_attach_event(borrow->bus, manager->event, SD_EVENT_PRIORITY_NORMAL);
    if (r >= 0)
        r = sd_bus_message_new_method_call(borrow->bus, &m, "org.vmd1", "/org/vmd1", "org.vmd1.Manager", "OpenTap");
    if (r >= 0)
        r = sd_bus_message_set_allow_interactive_authorization(m, true);
    if (r >= 0)
        r = sd_bus_message_append(m, "s", wish->target);
    if (r >= 0)
        r = append_options(m, wish);
    return r < 0 ? r : sd_bus_call_async(borrow->bus, &borrow->call, m, on_answer, borrow, ANSWER_USEC);
}

Borrow *borrow_tap(Manager *manager, const PortWish *wish, BorrowDone done, void *userdata, Error **ret_error)
{
    if (wish->kind != PORT_NETWORK) {
        error_set(ret_error, ERROR_UNSUPPORTED, wish->section, "Use Network=, which the system's vmd opens where polkit lets you",
            "a link of the host needs root");
        return NULL;
    }
    Borrow *borrow = g_new0(Borrow, 1);
    borrow->done = done;
    borrow->userdata = userdata;
    int r = ask(borrow, manager, wish);
    if (r >= 0)
        return borrow;
    borrow_cancel(borrow);
    error_set_errno(ret_error, r, "the system's vmd", "it cannot be asked for a port on network \"%s\"", wish->target);
    return NULL;
}
