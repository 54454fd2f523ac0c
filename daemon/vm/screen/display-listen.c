/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "display-listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "address.h"
#include "cleanup.h"
#include "display-remote.h"
#include "io.h"
#include "manager.h"
#include "spawn.h"

#define PORT_FIRST 5900
#define PORT_LAST 5999
#define PORT_PRIVILEGED 1024

/* Of all three there is room in the jail for 256 KiB. */
#define FILE_SIZE_MAX (80 * 1024)

/* Who connects without end is not to keep vmd from all else. */
#define ACCEPT_INTERVAL_USEC (100 * 1000)
#define ACCEPT_BURST 20

/* The same order as in display.c. */
enum { PROTOCOL_SPICE, PROTOCOL_VNC };

#define KEPT_NAME "vmd-listen "

struct DisplayListener {
    Instance *instance;
    int fd;
    char *address;
    size_t protocol;
    sd_event_source *source;
    DisplayListenDone done; /* NULL: has been called, or nobody waits */
    void *userdata;
};

/* ---- Listen= ---- */

static bool parse_port(const char *text, SpawnListen *where)
{
    char *end;
    unsigned long port = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || port > UINT16_MAX || (port > 0 && port < PORT_PRIVILEGED))
        return false;
    if (port > 0)
        where->first = where->last = (uint16_t) port;
    return true;
}

/* A colon is a part of an IPv6 address where no brackets are around that. */
static bool parse(const char *text, SpawnListen *ret)
{
    SpawnListen where = {.family = LISTEN_ANY, .first = PORT_FIRST, .last = PORT_LAST};
    g_autofree char *host = g_strdup(text);
    char *port = NULL;
    if (*host == '[') {
        char *end = strchr(host, ']');
        if (!end || (end[1] && end[1] != ':') || !strchr(host, ':') || strchr(host, ':') > end)
            return false;
        port = end[1] ? end + 2 : NULL;
        *end = '\0';
        memmove(host, host + 1, strlen(host)); /* port stays where it is */
    } else if (strchr(host, ':') && strchr(host, ':') == strrchr(host, ':')) {
        port = strchr(host, ':');
        *port++ = '\0';
    }
    Address address;
    if (port && !parse_port(port, &where))
        return false;
    if (!g_str_equal(host, "*")) {
        if (strchr(host, '/') || address_parse(host, &address) < 0)
            return false;
        where.family = address.family == AF_INET ? LISTEN_IPV4 : LISTEN_IPV6;
        memcpy(where.address, address.family == AF_INET ? (void *) &address.v4 : (void *) &address.v6, address.family == AF_INET ? sizeof address.v4 : sizeof address.v6);
    }
    *ret = where;
    return true;
}

bool display_listen_check(const Settings *settings, Error **ret_error)
{
    const char *listen = settings_get_string(settings, "Display", "Listen");
    SpawnListen where;
    return !listen || parse(listen, &where) ||
        error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, "Display", "Listen"),
            "Write an address of this host as a number, or *, and a port from 1024 up, or none: 192.0.2.1, [2001:db8::1]:5900, *:5900",
            "\"%s\" is no address that a display could be offered at", listen);
}

static bool check_type(const Settings *settings, Error **ret_error)
{
    const char *type = settings_get_string(settings, "Display", "Type");
    return g_str_equal(type, "spice") || g_str_equal(type, "vnc") ||
        error_set(ret_error, ERROR_INVALID_SETTINGS, settings_origin(settings, "Display", "Listen"), "Set Type=spice or Type=vnc in [Display]",
            "a display of the type %s cannot be offered on a network", type);
}

/* ---- certificates ---- */

static char *tls_path(const Manager *manager, size_t i)
{
    return g_build_filename(manager->dirs->settings, "tls", machine_tls_names[i], NULL);
}

static bool open_tls(const Manager *manager, size_t i, int *ret_fd, Error **ret_error)
{
    g_autofree char *path = tls_path(manager, i), *repair = g_strdup_printf("chmod 600 %s", path);
    fd_cleanup int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    bool key = i == MACHINE_TLS_MAX - 1;
    struct stat st;
    if (fd < 0 && errno == ENOENT)
        return error_set(ret_error, ERROR_FAILED, path, "Make a certificate: vmd.vm(5) says how, under Listen=", "there is no such file, and Listen= needs it");
    if (fd < 0 || fstat(fd, &st) < 0)
        return error_set_errno(ret_error, errno, path, "it cannot be opened");
    if (!S_ISREG(st.st_mode) || st.st_size == 0 || st.st_size > FILE_SIZE_MAX)
        return error_set(ret_error, ERROR_FAILED, path, NULL, "it is no file of a %s", key ? "key" : "certificate");
    if (key && (st.st_mode & 077))
        return error_set(ret_error, ERROR_FAILED, path, repair, "others than its owner have rights to it");
    *ret_fd = steal_fd(&fd);
    return true;
}

char *display_listener_read_ca(const VM *vm, Error **ret_error)
{
    g_autofree char *path = tls_path(vm->manager, 0), *text = g_malloc(FILE_SIZE_MAX + 1);
    fd_cleanup int fd = -1;
    if (!open_tls(vm->manager, 0, &fd, ret_error))
        return NULL;
    ssize_t n = io_read_all(fd, text, FILE_SIZE_MAX);
    if (n < 0) {
        error_set_errno(ret_error, (int) n, path, "it cannot be read");
        return NULL;
    }
    text[n] = '\0';
    if (g_utf8_validate(text, -1, NULL))
        return g_steal_pointer(&text);
    error_set(ret_error, ERROR_FAILED, path, NULL, "it cannot be read");
    return NULL;
}

/* ---- the socket ---- */

/* As Listen= has it, with the port that it came to. */
static char *socket_address(int fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {};
    socklen_t n = sizeof address, size = sizeof(int);
    char text[INET6_ADDRSTRLEN];
    int only = 1;
    if (getsockname(fd, &address.any, &n) < 0)
        return NULL;
    if (address.any.sa_family == AF_INET)
        return g_strdup_printf("%s:%u", inet_ntop(AF_INET, &address.v4.sin_addr, text, sizeof text), ntohs(address.v4.sin_port));
    if (address.any.sa_family != AF_INET6 || getsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only, &size) < 0)
        return NULL;
    if (!only)
        return g_strdup_printf("*:%u", ntohs(address.v6.sin6_port));
    return g_strdup_printf("[%s]:%u", inet_ntop(AF_INET6, &address.v6.sin6_addr, text, sizeof text), ntohs(address.v6.sin6_port));
}

static char *kept_name(const DisplayListener *listener)
{
    return g_strconcat(KEPT_NAME, listener->instance->vm->name, NULL);
}

/* Takes `fd`. */
static void listens(DisplayListener *listener, int fd)
{
    listener->fd = fd;
    g_free(listener->address);
    listener->address = socket_address(fd);
    g_free(listener->instance->listen_record);
    listener->instance->listen_record = g_strdup(listener->address);
}

static void keep(const DisplayListener *listener)
{
    g_autofree char *name = kept_name(listener), *state = g_strdup_printf("FDSTORE=1\nFDNAME=%s", name);
    (void) sd_pid_notify_with_fds(0, false, state, &listener->fd, 1);
}

static DisplayListener *listener_new(Instance *instance, const Settings *settings)
{
    DisplayListener *listener = g_new0(DisplayListener, 1);
    listener->instance = instance;
    listener->fd = -1;
    listener->protocol = g_str_equal(settings_get_string(settings, "Display", "Type"), "vnc") ? PROTOCOL_VNC : PROTOCOL_SPICE;
    return listener;
}

static void describe(Error **ret_error, const char *where, int r)
{
    g_autofree char *thing = g_strdup_printf("Listen=%s", where);
    if (r == -EADDRINUSE)
        error_set(ret_error, ERROR_IN_USE, thing, "Name another port, or none, and the first free one from 5900 to 5999 is taken", "something else listens there");
    else if (r == -EADDRNOTAVAIL)
        error_set(ret_error, ERROR_FAILED, thing, "Name one that 'ip address' shows, or *", "this host has no such address");
    else
        error_set_errno(ret_error, r, thing, "it cannot be listened there");
}

static void on_listening(int fd, int r, void *userdata)
{
    DisplayListener *listener = userdata;
    DisplayListenDone done = listener->done;
    g_autoptr(Error) error = NULL;
    listener->done = NULL;
    if (r < 0)
        describe(&error, listener->address, r);
    else {
        listens(listener, fd);
        keep(listener);
    }
    done(error, listener->userdata);
}

bool display_listen_open_tls(const Manager *manager, int *ret_fds, Error **ret_error)
{
    for (size_t i = 0; i < MACHINE_TLS_MAX; i++)
        if (!open_tls(manager, i, &ret_fds[i], ret_error))
            return false;
    return true;
}

bool display_listen_open(Instance *instance, const Settings *settings, int *tls_fds, DisplayListenDone done, void *userdata, Error **ret_error)
{
    Manager *manager = instance->vm->manager;
    SpawnListen where;
    if (!display_listen_check(settings, ret_error))
        return false;
    if (!settings_get_string(settings, "Display", "Listen")) {
        done(NULL, userdata);
        return true;
    }
    if (!check_type(settings, ret_error))
        return false;
    if (!display_listen_open_tls(manager, tls_fds, ret_error))
        return false;
    const char *text = settings_get_string(settings, "Display", "Listen");
    DisplayListener *listener = instance->listener = listener_new(instance, settings);
    listener->address = g_strdup(text);
    listener->done = done;
    listener->userdata = userdata;
    (void) parse(text, &where);
    spawner_listen(manager->spawner, &where, on_listening, listener);
    return true;
}

const char *display_listener_address(const DisplayListener *listener)
{
    return listener && listener->fd >= 0 ? listener->address : NULL;
}

const char *display_listener_type(const DisplayListener *listener)
{
    return listener->protocol == PROTOCOL_VNC ? "vnc" : "spice";
}

size_t display_listener_protocol(const DisplayListener *listener)
{
    return listener->protocol;
}

/* ---- who comes ---- */

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    const DisplayListener *listener = userdata;
    int client = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (client >= 0)
        displays_take_remote(listener->instance, client);
    return 0;
}

void display_listener_go(Instance *instance)
{
    DisplayListener *listener = instance->listener;
    if (!listener || listener->fd < 0 || listener->source)
        return;
    if (sd_event_add_io(instance->vm->manager->event, &listener->source, listener->fd, EPOLLIN, on_connection, listener) >= 0)
        (void) sd_event_source_set_ratelimit(listener->source, ACCEPT_INTERVAL_USEC, ACCEPT_BURST);
    vm_changed(instance->vm, "DisplayAddress", NULL);
}

/* ---- after a vmd that was killed ---- */

static DisplayListener *recover(Instance *instance)
{
    g_autoptr(Settings) settings = vm_load_current_settings(instance->vm, NULL);
    return settings ? listener_new(instance, settings) : NULL;
}

bool display_listener_recover(Manager *manager, int fd, const char *name)
{
    const VM *vm = g_str_has_prefix(name, KEPT_NAME) ? manager_find_vm(manager, name + strlen(KEPT_NAME)) : NULL;
    if (!vm || !vm->instance || vm->instance->listener || !(vm->instance->listener = recover(vm->instance)))
        return false;
    listens(vm->instance->listener, fd);
    if (vm->instance->monitor_ready)
        display_listener_go(vm->instance);
    return true;
}

static void on_listening_again(int fd, int r, void *userdata)
{
    DisplayListener *listener = userdata;
    Instance *instance = listener->instance;
    g_autoptr(Error) error = NULL;
    if (r < 0) {
        describe(&error, listener->address, r);
        g_autofree char *message = error_message(error);
        g_warning("%s: remote viewers cannot come any more: %s", instance->vm->name, message);
        return;
    }
    listens(listener, fd);
    keep(listener);
    if (instance->monitor_ready)
        display_listener_go(instance);
}

void display_listeners_recover(Manager *manager)
{
    GHashTableIter iter;
    gpointer value;
    SpawnListen where;
    g_hash_table_iter_init(&iter, manager->vms);
    while (g_hash_table_iter_next(&iter, NULL, &value)) {
        Instance *instance = ((VM *) value)->instance;
        if (!instance || instance->listener || !instance->listen_record || !parse(instance->listen_record, &where) || !(instance->listener = recover(instance)))
            continue;
        instance->listener->address = g_strdup(instance->listen_record);
        spawner_listen(manager->spawner, &where, on_listening_again, instance->listener);
    }
}

void display_listener_free(DisplayListener *listener, bool end)
{
    if (!listener)
        return;
    g_autofree char *name = kept_name(listener);
    spawner_forget(listener->instance->vm->manager->spawner, listener);
    sd_event_source_disable_unref(listener->source);
    if (end && listener->fd >= 0)
        (void) sd_notifyf(false, "FDSTOREREMOVE=1\nFDNAME=%s", name);
    close_fd(&listener->fd);
    g_free(listener->address);
    g_free(listener);
}
