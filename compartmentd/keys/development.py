"""Mints development tokens for a configuration's own entries, for the command line and the playground."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from compartmentd.errors import UsageError
from compartmentd.keys.files import read_material
from compartmentd.names import EntryName
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.key import DEVELOPMENT_PREFIX
from compartmentd.tokens.local_keys import KeyMaterial
from compartmentd.tokens.mint import LIFETIME, mint_token


def mint_for_entry(
    issuers: tuple[IssuerEntry, ...],
    entry: str | None,
    claims: Mapping[str, Any],
    now: float,
) -> dict[str, Any]:
    """Mint a token of an entry that has a development key.

    Args:
        issuers: The entries of the configuration.
        entry: The name of the entry; `None` chooses the only one that has a development key.
        claims: The claims of the token.
        now: Wall time in seconds.

    Returns:
        The `token`, and when it `expires`: wall time in milliseconds, or `None` if its `exp` is no number.

    Raises:
        UsageError: there is no such entry, or its key is not a development key.
    """
    material, _ = read_material(issuers, development=True)
    secrets = _find_secrets(material)
    able = [issuer for issuer in issuers if issuer.name in secrets]
    if entry is not None:
        chosen = next((issuer for issuer in issuers if issuer.name == entry), None)
        if chosen is None:
            raise UsageError(f"there is no issuer entry `{entry}`")
    elif len(able) == 1:
        chosen = able[0]
    else:
        if not able:
            raise UsageError(explain_unmintable(issuers))
        names = ", ".join(f"`{issuer.name}`" for issuer in able)
        raise UsageError(f"name the issuer entry; entries with a development key: {names}")
    token = mint_token(chosen, secrets.get(chosen.name, b""), claims, now)
    expires = claims.get("exp", int(now) + LIFETIME)
    return {"token": token, "expires": int(expires * 1000) if isinstance(expires, int | float) else None}


def find_mintable(issuers: tuple[IssuerEntry, ...]) -> tuple[str, ...]:
    """Return the names of the entries that have a development key."""
    material, _ = read_material(issuers, development=True)
    secrets = _find_secrets(material)
    return tuple(issuer.name for issuer in issuers if issuer.name in secrets)


def explain_unmintable(issuers: tuple[IssuerEntry, ...]) -> str:
    """Return why no token can be made for any of these entries, and what to do; for when that is so."""
    secrets = [
        (issuer.name, source.name)
        for issuer in issuers
        for source in issuer.sources
        if source.kind == "secret_file"
    ]
    if not secrets:
        return (
            "no token can be made, since no entry has a `secret_file`: tokens come from the issuer alone. "
            "`compartmentd init` writes a file for development with a throw-away key"
        )
    entry, path = secrets[0]
    if not Path(path).exists():
        return (
            f"no token can be made yet, since `{path}` of the entry `{entry}` is not there: "
            "`compartmentd serve --dev` makes a throw-away key in its place"
        )
    return (
        f"no token can be made, since `{path}` of the entry `{entry}` is a secret of your own: "
        "move it away, and `compartmentd serve --dev` makes a throw-away key in its place; "
        "or serve a second file for development, as `compartmentd init --provider secret` writes one"
    )


def _find_secrets(material: Iterable[KeyMaterial]) -> dict[EntryName, bytes]:
    """Return the first development key of each entry that has one in a file."""
    found: dict[EntryName, bytes] = {}
    for item in material:
        if item.source.kind == "secret_file" and item.content.startswith(DEVELOPMENT_PREFIX):
            found.setdefault(item.entry, item.content)
    return found
