"""The packets of a namespace are found in every form in which they are queued."""

from __future__ import annotations

import pytest

from compartmentd.protocol.discard import count_discarded, discard_frames, discard_queued
from compartmentd.protocol.engineio import CLOSE, NOOP, PING, Outgoing
from compartmentd.protocol.message import SEPARATOR, Batch, Message, Run
from compartmentd.protocol.socketio import build_connect, build_disconnect, build_event
from compartmentd.protocol.websocket import encode_close_frame, find_frame_end, find_frames

LONG = "x" * 70_000


def batch(*messages: Message) -> Batch:
    found = Batch(messages[0])
    for message in messages[1:]:
        found.add(message)
    return found


def queue() -> list[Outgoing]:
    """Return a queue with packets of two namespaces in every form; those of `/a` say `a`, those of `/` say `b`."""
    return [
        build_connect("/a", "1"),
        build_event("/a", "a"),
        build_event("/", "b", b"12", {"x": b"34"}),
        PING,
        build_event("/a", "a", b"56", [b"78"], LONG),
        batch(build_event("/a", "a", LONG[:200]), build_event("/a", "a")),
        batch(build_event("/", "b"), build_event("/a", "a", b"9"), build_event("/", "b", "/a,")),
        batch(build_event("/", "b")),
        Run(b"43/a,", b'["a"]', [b"1", b"2"]),
        Run(b"43", b'["b"]', [b"3", b"4"]),
        build_event("/ab", "other"),
        NOOP,
        build_disconnect("/a"),
        CLOSE,
    ]


KEPT = [
    b'40/a,{"sid":"1"}',
    b'452-["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]',
    b"bMTI=",
    b"bMzQ=",
    b"2",
    b'42["b"]',
    b'42["b","/a,"]',
    b'42["b"]',
    b'433["b"]',
    b'434["b"]',
    b'42/ab,["other"]',
    b"6",
    b"41/a,",
    b"1",
]


def as_packets(items: list[Outgoing]) -> list[bytes]:
    return SEPARATOR.join(item.payload for item in items).split(SEPARATOR)


def test_a_queue_keeps_all_but_one_namespaces_events_and_acks() -> None:
    assert as_packets(list(discard_queued(queue(), b"/a"))) == KEPT


def test_of_the_main_namespace_too() -> None:
    left = as_packets(list(discard_queued(queue(), b"/")))
    assert left == [
        packet
        for packet in as_packets(queue())
        if b'"b"' not in packet and packet not in {b"bMTI=", b"bMzQ="}
    ]


@pytest.mark.parametrize("namespace", [b"/a", b"/", b"/none"])
def test_frames_keep_the_same(namespace: bytes) -> None:
    frames = b"".join(item.frames for item in queue())
    assert discard_frames(frames, namespace) == b"".join(
        item.frames for item in discard_queued(queue(), namespace)
    )
    assert discard_frames(frames + encode_close_frame(1000), namespace).endswith(encode_close_frame(1000))


@pytest.mark.parametrize(
    ("packet", "count"),
    [
        (b'42/a,["x"]', 1),
        (b'42/a,7["x"]', 1),
        (b'4512-/a,["x"]', 13),
        (b'461-/a,7["x"]', 2),
        (b'42/ab,["x"]', 0),
        (b'42["/a,"]', 0),
        (b"40/a,{}", 0),
        (b"41/a,", 0),
        (b"44/a,{}", 0),
        (b"2", 0),
        (b"", 0),
        (b"bAAAA", 0),
        (b"\x004/a", 0),
    ],
)
def test_what_goes_with_a_packet(packet: bytes, count: int) -> None:
    assert count_discarded(packet, b"/a") == count


def test_frames_end_where_the_next_begin() -> None:
    frames = [item.frames for item in queue()]
    data = b"".join(frames)
    assert b"".join(frame for frame, _ in find_frames(data)) == data
    ends, at = [], 0
    for frame, _ in find_frames(data):
        at += len(frame)
        ends.append(at)
    for beyond in (0, 1, ends[0], ends[0] + 1, ends[-1] - 1, ends[-1]):
        assert find_frame_end(data, 0, beyond) == min(end for end in ends if end >= beyond)
