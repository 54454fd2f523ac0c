/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usb redirect: a USB device of this machine is lent to a VM, here or on another host.
 *
 * usbredirect (lender.h) has the device, and what it says is carried to a socket of OpenUSBRedirection(). On another host that is vmctl's
 * there, by ssh and its stdin and stdout; QEMU speaks first, so what comes from there says that the VM has taken it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "child.h"
#include "connect.h"
#include "lender.h"
#include "polkit-agent.h"
#include "relay.h"
#include "report.h"
#include "ssh.h"
#include "usb-wanted.h"
#include "verb.h"

#define NAME_MAX_BYTES 128

typedef struct Lending {
    Client *client;
    const char *vm;
    UsbDevice *device; /* NULL: it is lent by vmctl on another machine */
    char *name;        /* what it is called there */
    sd_event *event;
    sd_event_source *taken;
    int socket;        /* the VM's side, until the relay has it */
    pid_t tunnel;
    Lender *lender;
    Relay *relay;
    bool lent;         /* the relay has begun */
    int status;
} Lending;

static void end(Lending *lending, int status)
{
    lending->status = status;
    (void) sd_event_exit(lending->event, 0);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    end(userdata, EXIT_INTERRUPTED);
    return 0;
}

static int prepare(Lending *lending)
{
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGCHLD);
    for (size_t i = 0; i < G_N_ELEMENTS(numbers); i++)
        sigaddset(&signals, numbers[i]);
    (void) sigprocmask(SIG_BLOCK, &signals, NULL);
    int r = sd_event_new(&lending->event);
    for (size_t i = 0; r >= 0 && i < G_N_ELEMENTS(numbers); i++) {
        sd_event_source *source = NULL;
        r = sd_event_add_signal(lending->event, &source, numbers[i], on_signal, lending);
        /* Ctrl-C ends usbredirect and ssh too: it is not their end that is to be told. */
        if (r >= 0)
            r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IMPORTANT);
        if (r >= 0)
            r = sd_event_source_set_floating(source, true);
        sd_event_source_unref(source);
    }
    return r < 0 ? report_errno(r, "vmctl: cannot wait") : EXIT_DONE;
}

/* ---- the device ---- */

/* "0951:1666 Maker Stick", of what can be shown. */
static char *make_name(const char *text)
{
    GString *name = g_string_new(NULL);
    for (const char *p = text; *p && name->len + 6 <= NAME_MAX_BYTES; p = g_utf8_next_char(p))
        g_string_append_unichar(name, g_unichar_isprint(g_utf8_get_char(p)) ? g_utf8_get_char(p) : '?');
    return g_strchomp(g_string_free(name, FALSE));
}

static int find_device(Lending *lending, const char *text)
{
    const UsbWanted wanted = usb_wanted_read(text);
    g_autoptr(Error) error = NULL;
    g_autoptr(GPtrArray) devices = usb_devices("");
    UsbWish wish;
    if (!usb_wish_read(text, wanted.port, *wanted.device ? wanted.device : NULL, wanted.serial, &wish, &error))
        return report_error(error);
    for (guint i = 0; i < devices->len && !lending->device; i++)
        if (usb_wish_meets(&wish, devices->pdata[i]))
            lending->device = usb_device_copy(devices->pdata[i]);
    if (!lending->device)
        return report("USB device \"%s\": it is not plugged into this machine. See lsusb(8), or 'vmctl usb list' on it", text);
    const UsbDevice *device = lending->device;
    g_autofree char *all = g_strdup_printf("%04x:%04x %s %s", device->vendor, device->product, device->maker, device->model);
    lending->name = make_name(all);
    return lender_check(device) ? EXIT_DONE : EXIT_FAILED;
}

/* ---- bytes ---- */

static int report_pulled_out(const Lending *lending)
{
    return report("USB device %s: it has been pulled out, or usbredirect has ended; \"%s\" has it no more", lending->device->port, lending->vm);
}

static int report_taken_away(const Lending *lending)
{
    return report("VM \"%s\": it has the USB device %s no more: it has ended or was saved, or somebody has taken it away", lending->vm, lending->device->port);
}

static void on_relay_end(RelaySide side, void *userdata)
{
    Lending *lending = userdata;
    g_clear_pointer(&lending->relay, relay_free);
    if (!lending->device)
        end(lending, EXIT_DONE);
    else if (side == RELAY_LEFT)
        end(lending, report_pulled_out(lending));
    else if (lending->tunnel == 0) /* else its own end says more */
        end(lending, report_taken_away(lending));
}

static void on_connected(int fd, void *userdata)
{
    Lending *lending = userdata;
    const RelayEnd ends[] = {relay_socket(fd), relay_socket(steal_fd(&lending->socket))};
    int r = relay_new(lending->event, ends, on_relay_end, lending, &lending->relay);
    if (r < 0)
        return end(lending, report_errno(r, "USB device %s: it cannot be carried to \"%s\"", lending->device->port, lending->vm));
    lending->lent = true;
    note(lending->client, "Lent to \"%s\": %s. Ctrl-C gives it back.", lending->vm, lending->name);
}

static void on_lender_end(void *userdata)
{
    Lending *lending = userdata;
    if (lending->relay)
        end(lending, report_pulled_out(lending));
    else if (!lending->lent)
        end(lending, report("USB device %s: usbredirect cannot lend it; it has said why", lending->device->port));
}

static int lend(Lending *lending)
{
    lending->lender = lender_new(lending->event, lending->device, on_connected, on_lender_end, lending);
    return lending->lender ? EXIT_DONE : EXIT_FAILED;
}

/* ---- a VM of this host ---- */

static int open_redirection(Lending *lending)
{
    g_autoptr(sd_bus_message) m = NULL, reply = NULL;
    int fd, r = client_new_call(lending->client, lending->vm, VM_INTERFACE, "OpenUSBRedirection", &m);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_append(m, "a{sv}", 1, "name", "s", lending->name);
    if (r < 0)
        return report_errno(r, "OpenUSBRedirection: cannot make the call");
    r = client_send(lending->client, lending->vm, m, &reply);
    if (r != EXIT_DONE)
        return r;
    r = sd_bus_message_read(reply, "h", &fd);
    if (r >= 0 && (lending->socket = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0)
        r = -errno;
    polkit_agent_stop();
    return r < 0 ? report_errno(r, "vmd: its answer has no socket") : EXIT_DONE;
}

/* For vmctl on another machine, which has the device. */
static int pass(Lending *lending)
{
    const RelayEnd ends[] = {{STDIN_FILENO, STDOUT_FILENO}, relay_socket(steal_fd(&lending->socket))};
    int r = relay_new(lending->event, ends, on_relay_end, lending, &lending->relay);
    return r < 0 ? report_errno(r, "stdin and stdout: they cannot be used") : EXIT_DONE;
}

static int lend_here(Lending *lending)
{
    int r = open_redirection(lending);
    if (r != EXIT_DONE)
        return r;
    return lending->device ? lend(lending) : pass(lending);
}

/* ---- a VM of another host ---- */

static int on_tunnel_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    Lending *lending = userdata;
    bool failed = info->si_code != CLD_EXITED || info->si_status != 0;
    lending->tunnel = 0;
    /* Where it failed it, or vmctl there, has said why. */
    if (failed)
        end(lending, info->si_code == CLD_EXITED ? info->si_status : EXIT_FAILED);
    else
        end(lending, report_taken_away(lending));
    return 0;
}

static int on_taken(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Lending *lending = userdata;
    char first;
    lending->taken = sd_event_source_disable_unref(lending->taken);
    if (recv(fd, &first, 1, MSG_PEEK) <= 0)
        return 0; /* on_tunnel_end() is next */
    int r = lend(lending);
    if (r != EXIT_DONE)
        end(lending, r);
    return 0;
}

static int lend_there(Lending *lending)
{
    const char *const options[] = {"-xT", NULL};
    const char *const words[] = {"vmctl", lending->client->user ? "--user" : NULL, "usb", "redirect", "--stdio", "--", lending->vm, lending->name};
    int fds[2];
    if (lending->client->machine)
        return report_usage("usb redirect: a USB device cannot be lent into a container; run vmctl there");
    g_autoptr(GPtrArray) argv = ssh_command(lending->client, options, words, G_N_ELEMENTS(words));
    if (!argv)
        return EXIT_USAGE;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
        return report_errno(errno, "vmctl: a socket cannot be made");
    lending->socket = fds[0];
    pid_t pid = child_start((const char *const *) argv->pdata, fds[1], fds[1]);
    (void) close(fds[1]);
    if (pid < 0)
        return report_errno(pid, "ssh: it cannot be started");
    lending->tunnel = pid;
    int r = sd_event_add_child(lending->event, NULL, pid, WEXITED, on_tunnel_end, lending);
    if (r >= 0)
        r = sd_event_add_io(lending->event, &lending->taken, lending->socket, EPOLLIN, on_taken, lending);
    return r < 0 ? report_errno(r, "vmctl: cannot wait for ssh") : EXIT_DONE;
}

/* ---- the verb ---- */

/* The connections first: the device is given back by that. */
static void clean_up(Lending *lending)
{
    relay_free(lending->relay);
    close_fd(&lending->socket);
    lender_free(lending->lender);
    if (lending->tunnel > 0)
        (void) kill(lending->tunnel, SIGTERM);
    sd_event_source_disable_unref(lending->taken);
    sd_event_unref(lending->event);
    usb_device_free(lending->device);
    g_free(lending->name);
}

int verb_usb_redirect(Client *client)
{
    Lending lending = {.client = client, .vm = client->arguments[0], .socket = -1};
    int r;
    if (client->stdio)
        lending.name = make_name(client->arguments[1]);
    r = client->stdio ? EXIT_DONE : find_device(&lending, client->arguments[1]);
    if (r == EXIT_DONE)
        r = prepare(&lending);
    if (r == EXIT_DONE)
        r = client_is_local(client) ? lend_here(&lending) : lend_there(&lending);
    if (r == EXIT_DONE) {
        int k = sd_event_loop(lending.event);
        r = k < 0 ? report_errno(k, "vmctl: cannot wait") : lending.status;
    }
    clean_up(&lending);
    return r;
}
