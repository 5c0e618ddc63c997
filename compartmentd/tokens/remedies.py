"""Says what would make a refused token acceptable: a key of the configuration, or a setting of the provider. Pure.

Only `explain-token` uses it: a remedy may quote more of the token than a log may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

import msgspec

from compartmentd.tokens.diagnosis import Diagnosis, Finding
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.presets import PRESETS
from compartmentd.tokens.recognition import decode_base64, read_header_members
from compartmentd.tokens.rejected import RejectReason, quote, quote_list

_MARKS_OF_ID_TOKENS = ("nonce", "at_hash", "c_hash")
_NAMES_OF_SUBJECTS = (
    "oid",
    "user_id",
    "uid",
    "id",
    "preferred_username",
    "username",
    "email",
    "client_id",
    "azp",
)
_NAMES_OF_SCOPES = ("permissions", "scopes", "roles", "groups", "authorities")
_NAMES_OF_AUDIENCES = ("client_id", "azp", "cid", "resource")
_FIREBASE = "https://securetoken.google.com/"
_GRAPH = (
    "https://graph.microsoft.com",
    "https://graph.microsoft.com/",
    "00000003-0000-0000-c000-000000000000",
)


class _RefusedToken(msgspec.Struct, frozen=True):
    """A refused token, as a remedy sees it."""

    token: str
    diagnosis: Diagnosis
    keys: KeySet
    header: Mapping[str, Any]

    @property
    def claims(self) -> Mapping[str, Any]:
        """The claims, which may be anybody's."""
        return self.diagnosis.claims or {}

    @property
    def own_entry(self) -> IssuerEntry:
        """The token's entry, for checks that run only once it is known."""
        return cast("IssuerEntry", self.diagnosis.entry)

    @property
    def entry(self) -> IssuerEntry | None:
        """The token's entry, or the only one that there is."""
        entries = tuple(self.keys.entries.values())
        return self.diagnosis.entry or (entries[0] if len(entries) == 1 else None)


def find_remedies(token: str, diagnosis: Diagnosis, keys: KeySet) -> Mapping[str, tuple[str, ...]]:
    """Return what helps against each failed check, by its name. Total, as `diagnose` is.

    Args:
        token: The token's text.
        diagnosis: What its checks found.
        keys: The entries and keys that it was checked by.
    """
    case = _RefusedToken(token, diagnosis, keys, read_header_members(token))
    failed = [finding for finding in diagnosis.findings if finding.outcome == "failed"]
    found = {finding.check: tuple(_find(finding, case)) for finding in failed}
    return {check: remedies for check, remedies in found.items() if remedies}


def find_scope_remedy(claims: Mapping[str, Any], entry: IssuerEntry) -> str | None:
    """Return the claim that could be read for scopes by a token that has none, or `None`."""
    for name in _NAMES_OF_SCOPES:
        value = claims.get(name)
        texts = value if isinstance(value, list) else [value]
        if name not in entry.scopes and texts and all(isinstance(item, str) for item in texts):
            return f"`scopes: [{name}]` of {quote(entry.name)} would take them from its claim `{name}`"
    return None


def _find(finding: Finding, case: _RefusedToken) -> Iterator[str]:
    find = _REMEDIES.get(finding.check)
    if find is not None:
        yield from find(case, finding)


# --- what it is ---------------------------------------------------------------------------------------------


def _for_form(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    entry = case.entry
    audience = "AUDIENCE" if entry is None else entry.audience[0]
    if case.token.startswith("-----BEGIN "):
        yield "this is a key or certificate in PEM form, not a token"
        return
    parts = case.token.count(".") + 1
    if parts not in {1, 5}:
        return
    issuer = case.header.get("iss")
    issuers = [issuer] if isinstance(issuer, str) else [each.issuer for each in case.keys.entries.values()]
    names = {name for name, preset in PRESETS.items() for each in issuers if preset.recognises(each)}
    if "auth0" in names or (parts == 5 and case.header.get("alg") == "dir"):
        yield (
            "Auth0 gives such a token to a client that names no API: let the client ask for "
            f"`audience: {audience}`, the identifier of an API (Applications, APIs)"
        )
    if parts == 5:
        return
    if "okta" in names:
        yield "Okta: ask a custom authorization server (`…/oauth2/default`): the organization's tokens are for Okta"
    if "zitadel" in names:
        yield "Zitadel: set the application's `Auth Token Type` to JWT"
    if "hydra" in names or not names:
        yield "Ory Hydra: set `strategies.access_token: jwt`, for all clients or for this one"
    if "firebase" in names or (entry is not None and entry.issuer.startswith(_FIREBASE)):
        yield "Firebase: send what `getIdToken()` returns"


def _for_payload(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    payload = decode_base64(case.token.split(".")[1])
    inner = "" if payload is None else payload.strip().strip('"')
    once_more = decode_base64(inner)
    if inner.startswith("eyJ") or (payload or "").startswith('"') or (once_more or "").startswith("{"):
        yield "its payload is encoded twice: sign the claims as an object, not as a text that holds them"


def _for_issuer(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    issuer = case.claims.get("iss")
    if not isinstance(issuer, str):
        yield "let its issuer set `iss`, and write the same under `issuer`"
        return
    if issuer in {"https://accounts.google.com", "accounts.google.com"}:
        yield (
            "this is the ID token of Google's sign-in: with Firebase, send what `getIdToken()` returns, "
            f"whose `iss` is `{_FIREBASE}PROJECT`"
        )
        return
    nearest = [name for name, entry in case.keys.entries.items() if _is_alike(entry.issuer, issuer)]
    if nearest:
        yield f"{quote(nearest[0])} would take it with `issuer: {_show(issuer)}`, exactly as the token has it"
    else:
        yield f"an entry of `issuers` with `issuer: {_show(issuer)}` would take it, if you trust that issuer"


def _is_alike(ours: str, theirs: str) -> bool:
    return ours.rstrip("/").lower() == theirs.rstrip("/").lower()


def _for_use(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    entry = case.own_entry
    yield f"`use` of {quote(entry.name)} names the uses of its tokens: add the one that you mean"


def _for_signature(case: _RefusedToken, finding: Finding) -> Iterator[str]:
    entry, algorithm = case.own_entry, case.header.get("alg")
    if "nonce" in case.header or case.claims.get("aud") in _GRAPH:
        yield (
            "this is a token for Microsoft Graph (its header has a `nonce`), which only Graph can verify: let the "
            "client ask for a scope of your own API, such as `api://CLIENT-ID/access`"
        )
    elif finding.reason is RejectReason.WRONG_ALGORITHM and isinstance(algorithm, str):
        yield f"`algorithms: [{_show(algorithm)}]` of {quote(entry.name)} would take it, with a key of that kind"


def _for_type(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    entry, typ = case.own_entry, case.header.get("typ")
    if _is_id_token(case):
        return
    yield f"`types: [{'absent' if typ is None else _show(str(typ))}]` of {quote(entry.name)} would take it"


def _for_kind(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    yield from _for_id_token(case)


def _is_id_token(case: _RefusedToken) -> bool:
    marked = case.claims.get("typ") == "ID" or case.claims.get("token_use") == "id"
    return marked or any(name in case.claims for name in _MARKS_OF_ID_TOKENS)


def _for_id_token(case: _RefusedToken) -> Iterator[str]:
    entry = case.entry
    if entry is not None and entry.issuer.startswith(_FIREBASE):
        yield "Firebase has ID tokens alone: send what `getIdToken()` returns, for the project of this entry"
    elif _is_id_token(case):
        yield "an ID token says who signed in, to the page alone: send the `access_token` of the same answer"


# --- what it holds --------------------------------------------------------------------------------------------


def _for_dates(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    for name in ("exp", "iat", "nbf"):
        value = case.claims.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and value > 1e11:
            yield f"`{name}` is {value}, in milliseconds: write seconds since 1970"
        elif isinstance(value, str):
            yield f"`{name}` is a text: write a number, seconds since 1970"


def _for_begun(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    entry = case.own_entry
    if entry.leeway < 60:
        yield f"`leeway` of {quote(entry.name)} may be up to 60s"


def _for_end(case: _RefusedToken, finding: Finding) -> Iterator[str]:
    entry = case.own_entry
    if finding.reason is RejectReason.TOO_OLD:
        yield f"`max_age` of {quote(entry.name)} bounds the age, whatever `exp` says: a longer one would take it"
    else:
        yield "get a new token: no setting takes one past its `exp`"


def _for_audience(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    entry, claims = case.own_entry, case.claims
    if _is_id_token(case) or entry.issuer.startswith(_FIREBASE):
        yield from _for_id_token(case)
        return
    if claims.get("aud") in _GRAPH:
        yield from _for_signature(case, _finding)
        return
    value = claims.get(entry.audience_claim)
    texts = [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str)]
    other = next((name for name in _NAMES_OF_AUDIENCES if claims.get(name) in entry.audience), None)
    if other is not None:
        yield f"`audience_claim: {other}` would take it: its `{other}` is {quote(str(claims[other]))}"
    elif texts:
        yield (
            f"`audience: {_show(texts[0])}` of {quote(entry.name)} would take it, and every other token for that "
            "audience: only if it stands for this server"
        )
    if "/realms/" in entry.issuer:
        yield "Keycloak: add an Audience mapper to a client scope of the client"


def _for_subject(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    entry, claims = case.own_entry, case.claims
    known = [name for name in _NAMES_OF_SUBJECTS if isinstance(claims.get(name), str) and claims[name]]
    if known:
        yield (
            f"`subject: {known[0]}` of {quote(entry.name)} would take another claim, which must name one user "
            f"for ever (the token has {quote_list(known)})"
        )
    if "/realms/" in entry.issuer:
        yield "Keycloak, from version 25: give the client the client scope `basic`, which adds `sub`"


def _for_requirements(case: _RefusedToken, _finding: Finding) -> Iterator[str]:
    if _is_id_token(case):
        yield from _for_id_token(case)
        return
    entry = case.own_entry
    wanted = quote_list(f"{name}: {value}" for name, value in entry.require.items())
    yield f"`require` of {quote(entry.name)} (or its preset) wants {wanted}"


def _show(text: str) -> str:
    """Return a text as it can be written into the configuration, bounded and printable."""
    return quote(text)[1:-1]


_REMEDIES: Mapping[str, Callable[[_RefusedToken, Finding], Iterator[str]]] = {
    "form": _for_form,
    "payload": _for_payload,
    "issuer": _for_issuer,
    "use": _for_use,
    "key": _for_signature,
    "signature": _for_signature,
    "typ": _for_type,
    "kind": _for_kind,
    "dates": _for_dates,
    "begun": _for_begun,
    "end": _for_end,
    "audience": _for_audience,
    "subject": _for_subject,
    "requirements": _for_requirements,
}
"""By the name of a check."""
