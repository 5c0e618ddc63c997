"""The load: one process in C on its own core, with many clients; told by lines what to do, it answers each by one.

By hand, against any server that listens, with the tokens of `python -m tests.bench.servers ours` or others:

    python -m tests.bench.load --port 8000 --pid PID inbound                 50 rooms of 2, everyone publishes
    python -m tests.bench.load --port 8000 --pid PID inbound --window 32
    python -m tests.bench.load --port 8000 --pid PID fan-out --size 500                one message at a time
    python -m tests.bench.load --port 8000 --pid PID fan-out --size 500 --window 64    saturated
    python -m tests.bench.load --port 8000 --pid PID paced --rate 1000 --rooms 10 --size 50    latencies
    python -m tests.bench.load --port 8000 --pid PID paced --rate 1000 --flood 4096       beside a flooding sender
    python -m tests.bench.load --port 8000 --pid PID connect --rooms 1000 [--polling]     sessions, no rooms

prints one line a round: events, acks and deliveries per second, the server's CPU in µs per event (inbound),
delivery (fan-out) or set-up (connect, whose first round may bring tokens that are new), and how busy it was.
`--rounds 5 --seconds 1 --first TOKEN` and more: see `--help`.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.bench import compiled
from tests.bench.servers import cpu_of
from tests.bench.tokens import BUILD

CORE = max(os.sched_getaffinity(0))
"""The load's core: the last that there is; the servers have the first for themselves."""


class LoadFailed(RuntimeError):
    """The load saw what must not happen: a disconnect, a refusal, a missing delivery. The text says what."""


class Place(NamedTuple):
    """Where clients connect."""

    host: str
    port: int
    tls: bool = False


class Load:
    """One load process. Between two commands its clients sleep, and answer pings."""

    def __init__(self, core: int = CORE) -> None:
        self._process = subprocess.Popen(
            [compiled.program("load"), str(core)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            errors="replace",
        )

    def connect(
        self,
        place: Place,
        *,
        clients: int,
        size: int,
        tokens: Path,
        room: str | None = None,
        first: int = 0,
        join: bool = True,
        at_once: int = 20,
        protocol: str = "socketio",
        namespace: str = "/",
        polling: bool = False,
        websocket_senders: int = 0,
        keep_post: bool = True,
    ) -> dict[str, Any]:
        """Connect a group of clients, each `size` of them in a room, and return when all are in.

        Args:
            place: Where.
            clients: How many, a multiple of `size`.
            size: How many there are in a room.
            tokens: A file, one token a line.
            room: The rooms' names, {} being their number; the tokens of the harness name `room:SIZE-NUMBER`.
            first: The token of the first client, a multiple of `size`; the next one has the next.
            join: Whether they join their rooms; else they are in when they have their sessions.
            at_once: How many are on their way at a time.
            protocol: "socketio", or "nchan", which knows no sessions.
            namespace: Where their sessions are.
            polling: They come by HTTP polling, but for the first `websocket_senders` of each room.
            websocket_senders: How many of a room's members those are.
            keep_post: Polling clients keep the connection of a POST that was answered.
        """
        return self.command(
            "connect",
            host=place.host,
            port=place.port,
            tls=int(place.tls),
            clients=clients,
            size=size,
            tokens=tokens,
            room=room or f"room:{size}-{{}}",
            first=first,
            join=int(join),
            at_once=at_once,
            protocol=protocol,
            namespace=namespace,
            polling=int(polling),
            websocket_senders=websocket_senders,
            keep_post=int(keep_post),
        )

    def closed(self, **settings: object) -> dict[str, Any]:
        """Run a round in which what is sent next waits for what was sent before to arrive.

        Args:
            settings: `group`; `rooms`, the first so many; `senders` in each; `window`, messages under way for
                each, and `batch`, how many leave at once; `bytes` of an event; `seconds` or `events`; `in_turn=1`:
                one room after the other; `patience`: seconds in which something has to arrive.
        """
        return self.command("closed", **settings)

    def paced(self, **settings: object) -> dict[str, Any]:
        """Run a round at a fixed rate, and return the deliveries' latencies in µs: p50, p99, p99.9, longest.

        Args:
            settings: `group`, whose rooms take turns; `rate` of messages a second; `bytes` of an event; `seconds`;
                `flood`, a group of rooms where meanwhile a closed round runs with `window` and `batch`.
        """
        return self.command("paced", **settings)

    def close_clients(self) -> None:
        """Disconnect everyone."""
        self.command("close")

    def command(self, name: str, **settings: object) -> dict[str, Any]:
        """Give a command and return its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        words = " ".join([name, *(f"{key}={value}" for key, value in settings.items())])
        with contextlib.suppress(BrokenPipeError):  # it has ended, and its last line says why
            self._process.stdin.write(f"{words}\n")
            self._process.stdin.flush()
        line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the load process has ended"}
        if "error" in answer:
            raise LoadFailed(f"{answer['error']} (in: {words})")
        return answer

    def stop(self) -> None:
        """End the process, and with it its connections."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.load", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("work", choices=["inbound", "fan-out", "paced", "connect"])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--tls", action="store_true")
    parser.add_argument("--tokens", type=Path, default=BUILD / "tokens.txt", help="a file, one token a line")
    parser.add_argument("--pid", type=int, help="the server's process, whose CPU is shown")
    parser.add_argument("--first", type=int, default=0, help="the token of the first client")
    parser.add_argument("--size", type=int, help="clients in a room; fan-out 500, connect 1, else 2")
    parser.add_argument("--rooms", type=int, help="how many; fan-out 1, else 50")
    parser.add_argument("--room", help="their names, {} being the number; room:SIZE-{}")
    parser.add_argument("--namespace", default="/")
    parser.add_argument("--protocol", default="socketio", choices=["socketio", "nchan"])
    parser.add_argument(
        "--polling", action="store_true", help="who receives polls; with inbound and connect, everyone does"
    )
    parser.add_argument("--senders", type=int, help="in each room; inbound all, else 1")
    parser.add_argument("--window", type=int, default=1, help="messages under way for each sender")
    parser.add_argument("--batch", type=int, help="how many leave at once; inbound all, else a quarter")
    parser.add_argument("--rate", type=float, default=1000, help="paced messages a second")
    parser.add_argument(
        "--flood", type=int, help="paced: the window of one more sender, in a room of its own"
    )
    parser.add_argument("--bytes", type=int, default=90, help="of an event")
    parser.add_argument("--seconds", type=float, default=1.0, help="of a round")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    inbound = given.work == "inbound"
    given.size = given.size or {"fan-out": 500, "connect": 1}.get(given.work, 2)
    given.rooms = given.rooms or (1 if given.work == "fan-out" else 50)
    given.senders = given.senders or (given.size if inbound else 1)
    given.batch = given.batch or (given.window if inbound else max(1, given.window // 4))
    return given


def _connect(load: Load, given: argparse.Namespace, clients: int, size: int, first: int) -> dict[str, Any]:
    everyone_polls = given.work in ("inbound", "connect")
    return load.connect(
        Place(given.host, given.port, given.tls),
        clients=clients,
        size=size,
        first=first,
        join=given.work != "connect",
        tokens=given.tokens,
        room=given.room,
        namespace=given.namespace,
        protocol=given.protocol,
        polling=given.polling,
        websocket_senders=0 if everyone_polls else given.senders,
    )


def _round(load: Load, given: argparse.Namespace) -> dict[str, Any]:
    if given.work == "connect":
        load.close_clients()
        return _connect(load, given, given.rooms * given.size, given.size, given.first)
    if given.work != "paced":
        return load.closed(
            senders=given.senders,
            window=given.window,
            batch=given.batch,
            bytes=given.bytes,
            seconds=given.seconds,
        )
    flood = {"flood": 1, "window": given.flood, "batch": max(1, given.flood // 16)} if given.flood else {}
    return load.paced(rate=given.rate, bytes=given.bytes, seconds=given.seconds, **flood)


def _line(given: argparse.Namespace, found: dict[str, Any], used: float) -> str:
    """Return what is printed of a round that used so many µs of CPU."""
    took = found["seconds"]
    counts = ("clients", "events", "acks", "deliveries", "flood")
    line = "  ".join(f"{found[key] / took:,.0f} {key}/s" for key in counts if key in found)
    if "p50" in found:
        line += "  " + "  ".join(f"{key} {found[key]:,.0f} µs" for key in ("p50", "p99", "p99.9", "longest"))
    if given.pid:
        unit = {"inbound": "events", "connect": "clients"}.get(given.work, "deliveries")
        line += f"  {used / found[unit]:.2f} µs CPU each of {unit}  {used / took / 1e4:.0f} % busy"
    return line


def main() -> None:
    """Run one workload by hand."""
    given = _arguments()
    with Load() as load:
        if given.work != "connect":
            _connect(load, given, given.rooms * given.size, given.size, given.first)
        if given.flood:
            _connect(load, given, 2, 2, given.first + given.rooms * given.size)
        for _ in range(given.rounds):
            before = cpu_of(given.pid) if given.pid else 0
            found = _round(load, given)
            used = (cpu_of(given.pid) - before) / 1000 if given.pid else 0
            print(_line(given, found, used), flush=True)


if __name__ == "__main__":
    main()
