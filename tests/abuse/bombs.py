"""Small inputs that unfold: depth, attachments, fragments, numbers."""

from __future__ import annotations

import time
from contextlib import suppress

from tests.abuse.attack import Target, attack
from tests.abuse.client import HELD, dial, drink, frame, in_threads, polling_sid, post, websocket

SIZE = 940_000


def _each(target: Target, packets: dict[str, list[bytes]], source: str) -> None:
    """Send each, as its frames, on a connection of its own."""
    for name, frames in packets.items():
        if target.over():
            return
        with websocket(target, b"40/pub,", source) as sock:
            sock.settimeout(3)
            with suppress(OSError):
                for data in frames:
                    sock.sendall(data)
                while sock.recv(1 << 16):
                    target.seen[name] += 1
                    if target.over():
                        return


@attack(
    "A10", "one event of 940 KB, nested 31 deep, wide, of numbers, of strings; a publish and a join of it"
)
def wide_and_deep(target: Target) -> None:
    deep = b"[" * 31 + b"]" * 31
    payloads = {
        "deep": b",".join([deep] * (SIZE // 63)),
        "numbers": b"1," * (SIZE // 2) + b"1",
        "objects": b'{"a":1},' * (SIZE // 8) + b"1",
        "escapes": b'"' + rb"\u00e9" * (SIZE // 6) + b'"',
        "brackets in text": b'"' + b"[{" * (SIZE // 2) + b'"',
        "quotes": rb'"\"' * (SIZE // 6) + rb'"',
    }

    def one(index: int) -> None:
        while not target.over():
            for name, payload in payloads.items():
                for event in (
                    b'42/pub,1["publish","lobby","message",%b]',
                    b'42/pub,1["join",[%b]]',
                    b'42/pub,1["x",%b]',
                ):
                    with websocket(target, b"40/pub,", f"127.0.66.{index + 1}") as sock:
                        sock.settimeout(2)
                        with suppress(OSError):
                            sock.sendall(frame(event % payload))
                            sock.recv(4096)
                        target.seen[name] += 1
                    if target.over():
                        return

    in_threads(target, one, 2)


@attack("A10", "JSON 100,000 deep; integers of 900,000 digits; exponents; NaN")
def deep_and_huge(target: Target) -> None:
    def event(data: bytes) -> list[bytes]:
        return [frame(b'42/pub,1["publish","lobby","message",%b]' % data)]

    packets = {
        "depth": event(b"[" * 450_000 + b"]" * 450_000),
        "open": event(b"[" * 900_000),
        "objects": event(b'{"a":' * 150_000 + b"1" + b"}" * 150_000),
        "integer": event(b"1" * 900_000),
        "negative": event(b"-" + b"9" * 4301),
        "fraction": event(b"0." + b"1" * 900_000),
        "exponent": event(b"1e999999999"),
        "ack id": [frame(b"42/pub," + b"9" * 900_000 + b'["x"]')],
        "namespace": [frame(b"40/" + b"a" * 900_000)],
        "auth": [frame(b'40/x,{"token":' + b"[" * 400_000 + b"]" * 400_000 + b"}")],
    }
    while not target.over():
        _each(target, packets, "127.0.66.1")


@attack(
    "A10", "attachments: a great number announced, none sent, placeholders that name others or themselves"
)
def attachments(target: Target) -> None:
    ten = frame(b'4510-/pub,1["publish","lobby","message",%b]' % (b'{"_placeholder":true,"num":0},' * 9)[:-1])
    packets = {
        "count": [frame(b'45999999999999-/pub,["x"]')],
        "eleven": [frame(b'4511-/pub,["x"]')],
        "none": [frame(b'450-/pub,["x"]')],
        "endless": [ten, *[frame(b"\0" * 99_000, 2)] * 9],
        "number": [
            frame(b'451-/pub,1["publish","lobby","message",{"_placeholder":true,"num":7}]'),
            frame(b"a", 2),
        ],
        "negative": [
            frame(b'451-/pub,1["publish","lobby","message",{"_placeholder":true,"num":-1}]'),
            frame(b"a", 2),
        ],
        "many": [
            frame(
                b'451-/pub,1["publish","lobby","message",[%b]]'
                % b",".join([b'{"_placeholder":true,"num":0}'] * 30_000)
            ),
            frame(b"a" * 60_000, 2),
        ],
        "no packet": [frame(b"a" * 900_000, 2)],
        "ack": [frame(b'461-/pub,1[{"_placeholder":true,"num":0}]'), frame(b"a", 2)],
    }
    while not target.over():
        _each(target, packets, "127.0.66.1")


@attack("A10", "150 strangers, each with most of a message of 990 KB", stays=40, peak=48)
def half_messages(target: Target) -> None:
    whole = frame(b"4" * 990_000)
    for index in range(150):
        with suppress(OSError):
            sock = websocket(target, b"", f"127.0.66.{index + 1}")
            HELD.append(sock)
            sock.settimeout(0.5)
            sock.sendall(whole[:980_000])
            target.seen["held"] += 1
        if target.over():
            return
    time.sleep(target.rest())


@attack("A10", "fragments of a byte, up to a message of 1 MB; fragments that never end")
def tiny_fragments(target: Target) -> None:
    crumb = frame(b"a", 0, final=False) * 5000

    def one(index: int) -> None:
        while not target.over():
            sock = websocket(target, b"40/pub,", f"127.0.66.{index + 1}")
            drink(sock)
            with suppress(OSError):
                sock.settimeout(target.rest())
                sock.sendall(frame(b"4", 1, final=False))
                while not target.over():
                    sock.sendall(crumb)
                    target.seen["fragments"] += 5000
            sock.close()

    in_threads(target, one, 3)


@attack("A10", "frames whose length is 2^63 - 1, reserved bits, control frames of 126 bytes")
def impossible_frames(target: Target) -> None:
    frames = [
        bytes([0x81, 0xFF]) + (2**63 - 1).to_bytes(8, "big") + bytes(4),
        bytes([0x81, 0xFF]) + (2**64 - 1).to_bytes(8, "big") + bytes(4),
        bytes([0xF1, 0x80]) + bytes(4),
        bytes([0x89, 0xFE]) + (126).to_bytes(2, "big") + bytes(4),
        bytes([0x83, 0x80]) + bytes(4),
        bytes([0x80, 0x80]) + bytes(4),
        b"\x81\x01a",
        frame(b"\xff\xfe\xfd"),
        frame(b"\x03", 8),
        frame((1005).to_bytes(2, "big"), 8),
    ]
    while not target.over():
        for data in frames:
            with websocket(target, b"40/pub,") as sock:
                sock.settimeout(2)
                ended = False
                with suppress(OSError):
                    sock.sendall(data)
                    while sock.recv(4096):
                        pass
                    ended = True
                target.seen["closed"] += ended
                target.check(ended, f"not closed by {data[:12].hex()}")
            if target.over():
                return


@attack("A10", "payloads of polling: base64 that is none, separators alone, 900 KB of one packet")
def polling_payloads(target: Target) -> None:
    bodies = [
        b"b!!!!",
        b"\x1e" * 900_000,
        b"b" + b"A" * 900_000,
        b"42/pub," + b"[" * 800_000,
        b"\xff" * 1000,
        b"4" * 900_000,
        b"451-/pub,[]\x1ebAAAA",
        b"",
    ]
    while not target.over():
        for body in bodies:
            with dial(target) as sock:
                sid = polling_sid(target, sock)
                post(sock, sid, b"40/pub,")
                status = post(sock, sid, body)
                target.seen[f"status {status}"] += 1
                target.check(status in {200, 400}, f"{body[:20]!r} was answered {status}")
            if target.over():
                return
