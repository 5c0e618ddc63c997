"""Attacks on listeners under TLS."""

from __future__ import annotations

import os
import time
from contextlib import suppress

from tests.abuse.attack import Target, attack
from tests.abuse.client import HELD, dial, in_threads, secured, upgrade


@attack(
    "A5",
    "connections to a listener under TLS that say nothing",
    tls=True,
    stays=20,
    server={"pending": 1000},
    peak=96,
    left=96,
)
def silent_tls(target: Target) -> None:
    while not target.over() and len(HELD) < 3000:
        HELD.append(dial(target, f"127.0.66.{len(HELD) % 200 + 1}"))
    target.seen["opened"] = len(HELD)
    time.sleep(target.rest())


@attack(
    "A5",
    "handshakes of TLS that stop after their first message",
    tls=True,
    stays=20,
    server={"pending": 1000},
    peak=96,
    left=96,
)
def half_tls(target: Target) -> None:
    import ssl

    context = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    hello = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with suppress(ssl.SSLWantReadError):
        hello.do_handshake()
    data = outgoing.read()
    while not target.over() and len(HELD) < 1500:
        sock = dial(target, f"127.0.66.{len(HELD) % 200 + 1}")
        sock.sendall(data)
        HELD.append(sock)
    target.seen["opened"] = len(HELD)
    time.sleep(target.rest())


@attack("A5", "whole handshakes of TLS, as fast as they come", tls=True)
def tls_churn(target: Target) -> None:
    def one(index: int) -> None:
        while not target.over():
            secured(dial(target, f"127.0.66.{index + 1}")).close()
            target.seen["handshakes"] += 1

    in_threads(target, one, 2)


@attack(
    "A5",
    "bytes at random, and plain HTTP, to a listener under TLS",
    tls=True,
    most=4200,
    waits="a newcomer waits in the kernel's queue behind the attacker's connections, whose opening and closing "
    "cost the attacker and the kernel more than the daemon; and its handshake takes further turns",
)
def tls_garbage(target: Target) -> None:
    def one(index: int) -> None:
        while not target.over():
            with dial(target, f"127.0.66.{index + 1}") as sock, suppress(OSError):
                sock.sendall(os.urandom(500) if index else upgrade())
                target.seen["connections"] += 1

    in_threads(target, one, 2)
