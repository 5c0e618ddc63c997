"""The names that every layer shares, as types of their own, so that one cannot be passed for another."""

from __future__ import annotations

from typing import NamedTuple, NewType

NamespaceName = NewType("NamespaceName", str)
"""A Socket.IO namespace: `/` or `/` and `[A-Za-z0-9_./-]{1,127}`; compared as an exact string."""

RoomName = NewType("RoomName", str)
"""A room inside a namespace: at most 256 bytes of UTF-8; never decoded, trimmed, folded or normalised."""

EntryName = NewType("EntryName", str)
"""The operator's own name of an entry under `issuers`."""

SessionId = NewType("SessionId", str)
"""The public id of a session (Socket.IO's `sid`): random, tells nothing, is no secret."""

Digest = NewType("Digest", str)
"""SHA-256, in hexadecimal, over the names and bytes of configuration, includes and schemas."""


class Subject(NamedTuple):
    """Who a token speaks of: never `sub` alone, since two issuers may use the same one (RFC 8725, 3.8)."""

    entry: EntryName
    sub: str
