/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Requests to the kernel and their answers. The kernel carries a request out while it is sent, so that the answer is there
 * at once; the socket's timeout is for what should not be. */

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "cleanup.h"
#include "link-internal.h"

#define ANSWER_MAX 65536U
#define TIMEOUT_S 5
#define ATTEMPTS 6
#define ATTEMPT_USEC 2000
#define PIECES_MAX 65536U /* of one answer; a dump without end is none */

int links_new(sd_event *event, Links **ret)
{
    const int on = 1;
    const struct timeval timeout = {.tv_sec = TIMEOUT_S};
    fd_cleanup int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return -errno;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout) < 0)
        return -errno;
    /* Old kernels have no words for what failed, and filter less. */
    (void) setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof on);
    (void) setsockopt(fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof on);
    (void) setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof on);

    Links *links = g_new(Links, 1);
    *links = (Links){.event = event ? sd_event_ref(event) : NULL, .fd = steal_fd(&fd), .buffer = g_malloc(ANSWER_MAX)};
    *ret = links;
    return 0;
}

void links_free(Links *links)
{
    if (!links)
        return;
    links_unwatch(links);
    close_fd(&links->fd);
    sd_event_unref(links->event);
    g_free(links->buffer);
    g_free(links->complaint);
    g_free(links);
}

NlMessage *link_message(int type, int flags, const void *head, size_t length)
{
    NlMessage *message = nlmsg_alloc_simple(type, flags | NLM_F_REQUEST);
    g_assert(message && nlmsg_append(message, (void *) head, length, NLMSG_ALIGNTO) == 0);
    return message;
}

NlMessage *link_message_for(int type, int flags, int index)
{
    const struct ifinfomsg head = {.ifi_index = index};
    return link_message(type, flags, &head, sizeof head);
}

void link_put(NlMessage *message, int attribute, const void *data, size_t length)
{
    g_assert(nla_put(message, attribute, (int) length, data) == 0);
}

void link_put_u8(NlMessage *message, int attribute, uint8_t value)
{
    link_put(message, attribute, &value, sizeof value);
}

void link_put_u32(NlMessage *message, int attribute, uint32_t value)
{
    link_put(message, attribute, &value, sizeof value);
}

void link_put_string(NlMessage *message, int attribute, const char *value)
{
    link_put(message, attribute, value, strlen(value) + 1);
}

struct nlattr *link_nest(NlMessage *message, int attribute)
{
    struct nlattr *nest = nla_nest_start(message, attribute);
    g_assert(nest);
    return nest;
}

/* NLMSG_ERROR, which a success is too, and what the kernel has to say of it. */
static int read_outcome(Links *links, const struct nlmsghdr *header)
{
    const struct nlmsgerr *e = nlmsg_data(header);
    if (nlmsg_datalen(header) < (int) sizeof *e)
        return -EBADMSG;
    size_t skipped = sizeof *e + (header->nlmsg_flags & NLM_F_CAPPED ? 0 : NLMSG_ALIGN(e->msg.nlmsg_len) - sizeof e->msg);
    if (e->error < 0 && (header->nlmsg_flags & NLM_F_ACK_TLVS) && (size_t) nlmsg_datalen(header) > skipped) {
        struct nlattr *text = nla_find((struct nlattr *) ((char *) e + skipped), nlmsg_datalen(header) - (int) skipped, NLMSGERR_ATTR_MSG);
        if (text && nla_len(text) > 0)
            links->complaint = g_strndup(nla_data(text), (gsize) nla_len(text));
    }
    return e->error;
}

typedef struct Attempt {
    uint32_t sequence;
    LinkAnswer answer;
    GArray *items;
    void *userdata;
    bool interrupted;
} Attempt;

/* 1: there is more to come. */
static int take_piece(Links *links, Attempt *attempt, ssize_t length)
{
    int left = (int) length;
    for (struct nlmsghdr *h = (struct nlmsghdr *) links->buffer; nlmsg_ok(h, left); h = nlmsg_next(h, &left)) {
        if (h->nlmsg_seq != attempt->sequence)
            continue; /* of a request whose answer came too late */
        if (h->nlmsg_flags & NLM_F_DUMP_INTR)
            attempt->interrupted = true;
        if (h->nlmsg_type == NLMSG_ERROR)
            return read_outcome(links, h);
        if (h->nlmsg_type == NLMSG_DONE) {
            int r = nlmsg_datalen(h) >= (int) sizeof(int) ? *(const int *) nlmsg_data(h) : 0;
            return r < 0 ? r : attempt->interrupted ? -EINTR : 0;
        }
        if (h->nlmsg_type >= NLMSG_MIN_TYPE && attempt->answer)
            attempt->answer(h, attempt->items, attempt->userdata);
    }
    return 1;
}

static int receive(Links *links, Attempt *attempt)
{
    for (unsigned i = 0; i < PIECES_MAX; i++) {
        struct sockaddr_nl from;
        socklen_t from_length = sizeof from;
        ssize_t n = recvfrom(links->fd, links->buffer, ANSWER_MAX, MSG_TRUNC, (struct sockaddr *) &from, &from_length);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN ? -ETIMEDOUT : -errno;
        if (from_length != sizeof from || from.nl_pid != 0)
            continue; /* another program, which may write to any netlink socket that it can name */
        if (n > (ssize_t) ANSWER_MAX)
            return -EMSGSIZE;
        int r = take_piece(links, attempt, n);
        if (r <= 0)
            return r;
    }
    return -EBADMSG;
}

static int attempt_request(Links *links, NlMessage *message, Attempt *attempt)
{
    const struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
    struct nlmsghdr *h = nlmsg_hdr(message);
    g_clear_pointer(&links->complaint, g_free);
    attempt->interrupted = false;
    attempt->sequence = h->nlmsg_seq = ++links->sequence;
    h->nlmsg_pid = 0;
    if (sendto(links->fd, h, h->nlmsg_len, 0, (const struct sockaddr *) &kernel, sizeof kernel) < 0)
        return -errno;
    return receive(links, attempt);
}

int link_request(Links *links, NlMessage *message, LinkAnswer answer, GArray *items, void *userdata)
{
    Attempt attempt = {.answer = answer, .items = items, .userdata = userdata};
    int r = 0;
    if ((nlmsg_hdr(message)->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP) /* bits that mean other things elsewhere */
        nlmsg_hdr(message)->nlmsg_flags |= NLM_F_ACK;
    for (unsigned i = 0; i < ATTEMPTS; i++) {
        if (i > 1)
            g_usleep(ATTEMPT_USEC);
        if (items)
            g_array_set_size(items, 0);
        r = attempt_request(links, message, &attempt);
        if (r != -EINTR && r != -EBUSY && r != -ENOBUFS)
            break;
    }
    return r;
}

GArray *link_dump(Links *links, NlMessage *message, LinkAnswer answer, size_t item_size, void *userdata, const char *what, Error **ret_error)
{
    g_autoptr(GArray) items = g_array_new(false, true, (guint) item_size);
    int r = link_request(links, message, answer, items, userdata);
    if (r < 0) {
        g_autofree char *cause = g_strdup_printf("the kernel does not tell its %s", what);
        link_fail(links, r, NULL, cause, ret_error);
        return NULL;
    }
    return g_steal_pointer(&items);
}

bool link_fail(const Links *links, int r, const char *thing, const char *cause, Error **ret_error)
{
    const char *text = links->complaint;
    if (r == -EPERM)
        return error_set(ret_error, ERROR_FAILED, thing, "vmd needs the capability CAP_NET_ADMIN for this", "%s: %s", cause, g_strerror(-r));
    if (r == -EOPNOTSUPP || r == -EAFNOSUPPORT)
        return error_set(ret_error, ERROR_UNSUPPORTED, thing, "The kernel needs a module for it", "%s: %s", cause, text ? text : g_strerror(-r));
    if (text)
        return error_set(ret_error, ERROR_FAILED, thing, NULL, "%s: %s (%s)", cause, g_strerror(-r), text);
    return error_set_errno(ret_error, r, thing, "%s", cause);
}
