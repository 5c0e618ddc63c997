"""Reads the local keys of all entries together: what one source cannot tell alone is checked here."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import msgspec

from compartmentd.names import EntryName
from compartmentd.problems import Problem
from compartmentd.tokens.entry import SECRETS, IssuerEntry, KeySource
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyfile import read_keys
from compartmentd.tokens.material import MAX_TRIED


class KeyMaterial(msgspec.Struct, frozen=True, kw_only=True):
    """The bytes of one local key source; they may be a secret, which no text form shows."""

    entry: EntryName
    source: KeySource
    content: bytes

    def __repr__(self) -> str:
        """Return what a log or an assertion may show."""
        return f"KeyMaterial(entry={self.entry!r}, source={self.source!r})"


def read_all_keys(
    issuers: Iterable[IssuerEntry], material: Iterable[KeyMaterial]
) -> tuple[tuple[Key, ...], tuple[Problem, ...]]:
    """Read the bytes of all local sources.

    Args:
        issuers: The entries.
        material: The bytes of their sources, as far as they could be read.

    Returns:
        The keys, each once for its entry, and all problems.
    """
    entries = {entry.name: entry for entry in issuers}
    found: list[tuple[Key, KeySource]] = []
    problems: list[Problem] = []
    for item in material:
        for read in read_keys(entries[item.entry], item.content, item.source):
            if isinstance(read, Problem):
                problems.append(read)
            else:
                found.append((read, item.source))
    problems += _find_shared(entries, found)
    # Two files of a rotation may hold the same key.
    distinct: dict[object, tuple[Key, KeySource]] = {}
    for key, source in found:
        distinct.setdefault((key.entry, key.identity), (key, source))
    problems += _find_crowds(distinct.values())
    return tuple(key for key, _ in distinct.values()), tuple(problems)


def _find_shared(
    entries: dict[EntryName, IssuerEntry], found: Iterable[tuple[Key, KeySource]]
) -> Iterable[Problem]:
    """Yield an error for each source with a key of another entry: one issuer could sign as the other."""
    owners: dict[str, EntryName] = {}
    told = set()
    for key, source in found:
        owner = owners.setdefault(key.thumbprint, key.entry)
        if owner != key.entry and source not in told:
            told.add(source)
            what = "secret" if source.kind in SECRETS else "key"
            yield Problem(
                "error",
                "key.shared",
                f"`{key.entry}` has the same {what} as `{owner}` (line {entries[owner].span.line})",
                source.span,
                f"whoever signs for one could sign for the other: give each issuer a {what} of its own",
            )


def _find_crowds(found: Iterable[tuple[Key, KeySource]]) -> Iterable[Problem]:
    """Yield an error for an entry with more nameless keys of one kind than are tried for a token."""
    counts: Counter[tuple[EntryName, bool]] = Counter()
    for key, source in found:
        if source.kind != "jwks_file":
            kind = key.entry, source.kind in SECRETS
            counts[kind] += 1
            if counts[kind] == MAX_TRIED + 1:
                what = "secrets" if source.kind in SECRETS else "public keys without names"
                yield Problem(
                    "error",
                    "key.unusable",
                    f"`{key.entry}` has more than {MAX_TRIED} {what}, and no more are tried for a token",
                    source.span,
                    "remove those that sign no more",
                )
