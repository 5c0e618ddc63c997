"""The names that all layers share, as distinct types, so that none can be passed for another."""

from __future__ import annotations

from typing import NamedTuple, NewType

NamespaceName = NewType("NamespaceName", str)
"""A Socket.IO namespace: `/`, or `/` followed by `[A-Za-z0-9_./-]{1,127}`; compared as an exact string."""

RoomName = NewType("RoomName", str)
"""A room in a namespace: at most 256 bytes of UTF-8; never decoded, trimmed, case-folded or normalised."""

EntryName = NewType("EntryName", str)
"""The operator's name for an entry under `issuers`."""

SessionId = NewType("SessionId", str)
"""The public id of a session (Socket.IO's `sid`): random, meaningless and not secret."""

Digest = NewType("Digest", str)
"""The SHA-256, in hexadecimal, of the names and bytes of the configuration, its includes and schemas."""


class Subject(NamedTuple):
    """The user of a token: entry and `sub`, since two issuers may use the same `sub` (RFC 8725, 3.8)."""

    entry: EntryName
    sub: str
