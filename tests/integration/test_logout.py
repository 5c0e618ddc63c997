"""Logouts and revocations on the real daemon: within a second, no frame after, and over a restart."""

from __future__ import annotations

import asyncio
import itertools
import json
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from tests.integration import world
from tests.integration.world import CHAT
from tests.support.daemon import Daemon, command
from tests.support.mint import Issuer
from tests.support.rawclient import RawClient
from tests.support.timing import fastest, seconds
from tests.support.wire import Reply, request

pytestmark = pytest.mark.usefixtures("uncovered")

CLIENT = "chat-client"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
ids = itertools.count()


def configured(directory: Path, corp: Issuer) -> Daemon:
    """Return a daemon (not started) that takes logouts of `corp` and keeps them."""
    (directory / "state").mkdir(exist_ok=True)
    settings = world.settings() | {
        "server": {"state": "state"},
        "issuers": {"corp": corp.settings(logout={"audience": CLIENT})},
        "limits": {"sessions_per_user": "unlimited"},
    }
    return world.daemon(directory, corp, settings)


@pytest.fixture
def daemon(tmp_path: Path, corp: Issuer) -> Iterator[Daemon]:
    with configured(tmp_path, corp) as running:
        yield running


def logout_token(corp: Issuer, **changed: Any) -> str:
    now = int(time.time())
    claims = {
        "aud": CLIENT,
        "exp": now + 120,
        "jti": str(next(ids)),
        "events": {EVENT: {}},
        "sub": ...,
        **changed,
    }
    return corp.token("", headers={"typ": "logout+jwt"}, **claims)


async def log_out(daemon: Daemon, token: str) -> Reply:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    body = urlencode({"logout_token": token}).encode()
    return await request(daemon.port, "POST", "/backchannel-logout", body, form)


async def enter(daemon: Daemon, corp: Issuer, sub: str, **claims: Any) -> RawClient:
    client = await RawClient.open(daemon.url)
    assert (await client.connect("/chat", corp.token(sub, scope=CHAT, **claims))).sid
    assert (await client.call("/chat", "join", "lobby"))["ok"]
    return client


async def refused(daemon: Daemon, token: str) -> str | None:
    """Return the code of a refused CONNECT, `None` if it was accepted."""
    client = await RawClient.open(daemon.url)
    session = await client.connect("/chat", token)
    await client.close()
    return None if session.error is None else session.error["data"]["code"]


async def test_a_reported_logout_ends_every_session_of_it_within_a_second(
    daemon: Daemon, corp: Issuer
) -> None:
    other, bob = await enter(daemon, corp, "ann", sid="other"), await enter(daemon, corp, "bob", sid="bob")

    async def leave() -> float:
        sid = f"s{next(ids)}"
        ours = [await enter(daemon, corp, "ann", sid=sid) for _ in range(50)]
        token = logout_token(corp, sub="ann", sid=sid)
        started = time.monotonic()
        reply = await log_out(daemon, token)
        assert (reply.status, reply.body, reply.headers["cache-control"]) == (200, b"", "no-store")
        for client in ours:
            await client.until(lambda client=client: client.sessions["/chat"].ended, "the session has ended")
        took = time.monotonic() - started
        counts = [len(client.sessions["/chat"].events) for client in ours]
        assert (await bob.call("/chat", "publish", "lobby", "blob", f"after {sid}"))["ok"]
        await other.until(
            lambda: other.sessions["/chat"].events[-1][:2] == ["blob", f"after {sid}"], "it comes"
        )
        for client, count in zip(ours, counts, strict=True):
            assert client.sessions["/chat"].events[-1] == ["closing", {"code": "logged_out", "retry": False}]
            assert len(client.sessions["/chat"].events) == count
            assert not client.closed
            await client.close()
        return took

    assert await fastest(leave, 1) < seconds(1)
    for client in (other, bob):
        await client.close()


async def test_the_deny_list_outlasts_a_kill(tmp_path: Path, corp: Issuer) -> None:
    old, fresh = corp.token("ann", scope=CHAT, iat=int(time.time()) - 5), corp.token("bob", scope=CHAT)
    with configured(tmp_path, corp) as first:
        assert await refused(first, old) is None
        assert (await log_out(first, logout_token(corp, sub="ann"))).status == 200
        first.signal(signal.SIGKILL)
        assert first.process is not None
        first.process.wait()
        (tmp_path / "state" / "revocations.jsonl.new").write_bytes(b'{"version":1,"ma')
        first.start()
        del first.__dict__["port"]
        assert await refused(first, old) == "logged_out"
        assert await refused(first, fresh) is None


@pytest.mark.parametrize("damage", ["cut", "gone"])
async def test_a_state_that_cannot_be_read_stops_the_start(tmp_path: Path, corp: Issuer, damage: str) -> None:
    prepared = configured(tmp_path, corp)
    if damage == "cut":
        (tmp_path / "state" / "revocations.jsonl").write_bytes(b'{"version":1,"max_age":86400.0}\n')
    else:
        (tmp_path / "state").rmdir()
    finished = command("serve", "-c", str(prepared.config), cwd=tmp_path)
    assert finished.code == 1
    line = next(n for n, text in enumerate(prepared.config.read_text().splitlines(), 1) if " state:" in text)
    assert f"{prepared.config}:{line}:3: error: " in finished.out
    assert "Traceback" not in finished.err


async def test_two_daemons_do_not_share_a_state(daemon: Daemon, tmp_path: Path) -> None:
    finished = command("serve", "-c", str(daemon.config), cwd=tmp_path)
    assert finished.code == 1
    assert "another process uses the state directory" in finished.out


async def test_an_operator_revokes_by_the_command(daemon: Daemon, corp: Issuer) -> None:
    token = corp.token("ann", scope=CHAT, jti="t1", iat=int(time.time()) - 5)
    ann, bob = await enter(daemon, corp, "ann", iat=int(time.time()) - 5), await enter(daemon, corp, "bob")
    finished = daemon.run("revoke", "corp", "--sub", "ann", "--format", "json")
    assert finished.code == 0
    assert (finished.json["sessions"], finished.json["lasting"]) == (1, True)
    await ann.until(lambda: ann.sessions["/chat"].ended, "the session has ended")
    assert ann.sessions["/chat"].events[-1] == ["closing", {"code": "revoked", "retry": False}]
    assert await refused(daemon, token) == "revoked"
    assert not bob.sessions["/chat"].ended
    assert daemon.run("revoke", "nobody", "--sub", "ann").code == 1
    assert daemon.run("revoke", "corp").code == 2
    for client in (ann, bob):
        await client.close()


async def test_nobody_learns_whether_there_was_a_session(daemon: Daemon, corp: Issuer) -> None:
    stranger = Issuer("corp", key="stolen-name")
    ann = await enter(daemon, corp, "ann")
    replies = [
        await log_out(daemon, logout_token(stranger, sub="ann")),
        await log_out(daemon, logout_token(stranger, sub="nobody")),
        await log_out(daemon, corp.token("ann")),
        await log_out(daemon, "x"),
    ]
    assert {(reply.status, reply.body) for reply in replies} == {(400, replies[0].body)}
    assert json.loads(replies[0].body)["error"] == "invalid_request"
    assert (await ann.call("/chat", "publish", "lobby", "blob", 1))["ok"]
    good = [await log_out(daemon, logout_token(corp, sub=sub)) for sub in ("nobody", "ann")]
    assert {(reply.status, reply.body) for reply in good} == {(200, b"")}
    await ann.until(lambda: ann.sessions["/chat"].ended, "the session has ended")
    await ann.close()


async def test_a_flood_of_forged_logouts_holds_nobody_up(daemon: Daemon, corp: Issuer) -> None:
    ann = await enter(daemon, corp, "ann")
    forged = [logout_token(Issuer("corp", key="stolen-name"), sub="ann") for _ in range(10)]
    done = asyncio.Event()
    statuses: set[int] = set()

    async def flood() -> None:
        while not done.is_set():
            replies = await asyncio.gather(*(log_out(daemon, token) for token in forged))
            statuses.update(reply.status for reply in replies)

    attackers = [asyncio.create_task(flood()) for _ in range(3)]
    waits: list[float] = []
    while len(waits) < 100 or 429 not in statuses:  # until it is a flood
        began = time.monotonic()
        assert (await ann.call("/chat", "publish", "lobby", "blob", len(waits)))["ok"]
        waits.append(time.monotonic() - began)
        await asyncio.sleep(0.02)
    done.set()
    await asyncio.gather(*attackers)
    assert statuses == {400, 429}
    assert sorted(waits)[len(waits) * 95 // 100] < seconds(0.25)
    await ann.close()
