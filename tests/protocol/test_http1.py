"""Heads of plain requests: the same in any pieces, and the same as a complete HTTP server reads them."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st
from tornado.httputil import HTTPHeaders, parse_request_start_line

from compartmentd.protocol.http1 import (
    MAX_HEAD,
    Fields,
    NotPlain,
    PlainRequest,
    RequestReader,
    compile_request_line,
    is_plain,
    read_block,
)
from compartmentd.protocol.origins import PageHeaders

PATH = "/socket.io/"
LINE = b"GET /socket.io/?EIO=4&transport=polling&t=a1&sid=x HTTP/1.1\r\n"
POST = LINE.replace(b"GET", b"POST")
HOST = b"Host: localhost:8000\r\n"
BROWSER = (
    HOST
    + b"Connection: keep-alive\r\n"
    + b'sec-ch-ua: "Chromium";v="141", "Not?A_Brand";v="8"\r\n'
    + b"Accept: */*\r\nOrigin: http://localhost:8000\r\nSec-Fetch-Site: same-origin\r\n"
    + b"Accept-Encoding: gzip, deflate, br\r\nCookie: a=b; c=d\r\n"
)


def reader() -> RequestReader:
    return RequestReader(compile_request_line(PATH))


def read(data: bytes) -> PlainRequest | None:
    return reader().read(data)


def test_a_request_is_read():
    data = LINE + BROWSER + b"\r\n"
    assert read(data + b"behind") == PlainRequest(
        "GET",
        "EIO=4&transport=polling&t=a1&sid=x",
        False,
        Fields(
            0, False, PageHeaders("http://localhost:8000", "localhost:8000", "same-origin", ("a=b; c=d",))
        ),
        BROWSER,
        len(data),
    )
    assert read_block(BROWSER)["cookie"] == ("a=b; c=d",)


@pytest.mark.parametrize(
    ("line", "fields", "expected"),
    [
        (b"GET /socket.io/ HTTP/1.1\r\n", HOST, ("GET", "", 0)),
        (b"GET /socket.io/? HTTP/1.1\r\n", HOST, ("GET", "", 0)),
        (b"GET /socket.io/?a?b#c%zz HTTP/1.1\r\n", HOST, ("GET", "a?b#c%zz", 0)),
        (POST, HOST, ("POST", "EIO=4&transport=polling&t=a1&sid=x", 0)),
        (POST, HOST + b"content-LENGTH:\x20 12 \r\n", ("POST", "EIO=4&transport=polling&t=a1&sid=x", 12)),
        (LINE, HOST + b"Content-Length: 0\r\n", ("GET", "EIO=4&transport=polling&t=a1&sid=x", 0)),
        (LINE, b"HOST:x\r\nConnection: Keep-Alive\r\n", ("GET", "EIO=4&transport=polling&t=a1&sid=x", 0)),
        (LINE, HOST + b"Connection: upgrade\r\n", ("GET", "EIO=4&transport=polling&t=a1&sid=x", 0)),
    ],
)
def test_plain_requests(line: bytes, fields: bytes, expected: tuple[str, str, int]):
    request = read(line + fields + b"\r\n")
    assert request is not None
    assert (request.method, request.query, request.fields.length) == expected


@pytest.mark.parametrize(
    ("version", "connection", "closes"),
    [
        (b"1.1", b"", False),
        (b"1.1", b"Connection: keep-alive\r\n", False),
        (b"1.1", b"Connection: Close\r\n", True),
        (b"1.1", b"Connection: keep-alive, close\r\n", True),
        (b"1.1", b"Connection: keep-alive\r\nConnection: close\r\n", True),
        (b"1.0", b"", True),
        (b"1.0", b"Connection: keep-alive\r\n", True),
    ],
)
def test_whether_the_connection_ends(version: bytes, connection: bytes, closes: bool):
    request = read(LINE.replace(b"1.1", version) + HOST + connection + b"\r\n")
    assert request is not None
    assert request.closes is closes


@pytest.mark.parametrize("fields", [BROWSER, HOST])
def test_a_head_in_pieces_is_awaited(fields: bytes):
    data, one = LINE + fields + b"\r\n", reader()
    for size in range(len(data)):
        assert one.read(data[:size]) is None
    assert one.read(data) == read(data)


UNUSUAL = {
    "another method": (b"PUT" + LINE[3:], HOST),
    "lower case": (b"get" + LINE[3:], HOST),
    "another path": (b"GET /socket.i HTTP/1.1\r\n", HOST),
    "two slashes": (b"GET /socket.io// HTTP/1.1\r\n", HOST),
    "a path behind": (b"GET /socket.io/x HTTP/1.1\r\n", HOST),
    "the whole address": (b"GET http://localhost/socket.io/ HTTP/1.1\r\n", HOST),
    "HTTP/1.2": (LINE.replace(b"1.1", b"1.2"), HOST),
    "HTTP/2": (LINE.replace(b"HTTP/1.1", b"HTTP/2"), HOST),
    "two spaces": (LINE.replace(b"GET ", b"GET  "), HOST),
    "a tab in the line": (LINE.replace(b"GET ", b"GET\t"), HOST),
    "a line without version": (b"GET /socket.io/\r\n", HOST),
    "not ASCII": (LINE, HOST + b"X: \xff\r\n"),
    "no Host": (LINE, b"X: y\r\n"),
    "no field": (LINE, b""),
    "two Hosts": (LINE, HOST + HOST),
    "no host": (LINE, b"Host: a b\r\n"),
    "two hosts": (LINE, b"Host: a,b\r\n"),
    "chunked": (POST, HOST + b"Transfer-Encoding: chunked\r\n"),
    "two framings": (POST, HOST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
    "an odd coding": (POST, HOST + b"Transfer-Encoding: xchunked\r\n"),
    "an empty coding": (POST, HOST + b"transfer-encoding:\r\n"),
    "two lengths": (POST, HOST + b"Content-Length: 3\r\nContent-Length: 3\r\n"),
    "a list of lengths": (POST, HOST + b"Content-Length: 3, 3\r\n"),
    "a signed length": (POST, HOST + b"Content-Length: +3\r\n"),
    "a negative length": (POST, HOST + b"Content-Length: -3\r\n"),
    "a hexadecimal length": (POST, HOST + b"Content-Length: 0x3\r\n"),
    "a length with a line": (POST, HOST + b"Content-Length: 1_0\r\n"),
    "no length": (POST, HOST + b"Content-Length: \r\n"),
    "a huge length": (POST, HOST + b"Content-Length: 1000000000\r\n"),
    "a body on a GET": (LINE, HOST + b"Content-Length: 3\r\n"),
    "a space before the colon": (POST, HOST + b"Content-Length : 3\r\n"),
    "a space before the name": (POST, HOST + b" Content-Length: 3\r\n"),
    "a folded field": (POST, HOST + b"X: y\r\n\tz\r\n"),
    "a field without colon": (POST, HOST + b"nothing\r\n"),
    "a field without name": (POST, HOST + b": nothing\r\n"),
    "a bare CR": (POST, HOST + b"X: y\rContent-Length: 3\r\n"),
    "a bare LF": (POST, HOST + b"X: y\nContent-Length: 3\r\n"),
    "a bare LF at the end": (POST, HOST + b"X: y\n"),
    "a bare LF in the line": (LINE.replace(b"\r\n", b"\n"), HOST),
    "a NUL": (POST, HOST + b"X: \0\r\n"),
    "expecting": (POST, HOST + b"Expect: 100-continue\r\n"),
    "upgrading": (LINE, HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    "an unknown option": (LINE, HOST + b"Connection: TE, close\r\n"),
    "an unknown option in a second line": (LINE, HOST + b"Connection: close\r\nConnection: TE\r\n"),
    "an older protocol": (POST, HOST + b"Content-Type: application/octet-stream\r\nContent-Length: 3\r\n"),
    "two origins": (LINE, HOST + b"Origin: http://a\r\nOrigin: http://b\r\n"),
    "many fields": (LINE, HOST + b"X: y\r\n" * 100),
    "long fields": (LINE, HOST + b"X: " + b"y" * MAX_HEAD + b"\r\n"),
    "an empty line before": (b"\r\n" + LINE, HOST),
}


@pytest.mark.parametrize(("line", "fields"), UNUSUAL.values(), ids=UNUSUAL)
def test_what_is_not_plain_is_for_others(line: bytes, fields: bytes):
    with pytest.raises(NotPlain):
        read(line + fields + b"\r\n")


@pytest.mark.parametrize("data", [b"GET / HTTP/1.1\n\n", LINE + b"X: y\n\r\n", b"x" * (MAX_HEAD + 1)])
def test_an_end_of_the_head_that_other_readers_see_is_not_awaited(data: bytes):
    with pytest.raises(NotPlain):
        read(data)


def test_the_same_fields_are_not_read_again_and_others_are():
    one = reader()
    first = one.read(LINE + BROWSER + b"\r\n")
    second = one.read(LINE.replace(b"a1", b"a2") + BROWSER + b"\r\n")
    third = one.read(LINE + BROWSER.replace(b"8000", b"8001") + b"\r\n")
    assert first is not None
    assert second is not None
    assert third is not None
    assert second.fields is first.fields
    assert second.query != first.query
    assert third.fields.page.host == "localhost:8001"


def test_the_same_fields_are_unusual_on_another_method():
    one = reader()
    fields = HOST + b"Content-Length: 3\r\n"
    assert one.read(POST + fields + b"\r\n") is not None
    with pytest.raises(NotPlain):
        one.read(LINE + fields + b"\r\n")


PIECES = [
    *LINE.split(b" "),
    b" ",
    b"POST",
    b"\r\n",
    b"\r",
    b"\n",
    b":",
    b"Host: a",
    b"Content-Length: 3",
    b"Transfer-Encoding: chunked",
    b"Connection: close",
    b"X: \xff",
    b"\0",
]


@given(st.lists(st.sampled_from(PIECES), max_size=12), st.integers(0, 200), st.integers(0, 5), st.data())
def test_what_is_plain_is_what_a_whole_server_reads(
    pieces: list[bytes], position: int, removed: int, data: st.DataObject
):
    """A valid head with something put in and taken out: either it is not plain, or Tornado reads the same."""
    whole = data.draw(st.sampled_from([LINE, POST])) + BROWSER + b"\r\n"
    head = whole[:position] + b"".join(pieces) + whole[position + removed :]
    try:
        request = read(head)
    except NotPlain:
        return
    if request is None:
        assert b"\r\n\r\n" not in head
        return
    text = head[: request.size].decode("latin-1")
    first, _, rest = text.partition("\r\n")
    line, headers = parse_request_start_line(first), HTTPHeaders.parse(rest)
    path, _, query = line.path.partition("?")
    assert (line.method, path, query, line.version) == (
        request.method,
        PATH,
        request.query,
        line.version if line.version in {"HTTP/1.0", "HTTP/1.1"} else "another",
    )
    found = {name.lower(): tuple(headers.get_list(name)) for name in headers}
    assert found == read_block(request.block)
    assert int(headers.get("Content-Length", "0")) == request.fields.length
    assert "Transfer-Encoding" not in headers
    assert request.closes or (line.version == "HTTP/1.1" and headers.get("Connection", "").lower() != "close")
    assert is_plain(line.method, line.version, found, request.fields.length)
    assert not is_plain(line.method, line.version, found, request.fields.length - 1) or line.method == "GET"
