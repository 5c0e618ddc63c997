"""`compartmentd explain-token`: runs every check of a token from standard input, and shows what it may do."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping

import click
import msgspec

from compartmentd.analysis.reach import NamespaceReach, find_reach
from compartmentd.cli.exits import Exit
from compartmentd.cli.find_config import config_option
from compartmentd.cli.render import Format, format_option, print_json, print_problems
from compartmentd.cli.token_report import TokenReport
from compartmentd.configuration.compiler import load
from compartmentd.configuration.settings import Configuration
from compartmentd.errors import UsageError
from compartmentd.keys.files import read_material
from compartmentd.names import NamespaceName
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Administer, Connect, Decision, Facts
from compartmentd.policy.principal import Principal
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.seen import find_seen_values
from compartmentd.problems import Span
from compartmentd.storage.files import Disk
from compartmentd.tokens.diagnosis import diagnose
from compartmentd.tokens.entry import REMOTE, SECRETS, IssuerEntry, Use
from compartmentd.tokens.issuing import find_entry
from compartmentd.tokens.jwk_set import read_jwk_set
from compartmentd.tokens.jws import MAX_TOKEN, parse_token
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.local_keys import read_all_keys
from compartmentd.tokens.material import SECRET_BYTES
from compartmentd.tokens.recognition import recognize
from compartmentd.tokens.rejected import Rejected
from compartmentd.tokens.remedies import find_remedies, find_scope_remedy
from compartmentd.tokens.verify import Verified, build_principal


@click.command("explain-token")
@config_option()
@click.option(
    "--use",
    type=click.Choice(["connect", "api", "admin"]),
    default="connect",
    show_default=True,
    help="The use to check the token for.",
)
@click.option(
    "--jwks",
    type=click.Path(),
    metavar="FILE",
    help="Read the issuer's public keys from a JSON Web Key Set instead of fetching them.",
)
@click.option(
    "--room", "rooms", multiple=True, metavar="ROOM", help="A room to try besides. May be repeated."
)
@format_option
@click.pass_context
def explain_token(
    context: click.Context,
    *,
    config: str,
    use: Use,
    jwks: str | None,
    rooms: tuple[str, ...],
    format_: Format,
) -> None:
    """Check a token from standard input, and show what it may do.

    Remote keys are fetched once. Of each template the rooms are tried that the token's claims name, or an example.
    The token is not printed. Of its values are: `iss`, `aud`, the scopes, the names of rooms, and what a condition
    saw.
    """
    loaded = load(config, Disk())
    if loaded.configuration is None:
        print_problems(loaded.problems, format_)
        context.exit(Exit.ERRORS)
    token = _read_token()
    report = _build_report(loaded.configuration, token, use, jwks=jwks, asked=rooms, now=time.time())
    if format_ == "json":
        print_json(report.as_json())
    else:
        click.echo(report.as_text())
    context.exit(Exit.FINE if report.ok else Exit.ERRORS)


_MOST_READ = 4 * MAX_TOKEN
"""Bytes: room for what stands around a token, such as a provider's whole answer."""


def _read_token() -> str:
    # A token in the arguments would be visible in the process table and in the shell's history.
    text = sys.stdin.buffer.read(_MOST_READ).decode("utf-8", "surrogateescape").strip()
    if not text:
        raise UsageError("there is no token on standard input: `compartmentd explain-token < token`")
    return text


def _build_report(
    configuration: Configuration,
    text: str,
    use: Use,
    *,
    jwks: str | None,
    asked: tuple[str, ...],
    now: float,
) -> TokenReport:
    token, remarks = msgspec.structs.astuple(recognize(text))
    keys, notes = _build_key_set(configuration.issuers, token, jwks)
    diagnosis = diagnose(token, keys, use, now)
    verified, entry = diagnosis.verdict, diagnosis.entry
    if not isinstance(verified, Verified) or entry is None:
        remedies = find_remedies(token, diagnosis, keys)
        return TokenReport(diagnosis=diagnosis, notes=notes, remarks=remarks, remedies=remedies)
    who = build_principal(verified, entry)
    decisions = _decide_all(configuration, who, use, now)
    rules = Ruleset.build(configuration.policy)
    return TokenReport(
        diagnosis=diagnosis,
        notes=notes,
        remarks=remarks,
        scopes=tuple(sorted(who.scopes)),
        scopes_uncertain=who.scopes_uncertain,
        scope_remedy=None if who.scopes else find_scope_remedy(who.claims, entry),
        decisions=decisions,
        seen=_find_seen(rules, who, decisions) if use == "connect" else {},
        reach=_find_reach(rules, who, decisions, asked, now) if use == "connect" else {},
    )


def _find_seen(
    rules: Ruleset, who: Principal, decisions: Mapping[str, Decision]
) -> Mapping[str, Mapping[Span, str]]:
    found = {}
    for place, decision in decisions.items():
        values = find_seen_values(rules, who, decision, namespace=NamespaceName(place), room=None, event=None)
        found[place] = {each.span: each.text for each in values}
    return found


def _find_reach(
    rules: Ruleset, who: Principal, decisions: Mapping[str, Decision], asked: tuple[str, ...], now: float
) -> Mapping[str, NamespaceReach]:
    namespaces = rules.policy.namespaces
    return {
        place: find_reach(rules, namespaces[NamespaceName(place)], who, now=now, asked=asked)
        for place, decision in decisions.items()
        if decision.allowed
    }


def _decide_all(configuration: Configuration, who: Principal, use: Use, now: float) -> Mapping[str, Decision]:
    policy = configuration.policy
    rules = Ruleset.build(policy)
    if use == "admin":
        return {"admin_access": decide(rules, who, Administer(), Facts(), now)}
    if use == "api":
        return {}
    return {name: decide(rules, who, Connect(name), Facts(), now) for name in policy.namespaces}


# --- keys ---------------------------------------------------------------------------------------------------


def _build_key_set(
    issuers: tuple[IssuerEntry, ...], token: str, jwks: str | None
) -> tuple[KeySet, tuple[str, ...]]:
    """Return the entries with the keys of the token's entry, and notes on why there are none."""
    known = KeySet.build(issuers)
    parts = parse_token(token)
    if isinstance(parts, Rejected):
        return known, ()
    entry = find_entry(parts.claims, known)
    if isinstance(entry, Rejected):
        return known, ()
    found = _find_keys(entry, jwks, parts.header.algorithm)
    if isinstance(found, str):
        return known, (found,)
    return KeySet.build(issuers, found), ()


def _find_keys(entry: IssuerEntry, jwks: str | None, algorithm: str) -> tuple[Key, ...] | str:
    if jwks is not None:
        return _read_jwks(entry, jwks)
    by_secret = entry.sources[-1].kind in SECRETS and algorithm in SECRET_BYTES
    if entry.remote is not None and not by_secret:
        return _fetch_keys(entry)
    material, unreadable = read_material((entry,), development=True)
    keys, unusable = read_all_keys((entry,), material)
    bad = [problem for problem in (*unreadable, *unusable) if problem.severity == "error"]
    return str(bad[0]) if bad else keys


def _fetch_keys(entry: IssuerEntry) -> tuple[Key, ...] | str:
    import asyncio  # noqa: PLC0415 - only if there are keys to fetch: it takes long to import

    from compartmentd.keys.fetch_once import fetch_once  # noqa: PLC0415 - as above, with the HTTP client
    from compartmentd.keys.response import FetchFailure  # noqa: PLC0415 - as above

    fetched = asyncio.run(fetch_once(entry))
    return f"the keys of `{entry.name}`: {fetched.why}" if isinstance(fetched, FetchFailure) else fetched


def _read_jwks(entry: IssuerEntry, path: str) -> tuple[Key, ...] | str:
    source = entry.sources[0]
    if source.kind not in {*REMOTE, "jwks_file"}:
        raise UsageError(f"`{entry.name}` has no JSON Web Key Set but `{source.kind}`: leave `--jwks` out")
    try:
        material = Disk().read(path)
    except OSError as error:
        raise UsageError(f"cannot read `{path}`: {(error.strerror or 'unknown error').lower()}") from None
    read = read_jwk_set(entry, material)
    return read.keys or f"`{path}`: {read.problems[0].message}"
