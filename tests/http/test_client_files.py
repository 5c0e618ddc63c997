"""The client's library and the health path on the listeners of clients."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from compartmentd.http.client_files import NAMES, make_client_route, read_client_file, read_version
from compartmentd.http.health import make_health_route
from tests.support.recorder import Recorder
from tests.support.wire import Reply, request, serving

PACKAGE = Path(__file__).parents[1] / "support/js/node_modules/socket.io-client"


class Settings:
    """What a reload may change."""

    client = True
    health = "/healthz"
    draining = False


@asynccontextmanager
async def listening(settings: Settings) -> AsyncIterator[Any]:
    routes = [
        make_client_route("/socket.io/", lambda: settings.client),
        make_health_route(lambda: settings.health, lambda: settings.draining),
    ]
    async with serving(Recorder(), handlers=routes) as served:

        async def ask(path: str, method: str = "GET", **headers: str) -> Reply:
            return await request(served.port, method, path, headers=headers)

        yield ask


@pytest.mark.parametrize("name", NAMES)
async def test_each_file_is_served_as_nodes_server_does(name: str) -> None:
    async with listening(Settings()) as ask:
        reply = await ask(f"/socket.io/{name}?v=1")
        same = await ask(f"/socket.io/{name}", **{"If-None-Match": f'W/"{read_version()}"'})
    assert (reply.status, reply.body) == (200, read_client_file(name))
    kind = "json" if name.endswith(".map") else "javascript"
    assert reply.headers["content-type"] == f"application/{kind}; charset=utf-8"
    assert reply.headers["cache-control"] == "public, max-age=0"
    assert reply.headers["etag"] == f'"{read_version()}"'
    assert (same.status, same.body) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "socket.io.msgpack.min.js",
        "socket.io.js.map.map",
        "LICENSE",
        "README.md",
        "..%2fREADME.md",
        "Socket.io.js",
    ],
)
async def test_nothing_else_is(path: str) -> None:
    async with listening(Settings()) as ask:
        assert (await ask(f"/socket.io/{path}")).status == 404


async def test_they_are_not_served_where_they_are_not_wanted() -> None:
    settings = Settings()
    async with listening(settings) as ask:
        settings.client = False
        assert (await ask("/socket.io/socket.io.min.js")).status == 404
        settings.client = True
        assert (await ask("/socket.io/socket.io.min.js")).status == 200


@pytest.mark.slow
@pytest.mark.parametrize("name", [*NAMES, "LICENSE"])
def test_the_committed_files_are_those_of_npm(name: str) -> None:
    """The tests use the same release of the client, which npm installed."""
    source = PACKAGE / name if name == "LICENSE" else PACKAGE / "dist" / name
    assert read_client_file(name) == source.read_bytes()
    assert f'"version": "{read_version()}"' in (PACKAGE / "package.json").read_text()


async def test_health_is_told_and_nothing_else() -> None:
    settings = Settings()
    async with listening(settings) as ask:
        reply = await ask("/healthz")
        assert (reply.status, reply.body, reply.headers["cache-control"]) == (200, b"ok", "no-store")
        assert (await ask("/healthz?full=1")).body == b"ok"
        for path in ("/healthz/", "/readyz", "/health"):
            assert (await ask(path)).status == 404
        assert (await ask("/healthz", "POST")).status == 405
        settings.draining = True
        reply = await ask("/healthz")
        assert (reply.status, reply.body) == (503, b"")


async def test_a_reload_moves_it() -> None:
    settings = Settings()
    async with listening(settings) as ask:
        settings.health = "/rt/alive"
        assert (await ask("/rt/alive")).body == b"ok"
        assert (await ask("/healthz")).status == 404
