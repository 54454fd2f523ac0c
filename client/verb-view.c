/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* view: the screen in a window. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "child.h"
#include "connect.h"
#include "name.h"
#include "polkit-agent.h"
#include "proxy.h"
#include "report.h"
#include "ssh.h"
#include "verb.h"
#include "viewer.h"

typedef struct View {
    Client *client;
    const char *vm;
    sd_event *event;
    char *dir, *path;  /* where the socket is; dir NULL: --listen */
    char *type;        /* "spice" */
    Proxy *proxy;      /* of a VM on this host */
    pid_t tunnel;      /* ssh, of one on another; 0: none */
    int tunnel_in, tunnel_out;
    pid_t viewer;
    int status;        /* exit code */
} View;

static void end(View *view, int status)
{
    view->status = status;
    (void) sd_event_exit(view->event, 0);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *info, void *userdata)
{
    end(userdata, EXIT_INTERRUPTED);
    return 0;
}

static int on_viewer_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    View *view = userdata;
    view->viewer = 0;
    end(view, info->si_code == CLD_EXITED && info->si_status == 0 ? EXIT_DONE : EXIT_FAILED);
    return 0;
}

static int on_tunnel_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
    View *view = userdata;
    view->tunnel = 0;
    end(view, info->si_code == CLD_EXITED && info->si_status != 0 ? info->si_status : EXIT_FAILED);
    return 0;
}

static int on_stdin(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    char buffer[256];
    if (read(fd, buffer, sizeof buffer) <= 0)
        end(userdata, EXIT_DONE);
    return 0;
}

static int prepare(View *view)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGHUP);
    sigaddset(&signals, SIGCHLD);
    (void) sigprocmask(SIG_BLOCK, &signals, NULL);
    int r = sd_event_new(&view->event);
    for (int number = 1; r >= 0 && number < SIGCHLD; number++)
        if (sigismember(&signals, number))
            r = sd_event_add_signal(view->event, NULL, number, on_signal, view);
    if (r >= 0 && view->client->until_eof)
        r = sd_event_add_io(view->event, NULL, STDIN_FILENO, EPOLLIN, on_stdin, view);
    return r < 0 ? report_errno(r, "vmctl: cannot wait") : EXIT_DONE;
}

static int make_place(View *view)
{
    if (view->client->listen) {
        view->path = g_canonicalize_filename(view->client->listen, NULL);
        return EXIT_DONE;
    }
    const char *run = g_get_user_runtime_dir();
    view->dir = g_build_filename(g_file_test(run, G_FILE_TEST_IS_DIR) ? run : g_get_tmp_dir(), "vmctl-view-XXXXXX", NULL);
    if (!g_mkdtemp(view->dir)) {
        int r = report_errno(errno, "%s: a folder cannot be made there", view->dir);
        g_clear_pointer(&view->dir, g_free);
        return r;
    }
    view->path = g_build_filename(view->dir, "display", NULL);
    return EXIT_DONE;
}

static int start_viewer(View *view, const Viewer *viewer)
{
    g_auto(GStrv) command = viewer_command(viewer, view->type, view->path, view->vm, view->client->full_screen);
    pid_t pid = child_start((const char *const *) command, -1, -1);
    if (pid < 0)
        return report_errno(pid, "%s: it cannot be started", command[0]);
    view->viewer = pid;
    sd_event_source *source = NULL;
    int r = sd_event_add_child(view->event, &source, pid, WEXITED, on_viewer_end, view);
    /* What it said last goes to the display first. */
    if (r >= 0)
        r = sd_event_source_set_priority(source, SD_EVENT_PRIORITY_IDLE);
    if (r >= 0)
        r = sd_event_source_set_floating(source, true);
    sd_event_source_unref(source);
    return r < 0 ? report_errno(r, "vmctl: cannot wait for %s", command[0]) : EXIT_DONE;
}

/* ---- on this host ---- */

/* A first connection, before there is a window: who may not, or has to give a password, sees that here. */
static int open_first(View *view, int *ret)
{
    static const char *const types[] = {"spice", "vnc", NULL};
    for (const char *const *type = types; *type; type++) {
        bus_error_cleanup sd_bus_error error = SD_BUS_ERROR_NULL;
        g_autoptr(sd_bus_message) m = NULL, reply = NULL;
        int fd;
        if (view->client->display_type && strcmp(view->client->display_type, *type) != 0)
            continue;
        int r = client_new_call(view->client, view->vm, VM_INTERFACE, "OpenDisplay", &m);
        if (r != EXIT_DONE)
            return r;
        r = sd_bus_message_append(m, "s", *type);
        if (r >= 0)
            r = sd_bus_call(view->client->bus, m, CALL_TIMEOUT, &error, &reply);
        /* One that has a display, but of another kind, says so again when asked for the last. */
        bool other = sd_bus_error_has_name(&error, "org.vmd1.Error.Unsupported") && type[1] && !view->client->display_type;
        if (other)
            continue;
        if (r >= 0)
            r = sd_bus_message_read(reply, "h", &fd);
        if (r >= 0 && (*ret = fcntl(fd, F_DUPFD_CLOEXEC, 3)) < 0)
            r = -errno;
        if (r < 0)
            return report_bus(view->client, view->vm, &error, r);
        view->type = g_strdup(*type);
        return EXIT_DONE;
    }
    return report_usage("--type=%s: there are spice and vnc", view->client->display_type);
}

static int view_here(View *view)
{
    const Viewer *viewer = NULL;
    fd_cleanup int first = -1;
    int r = open_first(view, &first);
    if (r != EXIT_DONE)
        return r;
    if (!view->client->listen && !(viewer = viewer_find(view->client->viewer, view->type)))
        return EXIT_FAILED;
    polkit_agent_stop();
    r = make_place(view);
    if (r != EXIT_DONE)
        return r;
    /* QEMU's SPICE waits for nobody, but one that nobody ever takes would show as a viewer. */
    if (!viewer)
        close_fd(&first);
    view->proxy = proxy_new(view->client, view->event, view->vm, view->type, view->path, steal_fd(&first));
    if (!view->proxy)
        return EXIT_FAILED;
    r = sd_bus_attach_event(view->client->bus, view->event, SD_EVENT_PRIORITY_NORMAL);
    if (r < 0)
        return report_errno(r, "vmctl: cannot wait for the bus");
    if (viewer)
        return start_viewer(view, viewer);
    g_autofree char *uri = viewer_uri(view->type, view->path);
    (void) printf("%s\n", uri);
    (void) fflush(stdout);
    return EXIT_DONE;
}

/* ---- on another host ---- */

/* ssh carries the socket; what listens behind it is vmctl there, which ends with our end of its stdin. */
static int start_tunnel(View *view)
{
    g_autofree char *there = g_strdup_printf("/tmp/vmctl-view-%08x%08x", g_random_int(), g_random_int());
    g_autofree char *forward = g_strdup_printf("%s:%s", view->path, there), *listen = g_strdup_printf("--listen=%s", there);
    g_autofree char *type = view->client->display_type ? g_strdup_printf("--type=%s", view->client->display_type) : NULL;
    const char *const options[] = {"-xT", "-o", "ExitOnForwardFailure=yes", "-o", "StreamLocalBindMask=0177", "-L", forward, NULL};
    const char *const words[] = {"vmctl", "view", "--until-eof", listen, view->vm, type};
    g_autoptr(GPtrArray) argv = ssh_command(view->client, options, words, G_N_ELEMENTS(words));
    int in[2], out[2];
    if (!argv)
        return EXIT_USAGE;
    if (pipe2(in, O_CLOEXEC) < 0)
        return report_errno(errno, "vmctl: a pipe cannot be made");
    if (pipe2(out, O_CLOEXEC) < 0) {
        (void) close(in[0]);
        (void) close(in[1]);
        return report_errno(errno, "vmctl: a pipe cannot be made");
    }
    pid_t pid = child_start((const char *const *) argv->pdata, in[0], out[1]);
    (void) close(in[0]);
    (void) close(out[1]);
    view->tunnel_in = in[1];
    view->tunnel_out = out[0];
    if (pid < 0)
        return report_errno(pid, "ssh: it cannot be started");
    view->tunnel = pid;
    int r = sd_event_add_child(view->event, NULL, pid, WEXITED, on_tunnel_end, view);
    return r < 0 ? report_errno(r, "vmctl: cannot wait for ssh") : EXIT_DONE;
}

/* The line that vmctl prints there when it listens. */
static int on_tunnel_ready(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    View *view = userdata;
    char line[512];
    ssize_t n = read(fd, line, sizeof line - 1);
    (void) sd_event_source_set_enabled(source, SD_EVENT_OFF);
    if (n <= 0)
        return 0; /* on_tunnel_end() is next */
    line[n] = '\0';
    view->type = g_strdup(g_str_has_prefix(line, "vnc+") ? "vnc" : "spice");
    const Viewer *viewer = viewer_find(view->client->viewer, view->type);
    int r = viewer ? start_viewer(view, viewer) : EXIT_FAILED;
    if (r != EXIT_DONE)
        end(view, r);
    return 0;
}

static int view_there(View *view)
{
    if (view->client->machine)
        return report_usage("view: a display cannot be shown out of a container; run vmctl there with --listen=PATH");
    if (view->client->listen)
        return report_usage("view: --listen= is for VMs of this host");
    int r = make_place(view);
    if (r == EXIT_DONE)
        r = start_tunnel(view);
    if (r != EXIT_DONE)
        return r;
    r = sd_event_add_io(view->event, NULL, view->tunnel_out, EPOLLIN, on_tunnel_ready, view);
    return r < 0 ? report_errno(r, "vmctl: cannot wait for ssh") : EXIT_DONE;
}

static void clean_up(View *view)
{
    if (view->viewer > 0)
        (void) kill(view->viewer, SIGTERM);
    if (view->tunnel > 0)
        (void) kill(view->tunnel, SIGTERM);
    proxy_free(view->proxy);
    if (view->client->bus)
        (void) sd_bus_detach_event(view->client->bus);
    sd_event_unref(view->event);
    close_fd(&view->tunnel_in);
    close_fd(&view->tunnel_out);
    if (view->dir) {
        (void) unlink(view->path);
        (void) rmdir(view->dir);
    }
    g_free(view->dir);
    g_free(view->path);
    g_free(view->type);
}

int verb_view(Client *client)
{
    View view = {.client = client, .vm = client->arguments[0], .tunnel_in = -1, .tunnel_out = -1};
    g_autoptr(Error) error = NULL;
    if (!name_check(view.vm, &error))
        return report_error(error);
    int r = prepare(&view);
    if (r == EXIT_DONE)
        r = client_is_local(client) ? view_here(&view) : view_there(&view);
    if (r == EXIT_DONE) {
        int loop = sd_event_loop(view.event);
        r = loop < 0 ? report_errno(loop, "vmctl: cannot wait") : view.status;
    }
    clean_up(&view);
    return r;
}
