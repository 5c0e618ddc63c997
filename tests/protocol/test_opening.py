"""The opening handshake of WebSocket."""

from __future__ import annotations

import pytest

from compartmentd.protocol.opening import (
    Opening,
    OpeningRefusal,
    build_switching_response,
    compute_accept_value,
    read_opening,
    wants_websocket,
)

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
SOUND = {
    "host": ("localhost",),
    "upgrade": ("websocket",),
    "connection": ("Upgrade",),
    "sec-websocket-version": ("13",),
    "sec-websocket-key": (KEY,),
}


def test_the_example_of_the_specification():
    """RFC 6455, 1.3."""
    assert compute_accept_value(KEY) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="


def test_the_answer():
    assert build_switching_response(Opening(KEY, None)) == (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
    )
    assert b"\r\nSec-WebSocket-Protocol: chat\r\n\r\n" in build_switching_response(Opening(KEY, "chat"))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Opening(KEY, None)),
        ({"connection": ("keep-alive, upgrade",)}, Opening(KEY, None)),
        ({"connection": ("keep-alive", "UPGRADE")}, Opening(KEY, None)),
        ({"sec-websocket-protocol": ("one, two",)}, Opening(KEY, "one")),
        ({"sec-websocket-protocol": ("one", "two")}, Opening(KEY, "one")),
        ({"sec-websocket-protocol": ("bad name",)}, Opening(KEY, None)),
        ({"sec-websocket-protocol": ("bad\r\nname",)}, Opening(KEY, None)),
        ({"content-length": ("0",)}, Opening(KEY, None)),
        ({"connection": ("close",)}, 400),
        ({"connection": ()}, 400),
        ({"host": ()}, 400),
        ({"host": ("a", "b")}, 400),
        ({"content-length": ("1",)}, 400),
        ({"transfer-encoding": ("chunked",)}, 400),
        ({"sec-websocket-version": ("12",)}, 426),
        ({"sec-websocket-version": ()}, 426),
        ({"sec-websocket-version": ("13", "13")}, 426),
        ({"sec-websocket-key": ()}, 400),
        ({"sec-websocket-key": (KEY, KEY)}, 400),
        ({"sec-websocket-key": ("AAAA",)}, 400),
        ({"sec-websocket-key": ("ü" * 24,)}, 400),
        ({"sec-websocket-key": (KEY + "\n",)}, 400),
    ],
)
def test_heads(changes: dict[str, tuple[str, ...]], expected: Opening | int):
    found = read_opening("GET", "HTTP/1.1", {**SOUND, **changes})
    if isinstance(found, OpeningRefusal):
        assert found.status == expected
    else:
        assert found == expected


@pytest.mark.parametrize(("method", "version"), [("POST", "HTTP/1.1"), ("GET", "HTTP/1.0")])
def test_only_get_and_http_1_1(method: str, version: str):
    assert isinstance(read_opening(method, version, SOUND), OpeningRefusal)


@pytest.mark.parametrize(
    ("values", "wants"),
    [
        ((), False),
        (("websocket",), True),
        (("WebSocket",), True),
        (("h2c, websocket",), True),
        (("h2c",), False),
    ],
)
def test_what_asks_for_a_websocket(values: tuple[str, ...], wants: bool):
    assert wants_websocket({"upgrade": values}) is wants
