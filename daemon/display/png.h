/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

/* Png: a picture as a PNG file. Nothing is compressed, since who asks for a picture is on this host and shall have it soon. */

#include <glib.h>
#include <stdint.h>

/* `pixels`: width * height words of blue, green, red and one that does not count, as little-endian 0x00rrggbb; both at least 1. */
GByteArray *png_new(const uint8_t *pixels, uint32_t width, uint32_t height);
