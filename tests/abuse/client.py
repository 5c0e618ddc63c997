"""Sockets for attackers: blocking, without manners, and cheap, so that the daemon is the bottleneck."""

from __future__ import annotations

import itertools
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress

from tests.abuse.attack import STRANGER, Target

POLLING = "/socket.io/?EIO=4&transport=polling"
WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
KEY = "AAECAwQFBgcICQoLDA0ODw=="


def dial(
    target: Target, source: str = STRANGER, *, timeout: float = 5.0, receive_buffer: int = 0
) -> socket.socket:
    """Open a TCP connection from this address of loopback."""
    sock = socket.socket()
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    sock.settimeout(timeout)
    try:
        sock.bind((source, 0))
        sock.connect((target.host, target.port))
    except OSError:
        sock.close()
        raise
    return sock


def secured(sock: socket.socket) -> ssl.SSLSocket:
    """Speak TLS on it, believing any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context.wrap_socket(sock)


def head(method: str, path: str, *lines: str) -> bytes:
    """Return a request's head, with these further lines."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: rt.example.com", *lines, "", ""]).encode()


def upgrade(path: str = WEBSOCKET, *lines: str) -> bytes:
    """Return a request for a WebSocket."""
    return head(
        "GET",
        path,
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        f"Sec-WebSocket-Key: {KEY}",
        *lines,
    )


def read_head(sock: socket.socket) -> tuple[int, bytes]:
    """Return an answer's status (0: the connection ended without one) and all that was read of it."""
    data = b""
    with suppress(OSError):
        while b"\r\n\r\n" not in data:
            more = sock.recv(65536)
            if not more:
                break
            data += more
    return (int(data.split()[1]), data) if data.startswith(b"HTTP/1.") else (0, data)


def ask(target: Target, data: bytes, source: str = STRANGER) -> int:
    """Make one request on a connection of its own; return the status, 0 where it ended without an answer."""
    with dial(target, source) as sock:
        with suppress(OSError):
            sock.sendall(data)
        return read_head(sock)[0]


def read_answer(sock: socket.socket) -> tuple[int, bytes]:
    """Return status and body of an answer of known length."""
    status, data = read_head(sock)
    top, _, body = data.partition(b"\r\n\r\n")
    for line in top.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
            while len(body) < length and (more := sock.recv(1 << 20)):
                body += more
    return status, body


def frame(payload: bytes, opcode: int = 1, *, final: bool = True) -> bytes:
    """Return a client's frame; masked by zeros, which changes nothing and costs nothing."""
    size = len(payload)
    first = (0x80 if final else 0) | opcode
    if size < 126:
        start = bytes([first, 0x80 | size])
    elif size < 1 << 16:
        start = bytes([first, 0xFE]) + size.to_bytes(2, "big")
    else:
        start = bytes([first, 0xFF]) + size.to_bytes(8, "big")
    return start + bytes(4) + payload


def websocket(
    target: Target, connect: bytes = b"40", source: str = STRANGER, *, receive_buffer: int = 0
) -> socket.socket:
    """Open a WebSocket and send a CONNECT behind the request; raises where it is refused."""
    sock = dial(target, source, receive_buffer=receive_buffer)
    sock.sendall(upgrade() + (frame(connect) if connect else b""))
    status, _ = read_head(sock)
    if status != 101:
        sock.close()
        raise ConnectionRefusedError(str(status))
    return sock


def with_token(target: Target, index: int = 0) -> bytes:
    """Return a CONNECT to `/` with one of the attacker's tokens."""
    return b"40" + json.dumps({"token": target.tokens[index]}).encode()


def drink(sock: socket.socket) -> threading.Event:
    """Read whatever comes, in a thread, until the end, at which the event is set."""
    ended = threading.Event()

    def read() -> None:
        with suppress(OSError):
            while True:
                with suppress(TimeoutError):
                    if not sock.recv(1 << 20):
                        break
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    return ended


def pour(target: Target, sock: socket.socket, data: bytes, name: str) -> bool:
    """Send the same bytes again and again until the time is over; return whether the daemon closed it before."""
    ended = drink(sock)
    try:
        while not target.over():
            if ended.is_set():
                target.seen["closed"] += 1
                return True
            sock.settimeout(target.rest())
            sock.sendall(data)
            target.seen[f"{name} sent"] += 1
    except TimeoutError:
        return False
    except OSError:
        target.seen["closed"] += 1
        return True
    return False


def polling_sid(target: Target, sock: socket.socket) -> str:
    """Begin a session on polling on this socket."""
    sock.sendall(head("GET", POLLING))
    status, body = read_answer(sock)
    if status != 200:
        raise ConnectionRefusedError(str(status))
    sid: str = json.loads(body[1:])["sid"]
    return sid


def post(sock: socket.socket, sid: str, body: bytes) -> int:
    """Make a POST to a session; return the status."""
    sock.sendall(head("POST", f"{POLLING}&sid={sid}", f"Content-Length: {len(body)}") + body)
    return read_answer(sock)[0]


def in_threads(target: Target, work: Callable[[int], None], count: int) -> None:
    """Run `work` with 0, 1, 2, … in so many threads; one that is shut out has done its part."""

    def one(index: int) -> None:
        try:
            work(index)
        except OSError as error:
            target.seen[f"stopped: {type(error).__name__}"] += 1

    threads = [threading.Thread(target=one, args=(index,), daemon=True) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def addresses(first: str = "127.0.66") -> Iterable[str]:
    """Yield addresses of one stranger's network after another."""
    return (f"{first}.{index % 250 + 1}" for index in itertools.count())


HELD: list[socket.socket] = []
"""Sockets that an attack leaves open."""
