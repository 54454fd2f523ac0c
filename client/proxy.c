/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "proxy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "connect.h"
#include "relay.h"
#include "report.h"

/* A connection to the socket, and one to the display. */
typedef struct Link {
    Proxy *proxy;
    int fd;            /* of the first, until there is the second */
    sd_bus_slot *call; /* OpenDisplay(), until then */
    Relay *relay;      /* from then on */
} Link;

struct Proxy {
    Client *client;
    sd_event *event;
    char *vm, *type, *path;
    int listen, first;
    sd_event_source *source;
    GPtrArray *links; /* Link */
};

static void link_free(void *userdata)
{
    Link *link = userdata;
    sd_bus_slot_unref(link->call);
    relay_free(link->relay);
    close_fd(&link->fd);
    g_free(link);
}

void proxy_free(Proxy *proxy)
{
    if (!proxy)
        return;
    g_ptr_array_unref(proxy->links);
    sd_event_source_disable_unref(proxy->source);
    if (proxy->listen >= 0)
        (void) unlink(proxy->path);
    close_fd(&proxy->listen);
    close_fd(&proxy->first);
    g_free(proxy->vm);
    g_free(proxy->type);
    g_free(proxy->path);
    g_free(proxy);
}

/* ---- connections ---- */

static void on_end(RelaySide side, void *userdata)
{
    Link *link = userdata;
    g_ptr_array_remove_fast(link->proxy->links, link);
}

/* Takes the descriptor. */
static void connect_link(Link *link, int fd)
{
    int r = relay_new(link->proxy->event, (const RelayEnd[]){relay_socket(steal_fd(&link->fd)), relay_socket(fd)}, on_end, link, &link->relay);
    if (r >= 0)
        return;
    (void) report_errno(r, "A connection to the display of \"%s\"", link->proxy->vm);
    g_ptr_array_remove_fast(link->proxy->links, link);
}

static int on_opened(sd_bus_message *m, void *userdata, sd_bus_error *unused)
{
    Link *link = userdata;
    Proxy *proxy = link->proxy;
    int fd = -1, r = 0;
    link->call = sd_bus_slot_unref(link->call);
    if (sd_bus_message_is_method_error(m, NULL))
        (void) report_bus(proxy->client, proxy->vm, sd_bus_message_get_error(m), -sd_bus_message_get_errno(m));
    else
        r = sd_bus_message_read(m, "h", &fd);
    if (r < 0)
        (void) report_errno(r, "vmd: cannot read its answer");
    fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3) : -1;
    if (fd >= 0)
        connect_link(link, fd);
    else
        g_ptr_array_remove_fast(proxy->links, link);
    return 0;
}

static int call(Link *link)
{
    Proxy *proxy = link->proxy;
    g_autoptr(sd_bus_message) m = NULL;
    if (client_new_call(proxy->client, proxy->vm, VM_INTERFACE, "OpenDisplay", &m) != EXIT_DONE)
        return -ENOMEM;
    int r = sd_bus_message_append(m, "s", proxy->type);
    return r < 0 ? r : sd_bus_call_async(proxy->client->bus, &link->call, m, on_opened, link, CALL_TIMEOUT);
}

static int on_connection(sd_event_source *source, int listen, uint32_t events, void *userdata)
{
    Proxy *proxy = userdata;
    int fd = accept4(listen, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return 0;
    Link *link = g_new0(Link, 1);
    link->proxy = proxy;
    link->fd = fd;
    g_ptr_array_add(proxy->links, link);
    if (proxy->first >= 0) {
        connect_link(link, steal_fd(&proxy->first));
        return 0;
    }
    int r = call(link);
    if (r >= 0)
        return 0;
    (void) report_errno(r, "OpenDisplay: cannot make the call");
    g_ptr_array_remove_fast(proxy->links, link);
    return 0;
}

static int listen_on(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path)
        return -ENAMETOOLONG;
    (void) g_strlcpy(address.sun_path, path, sizeof address.sun_path);
    fd_cleanup int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    mode_t mask = umask(0177);
    int r = bind(fd, (struct sockaddr *) &address, sizeof address) < 0 ? -errno : 0;
    (void) umask(mask);
    if (r < 0 || listen(fd, 16) < 0)
        return r < 0 ? r : -errno;
    return steal_fd(&fd);
}

Proxy *proxy_new(Client *client, sd_event *event, const char *vm, const char *type, const char *path, int first)
{
    g_autoptr(Proxy) proxy = g_new0(Proxy, 1);
    proxy->client = client;
    proxy->event = event;
    proxy->vm = g_strdup(vm);
    proxy->type = g_strdup(type);
    proxy->path = g_strdup(path);
    proxy->first = first;
    proxy->links = g_ptr_array_new_with_free_func(link_free);
    int r = proxy->listen = listen_on(path);
    if (r >= 0)
        r = sd_event_add_io(event, &proxy->source, proxy->listen, EPOLLIN, on_connection, proxy);
    if (r >= 0)
        return g_steal_pointer(&proxy);
    (void) report_errno(r, "%s: cannot listen there", path);
    return NULL;
}
