"""The people of a soak: sessions of every kind, come and gone without end, each of which checks what it gets.

Steady people stay for the whole run, refresh their tokens in time, talk in a room of their own, and must receive
every message of it in order. Transient people come by WebSocket or polling, join, talk, leave, expire or are logged
out. The operator rotates keys, reloads (a mistake among the changes) and takes logouts.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.support import mint
from tests.support.daemon import Daemon
from tests.support.mint import Issuer
from tests.support.rawclient import Polling, RawClient, SocketIo
from tests.support.wire import request

CHAT = "/chat"
CLIENT = "soak"
EVENT = "http://schemas.openid.net/event/backchannel-logout"
ROOMS = 4
RETURNING = 20
"""How many people each place of a transient has, who come in turn: what is kept of people and of their logouts (for
`max_age` and an hour) is then bounded by their number, and not by how long the run is."""
KEYS = 4
IN_TIME = 3.0
"""Seconds within which a session ends after its token, or after its logout: one, and two for a busy machine."""


def settings() -> dict[str, Any]:
    """Return the configuration of the soak."""
    member = {"join": {"claim": "teams", "contains": "{team}"}, "publish": "members", "events": ["message"]}
    return {
        "server": {"state": "state", "connections_per_address": 5000, "connect_rate": "unlimited"},
        "issuers": {
            "corp": {
                "issuer": "https://corp.example.com",
                "audience": "realtime",
                "jwks_file": "corp.jwks.json",
                "algorithms": ["RS256"],
                "logout": {"audience": CLIENT},
                "leeway": "1s",  # whoever was logged out comes back under the same name within seconds
            }
        },
        "limits": {"sessions_per_user": "unlimited", "message_rate": "200/s"},
        "namespaces": {
            "/": {"connect": "public", "publish": "nobody", "events": ["message"]},
            CHAT: {
                "connect": "authenticated",
                "rooms": {
                    "lobby": {"join": "authenticated", "publish": "members", "events": ["message"]},
                    "team:{team}": member,
                    "user:{user}": {
                        "join": {"claim": "sub", "equals": "{user}"},
                        "auto_join": {"user": "sub"},
                    },
                },
            },
        },
    }


class Keys:
    """The keys of the provider: one signs, the next one is published before, and the last one verifies still."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._issuers = [Issuer("corp", key=str(number)) for number in range(KEYS)]
        self._turn = 0
        self.write()

    def rotate(self) -> None:
        """Sign with the next key, which a reload has brought into force, and publish the one after it."""
        self._turn += 1
        self.write()

    def write(self) -> None:
        """Write the set: the key that signs, and those beside it."""
        around = [self._issuers[(self._turn + step) % KEYS] for step in (1, 0, -1)]
        keys = [json.loads(each.jwks())["keys"][0] for each in around]
        path = self._directory / "corp.jwks.json.new"
        path.write_text(json.dumps({"keys": keys}))
        path.rename(self._directory / "corp.jwks.json")

    def sign(self, sub: str, /, **changed: Any) -> str:
        """Return a token by the key that signs now."""
        token = self._issuers[self._turn % KEYS].token(sub, **changed)
        mint.minted[:] = mint.minted[-100:]  # the log is searched for them all
        return token


class Soak:
    """One run: `play` lets everyone in, and returns when the time is over."""

    def __init__(self, daemon: Daemon, keys: Keys, seed: int) -> None:
        self.daemon = daemon
        self.keys = keys
        self.source = random.Random(seed)
        self.done: Counter[str] = Counter()
        self.faults: list[str] = []
        self._over = asyncio.Event()

    async def play(self, seconds: float, *, transient: int = 24) -> None:
        """Run everyone for so long."""
        steady = [
            Steady(self, f"steady{room}-{side}", room, side) for room in range(ROOMS) for side in (0, 1)
        ]
        everyone: list[Awaitable[None]] = [each.live() for each in steady]
        everyone += [self._repeat(self._visit, index) for index in range(transient)]
        everyone += [self._repeat(self._operate, 0)]
        async with asyncio.timeout(seconds + 120):
            tasks = [asyncio.ensure_future(each) for each in everyone]
            # All of them live until the end, so the first that returns is one that failed.
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
            self._over.set()
            await asyncio.gather(*tasks)
        for each in steady:
            self.faults += each.faults

    @property
    def over(self) -> bool:
        """Whether everybody should go home."""
        return self._over.is_set()

    async def pause(self, seconds: float) -> None:
        """Sleep, but not beyond the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return

    async def _repeat(self, act: Callable[[int, int], Awaitable[None]], index: int) -> None:
        await self.pause(index * 0.05)
        turn = 0
        while not self.over:
            await act(index, turn)
            turn += 1

    def expect(self, holds: object, what: str) -> None:
        """Note a fault unless something holds."""
        if not holds:
            self.faults.append(what)

    # --- transient people -----------------------------------------------------------------------------------

    async def _visit(self, place: int, turn: int) -> None:
        kind = self.source.choice(
            ["stay", "stay", "expire", "log out", "refuse", "anonymous", "vanish", "refresh"]
        )
        polling = self.source.random() < 0.3
        client: SocketIo = await (Polling if polling else RawClient).open(self.daemon.url)  # type: ignore[attr-defined]
        if isinstance(client, Polling):
            client.keep_polling()
        try:
            await self._be(kind, client, f"guest{place}-{turn % RETURNING}")
        finally:
            await _close(client, say=kind != "vanish")
        self.done[kind] += 1
        await self.pause(self.source.uniform(0.0, 0.5))

    async def _be(self, kind: str, client: SocketIo, sub: str) -> None:
        if kind == "anonymous":
            await client.connect("/")
            self.expect(client.sessions["/"].sid, "an anonymous session was refused")
            session = await client.connect(CHAT)
            self.expect(
                session.error and session.error["data"]["code"] == "token_missing", "no token was fine"
            )
            return
        lifetime = 3 if kind == "expire" else 300
        token = self.keys.sign(sub, lifetime=lifetime, teams=["t1", "t2"], sid=f"sid-{sub}")
        ends_at = int(time.time()) + lifetime
        session = await client.connect(CHAT, token)
        if not session.sid:
            # Only a token that ended on its way may be refused.
            self.expect(
                kind == "expire" and time.time() >= ends_at - 1, f"{kind}: refused with {session.error}"
            )
            return
        if kind == "refuse":
            answer = await client.call(CHAT, "join", "team:other")
            self.expect(not answer["ok"], "joined the room of another team")
            answer = await client.call(CHAT, "publish", "lobby", "message", "not a member")
            self.expect(not answer["ok"], "published to a room without being in it")
            return
        if kind != "expire":
            await self._talk(client)
        if kind == "refresh":
            answer = await client.call(CHAT, "refresh", self.keys.sign(sub, teams=["t1"], sid=f"sid-{sub}"))
            self.expect(answer["ok"], f"a refresh was refused: {answer}")
            answer = await client.call(CHAT, "join", "team:t2")
            self.expect(not answer["ok"], "joined by a claim that the new token lacks")
        elif kind == "expire":
            await self._await_end(client, "token_expired", ends_at - time.time() + IN_TIME)
        elif kind == "log out":
            await self._log_out(sub)
            await self._await_end(client, "logged_out", IN_TIME)

    async def _talk(self, client: SocketIo) -> None:
        session = client.sessions[CHAT]
        for room in ("lobby", "team:t1"):
            answer = await client.call(CHAT, "join", room)
            self.expect(answer["ok"], f"join {room}: {answer}")
            for number in range(3):
                answer = await client.call(CHAT, "publish", room, "message", {"n": number, "pad": "x" * 200})
                self.expect(answer["ok"] or session.ended, f"publish {room}: {answer}")
        await self.pause(self.source.uniform(0.0, 2.0))
        rooms = {event[2]["room"] for event in session.events if event[0] == "message"}
        self.expect(rooms <= {"lobby", "team:t1"}, f"messages of rooms that were never joined: {rooms}")
        answer = await client.call(CHAT, "leave", "lobby")
        self.expect(answer["ok"] or session.ended, f"leave: {answer}")
        count = sum(event[0] == "message" and event[2]["room"] == "lobby" for event in session.events)
        await self.pause(0.3)
        after = sum(event[0] == "message" and event[2]["room"] == "lobby" for event in session.events)
        self.expect(after == count, "messages of a room after leaving it")

    async def _log_out(self, sub: str) -> None:
        now = int(time.time())
        claims = {
            "aud": CLIENT,
            "exp": now + 120,
            "jti": f"{sub}-{now}",
            "events": {EVENT: {}},
            "sid": f"sid-{sub}",
        }
        token = self.keys.sign(sub, headers={"typ": "logout+jwt"}, **claims)
        body = urlencode({"logout_token": token}).encode()
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        reply = await request(self.daemon.port, "POST", "/backchannel-logout", body, form)
        self.expect(reply.status == 200, f"a logout was answered {reply.status} {reply.body!r}")

    async def _await_end(self, client: SocketIo, code: str, limit: float) -> None:
        session = client.sessions[CHAT]
        with suppress(TimeoutError):
            async with asyncio.timeout(max(limit, IN_TIME)):
                await client.until(lambda: session.ended, f"the end after {code}")
        self.expect(session.ended, f"a session lives on after {code}")
        closing = [event[1]["code"] for event in session.events if event[0] == "closing"]
        self.expect(closing == [code], f"ended with {closing} instead of {code}")

    # --- the operator ---------------------------------------------------------------------------------------

    async def _operate(self, _place: int, turn: int) -> None:
        await self.pause(2.5)
        if self.over:
            return
        changed = settings()
        changed["namespaces"][CHAT]["rooms"][f"new{turn % 7}"] = {"join": "authenticated"}
        right = turn % 5 != 4
        if not right:
            changed["namespaces"][CHAT]["connect"] = {"scop": "mistaken"}
        self.daemon.write(changed)
        answer = await asyncio.to_thread(self.daemon.request, "POST", "/admin/reload")
        self.expect(
            (answer.status == 200) is right, f"a reload was answered {answer.status}: {answer.body[:300]!r}"
        )
        self.done["reload" if right else "refused reload"] += 1
        if right and turn % 3 == 0:
            self.keys.rotate()
            self.done["rotation"] += 1


class Steady:
    """One of two people in a room of their own, who stay: nothing between them is lost, doubled or out of order."""

    def __init__(self, soak: Soak, sub: str, room: int, side: int) -> None:
        self._soak = soak
        self._sub = sub
        self._room = f"team:steady{room}"
        self._side = side
        self._sent = 0
        self._expected = 0
        self.faults: list[str] = []

    async def live(self) -> None:
        """Stay until the end."""
        soak = self._soak
        client = await RawClient.open(soak.daemon.url)
        client.on_event = self._take
        session = await client.connect(CHAT, self._token())
        assert session.sid, session.error
        answer = await client.call(CHAT, "join", self._room)
        assert answer["ok"], answer
        await soak.pause(1.0)  # until the other one is in
        refreshed = time.monotonic()
        while not soak.over:
            answer = await client.call(
                CHAT, "publish", self._room, "message", {"from": self._side, "n": self._sent}
            )
            if not answer["ok"]:
                self.faults.append(f"{self._sub}: a message was refused: {answer}")
                break
            self._sent += 1
            soak.done["steady message"] += 1
            session.events.clear()
            if (
                time.monotonic() - refreshed > 4.0
            ):  # the key that signed is withdrawn 7.5 s after the next rotation
                refreshed = time.monotonic()
                answer = await client.call(CHAT, "refresh", self._token())
                if not answer["ok"]:
                    self.faults.append(f"{self._sub}: a refresh was refused: {answer}")
                    break
            await soak.pause(0.2)
        await soak.pause(1.0)
        await asyncio.sleep(1.0)
        await client.close()

    def _token(self) -> str:
        return self._soak.keys.sign(self._sub, lifetime=60, teams=[self._room.removeprefix("team:")])

    def _take(self, _: str, event: list[Any]) -> None:
        if event[0] in {"joined", "expiring"}:
            return
        if event[0] != "message":
            self.faults.append(f"{self._sub}: {event}")
            return
        if event[2]["room"] != self._room:
            self.faults.append(f"{self._sub}: a message of {event[2]['room']}")
        if event[1]["from"] == self._side:
            return
        if event[1]["n"] != self._expected:
            self.faults.append(f"{self._sub}: message {event[1]['n']} instead of {self._expected}")
        self._expected = event[1]["n"] + 1


async def _close(client: SocketIo, *, say: bool) -> None:
    if isinstance(client, RawClient):
        if client.transport is not None and not say:
            client.transport.abort()
        await client.close()
    elif isinstance(client, Polling):
        if say:
            await client.close()
        elif client._pump is not None:
            client._pump.cancel()
            await asyncio.gather(client._pump, return_exceptions=True)
