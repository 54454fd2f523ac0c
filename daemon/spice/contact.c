/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "contact.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cleanup.h"
#include "spice-protocol.h"

struct Contact {
    sd_event *event;
    int listen_fd, fd;
    sd_event_source *listen, *io;
    ContactMessage message;
    void *userdata;
};

static void leave(Contact *contact)
{
    contact->io = sd_event_source_disable_unref(contact->io);
    close_fd(&contact->fd);
}

/* The descriptor of a message; more than one is none of ours. */
static int take_fd(struct msghdr *message)
{
    int fd = -1;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < n; i++) {
            close_fd(&fd);
            memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(int));
        }
    }
    return fd;
}

static int on_message(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Contact *contact = userdata;
    char text[SPICE_MESSAGE_MAX + 1];
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(4 * sizeof(int))];
    } ancillary;
    struct iovec part = {.iov_base = text, .iov_len = sizeof text};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &ancillary, .msg_controllen = sizeof ancillary};
    ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && errno == EAGAIN)
        return 0;
    fd_cleanup int came = n > 0 ? take_fd(&message) : -1;
    bool whole = n > 0 && n <= SPICE_MESSAGE_MAX && !(message.msg_flags & MSG_CTRUNC);
    if (whole) {
        text[n] = '\0';
        g_auto(GStrv) words = g_strsplit(text, " ", 8);
        whole = words[0] && contact->message(words, &came, contact->userdata);
        explicit_bzero(text, (size_t) n); /* it may be a password */
    }
    if (n > 0 && !whole)
        g_warning("vmd said what is not understood here");
    if (!whole)
        leave(contact);
    return 0;
}

static int on_connection(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
    Contact *contact = userdata;
    fd_cleanup int connection = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (connection < 0)
        return 0;
    leave(contact);
    if (sd_event_add_io(contact->event, &contact->io, connection, EPOLLIN, on_message, contact) >= 0)
        contact->fd = steal_fd(&connection);
    return 0;
}

void contact_say(Contact *contact, const char *format, ...)
{
    char text[SPICE_MESSAGE_MAX + 1];
    va_list ap;
    va_start(ap, format);
    int n = g_vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (contact->fd >= 0 && n > 0 && n <= SPICE_MESSAGE_MAX)
        (void) send(contact->fd, text, (size_t) n, MSG_NOSIGNAL | MSG_DONTWAIT);
}

Contact *contact_new(sd_event *event, int listen_fd, ContactMessage message, void *userdata)
{
    Contact *contact = g_new0(Contact, 1);
    contact->event = event;
    contact->listen_fd = listen_fd;
    contact->fd = -1;
    contact->message = message;
    contact->userdata = userdata;
    if (sd_event_add_io(event, &contact->listen, listen_fd, EPOLLIN, on_connection, contact) >= 0)
        return contact;
    contact_free(contact);
    return NULL;
}

void contact_free(Contact *contact)
{
    if (!contact)
        return;
    leave(contact);
    sd_event_source_disable_unref(contact->listen);
    close_fd(&contact->listen_fd);
    g_free(contact);
}
