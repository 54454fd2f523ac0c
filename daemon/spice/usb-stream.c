/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "usb-stream.h"

#include <string.h>

/* usb-redir-protocol.h: type, length, and an id of 4 bytes, or 8 where both can do that; little endian. */
#define SHORT_HEADER 12U
#define LONG_HEADER 16U
#define TYPE_HELLO 0U
#define TYPE_CONTROL_MAX 27U /* usb_redir_bulk_receiving_status */
#define TYPE_DATA_MIN 100U
#define TYPE_DATA_MAX 104U
#define CAPABILITY_64BITS_IDS (1U << 5)
#define VERSION_SIZE 64U
#define HELLO_MAX (VERSION_SIZE + 64U)
/* More than any transfer of QEMU's, and of its parser's own limit. */
#define CONTROL_MAX 4096U
#define DATA_MAX (16U << 20)

static uint32_t read_number(const uint8_t *at)
{
    return (uint32_t) at[0] | (uint32_t) at[1] << 8 | (uint32_t) at[2] << 16 | (uint32_t) at[3] << 24;
}

static bool is_known(const UsbStream *stream)
{
    return stream->greeted && !(stream->hello && stream->left > 0);
}

static size_t header_size(const UsbStream *stream, const UsbStream *peer)
{
    bool both = stream->greeted && (stream->capabilities & peer->capabilities & CAPABILITY_64BITS_IDS);
    return both ? LONG_HEADER : SHORT_HEADER;
}

static bool begin_packet(UsbStream *stream, const UsbStream *peer)
{
    uint32_t type = read_number(stream->header), length = read_number(stream->header + 4);
    stream->n_header = 0;
    stream->left = length;
    stream->hello = type == TYPE_HELLO;
    if (stream->hello) {
        bool first = !stream->greeted;
        stream->greeted = true;
        stream->hello_at = 0;
        return first && length >= VERSION_SIZE && length <= HELLO_MAX && length % 4 == 0;
    }
    /* Before both hellos are known it is not known how its header is to be read either. */
    if (!stream->greeted || !is_known(peer))
        return false;
    if (type >= TYPE_DATA_MIN)
        return type <= TYPE_DATA_MAX && length <= DATA_MAX;
    return type <= TYPE_CONTROL_MAX && length <= CONTROL_MAX;
}

/* The first word after the version. */
static void read_capabilities(UsbStream *stream, const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < size; i++, stream->hello_at++)
        if (stream->hello_at >= VERSION_SIZE && stream->hello_at < VERSION_SIZE + 4)
            stream->capabilities |= (uint32_t) data[i] << 8 * (stream->hello_at - VERSION_SIZE);
}

bool usb_stream_take(UsbStream *stream, const UsbStream *peer, const uint8_t *data, size_t size)
{
    while (size > 0) {
        size_t n;
        if (stream->left > 0) {
            n = stream->left < size ? (size_t) stream->left : size;
            if (stream->hello)
                read_capabilities(stream, data, n);
            stream->left -= n;
        } else {
            size_t header = header_size(stream, peer);
            n = header - stream->n_header < size ? header - stream->n_header : size;
            memcpy(stream->header + stream->n_header, data, n);
            stream->n_header += n;
            if (stream->n_header == header && !begin_packet(stream, peer))
                return false;
        }
        data += n;
        size -= n;
    }
    return true;
}
