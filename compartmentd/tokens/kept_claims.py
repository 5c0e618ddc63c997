"""The claims that are kept of a verified token: those that something names as values, all others as one text.

A token of 8 KiB takes 15 KiB and more as values, mostly for groups or a profile that no rule of the policy reads.
What is not named is packed: nothing is dropped, so a policy that names a further claim after a reload finds it.

INVARIANT: reading kept claims gives what reading all claims gives, whatever is read. A claim that was packed is
never seen as absent.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from functools import lru_cache
from sys import getsizeof
from typing import Any

import msgspec

from compartmentd.util.footprint import measure_memory, share_names
from compartmentd.util.strict_json import decode

ALWAYS_NAMED = frozenset(
    {"iss", "aud", "sub", "exp", "iat", "nbf", "jti", "sid", "tid", "_claim_names", "hasgroups"}
)
"""What is read of every token: to verify it again, for revocations, and to tell absent claims from moved ones."""

PACKED_FROM = 1024
"""Bytes of memory from which on the claims that nothing names are packed. Below it, what a copy costs by itself
(200 bytes, and 5 µs where a CONNECT takes 200) is not worth what it saves."""


class KeptClaims(Mapping[str, Any]):
    """All claims of a token, read-only; of some the values are packed.

    Reading a packed one unpacks them all each time, which takes 10 µs: it happens only for what nothing named when
    they were packed. `named` are the names by which they were packed.
    """

    __slots__ = ("_kept", "_packed", "_packed_names", "named")

    def __init__(
        self, named: frozenset[str], kept: dict[str, Any], packed_names: frozenset[str], packed: bytes
    ) -> None:
        self.named = named
        self._kept = kept
        self._packed_names = packed_names
        self._packed = packed

    def get(self, name: str, default: Any = None) -> Any:
        """Return a claim, or the default where the token has none of this name."""
        if name in self._kept:
            return self._kept[name]
        return self._unpack()[name] if name in self._packed_names else default

    def __getitem__(self, name: str) -> Any:
        """Return a claim."""
        if name in self._kept:
            return self._kept[name]
        if name in self._packed_names:
            return self._unpack()[name]
        raise KeyError(name)

    def __contains__(self, name: object) -> bool:
        """Return whether the token has a claim of this name; unpacks nothing."""
        return name in self._kept or name in self._packed_names

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all claims; unpacks nothing."""
        yield from self._kept
        yield from self._packed_names

    def __len__(self) -> int:
        """Return the number of all claims."""
        return len(self._kept) + len(self._packed_names)

    def __repr__(self) -> str:
        """Return what a log or an assertion may show: no claim."""
        return f"KeptClaims(kept={len(self._kept)}, packed={len(self._packed_names)})"

    def unpack(self) -> dict[str, Any]:
        """Return all claims as values."""
        return {**self._kept, **self._unpack()}

    def measure(self) -> int:
        """Return the bytes of memory that they take; names that tokens share are left out."""
        return getsizeof(self) + measure_memory(self._kept) + getsizeof(self._packed)

    def _unpack(self) -> dict[str, Any]:
        # Packed by us of what was read strictly, so its depth was checked.
        members: dict[str, Any] = decode(zlib.decompress(self._packed), depth_checked=True)
        return members


def keep_named(claims: Mapping[str, Any], named: frozenset[str]) -> Mapping[str, Any]:
    """Return equal claims of which those that nothing names are packed, if that saves memory.

    Args:
        claims: All claims of a token, or what this function returned for other names.
        named: The names of the claims that something reads, beside `ALWAYS_NAMED`.
    """
    if isinstance(claims, KeptClaims):
        if claims.named == named:
            return claims
        claims = share_names(claims.unpack())
    others = {name: value for name, value in claims.items() if name not in named and name not in ALWAYS_NAMED}
    if measure_memory(others) < PACKED_FROM:
        return claims
    kept = {name: value for name, value in claims.items() if name not in others}
    # At level 1: half the time of the default level, and 5 % more bytes.
    packed = zlib.compress(msgspec.json.encode(others), 1)
    return KeptClaims(named, kept, _share_equal(frozenset(others)), packed)


def measure_claims(claims: Mapping[str, Any]) -> int:
    """Return the bytes of memory that claims take, packed or not."""
    return claims.measure() if isinstance(claims, KeptClaims) else measure_memory(claims)


@lru_cache(maxsize=256)
def _share_equal(names: frozenset[str]) -> frozenset[str]:
    """Return one shared object for equal sets: tokens of one provider mostly have the same claims."""
    return names
