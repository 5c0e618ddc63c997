"""What is followed on disk, and what it means when some of it has changed."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import Flag, auto

import msgspec

from compartmentd.configuration.compiler import Loaded
from compartmentd.configuration.settings import Configuration
from compartmentd.control.reload import InForce
from compartmentd.tokens.entry import IssuerEntry

KEY_FILES = frozenset({"jwks_file", "public_key_file", "secret_file"})
"""Kinds of files that are followed even where the configuration is not watched."""


class Change(Flag):
    """What has to be read again."""

    NOTHING = 0
    EVERYTHING = auto()
    KEYS = auto()
    CERTIFICATE = auto()


class Followed(msgspec.Struct, frozen=True):
    """Files, and the globs that new ones may match."""

    files: tuple[str, ...]
    globs: tuple[str, ...]


def followed(in_force: InForce, refused: Loaded | None = None) -> Followed:
    """Return what to follow: what is in force, and what `refused` files name, since one of those may be missing."""
    configuration = in_force.snapshot.configuration
    files = [*in_force.files, *key_files(configuration.issuers), *tls_files(configuration)]
    if refused is None:
        return Followed(tuple(files), in_force.globs)
    files += [*refused.files, *key_files(refused.issuers), *tls_files(refused.configuration)]
    return Followed(tuple(files), (*in_force.globs, *refused.globs))


def what_changed(configuration: Configuration, paths: Collection[str]) -> Change:
    """Tell what to read again where these paths have changed.

    Keys and certificates are followed even where the configuration is not watched, and alone they do not bring
    other changes along. With other changes they are asked for besides: those may be refused, and a key that was
    withdrawn in the same moment must not live on for it.
    """
    keys = set(key_files(configuration.issuers))
    certificate = set(tls_files(configuration))
    change = Change.NOTHING
    if configuration.server.watch and not (keys | certificate).issuperset(paths):
        change |= Change.EVERYTHING
    if keys.intersection(paths):
        change |= Change.KEYS
    if certificate.intersection(paths):
        change |= Change.CERTIFICATE
    return change


def key_files(issuers: Iterable[IssuerEntry]) -> list[str]:
    """Return the files that keys are read from."""
    return [entry.keys.name for entry in issuers if entry.keys.kind in KEY_FILES]


def tls_files(configuration: Configuration | None) -> tuple[str, ...]:
    """Return the files of the certificate, if there is one."""
    tls = None if configuration is None else configuration.server.tls
    return () if tls is None else (tls.cert, tls.key)
