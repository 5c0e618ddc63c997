"""Socket.IO packets, read and built."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.errors import PayloadRefused, WireError
from compartmentd.protocol.socketio import (
    ACK,
    BINARY_ACK,
    BINARY_EVENT,
    CONNECT,
    DISCONNECT,
    EVENT,
    RESERVED,
    Packet,
    build_ack,
    build_connect,
    build_connect_error,
    build_disconnect,
    build_event,
    decode_ack,
    decode_event,
    parse,
)


@pytest.mark.parametrize(
    ("packet", "parsed"),
    [
        (b"40", (CONNECT, b"/", None, b"", 0)),
        (b"40/a", (CONNECT, b"/a", None, b"", 0)),
        (b"40/a,", (CONNECT, b"/a", None, b"", 0)),
        (b'40{"token":1}', (CONNECT, b"/", None, b'{"token":1}', 0)),
        (b'40/a,{"token":1}', (CONNECT, b"/a", None, b'{"token":1}', 0)),
        (b"40/a?b=1,{}", (CONNECT, b"/a?b=1", None, b"{}", 0)),
        (b"41", (DISCONNECT, b"/", None, b"", 0)),
        (b"41/a,", (DISCONNECT, b"/a", None, b"", 0)),
        (b'42["x"]', (EVENT, b"/", None, b'["x"]', 0)),
        (b'4212["x"]', (EVENT, b"/", b"12", b'["x"]', 0)),
        (b'42/a,["x"]', (EVENT, b"/a", None, b'["x"]', 0)),
        (b'42/a,0["x,[1]"]', (EVENT, b"/a", b"0", b'["x,[1]"]', 0)),
        (b'42007["x"]', (EVENT, b"/", b"7", b'["x"]', 0)),
        (b"4312[]", (ACK, b"/", b"12", b"[]", 0)),
        (b'451-["x"]', (BINARY_EVENT, b"/", None, b'["x"]', 1)),
        (b'4510-/a,3["x"]', (BINARY_EVENT, b"/a", b"3", b'["x"]', 10)),
        (b"461-/a,3[]", (BINARY_ACK, b"/a", b"3", b"[]", 1)),
    ],
)
def test_packets(packet: bytes, parsed: Packet):
    assert parse(packet) == parsed


@pytest.mark.parametrize(
    "packet",
    [
        b"4", b"47", b"48", b"49", b"4a", b"4/", b"4-", b"4 2[]", "4٢[]".encode(),
        b"40[]", b'40"x"', b"4012", b"40 {}", b"40/a,1{}", b"40null",
        b"41{}", b"41/a,{}", b"41 ", b"421", b"42", b"42/a", b"42/a,", b"42{}",
        b'42"x"', b"42x[]", b"42-1[]", b"42+1[]", b"42 1[]",
        b"421.5[]", b"4290071992547409930[]", b"429007199254740993[]", b"42" + b"0" * 20 + b"[]", "42٣[]".encode(),
        b"44", b"44{}", b'44{"message":"x"}',
        b"45[]", b"45-[]", b"450-[]", b"4511-[]", b"45100-[]", b"45999999999999-[]", b"45x-[]", b"45 1-[]",
        b"45+1-[]", b"451[]-", "45\u0661-[]".encode(),
        b"40/" + b"x" * 512, b"42/" + b"x" * 512 + b",[]",
    ],
)  # fmt: skip
def test_what_no_client_may_send(packet: bytes):
    with pytest.raises(WireError):
        parse(packet)


@pytest.mark.parametrize("packet", [b"42", b"43", b'42"x"', b"42/a,1", b"451-{}"])
def test_an_event_without_an_array_is_named(packet: bytes):
    with pytest.raises(WireError, match="without an array"):
        parse(packet)


@given(st.binary(max_size=60).map(lambda rest: b"4" + rest))
def test_any_bytes_are_a_packet_or_an_error(packet: bytes):
    try:
        kind, namespace, ack, payload, count = parse(packet)
    except WireError:
        return
    assert kind in {CONNECT, DISCONNECT, EVENT, ACK, BINARY_EVENT, BINARY_ACK}
    assert namespace.startswith(b"/")
    assert ack is None or (ack.isdigit() and int(ack) <= 1 << 53)
    assert (count > 0) == (kind in {BINARY_EVENT, BINARY_ACK})
    assert payload in packet


namespaces = st.sampled_from(["/", "/a", "/some.name-1"])
leaves = (
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=8) | st.binary(max_size=8)
)
arguments = st.lists(
    st.recursive(leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=2),
        max_leaves=8),
    max_size=3,
)  # fmt: skip


@given(namespaces, st.text(min_size=1).filter(lambda name: name not in RESERVED), arguments)
def test_an_event_that_is_built_reads_as_what_it_was_built_of(namespace: str, name: str, values: list[Any]):
    message = build_event(namespace, name, *values)
    kind, where, ack, payload, count = parse_any(message.packet)
    assert where == namespace.encode()
    assert ack is None
    assert count == len(message.attachments)
    assert kind == (BINARY_EVENT if count else EVENT)
    assert decode_event(payload, message.attachments) == [name, *values]


@given(namespaces, st.integers(0, 1 << 53).map(lambda number: b"%d" % number), arguments)
def test_an_ack_that_is_built_reads_as_what_it_was_built_of(namespace: str, number: bytes, values: list[Any]):
    message = build_ack(namespace, number, values)
    kind, where, ack, payload, count = parse_any(message.packet)
    assert (where, ack) == (namespace.encode(), number)
    assert kind == (BINARY_ACK if count else ACK)
    assert decode_ack(payload, message.attachments) == values


def parse_any(packet: bytes) -> Packet:
    """Parse what a server may send: it may have more attachments than a client."""
    if packet[1:2] in b"56":
        count, _, rest = packet[2:].partition(b"-")
        kind, namespace, ack, payload, _ = parse(b"4" + packet[1:2] + b"1-" + rest)
        return kind, namespace, ack, payload, int(count)
    return parse(packet)


def test_the_bytes_that_clients_compare():
    assert build_connect("/", "abc").packet == b'40{"sid":"abc"}'
    assert build_connect("/a", "abc").packet == b'40/a,{"sid":"abc"}'
    error = build_connect_error("/random", "Invalid namespace")
    assert error.packet == b'44/random,{"message":"Invalid namespace"}'
    assert build_connect_error("/", "x", {"code": 1}).packet == b'44{"message":"x","data":{"code":1}}'
    assert build_disconnect("/").packet == b"41"
    assert build_disconnect("/a").packet == b"41/a,"
    assert build_event("/", "auth", {}).packet == b'42["auth",{}]'
    assert build_ack("/", b"456", [1, "2", {"3": [False]}]).packet == b'43456[1,"2",{"3":[false]}]'
    assert build_event("/a", "x", b"1").packet == b'451-/a,["x",{"_placeholder":true,"num":0}]'
    assert build_ack("/a", b"7", [b"1"]).packet == b'461-/a,7[{"_placeholder":true,"num":0}]'
    assert build_event("/", "x", float("nan")).packet == b'42["x",null]'


@pytest.mark.parametrize("name", sorted(RESERVED))
def test_reserved_names_go_neither_way(name: str):
    with pytest.raises(ValueError, match=name):
        build_event("/", name)
    with pytest.raises(WireError):
        decode_event(f'["{name}"]'.encode())


@pytest.mark.parametrize(
    "payload", [b"[]", b"[null]", b"[true]", b"[{}]", b"[[]]", b"[", b'["x",]', b'["x"]y']
)
def test_payloads_that_are_no_event(payload: bytes):
    with pytest.raises(WireError) as raised:
        decode_event(payload)
    assert not isinstance(raised.value, PayloadRefused)


@pytest.mark.parametrize("payload", [b'["x","\\ud800"]', b'["x",1e400]', b"[" * 40 + b"]" * 40])
def test_payloads_that_may_be_answered_instead(payload: bytes):
    with pytest.raises(PayloadRefused):
        decode_event(payload)


def test_names_may_be_numbers_and_ordinary_words():
    assert decode_event(b"[5]") == [5]
    assert decode_event(b'["message"]') == ["message"]
    assert decode_event(b'["__proto__",{"__proto__":1}]') == ["__proto__", {"__proto__": 1}]
    assert decode_event(b'["x",{"_placeholder":true,"num":0}]') == ["x", {"_placeholder": True, "num": 0}]
