/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "display-internal.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "bridge.h"
#include "cleanup.h"
#include "display-listen.h"
#include "manager.h"
#include "release.h"
#include "steps.h"

/* A viewer has some ten channels; QEMU's own limit is that of its descriptors. */
#define CONNECTIONS_MAX DISPLAY_CONNECTIONS_MAX
/* Of one user: who opens without end does not keep the others out. */
#define CONNECTIONS_OF_USER_MAX 96U
#define ANSWER_USEC DISPLAY_ANSWER_USEC
/* A viewer opens its channels one after the other: who listens is told of all at once. */
#define TELL_USEC (50 * 1000)
/* A client says its first message on a channel as soon as it is let in, which some mean not to be. */
#define LET_IN_USEC G_USEC_PER_SEC
#define SETTLE_USEC (2 * G_USEC_PER_SEC)
#define LEAVE_USEC_MAX (10 * G_USEC_PER_SEC)
#define HOLD_LET_IN_USEC (2 * G_USEC_PER_SEC)
#define HOLD_USEC G_USEC_PER_SEC
#define UNREAD_USEC (G_USEC_PER_SEC / 10)
#define HELD_MAX 64U

/* What QEMU calls them, in add_client and in what it tells. */
static const struct {
    const char *type, *protocol;
} protocols[] = {{"spice", "spice"}, {"vnc", "vnc"}, {"dbus", "@dbus-display"}};

const char *display_protocol(size_t protocol)
{
    return protocols[protocol].type;
}

static bool is_dbus(size_t protocol)
{
    return g_str_equal(protocols[protocol].type, "dbus");
}

static bool is_spice(size_t protocol)
{
    return g_str_equal(protocols[protocol].type, "spice");
}

static bool is_bridged(const Connection *connection)
{
    return is_spice(connection->protocol) && bridge_is_wanted(connection->displays->instance);
}

void connection_is_in(Connection *connection)
{
    (void) sd_event_now(connection->displays->instance->vm->manager->event, CLOCK_MONOTONIC, &connection->let_in);
}

static void viewer_free(void *userdata)
{
    Viewer *viewer = userdata;
    sd_bus_slot_unref(viewer->ask);
    sd_event_source_disable_unref(viewer->leaving);
    g_free(viewer->sender);
    g_free(viewer->address);
    g_free(viewer);
}

static int on_tell(sd_event_source *source, uint64_t usec, void *userdata)
{
    Displays *displays = userdata;
    displays->tell = sd_event_source_disable_unref(displays->tell);
    vm_changed(displays->instance->vm, "DisplayClients", NULL);
    return 0;
}

void displays_changed(Displays *displays)
{
    if (!displays->tell)
        (void) sd_event_add_time_relative(displays->instance->vm->manager->event, &displays->tell, CLOCK_MONOTONIC, TELL_USEC, 0, on_tell, displays);
}

/* ---- for the next vmd ---- */

/* systemd keeps QEMU's ends with a name that says all that is known, and gives them to the vmd after one that was killed or restarted. */
void connection_keep(Connection *connection)
{
    const Viewer *viewer = connection->viewer;
    int pid = viewer->address ? (int) viewer->session : (int) viewer->pid; /* a remote one has none */
    g_autofree char *state = NULL;
    if (connection->kept)
        return;
    connection->kept = g_strdup_printf("vmd-display %s %" G_GUINT32_FORMAT " %zu %u %d %" PRIu64 " %s", connection->name, viewer->id, viewer->protocol,
        (unsigned) viewer->uid, pid, viewer->since, connection->displays->instance->vm->name);
    state = g_strdup_printf("FDSTORE=1\nFDNAME=%s", connection->kept);
    (void) sd_pid_notify_with_fds(0, false, state, &connection->qemu, 1);
}

/* vmd goes, and this does not; but for who has not said the password, of whom the next vmd would not know. */
static void leave(Connection *connection)
{
    if (connection->host && !connection->viewer)
        return;
    if (connection->viewer)
        connection_keep(connection);
    g_free(g_steal_pointer(&connection->kept));
    close_fd(&connection->qemu);
}

static void keep_no_longer(Connection *connection)
{
    if (!connection->kept)
        return;
    (void) sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", connection->kept);
    g_free(g_steal_pointer(&connection->kept));
}

/* ---- connections ---- */

/* When the last of its connections was let in, or will have been if it takes no longer than that. */
static uint64_t last_in(const Viewer *viewer, uint64_t usec)
{
    uint64_t last = 0;
    for (guint i = 0; i < viewer->displays->connections->len; i++) {
        const Connection *connection = viewer->displays->connections->pdata[i];
        if (connection->viewer == viewer)
            last = MAX(last, connection->let_in > 0 ? connection->let_in : connection->made + usec);
    }
    return last;
}

/* QEMU, or vmd-spice, has read all that it has said by now. */
static bool is_read(const Viewer *viewer)
{
    for (guint i = 0; i < viewer->displays->connections->len; i++) {
        const Connection *connection = viewer->displays->connections->pdata[i];
        int bytes = 0;
        if (connection->viewer == viewer && ioctl(connection->qemu, FIONREAD, &bytes) >= 0 && bytes > 0)
            return false;
    }
    return true;
}

static void let_go(Connection *connection)
{
    connection->held = sd_event_source_disable_unref(connection->held);
    close_fd(&connection->peer);
}

/* Who opens and closes many a second does not meet the limit for that. */
static void hold_few(const Displays *displays)
{
    unsigned n = 0;
    Connection *oldest = NULL;
    for (guint i = 0; i < displays->connections->len; i++) {
        Connection *connection = displays->connections->pdata[i];
        if (!connection->held)
            continue;
        n++;
        if (!oldest || connection->made < oldest->made)
            oldest = connection;
    }
    if (n > HELD_MAX)
        let_go(oldest);
}

static int on_held(sd_event_source *source, uint64_t usec, void *userdata)
{
    Connection *connection = userdata;
    const Viewer *viewer = connection->viewer;
    uint64_t until = last_in(viewer, HOLD_LET_IN_USEC) + HOLD_USEC;
    if (usec >= until && usec < connection->made + LEAVE_USEC_MAX && !is_read(viewer))
        until = usec + UNREAD_USEC;
    /* The last may be let in sooner than that. */
    if (usec >= until || sd_event_source_set_time(source, MIN(until, usec + HOLD_USEC)) < 0 || sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0)
        let_go(connection);
    return 0;
}

/* The caller's end stays open until its viewer was let in on all of them a moment ago, and what it said was read. spice-server 0.15 uses a display's
 * channel when it has freed it, where that ends before the client's first message is read (dcc_start()): QEMU would end of it, or vmd-spice. A viewer
 * that has come and gone is seen to go when that has been read, and with all its channels, since its main one takes the others along. */
static void hold(Connection *connection)
{
    sd_event *event = connection->displays->instance->vm->manager->event;
    if (!is_spice(connection->protocol) || sd_event_add_time(event, &connection->held, CLOCK_MONOTONIC, connection->made + HOLD_USEC, 1, on_held, connection) < 0)
        return let_go(connection);
    hold_few(connection->displays);
}

static void connection_answer(Connection *connection, const Error *error)
{
    DisplayOpened done = connection->done;
    connection->done = NULL;
    if (done)
        done(error ? -1 : connection->peer, error, connection->userdata);
    if (error)
        let_go(connection);
    else
        hold(connection);
}

static void connection_free(void *userdata)
{
    Connection *connection = userdata;
    if (connection->done) {
        g_autoptr(Error) error = NULL;
        error_set(&error, ERROR_NOT_RUNNING, connection->displays->instance->vm->name, NULL, "it has ended");
        connection_answer(connection, error);
    }
    bridge_forget(connection);
    if (connection->displays->instance->qmp)
        qmp_forget(connection->displays->instance->qmp, connection);
    sd_event_source_disable_unref(connection->end);
    sd_event_source_disable_unref(connection->limit);
    let_go(connection);
    keep_no_longer(connection);
    /* Both QEMU and the viewer see the end of it, whoever has it open. */
    if (connection->qemu >= 0)
        (void) shutdown(connection->qemu, SHUT_RDWR);
    close_fd(&connection->qemu);
    g_free(connection->sender);
    g_free(connection->host);
    g_free(connection->port);
    g_free(connection);
}

void connection_close(Connection *connection)
{
    Displays *displays = connection->displays;
    Viewer *viewer = connection->viewer;
    bool bridged = is_bridged(connection);
    g_ptr_array_remove_fast(displays->connections, connection);
    if (viewer && --viewer->n == 0) {
        release_begin(&displays->release, displays->instance, bridged || is_dbus(viewer->protocol) || !vm_hears(displays->instance->vm));
        g_ptr_array_remove(displays->viewers, viewer);
    }
    displays_changed(displays);
}

int connection_on_end(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    connection_close(userdata);
    return 0;
}

void connection_drop(Connection *connection)
{
    g_ptr_array_remove_fast(connection->displays->connections, connection);
}

/* For whoever reads the list; nothing is decided by it. */
static int on_pid(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Viewer *viewer = userdata;
    const Displays *displays = viewer->displays;
    uint32_t pid;
    viewer->ask = sd_bus_slot_unref(viewer->ask);
    if (!sd_bus_message_is_method_error(m, NULL) && sd_bus_message_read(m, "u", &pid) >= 0)
        viewer->pid = (pid_t) pid;
    for (guint i = 0; i < displays->connections->len; i++) {
        Connection *connection = displays->connections->pdata[i];
        if (connection->viewer == viewer)
            connection_keep(connection);
    }
    displays_changed(viewer->displays);
    return 0;
}

Viewer *viewer_add(Displays *displays, size_t protocol)
{
    Viewer *viewer = g_new0(Viewer, 1);
    viewer->displays = displays;
    viewer->id = ++displays->n_viewers_made;
    viewer->protocol = protocol;
    viewer->sender = g_strdup("");
    viewer->since = (uint64_t) g_get_real_time();
    g_ptr_array_add(displays->viewers, viewer);
    return viewer;
}

static Viewer *find_viewer(Displays *displays, const Connection *connection)
{
    for (guint i = 0; i < displays->viewers->len; i++) {
        Viewer *viewer = displays->viewers->pdata[i];
        if (viewer->protocol == connection->protocol && g_str_equal(viewer->sender, connection->sender))
            return viewer;
    }
    Viewer *viewer = viewer_add(displays, connection->protocol);
    g_free(viewer->sender);
    viewer->sender = g_strdup(connection->sender);
    viewer->uid = connection->uid;
    (void) sd_bus_call_method_async(displays->instance->vm->manager->bus, &viewer->ask, "org.freedesktop.DBus", "/org/freedesktop/DBus",
        "org.freedesktop.DBus", "GetConnectionUnixProcessID", on_pid, viewer, "s", viewer->sender);
    return viewer;
}

static void on_added(Qmp *qmp, const json_t *result, const Error *error, void *userdata)
{
    Connection *connection = userdata;
    Displays *displays = connection->displays;
    if (error) {
        connection_answer(connection, error);
        g_ptr_array_remove_fast(displays->connections, connection);
        return;
    }
    /* QEMU has one peer at a time for its objects on D-Bus, and leaves the one before without a word. */
    if (is_dbus(connection->protocol))
        displays_put_out(displays, display_protocol(connection->protocol));
    connection->viewer = find_viewer(displays, connection);
    connection->viewer->n++;
    (void) sd_event_add_io(displays->instance->vm->manager->event, &connection->end, connection->qemu, EPOLLRDHUP, connection_on_end, connection);
    if (!connection->viewer->ask)
        connection_keep(connection);
    connection_answer(connection, NULL);
    displays_changed(displays);
}

/* ---- opening ---- */

/* The name is not there any more when QEMU gets the socket, which keeps it. QEMU's events have room for 31 bytes of it. */
static int name_socket(const Instance *instance, int fd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fd_cleanup int dir = open(instance->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0)
        return -errno;
    (void) snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir, name);
    if (bind(fd, (struct sockaddr *) &address, sizeof address) < 0)
        return -errno;
    return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

static bool has_room(const Displays *displays, const char *name, uid_t uid, Error **ret_error)
{
    unsigned n = 0;
    for (guint i = 0; displays && i < displays->connections->len; i++)
        n += ((const Connection *) displays->connections->pdata[i])->uid == uid;
    bool full = displays && displays->connections->len >= CONNECTIONS_MAX;
    return (!full && n < CONNECTIONS_OF_USER_MAX) || error_set(ret_error, ERROR_LIMIT_REACHED, name, "Close a viewer, or Disconnect() one",
        "there are %u connections to its display%s", full ? CONNECTIONS_MAX : n, full ? "" : " from this user");
}

Connection *connection_add(Instance *instance, int qemu, int peer, unsigned n, size_t protocol, const DisplayCaller *caller)
{
    Displays *displays = instance->displays;
    if (!displays) {
        displays = instance->displays = g_new0(Displays, 1);
        displays->instance = instance;
        displays->viewers = g_ptr_array_new_with_free_func(viewer_free);
        displays->connections = g_ptr_array_new_with_free_func(connection_free);
    }
    Connection *connection = g_new0(Connection, 1);
    connection->displays = displays;
    (void) sd_event_now(instance->vm->manager->event, CLOCK_MONOTONIC, &connection->made);
    connection->qemu = qemu;
    connection->peer = peer;
    connection->protocol = protocol;
    connection->sender = g_strdup(caller->sender);
    connection->uid = caller->uid;
    (void) snprintf(connection->name, sizeof connection->name, "d%u", n);
    g_ptr_array_add(displays->connections, connection);
    return connection;
}

static Connection *connection_new(Instance *instance, size_t protocol, const DisplayCaller *caller, Error **ret_error)
{
    int fds[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0) {
        error_set_errno(ret_error, errno, instance->vm->name, "a socket cannot be made");
        return NULL;
    }
    Connection *connection = connection_add(instance, fds[0], fds[1], 0, protocol, caller);
    (void) snprintf(connection->name, sizeof connection->name, "d%u", ++instance->displays->n_made);
    return connection;
}

int connection_give(Connection *connection, QmpReply added)
{
    Instance *instance = connection->displays->instance;
    if (is_bridged(connection))
        return bridge_give(connection, added);
    bool remote = connection->host;
    json_t *arguments = json_pack("{ss ss sb}", "protocol", protocols[connection->protocol].protocol, "fdname", connection->name, "skipauth", !remote);
    if (remote) /* of VNC the same is said by how it was started */
        (void) json_object_set_new(arguments, "tls", json_true());
    int r = qmp_call(instance->qmp, "getfd", json_pack("{ss}", "fdname", connection->name), connection->qemu, ANSWER_USEC, NULL, NULL);
    if (r < 0)
        json_decref(arguments);
    else
        r = qmp_call(instance->qmp, "add_client", arguments, -1, ANSWER_USEC, added, connection);
    return r;
}

static bool begin(Connection *connection, Error **ret_error)
{
    Instance *instance = connection->displays->instance;
    int r = name_socket(instance, connection->qemu, connection->name);
    if (r >= 0)
        r = connection_give(connection, on_added);
    return r >= 0 || error_set_errno(ret_error, r, instance->vm->name, "QEMU cannot be given a connection to its display");
}

Settings *vm_check_display(const VM *vm, Error **ret_error)
{
    g_autoptr(Settings) settings = vm_load_current_settings(vm, ret_error);
    if (!settings)
        return NULL;
    if (!g_str_equal(settings_get_string(settings, "Display", "Type"), "none"))
        return g_steal_pointer(&settings);
    error_set(ret_error, ERROR_UNSUPPORTED, vm->name, "Set Type=spice in [Display] and restart it", "it has no display");
    return NULL;
}

bool vm_hears(const VM *vm)
{
    return vm->state == VM_RUNNING || vm->state == VM_STOPPING;
}

bool vm_check_hears(VM *vm, const char *follows, Error **ret_error)
{
    g_autofree char *thing = vm_thing(vm);
    if (!vm_check_monitor(vm, ret_error))
        return false;
    g_autoptr(Settings) settings = vm_check_display(vm, ret_error);
    if (!settings)
        return false;
    return vm_hears(vm) ||
        error_set(ret_error, ERROR_BUSY, thing, vm->state == VM_PAUSED ? "Resume it first" : NULL, "it is %s, so %s", vm_state_to_string(vm->state), follows);
}

static bool check(const VM *vm, const char *type, size_t *ret_protocol, Error **ret_error)
{
    size_t i = 0;
    while (i < G_N_ELEMENTS(protocols) && !g_str_equal(protocols[i].type, type))
        i++;
    if (i == G_N_ELEMENTS(protocols))
        return error_set(ret_error, ERROR_UNSUPPORTED, type, "There are spice, vnc and dbus", "there is no such type of display");
    g_autoptr(Settings) settings = vm_check_display(vm, ret_error);
    if (!settings)
        return false;
    if (!machine_display_speaks(settings, type)) {
        g_autofree char *remedy = g_strdup_printf("Set Type=%s in [Display] and restart it", type);
        return error_set(ret_error, ERROR_UNSUPPORTED, vm->name, remedy, "its display is of the type %s%s", settings_get_string(settings, "Display", "Type"),
            machine_display_has_gl(settings) ? " and has GL=yes" : "");
    }
    if (is_dbus(i) && vm->manager->user)
        return error_set(ret_error, ERROR_UNSUPPORTED, vm->name, "Ask for its spice or vnc display",
            "a user's QEMU sees no processes but its own, and talks D-Bus to none of those");
    if (is_dbus(i) && machine_spice_is_dbus(vm->instance->spice) && bridge_is_in_use(vm->instance))
        return error_set(ret_error, ERROR_IN_USE, vm->name, "Close its SPICE viewers first, or set Type=dbus in [Display]",
            "its D-Bus display is what vmd-spice shows, and QEMU has one for one only");
    *ret_protocol = i;
    return true;
}

bool vm_open_display(VM *vm, const char *type, const DisplayCaller *caller, DisplayOpened done, void *userdata, Error **ret_error)
{
    size_t protocol = 0;
    if (!vm_check_monitor(vm, ret_error) || !check(vm, type, &protocol, ret_error))
        return false;
    if (!has_room(vm->instance->displays, vm->name, caller->uid, ret_error))
        return false;
    Connection *connection = connection_new(vm->instance, protocol, caller, ret_error);
    if (!connection)
        return false;
    if (!begin(connection, ret_error)) {
        g_ptr_array_remove_fast(vm->instance->displays->connections, connection);
        return false;
    }
    connection->done = done;
    connection->userdata = userdata;
    return true;
}

/* ---- after a vmd that was killed ---- */

/* They come in any order, and the oldest is first. */
static Viewer *find_kept_viewer(Displays *displays, uint32_t id)
{
    guint i = 0;
    while (i < displays->viewers->len && ((const Viewer *) displays->viewers->pdata[i])->id < id)
        i++;
    if (i < displays->viewers->len && ((const Viewer *) displays->viewers->pdata[i])->id == id)
        return displays->viewers->pdata[i];
    Viewer *viewer = g_new0(Viewer, 1);
    viewer->displays = displays;
    viewer->id = id;
    viewer->sender = g_strdup("");
    displays->n_viewers_made = MAX(displays->n_viewers_made, id);
    g_ptr_array_insert(displays->viewers, (gint) i, viewer);
    return viewer;
}

static void recover_remote(Connection *connection)
{
    Viewer *viewer = connection->viewer;
    if (!remote_name(connection))
        return;
    viewer->session = (uint32_t) viewer->pid;
    viewer->pid = 0;
    if (!viewer->address)
        viewer->address = remote_address(connection);
}

/* Takes `fd`. False: there is nobody any more whom it belongs to. */
static bool recover_connection(Manager *manager, int fd, const char *name)
{
    unsigned n, id, uid;
    size_t protocol;
    int pid, at = 0;
    uint64_t since;
    if (sscanf(name, "vmd-display d%u %u %zu %u %d %" SCNu64 " %n", &n, &id, &protocol, &uid, &pid, &since, &at) < 6 || at == 0 ||
        protocol >= G_N_ELEMENTS(protocols))
        return false;
    const VM *vm = manager_find_vm(manager, name + at);
    if (!vm || !vm->instance)
        return false;
    /* A vmd-spice that has ended meanwhile has left them with a picture that does not move. */
    if (is_spice(protocol) && bridge_is_wanted(vm->instance) && !vm->instance->bridge)
        return false;
    Connection *connection = connection_add(vm->instance, fd, -1, n, protocol, &(DisplayCaller) {"", (uid_t) uid});
    Displays *displays = vm->instance->displays;
    Viewer *viewer = find_kept_viewer(displays, id);
    viewer->protocol = protocol;
    viewer->uid = (uid_t) uid;
    viewer->pid = (pid_t) pid;
    viewer->since = since;
    viewer->n++;
    connection->viewer = viewer;
    connection->made = 0;
    connection->kept = g_strdup(name);
    recover_remote(connection);
    displays->n_made = MAX(displays->n_made, n);
    (void) sd_event_add_io(manager->event, &connection->end, fd, EPOLLRDHUP, connection_on_end, connection);
    return true;
}

void displays_recover(Manager *manager)
{
    char **names = NULL;
    int n = sd_listen_fds_with_names(1, &names);
    for (int i = 0; i < n; i++) {
        int fd = SD_LISTEN_FDS_START + i;
        if (!recover_connection(manager, fd, names[i]) && !display_listener_recover(manager, fd, names[i])) {
            (void) sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", names[i]);
            (void) shutdown(fd, SHUT_RDWR);
            (void) close(fd);
        }
        free(names[i]);
    }
    free(names);
    display_listeners_recover(manager);
}

/* ---- what is there ---- */

static void put_out(Viewer *viewer);

static int on_leave(sd_event_source *source, uint64_t usec, void *userdata)
{
    put_out(userdata);
    return 0;
}

/* A viewer that has only come is let settle first, since spice-server may use what it has freed (see hold()). */
static void put_out(Viewer *viewer)
{
    Displays *displays = viewer->displays;
    sd_event *event = displays->instance->vm->manager->event;
    uint64_t now = 0, settled = last_in(viewer, LET_IN_USEC) + SETTLE_USEC;
    (void) sd_event_now(event, CLOCK_MONOTONIC, &now);
    viewer->leaving = sd_event_source_disable_unref(viewer->leaving);
    viewer->leaves_by = viewer->leaves_by ?: now + LEAVE_USEC_MAX;
    if (now >= settled && !is_read(viewer))
        settled = now + UNREAD_USEC;
    settled = MIN(settled, viewer->leaves_by);
    bool settles = is_spice(viewer->protocol) && now < settled;
    if (settles && sd_event_add_time(event, &viewer->leaving, CLOCK_MONOTONIC, MIN(settled, now + SETTLE_USEC), 1, on_leave, viewer) >= 0)
        return;
    for (guint i = displays->connections->len; i > 0; i--) {
        Connection *connection = displays->connections->pdata[i - 1];
        if (connection->viewer == viewer)
            connection_close(connection); /* the last one takes `viewer` along */
    }
}

bool vm_disconnect_display(VM *vm, uint32_t id, Error **ret_error)
{
    Displays *displays = vm->instance ? vm->instance->displays : NULL;
    if (!vm->instance)
        return error_set(ret_error, ERROR_NOT_RUNNING, vm->name, NULL, "it does not run");
    for (guint i = 0; displays && i < displays->viewers->len; i++) {
        Viewer *viewer = displays->viewers->pdata[i];
        if (viewer->id != id)
            continue;
        put_out(viewer);
        return true;
    }
    return error_set(ret_error, ERROR_NO_SUCH_DEVICE, vm->name, NULL, "it has no viewer %" G_GUINT32_FORMAT, id);
}

bool vm_is_viewed_by(const VM *vm, const char *sender)
{
    const Displays *displays = vm->instance ? vm->instance->displays : NULL;
    for (guint i = 0; displays && sender && i < displays->viewers->len; i++)
        if (g_str_equal(((const Viewer *) displays->viewers->pdata[i])->sender, sender))
            return true;
    return false;
}

int vm_append_display_clients(const VM *vm, sd_bus_message *reply)
{
    const Displays *displays = vm->instance ? vm->instance->displays : NULL;
    int r = sd_bus_message_open_container(reply, 'a', "(usuutus)");
    for (guint i = 0; r >= 0 && displays && i < displays->viewers->len; i++) {
        const Viewer *viewer = displays->viewers->pdata[i];
        r = sd_bus_message_append(reply, "(usuutus)", viewer->id, protocols[viewer->protocol].type, (uint32_t) viewer->uid, (uint32_t) viewer->pid,
            viewer->since, (uint32_t) viewer->n, viewer->address ?: "");
    }
    return r >= 0 ? sd_bus_message_close_container(reply) : r;
}

void displays_put_out(Displays *displays, const char *type)
{
    for (guint i = displays ? displays->connections->len : 0; i > 0; i--) {
        Connection *connection = displays->connections->pdata[i - 1];
        if (connection->viewer && g_str_equal(protocols[connection->protocol].type, type))
            connection_close(connection);
    }
}

/* The local one that an event of QEMU's is about. */
static Connection *find_connection(Displays *displays, const json_t *data)
{
    const json_t *server = json_object_get(data, "server");
    /* SPICE says port, VNC service. */
    const char *path = json_string_value(json_object_get(server, "port")) ?: json_string_value(json_object_get(server, "service"));
    const char *name = path ? strrchr(path, '/') : NULL;
    for (guint i = 0; name && displays && i < displays->connections->len; i++) {
        Connection *connection = displays->connections->pdata[i];
        if (!connection->host && g_str_equal(connection->name, name + 1))
            return connection;
    }
    return NULL;
}

void displays_initialized(Instance *instance, const json_t *data)
{
    Displays *displays = instance->displays;
    Connection *connection = remote_find(displays, data);
    if (connection)
        return remote_is_in(connection, data);
    connection = find_connection(displays, data);
    if (connection)
        connection_is_in(connection);
}

void displays_closed(Instance *instance, const json_t *data)
{
    Displays *displays = instance->displays;
    Connection *connection = remote_find(displays, data);
    if (connection)
        return remote_end(connection);
    connection = find_connection(displays, data);
    if (connection && connection->viewer)
        connection_close(connection);
}

void displays_free(Displays *displays, bool end)
{
    if (!displays)
        return;
    if (end && displays->viewers->len > 0)
        vm_changed(displays->instance->vm, "DisplayClients", NULL);
    for (guint i = 0; !end && i < displays->connections->len; i++)
        leave(displays->connections->pdata[i]);
    g_ptr_array_unref(displays->connections);
    g_ptr_array_unref(displays->viewers);
    sd_event_source_disable_unref(displays->tell);
    release_free(displays->release);
    g_free(displays);
}
