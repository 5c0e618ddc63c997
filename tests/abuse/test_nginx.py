"""Refusable requests through nginx by the documented file, with two servers: nobody else notices.

nginx takes a server for dead, for everybody, that closes a connection without an answer; so one stranger's request
could end the service. Each request here is answered by compartmentd, and another client has no answer but 200.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
import yaml

from tests.support.daemon import ADMIN, Daemon
from tests.support.proxies import FILES, running
from tests.support.rawclient import Polling
from tests.support.timing import within
from tests.support.wire import UPGRADE, head

pytestmark = pytest.mark.slow

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """nginx in front of two daemons."""
    directory = tmp_path_factory.mktemp("nginx")
    settings = yaml.safe_load((FILES / "compartments.yaml").read_text())
    settings["server"] |= {"listen": ["127.0.0.1:0"], "admin": [f"{ADMIN}:0"]}
    for name in ("a", "b"):
        (directory / name).mkdir()
    with (
        Daemon(directory / "a", settings) as one,
        Daemon(directory / "b", settings) as two,
        running("nginx", directory, (one, two)) as address,
    ):
        yield address


def padding(size: int) -> dict[str, str]:
    """Return header lines of this size in all, each within nginx's 8 KiB."""
    return {f"X-Padding-{index}": "a" * 7000 for index in range(size // 7000)}


REQUESTS = {
    "HEAD for a WebSocket": (head("HEAD", WEBSOCKET, UPGRADE), 400),
    "POST for a WebSocket": (head("POST", WEBSOCKET, {**UPGRADE, "Content-Length": "3"}) + b"abc", 400),
    "an older WebSocket": (head("GET", WEBSOCKET, {**UPGRADE, "Sec-WebSocket-Version": "8"}), 426),
    "a foreign page": (head("GET", WEBSOCKET, {**UPGRADE, "Origin": "https://evil.example"}), 403),
    "17 KiB of headers": (head("GET", POLLING, padding(17_000)), 200),
    "28 KiB of headers": (head("GET", POLLING, padding(28_000)), 200),
    "150 header lines": (head("GET", POLLING, {f"X-{index}": "1" for index in range(150)}), 400),
    "cookies": (head("GET", POLLING, {"Cookie": ";" * 7_000}), 200),
    "a method of one's own": (head("BREW", POLLING, {}), 405),
    "OPTIONS": (head("OPTIONS", POLLING, {}), 400),
    "HEAD": (head("HEAD", POLLING, {}), 400),
    "a sid that is unknown": (head("GET", f"{POLLING}&sid=none", {}), 400),
    "many parameters": (head("GET", POLLING + "&a=1" * 150, {}), 400),
    "a long body for nobody": (
        head("POST", f"{POLLING}&sid=none", {"Content-Length": "900000"}) + b"4" * 900_000,
        400,
    ),
    "a long body beyond nginx's limit": (
        head("POST", f"{POLLING}&sid=none", {"Content-Length": "1900000"}) + b"4" * 1_900_000,
        413,
    ),
    "a long body for another path": (
        head("POST", "/socket.io/none", {"Content-Length": "900000"}) + b"4" * 900_000,
        400,
    ),
}
"""Each with the answer that it gets."""


async def ask(url: str, data: bytes, source: str) -> int:
    """Make one request; return the status, 0 where there was no answer."""
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
    try:
        writer.write(data)
        top = await within(10, reader.readuntil(b"\r\n\r\n"), "an answer")
    except (asyncio.IncompleteReadError, ConnectionError):
        return 0
    finally:
        writer.close()
    return int(top.split()[1])


async def poll_beside(url: str, source: str, seen: list[int], stop: asyncio.Event) -> None:
    """Open sessions and post to them, until the end; note every status."""
    while not stop.is_set():
        client = Polling(url, source)
        status, body = await client.http("GET", "")
        seen.append(status)
        if status == 200:
            sid = body.partition('"sid":"')[2].partition('"')[0]
            seen.append((await client.http("POST", f"&sid={sid}", b"1"))[0])
        await asyncio.sleep(0.01)


@pytest.mark.parametrize("name", REQUESTS)
async def test_a_request_that_is_refused_harms_nobody_else(url: str, name: str) -> None:
    data, wanted = REQUESTS[name]
    # Addresses are led to one server or the other by nginx's hash.
    sources = [f"127.0.3.{index}" for index in range(1, 5)]
    seen: list[int] = []
    stop = asyncio.Event()
    beside = [asyncio.create_task(poll_beside(url, f"127.0.4.{index}", seen, stop)) for index in range(1, 5)]
    try:
        for source in sources * 3:
            assert await ask(url, data, source) == wanted
    finally:
        stop.set()
        await asyncio.gather(*beside)
    assert set(seen) == {200}


async def test_two_posts_at_once_and_a_binary_one_harm_nobody_else(url: str) -> None:
    for more in ({}, {"Content-Type": "application/octet-stream"}):
        client = await Polling.open(url, "127.0.3.1")
        body = b"4" * 60_000
        request = (
            head("POST", f"{POLLING}&sid={client.sid}", {"Content-Length": str(len(body)), **more}) + body
        )
        statuses = await asyncio.gather(*[ask(url, request, "127.0.3.1") for _ in range(2)])
        assert set(statuses) <= {200, 400}, statuses
        other = await Polling.open(url, "127.0.3.1")
        assert await other.post("1") == 200
