/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* vmd-spawn: gives birth to vmd-guard for a vmd that lives in a sandbox.
 *
 * What a process inherits it cannot shake off: had vmd a guard for its child, each of vmd's sandbox's filters and mounts would
 * be QEMU's too, and the sandbox could only be as tight as the loosest that QEMU needs. So this program, which has none, is
 * asked for each guard. It is started by its socket, which only root can connect to, reads nothing but the few fields of
 * spawn-protocol.h, executes nothing but vmd-guard, and never with a uid that is anybody's. It also makes the sockets of the host's
 * network at which vmd listens for viewers (listen.h). It ends when nobody is
 * connected any more. libc only, static where that can be. */

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "birth.h"
#include "config.h"
#include "guard.h"
#include "listen.h"
#include "spawn-protocol.h"

#define LISTEN_FD 3 /* sd_listen_fds(3) */
#define CLIENTS_MAX 8

typedef struct Client {
    int fd; /* -1: free */
    BirthFd fds[SPAWN_FDS_MAX];
    size_t n_fds;
} Client;

static Client clients[CLIENTS_MAX];

static void forget_fds(Client *client)
{
    for (size_t i = 0; i < client->n_fds; i++)
        close(client->fds[i].fd);
    client->n_fds = 0;
}

static void client_close(Client *client)
{
    forget_fds(client);
    close(client->fd);
    client->fd = -1;
}

/* One of --uid, --gid, --guard-uid and --guard-gid: from the ranges that are nobody's. */
static bool id_is_ours(const char *value)
{
    char *end;
    unsigned long id = strtoul(value, &end, 10);

    return *value >= '0' && *value <= '9' && !*end && id > GUARD_QEMU_UIDS && id < GUARD_UIDS_END;
}

/* What --own= may give away: nothing but what is vmd's. */
static bool folder_is_ours(const char *path)
{
    size_t n = strlen(path);

    return strncmp(path, STATE_DIR "/", sizeof(STATE_DIR)) == 0 && !strstr(path, "/../") && (n < 3 || strcmp(path + n - 3, "/..") != 0);
}

/* What --device= may make a node of: no disk and no memory of the host's. */
static bool device_is_ours(const char *path)
{
    static const char vfio[] = "/dev/vfio/", render[] = "/dev/dri/renderD";

    if (strncmp(path, vfio, sizeof(vfio) - 1) == 0)
        return !strchr(path + sizeof(vfio) - 1, '/');
    if (strncmp(path, render, sizeof(render) - 1) != 0)
        return false;
    path += sizeof(render) - 1;
    return *path && path[strspn(path, "0123456789")] == 0;
}

/* Whether this is vmd-guard, which will take ids of ours and keep its jail and its filter. */
static bool arguments_are_fine(char *const *argv)
{
    static const char *const ids[] = {"--uid=", "--gid=", "--guard-uid=", "--guard-gid="};
    unsigned seen = 0;

    if (strcmp(argv[0], GUARD_PATH) != 0)
        return false;
    for (argv++; *argv && strcmp(*argv, "--") != 0; argv++) {
        if (strncmp(*argv, "--jail", 6) == 0 || strncmp(*argv, "--filter", 8) == 0 || strncmp(*argv, "--", 2) != 0)
            return false;
        if (strncmp(*argv, "--own=", 6) == 0 && !folder_is_ours(*argv + 6))
            return false;
        if (strncmp(*argv, "--device=", 9) == 0 && !device_is_ours(*argv + 9))
            return false;
        for (unsigned i = 0; i < sizeof(ids) / sizeof(*ids); i++) {
            size_t n = strlen(ids[i]);

            if (strncmp(*argv, ids[i], n) != 0)
                continue;
            if (!id_is_ours(*argv + n))
                return false;
            seen |= 1U << i;
        }
    }
    return *argv && seen == 0xf;
}

/* The memfd's strings; *ret_text is to be freed, and so is the array. */
static char **read_arguments(int memfd, char **ret_text)
{
    struct stat st;
    char *text, **argv;
    size_t size, n = 0;

    if (fstat(memfd, &st) < 0 || st.st_size < 2 || st.st_size > SPAWN_TEXT_MAX)
        return NULL;
    size = (size_t) st.st_size;
    text = malloc(size);
    argv = calloc(SPAWN_ARGUMENTS_MAX + 1, sizeof(char *));
    if (text && argv && pread(memfd, text, size, 0) == (ssize_t) size && !text[size - 1]) {
        for (char *p = text; p < text + size && n < SPAWN_ARGUMENTS_MAX; p += strlen(p) + 1)
            argv[n++] = p;
        if (n < SPAWN_ARGUMENTS_MAX) {
            *ret_text = text;
            return argv;
        }
    }
    free(text);
    free(argv);
    return NULL;
}

static int give_birth(Client *client, const int *fds, unsigned n_fds, pid_t *ret_pid, int *ret_pidfd)
{
    char *text = NULL, **argv;
    int r;

    if (n_fds < 2 || n_fds > 3)
        return -EINVAL;
    argv = read_arguments(fds[0], &text);
    if (!argv)
        return -E2BIG;
    r = arguments_are_fine(argv) ? birth(
                                           &(const Birth){.argv = argv,
                                                   .fds = client->fds,
                                                   .n_fds = client->n_fds,
                                                   .output = fds[1],
                                                   .cgroup = n_fds > 2 ? fds[2] : -1},
                                           ret_pid, ret_pidfd)
                                 : -EPERM;
    free(argv);
    free(text);
    return r;
}

static bool reply(Client *client, uint32_t id, int error, pid_t pid, int pidfd)
{
    SpawnReply answer = {.id = id, .error = error, .pid = (int32_t) pid};
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control = {0};
    struct iovec iov = {&answer, sizeof(answer)};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};

    if (pidfd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof(control);
        control.header.cmsg_len = CMSG_LEN(sizeof(int));
        control.header.cmsg_level = SOL_SOCKET;
        control.header.cmsg_type = SCM_RIGHTS;
        memcpy(CMSG_DATA(&control.header), &pidfd, sizeof(int));
    }
    return sendmsg(client->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t) sizeof(answer);
}

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

/* False when the client is to be dropped. */
static bool take(Client *client, const SpawnRequest *request, const int *fds, unsigned n_fds)
{
    pid_t pid = 0;
    int pidfd = -1, r;
    bool sent;

    if (request->kind == SPAWN_FDS && request->n_fds == n_fds && n_fds <= SPAWN_FDS_MAX - client->n_fds) {
        for (unsigned i = 0; i < n_fds; i++)
            client->fds[client->n_fds++] = (BirthFd){.fd = fds[i], .number = request->numbers[i]};
        return true;
    }
    if (request->kind == SPAWN_LISTEN && client->n_fds == 0 && n_fds == 0)
        r = pidfd = listen_on(&request->listen);
    else
        r = request->kind == SPAWN_GO ? give_birth(client, fds, n_fds, &pid, &pidfd) : -EINVAL;
    close_all(fds, n_fds);
    forget_fds(client);
    sent = reply(client, request->id, r < 0 ? -r : 0, pid, pidfd);
    if (pidfd >= 0) {
        /* Nobody would know of it. */
        if (!sent && pid > 0)
            (void) syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0);
        close(pidfd);
    }
    return sent;
}

static bool client_read(Client *client)
{
    SpawnRequest request;
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(SPAWN_FDS_PER_MESSAGE * sizeof(int))];
    } control;
    struct iovec iov = {&request, sizeof(request)};
    struct msghdr message = {
            .msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int fds[SPAWN_FDS_PER_MESSAGE];
    unsigned n_fds = 0;
    ssize_t n = recvmsg(client->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        n_fds = (unsigned) ((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
    }
    if (n != sizeof(request) || message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
        close_all(fds, n_fds);
        return false;
    }
    return take(client, &request, fds, n_fds);
}

static void client_accept(void)
{
    int fd = accept4(LISTEN_FD, NULL, NULL, SOCK_CLOEXEC);
    struct ucred peer;
    socklen_t length = sizeof(peer);

    if (fd < 0)
        return;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &length) == 0 && peer.uid == geteuid()) {
        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            if (clients[i].fd >= 0)
                continue;
            clients[i].fd = fd;
            return;
        }
    }
    close(fd);
}

int main(void)
{
    const char *pid = getenv("LISTEN_PID");
    bool served = false;

    if (!pid || strtol(pid, NULL, 10) != getpid()) {
        fputs("vmd-spawn is started by systemd, through vmd-spawn.socket.\n", stderr);
        return 2;
    }
    fcntl(LISTEN_FD, F_SETFD, FD_CLOEXEC);
    signal(SIGPIPE, SIG_IGN);
    for (unsigned i = 0; i < CLIENTS_MAX; i++)
        clients[i].fd = -1;

    for (;;) {
        struct pollfd fds[1 + CLIENTS_MAX] = {{.fd = LISTEN_FD, .events = POLLIN}};
        unsigned connected = 0;

        for (unsigned i = 0; i < CLIENTS_MAX; i++) {
            fds[1 + i] = (struct pollfd){.fd = clients[i].fd, .events = POLLIN};
            connected += clients[i].fd >= 0;
        }
        /* Who connects later starts it again. */
        if (served && connected == 0)
            return 0;
        if (poll(fds, 1 + CLIENTS_MAX, -1) < 0)
            continue;
        for (unsigned i = 0; i < CLIENTS_MAX; i++)
            if (fds[1 + i].revents && !client_read(&clients[i]))
                client_close(&clients[i]);
        if (fds[0].revents) {
            client_accept();
            served = true;
        }
    }
}
