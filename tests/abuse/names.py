"""Names and text: of JavaScript's prototypes, broken encodings, lines for the log."""

from __future__ import annotations

import json
from contextlib import suppress

from tests.abuse.attack import Target, attack
from tests.abuse.client import POLLING, ask, dial, frame, head, polling_sid, post, read_answer, websocket

NAMES = [
    "__proto__",
    "constructor",
    "__class__",
    "toString",
    "",
    "a" * 100_000,
    "\x00",
    "..",
    "%2e%2e",
    "🏠" * 100,
]
"""What has fooled other servers, and what is long."""

LINE = "INJECTED-LINE"
"""Must not begin a line of the log."""


@attack("A15", "sids, namespaces, rooms and events named `__proto__` and worse")
def odd_names(target: Target) -> None:
    while not target.over():
        for name in NAMES:
            quoted = json.dumps(name).encode()
            with dial(target) as sock:
                if name.isascii() and name.isprintable() and len(name) < 1000:
                    status = ask(target, head("GET", f"{POLLING}&sid={name}"))
                    target.check(status == 400, f"the sid {name!r:.20} was answered {status}")
                sid = polling_sid(target, sock)
                target.check(post(sock, sid, b"40/pub,") == 200, "a namespace that exists was refused")
                for packet in (
                    b'42/pub,1["join",%b]',
                    b'42/pub,2["leave",%b]',
                    b'42/pub,3["publish",%b,"message",1]',
                    b'42/pub,4["publish","lobby",%b,1]',
                    b"42/pub,5[%b]",
                ):
                    status = post(sock, sid, packet % quoted)
                    target.check(status == 200, f"{packet!r} with {name!r:.20} was answered {status}")
                sock.sendall(head("GET", f"{POLLING}&sid={sid}"))
                status, body = read_answer(sock)
                target.check(b'"ok":true,"room"' not in body, f"a room {name!r:.20} was joined")
                target.seen[f"status {status}"] += 1
                if "," not in name and len(name) < 400 and "\x00" not in name:
                    post(sock, sid, b"40/" + name.encode() + b",")


@attack("A15", "UTF-8 that is none, lone surrogates, NaN, duplicate keys, a byte order mark")
def broken_text(target: Target) -> None:
    payloads = [
        b"\xff\xfe",
        b"\xc0\xaf",
        b"\xed\xa0\x80",
        rb'"\ud800"',
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e400",
        b'{"a":1,"a":2}',
        b'\xef\xbb\xbf"a"',
        b"'a'",
        b"01",
        b'"\x00"',
        b"/*c*/1",
        b"[1,]",
    ]
    while not target.over():
        for payload in payloads:
            with websocket(target, b"40/pub,") as sock:
                sock.settimeout(2)
                data = b""
                with suppress(OSError):
                    sock.sendall(frame(b'42/pub,["join","lobby"]'))
                    sock.sendall(frame(b'42/pub,7["publish","lobby","message",%b]' % payload))
                    while b"437[" not in data and (more := sock.recv(4096)):
                        data += more
                target.seen["answered" if b"/pub,7[" in data else "closed"] += 1
            if target.over():
                return


@attack("A15", "line breaks, escapes and control characters in paths, headers, origins, rooms and events")
def log_injection(target: Target) -> None:
    bad = f"a%0d%0a{LINE}"
    requests = [
        head("GET", f"/{bad}"),
        head("GET", f"/\x1b[31m{LINE}"),
        head("GET", f"{POLLING}&sid=x", f"Origin: https://a.example\x1b[2J{LINE}"),
        head("GET", f"{POLLING}&sid=x", f"User-Agent: \x07{LINE}"),
        head("GET", f"/{LINE}\x0b{LINE}"),
        head("GET", f"/\u2028{LINE}"),
    ]
    while not target.over():
        for data in requests:
            ask(target, data)
            target.seen["requests"] += 1
        with websocket(target, b"40/pub,") as sock:
            for name in (f"a\r\n{LINE}", f"\x1b[2J{LINE}", f"\u2028{LINE}"):
                quoted = json.dumps(name).encode()
                sock.sendall(frame(b'42/pub,1["join",%b]' % quoted) + frame(b"42/pub,2[%b]" % quoted))
            sock.recv(4096)
