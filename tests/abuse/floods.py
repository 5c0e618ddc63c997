"""Floods of well-formed packets by clients with a session."""

from __future__ import annotations

import json

from tests.abuse.attack import Target, attack
from tests.abuse.client import dial, frame, in_threads, polling_sid, post, pour, websocket

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
