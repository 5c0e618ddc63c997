"""A forward proxy: it answers CONNECT and relays bytes, and leads every name to this machine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class ForwardProxy:
    """A proxy on a free port of the loopback; `heads` are the requests, `answer` refuses them where it is set."""

    def __init__(self, port: int) -> None:
        self.address = f"127.0.0.1:{port}"
        self.heads: list[bytes] = []
        self.answer: bytes | None = None

    @property
    def asked(self) -> list[str]:
        """The request lines."""
        return [head.split(b"\r\n", 1)[0].decode() for head in self.heads]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection."""
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            if self.answer is not None:
                writer.write(self.answer)
                await writer.drain()
                return
            port = int(self.heads[-1].split(b" ")[1].rsplit(b":", 1)[1])
            there, to_there = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
            try:
                await asyncio.gather(_relay(reader, to_there), _relay(there, writer))
            finally:
                to_there.close()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # an end hung up, as it may
        finally:
            writer.close()


async def _relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while part := await reader.read(65536):
        writer.write(part)
        await writer.drain()
    writer.close()


@asynccontextmanager
async def forward_proxy() -> AsyncIterator[ForwardProxy]:
    """Run a proxy; at the end nothing of it is left."""
    handlers: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handlers.add(asyncio.ensure_future(proxy.serve(reader, writer)))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    proxy = ForwardProxy(server.sockets[0].getsockname()[1])
    try:
        yield proxy
    finally:
        server.close()
        for handler in handlers:
            handler.cancel()
        await asyncio.gather(*handlers, return_exceptions=True)
        await server.wait_closed()
