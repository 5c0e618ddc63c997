"""Floods of well-formed packets by clients with a session."""

from __future__ import annotations

import json
import selectors
import socket
from contextlib import suppress
from typing import cast

from tests.abuse.attack import Target, attack
from tests.abuse.client import POLLING, dial, frame, head, in_threads, polling_sid, post, pour, websocket

FULL_SPEED = 13.0
"""Seconds of a flood, longer than the window after which whoever does nothing else is closed."""


def _flood(target: Target, data: bytes, connect: bytes = b"40/pub,", *, must_close: bool = True) -> None:
    """Send the same bytes at full speed on one connection of each of 3 addresses; by the end each is closed."""
    closed = [False] * 3

    def one(index: int) -> None:
        sock = websocket(target, connect, f"127.0.66.{index + 1}")
        closed[index] = pour(target, sock, data, f"{len(data)} bytes")
        sock.close()

    in_threads(target, one, 3)
    target.check(not must_close or all(closed), f"{closed.count(False)} of 3 connections were not closed")


@attack("A7", "publishes at full speed", seconds=FULL_SPEED)
def publishes(target: Target) -> None:
    message = b'42/pub,1["publish","lobby","message",{"n":1}]'
    _flood(target, frame(b'42/pub,["join","lobby"]') + frame(message) * 300)


@attack("A7", "publishes to a room that one is not in", seconds=FULL_SPEED)
def foreign_publishes(target: Target) -> None:
    _flood(target, frame(b'42/pub,1["publish","nowhere","message",{"n":1}]') * 300)


@attack("A7", "events that do not exist", seconds=FULL_SPEED)
def unknown_events(target: Target) -> None:
    _flood(target, frame(b'42/pub,1["shout",{"n":1}]') * 300)


@attack("A7", "lists of 100 rooms to join", seconds=FULL_SPEED)
def list_joins(target: Target) -> None:
    rooms = json.dumps([f"open:r{index}" for index in range(100)]).encode()
    _flood(target, frame(b'42/pub,1["join",%b]' % rooms) * 20)


@attack("A7", "CONNECTs to namespaces that do not exist", seconds=FULL_SPEED)
def foreign_connects(target: Target) -> None:
    _flood(target, b"".join([frame(b"40/n%d," % index) for index in range(300)]))


@attack("A7", "pongs of Engine.IO", seconds=FULL_SPEED)
def engine_pongs(target: Target) -> None:
    _flood(target, frame(b"3") * 1000)


@attack("A7", "pings of WebSocket, of 125 bytes", seconds=FULL_SPEED)
def websocket_pings(target: Target) -> None:
    _flood(target, frame(b"a" * 125, 9) * 500)


@attack("A7", "pongs of WebSocket", seconds=FULL_SPEED)
def websocket_pongs(target: Target) -> None:
    _flood(target, frame(b"", 10) * 1000)


@attack("A7", "empty fragments of one message", seconds=FULL_SPEED)
def empty_fragments(target: Target) -> None:
    closed = [False] * 3

    def one(index: int) -> None:
        sock = websocket(target, b"40/pub,", f"127.0.66.{index + 1}")
        sock.sendall(frame(b"4", 1, final=False))
        closed[index] = pour(target, sock, frame(b"", 0, final=False) * 1000, "1000 fragments")
        sock.close()

    in_threads(target, one, 3)
    target.check(all(closed), f"{closed.count(False)} of 3 connections were not closed")


@attack("A7", "noops and acks that nobody asked for", seconds=FULL_SPEED)
def noops_and_acks(target: Target) -> None:
    _flood(target, (frame(b"6") + frame(b"43/pub,1[]")) * 500)


@attack("A7", "leaves of rooms that one is not in", seconds=FULL_SPEED)
def leaves(target: Target) -> None:
    _flood(target, frame(b'42/pub,1["leave","lobby"]') * 300)


@attack("A3", "a POST of 1 MB full of lists of 100 rooms to join, again and again")
def list_joins_by_post(target: Target) -> None:
    rooms = json.dumps([f"open:room-{index}" for index in range(100)]).encode()
    packet = b'42/pub,1["join",%b]' % rooms
    body = b"\x1e".join([packet] * (950_000 // (len(packet) + 1)))

    def one(index: int) -> None:
        while not target.over():
            with dial(target, f"127.0.66.{index + 1}", timeout=20) as sock:
                sid = polling_sid(target, sock)
                post(sock, sid, b"40/pub,")
                while not target.over() and post(sock, sid, body) == 200:
                    target.seen["POSTs"] += 1

    in_threads(target, one, 2)


CROWD = 1000
"""Connections that flood at once, half of them by polling."""


@attack(
    "A3",
    "1,000 connections of 50 addresses at once: POSTs of lists of rooms to join, and publishes on WebSocket",
    seconds=FULL_SPEED,
    peak=200,
    most=CROWD + 200,
    stays=60.0,
    waits="one who sends has a turn after each of 1,000 connections that never stop sending",
)
def crowd_of_floods(target: Target) -> None:
    rooms = json.dumps([f"open:room-{index}" for index in range(100)]).encode()
    joins = b"\x1e".join([b'42/pub,["join",%b]' % rooms] * 60)
    publishes = frame(b'42/pub,["publish","nowhere","message",{"n":1}]') * 100
    crowd: list[tuple[socket.socket, bytes]] = []
    for index in range(CROWD):
        source = f"127.0.66.{index % 50 + 1}"
        if index % 2:
            sock = dial(target, source)
            sid = polling_sid(target, sock)
            post(sock, sid, b"40/pub,")
            length = f"Content-Length: {len(joins)}"
            crowd.append((sock, head("POST", f"{POLLING}&sid={sid}", length) + joins))
        else:
            crowd.append((websocket(target, b"40/pub,", source), publishes))
        if target.over():
            return
    target.seen["connections"] = len(crowd)
    with selectors.DefaultSelector() as ready:
        for sock, data in crowd:
            sock.setblocking(False)
            ready.register(sock, selectors.EVENT_READ | selectors.EVENT_WRITE, [data, 0])
        while not target.over() and ready.get_map():
            for key, _ in ready.select(0.5):
                if not _send_and_read(target, key):
                    ready.unregister(key.fileobj)


def _send_and_read(target: Target, key: selectors.SelectorKey) -> bool:
    """Send the next part of the data that is sent again and again, and read; return whether it is open still."""
    sock = cast(socket.socket, key.fileobj)
    data, place = key.data
    try:
        if not sock.recv(1 << 16):
            raise ConnectionResetError
    except BlockingIOError:
        pass
    except OSError:
        target.seen["closed"] += 1
        return False
    with suppress(OSError):
        place += sock.send(memoryview(data)[place:])
        key.data[1] = place % len(data)
        target.seen["sent"] += place == len(data)
    return True


@attack(
    "A11",
    "a room with a message a minute, and a new connection for each message",
    settings={
        "namespaces": {
            "/": {
                "connect": "authenticated",
                "rooms": {
                    "room:{name}": {
                        "join": "authenticated",
                        "publish": "members",
                        "events": ["message"],
                    },
                    "slow": {
                        "join": "authenticated",
                        "publish": "members",
                        "events": ["message"],
                        "limits": {"message_rate": "1/m"},
                    },
                },
            }
        }
    },
)
def new_connections_for_full_buckets(target: Target) -> None:
    from tests.abuse.client import with_token

    def one(index: int) -> None:
        while not target.over():
            with websocket(target, with_token(target), f"127.0.66.{index + 1}") as sock:
                sock.sendall(frame(b'42["join","slow"]') + frame(b'427["publish","slow","message",{"n":1}]'))
                data = b""
                while b"437[" not in data:
                    more = sock.recv(4096)
                    if not more:
                        return
                    data += more
                target.seen["accepted" if b'437[{"ok":true' in data else "refused"] += 1

    in_threads(target, one, 2)
    target.check(
        target.seen["accepted"] <= 3, f"{target.seen['accepted']} messages in a room of one a minute"
    )
