"""Who asks: the facts of an already verified token, as the rules read them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import msgspec

from compartmentd.names import EntryName, Subject


class Principal(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A session's holder; `subject` is `None` for a session without a token.

    `scopes` are those of all well-typed sources; `scopes_uncertain` tells that some source was of the wrong
    type, so a scope that is not held is unknown instead of false. `ends_at` is wall time in seconds: the
    earlier of `exp` and `iat` + `max_age`.
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
    """Collect the scopes of the claims named in `sources`: a string is split on spaces, a list taken by item.

    Returns the scopes, and whether some source that is present was of another type (a list with an item that
    is no string, too) or was moved elsewhere by the provider; such a source adds nothing. An absent or null
    source is no source.
    """
    held: set[str] = set()
    uncertain = False
    for source in sources:
        value = claims.get(source)
        if value is None:
            uncertain = uncertain or is_claim_elsewhere(claims, source)
            continue
        if isinstance(value, str):
            held.update(part for part in value.split(" ") if part)
        elif isinstance(value, list) and all(isinstance(item, str) for item in value):
            held.update(value)
        else:
            uncertain = True
    return _share_equal(frozenset(held)), uncertain


@lru_cache(maxsize=256)
def _share_equal(scopes: frozenset[str]) -> frozenset[str]:
    """Return the set that others have who hold the same: most users of a service do, and each takes 400 bytes."""
    return scopes


def is_claim_elsewhere(claims: Mapping[str, Any], name: str) -> bool:
    """Tell whether the provider kept a top-level claim that is absent out of the token.

    Such a claim is named in `_claim_names` (OpenID Connect Core, 5.6.2), as Entra does where a user is in
    more than 200 groups; its implicit flow says `hasgroups` instead. A `_claim_names` of another form
    may name any claim.
    """
    names = claims.get("_claim_names")
    if names is not None and (not isinstance(names, Mapping) or name in names):
        return True
    return name == "groups" and claims.get("hasgroups") not in (None, False)
