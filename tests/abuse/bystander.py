"""Well-behaved clients beside an attack: what they wait for is what the attack costs everybody.

A member publishes and awaits its acks at a steady pace, timed from when each message was due. Newcomers open a
connection (by turns on WebSocket and on polling), connect, join and leave. Holders of short tokens note how late
after their token's end they are told, and users who log out how late their session ends (P5).
"""

from __future__ import annotations

import asyncio
import ssl
import time
from contextlib import suppress
from dataclasses import dataclass, field
from math import floor, inf
from urllib.parse import urlencode, urlsplit

from compartmentd.tokens.security_events import LOGOUT_EVENT
from tests.support.mint import Issuer
from tests.support.rawclient import Polling, RawClient

EVERY = 0.04
"""Seconds between two messages: half of the default rate."""

NEWCOMERS = 0.3
"""Seconds between two newcomers."""

LOGOUTS = 0.9
"""Seconds between two logouts."""

CLIENT = "chat-client"
"""The audience of logout tokens."""

GOOD = "127.0.2"
"""Where well-behaved clients come from."""

PATIENCE = 8.0
"""Seconds after which a wait is noted as endless."""


@dataclass
class Waits:
    """Seconds that the well-behaved clients waited for, by what; `inf` for what never came.

    `ends` are from the end of a token, or the answer to a logout, to the end of the session; `logouts` are from the
    request of one.
    """

    acks: list[float] = field(default_factory=list)
    newcomers: list[float] = field(default_factory=list)
    ends: list[float] = field(default_factory=list)
    logouts: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def longest(self) -> float:
        return max([*self.acks, *self.newcomers, *self.ends, *self.logouts], default=inf)


def percentile(values: list[float], share: float) -> float:
    """Return the value below which this share lies."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, floor(share * len(ordered)))] if ordered else inf


class Bystanders:
    """The clients; `member` is connected before the attack and stays."""

    def __init__(self, url: str, issuer: Issuer, tls: ssl.SSLContext | None) -> None:
        self.url = url
        self.issuer = issuer
        self.tls = tls
        self.member: RawClient | None = None
        self.logouts = 0

    async def enter(self) -> None:
        """Connect the member."""
        member = self.member = await RawClient.open(self.url, source=f"{GOOD}.1", tls=self.tls)
        await member.connect("/", self.issuer.token("member"))
        assert (await member.call("/", "join", "room:good"))["ok"]

    async def watch(self, seconds: float) -> Waits:
        """Behave for so long; return what was waited for."""
        waits = Waits()
        ends = time.monotonic() + seconds
        await asyncio.gather(
            self._publish(waits, ends),
            self._come(waits, ends),
            self._expire(waits, seconds),
            self._log_out(waits, ends),
        )
        return waits

    async def _publish(self, waits: Waits, ends: float) -> None:
        member = self.member
        assert member is not None
        due = time.monotonic()
        while due < ends and not member.closed:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            try:
                async with asyncio.timeout(PATIENCE):
                    answer = await member.call("/", "publish", "room:good", "message", {"n": 1})
            except TimeoutError:
                waits.acks.append(inf)
                return
            except (ConnectionError, AssertionError):
                waits.acks.append(inf)
                waits.notes.append("the member lost its connection")
                return
            if not answer["ok"]:
                waits.notes.append(f"a message was refused: {answer['error']['code']}")
            waits.acks.append(time.monotonic() - due)
            due = max(due + EVERY, time.monotonic() - EVERY)

    async def _come(self, waits: Waits, ends: float) -> None:
        count = 0
        due = time.monotonic()
        while due < ends:
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            count += 1
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._visit(count)
            except TimeoutError:
                waits.newcomers.append(inf)
            except (OSError, AssertionError, IndexError) as error:
                waits.newcomers.append(inf)
                waits.notes.append(f"a newcomer was turned away: {error!r:.80}")
            else:
                waits.newcomers.append(time.monotonic() - due)
            due = max(due + NEWCOMERS, time.monotonic())

    async def _visit(self, count: int) -> None:
        source = f"{GOOD}.{count % 200 + 2}"
        client: RawClient | Polling
        if count % 2:
            client = await RawClient.open(self.url, source=source, tls=self.tls)
            assert client.handshake, f"status {client.status}"
        else:
            client = await Polling.open(self.url, source=source, tls=self.tls)
            client.keep_polling()
        session = await client.connect("/", self.issuer.token(f"newcomer-{count}"))
        assert session.sid, session.error
        assert (await client.call("/", "join", "room:new"))["ok"]
        await client.close()

    async def _expire(self, waits: Waits, seconds: float) -> None:
        """Hold tokens that end one second after another, and note how late `closing` comes."""
        holders = []
        with suppress(TimeoutError, OSError):
            async with asyncio.timeout(PATIENCE):
                for index in range(2, floor(seconds) + 1):
                    exp = floor(time.time()) + index
                    client = await RawClient.open(self.url, source=f"{GOOD}.{230 + index}", tls=self.tls)
                    await client.connect("/", self.issuer.token(f"holder-{index}", exp=exp))
                    holders.append((client, exp))
        waits.ends += await asyncio.gather(*[self._lateness(client, exp) for client, exp in holders])

    @staticmethod
    async def _lateness(client: RawClient, exp: int) -> float:
        session = client.sessions["/"]
        if session.error is not None:
            return 0.0  # it came when its token had ended already
        try:
            async with asyncio.timeout(exp - time.time() + PATIENCE):
                await client.until(lambda: session.ended, "the end of a token")
        except (TimeoutError, AssertionError):
            return inf
        late = max(0.0, time.time() - exp)
        await client.close()
        return late

    async def _log_out(self, waits: Waits, ends: float) -> None:
        """Let one user after another log out at the provider, and note how late the session ends."""
        while time.monotonic() + LOGOUTS < ends:
            self.logouts += 1
            user, source = f"leaver-{self.logouts}", f"{GOOD}.{220 + self.logouts % 10}"
            try:
                async with asyncio.timeout(PATIENCE):
                    client = await RawClient.open(self.url, source=source, tls=self.tls)
                    session = await client.connect("/", self.issuer.token(user))
                    assert session.sid, session.error
                    began = time.monotonic()
                    await self._report_logout(user, source)
                    answered = time.monotonic()
                    await client.until(lambda session=session: session.ended, "a logout")
            except TimeoutError:
                waits.logouts.append(inf)
            except (OSError, AssertionError, IndexError) as error:
                waits.logouts.append(inf)
                waits.notes.append(f"a logout came to nothing: {error!r:.80}")
            else:
                waits.logouts.append(time.monotonic() - began)
                waits.ends.append(time.monotonic() - answered)
                await client.close()
            await asyncio.sleep(LOGOUTS)

    async def _report_logout(self, user: str, source: str) -> None:
        """Report a logout as an identity provider does (OpenID Connect Back-Channel Logout 1.0, 2.5)."""
        token = self.issuer.token(
            user, lifetime=120, aud=CLIENT, jti=user, events={LOGOUT_EVENT: {}}, headers={"typ": "logout+jwt"}
        )
        body = urlencode({"logout_token": token})
        address = urlsplit(self.url)
        reader, writer = await asyncio.open_connection(
            address.hostname, address.port, local_addr=(source, 0), ssl=self.tls
        )
        head = [
            "POST /backchannel-logout HTTP/1.1",
            f"Host: {address.netloc}",
            "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}",
        ]
        writer.write("\r\n".join([*head, "", body]).encode())
        status = await reader.readline()
        writer.close()
        assert b" 200 " in status, status

    async def leave(self) -> None:
        """Close the member."""
        if self.member is not None and not self.member.closed:
            await self.member.close()
