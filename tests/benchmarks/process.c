/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "process.h"

#include "client.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FDS_MAX 64
#define WORDS_MAX 1024
#define TEMPLATE_MAX (1024 * 1024)
/* Above all numbers that a command line names, so that no descriptor is in the way of another. */
#define FD_BASE 300

extern char **environ;

struct Template {
    char *text;
    char *recipes[FDS_MAX];
    size_t n_recipes;
    char *words[WORDS_MAX];
    size_t n_words;
};

typedef struct Fds {
    int target[FDS_MAX], ours[FDS_MAX];
    size_t n;
    Qemu *qemu;
} Fds;

Template *template_read(const char *path)
{
    Template *template = calloc(1, sizeof *template);
    FILE *file = fopen(path, "re");
    if (!template || !file || !(template->text = calloc(1, TEMPLATE_MAX))) {
        template_free(template);
        if (file)
            (void) fclose(file);
        return NULL;
    }
    size_t size = fread(template->text, 1, TEMPLATE_MAX - 1, file);
    (void) fclose(file);

    char *p = template->text, *end = template->text + size;
    for (; p < end && *p && template->n_recipes < FDS_MAX; p += strlen(p) + 1)
        template->recipes[template->n_recipes++] = p;
    for (p++; p < end && template->n_words < WORDS_MAX - 1; p += strlen(p) + 1)
        template->words[template->n_words++] = p;
    if (template->n_words > 0)
        return template;
    errno = EINVAL;
    template_free(template);
    return NULL;
}

void template_free(Template *template)
{
    if (!template)
        return;
    free(template->text);
    free(template);
}

static int raise_fd(int fd)
{
    if (fd < 0)
        return -errno;
    int raised = fcntl(fd, F_DUPFD_CLOEXEC, FD_BASE);
    int r = raised < 0 ? -errno : raised;
    (void) close(fd);
    return r;
}

/* A listening socket, and with `ret_connected` a connection to it. */
static int make_listener(int *ret_connected)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    socklen_t length = sizeof(sa_family_t); /* the kernel takes an abstract name */
    int fd = raise_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (fd < 0)
        return fd;
    if (bind(fd, (struct sockaddr *) &address, length) < 0 || listen(fd, 8) < 0)
        return -errno;
    if (!ret_connected)
        return fd;
    length = sizeof address;
    if (getsockname(fd, (struct sockaddr *) &address, &length) < 0)
        return -errno;
    int client = raise_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (client < 0)
        return client;
    struct timeval limit = {.tv_sec = 60};
    (void) setsockopt(client, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(client, (struct sockaddr *) &address, length) < 0)
        return -errno;
    *ret_connected = client;
    return fd;
}

static int make_pair(Qemu *qemu)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    int r = raise_fd(pair[1]);
    if (r < 0)
        return r;
    qemu->others[qemu->n_others++] = r;
    return raise_fd(pair[0]);
}

/* Of one that is there, and stays. */
static int make_tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR};
    (void) snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    int fd = raise_fd(open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK));
    return fd >= 0 && ioctl(fd, TUNSETIFF, &request) < 0 ? -errno : fd;
}

static int make_fd(const char *recipe, Qemu *qemu)
{
    if (strcmp(recipe, "monitor") == 0)
        return make_listener(&qemu->monitor);
    if (strcmp(recipe, "listen") == 0)
        return make_listener(NULL);
    if (strcmp(recipe, "pair") == 0)
        return make_pair(qemu);
    if (strncmp(recipe, "tap:", 4) == 0)
        return make_tap(recipe + 4);
    char *path = NULL;
    if (strncmp(recipe, "open:", 5) != 0)
        return -EINVAL;
    int flags = (int) strtol(recipe + 5, &path, 8);
    if (!path || *path != ':')
        return -EINVAL;
    return raise_fd(open(path + 1, (flags & (O_ACCMODE | O_DIRECT | O_NONBLOCK)) | O_CLOEXEC));
}

static int make_fds(const Template *template, Fds *fds)
{
    for (size_t i = 0; i < template->n_recipes; i++) {
        char *recipe = NULL;
        int target = (int) strtol(template->recipes[i], &recipe, 10);
        if (target <= STDERR_FILENO || target >= FD_BASE || *recipe != '=')
            return -EINVAL;
        int r = make_fd(recipe + 1, fds->qemu);
        if (r < 0)
            return r;
        fds->target[fds->n] = target;
        fds->ours[fds->n++] = r;
    }
    return fds->qemu->monitor >= 0 ? 0 : -EINVAL;
}

static int spawn(char *const *argv, const Fds *fds, pid_t *ret)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    int r = -posix_spawn_file_actions_init(&actions);
    if (r < 0)
        return r;
    (void) posix_spawnattr_init(&attributes);
    (void) sigemptyset(&defaults);
    (void) sigaddset(&defaults, SIGPIPE);
    (void) posix_spawnattr_setsigdefault(&attributes, &defaults);
    /* A session of its own, as vmd and systemd give to each: the scheduler may share time between sessions.
     */
    (void) posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSID);
    r = -posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (r == 0)
        r = -posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    for (size_t i = 0; fds && r == 0 && i < fds->n; i++)
        r = -posix_spawn_file_actions_adddup2(&actions, fds->ours[i], fds->target[i]);
    if (r == 0)
        r = -posix_spawnp(ret, argv[0], &actions, &attributes, argv, environ);
    (void) posix_spawn_file_actions_destroy(&actions);
    (void) posix_spawnattr_destroy(&attributes);
    return r;
}

/* Reads until the answer to the command with the id "cont" is there. */
static int wait_for_cont(int monitor)
{
    char buffer[65536];
    size_t length = 0;
    for (;;) {
        ssize_t n = recv(monitor, buffer + length, sizeof buffer - length - 1, 0);
        if (n <= 0)
            return n == 0 ? -EPIPE : -errno;
        length += (size_t) n;
        buffer[length] = 0;
        char *found = strstr(buffer, "\"id\": \"cont\"");
        if (found)
            return strstr(buffer, "\"error\"") ? -EPROTO : 0;
        if (length == sizeof buffer - 1)
            return -EMSGSIZE;
    }
}

static void forget(Qemu *qemu)
{
    if (qemu->monitor >= 0)
        (void) close(qemu->monitor);
    for (size_t i = 0; i < qemu->n_others; i++)
        (void) close(qemu->others[i]);
    free(qemu->others);
    *qemu = (Qemu){.monitor = -1};
}

static int start(Qemu *qemu, char **argv, const Fds *fds, double *ret_ms)
{
    /* Sent ahead: QEMU reads it as soon as it can, as fast as QMP can be. */
    static const char commands[] =
            "{\"execute\":\"qmp_capabilities\"}\n{\"execute\":\"cont\",\"id\":\"cont\"}\n";
    double begin = now_ms();
    if (write(qemu->monitor, commands, sizeof commands - 1) < 0)
        return -errno;
    int r = spawn(argv, fds, &qemu->pid);
    if (r == 0)
        r = wait_for_cont(qemu->monitor);
    *ret_ms = now_ms() - begin;
    return r;
}

int qemu_start(const Template *template, char **wrapper, Qemu *ret, double *ret_ms)
{
    char *argv[2 * WORDS_MAX] = {NULL};
    size_t n = 0;
    Fds fds = {.qemu = ret};
    *ret = (Qemu){.monitor = -1, .others = calloc(FDS_MAX, sizeof *ret->others)};
    if (!ret->others)
        return -ENOMEM;
    for (; wrapper && *wrapper && n < WORDS_MAX; wrapper++)
        argv[n++] = *wrapper;
    memcpy(argv + n, template->words, template->n_words * sizeof *argv);

    int r = make_fds(template, &fds);
    if (r == 0)
        r = start(ret, argv, &fds, ret_ms);
    for (size_t i = 0; i < fds.n; i++)
        (void) close(fds.ours[i]);
    if (r == 0)
        return 0;
    if (ret->pid > 0)
        (void) qemu_kill(ret, &(double){0});
    else
        forget(ret);
    return r;
}

int qemu_kill(Qemu *qemu, double *ret_ms)
{
    double begin = now_ms();
    int r = kill(qemu->pid, SIGKILL) < 0 ? -errno : 0;
    if (r == 0 && waitpid(qemu->pid, NULL, 0) < 0)
        r = -errno;
    *ret_ms = now_ms() - begin;
    forget(qemu);
    return r;
}

int verb_qemu(char **words)
{
    Qemu qemu;
    double start_ms, kill_ms;
    Template *template = template_read(words[0]);
    if (!template)
        return fail("%s: %s", words[0], strerror(errno));
    int r = qemu_start(template, words + 1, &qemu, &start_ms);
    if (r == 0)
        r = qemu_kill(&qemu, &kill_ms);
    template_free(template);
    if (r < 0)
        return fail("QEMU: %s", strerror(-r));
    return answer((double[]){start_ms, kill_ms}, 2);
}

int verb_run(char **words)
{
    pid_t pid;
    int status;
    double begin = now_ms();
    int r = spawn(words, NULL, &pid);
    if (r == 0 && waitpid(pid, &status, 0) < 0)
        r = -errno;
    double end = now_ms();
    if (r < 0)
        return fail("%s: %s", words[0], strerror(-r));
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return fail("%s ended with the wait status %d", words[0], status);
    return answer((double[]){end - begin}, 1);
}
