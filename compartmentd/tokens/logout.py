"""Logout tokens: an identity provider reports that a user, or one of a user's sessions, has logged out.

OpenID Connect Back-Channel Logout 1.0, 2.4 and 2.6. They are verified by the same key set, entries and
algorithms as access tokens, and again the signature is checked before any claim. Neither kind is ever accepted
as the other: a logout token has an event that no access token has, and its audience is a client instead of this
server.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from compartmentd.names import EntryName
from compartmentd.tokens.claims import LONGEST_SUBJECT, check_date, read_name
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.jws import UnverifiedToken, parse_token
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.rejected import Rejected, RejectReason, quote, quote_list, reject
from compartmentd.tokens.security_events import LOGOUT_EVENT
from compartmentd.tokens.signing import find_verifying_key

TYPES = frozenset({"", "jwt", "logout+jwt", "application/logout+jwt"})
"""Accepted `typ`, in lower case; empty stands for an absent one. The specification recommends `logout+jwt`;
providers older than its final version send none or `JWT`. In any case the event identifies a logout token."""

LONGEST_LIFE = 15 * 60
"""Seconds from `iat` to `exp`. The specification recommends two minutes at most (2.4); Zitadel takes fifteen."""

LONGEST_JTI = 512
"""Characters of `jti` and `sid`; real ones are UUIDs and hashes. They are kept until the token expires."""


class LogoutToken(msgspec.Struct, frozen=True, kw_only=True):
    """A verified logout token: it names `sub`, `sid` or both. Times are wall time in seconds.

    Until `remember_until` the same token would be accepted again, so its `jti` must be remembered until then.
    """

    entry: EntryName
    issuer: str
    sub: str | None
    sid: str | None
    jti: str
    issued_at: float
    remember_until: float

    def __repr__(self) -> str:
        """Return what a log or an assertion may show: no claim."""
        return f"LogoutToken(entry={self.entry!r})"


def verify_logout(token: str, keys: KeySet, now: float) -> LogoutToken | Rejected:
    """Verify a logout token. Total: any text gives a value.

    Args:
        token: The token's text.
        keys: The entries and keys in force.
        now: Wall time in seconds.
    """
    parts = parse_token(token)
    if isinstance(parts, Rejected):
        return parts
    entry = _choose_entry(parts.claims, keys)
    if isinstance(entry, Rejected):
        return entry
    key = find_verifying_key(parts, keys, entry)
    if isinstance(key, Rejected):
        return key
    claims = parts.claims
    refused = (
        _check_kind(parts)
        or _check_audience(claims, entry)
        or _check_times(claims, entry, now)
        or _check_names(claims)
    )
    if refused is not None:
        return refused
    return LogoutToken(
        entry=entry.name,
        issuer=entry.issuer,
        sub=read_name(claims.get("sub")),
        sid=claims.get("sid"),
        jti=claims["jti"],
        issued_at=float(claims["iat"]),
        remember_until=claims["exp"] + entry.leeway,
    )


def _choose_entry(claims: Mapping[str, Any], keys: KeySet) -> IssuerEntry | Rejected:
    issuer = claims.get("iss")
    entry = keys.find_by_issuer(issuer) if isinstance(issuer, str) else None
    if entry is None:
        return reject(RejectReason.UNKNOWN_ISSUER, "no entry has the logout token's `iss`")
    if entry.logout is None:
        return reject(
            RejectReason.NOT_FOR_THIS_USE, f"{quote(entry.name)} has no `logout`, so it accepts no logouts"
        )
    return entry


def _check_kind(parts: UnverifiedToken) -> Rejected | None:
    if (parts.header.typ or "").lower() not in TYPES:
        return reject(
            RejectReason.WRONG_TYPE, f"`typ` {quote(parts.header.typ or '')} is not that of a logout token"
        )
    events = parts.claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict):
        return reject(
            RejectReason.NO_LOGOUT_EVENT, f"the token's `events` has no object {quote(LOGOUT_EVENT)}"
        )
    if "nonce" in parts.claims:
        return reject(RejectReason.HAS_NONCE, "a logout token has no `nonce` (Back-Channel Logout 1.0, 2.4)")
    return None


def _check_audience(claims: Mapping[str, Any], entry: IssuerEntry) -> Rejected | None:
    wanted = () if entry.logout is None else entry.logout.audience
    value = claims.get("aud")
    audience = [value] if isinstance(value, str) else value
    # A list with an item of another type is refused as a whole: its meaning is not guessed.
    if not isinstance(audience, list) or not all(isinstance(item, str) for item in audience):
        return reject(
            RejectReason.WRONG_AUDIENCE,
            f"the logout token's `aud` is not a client; {_describe_wanted(entry, wanted)}",
        )
    if any(item in wanted for item in audience):
        return None
    return reject(
        RejectReason.WRONG_AUDIENCE,
        f"the logout token's `aud` names {quote_list(audience)}; {_describe_wanted(entry, wanted)}",
    )


def _describe_wanted(entry: IssuerEntry, wanted: tuple[str, ...]) -> str:
    return f"`logout.audience` of {quote(entry.name)} wants {quote_list(wanted)}, the client's id"


def _check_times(claims: Mapping[str, Any], entry: IssuerEntry, now: float) -> Rejected | None:
    refused = check_date(claims, "iat") or check_date(claims, "exp")
    if refused is not None:
        return refused
    issued, ends = claims["iat"], claims["exp"]
    if not 0 < ends - issued <= LONGEST_LIFE:
        return reject(
            RejectReason.BAD_TIME,
            f"a logout token is valid for at most {LONGEST_LIFE} s, from `iat` to `exp`",
        )
    if issued - now > entry.leeway:
        return reject(
            RejectReason.NOT_YET_VALID, "the logout token was issued in the future: compare the clocks"
        )
    # Leeway for `exp`, unlike for access tokens: a logout that is refused for a slow clock is not sent again.
    if now - ends >= entry.leeway:
        return reject(RejectReason.EXPIRED, "the logout token has expired")
    return None


def _check_names(claims: Mapping[str, Any]) -> Rejected | None:
    for name, longest in (("jti", LONGEST_JTI), ("sub", LONGEST_SUBJECT), ("sid", LONGEST_JTI)):
        value = read_name(claims.get(name)) if name == "sub" else claims.get(name)
        if name in claims and not (isinstance(value, str) and 0 < len(value) <= longest):
            return reject(
                RejectReason.BAD_SUBJECT,
                f"the logout token's `{name}` is not a string of 1 to {longest} characters",
            )
    if "jti" not in claims:
        return reject(RejectReason.BAD_SUBJECT, "the logout token has no `jti`")
    if "sub" not in claims and "sid" not in claims:
        return reject(RejectReason.BAD_SUBJECT, "the logout token has neither `sub` nor `sid`")
    return None


class ReplayCache:
    """The `jti` of accepted logout tokens, at most `capacity`, each until its token is no longer accepted.

    If more arrive in that time, the oldest are forgotten; a restart forgets all. That does no harm: a repeated
    logout ends the same sessions as before, and none that began later.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._until: dict[tuple[EntryName, str], float] = {}

    def __len__(self) -> int:
        """Return the number of remembered tokens."""
        return len(self._until)

    def register(self, token: LogoutToken, now: float) -> bool:
        """Remember a token; return whether it arrives for the first time.

        Args:
            token: A verified logout token.
            now: Wall time in seconds.
        """
        name = (token.entry, token.jti)
        if self._until.get(name, 0.0) > now:
            return False
        self._forget_old(now)
        self._until.pop(name, None)
        self._until[name] = token.remember_until
        return True

    def forget(self, token: LogoutToken) -> None:
        """Accept the token once more: ending its sessions failed, and its provider may try again."""
        self._until.pop((token.entry, token.jti), None)

    def _forget_old(self, now: float) -> None:
        # In the order of arrival, which is nearly the order of expiry; the rest expires a little later.
        while self._until:
            oldest = next(iter(self._until))
            if self._until[oldest] > now and len(self._until) < self._capacity:
                return
            del self._until[oldest]
