"""Every refused request says why, the same in its answer, in the log and in the counters, on every way through."""

from __future__ import annotations

import logging

import pytest

from compartmentd.protocol.counters import REASONS
from compartmentd.transport.options import ServerOptions
from tests.support.recorder import Recorder
from tests.support.wire import UPGRADE, request, serving

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
FOREIGN = {"Origin": "https://a.example"}
WAYS = {"plain": {}, "by Tornado": {"X-Tab": "a\tb"}}
"""Header lines by which a request takes one way or the other."""


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("ask", "status", "reason"),
    [
        (("GET", POLLING, FOREIGN), 403, "origin"),
        (("POST", f"{POLLING}&sid=x", FOREIGN), 403, "origin"),
        (("OPTIONS", POLLING, FOREIGN), 403, "origin"),
        (("GET", WEBSOCKET, UPGRADE | FOREIGN), 403, "origin"),
        (("GET", POLLING, {"Cookie": "rt=1"}), 403, "origin"),
        (("GET", WEBSOCKET, UPGRADE | {"Cookie": "rt=1", "Sec-Fetch-Site": "cross-site"}), 403, "origin"),
        (("GET", f"{POLLING}&sid=x", {}), 400, "session"),
        (("GET", f"{WEBSOCKET}&sid=x", UPGRADE), 400, "session"),
        (("GET", "/socket.io/?EIO=3&transport=polling", {}), 400, "version"),
        (("GET", "/socket.io/?EIO=3&transport=websocket", UPGRADE), 400, "version"),
        (("GET", "/socket.io/?transport=polling", {}), 400, "version"),
        (("GET", "/socket.io/?EIO=4&transport=sse", {}), 400, "transport"),
        (("GET", "/socket.io/", {}), 400, "transport"),
        (("GET", WEBSOCKET, {}), 400, "upgrade"),
        (("GET", POLLING, UPGRADE), 400, "upgrade"),
        (("POST", POLLING, {}), 400, "method"),
        (("PUT", POLLING, {}), 400, "method"),
        (("GET", POLLING + "&a" * 120, {}), 400, "query"),
        (("GET", WEBSOCKET + "&a" * 120, UPGRADE), 400, "query"),
        (("GET", WEBSOCKET, UPGRADE | {"Sec-WebSocket-Version": "8"}), 426, "websocket"),
        (("GET", "/", {}), 404, "path"),
        (("POST", "/socket.io/x", {}), 404, "path"),
    ],
)
async def test_a_refusal_says_why(
    ask: tuple[str, str, dict[str, str]], status: int, reason: str, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    method, target, headers = ask
    caplog.set_level(logging.INFO)
    async with serving(Recorder(), ServerOptions(token_cookies=("rt",))) as served:
        reply = await request(served.port, method, target, b"", {**headers, **WAYS[way]})
        counted = {name: count for name, count in served.server.counters.refusals.items() if count}
    assert reply.status == status
    assert counted == {reason: 1}
    detail = reply.text if reason == "websocket" else reply.json["detail"]
    if reason != "websocket":
        assert reply.json["reason"] == reason
    (line,) = [record for record in caplog.records if record.__dict__.get("event") == "request"]
    assert line.__dict__["fields"]["reason"] == reason
    assert line.getMessage().endswith(f" {status}: {detail}")
    assert "sid=" not in line.getMessage()


async def test_a_body_that_is_too_long_says_so(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(Recorder()) as served:
        opened = await request(served.port, "GET", POLLING)
        sid = opened.text.partition('"sid":"')[2].partition('"')[0]
        reply = await request(served.port, "POST", f"{POLLING}&sid={sid}", b"4" * 70_000)
        assert (reply.status, reply.json["reason"]) == (413, "body_size")
        assert served.server.counters.refusals["body_size"] == 1
    assert [
        record.__dict__["fields"]["reason"] for record in caplog.records if "413" in record.getMessage()
    ] == ["body_size"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_the_page_may_read_that_its_body_is_too_long(chunked: bool) -> None:
    options = ServerOptions(origins=("https://a.example",), max_payload=1000)
    async with serving(Recorder(), options) as served:
        opened = await request(served.port, "GET", POLLING, headers=FOREIGN)
        sid = opened.text.partition('"sid":"')[2].partition('"')[0]
        body = b"7d0\r\n" + b"4" * 2000 + b"\r\n0\r\n\r\n" if chunked else b"4" * 2000
        headers = FOREIGN | ({"Transfer-Encoding": "chunked"} if chunked else {})
        reply = await request(served.port, "POST", f"{POLLING}&sid={sid}", body, headers)
    assert (reply.status, reply.json["reason"]) == (413, "body_size")
    assert reply.headers["access-control-allow-origin"] == "https://a.example"


async def test_a_scan_is_one_kind_of_line_for_each_reason(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    async with serving(Recorder()) as served:
        for number in range(150):
            await request(served.port, "GET", f"/{number}")
        await request(served.port, "GET", POLLING, headers=FOREIGN)
    reasons = [record.__dict__["fields"].get("reason") for record in caplog.records]
    assert reasons.count("path") < 150
    assert reasons.count("origin") == 1


def test_reasons_are_a_fixed_list() -> None:
    assert len(set(REASONS)) == len(REASONS)


@pytest.mark.parametrize("way", WAYS)
async def test_a_trusted_proxy_names_the_host(way: str) -> None:
    headers = {"Origin": "https://app.example.com", "X-Forwarded-Host": "app.example.com", **WAYS[way]}
    for proxies, status in ((("127.0.0.1/32",), 200), ((), 403)):
        async with serving(Recorder(), ServerOptions(trusted_proxies=proxies)) as served:
            assert (await request(served.port, "GET", POLLING, headers=headers)).status == status
