#!/usr/bin/python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""transfer.py take|give BYTES ADDRESS...: so many bytes from, or to, each of these guests of the tests that have the word "net"; prints how
many ms of the host's clock each took."""

import sys
import time
import urllib.request

way, size, times = sys.argv[1], int(sys.argv[2]), []
urllib.request.urlopen(f"http://{sys.argv[3]}/").read()  # the first one loads modules
for address in sys.argv[3:]:
    began = time.monotonic()
    if way == "take":
        came = len(urllib.request.urlopen(f"http://{address}/{size}", timeout=100).read())
    else:
        came = int(urllib.request.urlopen(f"http://{address}/cgi-bin/count", data=bytes(size), timeout=100).read())
    assert came == size, came
    times.append(round((time.monotonic() - began) * 1000))
print(*times)
