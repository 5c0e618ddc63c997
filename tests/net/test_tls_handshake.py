"""TLS handshakes that read and write in any order; those with real clients are in test_tls."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
import uvloop

from compartmentd.net.client_socket import NoEntry
from compartmentd.net.poller import Poller
from compartmentd.net.timer_wheel import Timers
from compartmentd.net.tls_handshake import TlsHandshakes
from compartmentd.net.tls_socket import SecureSocket
from compartmentd.protocol.counters import WireCounters
from tests.support.timing import eventually


class Scripted:
    """An `ssl.SSLSocket` whose handshake does what a test says, step by step."""

    def __init__(self, sock: socket.socket, *steps: Exception | None) -> None:
        self.sock = sock
        self.left = list(steps)
        self.fileno, self.close = sock.fileno, sock.close

    def do_handshake(self) -> None:
        step = self.left.pop(0)
        if step is not None:
            raise step


class Recording:
    """A handler that records the sockets that it is given."""

    def __init__(self) -> None:
        self.taken: list[tuple[SecureSocket, Any]] = []

    def take(self, sock: SecureSocket, address: Any) -> None:
        self.taken.append((sock, address))


def make_handshakes(handler: Recording, timeout: float = 10.0) -> TlsHandshakes:
    loop = asyncio.get_running_loop()
    return TlsHandshakes(Poller(loop, WireCounters()), Timers(loop), handler, timeout)


READ, WRITE = ssl.SSLWantReadError(), ssl.SSLWantWriteError()


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setblocking(False)
    yield ours, theirs
    for end in (ours, theirs):
        end.close()


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_one_that_cannot_write_waits_for_that_alone(
    ends: tuple[socket.socket, socket.socket], loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    ours, theirs = ends

    async def run() -> None:
        handler = Recording()
        handshakes = make_handshakes(handler)
        while True:  # until its peer must read before anything more can be written
            try:
                ours.send(bytes(1 << 16))
            except BlockingIOError:
                break
        scripted = Scripted(ours, READ, WRITE, READ, None)
        sock = SecureSocket(cast(ssl.SSLSocket, scripted), NoEntry())
        handshakes.begin(sock, "somebody")
        theirs.send(b"x")  # is never read here, so the socket stays readable
        await eventually(lambda: len(scripted.left) == 2, "two steps")
        await asyncio.sleep(0.05)
        assert len(scripted.left) == 2, "what the client sends meanwhile is no reason to go on"
        with suppress(BlockingIOError):
            while theirs.recv(1 << 20):
                pass
        await eventually(lambda: bool(handler.taken), "the end of the handshake")
        assert handler.taken == [(sock, "somebody")]
        assert len(handshakes) == 0

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("error", [ssl.SSLError("rubbish"), ConnectionResetError(), ValueError()])
async def test_one_that_fails_is_closed_and_goes_nowhere(
    ends: tuple[socket.socket, socket.socket], error: Exception
) -> None:
    ours, theirs = ends
    handler = Recording()
    handshakes = make_handshakes(handler)
    handshakes.begin(SecureSocket(cast(ssl.SSLSocket, Scripted(ours, error)), NoEntry()), "somebody")
    theirs.send(b"x")
    await eventually(lambda: ours.fileno() == -1, "the socket is closed")
    assert (handler.taken, len(handshakes)) == ([], 0)


async def test_closing_ends_what_is_under_way(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    handshakes = make_handshakes(Recording())
    handshakes.begin(SecureSocket(cast(ssl.SSLSocket, Scripted(ours)), NoEntry()), "somebody")
    handshakes.close()
    assert ours.fileno() == -1


async def test_a_client_that_takes_too_long_is_disconnected(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, _ = ends
    handler = Recording()
    handshakes = make_handshakes(handler, timeout=0.05)
    handshakes.begin(SecureSocket(cast(ssl.SSLSocket, Scripted(ours)), NoEntry()), "somebody")
    await eventually(lambda: ours.fileno() == -1, "the socket is closed")
    assert (handler.taken, len(handshakes), len(handshakes.timers)) == ([], 0, 0)
