/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "passt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "cleanup.h"
#include "manager.h"
#include "service.h"

#define SOCKET "socket"

/* passt has no word for when it listens: its socket is tried until it is there. */
#define RETRY_USEC (2 * 1000)
#define RETRIES 1000U

struct Passt {
    Manager *manager;
    char *unit, *dir; /* dir: of its socket */
    ScopeJob *job;
    sd_event_source *retry;
    unsigned retries;
    PasstDone done;
    void *userdata;
};

static void passt_free(Passt *passt)
{
    sd_event_source_disable_unref(passt->retry);
    g_free(passt->unit);
    g_free(passt->dir);
    g_free(passt);
}

static void on_stopped(const Error *error, void *userdata)
{
}

void passt_cancel(Passt *passt)
{
    if (!passt)
        return;
    scope_job_forget(passt->job);
    (void) service_stop(passt->manager->scopes, passt->unit, on_stopped, NULL, NULL);
    passt_free(passt);
}

static int connect_socket(const char *dir)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    fd_cleanup int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    if (snprintf(address.sun_path, sizeof address.sun_path, "%s/" SOCKET, dir) >= (int) sizeof address.sun_path)
        return -ENAMETOOLONG;
    if (connect(fd, (struct sockaddr *) &address, sizeof address) < 0)
        return -errno;
    return steal_fd(&fd);
}

static void finish(Passt *passt, int fd, const Error *error)
{
    PasstDone done = passt->done;
    void *userdata = passt->userdata;
    Tap tap = {.queues = 1, .fds = {fd}, .vhost_fds = {-1}};
    if (error)
        passt_cancel(passt);
    else
        passt_free(passt);
    done(error ? NULL : &tap, error, userdata);
}

static int on_retry(sd_event_source *source, uint64_t usec, void *userdata)
{
    Passt *passt = userdata;
    g_autoptr(Error) error = NULL;
    int fd = connect_socket(passt->dir);
    if ((fd == -ENOENT || fd == -ECONNREFUSED) && passt->retries++ < RETRIES) {
        (void) sd_event_source_set_time_relative(source, RETRY_USEC);
        (void) sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
        return 0;
    }
    g_autofree char *remedy = g_strdup_printf("Look at 'journalctl -u %s'", passt->unit);
    if (fd == -ENOENT || fd == -ECONNREFUSED)
        error_set(&error, ERROR_FAILED, passt->unit, remedy, "passt did not start");
    else if (fd < 0)
        error_set_errno(&error, fd, passt->unit, "its socket cannot be connected");
    finish(passt, fd, error);
    return 0;
}

static void on_started(const Error *error, void *userdata)
{
    Passt *passt = userdata;
    passt->job = NULL;
    if (error)
        return finish(passt, -1, error);
    if (sd_event_add_time_relative(passt->manager->event, &passt->retry, CLOCK_MONOTONIC, 0, 1, on_retry, passt) < 0)
        g_error("out of memory");
}

/* "tcp:192.0.2.1:2222:22" is "192.0.2.1/2222:22" in passt's words. */
static bool add_forward(GPtrArray *argv, const char *text, Error **ret_error)
{
    FirewallForward forward = {0};
    if (!firewall_forward_parse(text, &forward, ret_error))
        return false;
    g_autofree char *address = forward.listen.family == AF_UNSPEC ? NULL : address_to_string_bare(&forward.listen);
    unsigned length = forward.last - forward.first;
    g_ptr_array_add(argv, g_strdup(forward.udp ? "--udp-ports" : "--tcp-ports"));
    if (length > 0)
        g_ptr_array_add(argv, g_strdup_printf("%s%s%u-%u:%u-%u", address ? address : "", address ? "/" : "", forward.first, forward.last, forward.to,
            forward.to + length));
    else
        g_ptr_array_add(argv, g_strdup_printf("%s%s%u:%u", address ? address : "", address ? "/" : "", forward.first, forward.to));
    return true;
}

static GPtrArray *make_argv(const Passt *passt, const PortWish *wish, Error **ret_error)
{
    g_autoptr(GPtrArray) argv = g_ptr_array_new_with_free_func(g_free);
    g_autofree char *program = g_find_program_in_path("passt");
    if (!program) {
        error_set(ret_error, ERROR_UNSUPPORTED, "passt", "Install it (the package passt), or use Network=", "it is not there");
        return NULL;
    }
    g_ptr_array_add(argv, g_steal_pointer(&program));
    g_ptr_array_add(argv, g_strdup("--one-off"));
    g_ptr_array_add(argv, g_strdup("--foreground"));
    /* A guest of the system's does not reach what listens on the host's loopback alone. */
    if (!passt->manager->user)
        g_ptr_array_add(argv, g_strdup("--no-map-gw"));
    g_ptr_array_add(argv, g_strdup("--socket"));
    g_ptr_array_add(argv, g_build_filename(passt->dir, SOCKET, NULL));
    if (wish->mtu > 0) {
        g_ptr_array_add(argv, g_strdup("--mtu"));
        g_ptr_array_add(argv, g_strdup_printf("%u", wish->mtu));
    }
    for (size_t i = 0; wish->forwards && wish->forwards[i]; i++)
        if (!add_forward(argv, wish->forwards[i], ret_error))
            return NULL;
    g_ptr_array_add(argv, NULL);
    return g_steal_pointer(&argv);
}

static bool begin(Passt *passt, const PortWish *wish, Error **ret_error)
{
    const Manager *manager = passt->manager;
    g_autoptr(GPtrArray) argv = make_argv(passt, wish, ret_error);
    g_autofree char *description = g_strdup_printf("User Networking of VM %s", wish->vm);
    g_autofree char *runtime = g_path_get_basename(passt->dir);
    if (!argv)
        return false;
    const char *const runtime_dir[] = {runtime, NULL}, *const native[] = {"native", NULL};
    const ServiceProperty properties[] = {
        {"Description", 's', .text = description},
        {"Type", 's', .text = "exec"},
        {"CollectMode", 's', .text = "inactive-or-failed"},
        {"Slice", 's', .text = "vms.slice"},
        {"RuntimeDirectory", 'a', .words = runtime_dir},
        {"NoNewPrivileges", 'b', .number = 1},
        {"LockPersonality", 'b', .number = 1},
        {"MemoryDenyWriteExecute", 'b', .number = 1},
        {"RestrictRealtime", 'b', .number = 1},
        {"SystemCallArchitectures", 'a', .words = native},
        {"TasksMax", 't', .number = 16},
        {"LimitCORE", 't', .number = 0},
        {manager->user ? NULL : "DynamicUser", 'b', .number = 1},
        {NULL},
    };
    const ServiceSpec spec = {.unit = passt->unit, .argv = (const char *const *) argv->pdata, .properties = properties};
    passt->job = service_start(manager->scopes, &spec, on_started, passt, ret_error);
    return passt->job != NULL;
}

Passt *passt_open(Manager *manager, const PortWish *wish, PasstDone done, void *userdata, Error **ret_error)
{
    Passt *passt = g_new0(Passt, 1);
    passt->manager = manager;
    passt->unit = g_strdup_printf("vmpasst-%s-%s.service", wish->vm, wish->section);
    passt->dir = g_strdup_printf("%s/vmpasst-%s-%s", manager->user ? g_getenv("XDG_RUNTIME_DIR") : "/run", wish->vm, wish->section);
    passt->done = done;
    passt->userdata = userdata;
    if (begin(passt, wish, ret_error))
        return passt;
    passt_free(passt);
    return NULL;
}
