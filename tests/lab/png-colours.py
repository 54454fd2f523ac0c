#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""png-colours.py FILE: prints the size of a PNG of 24 bits and the colour that most of its pixels have: "720x400 0000a8"."""

import collections
import struct
import sys
import zlib

data = open(sys.argv[1], "rb").read()
assert data.startswith(b"\x89PNG\r\n\x1a\n"), "no PNG"
place, pixels = 8, b""
while place < len(data):
    length, kind = struct.unpack(">I4s", data[place:place + 8])
    body = data[place + 8:place + 8 + length]
    if kind == b"IHDR":
        width, height, depth, colour = struct.unpack(">IIBB", body[:10])
        assert (depth, colour) == (8, 2), "not of 24 bits"
    if kind == b"IDAT":
        pixels += body
    place += length + 12
raw, above, counts = zlib.decompress(pixels), bytearray(width * 3), collections.Counter()
for y in range(height):
    start = y * (width * 3 + 1)
    kind, row = raw[start], bytearray(raw[start + 1:start + 1 + width * 3])
    for i, value in enumerate(row):
        left, up = row[i - 3] if i >= 3 else 0, above[i]
        corner = above[i - 3] if i >= 3 else 0
        if kind == 4:
            guess = left + up - corner
            nearest = min((abs(guess - left), 0, left), (abs(guess - up), 1, up), (abs(guess - corner), 2, corner))[2]
        else:
            nearest = (0, left, up, (left + up) // 2)[kind]
        row[i] = (value + nearest) & 255
    counts.update(bytes(row[i:i + 3]).hex() for i in range(0, width * 3, 3))
    above = row
print(f"{width}x{height} {counts.most_common(1)[0][0]}")
