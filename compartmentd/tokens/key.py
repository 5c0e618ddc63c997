"""A key of one entry, bound to the algorithms that it may be used for, and why a key cannot be used.

Anything that can only be a mistake or a danger is a problem: a private or symmetric key among public ones, a weak
key, an `alg` that its key cannot do. No message quotes key material.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from compartmentd.names import EntryName
from compartmentd.problems import Problem
from compartmentd.tokens.entry import IssuerEntry, KeySource
from compartmentd.tokens.material import (
    LEAST_RSA_BITS,
    MOST_RSA_BITS,
    PublicKey,
    compute_thumbprint,
    find_algorithms,
    normalize_algorithm,
)
from compartmentd.tokens.rejected import quote, quote_list

DEVELOPMENT_PREFIX = b"compartmentd-development-"
"""The prefix of a secret that `serve --dev` made: accepted in the playground, refused everywhere else."""


class Key(msgspec.Struct, frozen=True, eq=False, kw_only=True):
    """A key of one entry, bound to the algorithms that the entry allows and the key can do.

    `issuer` is the only issuer that it signs for, if the keys of its entry name issuers; `None` stands for any.
    `material` is opaque and may be secret: no text form of the key contains it.
    """

    entry: EntryName
    kid: str | None
    algorithms: tuple[str, ...]
    thumbprint: str
    material: PublicKey | bytes
    issuer: str | None = None

    def __repr__(self) -> str:
        """Return what a log or an assertion may show."""
        return f"Key(entry={self.entry!r}, kid={self.kid!r}, algorithms={self.algorithms!r})"

    @property
    def identity(self) -> tuple[str | None, tuple[str, ...], str, str | None]:
        """Everything in a key that decides about a token."""
        return self.kid, self.algorithms, self.thumbprint, self.issuer

    @property
    def development(self) -> bool:
        """Whether this is a development secret."""
        return isinstance(self.material, bytes) and self.material.startswith(DEVELOPMENT_PREFIX)


class UnusableKey(Exception):
    """A key cannot be used: the problem, without its place; readers of keys raise it and report it by entry."""

    def __init__(self, code: str, message: str, help_: str) -> None:
        super().__init__(message)
        self.code, self.message, self.help = code, message, help_


def bind_public_key(entry: IssuerEntry, key: PublicKey, kid: str | None, only: str | None) -> Key:
    """Return the key, bound to the algorithms that the entry allows and that it can do, or to `only` of them.

    Raises:
        UnusableKey: it is too weak or too large, or there is no such algorithm.
    """
    _check_strength(key)
    fits = find_algorithms(key)
    allowed = select_algorithms(entry, fits if only is None else fits & {only})
    if not allowed:
        raise build_no_algorithm_error(entry, "the key", fits)
    return Key(
        entry=entry.name, kid=kid, algorithms=allowed, thumbprint=compute_thumbprint(key), material=key
    )


def _check_strength(key: PublicKey) -> None:
    if isinstance(key, RSAPublicKey) and key.key_size < LEAST_RSA_BITS:
        raise UnusableKey(
            "key.too-weak",
            f"the RSA key has {key.key_size} bits, and at least {LEAST_RSA_BITS} are needed",
            "let the issuer sign with a stronger key",
        )
    if isinstance(key, RSAPublicKey) and key.key_size > MOST_RSA_BITS:
        raise UnusableKey(
            "key.too-large",
            f"the RSA key has {key.key_size} bits, and at most {MOST_RSA_BITS} are taken",
            "let the issuer sign with a key that does not cost milliseconds to verify with",
        )


def select_algorithms(entry: IssuerEntry, fits: Iterable[str]) -> tuple[str, ...]:
    """Return those of these algorithms that the entry allows, in the entry's order."""
    fitting_names = set(fits)
    return tuple(
        dict.fromkeys(name for name in map(normalize_algorithm, entry.algorithms) if name in fitting_names)
    )


def build_key_problem(source: KeySource, bad: UnusableKey, prefix: str = "") -> Problem:
    """Return the problem of a key, at the place where its entry names the source."""
    return Problem("error", bad.code, prefix + bad.message, source.span, bad.help)


def build_private_error(message: str) -> UnusableKey:
    """Return the error for a key that must be known to the issuer alone."""
    return UnusableKey(
        "key.private",
        message,
        "anyone who has it can sign tokens: give this daemon only public keys, and replace this one",
    )


def build_no_algorithm_error(entry: IssuerEntry, what: str, fits: Iterable[str]) -> UnusableKey:
    """Return the error for a key that fits these algorithms, of which the entry allows none."""
    return UnusableKey(
        "key.algorithm",
        f"{what} cannot verify {quote_list(entry.algorithms)}, all that {quote(entry.name)} allows",
        f"allow one of {quote_list(sorted(fits), most=10)}, or take another key",
    )
