"""The echo application that the official protocol suites test.

    python -m tests.conformance.echo --port 3000 --ping-interval 300 --ping-timeout 200 --connect-timeout 1000

With `--bare` it speaks Engine.IO alone, and sends every message back.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import errno
import secrets
import signal
import socket
from collections.abc import Sequence
from typing import Any, NamedTuple

from compartmentd.protocol.connection import EngineConnection, Host
from compartmentd.protocol.engineio import BinaryPacket
from compartmentd.protocol.message import Message
from compartmentd.protocol.options import ConnectionOptions
from compartmentd.protocol.payload_json import decode
from compartmentd.protocol.socketio import build_ack, build_event, decode_event
from compartmentd.transport import EngineServer, Handshake, Peer, ServerOptions, SocketServer

NAMESPACES = ("/", "/custom")


class Session(NamedTuple):
    peer: Peer
    namespace: str


class Echo:
    """Anyone may connect; `message` and `message-with-ack` are sent back."""

    def connect(self, peer: Peer, namespace: str, auth: bytes | None) -> None:
        if namespace not in NAMESPACES:
            peer.refuse(namespace, "Invalid namespace")
            return
        peer.accept(namespace, secrets.token_urlsafe(12), Session(peer, namespace))
        peer.send(build_event(namespace, "auth", decode(auth or b"{}")))

    def handle_event(
        self, session: Session, ack: bytes | None, payload: bytes, attachments: Sequence[bytes]
    ) -> None:
        name, *arguments = decode_event(payload, attachments)
        if name == "message":
            session.peer.send(build_event(session.namespace, "message-back", *arguments))
        elif name == "message-with-ack" and ack is not None:
            session.peer.send(build_ack(session.namespace, ack, arguments))

    def handle_leave(self, session: Session) -> None:
        """Nothing is kept."""

    def handle_close(self, peer: Peer, sessions: Sequence[Any], reason: str) -> None:
        """Nothing is kept."""


class BareEcho(EngineConnection):
    """Engine.IO without Socket.IO: every message goes back as it came."""

    __slots__ = ()

    def _take_message(self, packet: bytes) -> None:
        self.send(Message.from_packet(packet))

    def _take_binary(self, data: bytes) -> None:
        self.send(BinaryPacket(data))

    def _meet_deadline(self, now: float) -> None:
        """Nothing has a deadline."""

    def _take_end(self, reason: str) -> None:
        """Nothing is kept."""


def listen(port: int) -> list[socket.socket]:
    """Return listening sockets on both loopback addresses, with one port number."""
    while True:
        try:
            return _listen(port)
        except OSError as error:
            if port or error.errno != errno.EADDRINUSE:
                raise
            # The port that was chosen at one address is somebody's at the other.


def _listen(port: int) -> list[socket.socket]:
    with contextlib.ExitStack() as undo:
        sockets = []
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            sock = undo.enter_context(socket.create_server((address, port), family=family, backlog=1024))
            sock.setblocking(False)
            port = sock.getsockname()[1]
            sockets.append(sock)
        undo.pop_all()
    return sockets


def server(options: ServerOptions, *, bare: bool) -> EngineServer:
    """Return the server, on the running loop."""
    if not bare:
        return SocketServer(Echo(), options)

    def make(host: Host, sid: str, handshake: Handshake, options: ConnectionOptions) -> EngineConnection:
        return BareEcho(host, sid, handshake, options)

    return EngineServer(make, options)


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="an echo server for the protocol's conformance suites")
    parser.add_argument("--port", type=int, required=True, metavar="P", help="0 lets the system choose")
    parser.add_argument("--path", help="default: /socket.io/, or /engine.io/ with --bare")
    parser.add_argument("--ping-interval", type=int, default=25_000, metavar="MS")
    parser.add_argument("--ping-timeout", type=int, default=20_000, metavar="MS")
    parser.add_argument("--connect-timeout", type=int, default=45_000, metavar="MS")
    parser.add_argument("--max-payload", type=int, default=1_000_000, metavar="BYTES")
    parser.add_argument("--bare", action="store_true", help="speak Engine.IO alone")
    return parser.parse_args()


async def main() -> None:
    arguments = parse()
    options = ServerOptions(
        path=arguments.path or ("/engine.io/" if arguments.bare else "/socket.io/"),
        origins=("*",),
        ping_interval=arguments.ping_interval / 1000,
        ping_timeout=arguments.ping_timeout / 1000,
        connect_timeout=arguments.connect_timeout / 1000,
        max_payload=arguments.max_payload,
    )
    echo = server(options, bare=arguments.bare)
    sockets = listen(arguments.port)
    echo.add_sockets(sockets)
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    print(f"ready on http://localhost:{sockets[0].getsockname()[1]}{options.path}", flush=True)
    await stopped.wait()
    await echo.close(grace=0.5)  # nobody will miss it


if __name__ == "__main__":
    asyncio.run(main())
