"""Tornado's undocumented extension, and the function that replaces it."""

from __future__ import annotations

import sys

import pytest
from hypothesis import given, strategies as st

from compartmentd.net.websocket_mask import find_unmask, unmask
from compartmentd.protocol.websocket import xor


def test_tornados_extension_unmasks_where_it_is_installed() -> None:
    """A release of Tornado that moves or drops the function would cost half of the speed of reading."""
    assert unmask.__name__ == "websocket_mask"
    assert (
        unmask.__module__ == "tornado.speedups" or unmask.__class__.__name__ == "builtin_function_or_method"
    )


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=200))
def test_it_does_the_same_as_the_codecs_own_function(mask: bytes, payload: bytes) -> None:
    unmasked = unmask(mask, payload)
    assert unmasked == xor(mask, payload)
    assert type(unmasked) is bytes
    assert unmask(mask, unmasked) == payload


def test_without_the_extension_the_codecs_own_function_does_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tornado.speedups", None)
    assert find_unmask() is xor
