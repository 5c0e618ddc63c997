"""The keys of all entries, as one immutable value. A snapshot holds one, and a decision reads it once.

A key belongs to its entry. No key is looked up by `kid` alone, so two issuers that publish the same `kid` cannot
verify each other's tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from compartmentd.names import EntryName
from compartmentd.problems import span_of_file
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.key import Key


class KeySet(msgspec.Struct, frozen=True, eq=False):
    """Entries and their keys; made by `build`. Key sets are never compared, only replaced.

    `fingerprints` are those of `fingerprint_entry`: an edit that only moves an entry within its file changes
    nothing for the tokens that were verified under it.
    """

    entries: Mapping[EntryName, IssuerEntry]
    issuers: Mapping[str, IssuerEntry]
    keys: Mapping[EntryName, tuple[Key, ...]]
    fingerprints: Mapping[EntryName, bytes]

    @classmethod
    def build(cls, entries: Iterable[IssuerEntry] = (), keys: Iterable[Key] = ()) -> KeySet:
        """Return the key set of some entries; keys of other entries are left out.

        The compiler has refused entries with equal names or issuers.
        """
        known = {entry.name: entry for entry in entries}
        grouped: dict[EntryName, list[Key]] = {name: [] for name in known}
        for key in keys:
            if key.entry in grouped:
                grouped[key.entry].append(key)
        return cls(
            entries=MappingProxyType(known),
            issuers=MappingProxyType({issuer: entry for entry in known.values() for issuer in entry.issuers}),
            keys=MappingProxyType({name: tuple(group) for name, group in grouped.items()}),
            fingerprints=MappingProxyType({name: fingerprint_entry(entry) for name, entry in known.items()}),
        )

    def find_entry(self, name: EntryName) -> IssuerEntry | None:
        """Return the entry of a name, or `None`."""
        return self.entries.get(name)

    def find_by_issuer(self, issuer: str) -> IssuerEntry | None:
        """Return the entry whose tokens have exactly this `iss`, or `None`."""
        return self.issuers.get(issuer)

    def has_key(self, entry: EntryName, thumbprint: str, algorithm: str | None = None) -> bool:
        """Return whether a key is one of an entry's keys (and can verify `algorithm`, if given)."""
        return any(
            key.thumbprint == thumbprint and (algorithm is None or algorithm in key.algorithms)
            for key in self.keys.get(entry, ())
        )

    def list_algorithms(self, entry: EntryName) -> tuple[str, ...]:
        """Return the algorithms that the entry's keys can verify, each once."""
        return tuple(dict.fromkeys(name for key in self.keys.get(entry, ()) for name in key.algorithms))

    def find_candidates(self, entry: EntryName, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        """Return the entry's keys that may have signed a token with this header.

        A key without a `kid` (a public key file, a secret) matches every `kid`, and a token without one may be
        signed by any key (RFC 7515, 4.1.4: `kid` is a hint).
        """
        return tuple(
            key
            for key in self.keys.get(entry, ())
            if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid)
        )

    @property
    def pending(self) -> tuple[EntryName, ...]:
        """The entries without keys: their tokens are rejected as `keys_unavailable`."""
        return tuple(name for name, keys in self.keys.items() if not keys)


def fingerprint_entry(entry: IssuerEntry) -> bytes:
    """Return, for comparison, everything in an entry that decides about a token.

    Its position in the file is left out.
    """
    # As JSON: in Python 1 equals True, and for `require` it does not.
    nowhere = span_of_file("")
    sources = tuple(msgspec.structs.replace(source, span=nowhere) for source in entry.sources)
    return msgspec.json.encode(msgspec.structs.replace(entry, span=nowhere, sources=sources))
