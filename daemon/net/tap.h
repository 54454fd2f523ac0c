/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Tap: descriptors of a tap device, which is there for as long as one of them is open. */

#include <net/if.h>

#include "error.h"

#define TAP_QUEUES_MAX 64U

typedef struct Tap {
    char name[IFNAMSIZ];
    int index;
    int fds[TAP_QUEUES_MAX]; /* one a queue; the owner's */
    int vhost_fds[TAP_QUEUES_MAX]; /* -1 where the kernel has no vhost-net */
    unsigned queues;
} Tap;

/* Makes a tap that is not persistent, with vnet_hdr, `queues` queues (1 to TAP_QUEUES_MAX) and a name of the kernel's choice from
 * `pattern` ("vmtap%d"). `vhost`: also opens /dev/vhost-net once a queue; where that is not there it is not an error.
 * ERROR_UNSUPPORTED with the way out where /dev/net/tun is not there or not allowed. On an error nothing is left. */
bool tap_open(const char *pattern, unsigned queues, bool vhost, Tap *ret, Error **ret_error);

/* Descriptors of a macvtap that links_add_macvtap() has made: /dev/tapINDEX. Where udev has not made that node yet, -EAGAIN is
 * the Error's ERROR_BUSY. */
bool tap_open_macvtap(int index, const char *name, unsigned queues, bool vhost, Tap *ret, Error **ret_error);

void tap_close(Tap *tap); /* may be called twice */
