/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Of link*.c alone: one rtnetlink request at a time, and what its answers are made into.
 *
 * Messages are built and taken apart with libnl; it has no calls for much of what is asked here, and objects of its
 * that abort the process when they are of another kind than they were thought to be. */

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "link.h"

typedef struct LinkWatch LinkWatch;

struct Links {
    sd_event *event;
    int fd; /* of requests */
    uint32_t sequence;
    char *buffer;    /* of answers */
    char *complaint; /* what the kernel said of the last request that failed, or NULL */
    LinkWatch *watch;
};

typedef struct nl_msg NlMessage;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(NlMessage, nlmsg_free)

/* A message with its fixed part. Nothing here fails: a message has room for all that vmd puts into one. */
NlMessage *link_message(int type, int flags, const void *head, size_t length);
NlMessage *link_message_for(int type, int flags, int index); /* of a link; index 0: by a name that is put in */
void link_put(NlMessage *message, int attribute, const void *data, size_t length);
void link_put_u8(NlMessage *message, int attribute, uint8_t value);
void link_put_u32(NlMessage *message, int attribute, uint32_t value);
void link_put_string(NlMessage *message, int attribute, const char *value);
struct nlattr *link_nest(NlMessage *message, int attribute); /* end with nla_nest_end() */

/* An answer; `items` and `userdata` are the caller's. */
typedef void (*LinkAnswer)(const struct nlmsghdr *header, GArray *items, void *userdata);

/* Sends it and waits for the kernel's answer, at most some seconds. 0 or a negative errno; items of an attempt that was
 * interrupted are dropped. `answer` may be NULL. */
int link_request(Links *links, NlMessage *message, LinkAnswer answer, GArray *items, void *userdata);
/* The same for a dump. NULL and an Error on failure, else a new array. */
GArray *link_dump(Links *links, NlMessage *message, LinkAnswer answer, size_t item_size, void *userdata, const char *what, Error **ret_error);

/* An Error of a request that failed, with what the kernel said and a way out where one is known. False. */
bool link_fail(const Links *links, int r, const char *thing, const char *cause, Error **ret_error);

/* From RTM_NEWLINK. */
bool link_read(const struct nlmsghdr *header, Link *ret);
void link_unwatch(LinkWatch *watch);
