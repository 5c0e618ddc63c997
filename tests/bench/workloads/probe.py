"""A client that measures the pauses of a server while something happens to ten thousand sessions.

A probe publishes to a room every two milliseconds and waits for the ack: it is most of the load, and what it waits
longest is the loop's longest pause as seen from outside. Such a wait also counts what the machine gave to others
meanwhile, so the probe reads the daemon's CPU clock, too: a pause of the loop is what the daemon did between two
acks. That is a little too much, since what it always does in that time is in it.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from typing import NamedTuple

from tests.bench.servers import Server
from tests.support import wire

PAUSE = 0.002
"""Seconds between two events of the probe."""


class Waits(NamedTuple):
    """The longest that the probe met, in ms: of the daemon's CPU time, and of the clock on the wall."""

    cpu: float
    wall: float


class Probe:
    """A client that publishes and waits for the ack, again and again."""

    def __init__(self, server: Server, token: str, room: str) -> None:
        self._socket = socket.create_connection((server.host, server.port), 30)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # The CPU clock of another process (clock_getcpuclockid(3)): exact, also while that process runs.
        self._clock = ~server.pid << 3 | 2
        self._unread = b""
        self._event = f'["publish","{room}","message",{{"text":"x"}}]'
        self._shake_hands(server)
        self._send("40" + json.dumps({"token": token}))
        self._await("40")
        self._send(f'420["join","{room}",{{}}]')
        assert '"ok":true' in self._await("430"), "the probe may not join"

    def _shake_hands(self, server: Server) -> None:
        target, host = "/socket.io/?EIO=4&transport=websocket", f"{server.host}:{server.port}"
        self._socket.sendall(wire.head("GET", target, wire.UPGRADE, host))
        while b"\r\n\r\n" not in self._unread:
            self._unread += self._socket.recv(65536)
        head, self._unread = self._unread.split(b"\r\n\r\n", 1)
        assert b" 101 " in head, head

    def _send(self, text: str) -> None:
        self._socket.sendall(wire.text(text))

    def _await(self, prefix: str) -> str:
        """Return the next text that begins so; answer pings meanwhile."""
        while True:
            text = self._frame()
            if text == "2":
                self._send("3")
            elif text.startswith(prefix):
                return text

    def _frame(self) -> str:
        """Return the text of the next frame (a server's are not masked)."""
        size = 2
        while True:
            if len(self._unread) >= size:
                length, head = self._unread[1], 2
                if length == 126:
                    length, head = int.from_bytes(self._unread[2:4]), 4
                size = head + length
                if len(self._unread) >= size:
                    text, self._unread = self._unread[head:size], self._unread[size:]
                    return text.decode()
            more = self._socket.recv(65536)
            assert more, "the server has closed the probe"
            self._unread += more

    def watch(self, until: Callable[[], bool]) -> Waits:
        """Publish every `PAUSE` for as long as `until()` is false, and return the longest waits."""
        cpu = wall = 0.0
        number = 1
        used = time.clock_gettime(self._clock)
        while not until():
            began = time.monotonic()
            self._send(f"42{number}{self._event}")
            assert '"ok":true' in self._await(f"43{number}"), "the probe was refused"
            before, used = used, time.clock_gettime(self._clock)
            cpu = max(cpu, used - before)
            waited = time.monotonic() - began
            wall = max(wall, waited)
            number += 1
            time.sleep(max(0.0, PAUSE - waited))
        return Waits(cpu * 1000, wall * 1000)

    def close(self) -> None:
        self._socket.close()
