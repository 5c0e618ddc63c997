"""Requests' bodies: too long, never ending, in crumbs, and full of packets."""

from __future__ import annotations

import time
from contextlib import suppress

from tests.abuse.attack import Target, attack
from tests.abuse.client import (
    HELD,
    POLLING,
    dial,
    head,
    in_threads,
    polling_sid,
    post,
    read_answer,
    read_head,
)

KIB = 1024


@attack("A1", "POSTs of 1.9 MB to one's own session, and of others in chunks: each is answered")
def long_bodies(target: Target) -> None:
    body = b"4" * 1_900_000
    while not target.over():
        for chunked in (False, True):
            with dial(target) as sock:
                sid = polling_sid(target, sock)
                lines = ["Transfer-Encoding: chunked"] if chunked else [f"Content-Length: {len(body)}"]
                sock.sendall(head("POST", f"{POLLING}&sid={sid}", *lines))
                with suppress(OSError):
                    if chunked:
                        sock.sendall(b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body))
                    else:
                        sock.sendall(body)
                status, _ = read_head(sock)
                target.seen[f"{'chunked' if chunked else 'announced'}: {status}"] += 1
                target.check(status == 413, f"a body of 1.9 MB was answered {status}, not 413")


@attack("A1", "POSTs of 100 MB to nobody's session")
def endless_bodies(target: Target) -> None:
    def one(index: int) -> None:
        while not target.over():
            with dial(target, f"127.0.66.{index + 1}") as sock:
                sock.sendall(head("POST", f"{POLLING}&sid=none", "Content-Length: 100000000"))
                sent = 0
                with suppress(OSError):
                    while sent < 100_000_000 and not target.over():
                        sent += sock.send(b"4" * 65536)
                target.seen[f"status {read_head(sock)[0]}"] += 1

    in_threads(target, one, 3)


@attack("A10", "150 bodies of 900 KB of which half comes", stays=40, seconds=4, peak=48)
def half_bodies(target: Target) -> None:
    for index in range(150):
        sock = dial(target, f"127.0.66.{index + 1}")
        HELD.append(sock)
        with suppress(OSError, ConnectionRefusedError):
            sid = polling_sid(target, sock)
            sock.settimeout(1)
            sock.sendall(head("POST", f"{POLLING}&sid={sid}", "Content-Length: 900000") + b"4" * 450_000)
        if target.over():
            return
    time.sleep(target.rest())


@attack("A7", "bodies in chunks of a byte")
def crumbs(target: Target) -> None:
    crumb = b"1\r\n6\r\n" * 10_000

    def one(index: int) -> None:
        while not target.over():
            with dial(target, f"127.0.66.{index + 1}") as sock:
                sid = polling_sid(target, sock)
                sock.sendall(head("POST", f"{POLLING}&sid={sid}", "Transfer-Encoding: chunked"))
                with suppress(OSError):
                    for _ in range(50):
                        sock.sendall(crumb)
                        if target.over():
                            return
                    sock.sendall(b"0\r\n\r\n")
                target.seen[f"status {read_head(sock)[0]}"] += 1

    in_threads(target, one, 3)


@attack("A3", "POSTs of 125,000 packets: pongs, noops, events that are nonsense")
def many_packets(target: Target) -> None:
    def one(index: int) -> None:
        bodies = [b"\x1e".join([packet] * (900_000 // (len(packet) + 1))) for packet in (b"3", b"6", b"0")]
        bodies.append(b"\x1e".join([b"40/pub,"] + [b'42/pub,["publish","lobby","message",1]'] * 20_000))
        while not target.over():
            with dial(target, f"127.0.66.{index + 1}", timeout=20) as sock:
                for body in bodies:
                    sid = polling_sid(target, sock)
                    target.seen[f"status {post(sock, sid, body)}"] += 1
                    if target.over():
                        return

    in_threads(target, one, 3)


@attack("A13", "a session that polls on and on while a WebSocket probes it and holds its frames")
def polls_while_probing(target: Target) -> None:
    from tests.abuse.client import WEBSOCKET, frame, upgrade

    with dial(target) as sock, dial(target) as probe:
        sid = polling_sid(target, sock)
        assert post(sock, sid, b"40/pub,") == 200
        sock.sendall(head("GET", f"{POLLING}&sid={sid}"))
        read_answer(sock)
        probe.sendall(upgrade(f"{WEBSOCKET}&sid={sid}") + frame(b"2probe"))
        read_head(probe)
        began = time.monotonic()
        polls = 0
        while not target.over():
            sock.sendall(head("GET", f"{POLLING}&sid={sid}"))
            status, _ = read_answer(sock)
            if status != 200:
                break
            polls += 1
        rate = polls / (time.monotonic() - began)
        target.seen["polls a second"] = round(rate)
        target.check(rate < 25, f"{rate:.0f} polls a second were answered at once")
