"""Recognizes what is given in place of a token: a header line, a whole answer, a token encoded twice. Pure.

Only `explain-token` uses it. A client's token is verified as it comes.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from binascii import Error as BinasciiError
from typing import Any
from urllib.parse import unquote

import msgspec

from compartmentd.util.strict_json import JsonError, read_object

_SIGNED = re.compile(r"eyJ[A-Za-z0-9_-]*\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
_MEMBERS = ("access_token", "token", "id_token")
_MOST_STEPS = 6
"""More wrappings than anyone makes by mistake."""


class Recognized(msgspec.Struct, frozen=True):
    """The token within a text, and a remark on each thing around it."""

    token: str
    remarks: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """Return what a log or an assertion may show: no token."""
        return f"Recognized(remarks={self.remarks!r})"


def recognize(text: str) -> Recognized:
    """Find the token in what somebody pasted. Total: any text gives a value."""
    remarks: list[str] = []
    text = text.strip()
    for _ in range(_MOST_STEPS):
        found = _unwrap(text)
        if found is None:
            break
        text, remark = found
        remarks.append(remark)
    return Recognized(text, tuple(remarks))


def _unwrap(text: str) -> tuple[str, str] | None:
    """Return a text without the outermost thing that is no part of a token, and a remark on it."""
    for prefix in ("authorization:", "bearer "):
        if text.lower().startswith(prefix):
            told = text[: len(prefix)].strip()
            return text[len(prefix) :].strip(), f"`{told}` is left out here: clients send the token alone"
    if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].strip(), "the quotes around the token are left out here: clients send it without"
    if text.startswith("{"):
        return _unwrap_answer(text)
    if "%2e" in text.lower() and _SIGNED.fullmatch(unquote(text)):
        return unquote(text), "the token is percent-encoded: send it as the provider gave it"
    bare = "".join(text.split())
    if bare != text and _SIGNED.fullmatch(bare):
        return bare, "white space inside the token is left out here: clients send it in one line"
    inner = None if "." in text else decode_base64(text)
    if inner is not None and _SIGNED.fullmatch(inner.strip()):
        return (
            inner.strip(),
            "the token is encoded twice, in base64 once more: send it as the provider gave it",
        )
    return None


def _unwrap_answer(text: str) -> tuple[str, str] | None:
    try:
        members = read_object(text.encode("utf-8", "surrogatepass"))
    except JsonError:
        return None
    name = next((name for name in _MEMBERS if isinstance(members.get(name), str)), None)
    if name is None:
        return None
    return members[
        name
    ].strip(), f"this is an object in JSON: its `{name}` is checked, which is what clients send"


def decode_base64(text: str) -> str | None:
    """Return the text that this one stands for in base64 or base64url, with or without padding; else `None`."""
    plain = text.rstrip("=").translate(str.maketrans("+/", "-_"))
    if not re.fullmatch(r"[A-Za-z0-9_-]+", plain):
        return None
    try:
        return urlsafe_b64decode(plain + "=" * (-len(plain) % 4)).decode("utf-8")
    except (BinasciiError, UnicodeDecodeError):
        return None


def read_header_members(token: str) -> dict[str, Any]:
    """Return the members of a token's header, whatever follows it; none where it has none."""
    header = decode_base64(token.partition(".")[0])
    try:
        return {} if header is None else read_object(header.encode())
    except JsonError:
        return {}
