"""Requests' heads: refused ones, long ones, endless ones."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from tests.abuse.attack import Target, attack
from tests.abuse.client import HELD, POLLING, WEBSOCKET, ask, dial, head, in_threads, read_head, upgrade


@attack("A1", "HEAD, POST and others that ask for a WebSocket: each is answered")
def odd_upgrades(target: Target) -> None:
    requests = [
        upgrade().replace(b"GET", method, 1) for method in (b"HEAD", b"POST", b"PUT", b"OPTIONS", b"BREW")
    ]
    requests += [
        upgrade().replace(b"HTTP/1.1", b"HTTP/1.0"),
        upgrade().replace(b": 13", b": 8"),
        head("HEAD", POLLING),
        head("HEAD", "/elsewhere", "Connection: Upgrade", "Upgrade: websocket"),
    ]
    while not target.over():
        for data in requests:
            status = ask(target, data)
            target.seen[f"status {status}"] += 1
            target.check(status != 0, f"no answer to {data[:60]!r}")


@attack("A1", "heads of 17 to 64 KiB, in lines under 8 KiB: taken up to 32 KiB, else 431")
def long_heads(target: Target) -> None:
    while not target.over():
        for size in (17, 31, 40, 64, 200):
            lines = [f"X-Padding-{index}: {'a' * 7000}" for index in range(size // 7)]
            status = ask(target, head("GET", POLLING, *lines))
            target.seen[f"{size} KiB: {status}"] += 1
            wanted = 200 if size < 32 else 431
            target.check(status == wanted, f"a head of {size} KiB was answered {status}, not {wanted}")


@attack("A1", "a request line of 60 KiB, 2,000 header lines, one line repeated, cookies of semicolons")
def odd_heads(target: Target) -> None:
    requests = {
        "long target": head("GET", f"{POLLING}&x={'a' * 60_000}"),
        "2,000 lines": head("GET", POLLING, *[f"X-{index}: 1" for index in range(2000)]),
        "repeated": head("GET", POLLING, *["X-A: 1"] * 3000),
        "cookies": head("GET", POLLING, f"Cookie: {';' * 30_000}"),
        "forwarded": head("GET", POLLING, f"X-Forwarded-For: {','.join(['1.2.3.4'] * 3500)}"),
        "connection": head("GET", WEBSOCKET, f"Connection: {',' * 30_000}", "Upgrade: websocket"),
        "upgrade": head("GET", WEBSOCKET, f"Upgrade: {'a,' * 15_000}websocket", "Connection: Upgrade"),
        "query": head("GET", f"{POLLING}&{'a&' * 7000}"),
        "two lengths": head("POST", POLLING, "Content-Length: 1", "Content-Length: 2"),
        "both lengths": head("POST", POLLING, "Content-Length: 1", "Transfer-Encoding: chunked"),
        "no host": b"GET / HTTP/1.1\r\n\r\n",
        "nonsense": os.urandom(200).replace(b"\n", b"") + b"\r\n\r\n",
        "bad line": head("GET", POLLING, "no colon here"),
        "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    }
    while not target.over():
        for name, data in requests.items():
            status = ask(target, data)
            target.seen[f"{name}: {status}"] += 1
            target.check(status != 0, f"no answer to {name}")


@attack("A5", "500 heads that never end, a line each second", stays=30, seconds=5)
def slow_heads(target: Target) -> None:
    HELD.extend(dial(target, f"127.0.66.{index % 200 + 1}") for index in range(500))
    for sock in HELD:
        sock.sendall(b"GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: a\r\n")
    while not target.over():
        for sock in HELD:
            with suppress(OSError):
                sock.sendall(b"X-More: 1\r\n")
        time.sleep(0.5)


@attack("A5", "500 connections that are kept alive after an answer, and say nothing", stays=40, seconds=3)
def kept_alive(target: Target) -> None:
    for index in range(500):
        if target.over():
            return
        sock = dial(target, f"127.0.66.{index % 200 + 1}")
        sock.sendall(head("GET", "/elsewhere" if index % 2 else f"{POLLING}&sid=none"))
        target.seen[f"status {read_head(sock)[0]}"] += 1
        HELD.append(sock)


@attack(
    "A1",
    "bytes at random, and connections that are reset while they are served",
    most=4200,
)
def garbage(target: Target) -> None:
    def one(_: int) -> None:
        while not target.over():
            with dial(target) as sock:
                with suppress(OSError):
                    sock.sendall(os.urandom(2000))
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
                target.seen["connections"] += 1

    in_threads(target, one, 2)
