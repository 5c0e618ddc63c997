"""The pause that a reload causes, with 10,000 sessions, 10,000 templates, and traffic meanwhile.

Each reload changes a named rule that every template uses, so that all memberships are judged anew; nobody loses
one. A probe in a room of 50 tells what it waits for meanwhile.
"""

from __future__ import annotations

import json
import re
import socket
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from tests.bench import servers, tokens
from tests.bench.bench import OURS, Bench
from tests.bench.load import Load, Place
from tests.bench.rows import RELOAD, RELOAD_SEEN, Row, row
from tests.bench.servers import Server, configuration, daemon_with
from tests.bench.workloads.probe import Probe, Waits
from tests.bench.workloads.rounds import compared

CROWD = 50
QUIET = 0.3
"""Seconds before each reload in which the probe learns what it waits without one."""


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


def rounds(bench: Bench, server: Server) -> Generator[tuple[Waits, Waits], None, None]:
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
    values: dict[str, list[tuple[Waits, Waits]]] = {name: [] for name in bench.trees}
    with ExitStack() as stack:
        measured = {}
        for name, tree in bench.trees.items():
            server = stack.enter_context(
                daemon_with(
                    bench.tokens,
                    lambda given, directory, port: settings(given, directory, port, count),
                    name,
                    tree,
                )
            )
            measured[name] = stack.enter_context(closing(rounds(bench, server)))
        for _ in range(bench.rounds):
            for name, each in measured.items():
                values[name].append(next(each))
    waits = {name: [reloading for _, reloading in each] for name, each in values.items()}
    quiet = [each.wall for each, _ in values[OURS]]
    pauses = {name: [wait.cpu for wait in each] for name, each in waits.items()}
    seen = {name: [wait.wall for wait in each] for name, each in waits.items()}
    if bench.is_ab:
        yield from compared(RELOAD, "ms", pauses)
        yield from compared(RELOAD_SEEN, "ms", seen)
    else:
        yield row(RELOAD, "ms", pauses[OURS])
        yield row(RELOAD_SEEN, "ms", seen[OURS], "ours, no reload", quiet)
