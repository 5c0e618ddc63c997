"""The keys of all entries, as one immutable value: a snapshot holds one, and a decision reads it once.

A key belongs to its entry. Nothing is ever looked up by `kid` alone, so two issuers that publish the same
`kid` cannot verify each other's tokens.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

import msgspec

from compartmentd.names import EntryName
from compartmentd.problems import span_of_file
from compartmentd.tokens.entry import IssuerEntry
from compartmentd.tokens.keyfile import DEVELOPMENT_PREFIX, Key, read_keys

__all__ = ["DEVELOPMENT_PREFIX", "Key", "KeySet", "read_keys"]


class KeySet(msgspec.Struct, frozen=True, eq=False):
    """Entries and their keys. Built by `KeySet.of`; two of them are never compared, only replaced.

    `rules` stands for everything in an entry that decides about a token, without where it is written: an edit
    that only moves an entry in its file changes nothing for the tokens verified under it.
    """

    entries: Mapping[EntryName, IssuerEntry]
    issuers: Mapping[str, IssuerEntry]
    keys: Mapping[EntryName, tuple[Key, ...]]
    rules: Mapping[EntryName, bytes]

    @classmethod
    def build(cls, entries: Iterable[IssuerEntry] = (), keys: Iterable[Key] = ()) -> KeySet:
        """Return the set of these entries; a key of an entry that is not among them is left out.

        The compiler has refused two entries of one name or issuer.
        """
        known = {entry.name: entry for entry in entries}
        held: dict[EntryName, list[Key]] = {name: [] for name in known}
        for key in keys:
            if key.entry in held:
                held[key.entry].append(key)
        return cls(
            entries=MappingProxyType(known),
            issuers=MappingProxyType({issuer: entry for entry in known.values() for issuer in entry.issuers}),
            keys=MappingProxyType({name: tuple(group) for name, group in held.items()}),
            rules=MappingProxyType({name: fingerprint_entry(entry) for name, entry in known.items()}),
        )

    def find_entry(self, name: EntryName) -> IssuerEntry | None:
        """Return the entry of this name."""
        return self.entries.get(name)

    def find_by_issuer(self, issuer: str) -> IssuerEntry | None:
        """Return the entry that has exactly this string as `issuer`, or for one of its tenants."""
        return self.issuers.get(issuer)

    def has_key(self, entry: EntryName, thumbprint: str, algorithm: str | None = None) -> bool:
        """Tell whether the entry is configured and the key one of its keys (for `algorithm`, where given)."""
        return any(
            key.thumbprint == thumbprint and (algorithm is None or algorithm in key.algorithms)
            for key in self.keys.get(entry, ())
        )

    def list_algorithms(self, entry: EntryName) -> tuple[str, ...]:
        """Return what the entry's keys can verify, once each."""
        return tuple(dict.fromkeys(name for key in self.keys.get(entry, ()) for name in key.algorithms))

    def find_candidates(self, entry: EntryName, algorithm: str, kid: str | None) -> tuple[Key, ...]:
        """Return the entry's keys that may have signed a token of this header.

        A key without a `kid` of its own (a public key file, a secret) answers to any, and a token without one
        may be of any key (RFC 7515, 4.1.4: `kid` is a hint).
        """
        return tuple(
            key
            for key in self.keys.get(entry, ())
            if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid)
        )

    @property
    def pending(self) -> tuple[EntryName, ...]:
        """The entries without keys: their tokens get `keys_unavailable`."""
        return tuple(name for name, keys in self.keys.items() if not keys)


def fingerprint_entry(entry: IssuerEntry) -> bytes:
    """Return everything of an entry that decides about a token, for comparison; not where it is written."""
    # JSON, since Python holds 1 and True equal and `require` does not.
    nowhere = span_of_file("")
    source = msgspec.structs.replace(entry.keys, span=nowhere)
    return msgspec.json.encode(msgspec.structs.replace(entry, span=nowhere, keys=source))
