"""The principal of a session: the facts of its verified token, as the rules read them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from compartmentd.names import EntryName, Subject


class Principal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """The user of a session; `subject` is `None` for a session without a token.

    `scopes` are the scopes of all well-typed sources. If `scopes_uncertain` is set, some source had the wrong type,
    so a missing scope is unknown instead of false. `ends_at` is wall time in seconds: the earlier of `exp` and
    `iat` + `max_age`.
    """

    subject: Subject | None = None
    claims: Mapping[str, Any] = {}
    scopes: frozenset[str] = frozenset()
    scopes_uncertain: bool = False
    ends_at: float | None = None

    @property
    def entry(self) -> EntryName | None:
        """The issuer entry that vouches for the subject."""
        return None if self.subject is None else self.subject.entry


ANONYMOUS = Principal()


def collect_scopes(claims: Mapping[str, Any], sources: tuple[str, ...]) -> tuple[frozenset[str], bool]:
    """Collect the scopes that a token grants.

    Args:
        claims: The token's claims.
        sources: The names of claims that list scopes: a string is split at spaces, a list gives one scope an item.

    Returns: The scopes, and whether they are uncertain: a source that is present has another type (including a
        list with an item that is no string), or its provider kept it out of the token. Such a source adds no
        scopes. An absent or null source is ignored.
    """
    scopes: set[str] = set()
    uncertain = False
    for source in sources:
        value = claims.get(source)
        if value is None:
            uncertain = uncertain or is_claim_elsewhere(claims, source)
            continue
        if isinstance(value, str):
            scopes.update(part for part in value.split(" ") if part)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            scopes.update(value)
        else:
            uncertain = True
    return _share_equal(frozenset(scopes)), uncertain


@lru_cache(maxsize=256)
def _share_equal(scopes: frozenset[str]) -> frozenset[str]:
    """Return one shared object for equal sets: most users of a service have the same scopes, at 400 bytes a set."""
    return scopes


def is_claim_elsewhere(claims: Mapping[str, Any], name: str) -> bool:
    """Return whether the provider left a top-level claim, which is absent, out of the token on purpose.

    The token names such a claim in `_claim_names` (OpenID Connect Core, 5.6.2), as Entra's tokens do for a user in
    more than 200 groups; in the implicit flow they have `hasgroups` instead. A `_claim_names` that is not an object
    is taken to name every claim.
    """
    names = claims.get("_claim_names")
    if names is not None and (not isinstance(names, Mapping) or name in names):
        return True
    return name == "groups" and claims.get("hasgroups") not in (None, False)
