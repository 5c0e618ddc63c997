"""Tokens: bad ones, many ones, and rules that make them dear."""

from __future__ import annotations

import base64
import json
import time

from tests.abuse.attack import Target, attack
from tests.abuse.client import (
    dial,
    drink,
    frame,
    head,
    in_threads,
    pour,
    read_head,
    upgrade,
    websocket,
    with_token,
)


def forged(index: int, size: int = 300) -> bytes:
    """Return a CONNECT with a token of the right form that no key has signed."""

    def part(value: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    now = int(time.time())
    claims = {
        "iss": "https://idp.example.com",
        "aud": "realtime",
        "sub": f"x{index}",
        "iat": now,
        "exp": now + 600,
        "pad": "a" * size,
    }
    token = f"{part({'alg': 'HS256', 'typ': 'JWT', 'kid': 'idp-1'})}.{part(claims)}.{'A' * 43}"
    return b"40" + json.dumps({"token": token}).encode()


@attack("A7", "CONNECTs with forged tokens, as fast as one connection of each of 3 addresses takes them")
def bad_tokens(target: Target) -> None:
    def one(index: int) -> None:
        while not target.over():
            sock = websocket(target, forged(index), f"127.0.66.{index + 1}")
            pour(target, sock, b"".join([frame(forged(number)) for number in range(50)]), "50 forged tokens")
            sock.close()

    in_threads(target, one, 3)


@attack(
    "A7",
    "forged tokens, where an address may fail 20 times a second: nearly all are refused without a look",
    server={"failed_tokens": "20/s"},
)
def bad_tokens_by_address(target: Target) -> None:
    def one(index: int) -> None:
        number = 0
        while not target.over():
            sock = websocket(target, forged(index), f"127.0.66.{index + 1}")
            sock.settimeout(target.rest())
            while not target.over() and number % 100 < 99:
                number += 1
                sock.sendall(frame(forged(number)))
                answer = sock.recv(4096)
                target.seen["unseen" if b"rate_limited" in answer else "looked at"] += 1
            number += 1
            sock.close()
        target.check(target.seen["looked at"] < target.seen["unseen"], "tokens were looked at all the same")

    in_threads(target, one, 3)


@attack("A7", "connections with a forged token each")
def bad_token_connections(target: Target) -> None:
    def one(index: int) -> None:
        number = 0
        while not target.over():
            number += 1
            with dial(target, f"127.0.66.{index + 1}") as sock:
                sock.sendall(upgrade() + frame(forged(number)))
                read_head(sock)
                target.seen["connections"] += 1

    in_threads(target, one, 3)


@attack("A7", "tokens of 15 KiB that nobody signed")
def long_bad_tokens(target: Target) -> None:
    def one(index: int) -> None:
        while not target.over():
            sock = websocket(target, forged(index), f"127.0.66.{index + 1}")
            pour(target, sock, b"".join([frame(forged(n, 10_000)) for n in range(20)]), "20 forged tokens")
            sock.close()

    in_threads(target, one, 3)


@attack(
    "A8",
    "6,000 tokens of 8 KB",
    tokens=6000,
    claims={"pad": "a" * 6000},
    seconds=8,
    left=16,
    peak=48,
)
def many_tokens(target: Target) -> None:
    index = 0
    while not target.over() and index < len(target.tokens):
        with dial(target) as sock:
            sock.sendall(upgrade() + frame(with_token(target, index)))
            read_head(sock)
            sock.recv(4096)
        index += 1
        target.seen["tokens"] += 1


@attack(
    "A9",
    "a claim of 1,500 rooms, refreshed as often as the rate allows",
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
                    "mine:{room}": {
                        "join": {"claim": "rooms", "contains": "{room}"},
                        "auto_join": {"room": "rooms"},
                    },
                },
            }
        }
    },
    claims={"rooms": [f"r{index}" for index in range(1500)]},
)
def many_auto_joins(target: Target) -> None:
    def one(index: int) -> None:
        sock = websocket(target, with_token(target), f"127.0.66.{index + 1}")
        drink(sock)
        data = b'42["refresh",%b]' % json.dumps(target.tokens[0]).encode()
        while not target.over():
            sock.settimeout(target.rest())
            sock.sendall(frame(data))
            target.seen["refreshes"] += 1
            time.sleep(0.02)

    in_threads(target, one, 3)


@attack("A9", "CONNECT and DISCONNECT by turns, 127 in one write")
def connects_and_disconnects(target: Target) -> None:
    def one(index: int) -> None:
        pair = frame(with_token(target)) + frame(b"41")
        while not target.over():
            sock = websocket(target, with_token(target), f"127.0.66.{index + 1}")
            pour(target, sock, frame(b"41") + pair * 127, "127 pairs")
            sock.close()

    in_threads(target, one, 3)


@attack(
    "A8",
    "a token in the Authorization header of every polling handshake, 14 KiB of it: each of 4,000 is kept until its "
    "connection has been without a session for 10 s",
    peak=96,
    stays=25,
)
def header_tokens(target: Target) -> None:
    from tests.abuse.client import POLLING, read_answer

    def one(index: int) -> None:
        with dial(target, f"127.0.66.{index + 1}") as sock:
            while not target.over():
                sock.sendall(head("GET", POLLING, f"Authorization: Bearer {'a' * 14_000}"))
                target.seen[f"status {read_answer(sock)[0]}"] += 1

    in_threads(target, one, 3)
