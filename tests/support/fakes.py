"""A host and a link for a connection, without sockets, loop or clock: they record the calls."""

from __future__ import annotations

from math import inf
from typing import Any

from compartmentd.protocol.connection import EngineConnection
from compartmentd.protocol.counters import WireCounters
from compartmentd.protocol.lifecycle import Phase


class FakeHost:
    """A host whose time stands still until a test moves it, with the timers that connections asked for."""

    def __init__(self) -> None:
        self.counters = WireCounters()
        self.time = 1000.0
        self.forgotten = 0

    def now(self) -> float:
        return self.time

    def arm(self, connection: EngineConnection, at: float) -> None:
        connection.due = min(connection.due, at)

    def forget(self, connection: EngineConnection) -> None:
        assert connection.phase is not Phase.POLLING
        self.forgotten += 1

    def note_cut(self, connection: EngineConnection, reason: str, why: str) -> None:
        del connection, why
        self.cuts = [*getattr(self, "cuts", []), reason]

    def report_error(self, what: str, error: Exception) -> None:
        assert what
        assert error
        self.counters.errors += 1

    def advance(self, connection: EngineConnection, by: float) -> None:
        """Let time pass, and wake the connection whenever it asked for it."""
        end = self.time + by
        while connection.due <= end:
            self.time, connection.due = connection.due, inf
            again = connection.tick(self.time)
            if again is not None:
                self.arm(connection, again)
        self.time = end


class FakeLink:
    """A transport that records its calls."""

    clear = True
    plain = False

    def __init__(self) -> None:
        self.calls: list[Any] = []

    def discard(self, namespace: bytes) -> None:
        self.calls.append(("discard", namespace))

    def wake(self) -> None:
        self.calls.append("wake")

    def finish(self) -> None:
        self.calls.append("finish")

    def note_sessions(self, *, has: bool) -> None:
        self.has_sessions = has

    def say_farewell(self) -> None:
        self.calls.append("farewell")

    def fail(self, code: int, reason: str = "") -> None:
        self.reason = reason
        self.calls.append(("fail", code))

    def abort(self) -> None:
        self.calls.append("abort")

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")
