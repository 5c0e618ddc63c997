"""The requests of administrators and their answers: values between the admin resources and the control plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import msgspec

JsonObject: TypeAlias = Mapping[str, Any]
"""A JSON object."""


class Refused(msgspec.Struct, frozen=True):
    """The reason why a bearer token gives no access.

    `known` is set for a good token without the rights (403), and not for a bad one (401). `message` says what must
    change, and shows nothing of the token.
    """

    message: str
    known: bool = False


class RevokeRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The tokens to revoke: those of an issuer (its entry or `iss`) with the one of three values that is given.

    `before` is the latest time of issue that is revoked, in milliseconds since the epoch, by default now. A number
    that would lie before 1974 is read as seconds, like the `iat` of a token.
    """

    issuer: str
    sub: str | None = None
    sid: str | None = None
    jti: str | None = None
    before: float | None = None
