"""How sessions end, and what keeps them in bounds: time, limits, and clients that do not read."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from tests.integration import world
from tests.integration.world import CHAT
from tests.support.daemon import Daemon
from tests.support.jsclient import js_client
from tests.support.mint import Issuer
from tests.support.rawclient import Polling, RawClient
from tests.support.timing import eventually, seconds


async def test_a_session_ends_when_its_token_does(shared: Daemon, corp: Issuer) -> None:
    async with js_client() as js:
        manager = await js.manager(shared.url)
        everyone = await manager.socket("/")
        ends = int(time.time()) + 5  # from when all is ready that takes its time
        token = corp.token("ann", scope=CHAT, exp=ends)
        ann = await manager.socket("/chat", token)
        [expiring] = await ann.event("expiring")
        assert set(expiring) == {"in"}
        assert 0 < expiring["in"] <= 5000
        await ann.ok("join", "lobby")
        [closing] = await ann.event("closing")
        assert (closing["code"], closing["retry"]) == ("token_expired", True)
        assert await ann.disconnected() == "io server disconnect"
        assert ends <= time.time() <= ends + seconds(5)
        assert (await manager.refusal("/staff", token))["data"]["code"] == "token_expired"
        assert await everyone.denied("publish", None, "message", "x") == "token_missing", "the rest goes on"
        await ann.use_token(corp.token("ann", scope=CHAT))
        await ann.connect()
        await ann.connected()
        await ann.ok("join", "lobby")


async def test_the_session_also_ends_in_a_public_namespace_and_at_max_age(
    tmp_path: Path, corp: Issuer
) -> None:
    settings = world.settings() | {"issuers": {"corp": corp.settings(max_age="4s")}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        async with js_client() as js:
            ann = await (await js.manager(daemon.url)).socket("/", corp.token("ann"))
            assert (await ann.event("closing"))[0]["code"] == "token_expired"
            assert await ann.disconnected() == "io server disconnect"


# --- limits ---------------------------------------------------------------------------------------------


async def limited(tmp_path: Path, corp: Issuer, **limits: object) -> Daemon:
    settings = world.settings()
    settings["namespaces"]["/chat"]["limits"] = limits
    return world.daemon(tmp_path, corp, settings)


async def test_messages_beyond_the_rate_are_refused_and_come_back(tmp_path: Path, corp: Issuer) -> None:
    with await limited(tmp_path, corp, message_rate="2/s") as daemon:
        async with js_client() as js:
            ann = await (await js.manager(daemon.url)).socket("/chat", corp.token("ann", scope=CHAT))
            await ann.ok("join", "mirror")
            began = time.monotonic()
            publishing = [ann.emit("publish", "mirror", "message", number) for number in range(30)]
            answers = await asyncio.gather(*publishing)
            took = time.monotonic() - began
            errors = [answer["error"] for answer in answers if not answer["ok"]]
            assert 2 <= 30 - len(errors) <= 2 + 2 * took
            assert {error["code"] for error in errors} == {"rate_limited"}
            assert all(error["retry"] and 0 < error["after"] <= 1000 for error in errors)
            await asyncio.sleep(errors[-1]["after"] / 1000 + 0.01)
            await ann.ok("publish", "mirror", "message", "again")


async def test_a_session_has_so_many_rooms_and_a_user_so_many_sessions(tmp_path: Path, corp: Issuer) -> None:
    with await limited(
        tmp_path, corp, join_rate="unlimited", rooms_per_session=3, sessions_per_user=2
    ) as daemon:
        async with js_client() as js:
            ann = await (await js.manager(daemon.url)).socket(
                "/chat", corp.token("ann", scope=CHAT, clearance=9)
            )
            await ann.event("joined")
            answers = await ann.emit("join", ["case:1", "case:2", "case:3"])
            assert [a["ok"] for a in answers] == [True, True, False]
            assert (answers[2]["error"]["code"], answers[2]["error"]["retry"]) == ("too_many", True)
            await ann.ok("leave", "case:1")
            await ann.ok("join", "case:3")
            second = await (await js.manager(daemon.url)).socket("/chat", corp.token("ann", scope=CHAT))
            third = await js.manager(daemon.url)
            refused = await third.refusal("/chat", corp.token("ann", scope=CHAT))
            assert (refused["data"]["code"], refused["data"]["retry"]) == ("too_many", True)
            await (await js.manager(daemon.url)).socket("/chat", corp.token("bob", scope=CHAT))
            await second.disconnect()
            await eventually(lambda: daemon.status()["sessions"] == 2, "the second session has ended")
            await (await js.manager(daemon.url)).socket("/chat", corp.token("ann", scope=CHAT))


async def test_too_many_connections_are_refused_before_there_is_a_session(
    tmp_path: Path, corp: Issuer
) -> None:
    settings = world.settings() | {"server": {"connections": 2}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        clients = [await RawClient.open(daemon.url) for _ in range(2)]
        third = await RawClient.dial(daemon.url)
        assert third.status == 503
        await third.close()
        polling = Polling(daemon.url)
        assert (await polling.http("GET", ""))[0] == 503
        for client in clients:
            assert (await client.connect("/")).sid
            await client.close()
        await eventually(lambda: daemon.status()["connections"] == 0, "nobody is connected")
        fourth = await RawClient.open(daemon.url)
        await fourth.close()


async def test_a_connection_without_a_session_is_closed(tmp_path: Path, corp: Issuer) -> None:
    settings = world.settings() | {"server": {"connect_timeout": "3s"}}
    with world.daemon(tmp_path, corp, settings) as daemon:
        busy = await RawClient.open(daemon.url)
        assert (await busy.connect("/")).sid
        idle = await RawClient.open(daemon.url)
        await idle.until(lambda: idle.closed, "the idle connection is closed")
        assert not busy.closed
        await busy.close()


# --- clients that do not read -------------------------------------------------------------------------


async def test_a_client_that_does_not_read_is_closed_and_holds_nobody_up(
    tmp_path: Path, corp: Issuer
) -> None:
    settings = world.settings() | {
        "server": {"send_buffer": "256KiB"},
        "limits": {"message_rate": "unlimited", "byte_rate": "unlimited"},
    }
    with world.daemon(tmp_path, corp, settings) as daemon:
        ann, bob, deaf = [await RawClient.open(daemon.url) for _ in range(3)]
        for name, client in {"ann": ann, "bob": bob, "deaf": deaf}.items():
            await client.connect("/chat", corp.token(name, scope=CHAT))
            assert (await client.call("/chat", "join", "lobby"))["ok"]
        assert deaf.transport is not None
        deaf.transport.pause_reading()
        sent = 0
        while daemon.status()["connections"] == 3:
            assert sent < 2000, "the client that does not read was never closed"
            for _ in range(20):
                assert (await ann.call("/chat", "publish", "lobby", "blob", f"{sent:05}" + "x" * 32_000))[
                    "ok"
                ]
                sent += 1
        blobs = bob.sessions["/chat"].events
        await bob.until(lambda: sum(e[0] == "blob" for e in blobs) == sent, "bob got them all")
        assert [int(e[1][:5]) for e in blobs if e[0] == "blob"] == list(range(sent))
        deaf.transport.abort()
        for client in (ann, bob):
            await client.close()


async def test_volatile_messages_are_dropped_for_a_poll_that_is_far_behind(
    shared: Daemon, corp: Issuer
) -> None:
    ann = await RawClient.open(shared.url)
    await ann.connect("/chat", corp.token("ann", scope=CHAT))
    bob = await Polling.open(shared.url)
    bob.keep_polling()
    await bob.connect("/chat", corp.token("bob", scope=CHAT))
    for client in (ann, bob):
        assert (await client.call("/chat", "join", "lobby"))["ok"]
    paused = asyncio.create_task(bob.pause())
    assert (await ann.call("/chat", "publish", "lobby", "blob", "the poll under way takes this"))["ok"]
    await paused
    for number in range(10):
        await ann.call("/chat", "publish", "lobby", "typing", [number, "x" * 30_000])
        await ann.call("/chat", "publish", "lobby", "blob", number)
    bob.keep_polling()
    events = bob.sessions["/chat"].events
    await bob.until(lambda: events[-1][:2] == ["blob", 9], "the last message")
    assert [e[1] for e in events if e[0] == "blob"][1:] == list(range(10)), "the others all came"
    assert 0 < sum(e[0] == "typing" for e in events) < 6
    await bob.close()
    await ann.close()


@pytest.mark.parametrize("event", ["expiring", "closing"])
async def test_only_the_server_says_so(shared: Daemon, corp: Issuer, event: str) -> None:
    async with js_client() as js:
        ann = await (await js.manager(shared.url)).socket("/chat", corp.token("ann", scope=CHAT))
        assert await ann.denied(event, {}) == "unknown_event"
