"""An identity provider's HTTP side, made to misbehave: what it answers is bytes, written as they are."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeAlias

from compartmentd.names import EntryName
from compartmentd.tokens.entry import IssuerEntry, KeySource
from tests.tokens import forge

Script: TypeAlias = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
"""A whole answer, or what writes one as it likes; the connection is closed after it."""


def answer(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    """Return an HTTP answer; underscores in the names of headers stand for hyphens."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Content-Type: application/json"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


def keys(*kids: str, **headers: str) -> bytes:
    """Return an answer with a P-256 key for each name; the key of a name is always the same."""
    return answer(keyset(*kids), **headers)


def keyset(*kids: str) -> bytes:
    """Return a JWK set with a P-256 key for each name."""
    members = [forge.jwk(forge.private_key("p256", kid).public_key(), kid=kid) for kid in kids]
    return json.dumps({"keys": members}).encode()


class Provider:
    """A real server on a free port of the loopback: `answers` by path, and what was asked, in order."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.answers: dict[str, Script] = {}
        self.asked: list[str] = []
        self.heads: list[bytes] = []

    def publish(self, *kids: str, issuer: str | None = None) -> None:
        """Serve discovery and these keys."""
        document = {"issuer": self.url if issuer is None else issuer, "jwks_uri": f"{self.url}/jwks"}
        self.answers["/.well-known/openid-configuration"] = answer(json.dumps(document).encode())
        self.answers["/jwks"] = keys(*kids)

    def entry(self, name: str = "corp", kind: str = "jwks_url", **settings: Any) -> IssuerEntry:
        """Return an entry whose keys are here."""
        place = self.url if kind == "discovery" else f"{self.url}/jwks"
        settings.setdefault("issuer", self.url)
        source = KeySource(kind, place, forge.SPAN)  # type: ignore[arg-type]
        return forge.entry(name, "jwks_file", sources=(source,), **settings)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.heads.append(head)
            path = head.split(b" ", 2)[1].decode()
            self.asked.append(path)
            script = self.answers.get(path, answer(b"", "404 Not Found"))
            if isinstance(script, bytes):
                writer.write(script)
                await writer.drain()
            else:
                await script(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client hung up, as it may
        finally:
            writer.close()


@asynccontextmanager
async def provider(tls: ssl.SSLContext | None = None) -> AsyncIterator[Provider]:
    """Run a provider; at the end nothing of it is left."""
    handlers: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.ensure_future(served.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    served = Provider(server.sockets[0].getsockname()[1])
    try:
        yield served
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await server.wait_closed()


CORP = EntryName("corp")
