"""Readers whose time must grow no faster than their input, measured on inputs repeated to 16 and to 64 KiB."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from compartmentd.configuration.compiler import load
from compartmentd.document.source import Source, decode
from compartmentd.document.yamldoc import parse
from compartmentd.errors import WireError
from compartmentd.net.websocket_mask import unmask
from compartmentd.policy.templates.pattern import parse_pattern
from compartmentd.protocol import socketio
from compartmentd.protocol.engineio import decode_payload
from compartmentd.protocol.forwarded import TrustedProxies
from compartmentd.protocol.http1 import NotPlain, RequestReader, compile_request_line, read_head
from compartmentd.protocol.origins import OriginPolicy, PageHeaders
from compartmentd.protocol.websocket import MessageReader
from compartmentd.tokens.keyfile import read_keys
from compartmentd.tokens.verify import verify
from compartmentd.util import strict_json
from compartmentd.util.strict_json import JsonError
from tests.fuzz import texts
from tests.support.cases import InMemory
from tests.support.policies import NOW

SHORT, LONG = 16 * 1024, 64 * 1024
MOST = 8.0
"""How much longer the long text may take than the short one, which is a quarter of it: twice of what is linear."""
NEGLIGIBLE = 0.05
"""CPU seconds of the long text below which its growth says nothing."""

_LINE = compile_request_line("/socket.io/")
_PROXIES = TrustedProxies(["10.0.0.0/8"])


def _read_yaml(data: bytes) -> None:
    source = decode("x.yaml", data)
    if isinstance(source, Source):
        parse(source)


def _read_json(data: bytes) -> None:
    for read in (strict_json.decode, strict_json.read_value):
        try:
            read(data)
        except (JsonError, UnicodeDecodeError):
            continue


def _read_event(data: bytes) -> None:
    _, _, _, payload, count = socketio.parse(b"4" + data)
    payload.decode()
    socketio.decode_event(payload, [b""] * count)


def _read_bytes_one_by_one(data: bytes) -> None:
    reader = MessageReader(1_000_000, unmask)
    for at in range(0, len(data), 7):
        reader.receive(data[at : at + 7])


READERS: Mapping[str, Callable[[bytes], object]] = {
    "engineio_payload": lambda data: list(decode_payload(data)),
    "socketio_packet": _read_event,
    "websocket_frames": _read_bytes_one_by_one,
    "http_head": lambda data: (read_head(data), RequestReader(_LINE).read(data)),
    "origins": lambda data: OriginPolicy().allows(PageHeaders(*[data.decode("latin-1")] * 2)),
    "forwarded": lambda data: _PROXIES.find_client("10.0.0.1", [data.decode("latin-1")]),
    "strict_json_text": _read_json,
    "token_text": lambda data: verify(data.decode("latin-1"), texts.keys(), "connect", NOW),
    "key_set": lambda data: list(read_keys(texts.REMOTE, data)),
    "yaml_text": _read_yaml,
    "configuration": lambda data: load("c.yaml", InMemory({"c.yaml": data})),
    "pattern_text": lambda data: parse_pattern(data.decode("latin-1")),
}


def check_growth(name: str, data: bytes) -> None:
    """Fail if the time of the target's reader grows faster than its input, which is repeated for that."""
    read = READERS.get(name)
    if read is None or not data:
        return
    long = _measure(read, (data * (LONG // len(data) + 1))[:LONG])
    if long < NEGLIGIBLE:
        return
    short = _measure(read, (data * (SHORT // len(data) + 1))[:SHORT])
    assert long <= MOST * short, f"64 KiB take {long:.3f} s of CPU, 16 KiB {short:.3f}"


def _measure(read: Callable[[bytes], object], data: bytes) -> float:
    taken = []
    for _ in range(3):
        start = time.thread_time()
        with suppress(WireError, NotPlain, UnicodeDecodeError):  # refusing must be as fast
            read(data)
        taken.append(time.thread_time() - start)
    return min(taken)
