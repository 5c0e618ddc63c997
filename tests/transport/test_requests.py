"""Queries and heads of requests."""

from __future__ import annotations

from urllib.parse import parse_qsl

import pytest
from hypothesis import given, strategies as st
from tornado.httputil import HTTPHeaders

from compartmentd.protocol.engineio import (
    BAD_METHOD,
    BAD_REQUEST,
    BAD_UPGRADE,
    BAD_VERSION,
    UNKNOWN_SID,
    UNKNOWN_TRANSPORT,
    HandshakeRefusal,
)
from compartmentd.transport.requests import EngineQuery, find_peer_address, read_headers, read_query

BOTH = ("polling", "websocket")


@pytest.mark.parametrize(
    ("query", "method", "upgrade", "expected"),
    [
        ("EIO=4&transport=polling", "GET", False, None),
        ("EIO=4&transport=websocket", "GET", True, None),
        ("EIO=4&transport=websocket", "GET", False, BAD_UPGRADE),
        ("EIO=4&transport=polling", "GET", True, BAD_UPGRADE),
        ("EIO=4&transport=constructor", "GET", False, UNKNOWN_TRANSPORT),
        ("EIO=4&transport=polling&transport=polling", "GET", False, UNKNOWN_TRANSPORT),
        ("EIO=4&transport=", "GET", False, UNKNOWN_TRANSPORT),
        ("EIO=3&transport=polling", "GET", False, BAD_VERSION),
        ("EIO=4&EIO=4&transport=polling", "GET", False, BAD_VERSION),
        ("EIO=%34&transport=%70olling", "GET", False, None),
        ("EIO=4&transport=polling", "POST", False, BAD_METHOD),
        ("EIO=3&transport=x", "POST", False, UNKNOWN_TRANSPORT),
        ("EIO=3&transport=polling&sid=x", "POST", False, None),
    ],
)
def test_what_is_judged_without_a_session(
    query: str, method: str, upgrade: bool, expected: HandshakeRefusal | None
):
    assert EngineQuery.from_parameters(read_query(query)).check(BOTH, method, upgrade=upgrade) == expected


@pytest.mark.parametrize(
    ("query", "transport", "expected"),
    [
        ("EIO=4&transport=polling&sid=x", "polling", None),
        ("EIO=4&transport=polling&sid=x", "websocket", BAD_REQUEST),
        ("EIO=3&transport=polling&sid=x", "polling", BAD_REQUEST),
        ("transport=polling&sid=x", "polling", BAD_REQUEST),
        ("EIO=4&transport=polling&sid=x", None, UNKNOWN_SID),
    ],
)
def test_what_is_judged_of_a_session(query: str, transport: str | None, expected: HandshakeRefusal | None):
    assert EngineQuery.from_parameters(read_query(query)).check_transport(transport) == expected


@given(
    st.lists(st.sampled_from(["a", "bc", "&", "=", "EIO", "é", ";", "+", "%41"]), max_size=12).map("".join)
)
def test_queries_are_read_as_forms_are(query: str):
    found = read_query(query)
    assert [(name, value) for name in found for value in found[name]] == sorted(
        parse_qsl(query, keep_blank_values=True), key=lambda pair: list(found).index(pair[0])
    )


def test_queries_keep_every_value():
    assert read_query("a=1&b=&a=2&c=%E2%82%AC+x") == {"a": ("1", "2"), "b": ("",), "c": ("€ x",)}
    with pytest.raises(ValueError, match="fields"):
        read_query("&".join(["a=1"] * 101))
    with pytest.raises(ValueError, match="fields"):
        read_query("&".join(["a=%41"] * 101))


def test_headers_keep_every_value_under_one_name():
    headers = HTTPHeaders()
    headers.add("X-One", "1")
    headers.add("x-one", "2")
    headers.add("Other", "3")
    assert read_headers(headers) == {"x-one": ("1", "2"), "other": ("3",)}


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        (("127.0.0.1", 5), "127.0.0.1"),
        (("::1", 5, 0, 0), "::1"),
        (("::ffff:10.0.0.1", 5, 0, 0), "10.0.0.1"),
        (("::ffff:1", 5, 0, 0), "::ffff:1"),
        ("", ""),
        (b"", ""),
        (None, ""),
    ],
)
def test_addresses(address: object, expected: str):
    assert find_peer_address(address) == expected


@given(
    st.lists(
        st.sampled_from(
            ["sid", "EIO", "transport", "t", "=", "==", "a", "4", "%73id", "+", "&", "&&", "é", ";"]
        ),
        max_size=12,
    ).map("".join)
)
def test_the_short_way_asks_for_the_same(query: str):
    assert EngineQuery.parse(query) == EngineQuery.from_parameters(read_query(query))


@pytest.mark.parametrize("count", [100, 101])
@pytest.mark.parametrize("first", ["sid=x", "sid=%78"])
def test_both_ways_take_as_many_parameters(first: str, count: int):
    query = first + "&a=b" * (count - 1)
    if count > 100:
        for read in (EngineQuery.parse, read_query):
            with pytest.raises(ValueError, match=r"fields|parameters"):
                read(query)
    else:
        assert (
            EngineQuery.parse(query)
            == EngineQuery.from_parameters(read_query(query))
            == EngineQuery(None, "x", None)
        )
