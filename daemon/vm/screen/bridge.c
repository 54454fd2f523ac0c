/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "bridge.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cleanup.h"
#include "config.h"
#include "display-listen.h"
#include "display-remote.h"
#include "helpers.h"
#include "manager.h"
#include "spice-protocol.h"
#include "steps.h"

#define SOCKET "bridge"
#define PORTS "ports"
#define FDNAME "bridge"

/* It is asked so often whether it is there. At thirty pictures a second of some MB each QEMU's memory grows by as much as it does not take. */
#define PING_USEC (500 * 1000)
#define PINGS_MAX 4U
/* Until it has answered once, and so has asked QEMU for no picture; on a busy host its start takes a while. */
#define FIRST_PINGS_MAX 20U
/* What it may say from one to the next: viewers open some ten channels. */
#define MESSAGES_MAX 2000U
/* Viewers that were put out, or change their size, come back within this. */
#define IDLE_PINGS 20U
/* How often one is pinged that nobody looks by, but has to stay. */
#define RESTING_USEC UINT64_C(5000000)

typedef struct Waiting {
    Connection *connection;
    QmpReply added;
} Waiting;

struct Bridge {
    Instance *instance;
    int fd;
    sd_event_source *io, *ping, *given;
    unsigned pings, idle; /* without an answer; without a viewer */
    unsigned said;        /* by it, since the last ping */
    bool lost;            /* it has asked for another display since then */
    bool born, heard;     /* heard: it has answered */
    GArray *waiting; /* Waiting: until it is born, and has been given it */
};

bool bridge_is_wanted(const Instance *instance)
{
    return instance->spice > MACHINE_SPICE_QEMU;
}

void bridge_free(Bridge *bridge)
{
    if (!bridge)
        return;
    sd_event_source_disable_unref(bridge->io);
    sd_event_source_disable_unref(bridge->ping);
    sd_event_source_disable_unref(bridge->given);
    close_fd(&bridge->fd);
    g_array_free(bridge->waiting, TRUE);
    g_free(bridge);
}

/* ---- at the start ---- */

/* Nobody but vmd connects to it: for vmd-spice, which sees none of them. */
static bool open_port(const char *dir, const char *name, int *ret_fd, Error **ret_error)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);
    *ret_fd = instance_listen(dir, name, SOCK_STREAM);
    return *ret_fd >= 0 || error_set_errno(ret_error, *ret_fd, path, "the socket cannot be made");
}

static bool open_ports(const Instance *instance, const Settings *settings, MachineParts *parts, Error **ret_error)
{
    g_autofree char *dir = g_build_filename(instance->dir, PORTS, NULL);
    if (mkdir(dir, 0700) < 0)
        return error_set_errno(ret_error, errno, dir, "the folder cannot be made");
    if (!open_port(dir, SPICE_SOCKET_AGENT, &parts->spice_fds[MACHINE_SPICE_AGENT], ret_error))
        return false;
    if (settings_get_bool(settings, "Display", "FileTransfer") && !open_port(dir, SPICE_SOCKET_FILES, &parts->spice_fds[MACHINE_SPICE_FILES], ret_error))
        return false;
    uint64_t n = settings_get_number(settings, "Display", "USBRedirection");
    for (unsigned i = 0; i < n && MACHINE_SPICE_USB + i < MACHINE_SPICE_FDS; i++) {
        g_autofree char *name = g_strdup_printf(SPICE_SOCKET_USB "%u", i);
        if (!open_port(dir, name, &parts->spice_fds[MACHINE_SPICE_USB + i], ret_error))
            return false;
    }
    return true;
}

/* Of those that QEMU has had since its start. */
static char *port_names(const Instance *instance)
{
    GString *names = g_string_new(NULL);
    for (unsigned i = 0; i < 2 + SPICE_USB_MAX; i++) {
        g_autofree char *usb = g_strdup_printf(SPICE_SOCKET_USB "%u", i - 2);
        const char *name = i == 0 ? SPICE_SOCKET_AGENT : i == 1 ? SPICE_SOCKET_FILES : usb;
        g_autofree char *path = g_build_filename(instance->dir, PORTS, name, NULL);
        if (access(path, F_OK) == 0)
            g_string_append_printf(names, "%s%s", names->len > 0 ? "," : "", name);
    }
    return g_string_free(names, FALSE);
}

void bridge_remove(const Instance *instance)
{
    g_autofree char *dir = g_build_filename(instance->dir, PORTS, NULL);
    dirs_remove(dir);
}

bool bridge_prepare(Instance *instance, const Settings *settings, const QemuBuild *build, MachineParts *parts, int *tls_fds, Error **ret_error)
{
    instance->spice = machine_spice(settings, build, instance->vm->manager->user);
    if (!bridge_is_wanted(instance))
        return true;
    if (access(SPICE_BRIDGE_PATH, X_OK) < 0)
        return error_set(ret_error, ERROR_UNSUPPORTED, qemu_build_path(build), "Install QEMU's SPICE module (qemu-system-modules-spice, qemu-ui-spice-core), or vmd-spice",
            "it has no SPICE, and there is no vmd-spice that could speak it for it");
    for (size_t i = 0; i < MACHINE_TLS_MAX; i++)
        close_fd(&tls_fds[i]);
    return open_ports(instance, settings, parts, ret_error);
}

/* ---- its end ---- */

static bool is_spice(const Connection *connection)
{
    return g_str_equal(display_protocol(connection->protocol), "spice");
}

static void answer(Bridge *bridge, const Error *error)
{
    g_autoptr(GArray) waiting = bridge->waiting;
    bridge->waiting = g_array_new(FALSE, FALSE, sizeof(Waiting));
    for (guint i = 0; i < waiting->len; i++) {
        const Waiting *one = &g_array_index(waiting, Waiting, i);
        one->added(NULL, NULL, error, one->connection);
    }
}

/* `why` NULL: nobody wants it any more. */
static void end(Bridge *bridge, const char *why)
{
    Instance *instance = bridge->instance;
    Helper *helper = helpers_find(instance->helpers, HELPER_SPICE, NULL);
    g_autofree char *path = g_build_filename(instance->dir, SOCKET, NULL);
    if (why) {
        g_autoptr(Error) error = NULL;
        g_warning("VM %s: vmd-spice %s; its viewers can come again", instance->vm->name, why);
        error_set(&error, ERROR_FAILED, instance->vm->name, "Try again", "vmd-spice %s", why);
        answer(bridge, error);
    }
    if (helper)
        helper_remove(helper);
    (void) unlink(path);
    instance->bridge = NULL;
    bridge_free(bridge);
    /* They would else be left with a picture that does not move. */
    if (why)
        displays_put_out(instance->displays, "spice");
    (void) instance_write_record(instance, NULL);
    vm_changed(instance->vm, "Helpers", NULL);
}

/* ---- what is said ---- */

static int say(Bridge *bridge, int fd, const char *format, ...) G_GNUC_PRINTF(3, 4);
static int say(Bridge *bridge, int fd, const char *format, ...)
{
    char text[SPICE_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    int n = g_vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } ancillary = {0};
    struct iovec part = {.iov_base = text, .iov_len = (size_t) n};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &ancillary;
        message.msg_controllen = sizeof ancillary;
        ancillary.header = (struct cmsghdr) {.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
        memcpy(CMSG_DATA(&ancillary.header), &fd, sizeof fd);
    }
    return sendmsg(bridge->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

/* ---- viewers ---- */

static int give_viewer(Bridge *bridge, const Connection *connection)
{
    return say(bridge, connection->qemu, connection->host ? "stranger" : "client");
}

static int give_password(Bridge *bridge)
{
    const Instance *instance = bridge->instance;
    uint64_t now = (uint64_t) g_get_real_time() / G_USEC_PER_SEC;
    if (!instance->bridge_password || now >= instance->bridge_until)
        return 0;
    return say(bridge, -1, "password %" G_GUINT64_FORMAT " %s", instance->bridge_until - now, instance->bridge_password);
}

void bridge_set_password(Instance *instance, const char *password, uint64_t until)
{
    if (instance->bridge_password)
        explicit_bzero(instance->bridge_password, strlen(instance->bridge_password));
    g_free(instance->bridge_password);
    instance->bridge_password = g_strdup(password);
    instance->bridge_until = until;
    if (instance->bridge && instance->bridge->born && give_password(instance->bridge) < 0)
        end(instance->bridge, "cannot be told a password");
}

bool bridge_is_in_use(const Instance *instance)
{
    const Displays *displays = instance->displays;
    for (guint i = 0; instance->bridge && displays && i < displays->connections->len; i++)
        if (is_spice(displays->connections->pdata[i]))
            return true;
    return false;
}

/* QEMU from 8.1 on keeps whom it has shown its screen to by D-Bus, and looks at the screen once more for each that has ever been there: the first one stays. */
static bool has_to_stay(const Instance *instance)
{
    return machine_spice_is_dbus(instance->spice) && strverscmp(instance->version ?: "", "8.1") >= 0;
}

static int on_ping(sd_event_source *source, uint64_t usec, void *userdata)
{
    Bridge *bridge = userdata;
    bridge->idle = bridge_is_in_use(bridge->instance) ? 0 : bridge->idle + 1;
    bool resting = bridge->idle > IDLE_PINGS;
    if (resting && !has_to_stay(bridge->instance))
        end(bridge, NULL);
    else if (bridge->pings++ >= (bridge->heard ? PINGS_MAX : FIRST_PINGS_MAX))
        end(bridge, "does not answer");
    else {
        bridge->said = 0;
        bridge->lost = false;
        (void) say(bridge, -1, "ping %u", bridge->pings);
        (void) sd_event_source_set_time_relative(source, resting ? RESTING_USEC : PING_USEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    }
    return 0;
}

/* ---- what only QEMU's monitor can do ---- */

static void on_display(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Instance *instance = userdata;
    if (error && instance->bridge)
        end(instance->bridge, "gets no display of QEMU's");
}

static bool sees_dbus(const Instance *instance)
{
    return machine_spice_is_dbus(instance->spice);
}

/* QEMU has one peer at a time for its D-Bus display; of VNC vmd-spice is a viewer like others. */
static int give_display(Bridge *bridge)
{
    Instance *instance = bridge->instance;
    const char *protocol = sees_dbus(instance) ? "@dbus-display" : "vnc";
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return -errno;
    int r = qmp_call(instance->qmp, "getfd", json_pack("{ss}", "fdname", FDNAME), fds[0], DISPLAY_ANSWER_USEC, NULL, NULL);
    if (r >= 0)
        r = qmp_call(instance->qmp, "add_client", json_pack("{ss ss sb}", "protocol", protocol, "fdname", FDNAME, "skipauth", 1), -1, DISPLAY_ANSWER_USEC,
            on_display, instance);
    if (r >= 0)
        r = say(bridge, fds[1], "display");
    (void) close(fds[0]);
    (void) close(fds[1]);
    if (r >= 0 && sees_dbus(instance))
        displays_put_out(instance->displays, "dbus");
    return r;
}

static bool is_port(const char *name)
{
    return g_str_equal(name, SPICE_SOCKET_AGENT) || g_str_equal(name, SPICE_SOCKET_FILES);
}

/* Which ports the guest has open. */
static void on_chardevs(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    const Instance *instance = userdata;
    size_t i;
    json_t *chardev;
    json_array_foreach(result, i, chardev)
    {
        const char *label = json_string_value(json_object_get(chardev, "label"));
        if (instance->bridge && label && is_port(label) && json_is_true(json_object_get(chardev, "frontend-open")))
            (void) say(instance->bridge, -1, "port %s 1", label);
    }
}

void bridge_port_changed(Instance *instance, const json_t *data)
{
    const char *id = json_string_value(json_object_get(data, "id"));
    if (instance->bridge && instance->bridge->born && id && is_port(id))
        (void) say(instance->bridge, -1, "port %s %d", id, json_is_true(json_object_get(data, "open")));
}

/* ---- what it says ---- */

static bool hear_pong(Bridge *bridge, char **words)
{
    bridge->pings = 0;
    bridge->heard = true;
    return true;
}

static bool hear_lost(Bridge *bridge, char **words)
{
    bool again = bridge->lost;
    if (!bridge_is_in_use(bridge->instance)) {
        end(bridge, NULL); /* who has it now is the only one that looks */
        return true;
    }
    bridge->lost = true;
    return !again && bridge->instance->monitor_ready && give_display(bridge) >= 0;
}

/* A port is what a guest is spoken to by, and no monitor: only such as this VM has for it. */
static bool has_socket(const char *name)
{
    unsigned i;
    char rest;
    return is_port(name) || (sscanf(name, SPICE_SOCKET_USB "%u%c", &i, &rest) == 1 && i < SPICE_USB_MAX);
}

static bool hear_wants(Bridge *bridge, char **words)
{
    if (!has_socket(words[1]))
        return false;
    g_autofree char *name = g_build_filename(PORTS, words[1], NULL);
    fd_cleanup int fd = instance_connect(bridge->instance, name, SOCK_STREAM);
    if (fd >= 0)
        (void) say(bridge, fd, "socket %s", words[1]);
    else
        (void) say(bridge, -1, "no-socket %s", words[1]);
    return true;
}

/* As QEMU's events have it. */
static json_t *event_data(char **words)
{
    static const char *const keys[] = {"port", "host", "port"};
    json_t *sides[] = {json_object(), json_object()}, *data = json_object();
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++)
        if (!g_str_equal(words[1 + i], "-"))
            (void) json_object_set_new(sides[i > 0], keys[i], json_string(words[1 + i]));
    (void) json_object_set_new(sides[1], "connection-id", json_integer((json_int_t) g_ascii_strtoll(words[4], NULL, 10)));
    (void) json_object_set_new(data, "server", sides[0]);
    (void) json_object_set_new(data, "client", sides[1]);
    return data;
}

static bool hear_initialized(Bridge *bridge, char **words)
{
    json_t *data = event_data(words);
    displays_initialized(bridge->instance, data);
    json_decref(data);
    return true;
}

static bool hear_disconnected(Bridge *bridge, char **words)
{
    json_t *data = event_data(words);
    displays_closed(bridge->instance, data);
    json_decref(data);
    return true;
}

static bool hear(Bridge *bridge, char *text, size_t size)
{
    static const struct {
        const char *word;
        guint n; /* words that follow */
        bool (*hear)(Bridge *bridge, char **words);
    } messages[] = {
        {"pong", 1, hear_pong},
        {"display-lost", 0, hear_lost},
        {"wants", 1, hear_wants},
        {"initialized", 4, hear_initialized},
        {"disconnected", 4, hear_disconnected},
    };
    if (size > SPICE_MESSAGE_MAX || ++bridge->said > MESSAGES_MAX || !g_utf8_validate(text, (gssize) size, NULL))
        return false;
    text[size] = '\0';
    g_auto(GStrv) words = g_strsplit(text, " ", 8);
    for (size_t i = 0; words[0] && i < G_N_ELEMENTS(messages); i++)
        if (g_str_equal(words[0], messages[i].word))
            return g_strv_length(words) == messages[i].n + 1 && messages[i].hear(bridge, words);
    return false;
}

static int on_io(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Bridge *bridge = userdata;
    char text[SPICE_MESSAGE_MAX + 2];
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        end(bridge, "has ended");
    else if (!hear(bridge, text, (size_t) n))
        end(bridge, "says what is not understood");
    return 0;
}

/* ---- its beginning ---- */

static Bridge *bridge_new(Instance *instance)
{
    Bridge *bridge = g_new0(Bridge, 1);
    bridge->instance = instance;
    bridge->waiting = g_array_new(FALSE, FALSE, sizeof(Waiting));
    bridge->fd = -1;
    return bridge;
}

static int connect_bridge(Bridge *bridge)
{
    sd_event *event = bridge->instance->vm->manager->event;
    bridge->fd = instance_connect(bridge->instance, SOCKET, SOCK_SEQPACKET);
    if (bridge->fd < 0)
        return bridge->fd;
    int r = sd_event_add_io(event, &bridge->io, bridge->fd, EPOLLIN, on_io, bridge);
    return r < 0 ? r : sd_event_add_time_relative(event, &bridge->ping, CLOCK_MONOTONIC, PING_USEC, 0, on_ping, bridge);
}

static void on_born(const Error *error, void *userdata)
{
    Instance *instance = userdata;
    Bridge *bridge = instance->bridge;
    if (!bridge)
        return;
    if (error)
        return end(bridge, error->cause);
    bridge->born = true;
    int r = give_display(bridge);
    if (r >= 0)
        r = qmp_call(instance->qmp, "query-chardev", NULL, -1, DISPLAY_ANSWER_USEC, on_chardevs, instance);
    if (r >= 0)
        r = give_password(bridge);
    for (guint i = 0; r >= 0 && i < bridge->waiting->len; i++)
        r = give_viewer(bridge, g_array_index(bridge->waiting, Waiting, i).connection);
    if (r < 0)
        return end(bridge, g_strerror(-r));
    answer(bridge, NULL);
    vm_changed(instance->vm, "Helpers", NULL);
}

/* What QEMU would have had from its start on is opened for each anew, so that a certificate that has been renewed is the one that it shows. */
static int add_tls(Helper *helper, const Instance *instance)
{
    int fds[MACHINE_TLS_MAX] = {-1, -1, -1};
    g_autoptr(Error) error = NULL;
    if (display_listen_open_tls(instance->vm->manager, fds, &error)) {
        helper_set_tls(helper, fds);
        helper_add_argument(helper, "--tls=yes");
        return 0;
    }
    g_autofree char *message = error_message(error);
    g_warning("VM %s: vmd-spice cannot speak TLS: %s", instance->vm->name, message);
    for (size_t i = 0; i < MACHINE_TLS_MAX; i++)
        close_fd(&fds[i]);
    return -EKEYREJECTED;
}

static int add_helper(Instance *instance, Helper **ret)
{
    g_autofree char *ports = port_names(instance), *socket = g_build_filename(instance->dir, SOCKET, NULL);
    g_autoptr(Settings) settings = vm_load_current_settings(instance->vm, NULL);
    if (!settings)
        return -EIO;
    (void) unlink(socket); /* of one before */
    int listening = instance_listen(instance->dir, SOCKET, SOCK_SEQPACKET);
    if (listening < 0)
        return listening;
    Helper *helper = *ret = helpers_add(instance, HELPER_SPICE, NULL, SPICE_BRIDGE_PATH);
    helper_add_argument(helper, "--listen=%d", listening);
    helper_add_argument(helper, "--ports=%s", ports);
    helper_add_argument(helper, "--name=%s", instance->vm->name);
    helper_add_argument(helper, "--source=%s", sees_dbus(instance) ? "dbus" : "vnc");
    helper_add_argument(helper, "--heads=%" G_GUINT64_FORMAT, sees_dbus(instance) ? settings_get_number(settings, "Display", "Heads") : 1);
    helper_add_argument(helper, "--clipboard=%s", settings_get_bool(settings, "Display", "Clipboard") ? "yes" : "no");
    helper_add_argument(helper, "--files=%s", settings_get_bool(settings, "Display", "FileTransfer") ? "yes" : "no");
    helper_add_argument(helper, "--sound=%s", machine_spice_has_sound(instance->spice) && machine_wants_sound(settings) ? "yes" : "no");
    helper_add_fd(helper, listening);
    return machine_display_listens(settings) ? add_tls(helper, instance) : 0;
}

static int begin(Instance *instance)
{
    Helper *helper = NULL;
    int r = add_helper(instance, &helper);
    if (r < 0) {
        if (helper)
            helper_remove(helper);
        return r;
    }
    instance->bridge = bridge_new(instance);
    r = connect_bridge(instance->bridge);
    if (r < 0) {
        g_clear_pointer(&instance->bridge, bridge_free);
        helper_remove(helper);
        return r;
    }
    helper_start(helper, on_born, instance);
    return 0;
}

static int on_given(sd_event_source *source, void *userdata)
{
    Bridge *bridge = userdata;
    bridge->given = sd_event_source_disable_unref(bridge->given);
    answer(bridge, NULL);
    return 0;
}

/* As QEMU does: its caller is not done yet. */
static int answer_soon(Bridge *bridge)
{
    return bridge->given ? 0 : sd_event_add_defer(bridge->instance->vm->manager->event, &bridge->given, on_given, bridge);
}

int bridge_give(Connection *connection, QmpReply added)
{
    Instance *instance = connection->displays->instance;
    const Waiting waiting = {connection, added};
    if (!instance->bridge) {
        int r = begin(instance);
        if (r < 0)
            return r;
    }
    g_array_append_val(instance->bridge->waiting, waiting);
    if (!instance->bridge->born)
        return 0;
    int r = give_viewer(instance->bridge, connection);
    if (r < 0)
        bridge_forget(connection);
    else
        r = answer_soon(instance->bridge);
    return r;
}

void bridge_forget(const Connection *connection)
{
    const Bridge *bridge = connection->displays->instance->bridge;
    for (guint i = bridge ? bridge->waiting->len : 0; i > 0; i--)
        if (g_array_index(bridge->waiting, Waiting, i - 1).connection == connection)
            g_array_remove_index(bridge->waiting, i - 1);
}

void bridge_recover(Instance *instance)
{
    Helper *helper = helpers_find(instance->helpers, HELPER_SPICE, NULL);
    if (!helper)
        return;
    instance->bridge = bridge_new(instance);
    instance->bridge->born = instance->bridge->heard = true;
    if (connect_bridge(instance->bridge) < 0)
        end(instance->bridge, "has ended");
}
