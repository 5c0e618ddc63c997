"""The values of a reload: a candidate while it is read and checked, a generation once it is complete."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from compartmentd.configuration.compiler import Loaded
from compartmentd.configuration.settings import Configuration
from compartmentd.configuration.snapshot import Snapshot
from compartmentd.names import Digest, EntryName
from compartmentd.problems import Problem, has_errors
from compartmentd.storage.certificates import Certificate
from compartmentd.tokens.key import Key
from compartmentd.tokens.keyset import KeySet
from compartmentd.tokens.local_keys import KeyMaterial


class LocalKeys(msgspec.Struct, frozen=True):
    """The keys that are read from files and variables; `digest` tells whether one changed, and is never shown."""

    keys: KeySet
    digest: str

    @classmethod
    def from_material(cls, keys: KeySet, material: Iterable[KeyMaterial]) -> LocalKeys:
        """Return keys with the digest of the bytes that they were read from."""
        digest = hashlib.sha256()
        for item in material:
            for part in (item.entry, item.source.kind, item.source.name):
                digest.update(hashlib.sha256(part.encode()).digest())
            digest.update(hashlib.sha256(item.content).digest())
        return cls(keys, digest.hexdigest())


class FetchedKeys(msgspec.Struct, frozen=True):
    """The keys that were fetched from providers, by entry; `digest` tells whether one changed."""

    keys: Mapping[EntryName, tuple[Key, ...]]
    digest: str

    @classmethod
    def from_keys(cls, keys: Mapping[EntryName, tuple[Key, ...]]) -> FetchedKeys:
        """Return keys with a digest of what identifies them."""
        identities = [
            (name, sorted(msgspec.json.encode(key.identity) for key in group))
            for name, group in sorted(keys.items())
        ]
        return cls(keys, hashlib.sha256(msgspec.json.encode(identities)).hexdigest())


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A configuration that may come into force: each step of a reload returns it with more filled in.

    Attributes:
        cause: why the reload runs, for the log (`watch`, `SIGHUP`, `request`, …).
        read_at: wall time in seconds before the first file was read.
        loaded: what the compiler made of the files; that of the generation in force where they are not read.
        problems: everything found so far, by all steps. An error refuses the candidate.
        local: the keys of files and variables; `None` until they are read.
        fetched: the keys of providers; `None` until they are taken.
        certificate: the certificate of the listeners; `None` without `server.tls`.
        made: by path the SHA-256 of the key files that `serve --dev` made for it, after `read_at`.
    """

    cause: str
    read_at: float
    loaded: Loaded
    problems: tuple[Problem, ...] = ()
    local: LocalKeys | None = None
    fetched: FetchedKeys | None = None
    certificate: Certificate | None = None
    made: Mapping[str, bytes] = {}

    @property
    def refused(self) -> bool:
        """Whether it must not come into force."""
        return has_errors(self.problems) or self.loaded.configuration is None

    @property
    def configuration(self) -> Configuration:
        """The configuration of a candidate whose files could be compiled."""
        if self.loaded.configuration is None:
            raise AssertionError("a candidate without a configuration is refused before it is looked at")
        return self.loaded.configuration

    def add_problems(self, *problems: Problem) -> Candidate:
        """Return the candidate with further problems; each is listed once."""
        return msgspec.structs.replace(self, problems=tuple(dict.fromkeys((*self.problems, *problems))))


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in force: the snapshot that decides, and everything that the daemon's parts follow.

    A renewed certificate makes another value with the same snapshot: it decides nothing, so it is not counted.

    Attributes:
        snapshot: what every decision is made by; it has the number of the generation.
        loaded: what the compiler made of the files. Its `contents` are there while a new configuration is
            adopted, and empty otherwise.
        read_at: wall time in seconds before the first file was read, of those in force or of the refused ones.
        refused: newer files on disk that were refused, without their configuration. They are followed, too, since
            mending any of them is a reason to reload.
        stale: the problems of the files on disk at the start, where the last good configuration had to be used in
            their place.
        made: by path the SHA-256 of the key files that `serve --dev` made for it, after `read_at`: no change.
    """

    snapshot: Snapshot
    loaded: Loaded
    read_at: float
    local: LocalKeys
    fetched: FetchedKeys
    certificate: Certificate | None = None
    refused: Loaded | None = None
    stale: tuple[Problem, ...] = ()
    made: Mapping[str, bytes] = {}

    @property
    def number(self) -> int:
        """The number of the generation, counted from 1 since the start."""
        return self.snapshot.generation

    @property
    def digest(self) -> Digest:
        """The digest of the files."""
        return self.snapshot.digest

    @property
    def configuration(self) -> Configuration:
        """The configuration in force."""
        return self.snapshot.configuration


class Subscriber:
    """A part of the daemon that follows reloads; the base of all, in which every method does nothing.

    All methods are called on the loop, and do not wait.
    """

    def begin(self) -> None:
        """Take note that a reload begins."""

    def adopt(self, generation: Generation) -> None:
        """Take what concerns this part from what is in force now.

        Called at the start, and after each reload that changed something, or that was refused; often little or
        nothing has changed for a part, so adopting the same value again must be harmless.

        An exception is a failure of the daemon and not of the reload: nothing can be taken back, since sessions are
        decided by the generation already. All sessions are still judged, so that nobody keeps what it denies; then
        the exception ends the daemon.
        """

    def end(self) -> None:
        """Take note that a reload has ended, however it did."""
