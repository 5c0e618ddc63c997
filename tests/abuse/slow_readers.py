"""Clients that make us say much, and do not listen."""

from __future__ import annotations

import time
from contextlib import suppress

from tests.abuse.attack import Target, attack
from tests.abuse.client import (
    HELD,
    POLLING,
    dial,
    frame,
    head,
    in_threads,
    polling_sid,
    post,
    websocket,
    with_token,
)

LOUD = {
    "limits": {"message_rate": "unlimited", "message_size": "512KiB"},
}
"""Limits under which a client may fill buffers."""


@attack(
    "A4",
    "300 members of a room that do not read, of which one publishes 64 KB at a time",
    peak=400,
    settings=LOUD,
    left=64,
)
def deaf_members(target: Target) -> None:
    deaf = []
    for index in range(100):
        sock = websocket(target, b"40/pub,", f"127.0.66.{index + 1}", receive_buffer=4096)
        sock.sendall(frame(b'42/pub,["join","lobby"]'))
        deaf.append(sock)
    loud = websocket(target, b"40/pub,", "127.0.66.250")
    loud.sendall(frame(b'42/pub,["join","lobby"]'))
    message = frame(b'42/pub,["publish","lobby","message","%b"]' % (b"a" * 60_000))
    with suppress(OSError):
        while not target.over():
            loud.sendall(message)
            target.seen["messages"] += 1
            time.sleep(0.02)


@attack(
    "A4",
    "polls of 1 MB that are not read, each by a session that ends at once",
    settings=LOUD,
    seconds=6,
    peak=64,
    stays=30,
)
def unread_polls(target: Target) -> None:
    _unread_polls(target)


@attack(
    "A4",
    "the same by requests with `Upgrade: h2c`, which take another way through the server",
    settings=LOUD,
    seconds=6,
    peak=64,
    stays=30,
)
def unread_polls_with_upgrade(target: Target) -> None:
    _unread_polls(target, "Connection: Upgrade", "Upgrade: h2c")


def _unread_polls(target: Target, *lines: str) -> None:
    # A session publishes to itself by echo: a member of the room beside it does.
    def one(index: int) -> None:
        message = b'42["publish","room:x%d","message","%b"]' % (index, b"a" * 60_000)
        body = b"\x1e".join([message] * 15)
        source = f"127.0.66.{index + 1}"
        with dial(target, source) as sock:
            speaker = polling_sid(target, sock)
            post(sock, speaker, with_token(target))
            post(sock, speaker, b'42["join","room:x%d"]' % index)
            while not target.over():
                other = dial(target, source, receive_buffer=4096)
                HELD.append(other)
                sid = polling_sid(target, other)
                post(other, sid, with_token(target))
                post(other, sid, b'42["join","room:x%d"]' % index)
                if post(sock, speaker, body) != 200:
                    return
                other.sendall(head("GET", f"{POLLING}&sid={sid}", *lines))
                time.sleep(0.02)
                # Its end, by another connection.
                post(sock, sid, b"1")
                target.seen["left unread"] += 1

    in_threads(target, one, 4)


@attack(
    "A4",
    "pipelined requests for another path, whose answers are not read",
    stays=75,
    seconds=3,
)
def unread_answers(target: Target) -> None:
    batch = head("GET", "/elsewhere") * 500

    def one(index: int) -> None:
        sock = dial(target, f"127.0.66.{index + 1}", receive_buffer=4096)
        HELD.append(sock)
        sock.settimeout(1)
        with suppress(OSError):
            while not target.over():
                sock.sendall(batch)
                target.seen["requests"] += 500

    in_threads(target, one, 30)


@attack(
    "A4",
    "acks that are not read",
    stays=50,  # as long as a ping may be unanswered
    settings=LOUD,
    seconds=3,
    waits="with `message_rate: unlimited` 20 connections have some 200,000 requests a second refused until they "
    "are closed as floods after 10 s",
)
def unread_acks(target: Target) -> None:
    batch = frame(b'42/pub,1["publish","lobby","message",{"n":1}]') * 200

    def one(index: int) -> None:
        sock = websocket(target, b"40/pub,", f"127.0.66.{index + 1}", receive_buffer=4096)
        HELD.append(sock)
        sock.settimeout(1)
        with suppress(OSError):
            while not target.over():
                sock.sendall(batch)
                target.seen["requests"] += 200

    in_threads(target, one, 20)
