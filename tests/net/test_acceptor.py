"""Accepting when there is nothing left to accept with."""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import socket
from math import inf
from typing import Any

import pytest

from compartmentd.net.acceptor import Acceptor, compute_client_descriptors
from tests.support.timing import eventually
from tests.support.wire import port_of


class Exhausted(socket.socket):
    """A listening socket of which the first attempts to accept fail, as they do without descriptors."""

    failures: list[int]

    def _accept(self) -> tuple[int, Any]:
        if self.failures:
            raise OSError(self.failures.pop(0), "no")
        return super()._accept()


class Recording:
    """Accepted sockets, recorded."""

    is_busy = False

    def __init__(self) -> None:
        self.taken: list[socket.socket] = []

    def take(self, sock: socket.socket, address: Any) -> None:
        del address
        self.taken.append(sock)


def listening(failures: list[int]) -> Exhausted:
    sock = Exhausted()
    sock.failures = failures
    sock.bind(("127.0.0.1", 0))
    sock.listen()
    sock.setblocking(False)
    return sock


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.EPERM])
async def test_a_failure_to_accept_is_waited_out(
    number: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("compartmentd.net.acceptor._PAUSE", 0.05)
    recording = Recording()
    acceptor = Acceptor(recording, socket.socket)
    sock = listening([number] * 3)
    acceptor.add([sock])
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(sock))
    await eventually(lambda: recording.taken, "the connection is accepted in the end")
    assert len(caplog.records) == 3, "once for each pause, not for each turn of the loop"
    writer.close()
    recording.taken[0].close()
    acceptor.close()


async def test_an_aborted_connection_is_passed_over(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG, "compartmentd")
    recording = Recording()
    acceptor = Acceptor(recording, socket.socket)
    sock = listening([errno.ECONNABORTED, errno.EINTR])
    acceptor.add([sock])
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(sock))
    await eventually(lambda: recording.taken, "the next one is accepted")
    assert not caplog.records
    writer.close()
    recording.taken[0].close()
    acceptor.close()


async def test_no_socket_is_accepted_while_the_server_is_busy():
    class Busy(Recording):
        """Sockets that are busy until the test says otherwise."""

        asked, leaving = 0, True

        @property
        def is_busy(self) -> bool:
            self.asked += 1
            return self.leaving

    recording = Busy()
    acceptor = Acceptor(recording, socket.socket)
    sock = listening([])
    acceptor.add([sock])
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(sock))
    await eventually(lambda: recording.asked > 3, "it is asked in each turn")
    assert not recording.taken
    recording.leaving = False
    await eventually(lambda: recording.taken, "the connection has waited in the kernel")
    writer.close()
    recording.taken[0].close()
    acceptor.close()


async def test_closing_while_paused_ends_the_pause():
    acceptor = Acceptor(Recording(), socket.socket)
    sock = listening([errno.EMFILE])
    acceptor.add([sock])
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(sock))
    await eventually(lambda: not sock.failures, "the failure")
    acceptor.close()
    assert sock.fileno() == -1
    writer.close()


async def test_what_is_accepted_may_close_the_acceptor():
    class Closing(Recording):
        """Sockets of which the first closes the acceptor."""

        def take(self, sock: socket.socket, address: Any) -> None:
            super().take(sock, address)
            acceptor.close()

    recording = Closing()
    acceptor = Acceptor(recording, socket.socket)
    sock = listening([])
    writers = [(await asyncio.open_connection("127.0.0.1", port_of(sock)))[1] for _ in range(2)]
    acceptor.add([sock])
    await eventually(lambda: recording.taken, "one connection")
    assert len(recording.taken) == 1
    recording.taken[0].close()
    for writer in writers:
        writer.close()


async def test_some_descriptors_are_kept_from_strangers(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr("compartmentd.net.acceptor._PAUSE", 0.05)
    recording = Recording()
    acceptor = Acceptor(recording, socket.socket, below=0)
    sock = listening([])
    acceptor.add([sock])
    reader, writer = await asyncio.open_connection("127.0.0.1", port_of(sock))
    async with asyncio.timeout(20):
        assert await reader.read() == b""  # refused at once, so that it does not wait for nothing
    assert not recording.taken
    assert [record.event for record in caplog.records] == ["cannot_accept"]  # type: ignore[attr-defined]
    writer.close()
    acceptor._below = 1 << 20
    _, writer = await asyncio.open_connection("127.0.0.1", port_of(sock))
    await eventually(lambda: recording.taken, "the next one is accepted")
    writer.close()
    recording.taken[0].close()
    acceptor.close()


@pytest.mark.parametrize(
    ("limit", "below"),
    [(80, 70), (1024, 896), (65536, 65280), (resource.RLIM_INFINITY, inf)],
)
def test_how_many_are_kept(limit: int, below: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert compute_client_descriptors() == below
