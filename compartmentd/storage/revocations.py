"""`server.state`: the directory that keeps revocations across restarts.

It has one file, which is replaced as a whole: written under another name, flushed to the disk, renamed. So it is
always the old or the new version, whenever the process or the machine stops, and an unreadable file was damaged by
something else. Then the daemon does not start, since users who logged out would be let in again.

The file's lines are JSON: a head, one revocation a line, and an end with their number.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from typing import TypeVar

import msgspec

from compartmentd.configuration.settings import Configuration
from compartmentd.problems import Problem, Span, span_of_file
from compartmentd.sessions.revocations import Revocation

_T = TypeVar("_T")

FILE = "revocations.jsonl"
TEMPORARY = "revocations.jsonl.new"
VERSION = 1

CHUNK = 500
"""Revocations encoded at a time: that holds the interpreter, and so the loop, for less than a millisecond."""


class _Head(msgspec.Struct, frozen=True):
    version: int
    max_age: float


class _End(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    revocations: int


class StoredRevocations(msgspec.Struct, frozen=True):
    """The content of the file: the revocations, and the longest `max_age` (seconds) of the entries at that time."""

    max_age: float = 0.0
    revocations: tuple[Revocation, ...] = ()


class RevocationStore:
    """An open state directory, locked against other processes; made by `open_state`."""

    def __init__(self, directory: int, kept: StoredRevocations) -> None:
        self._directory = directory
        self.loaded = kept
        """The content of the file when the directory was opened."""

    def save(self, kept: StoredRevocations) -> None:
        """Replace the stored revocations; returns once they are on the disk.

        Raises:
            OSError: they could not be written; the earlier ones are still stored.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        with os.fdopen(os.open(TEMPORARY, flags, 0o600, dir_fd=self._directory), "wb") as file:
            for lines in encode_revocations(kept):
                file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        os.replace(TEMPORARY, FILE, src_dir_fd=self._directory, dst_dir_fd=self._directory)
        # The new name is on the disk only when the directory is.
        os.fsync(self._directory)

    def close(self) -> None:
        """Close and unlock the directory."""
        os.close(self._directory)


def open_configured_state(configuration: Configuration) -> RevocationStore | Problem | None:
    """Open the state directory of a configuration; `None` if it has none."""
    path = configuration.server.state
    if path is None:
        return None
    return open_state(path, configuration.server_spans.get("state") or span_of_file(""))


def open_state(path: str, span: Span) -> RevocationStore | Problem:
    """Open and lock a state directory, read its revocations, and check that it can be written.

    Args:
        path: The directory.
        span: The place in the configuration that names it, for a problem.
    """
    try:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        return _build_unusable_problem(path, error, span)
    state = _open_locked(path, directory, span)
    if isinstance(state, Problem):
        os.close(directory)
    return state


def _open_locked(path: str, directory: int, span: Span) -> RevocationStore | Problem:
    try:
        fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
        kept = decode_revocations(_read_file(directory))
        state = RevocationStore(directory, kept)
        state.save(kept)
    except BlockingIOError:
        message = f"another process uses the state directory `{path}`"
        return Problem("error", "state.in-use", message, span, "give each daemon a directory of its own")
    except OSError as error:
        return _build_unusable_problem(path, error, span)
    except DamagedState as damage:
        message = f"`{os.path.join(path, FILE)}` cannot be read: {damage}"  # noqa: PTH118 - as the operator wrote it
        return Problem(
            "error",
            "state.damaged",
            message,
            span,
            "restore the file; without it, users who logged out are let in again until their tokens expire",
        )
    return state


def _read_file(directory: int) -> bytes:
    """Return the content of the file; if there is none, the content of an empty one."""
    try:
        descriptor = os.open(FILE, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW, dir_fd=directory)
    except FileNotFoundError:
        return b"".join(encode_revocations(StoredRevocations()))
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _build_unusable_problem(path: str, error: OSError, span: Span) -> Problem:
    return Problem(
        "error",
        "state.unusable",
        f"the state directory `{path}` cannot be used: {(error.strerror or 'unknown error').lower()}",
        span,
        "make the directory, readable and writable for the user that runs the daemon",
    )


# --- the file's content -------------------------------------------------------------------------------------------


class DamagedState(ValueError):
    """The file is not as it was written; the text says where and quotes nothing."""


def encode_revocations(kept: StoredRevocations) -> Iterator[bytes]:
    """Yield the content of the file, some lines at a time."""
    encoder = msgspec.json.Encoder()
    yield encoder.encode(_Head(VERSION, kept.max_age)) + b"\n"
    for lines in _split_chunks(kept.revocations):
        yield encoder.encode_lines(lines)
    yield encoder.encode(_End(len(kept.revocations))) + b"\n"


def _split_chunks(revocations: Sequence[Revocation]) -> Iterator[Sequence[Revocation]]:
    for start in range(0, len(revocations), CHUNK):
        yield revocations[start : start + CHUNK]


def decode_revocations(content: bytes) -> StoredRevocations:
    """Return the revocations in the content of a file.

    Raises:
        Damaged: it is incomplete, or has another version.
    """
    *lines, rest = content.split(b"\n")
    if len(lines) < 2 or rest:
        raise DamagedState("it is incomplete")
    head = _decode_line(lines, 0, msgspec.json.Decoder(_Head))
    if head.version != VERSION:
        raise DamagedState(
            f"it is of version {head.version}, and this compartmentd supports version {VERSION}"
        )
    decoder = msgspec.json.Decoder(Revocation)
    revocations = tuple(_decode_line(lines, index, decoder) for index in range(1, len(lines) - 1))
    if _decode_line(lines, len(lines) - 1, msgspec.json.Decoder(_End)).revocations != len(revocations):
        raise DamagedState("it is incomplete")
    return StoredRevocations(head.max_age, revocations)


def _decode_line(lines: list[bytes], index: int, decoder: msgspec.json.Decoder[_T]) -> _T:
    try:
        return decoder.decode(lines[index])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        raise DamagedState(f"line {index + 1} is not as it was written") from None
