/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "display-remote.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bridge.h"
#include "cleanup.h"
#include "display-internal.h"
#include "display-listen.h"
#include "manager.h"
#include "steps.h"

/* Half of all, so that who asks vmd for one still gets it. A viewer has some ten. */
#define REMOTE_MAX (DISPLAY_CONNECTIONS_MAX / 2)
/* That have not said the password. */
#define STRANGERS_MAX 32U
/* For that. Viewers of VNC ask their user for it meanwhile. */
#define STRANGER_USEC (60 * G_USEC_PER_SEC)

/* ---- who it is ---- */

bool remote_name(Connection *connection)
{
    struct sockaddr_storage address;
    socklen_t n = sizeof address;
    char host[NI_MAXHOST], port[NI_MAXSERV];
    if (getpeername(connection->qemu, (struct sockaddr *) &address, &n) < 0 || (address.ss_family != AF_INET && address.ss_family != AF_INET6) ||
        getnameinfo((struct sockaddr *) &address, n, host, sizeof host, port, sizeof port, NI_NUMERICHOST | NI_NUMERICSERV) != 0)
        return false;
    connection->host = g_strdup(host);
    connection->port = g_strdup(port);
    return true;
}

char *remote_address(const Connection *connection)
{
    return g_strdup(g_str_has_prefix(connection->host, "::ffff:") ? connection->host + strlen("::ffff:") : connection->host);
}

/* The link's name after a % is another one in QEMU's namespace. */
static bool same_host(const char *a, const char *b)
{
    size_t n = strcspn(a, "%");
    return n == strcspn(b, "%") && strncmp(a, b, n) == 0;
}

Connection *remote_find(Displays *displays, const json_t *data)
{
    const json_t *client = json_object_get(data, "client");
    const char *host = json_string_value(json_object_get(client, "host"));
    /* SPICE says port, VNC service. */
    const char *port = json_string_value(json_object_get(client, "port")) ?: json_string_value(json_object_get(client, "service"));
    for (guint i = 0; host && port && displays && i < displays->connections->len; i++) {
        Connection *connection = displays->connections->pdata[i];
        if (connection->host && same_host(connection->host, host) && g_str_equal(connection->port, port))
            return connection;
    }
    return NULL;
}

void remote_end(Connection *connection)
{
    return connection->viewer ? connection_close(connection) : connection_drop(connection);
}

/* ---- who has not said the password ---- */

static bool is_stranger(const Connection *connection)
{
    return connection->host && !connection->viewer;
}

static unsigned count_strangers(const Displays *displays, const char *host)
{
    unsigned n = 0;
    for (guint i = 0; i < displays->connections->len; i++) {
        const Connection *connection = displays->connections->pdata[i];
        n += is_stranger(connection) && (!host || g_str_equal(connection->host, host));
    }
    return n;
}

/* Of the address that has most, the one that is there the longest. */
static bool drop_stranger(Displays *displays)
{
    Connection *worst = NULL;
    unsigned most = 0;
    for (guint i = 0; i < displays->connections->len; i++) {
        Connection *connection = displays->connections->pdata[i];
        unsigned n = is_stranger(connection) ? count_strangers(displays, connection->host) : 0;
        if (n > most) {
            most = n;
            worst = connection;
        }
    }
    if (worst)
        connection_drop(worst);
    return worst;
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    connection_drop(userdata);
    return 0;
}

static int on_stranger_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    connection_drop(userdata);
    return 0;
}

/* QEMU may have said that it is a viewer's by then. */
static void on_added(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    if (error)
        remote_end(userdata);
}

static int begin(Connection *connection)
{
    sd_event *event = connection->displays->instance->vm->manager->event;
    int r = sd_event_add_io(event, &connection->end, connection->qemu, EPOLLRDHUP, on_stranger_end, connection);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &connection->limit, CLOCK_MONOTONIC, STRANGER_USEC, G_USEC_PER_SEC, on_limit, connection);
    return r < 0 ? r : connection_give(connection, on_added);
}

static bool is_full(const Displays *displays)
{
    unsigned n = 0;
    for (guint i = 0; displays && i < displays->connections->len; i++)
        n += ((const Connection *) displays->connections->pdata[i])->host != NULL;
    return n >= REMOTE_MAX || (displays && displays->connections->len >= DISPLAY_CONNECTIONS_MAX);
}

void displays_take_remote(Instance *instance, int fd)
{
    const DisplayCaller nobody = {.sender = "", .uid = (uid_t) -1};
    Displays *displays = instance->displays;
    if (displays && (count_strangers(displays, NULL) >= STRANGERS_MAX || is_full(displays)) && (!drop_stranger(displays) || is_full(displays))) {
        (void) close(fd);
        return;
    }
    Connection *connection = connection_add(instance, fd, -1, 0, display_listener_protocol(instance->listener), &nobody);
    (void) snprintf(connection->name, sizeof connection->name, "d%u", ++instance->displays->n_made);
    if (!remote_name(connection) || begin(connection) < 0)
        connection_drop(connection);
}

/* ---- who has ---- */

/* SPICE's channels of one client have a number together; each connection of VNC is a client. */
static Viewer *find_viewer(Displays *displays, const Connection *connection, const json_t *data)
{
    const json_t *session = json_object_get(json_object_get(data, "client"), "connection-id");
    uint32_t number = (uint32_t) json_integer_value(session);
    for (guint i = 0; session && i < displays->viewers->len; i++) {
        Viewer *viewer = displays->viewers->pdata[i];
        if (viewer->address && viewer->protocol == connection->protocol && viewer->session == number)
            return viewer;
    }
    Viewer *viewer = viewer_add(displays, connection->protocol);
    viewer->uid = (uid_t) -1;
    viewer->address = remote_address(connection);
    viewer->session = number;
    return viewer;
}

void remote_is_in(Connection *connection, const json_t *data)
{
    Displays *displays = connection->displays;
    if (connection->viewer)
        return;
    connection_is_in(connection);
    connection->limit = sd_event_source_disable_unref(connection->limit);
    connection->end = sd_event_source_disable_unref(connection->end);
    connection->viewer = find_viewer(displays, connection, data);
    connection->viewer->n++;
    (void) sd_event_add_io(displays->instance->vm->manager->event, &connection->end, connection->qemu, EPOLLRDHUP, connection_on_end, connection);
    connection_keep(connection);
    displays_changed(displays);
}

/* ---- the password ---- */

/* VNC's has eight characters, whatever it is: so 40 bits, for as long as it lives. */
#define VNC_LENGTH 8
#define SPICE_LENGTH 20

typedef struct PasswordCall {
    char *vm;
    const char *protocol;
    char password[SPICE_LENGTH + 1];
    uint64_t until;
    sd_event_source *soon; /* where nobody is to be waited for */
    DisplayPassword done;
    void *userdata;
} PasswordCall;

/* Without what one could take for another, since people type it. */
static int make_password(char *ret, size_t length)
{
    static const char letters[] = "abcdefghijkmnopqrstuvwxyz2345678";
    unsigned char random[SPICE_LENGTH];
    if (getrandom(random, length, 0) != (ssize_t) length)
        return -EIO;
    for (size_t i = 0; i < length; i++)
        ret[i] = letters[random[i] % 32];
    ret[length] = '\0';
    return 0;
}

static void answer(PasswordCall *call, const Error *error)
{
    call->done(error ? NULL : call->password, call->until, error, call->userdata);
    explicit_bzero(call->password, sizeof call->password);
    sd_event_source_disable_unref(call->soon);
    g_free(call->vm);
    g_free(call);
}

static int on_soon(sd_event_source *source, void *userdata)
{
    answer(userdata, NULL);
    return 0;
}

static void on_set(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    answer(userdata, error);
}

/* Its end is set first: there is no moment in which it has none. */
static void on_expires(Qmp *qmp, const json_t *result, const Error *failed, void *userdata)
{
    PasswordCall *call = userdata;
    g_autoptr(Error) error = error_copy(failed);
    int r = failed ? 0 : qmp_call(qmp, "set_password", json_pack("{ss ss}", "protocol", call->protocol, "password", call->password), -1, DISPLAY_ANSWER_USEC, on_set, call);
    if (r < 0)
        error_set_errno(&error, r, call->vm, "QEMU cannot be told a password");
    if (error)
        answer(call, error);
}

bool vm_create_display_password(VM *vm, uint64_t lifetime, DisplayPassword done, void *userdata, Error **ret_error)
{
    if (!vm_check_monitor(vm, ret_error))
        return false;
    if (!vm->instance->listener)
        return error_set(ret_error, ERROR_UNSUPPORTED, vm->name, "Set Listen= in [Display] and restart it", "its display is offered on no network");
    if (lifetime > DISPLAY_PASSWORD_USEC_MAX)
        return error_set(ret_error, ERROR_UNSUPPORTED, vm->name, NULL, "a password lives for a day at most");
    PasswordCall *call = g_new0(PasswordCall, 1);
    call->vm = g_strdup(vm->name);
    call->protocol = display_protocol(display_listener_protocol(vm->instance->listener));
    call->done = done;
    call->userdata = userdata;
    uint64_t seconds = ((lifetime ?: DISPLAY_PASSWORD_USEC) + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC;
    uint64_t until = (uint64_t) g_get_real_time() / G_USEC_PER_SEC + seconds;
    g_autofree char *time = g_strdup_printf("%" G_GUINT64_FORMAT, until);
    call->until = until * G_USEC_PER_SEC;
    int r = make_password(call->password, g_str_equal(call->protocol, "vnc") ? VNC_LENGTH : SPICE_LENGTH);
    if (r >= 0 && bridge_is_wanted(vm->instance)) {
        bridge_set_password(vm->instance, call->password, until);
        r = sd_event_add_defer(vm->manager->event, &call->soon, on_soon, call);
    } else if (r >= 0)
        r = qmp_call(vm->instance->qmp, "expire_password", json_pack("{ss ss}", "protocol", call->protocol, "time", time), -1, DISPLAY_ANSWER_USEC, on_expires, call);
    if (r >= 0)
        return true;
    g_free(call->vm);
    g_free(call);
    return error_set_errno(ret_error, r, vm->name, "QEMU cannot be told a password");
}
