#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""web-server.py PORT FILE: a server that does to FILE what servers do, by path:

/good.img        sends it
/breaks.img      breaks off every 5 MiB; can go on in the middle
/anew.img        breaks off once in the middle, and cannot go on there
/ever.img        sends for ever, and does not say how much
/huge.img        says that it is 1 TiB
/elsewhere.img   leads to file:///etc/shadow
/missing.img     404
"""
import http.server
import re
import socketserver
import sys

data = open(sys.argv[2], "rb").read()
PIECE = 5 * 1024 * 1024
broken = set()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        print(self.path, self.headers.get("Range", "-"), flush=True)

    def send(self, status, body, length, *headers):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)
        self.close_connection = True

    def do_GET(self):
        name = self.path.strip("/").split(".")[0]
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(wanted[1]) if wanted else 0
        if name == "good":
            self.send(200, data, len(data))
        elif name == "breaks":
            headers = [("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")] if wanted else []
            self.send(206 if wanted else 200, data[start:start + PIECE], len(data) - start, *headers)
        elif name == "anew":
            whole = "anew" in broken and not wanted
            broken.add("anew")
            self.send(200, data if whole else data[:PIECE], len(data))
        elif name == "ever":
            self.send_response(200)
            self.send_header("Connection", "close")
            self.end_headers()
            self.close_connection = True
            while True:
                self.wfile.write(bytes(65536))
        elif name == "huge":
            self.send(200, b"x", 1 << 40)
        elif name == "elsewhere":
            self.send(302, b"", 0, ("Location", "file:///etc/shadow"))
        else:
            self.send(404, b"", 0)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        pass


Server(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
