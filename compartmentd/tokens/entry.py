"""An entry of `issuers`: an issuer, the uses of its tokens, and the form that they must have."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from compartmentd.names import EntryName
from compartmentd.policy.claim_path import ClaimPath
from compartmentd.problems import Span

Use: TypeAlias = Literal["connect", "api", "admin"]
"""The uses of an entry's tokens."""

KeyKind: TypeAlias = Literal[
    "discovery", "jwks_url", "jwks_file", "public_key_file", "secret_file", "secret_env"
]

REMOTE: frozenset[KeyKind] = frozenset({"discovery", "jwks_url"})
"""Kinds of key sources that are fetched over HTTP, again and again; the others are local."""

SECRETS: frozenset[KeyKind] = frozenset({"secret_file", "secret_env"})
"""Kinds of key sources that hold a shared secret; the others hold public keys."""

TENANT = "{tenantid}"
"""The placeholder for the tenant's id in an issuer of Entra that serves several tenants."""

DEFAULT_TYPES: tuple[str | None, ...] = (None, "JWT", "at+jwt", "application/at+jwt")
"""The `typ` headers that are accepted by default; `None` stands for an absent one."""

DEFAULT_MAX_AGE = 86400.0
"""Seconds after its `iat` until which a token is accepted by default."""

FARTHEST_END = 400 * 86400.0
"""Seconds that `exp` may lie ahead where the age of tokens is unlimited: revocations are kept for so long."""


class KeySource(msgspec.Struct, frozen=True):
    """Where keys of an entry come from: one file, variable or URL.

    `name` is a path, resolved against the file that names it, the name of an environment variable, or a URL:
    that of the key set (`jwks_url`), or the base URL of the discovery document (`discovery`), which is mostly
    the issuer.
    """

    kind: KeyKind
    name: str
    span: Span


class LogoutSettings(msgspec.Struct, frozen=True):
    """`logout`: the client ids that logout tokens are addressed to (OpenID Back-Channel Logout 1.0, 2.4)."""

    audience: tuple[str, ...]


class IssuerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration of one issuer, already checked. Durations are in seconds.

    An unlimited `max_age` is `None`. `types` are compared without regard to case (RFC 9068, 4). `allow_http` allows
    fetching keys over plain HTTP from another host; `ca_file` is a PEM file of the authorities that are trusted for
    fetching. `tenants` are the values of `{tenantid}` in `issuer`. If `keys_name_issuers` is set, a key of the set
    may name the issuer that it signs for, and then signs for no other. A token with a claim listed in `never`, or
    without one listed in `always`, is an ID token.

    INVARIANT: there is at least one source, those of public keys are first, and a remote one is their only one.
    """

    name: EntryName
    span: Span
    issuer: str
    audience: tuple[str, ...]
    use: tuple[Use, ...] = ("connect",)
    audience_claim: str = "aud"
    sources: tuple[KeySource, ...]
    algorithms: tuple[str, ...]
    scopes: tuple[str, ...] = ("scope", "scp")
    types: tuple[str | None, ...] = DEFAULT_TYPES
    require: dict[str, str | int | float | bool] = {}
    subject: ClaimPath = ("sub",)
    leeway: float = 30.0
    max_age: float | None = DEFAULT_MAX_AGE
    allow_http: bool = False
    ca_file: str | None = None
    logout: LogoutSettings | None = None
    tenants: tuple[str, ...] = ()
    keys_name_issuers: bool = False
    never: tuple[str, ...] = ()
    always: tuple[str, ...] = ()

    @property
    def remote(self) -> KeySource | None:
        """The source that is fetched over HTTP, if the entry has one."""
        return self.sources[0] if self.sources[0].kind in REMOTE else None

    @property
    def longest_life(self) -> float:
        """Seconds for which a token can be accepted at most, from now on or from its `iat`."""
        return FARTHEST_END if self.max_age is None else self.max_age

    @property
    def issuers(self) -> tuple[str, ...]:
        """Every `iss` that the entry's tokens may have."""
        if not self.tenants:
            return (self.issuer,)
        return tuple(fill_tenant(self.issuer, tenant) for tenant in self.tenants)


def fill_tenant(issuer: str, tenant: str) -> str:
    """Return the issuer of one tenant, from the issuer that Entra's documents and key sets give for all of them."""
    return issuer.replace(TENANT, tenant)
