"""What a reload does to those who are connected: 10,000 sessions, 10,000 templates, and traffic all the while.

Each reload changes a named rule that every template uses, so that all memberships are judged anew; nobody loses
one. A probe publishes to a room of 50 every two milliseconds and waits for the ack: it is most of the load, and
what it waits longest is the loop's longest pause as seen from outside. Such a wait also counts what the machine
gave to others meanwhile, so the probe reads the daemon's CPU clock, too: a pause of the loop is what the daemon did
between two acks. That is a little too much, since what it always does in that time is in it.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.bench import servers, tokens
from tests.bench.bench import Bench
from tests.bench.load import Load, Place
from tests.bench.rows import RELOAD, RELOAD_SEEN, Row, row
from tests.bench.servers import Server, configuration
from tests.support import wire

CROWD = 50
PAUSE = 0.002
"""Seconds between two events of the probe."""

QUIET = 0.3
"""Seconds before each reload in which the probe learns what it waits without one."""


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

    def watch(self, until: Any) -> Waits:
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


def settings(given: tokens.Tokens, directory: Path, port: int, count: int) -> dict[str, Any]:
    """Return a configuration of so many templates, each of which uses the named rule `extra`.

    The literals tell them apart, and the parameter takes the rooms of every group with the template's number.
    """
    whole: dict[str, Any] = configuration(given, directory, [f"{servers.HOST}:{port}"], watch=False)
    whole["rules"] = {"extra": {"scope": "extra-0"}}
    whole["namespaces"]["/"]["rooms"] = {
        f"room:{{size}}-{number}": {
            "join": {"any": [{"claim": "groups", "contains": f"{{size}}-{number}"}, {"rule": "extra"}]},
            "publish": "members",
            "events": ["message"],
        }
        for number in range(count)
    }
    return whole


class Operator:
    """Changes the named rule and reloads."""

    def __init__(self, server: Server) -> None:
        self._directory = server.directory
        self._number = 0
        self.answer: dict[str, Any] | None = None

    def change(self) -> None:
        """Write the file with another scope in the named rule."""
        file = self._directory / "compartments.yaml"
        self._number += 1
        changed = re.sub(r"extra-\d+", f"extra-{self._number}", file.read_text(), count=1)
        written = file.with_suffix(".new")
        written.write_text(changed)
        written.rename(file)

    def reload(self) -> None:
        """Reload, and keep the answer once it has come: everyone is judged by then."""
        with closing(socket.socket(socket.AF_UNIX)) as admin:
            admin.connect(f"{self._directory}/admin.sock")
            admin.sendall(b"POST /admin/reload HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n")
            answer = b"".join(iter(lambda: admin.recv(65536), b""))
        self.answer = json.loads(answer.split(b"\r\n\r\n", 1)[1])

    @contextmanager
    def reloading(self) -> Iterator[threading.Thread]:
        """Reload beside what happens in here."""
        self.answer = None
        thread = threading.Thread(target=self.reload)
        thread.start()
        yield thread
        thread.join()
        assert self.answer is not None
        assert self.answer["ok"], self.answer
        assert self.answer["changed"], self.answer
        assert self.answer["evicted"] == {"sessions": 0, "memberships": 0}, self.answer


def rounds(bench: Bench, server: Server) -> Iterator[tuple[Waits, Waits]]:
    """Yield the longest waits without a reload and with one."""
    clients = bench.scale(10_000, 10_000, 200)
    place = Place(server.host, server.port)
    given = bench.tokens.read()
    operator = Operator(server)
    with Load() as load:
        load.connect(place, clients=clients - CROWD, size=2, tokens=bench.tokens.file, at_once=50)
        load.connect(place, clients=CROWD, size=CROWD, first=clients - CROWD, tokens=bench.tokens.file)
        room = tokens.room(CROWD, (clients - CROWD) // CROWD)
        with closing(Probe(server, given[clients - CROWD], room)) as probe:
            for _ in range(bench.rounds):
                operator.change()
                end = time.monotonic() + QUIET
                quiet = probe.watch(lambda end=end: time.monotonic() > end)
                with operator.reloading() as thread:
                    yield quiet, probe.watch(lambda thread=thread: not thread.is_alive())


def rows(bench: Bench) -> Iterator[Row]:
    """Yield the longest pause by the daemon's CPU clock, and the longest wait beside that without a reload."""
    count = bench.scale(10_000, 10_000, 200)
    with servers.ours_with(
        bench.tokens, lambda given, directory, port: settings(given, directory, port, count)
    ) as server:
        quiet, reloading = zip(*rounds(bench, server), strict=True)
    yield row(RELOAD, "ms", [each.cpu for each in reloading])
    yield row(
        RELOAD_SEEN, "ms", [each.wall for each in reloading], "ours, no reload", [each.wall for each in quiet]
    )
