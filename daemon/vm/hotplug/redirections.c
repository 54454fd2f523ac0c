/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "redirections.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "cleanup.h"
#include "hotplug.h"
#include "manager.h"
#include "steps.h"

#define ID_PREFIX "redirection-"
#define QMP_USEC (30 * G_USEC_PER_SEC)
/* How soon the end of one is noticed that a vmd before this one has opened; the guest notices at once. */
#define LOOK_USEC (2 * G_USEC_PER_SEC)

typedef struct Redirection {
    Redirections *redirections;
    uint32_t id;
    uid_t uid;
    uint64_t since;
    char *name;
    int qemu, peer; /* -1: of a vmd before this one; and once the caller has it */
    bool open;      /* the guest has it */
    sd_event_source *end;
    RedirectionOpened done;
    void *userdata;
} Redirection;

struct Redirections {
    Instance *instance;
    GPtrArray *items; /* Redirection, the oldest first */
    uint32_t n_made;
    sd_event_source *look;
};

static void answer(Redirection *redirection, const Error *error)
{
    RedirectionOpened done = redirection->done;
    redirection->done = NULL;
    if (done)
        done(error ? -1 : redirection->peer, error, redirection->userdata);
    close_fd(&redirection->peer);
}

static void redirection_free(void *userdata)
{
    Redirection *redirection = userdata;
    if (redirection->done) {
        g_autoptr(Error) error = NULL;
        error_set(&error, ERROR_NOT_RUNNING, redirection->redirections->instance->vm->name, NULL, "it has ended");
        answer(redirection, error);
    }
    sd_event_source_disable_unref(redirection->end);
    close_fd(&redirection->qemu);
    close_fd(&redirection->peer);
    g_free(redirection->name);
    g_free(redirection);
}

void redirections_free(Redirections *redirections)
{
    if (!redirections)
        return;
    sd_event_source_disable_unref(redirections->look);
    g_ptr_array_unref(redirections->items);
    g_free(redirections);
}

static Redirection *redirection_add(Instance *instance, uint32_t id)
{
    Redirections *redirections = instance->redirections;
    if (!redirections) {
        redirections = instance->redirections = g_new0(Redirections, 1);
        redirections->instance = instance;
        redirections->items = g_ptr_array_new_with_free_func(redirection_free);
    }
    Redirection *redirection = g_new0(Redirection, 1);
    redirection->redirections = redirections;
    redirection->id = id;
    redirection->qemu = redirection->peer = -1;
    redirections->n_made = MAX(redirections->n_made, id);
    g_ptr_array_add(redirections->items, redirection);
    return redirection;
}

static void tell(const Instance *instance)
{
    (void) instance_write_record(instance, NULL);
    vm_changed(instance->vm, "USBRedirections", NULL);
}

/* One that never was. */
static void forget(Redirection *redirection)
{
    Instance *instance = redirection->redirections->instance;
    g_ptr_array_remove(instance->redirections->items, redirection);
    (void) instance_write_record(instance, NULL);
}

static char *qemu_id(const Redirection *redirection)
{
    return g_strdup_printf(ID_PREFIX "%" G_GUINT32_FORMAT, redirection->id);
}

/* Whatever there is of it in QEMU; what is not is an error that nobody reads. The chardev goes with its device, where that came to be. */
static void drop(Redirection *redirection)
{
    Instance *instance = redirection->redirections->instance;
    g_autofree char *id = qemu_id(redirection);
    if (instance->qmp) {
        (void) qmp_call(instance->qmp, "device_del", json_pack("{ss}", "id", id), -1, QMP_USEC, NULL, NULL);
        (void) qmp_call(instance->qmp, "chardev-remove", json_pack("{ss}", "id", id), -1, QMP_USEC, NULL, NULL);
        (void) qmp_call(instance->qmp, "closefd", json_pack("{ss}", "fdname", id), -1, QMP_USEC, NULL, NULL);
    }
    /* QEMU has a copy of this end: the caller is told at once, whatever QEMU is busy with. */
    if (redirection->qemu >= 0)
        (void) shutdown(redirection->qemu, SHUT_RDWR);
    g_message("VM %s: the guest has the USB device no more that was lent to it (number %" G_GUINT32_FORMAT ", %s)", instance->vm->name, redirection->id,
        *redirection->name ? redirection->name : "without a name");
    g_ptr_array_remove(instance->redirections->items, redirection);
    tell(instance);
}

static int on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    drop(userdata);
    return 0;
}

/* ---- opening ---- */

static void on_lent(const Error *failed, void *userdata)
{
    Redirection *redirection = userdata;
    Instance *instance = redirection->redirections->instance;
    g_autoptr(Error) error = error_copy(failed);
    int r = error ? 0 : sd_event_add_io(instance->vm->manager->event, &redirection->end, redirection->qemu, EPOLLRDHUP, on_end, redirection);
    if (r < 0)
        error_set_errno(&error, r, instance->vm->name, "the caller's end cannot be watched");
    answer(redirection, error);
    if (r < 0)
        return drop(redirection);
    if (error)
        return forget(redirection);
    redirection->open = true;
    g_message("VM %s: the guest has a USB device that uid %u lends it (number %" G_GUINT32_FORMAT ", %s)", instance->vm->name, (unsigned) redirection->uid,
        redirection->id, *redirection->name ? redirection->name : "without a name");
    tell(instance);
}

static bool check_name(const char *name, Error **ret_error)
{
    bool plain = strlen(name) <= REDIRECTION_NAME_MAX;
    for (const char *p = name; *p && plain; p = g_utf8_next_char(p))
        plain = g_unichar_isprint(g_utf8_get_char(p));
    return plain || error_set(ret_error, ERROR_INVALID_SETTINGS, "name", NULL, "it has more than %u bytes, or what cannot be shown", REDIRECTION_NAME_MAX);
}

static bool has_room(const VM *vm, Error **ret_error)
{
    const Redirections *redirections = vm->instance->redirections;
    g_autofree char *thing = vm_thing(vm);
    return !redirections || redirections->items->len < REDIRECTIONS_MAX ||
        error_set(ret_error, ERROR_LIMIT_REACHED, thing, "Give one back first", "%u USB devices are lent to it", REDIRECTIONS_MAX);
}

bool vm_open_redirection(VM *vm, const char *name, uid_t caller, RedirectionOpened done, void *userdata, Error **ret_error)
{
    int fds[2];
    if (!check_name(name, ret_error) || !vm_check_idle(vm, ret_error) || !has_room(vm, ret_error))
        return false;
    Instance *instance = vm->instance;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return error_set_errno(ret_error, errno, vm->name, "a socket cannot be made");
    Redirection *redirection = redirection_add(instance, instance->redirections ? instance->redirections->n_made + 1 : 1);
    redirection->qemu = fds[0];
    redirection->peer = fds[1];
    redirection->uid = caller;
    redirection->since = (uint64_t) g_get_real_time();
    redirection->name = g_strdup(name);
    redirection->done = done;
    redirection->userdata = userdata;
    g_autofree char *id = qemu_id(redirection);
    if (instance_write_record(instance, ret_error) && vm_plug_redirection(vm, id, fds[0], on_lent, redirection, ret_error))
        return true;
    redirection->done = NULL;
    forget(redirection);
    return false;
}

/* ---- the end of some ---- */

bool vm_close_redirection(VM *vm, uint32_t id, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    const Redirections *redirections = vm->instance ? vm->instance->redirections : NULL;
    if (!vm->instance)
        return error_set(ret_error, ERROR_NOT_RUNNING, thing, NULL, "it does not run");
    for (guint i = 0; redirections && i < redirections->items->len; i++) {
        Redirection *redirection = redirections->items->pdata[i];
        if (redirection->id != id || !redirection->open)
            continue;
        drop(redirection);
        return true;
    }
    return error_set(ret_error, ERROR_NO_SUCH_DEVICE, thing, "See USBRedirections", "no USB device is lent to it with the number %" G_GUINT32_FORMAT, id);
}

void redirections_end(Instance *instance)
{
    const Redirections *redirections = instance->redirections;
    for (guint i = redirections ? redirections->items->len : 0; i > 0; i--)
        if (((const Redirection *) redirections->items->pdata[i - 1])->open)
            drop(redirections->items->pdata[i - 1]);
}

void redirections_device_deleted(Instance *instance, const json_t *data)
{
    const char *device = json_string_value(json_object_get(data, "device"));
    const Redirections *redirections = instance->redirections;
    for (guint i = 0; redirections && device && i < redirections->items->len; i++) {
        Redirection *redirection = redirections->items->pdata[i];
        g_autofree char *id = qemu_id(redirection);
        if (redirection->open && g_str_equal(device, id))
            return drop(redirection);
    }
}

/* ---- vmd comes and goes ---- */

char *redirections_record(const Instance *instance)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; instance->redirections && i < instance->redirections->items->len; i++) {
        const Redirection *redirection = instance->redirections->items->pdata[i];
        g_autofree char *name = g_uri_escape_string(redirection->name, NULL, false);
        g_string_append_printf(text, "%s%" G_GUINT32_FORMAT ":%u:%" G_GUINT64_FORMAT ":%s", i > 0 ? " " : "", redirection->id, (unsigned) redirection->uid,
            redirection->since, name);
    }
    return g_string_free(text, FALSE);
}

void redirections_read_record(Instance *instance, const char *record)
{
    g_auto(GStrv) words = g_strsplit(record ? record : "", " ", -1);
    for (size_t i = 0; words[i]; i++) {
        unsigned id, uid;
        uint64_t since;
        int at = 0;
        if (sscanf(words[i], "%u:%u:%" SCNu64 ":%n", &id, &uid, &since, &at) < 3 || at == 0)
            continue;
        Redirection *redirection = redirection_add(instance, id);
        redirection->uid = (uid_t) uid;
        redirection->since = since;
        redirection->name = g_uri_unescape_string(words[i] + at, NULL) ?: g_strdup("");
        redirection->open = true;
    }
}

static bool is_mine_to_look_at(const Redirection *redirection)
{
    return redirection->qemu < 0;
}

/* QEMU says of a socket whose other end has gone that it is "disconnected:". One without a device has no frontend: its start was broken off. */
static bool is_connected(const json_t *chardevs, const Redirection *redirection)
{
    g_autofree char *id = qemu_id(redirection);
    size_t i;
    json_t *chardev;
    json_array_foreach((json_t *) chardevs, i, chardev)
        if (g_strcmp0(json_string_value(json_object_get(chardev, "label")), id) == 0)
            return json_is_true(json_object_get(chardev, "frontend-open")) &&
                !g_str_has_prefix(json_string_value(json_object_get(chardev, "filename")) ?: "", "disconnected:");
    return false;
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
    const Redirections *redirections = userdata;
    redirections_recover(redirections->instance->vm);
    return 0;
}

static void on_chardevs(Qmp *qmp, const json_t *chardevs, const Error *error, void *userdata)
{
    Redirections *redirections = userdata;
    bool again = false;
    for (guint i = redirections->items->len; i > 0; i--) {
        Redirection *redirection = redirections->items->pdata[i - 1];
        if (!is_mine_to_look_at(redirection))
            continue;
        if (error || is_connected(chardevs, redirection))
            again = true;
        else
            drop(redirection);
    }
    redirections->look = sd_event_source_disable_unref(redirections->look);
    if (again)
        (void) sd_event_add_time_relative(redirections->instance->vm->manager->event, &redirections->look, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look, redirections);
}

void redirections_recover(VM *vm)
{
    Redirections *redirections = vm->instance->redirections;
    if (redirections && vm->instance->qmp)
        (void) qmp_call(vm->instance->qmp, "query-chardev", NULL, -1, QMP_USEC, on_chardevs, redirections);
}

/* ---- to be shown ---- */

int vm_append_redirections(const VM *vm, sd_bus_message *reply)
{
    const Redirections *redirections = vm->instance ? vm->instance->redirections : NULL;
    int r = sd_bus_message_open_container(reply, 'a', "(uuts)");
    for (guint i = 0; r >= 0 && redirections && i < redirections->items->len; i++) {
        const Redirection *redirection = redirections->items->pdata[i];
        if (redirection->open)
            r = sd_bus_message_append(reply, "(uuts)", redirection->id, (uint32_t) redirection->uid, redirection->since, redirection->name);
    }
    return r >= 0 ? sd_bus_message_close_container(reply) : r;
}
