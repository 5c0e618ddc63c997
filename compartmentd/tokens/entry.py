"""An entry of `issuers`, as the verifier needs it: whose tokens count, for what, and how they must look."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from compartmentd.names import EntryName
from compartmentd.problems import Span

Use: TypeAlias = Literal["connect", "api", "admin"]
"""What the tokens of an entry may be used for; tickets come with later work."""

KeyKind: TypeAlias = Literal["jwks_file", "public_key_file", "secret_file", "secret_env"]

DEFAULT_TYPES: tuple[str | None, ...] = (None, "JWT", "at+jwt", "application/at+jwt")
"""Accepted `typ` headers where the entry says nothing; `None` stands for an absent one."""


class KeySource(msgspec.Struct, frozen=True):
    """Where an entry's keys come from: a path resolved against the naming file, or a variable's name."""

    kind: KeyKind
    name: str
    span: Span


class IssuerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer, checked; durations are seconds. `types` are compared regardless of case (RFC 9068, 4)."""

    name: EntryName
    span: Span
    issuer: str
    audience: tuple[str, ...]
    use: tuple[Use, ...] = ("connect",)
    audience_claim: str = "aud"
    keys: KeySource
    algorithms: tuple[str, ...]
    scopes: tuple[str, ...] = ("scope", "scp")
    types: tuple[str | None, ...] = DEFAULT_TYPES
    require: dict[str, str | int | float | bool] = {}
    subject: str = "sub"
    leeway: float = 30.0
    max_age: float = 86400.0
