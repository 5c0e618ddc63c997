"""`/backchannel-logout` on real sockets, before a receiver that remembers what it was given."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from urllib.parse import urlencode

import pytest

from compartmentd.http.logout import ADDRESSES, BODY_BYTES, BURST, FAILURES, Failures, make_backchannel_route
from tests.conformance.echo import Echo
from tests.support.clock import FakeClock
from tests.support.timing import within
from tests.support.wire import Reply, head, read_reply, request, serving

PATH = "/backchannel-logout"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
GOOD = "good.logout.token"


class Receiver:
    """Takes `GOOD` and nothing else; `taken` lists what it was given."""

    def __init__(self) -> None:
        self.wanted = True
        self.taken: list[str] = []

    async def log_out(self, token: str) -> bool:
        self.taken.append(token)
        await asyncio.sleep(0)
        return token == GOOD


@asynccontextmanager
async def listening(receiver: Receiver) -> AsyncIterator[int]:
    async with serving(Echo(), handlers=[make_backchannel_route(receiver)]) as served:
        yield served.port


def form(*fields: tuple[str, str]) -> bytes:
    return urlencode(fields).encode()


async def posted(
    body: bytes, headers: Mapping[str, str] = FORM, path: str = PATH, method: str = "POST"
) -> tuple[Reply, Receiver]:
    """Send one request to a receiver of its own."""
    receiver = Receiver()
    async with listening(receiver) as port:
        return await request(port, method, path, body, headers), receiver


async def test_a_good_token_is_taken() -> None:
    reply, receiver = await posted(form(("logout_token", GOOD)))
    assert (reply.status, reply.body) == (200, b"")
    assert reply.headers["cache-control"] == "no-store"
    assert receiver.taken == [GOOD]


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        (form(("state", "x"), ("logout_token", GOOD)), FORM),
        (form(("logout_token", GOOD)), {"Content-Type": "Application/X-WWW-form-urlencoded; charset=UTF-8"}),
        (b"logout%5Ftoken=good%2Elogout.token", FORM),
    ],
)
async def test_forms_are_read_as_forms(body: bytes, headers: Mapping[str, str]) -> None:
    reply, receiver = await posted(body, headers)
    assert reply.status == 200
    assert receiver.taken == [GOOD]


@pytest.mark.parametrize(
    ("body", "headers", "given"),
    [
        (form(("logout_token", "bad")), FORM, ["bad"]),
        (form(("logout_token", "")), FORM, [""]),
        (form(("token", GOOD)), FORM, []),
        (form(("logout_token", GOOD), ("logout_token", GOOD)), FORM, []),
        (form(*((f"n{n}", "x") for n in range(20)), ("logout_token", GOOD)), FORM, []),
        (b"", FORM, []),
        (b"\xff=\xfe", FORM, []),
        (b'{"logout_token":"good.logout.token"}', {"Content-Type": "application/json"}, []),
        (form(("logout_token", GOOD)), {}, []),
        (form(("logout_token", GOOD)), {"Content-Type": "multipart/form-data"}, []),
    ],
)
async def test_whatever_is_wrong_the_answer_is_the_same(
    body: bytes, headers: Mapping[str, str], given: list[str]
) -> None:
    reply, receiver = await posted(body, headers)
    assert reply.status == 400
    assert reply.json == {
        "error": "invalid_request",
        "error_description": "the logout request is not accepted",
    }
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["cache-control"] == "no-store"
    assert receiver.taken == given


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
async def test_it_takes_posts_alone(method: str) -> None:
    reply, receiver = await posted(b"", {}, method=method)
    assert (reply.status, reply.headers["allow"]) == (405, "POST")
    assert reply.headers["cache-control"] == "no-store"
    assert not [name for name in reply.headers if name.startswith("access-control-")]
    assert receiver.taken == []


@pytest.mark.parametrize(
    "path", [PATH + "/", PATH + "x", "/x" + PATH, "/Backchannel-Logout", "//backchannel-logout"]
)
async def test_it_is_at_exactly_that_path(path: str) -> None:
    reply, receiver = await posted(form(("logout_token", GOOD)), path=path)
    assert reply.status == 404
    assert receiver.taken == []


async def test_a_query_is_no_place_for_the_token() -> None:
    reply, receiver = await posted(b"", path=f"{PATH}?logout_token={GOOD}")
    assert reply.status == 400
    assert receiver.taken == []


async def test_where_nobody_takes_logouts_there_is_nothing() -> None:
    receiver = Receiver()
    receiver.wanted = False
    async with listening(receiver) as port:
        assert (await request(port, "POST", PATH, form(("logout_token", GOOD)), FORM)).status == 404
        assert (await request(port, "GET", PATH)).status == 404
        receiver.wanted = True
        assert (await request(port, "POST", PATH, form(("logout_token", GOOD)), FORM)).status == 200
    assert receiver.taken == [GOOD]


async def test_it_closes_where_it_says_so_and_nowhere_else() -> None:
    """A proxy that is told the one and sees the other sends the next request into a socket that closes."""
    receiver = Receiver()
    async with listening(receiver) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for token, status in ((GOOD, 200), ("bad", 400), (GOOD, 200)):
            body = form(("logout_token", token))
            writer.write(head("POST", PATH, {**FORM, "Content-Length": str(len(body))}) + body)
            reply = await read_reply(reader)
            assert (reply.status, reply.headers.get("connection")) == (status, None)
        writer.write(head("GET", PATH, {}))
        reply = await read_reply(reader)
        assert (reply.status, reply.headers["connection"]) == (405, "close")
        assert await within(5, reader.read(), "the end of the connection") == b""
        writer.close()
    assert receiver.taken == [GOOD, "bad", GOOD]


# --- bounds -----------------------------------------------------------------------------------------------------


async def test_the_body_is_bounded() -> None:
    fits = form(("logout_token", "x" * (BODY_BYTES - len("logout_token="))))
    assert len(fits) == BODY_BYTES
    assert (await posted(fits))[0].status == 400
    reply, receiver = await posted(fits + b"x")
    assert reply.status == 413
    assert receiver.taken == []


async def test_a_body_of_unknown_length_is_bounded_too() -> None:
    receiver = Receiver()
    async with listening(receiver) as port:
        for size, status in ((BODY_BYTES, 400), (BODY_BYTES + 1, 413)):
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"logout_token=".ljust(size, b"x"))
            reply = await request(port, "POST", PATH, body, {**FORM, "Transfer-Encoding": "chunked"})
            assert reply.status == status
    assert len(receiver.taken) == 1


async def flood(port: int, count: int, kind: str = "bad") -> list[int]:
    """Send requests one after the other on one connection, and return the statuses."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = form(("logout_token", kind))
    wanted = head("POST", PATH, {**FORM, "Content-Length": str(len(body))}) + body
    statuses = []
    for _ in range(count):
        writer.write(wanted)
        statuses.append((await read_reply(reader)).status)
    writer.close()
    return statuses


async def test_a_flood_of_refused_requests_is_no_longer_heard() -> None:
    receiver = Receiver()
    async with listening(receiver) as port:
        started = time.monotonic()
        statuses = await flood(port, 400)
        heard = FAILURES * (time.monotonic() - started) + BURST + 1
        assert set(statuses) == {400, 429}
        assert len(receiver.taken) == statuses.count(400) <= heard
        reply = await request(port, "POST", PATH, form(("logout_token", GOOD)), FORM)
        if reply.status == 429:
            assert reply.headers["retry-after"] == "1"
            assert reply.headers["cache-control"] == "no-store"


async def test_what_counts_is_never_too_much() -> None:
    receiver = Receiver()
    async with listening(receiver) as port:
        assert set(await flood(port, 300, GOOD)) == {200}


def test_failures_count_by_address_and_are_forgiven_in_time() -> None:
    clock = FakeClock()
    failures = Failures(clock)
    for _ in range(int(BURST)):
        assert not failures.has_too_many("192.0.2.1")
        failures.count("192.0.2.1")
    assert failures.has_too_many("192.0.2.1")
    assert not failures.has_too_many("192.0.2.2")
    clock.advance(1.5 / FAILURES)
    assert not failures.has_too_many("192.0.2.1")


def test_a_network_of_ipv6_is_one_address() -> None:
    failures = Failures(FakeClock())
    for number in range(int(BURST)):
        failures.count(f"2001:db8:1:2::{number:x}")
    assert failures.has_too_many("2001:db8:1:2:ffff::1")
    assert not failures.has_too_many("2001:db8:1:3::1")
    assert not failures.has_too_many("fe80::1%eth0")
    assert not failures.has_too_many("")


def test_only_the_latest_addresses_are_remembered() -> None:
    failures = Failures(FakeClock())
    for _ in range(int(BURST)):
        failures.count("192.0.2.1")
    for number in range(ADDRESSES):
        assert failures.has_too_many("192.0.2.1") is (number < ADDRESSES)
        failures.count(f"10.0.{number // 256}.{number % 256}")
    assert not failures.has_too_many("192.0.2.1")
