"""The browser's client library beside the path of Socket.IO, as Node's server has it (`server.client`)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from importlib import resources

from compartmentd.net.quiet_handler import QuietHandler

NAMES = tuple(f"socket.io{form}.js{map_}" for form in ("", ".min", ".esm.min") for map_ in ("", ".map"))
"""The files that are served: Node's, but for the parser of msgpack, which the server does not speak."""


class ClientFileHandler(QuietHandler):
    """Answers one file of the library; it is open to everybody, like the copy at every CDN."""

    def initialize(self, is_on: Callable[[], bool]) -> None:
        """Take what tells whether the library is served at all now."""
        self._is_on = is_on

    def get(self, name: str) -> None:
        """Answer the file, or that the client's copy is the same."""
        if not self._is_on():
            self.set_status(404)
            self.finish()
            return
        etag = f'"{read_version()}"'
        self.set_header("Cache-Control", "public, max-age=0")
        self.set_header("ETag", etag)
        # For pages of other origins, which load modules by CORS alone.
        self.set_header("Access-Control-Allow-Origin", "*")
        if etag in self.request.headers.get("If-None-Match", ""):
            self.set_status(304)
            self.finish()
            return
        kind = "json" if name.endswith(".map") else "javascript"
        self.set_header("Content-Type", f"application/{kind}; charset=utf-8")
        self.finish(read_client_file(name))

    head = get


def read_client_file(name: str) -> bytes:
    """Return the bytes of one of `NAMES`."""
    return (resources.files("compartmentd.http") / "pages" / "vendor" / name).read_bytes()


@cache
def read_version() -> str:
    """Return the version of the library, which its first lines tell."""
    found = re.search(rb"Socket\.IO v([0-9.]+)", read_client_file("socket.io.min.js")[:200])
    if found is None:
        raise AssertionError("the client's bundle does not tell its version")
    return found[1].decode()


def make_client_route(
    path: str, is_on: Callable[[], bool]
) -> tuple[str, type[ClientFileHandler], dict[str, object]]:
    """Return the route for Tornado that serves the library beside `path`."""
    names = "|".join(map(re.escape, NAMES))
    return (f"{re.escape(path.rstrip('/'))}/({names})", ClientFileHandler, {"is_on": is_on})
