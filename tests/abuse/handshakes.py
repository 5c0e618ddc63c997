"""Connections and handshakes: more than honest clients leave room for."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress

from tests.abuse.attack import STRANGER, Target, attack
from tests.abuse.client import HELD, POLLING, dial, head, in_threads, read_answer, upgrade


@attack(
    "A5",
    "4,000 TCP connections of one address that say nothing, where 20 are allowed",
    server={"connections_per_address": 20},
    stays=20,
    most=60,
)
def silent_connections(target: Target) -> None:
    _silent(target, 4000, lambda _: STRANGER)


@attack(
    "A5",
    "6,000 TCP connections of 200 addresses that say nothing, where 1,000 may be pending",
    server={"pending": 1000},
    stays=30,
    seconds=5,
)
def silent_crowd(target: Target) -> None:
    _silent(target, 6000, lambda index: f"127.0.66.{index % 200 + 1}")


def _silent(target: Target, count: int, source: Callable[[int], str]) -> None:
    for index in range(count):
        if target.over():
            break
        try:
            HELD.append(dial(target, source(index), timeout=target.rest()))
        except OSError:
            target.seen["not connected"] += 1
            break
    target.seen["connected"] = len(HELD)
    time.sleep(target.rest())


@attack("A6", "handshakes on polling, pipelined on one socket of each of 3 addresses", stays=30)
def polling_handshakes(target: Target) -> None:
    def one(index: int) -> None:
        sock = dial(target, f"127.0.66.{index + 1}")
        HELD.append(sock)
        sock.settimeout(0.2)
        batch = head("GET", POLLING) * 20
        while not target.over():
            with suppress(TimeoutError):
                sock.sendall(batch)
            with suppress(TimeoutError):
                while data := sock.recv(1 << 20):
                    target.seen["opened"] += data.count(b"HTTP/1.1 200")
                    target.seen["refused"] += data.count(b"HTTP/1.1 503")
                    if len(data) < 10_000:
                        break

    in_threads(target, one, 3)


@attack("A6", "WebSockets that are opened and say nothing more", server={"pending": 1000}, stays=30)
def silent_websockets(target: Target) -> None:
    def one(index: int) -> None:
        while not target.over():
            sock = dial(target, f"127.0.66.{index + 1}")
            HELD.append(sock)
            sock.sendall(upgrade())
            target.seen[f"{sock.recv(4096)[9:12].decode()}"] += 1

    in_threads(target, one, 3)


@attack("A6", "requests for a WebSocket that stop in the middle", server={"pending": 1000}, stays=30)
def half_handshakes(target: Target) -> None:
    data = upgrade()[:-20]
    while not target.over() and len(HELD) < 3000:
        sock = dial(target, f"127.0.66.{len(HELD) % 200 + 1}")
        sock.sendall(data)
        HELD.append(sock)
    target.seen["opened"] = len(HELD)
    time.sleep(target.rest())


@attack(
    "A5",
    "connections as fast as they come, each closed at once",
    most=4200,
    waits="a newcomer waits in the kernel's queue behind the attacker's connections, whose opening and closing "
    "cost the attacker and the kernel more than the daemon",
)
def churn(target: Target) -> None:
    def one(index: int) -> None:
        while not target.over():
            dial(target, f"127.0.66.{index + 1}").close()
            target.seen["connections"] += 1

    in_threads(target, one, 3)


@attack("A15", "handshakes with heads of 15 KiB, kept by sessions without end", peak=48)
def fat_handshakes(target: Target) -> None:
    lines = [f"X-Padding-{index}: {'a' * 7000}" for index in range(2)]
    lines.append(f"Authorization: Basic {'b' * 500}")

    def one(index: int) -> None:
        with dial(target, f"127.0.66.{index + 1}") as sock:
            while not target.over():
                sock.sendall(head("GET", f"{POLLING}&{'x' * 200}=1", *lines))
                target.seen[f"status {read_answer(sock)[0]}"] += 1

    in_threads(target, one, 3)
