"""Serves a page to browsers of this machine alone, with the headers by which it may compute on several threads."""

from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HEADERS = {  # a page without them is not "isolated", and gets no memory that threads share
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",  # a newer page may have the same address
}


def open_server(folder: Path) -> ThreadingHTTPServer:
    """A server of the files in a folder, on a free port of 127.0.0.1; its `serve_forever` answers requests.

    Raises:
        OSError: if there is no free port.
    """
    return ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, directory=str(folder)))


def address(server: ThreadingHTTPServer) -> str:
    """What a browser opens."""
    return f"http://127.0.0.1:{server.server_port}/"


class _Handler(SimpleHTTPRequestHandler):
    def end_headers(self) -> None:
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def list_directory(self, path: Any) -> None:
        self.send_error(404)

    def log_message(self, *_: Any) -> None:
        """Nothing: a line for each file tells nobody anything."""
