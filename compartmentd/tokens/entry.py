"""An entry of `issuers`, as the verifier needs it: whose tokens count, for what, and how they must look."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from compartmentd.names import EntryName
from compartmentd.problems import Span

Use: TypeAlias = Literal["connect", "api", "admin"]
"""What the tokens of an entry may be used for; tickets come with later work."""

KeyKind: TypeAlias = Literal[
    "discovery", "jwks_url", "jwks_file", "public_key_file", "secret_file", "secret_env"
]

REMOTE: frozenset[KeyKind] = frozenset({"discovery", "jwks_url"})
"""Kinds of sources that are fetched, and fetched again, while everything else is read where it lies."""

TENANT = "{tenantid}"
"""What stands for the tenant's id in Entra's issuer where it speaks for several."""

DEFAULT_TYPES: tuple[str | None, ...] = (None, "JWT", "at+jwt", "application/at+jwt")
"""Accepted `typ` headers where the entry says nothing; `None` stands for an absent one."""


class KeySource(msgspec.Struct, frozen=True):
    """Where an entry's keys come from.

    `name` is a path resolved against the naming file, a variable's name, or a URL: of the key set itself
    (`jwks_url`), or of what the discovery document lies under (`discovery`), which is the issuer's as a rule.
    """

    kind: KeyKind
    name: str
    span: Span


class LogoutSettings(msgspec.Struct, frozen=True):
    """`logout`: the client ids that logout tokens are addressed to (OpenID Back-Channel Logout 1.0, 2.4)."""

    audience: tuple[str, ...]


class IssuerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer, checked; durations are seconds. `types` are compared regardless of case (RFC 9068, 4).

    `allow_http` lets its keys come over plain HTTP from another host. `tenants` are those that may stand for
    `{tenantid}` in `issuer`. `keys_name_issuers` tells that a key of its set may name the issuer that it signs
    for, and then signs for no other. A token that has a claim of `never` is an ID token of its vendor.
    """

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
    allow_http: bool = False
    logout: LogoutSettings | None = None
    tenants: tuple[str, ...] = ()
    keys_name_issuers: bool = False
    never: tuple[str, ...] = ()

    @property
    def issuers(self) -> tuple[str, ...]:
        """Every `iss` that its tokens may have."""
        if not self.tenants:
            return (self.issuer,)
        return tuple(fill_tenant(self.issuer, tenant) for tenant in self.tenants)


def fill_tenant(issuer: str, tenant: str) -> str:
    """Return an issuer, as Entra's documents and key sets write it for all tenants, for one of them."""
    return issuer.replace(TENANT, tenant)
