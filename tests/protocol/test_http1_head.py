"""The reader of a first request's head: correct for plain heads, `None` for all others."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from tornado.httputil import HTTPHeaders, parse_request_start_line

from compartmentd.protocol.http1 import MAX_FIELDS, read_head

REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
    b"Host: a.example\r\nUpgrade:websocket\r\nX-One: 1\r\nx-one:  2 \r\nEmpty:\r\n\r\n"
)


def test_a_plain_head_is_read():
    head = read_head(REQUEST + b"behind")
    assert head is not None
    assert head.path == "/socket.io/"
    assert head.query == "EIO=4&transport=websocket"
    assert head.size == len(REQUEST)
    assert head.headers == {
        "host": ("a.example",),
        "upgrade": ("websocket",),
        "x-one": ("1", "2"),
        "empty": ("",),
    }


def test_an_incomplete_head_is_not_read():
    assert [read_head(REQUEST[:size]) for size in range(len(REQUEST))] == [None] * len(REQUEST)


@pytest.mark.parametrize(
    "data",
    [
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\r\nHost: a\r\n\r\n",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\nHost: a\n\n",
        b"GET / HTTP/1.1\r\nHost: a\nb: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\rb: c\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost\r\n\r\n",
        b"GET / HTTP/1.1\r\n: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\tb\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n",
        b"GET / HTTP/1.1\r\nX: \xff\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * (MAX_FIELDS + 1) + b"\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
def test_what_is_not_plain_is_left_to_others(data: bytes):
    assert read_head(data) is None


@given(
    st.lists(
        st.sampled_from(
            [
                b"Host",
                b"x-A",
                b"Upgrade",
                b":",
                b": ",
                b" ",
                b"\t",
                b"\r\n",
                b"\n",
                b"\r",
                b"v",
                b"w, x",
                b"\xe9",
                b"\0",
            ]
        ),
        max_size=14,
    ).map(b"".join)
)
def test_what_is_read_is_what_tornado_reads(fields: bytes):
    data = b"GET /a?b HTTP/1.1\r\n" + fields + b"\r\n\r\n"
    head = read_head(data)
    if head is None:
        return
    first, _, rest = data[: head.size].decode("latin1").partition("\r\n")
    assert parse_request_start_line(first).path == "/a?b"
    theirs = HTTPHeaders.parse(rest)
    assert head.headers == {name.lower(): tuple(theirs.get_list(name)) for name in theirs}
