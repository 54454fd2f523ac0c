/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* UsbStream: whether what one side of a usbredir connection sends is of the protocol's form (usbredir's usb-redir-protocol.h): a hello first and
 * never again, and then packets of types that there are and of sizes that are meant. Nothing is changed, nothing kept. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct UsbStream {
    uint8_t header[16];
    size_t n_header;
    uint64_t left; /* of the packet that is under way */
    bool greeted;
    uint32_t capabilities; /* of the hello, once it is whole */
    uint32_t hello_at;
    bool hello; /* the packet that is under way */
} UsbStream;

/* More comes, of any length. `peer`: the other direction, by whose hello it is known how long headers are. False: it is not of the protocol, and
 * nothing that follows is. */
bool usb_stream_take(UsbStream *stream, const UsbStream *peer, const uint8_t *data, size_t size);
