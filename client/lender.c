/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "lender.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "cleanup.h"
#include "report.h"

#define PROGRAM "usbredirect"
#define STEP_USEC (20 * 1000)
#define LOOK_USEC (1000 * 1000)

struct Lender {
    int listen;
    pid_t pid; /* 0: it has ended */
    sd_event_source *connection, *end, *look;
    char *port;
    char *node; /* of the device: it goes when that is pulled out */
    void (*connected)(int fd, void *userdata);
    void (*ended)(void *userdata);
    void *userdata;
};

bool lender_check(const UsbDevice *device)
{
    g_autofree char *program = g_find_program_in_path(PROGRAM);
    if (!program) {
        (void) report(PROGRAM ": it is not installed. Install the package usbredirect (Debian) or usbredir-tools (Fedora, EL)");
        return false;
    }
    fd_cleanup int fd = usb_device_open("", device);
    if (fd == -EACCES || fd == -EPERM)
        (void) report("USB device %s: you may not open /dev/bus/usb/%03u/%03u. Run vmctl as root, or have a udev rule give it to you (TAG+=\"uaccess\")", device->port,
            device->bus, device->number);
    else if (fd < 0)
        (void) report_errno(fd, "USB device %s: it cannot be opened", device->port);
    return fd >= 0;
}

/* ---- whose connection it is ---- */

static in_port_t port_of(int fd, int (*name)(int, struct sockaddr *, socklen_t *))
{
    struct sockaddr_in address = {0};
    socklen_t length = sizeof address;
    return name(fd, (struct sockaddr *) &address, &length) < 0 || address.sin_family != AF_INET ? 0 : ntohs(address.sin_port);
}

/* Of the socket at the other end of a connection on this machine; 0: it is gone. proc(5) has addresses as the kernel's memory has them. */
static unsigned long inode_of_peer(int fd)
{
    g_autofree char *text = NULL;
    unsigned theirs = port_of(fd, getpeername), ours = port_of(fd, getsockname), loopback = htonl(INADDR_LOOPBACK);
    if (theirs == 0 || ours == 0 || !g_file_get_contents("/proc/self/net/tcp", &text, NULL, NULL))
        return 0;
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (size_t i = 0; lines[i]; i++) {
        unsigned from, from_port, to, to_port;
        unsigned long inode;
        if (sscanf(lines[i], " %*u: %x:%x %x:%x %*x %*x:%*x %*x:%*x %*x %*u %*u %lu", &from, &from_port, &to, &to_port, &inode) == 5 &&
            from == loopback && from_port == theirs && to == loopback && to_port == ours)
            return inode;
    }
    return 0;
}

/* `what`: as the links in its folder of descriptors have it. */
static bool has_open(pid_t pid, const char *what)
{
    g_autofree char *path = g_strdup_printf("/proc/%d/fd", (int) pid);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    const char *name;
    while (dir && (name = g_dir_read_name(dir))) {
        g_autofree char *link = g_build_filename(path, name, NULL), *target = g_file_read_link(link, NULL);
        if (g_strcmp0(target, what) == 0)
            return true;
    }
    return false;
}

static int on_connection(sd_event_source *source, int listen, uint32_t events, void *userdata)
{
    Lender *lender = userdata;
    fd_cleanup int fd = accept4(listen, NULL, NULL, SOCK_CLOEXEC);
    unsigned long inode = fd < 0 ? 0 : inode_of_peer(fd);
    g_autofree char *socket = g_strdup_printf("socket:[%lu]", inode);
    if (inode == 0 || lender->pid == 0 || !has_open(lender->pid, socket))
        return 0;
    if (!has_open(lender->pid, lender->node)) {
        (void) report("USB device %s: this usbredirect takes the first one of its make, which is another. Unplug that one, or use a newer usbredirect", lender->port);
        lender->ended(lender->userdata);
        return 0;
    }
    lender->connection = sd_event_source_disable_unref(lender->connection);
    close_fd(&lender->listen);
    lender->connected(steal_fd(&fd), lender->userdata);
    return 0;
}

/* ---- the program ---- */

static int on_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    Lender *lender = userdata;
    lender->pid = 0;
    lender->ended(lender->userdata);
    return 0;
}

static int on_look(sd_event_source *source, uint64_t usec, void *userdata)
{
    Lender *lender = userdata;
    if (access(lender->node, F_OK) < 0) {
        lender->ended(lender->userdata);
        return 0;
    }
    (void) sd_event_source_set_time_relative(source, LOOK_USEC);
    (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
    return 0;
}

static int listen_on_loopback(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    fd_cleanup int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *) &address, sizeof address) < 0 || listen(fd, 16) < 0)
        return -errno;
    return steal_fd(&fd);
}

static int start(Lender *lender, sd_event *event, const UsbDevice *device)
{
    int r = lender->listen = listen_on_loopback();
    if (r < 0)
        return report_errno(r, "127.0.0.1: cannot listen there");
    g_autofree char *id = g_strdup_printf("%u-%u", device->bus, device->number);
    g_autofree char *address = g_strdup_printf("127.0.0.1:%u", port_of(lender->listen, getsockname));
    const char *const argv[] = {PROGRAM, "--device", id, "--to", address, NULL};
    /* GLib's sockets might go to a proxy that the user's desktop names. */
    (void) setenv("GIO_USE_PROXY_RESOLVER", "dummy", true);
    pid_t pid = child_start(argv, -1, -1);
    if (pid < 0)
        return report_errno(pid, PROGRAM ": it cannot be started");
    lender->pid = pid;
    r = sd_event_add_child(event, &lender->end, pid, WEXITED, on_end, lender);
    if (r >= 0)
        r = sd_event_add_io(event, &lender->connection, lender->listen, EPOLLIN, on_connection, lender);
    if (r >= 0)
        r = sd_event_add_time_relative(event, &lender->look, CLOCK_MONOTONIC, LOOK_USEC, 0, on_look, lender);
    return r < 0 ? report_errno(r, "vmctl: cannot wait for " PROGRAM) : EXIT_DONE;
}

Lender *lender_new(sd_event *event, const UsbDevice *device, void (*connected)(int fd, void *userdata), void (*ended)(void *userdata), void *userdata)
{
    Lender *lender = g_new0(Lender, 1);
    lender->listen = -1;
    lender->port = g_strdup(device->port);
    lender->node = g_strdup_printf("/dev/bus/usb/%03u/%03u", device->bus, device->number);
    lender->connected = connected;
    lender->ended = ended;
    lender->userdata = userdata;
    if (start(lender, event, device) == EXIT_DONE)
        return lender;
    lender_free(lender);
    return NULL;
}

/* It is given time to bring the device back to the host's drivers, asked to end, and made to. */
static void wait_for_end(pid_t pid)
{
    for (unsigned i = 0; waitpid(pid, NULL, WNOHANG) == 0; i++) {
        if (i == 100)
            (void) kill(pid, SIGTERM);
        if (i == 200)
            (void) kill(pid, SIGKILL);
        (void) usleep(STEP_USEC);
    }
}

void lender_free(Lender *lender)
{
    if (!lender)
        return;
    sd_event_source_disable_unref(lender->connection);
    sd_event_source_disable_unref(lender->end);
    sd_event_source_disable_unref(lender->look);
    close_fd(&lender->listen);
    if (lender->pid > 0)
        wait_for_end(lender->pid);
    g_free(lender->port);
    g_free(lender->node);
    g_free(lender);
}
