/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "spawn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "birth.h"
#include "cleanup.h"
#include "listen.h"
#include "spawn-protocol.h"

/* vmd-spawn answers within a millisecond once it runs; systemd may have to start it first. */
#define ANSWER_USEC (20 * G_USEC_PER_SEC)

typedef struct Request {
    uint32_t id;
    int *fds;
    size_t n_fds;
    int arguments, output, cgroup; /* arguments: a memfd of its own */
    SpawnDone done;           /* of a guard */
    SpawnListening listening; /* of a socket; both NULL: forgotten */
    SpawnListen listen;
    bool listens;
    void *userdata;
} Request;

struct Spawner {
    sd_event *event;
    bool itself;
    int fd; /* -1: not connected */
    sd_event_source *source, *limit;
    GQueue requests; /* the first one has been sent */
    uint32_t last_id;
};

static void request_free(void *userdata)
{
    Request *request = userdata;
    close_fd(&request->arguments);
    g_free(request->fds);
    g_free(request);
}

static void disconnect(Spawner *spawner)
{
    spawner->source = sd_event_source_disable_unref(spawner->source);
    spawner->limit = sd_event_source_disable_unref(spawner->limit);
    close_fd(&spawner->fd);
}

/* ---- one message after another ---- */

static int send_message(int fd, SpawnRequest *request, const int *fds, size_t n_fds)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(SPAWN_FDS_PER_MESSAGE * sizeof(int))];
    } control = {};
    struct iovec iov = {request, sizeof *request};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    request->n_fds = (uint32_t) n_fds;
    if (n_fds == 0)
        return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
    message.msg_control = &control;
    message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
    control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
    return sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

static int send_request(const Spawner *spawner, const Request *request)
{
    SpawnRequest message = {.id = request->id, .kind = SPAWN_FDS};
    if (request->listens) {
        message.kind = SPAWN_LISTEN;
        message.listen = request->listen;
        return send_message(spawner->fd, &message, NULL, 0);
    }
    if (request->n_fds > SPAWN_FDS_MAX)
        return -E2BIG;
    for (size_t i = 0; i < request->n_fds; i += SPAWN_FDS_PER_MESSAGE) {
        size_t n = MIN(request->n_fds - i, (size_t) SPAWN_FDS_PER_MESSAGE);
        for (size_t j = 0; j < n; j++)
            message.numbers[j] = request->fds[i + j];
        int r = send_message(spawner->fd, &message, request->fds + i, n);
        if (r < 0)
            return r;
    }
    const int rest[] = {request->arguments, request->output, request->cgroup};
    message.kind = SPAWN_GO;
    return send_message(spawner->fd, &message, rest, request->cgroup >= 0 ? 3 : 2);
}

/* ---- answers ---- */

static void send_first(Spawner *spawner);

/* Answers the first request and sends the next one. The callback is the last thing. */
static void answer_first(Spawner *spawner, pid_t pid, int pidfd, int error)
{
    Request *request = g_queue_pop_head(&spawner->requests);
    SpawnDone done = request->done;
    SpawnListening listening = request->listening;
    void *userdata = request->userdata;
    request_free(request);
    spawner->limit = sd_event_source_disable_unref(spawner->limit);
    if (!g_queue_is_empty(&spawner->requests))
        send_first(spawner);
    if (done)
        done(pid, pidfd, error, userdata);
    else if (listening)
        listening(pidfd, error, userdata);
    else
        close_fd(&pidfd);
}

static int on_limit(sd_event_source *source, uint64_t usec, void *userdata)
{
    disconnect(userdata);
    answer_first(userdata, 0, -1, -ETIMEDOUT);
    return 0;
}

static int read_reply(int fd, SpawnReply *reply, int *ret_pidfd)
{
    union {
        struct cmsghdr header;
        char space[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec iov = {reply, sizeof *reply};
    struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control};
    ssize_t n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (n < 0)
        return errno == EINTR ? -EAGAIN : -errno;
    struct cmsghdr *c = CMSG_FIRSTHDR(&message);
    *ret_pidfd = -1;
    if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS && c->cmsg_len == CMSG_LEN(sizeof(int)))
        memcpy(ret_pidfd, CMSG_DATA(c), sizeof(int));
    if (n == 0)
        return -ECONNRESET;
    return n == sizeof *reply ? 0 : -EBADMSG;
}

static int on_reply(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Spawner *spawner = userdata;
    const Request *request = g_queue_peek_head(&spawner->requests);
    SpawnReply reply = {};
    fd_cleanup int pidfd = -1;
    int r = read_reply(fd, &reply, &pidfd);
    if (r == -EAGAIN)
        return 0;
    if (r >= 0 && (!request || reply.id != request->id || (reply.error == 0 && (pidfd < 0 || (reply.pid <= 1 && !request->listens)))))
        r = -EBADMSG;
    if (r < 0)
        disconnect(spawner);
    if (request)
        answer_first(spawner, r < 0 || reply.error ? 0 : (pid_t) reply.pid, r < 0 || reply.error ? -1 : steal_fd(&pidfd), r < 0 ? r : -reply.error);
    return 0;
}

static int connect_now(Spawner *spawner)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = SPAWN_SOCKET};
    if (spawner->fd >= 0)
        return 0;
    spawner->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = spawner->fd < 0 || connect(spawner->fd, (struct sockaddr *) &address, sizeof address) < 0 ? -errno : 0;
    if (r >= 0)
        r = sd_event_add_io(spawner->event, &spawner->source, spawner->fd, EPOLLIN, on_reply, spawner);
    if (r < 0)
        disconnect(spawner);
    return r;
}

static void send_first(Spawner *spawner)
{
    const Request *request = g_queue_peek_head(&spawner->requests);
    int r = connect_now(spawner);
    if (r >= 0)
        r = send_request(spawner, request);
    if (r == -EPIPE || r == -ECONNRESET) { /* it ended, being idle, or was replaced */
        disconnect(spawner);
        r = connect_now(spawner);
        if (r >= 0)
            r = send_request(spawner, request);
    }
    if (r >= 0)
        (void) sd_event_add_time_relative(spawner->event, &spawner->limit, CLOCK_MONOTONIC, ANSWER_USEC, 1, on_limit, spawner);
    else {
        disconnect(spawner);
        answer_first(spawner, 0, -1, r);
    }
}

/* ---- by vmd itself ---- */

static void spawn_itself(const SpawnSpec *spec, SpawnDone done, void *userdata)
{
    g_autofree BirthFd *fds = g_new(BirthFd, spec->n_fds);
    for (size_t i = 0; i < spec->n_fds; i++)
        fds[i] = (BirthFd){.fd = spec->fds[i], .number = spec->fds[i]};
    const Birth request = {.argv = spec->argv, .fds = fds, .n_fds = spec->n_fds, .output = spec->output, .cgroup = spec->cgroup};
    pid_t pid = 0;
    int pidfd = -1, r = birth(&request, &pid, &pidfd);
    done(pid, pidfd, r, userdata);
}

static int write_arguments(char *const *argv)
{
    g_autoptr(GByteArray) text = g_byte_array_new();
    fd_cleanup int fd = memfd_create("vmd-arguments", MFD_CLOEXEC);
    if (fd < 0)
        return -errno;
    for (size_t i = 0; argv[i]; i++)
        g_byte_array_append(text, (const guint8 *) argv[i], (guint) strlen(argv[i]) + 1);
    if (text->len > SPAWN_TEXT_MAX)
        return -E2BIG;
    return write(fd, text->data, text->len) == (ssize_t) text->len ? steal_fd(&fd) : -EIO;
}

void spawner_spawn(Spawner *spawner, const SpawnSpec *spec, SpawnDone done, void *userdata)
{
    if (spawner->itself)
        return spawn_itself(spec, done, userdata);
    int arguments = write_arguments(spec->argv);
    if (arguments < 0)
        return done(0, -1, arguments, userdata);

    Request *request = g_new(Request, 1);
    *request = (Request){
        .id = ++spawner->last_id,
        .fds = g_memdup2(spec->fds, spec->n_fds * sizeof(int)),
        .n_fds = spec->n_fds,
        .arguments = arguments,
        .output = spec->output,
        .cgroup = spec->cgroup,
        .done = done,
        .userdata = userdata,
    };
    g_queue_push_tail(&spawner->requests, request);
    if (g_queue_get_length(&spawner->requests) == 1)
        send_first(spawner);
}

void spawner_listen(Spawner *spawner, const SpawnListen *where, SpawnListening done, void *userdata)
{
    if (spawner->itself) {
        int fd = listen_on(where);
        return done(MAX(fd, -1), MIN(fd, 0), userdata);
    }
    Request *request = g_new(Request, 1);
    *request = (Request){.id = ++spawner->last_id, .arguments = -1, .output = -1, .cgroup = -1, .listens = true, .listen = *where, .listening = done, .userdata = userdata};
    g_queue_push_tail(&spawner->requests, request);
    if (g_queue_get_length(&spawner->requests) == 1)
        send_first(spawner);
}

void spawner_forget(Spawner *spawner, const void *userdata)
{
    for (GList *i = spawner->requests.head; i; i = i->next) {
        Request *request = i->data;
        if (request->listens && request->userdata == userdata)
            request->listening = NULL;
    }
}

void spawner_prepare(Spawner *spawner)
{
    if (!spawner->itself)
        (void) connect_now(spawner); /* that it failed is said when it is wanted */
}

Spawner *spawner_new(sd_event *event, bool itself)
{
    Spawner *spawner = g_new0(Spawner, 1);
    spawner->event = sd_event_ref(event);
    spawner->itself = itself;
    spawner->fd = -1;
    g_queue_init(&spawner->requests);
    return spawner;
}

void spawner_free(Spawner *spawner)
{
    if (!spawner)
        return;
    disconnect(spawner);
    g_queue_clear_full(&spawner->requests, request_free);
    sd_event_unref(spawner->event);
    g_free(spawner);
}
