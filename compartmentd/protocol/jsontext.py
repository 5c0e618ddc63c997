"""The JSON of Socket.IO payloads: what JSON.stringify of any browser can send, decoded or refused.

Two kinds of refusal. `WireError` is for text that is no JSON: no client library sends it. `PayloadRefused` is
for JSON that we do not take, and that an application may answer instead of closing: lone surrogates (no UTF-8
has them, so they could not be sent on), numbers outside of what can be kept, and nesting beyond `MAX_DEPTH`
(each level costs stack where it is decoded).
"""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec

from compartmentd.errors import PayloadRefused, WireError

MAX_DEPTH = 32

_decode = msgspec.json.Decoder().decode
# The closing quote is optional, so that an unterminated string is consumed once and not tried again from each
# escaped quote in it: that keeps the scan linear.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_BRACKETS = bytes.maketrans(b"{}", b"[]")
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))


def decode(text: bytes) -> Any:
    """Return the value of a JSON text, which must be known to be UTF-8.

    Raises:
        PayloadRefused: it is JSON that we do not take.
        WireError: it is no JSON.
    """
    check_depth(text)
    try:
        return _decode(text)
    except RecursionError:
        raise PayloadRefused("the payload is nested too deeply") from None
    except msgspec.ValidationError:
        raise PayloadRefused("the payload holds a number out of range") from None
    except msgspec.DecodeError:
        raise _why(text) from None


def check_depth(text: bytes) -> None:
    """Refuse a JSON text that nests deeper than `MAX_DEPTH`; for no JSON, any answer may come.

    For those who pass payloads on undecoded, and must not hand others what they would not take themselves.

    Raises:
        PayloadRefused: it does.
    """
    if text.count(b"[") + text.count(b"{") <= MAX_DEPTH:
        return
    rest = _STRING.sub(b"", text).translate(_BRACKETS, _NOT_BRACKETS)
    # Each pass takes the innermost pairs away, so a text of depth d is empty after d passes, all in C.
    for _ in range(MAX_DEPTH):
        rest = rest.replace(b"[]", b"")
        if not rest:
            return
    raise PayloadRefused("the payload is nested too deeply")


def _why(text: bytes) -> WireError:
    """Return the error for what the decoder did not take: Python's own takes lone surrogates, and tells."""
    try:
        json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return WireError("the payload is not JSON")
    return PayloadRefused("the payload holds a lone surrogate")


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity, which Python reads and JSON does not have
