"""Handshakes of TLS, in whichever order they must read and write; what clients do to them is in test_tls."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, cast

import pytest
import uvloop

from compartmentd.net.poller import Readiness
from compartmentd.net.tls_handshake import Handshakes
from compartmentd.net.tls_socket import SecureSocket
from compartmentd.protocol.counters import Counters
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


def watching() -> tuple[asyncio.AbstractEventLoop, Readiness]:
    loop = asyncio.get_running_loop()
    return loop, Readiness(loop, Counters())


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
        done: list[Any] = []
        handshakes = Handshakes(*watching(), lambda *each: done.append(each), 10.0)
        while True:  # until its peer must read before anything more can be written
            try:
                ours.send(bytes(1 << 16))
            except BlockingIOError:
                break
        scripted = Scripted(ours, READ, WRITE, READ, None)
        sock = SecureSocket(cast(ssl.SSLSocket, scripted))
        handshakes.begin(sock, "somebody")
        theirs.send(b"x")  # is never read here, so the socket stays readable
        await eventually(lambda: len(scripted.left) == 2, "two steps")
        await asyncio.sleep(0.05)
        assert len(scripted.left) == 2, "what the client sends meanwhile is no reason to go on"
        with suppress(BlockingIOError):
            while theirs.recv(1 << 20):
                pass
        await eventually(lambda: bool(done), "the end of the handshake")
        assert done == [(sock, "somebody")]
        assert len(handshakes.waiting) == 0

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(run())


@pytest.mark.parametrize("error", [ssl.SSLError("rubbish"), ConnectionResetError(), ValueError()])
async def test_one_that_fails_is_closed_and_goes_nowhere(
    ends: tuple[socket.socket, socket.socket], error: Exception
) -> None:
    ours, theirs = ends
    done: list[Any] = []
    handshakes = Handshakes(*watching(), lambda *each: done.append(each), 10.0)
    handshakes.begin(SecureSocket(cast(ssl.SSLSocket, Scripted(ours, error))), "somebody")
    theirs.send(b"x")
    await eventually(lambda: ours.fileno() == -1, "the socket is closed")
    assert (done, len(handshakes.waiting)) == ([], 0)


async def test_closing_ends_what_is_under_way(ends: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = ends
    handshakes = Handshakes(*watching(), lambda *_: None, 10.0)
    handshakes.begin(SecureSocket(cast(ssl.SSLSocket, Scripted(ours))), "somebody")
    handshakes.close()
    assert ours.fileno() == -1
