"""An administration that remembers what it was asked, and a client that sends exactly what it is given."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from tornado.netutil import bind_sockets

from compartmentd.control.requests import JsonObject, Refused, RevokeRequest
from compartmentd.errors import UsageError
from compartmentd.http.admin import AdminServer
from compartmentd.sessions.listing import Query
from compartmentd.telemetry.decision_feed import DecisionListener

GOOD, WITHOUT_RIGHTS = "good-token", "token-without-rights"


class FakeAdministration:
    """Answers what its attributes say; `asked` lists the calls."""

    def __init__(self) -> None:
        self.admin_hosts: tuple[str, ...] = ("admin.example.com",)
        self.reason: str | None = None
        self.lacking_keys: tuple[str, ...] = ()
        self.on_last_good = False
        self.outcome: JsonObject = {"ok": True, "changed": True, "generation": 2}
        self.revoked: JsonObject = {"ok": True, "sessions": 1, "before": 5000, "lasting": True}
        self.tokens = {GOOD}
        self.subscribers: list[DecisionListener] = []
        self.asked: list[str] = []

    def find_obstacle(self) -> str | None:
        return self.reason

    def authorize(self, token: str) -> Refused | None:
        if token in self.tokens:
            return None
        return (
            Refused("the rule does not hold", known=True) if token == WITHOUT_RIGHTS else Refused("not ours")
        )

    async def reload(self) -> JsonObject:
        self.asked.append("reload")
        await asyncio.sleep(0)
        return self.outcome

    async def revoke(self, request: RevokeRequest) -> JsonObject:
        self.asked.append(f"revoke {request}")
        if request.issuer != "corp":
            raise UsageError("there is no such issuer")
        return self.revoked

    def build_status(self) -> JsonObject:
        return {"generation": 1, "digest": "d1"}

    async def list_sessions(self, query: Query) -> JsonObject:
        self.asked.append(f"sessions {query}")
        await asyncio.sleep(0)
        return {"sessions": [], "next": None}

    async def list_rooms(self, query: Query) -> JsonObject:
        self.asked.append(f"rooms {query}")
        await asyncio.sleep(0)
        return {"rooms": [], "next": None}

    def issue_admin_token(self) -> JsonObject:
        self.asked.append("admin_token")
        return {"token": "fresh", "expires": 1}

    def subscribe(self, subscriber: DecisionListener) -> Callable[[], None]:
        self.subscribers.append(subscriber)
        return lambda: self.subscribers.remove(subscriber)

    def emit(self, record: JsonObject) -> None:
        for subscriber in self.subscribers:
            subscriber(record)


class FakeMetrics:
    def as_text(self) -> bytes:
        return b"compartmentd_sessions 3\n"


class FakeDevelopment:
    """The development side: one entry, `demo`, and one file, `demo.yaml`, of three lines."""

    public_url = "http://127.0.0.1:8000"

    def describe_playground(self) -> JsonObject:
        return {"public": {"url": self.public_url}, "people": []}

    def mint(self, entry: str | None, claims: JsonObject) -> JsonObject:
        if entry not in (None, "demo"):
            raise UsageError("there is no such entry")
        return {"token": f"minted for {claims['sub']}", "expires": 2}

    def read_excerpt(self, file: str, line: int, end_line: int) -> Sequence[str] | None:
        return ["one", "two", "three"][line - 1 : end_line] if file == "demo.yaml" else None


class Answer(NamedTuple):
    """A response, with lower-cased header names; `json` reads the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


async def ask(
    port: int,
    method: str,
    target: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
) -> Answer:
    """Send a request as it is given, `Host` aside, and return the whole answer."""
    lines = {"Host": f"127.0.0.1:{port}", "Connection": "close", **(headers or {})}
    if body is not None:
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode() + (body or b""))
        received = await reader.read()
    finally:
        writer.close()
    return parse_answer(received)


def parse_answer(received: bytes) -> Answer:
    """Read an answer that came with a Content-Length or until the end of the connection."""
    head, _, body = received.partition(b"\r\n\r\n")
    status, *lines = head.decode().split("\r\n")
    pairs = (line.partition(": ") for line in lines)
    return Answer(int(status.split(" ")[1]), {name.lower(): value for name, _, value in pairs}, body)


@asynccontextmanager
async def serving(
    administration: FakeAdministration,
    development: FakeDevelopment | None = None,
    extra: Sequence[Any] = (),
) -> AsyncIterator[int]:
    """Serve on a free TCP port, and on the `extra` sockets; gives the port."""
    server = AdminServer(administration, FakeMetrics(), development)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets([*sockets, *extra])
    try:
        yield sockets[0].getsockname()[1]
    finally:
        await server.close()
