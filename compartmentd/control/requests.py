"""What administrators ask and are told: the values between the admin resources and the control plane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import msgspec

Record: TypeAlias = Mapping[str, Any]
"""A JSON object."""

Subscriber: TypeAlias = Callable[[Record], None]


class Refused(msgspec.Struct, frozen=True):
    """Why a bearer token gives no access.

    `known` tells a good token without the rights (403) from a bad one (401). `message` names what must
    change, and nothing of the token.
    """

    message: str
    known: bool = False


class RevokeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Whose tokens shall no longer count: of an issuer, named as entry or by its `iss`, exactly one of the three.

    `before` is the latest time of issue that is meant, in milliseconds since the epoch, by default now. A number
    that would lie before 1974 is taken for seconds, as in the `iat` of a token.
    """

    issuer: str
    sub: str | None = None
    sid: str | None = None
    jti: str | None = None
    before: float | None = None
