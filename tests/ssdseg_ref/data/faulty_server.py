"""A server on loopback that has every fault a download meets: the first part of an address names the fault."""

import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PIECE = 1 << 14  # bytes that come before a connection is cut, or stalls


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        fault = self.path.split("/")[1]
        self.server.asked[fault] += 1
        self.server.ranges.append(self.headers.get("Range"))
        getattr(self, fault.replace("-", "_"))(self.server.content)

    def begin(self, length, status=200, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def rest(self, content):
        """The bytes that are asked for, after the header of such an answer."""
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if start >= len(content):
            self.send_error(416)
        elif start:
            end = len(content) - 1
            self.begin(len(content) - start, 206, Content_Range=f"bytes {start}-{end}/{len(content)}")
        else:
            self.begin(len(content))
        return content[start:]

    def good(self, content):
        self.wfile.write(self.rest(content))

    def wrong(self, content):
        self.wfile.write(self.rest(bytes(len(content))))

    def no_range(self, content):
        self.begin(len(content))
        self.wfile.write(content)

    def cut(self, content):
        self.wfile.write(self.rest(content)[:PIECE])

    def cut_no_range(self, content):
        self.begin(len(content))
        self.wfile.write(content[:PIECE])

    def cut_at_once(self, content):
        self.rest(content)

    def no_answer(self, content):
        """The connection ends without a word."""

    def stalls(self, content):
        self.wfile.write(self.rest(content)[:PIECE])
        self.wfile.flush()
        self.server.end.wait(20)

    def silent(self, content):
        self.server.end.wait(20)

    def drips(self, content):
        rest = self.rest(content)
        for start in range(0, len(rest), PIECE):
            self.wfile.write(rest[start : start + PIECE])
            self.wfile.flush()
            time.sleep(0.01)

    def moved(self, content):
        self.begin(0, 302, Location="/good/archive.zip")

    def moved_to_nowhere(self, content):
        self.begin(0, 302, Location="ftp://127.0.0.1/archive.zip")

    def loop(self, content):
        self.begin(0, 302, Location=self.path)

    def missing(self, content):
        self.send_error(404)

    def busy_once(self, content):
        if self.server.asked["busy-once"] == 1:
            self.send_error(503)
        else:
            self.good(content)

    def refuses_ranges(self, content):
        if self.headers.get("Range"):
            self.send_error(416)
        else:
            self.no_range(content)

    def other_range(self, content):
        """Answers each wish for a part with the first ten bytes."""
        if self.headers.get("Range"):
            self.begin(10, 206, Content_Range=f"bytes 0-9/{len(content)}")
            self.wfile.write(content[:10])
        else:
            self.no_range(content)

    def odd_range(self, content):
        if self.headers.get("Range"):
            self.begin(10, 206, Content_Range="bytes 5-14/*")
            self.wfile.write(content[5:15])
        else:
            self.no_range(content)

    def says_more(self, content):
        self.begin(len(content) + 100)
        self.wfile.write(content)

    def says_less(self, content):
        self.begin(len(content) - 100)
        self.wfile.write(content)

    def says_nothing(self, content):
        self.begin(None)
        self.wfile.write(content)

    def endless(self, content):
        self.begin(None)
        with_more = content + bytes(1 << 20)
        self.wfile.write(with_more)

    def page(self, content):
        """What a hotel's network answers to everything."""
        self.begin(4)
        self.wfile.write(b"Hi!\n")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_):
        """A client that hangs up is no surprise here."""

    def address(self, fault: str) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/{fault}/archive.zip"


@contextmanager
def serve(content: bytes):
    server = Server(("127.0.0.1", 0), Handler)
    server.content, server.asked, server.ranges, server.end = content, Counter(), [], threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.end.set()
        server.shutdown()
        thread.join()
        server.server_close()
