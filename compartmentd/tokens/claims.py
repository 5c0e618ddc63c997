"""The checks of registered claims that PyJWT leaves open: types, bounds, and times to the second.

`exp` is exact, since a session ends at it (RFC 7519, 4.1.4 allows leeway and does not require it). Leeway applies
only to `iat` and `nbf`, for an issuer's clock that is ahead of ours. A check returns why the claims do not pass, or
`None`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import ceil
from typing import Any, NamedTuple

from compartmentd.policy.claim_path import describe_path, read_claim
from compartmentd.policy.codes import Code
from compartmentd.tokens.entry import FARTHEST_END, IssuerEntry, fill_tenant
from compartmentd.tokens.rejected import Rejected, RejectReason, quote, quote_list, reject
from compartmentd.tokens.security_events import is_security_event
from compartmentd.util.humanize import LONG, format_duration

LATEST_TIME = 253402300799
"""The last second of the year 9999; a later time is a mistake of units, or an attack on arithmetic."""

LONGEST_SUBJECT = 512
"""Characters. OpenID Connect Core, 2 allows 255 for `sub`; an e-mail address as subject can have 320."""


class TokenClaims(NamedTuple):
    """The input of a check: a token's claims and `typ`, its entry, and the wall time in seconds."""

    claims: Mapping[str, Any]
    typ: str | None
    entry: IssuerEntry
    now: float


class ClaimCheck(NamedTuple):
    """A named check. It may run once the checks that it `needs` have passed.

    The result of a `lasting` check can change while a session lives, since it depends on the entry or on time. The
    checks of `iat` and `nbf` are not lasting, so that setting the clock back ends no session.
    """

    name: str
    check: Callable[[TokenClaims], Rejected | None]
    needs: tuple[str, ...] = ()
    lasting: bool = True


def check_lasting(token: TokenClaims) -> Rejected | None:
    """Check a verified token for what can change while its session lives.

    Args:
        token: The token's claims, with the entry and time to check them by.

    Returns:
        Why the token is no longer accepted, or `None`.
    """
    for check in _LASTING:
        refused = check.check(token)
        if refused is not None:
            return refused
    return None


def compute_end(claims: Mapping[str, Any], entry: IssuerEntry) -> float:
    """Return the wall time in seconds at which a verified token's session ends: by `exp` or by `max_age`."""
    if entry.max_age is None:
        return float(claims["exp"])
    return float(min(claims["exp"], claims["iat"] + entry.max_age))


def read_subject(claims: Mapping[str, Any], entry: IssuerEntry) -> str:
    """Return the subject of a verified token, with its tenant if the entry serves several tenants.

    Entra's subjects are unique only within a tenant.
    """
    subject = read_name(read_claim(claims, entry.subject))
    return f"{claims['tid']}/{subject}" if entry.tenants else str(subject)


def read_name(value: object) -> str | None:
    """Return the text of a value that names somebody: a string, or an integer in decimal; `None` for any other."""
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else None


def _check_type(token: TokenClaims) -> Rejected | None:
    typ, entry = token.typ, token.entry
    accepted = [None if name is None else name.lower() for name in entry.types]
    if (None if typ is None else typ.lower()) in accepted:
        return None
    has = "has no `typ`" if typ is None else f"is of `typ` {quote(typ)}"
    wanted = quote_list("absent" if name is None else name for name in entry.types)
    return reject(
        RejectReason.WRONG_TYPE,
        f"the token {has}, and `types` of {quote(entry.name)} accepts {wanted}{_hint_kind(typ)}",
    )


def _check_kind(token: TokenClaims) -> Rejected | None:
    if is_security_event(token.claims):
        return reject(
            RejectReason.WRONG_TYPE, "the token reports a logout or another event: send the access token"
        )
    marks = [name for name in token.entry.never if name in token.claims]
    if marks:
        return reject(
            RejectReason.WRONG_TYPE,
            f"the token has {quote_list(marks)}, which only ID tokens of its provider have: send the access token",
        )
    lacking = [name for name in token.entry.always if name not in token.claims]
    if lacking:
        return reject(
            RejectReason.WRONG_TYPE,
            f"the token has no {quote_list(lacking)}, as its provider's ID tokens: send the access token",
        )
    return None


_OTHER_KINDS = {
    "logout+jwt": "a logout token",
    "secevent+jwt": "a security event",
    "dpop+jwt": "a DPoP proof",
    "ticket+jwt": "a ticket",
    "id_token": "an ID token",
}


def _hint_kind(typ: str | None) -> str:
    # Kinds of tokens that must never be accepted as access tokens (RFC 8725, 3.12).
    kind = _OTHER_KINDS.get((typ or "").lower().removeprefix("application/"))
    return f"; this is {kind}: send the access token" if kind else ""


# --- times --------------------------------------------------------------------------------------------------


def _check_dates(token: TokenClaims) -> Rejected | None:
    claims = token.claims
    issued = check_date(claims, "iat") if "iat" in claims else _check_age_is_known(token)
    return check_date(claims, "exp") or issued or check_date(claims, "nbf")


def _check_age_is_known(token: TokenClaims) -> Rejected | None:
    if token.entry.max_age is None or "iat" in token.claims:
        return None
    return reject(
        RejectReason.BAD_TIME,
        f"the token has no `iat`, from which `max_age` of {quote(token.entry.name)} counts: let the issuer set it, "
        "or write `max_age: unlimited`",
    )


def _check_begun(token: TokenClaims) -> Rejected | None:
    claims, entry, now = token.claims, token.entry, token.now
    ahead = claims.get("iat", now) - now
    if ahead > entry.leeway:
        return reject(RejectReason.NOT_YET_VALID, _explain_skew("was issued", ahead, entry))
    ahead = claims.get("nbf", now) - now
    if ahead > entry.leeway:
        return reject(RejectReason.NOT_YET_VALID, _explain_skew("becomes valid", ahead, entry))
    if entry.max_age is None and claims["exp"] - now > FARTHEST_END:
        return reject(
            RejectReason.BAD_TIME,
            f"the token expires in {_format_duration(claims['exp'] - now)}, and with `max_age: unlimited`, as of "
            f"{quote(entry.name)}, {_format_duration(FARTHEST_END)} is the most: let the issuer set `exp` earlier",
        )
    return None


def _check_end(token: TokenClaims) -> Rejected | None:
    claims, entry, now = token.claims, token.entry, token.now
    if claims["exp"] <= now:
        late = _format_duration(now - claims["exp"])
        return Rejected(Code.TOKEN_EXPIRED, RejectReason.EXPIRED, f"the token expired {late} ago")
    if entry.max_age is None:
        return None
    if "iat" not in claims:  # judged again, when a reload has limited the age
        return _check_age_is_known(token)
    if claims["iat"] + entry.max_age <= now:
        age, allowed = _format_duration(now - claims["iat"]), _format_duration(entry.max_age)
        detail = f"the token was issued {age} ago, and `max_age` of {quote(entry.name)} is {allowed}"
        return Rejected(Code.TOKEN_EXPIRED, RejectReason.TOO_OLD, detail)
    return None


def check_date(claims: Mapping[str, Any], name: str) -> Rejected | None:
    """Check that a claim is a NumericDate: a number of seconds (RFC 7519, 2). Only `nbf` may be absent."""
    if name not in claims:
        return None if name == "nbf" else reject(RejectReason.BAD_TIME, f"the token has no `{name}`")
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        return reject(RejectReason.BAD_TIME, f"`{name}` of the token is not a number")
    if not 0 <= value <= LATEST_TIME:
        hint = " (in milliseconds?)" if LATEST_TIME < value <= LATEST_TIME * 1000 else ""
        return reject(RejectReason.BAD_TIME, f"`{name}` of the token is not a time in seconds{hint}")
    return None


def _explain_skew(what: str, ahead: float, entry: IssuerEntry) -> str:
    return (
        f"the token {what} {_format_duration(ceil(ahead))} in the future by this server's clock, "
        f"and `leeway` of {quote(entry.name)} is {_format_duration(entry.leeway)}: compare the clocks"
    )


def _format_duration(seconds: float) -> str:
    # Long durations in both forms: people read hours, and seconds can be compared with other numbers.
    return format_duration(seconds) if seconds < LONG else f"{format_duration(seconds)} ({seconds:.0f} s)"


# --- subject and audience ---------------------------------------------------------------------------------------


def _check_audience(token: TokenClaims) -> Rejected | None:
    claims, entry = token.claims, token.entry
    name, value = entry.audience_claim, claims.get(entry.audience_claim)
    audience = [value] if isinstance(value, str) else value
    if not isinstance(audience, list) or not all(isinstance(item, str) for item in audience):
        has = "is neither a string nor a list of strings" if name in claims else "is missing"
    elif any(item in entry.audience for item in audience):
        return None
    else:
        has = f"names {quote_list(audience)}" if audience else "names no one"
    advice = _hint_id_token(claims) or ": add that audience at the provider"
    detail = (
        f"the token's {quote(name)} {has}; {quote(entry.name)} wants {quote_list(entry.audience)}{advice}"
    )
    return reject(RejectReason.WRONG_AUDIENCE, detail)


def _hint_id_token(claims: Mapping[str, Any]) -> str:
    # Claims that only ID tokens have (OpenID Connect Core, 2 and 3.3.2.11), and vendors' own marks of them.
    marked = claims.get("token_use") == "id" or claims.get("typ") == "ID"
    if marked or any(name in claims for name in ("nonce", "at_hash", "c_hash")):
        return "; it looks like an ID token: send the access token"
    return ""


def _check_subject(token: TokenClaims) -> Rejected | None:
    claims, entry = token.claims, token.entry
    name = read_name(read_claim(claims, entry.subject))
    if name is None or not 0 < len(name) <= LONGEST_SUBJECT:
        return reject(
            RejectReason.BAD_SUBJECT,
            f"the token's subject, {quote(describe_path(entry.subject))}, "
            f"is neither a string of 1 to {LONGEST_SUBJECT} characters nor an integer",
        )
    tenant = claims.get("tid")
    if entry.tenants and not (
        isinstance(tenant, str) and fill_tenant(entry.issuer, tenant) == claims.get("iss")
    ):
        return reject(RejectReason.BAD_SUBJECT, "the token's `tid` is not the tenant that its `iss` names")
    return None


def _check_required(token: TokenClaims) -> Rejected | None:
    claims, entry = token.claims, token.entry
    for name, wanted in entry.require.items():
        if name not in claims:
            return reject(
                RejectReason.REQUIREMENT,
                f"the token has no {quote(name)}, which {quote(entry.name)} requires",
            )
        if not _is_same(claims[name], wanted):
            return reject(
                RejectReason.REQUIREMENT,
                f"the token's {quote(name)} is not what {quote(entry.name)} requires{_hint_id_token(claims)}",
            )
    return None


def _is_same(value: object, wanted: str | float | bool) -> bool:
    """Return whether two values are equal in JSON: booleans are not numbers, and 1 equals 1.0."""
    if isinstance(value, bool) or isinstance(wanted, bool):
        return value is wanted
    return value == wanted


CLAIM_CHECKS = (
    ClaimCheck("typ", _check_type),
    ClaimCheck("kind", _check_kind),
    ClaimCheck("dates", _check_dates, lasting=False),
    ClaimCheck("begun", _check_begun, ("dates",), lasting=False),
    ClaimCheck("end", _check_end, ("dates",)),
    ClaimCheck("audience", _check_audience),
    ClaimCheck("subject", _check_subject),
    ClaimCheck("requirements", _check_required),
)
"""In the order in which they run."""

_LASTING = tuple(check for check in CLAIM_CHECKS if check.lasting)
