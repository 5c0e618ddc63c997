"""Where these tests take place: certified providers, and a daemon that knows of each what an operator writes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.daemon import ADMIN, Daemon
from tests.support.provider import CLIENT, OpenIdProvider, providers
from tests.support.rawclient import RawClient

LOBBY = "lobby"
_CHAT = {
    "connect": {"scope": "chat:connect"},
    "rooms": {
        LOBBY: {"join": "authenticated", "publish": {"scope": "chat:write"}, "events": ["message"]},
        "project:{project}": {
            "join": {"claim": "projects", "contains": "{project}"},
            "publish": "members",
            "events": ["message"],
        },
    },
}


class Realm(NamedTuple):
    """A running daemon with the providers that it accepts, in the order of their names."""

    daemon: Daemon
    providers: tuple[OpenIdProvider, ...]

    async def connect(self, token: str) -> str | None:
        """Connect once more; return the code of a refusal, `None` where there is none."""
        client = await RawClient.open(self.daemon.url)
        code = await connect(client, token)
        await client.close()
        return code

    async def enter(self, token: str) -> RawClient:
        """Return a client in the lobby."""
        client = await RawClient.open(self.daemon.url)
        assert await connect(client, token) is None
        assert (await client.call("/chat", "join", LOBBY))["ok"]
        return client


async def connect(client: RawClient, token: str) -> str | None:
    """Connect `/chat` on a connection; return the code of a refusal, `None` where there is none."""
    session = await client.connect("/chat", token)
    assert not client.closed
    return None if session.error is None else str(session.error["data"]["code"])


def ended(client: RawClient) -> bool:
    """Tell whether the session is over."""
    return client.sessions["/chat"].ended


def ending(client: RawClient) -> str:
    """Return the code with which a session was closed; nothing came after it."""
    name, *arguments = client.sessions["/chat"].events[-1]
    assert name == "closing"
    return str(arguments[0]["code"])


@asynccontextmanager
async def realm(
    directory: Path, *names: str, kid: str = "1", changed: dict[str, dict[str, Any]] | None = None
) -> AsyncIterator[Realm]:
    """Start a provider of each name, all with a key of the same name, and a daemon; end them afterwards.

    `changed` has further keys of the entry of a name.
    """
    (directory / "state").mkdir(exist_ok=True)
    async with providers() as process:
        opened = [await process.open(name, kid) for name in names]
        entries = {
            one.name: one.settings(logout={"audience": CLIENT}, **(changed or {}).get(one.name, {}))
            for one in opened
        }
        connecting = [name for name, entry in entries.items() if "connect" in entry.get("use", ["connect"])]
        settings = {
            "server": {
                "state": "state",
                "admin": [f"{ADMIN}:0"],
                "admin_access": {"scope": "chat:connect"},
            },
            "issuers": entries,
            "limits": {"sessions_per_user": "unlimited", "message_rate": "unlimited"},
            "namespaces": {"/chat": {**_CHAT, "issuers": connecting}},
        }
        with Daemon(directory, settings) as daemon:
            for one in opened:
                await one.report_logouts_to(daemon.url)
            yield Realm(daemon, tuple(opened))
