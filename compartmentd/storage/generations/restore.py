"""Restores a stored configuration: plans which files to write and delete, and carries that out."""

from __future__ import annotations

import os
import posixpath
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from compartmentd.configuration.compiler import Contents, FileAccess, compute_digest, load
from compartmentd.errors import UsageError
from compartmentd.problems import Problem, has_errors
from compartmentd.storage.generations.access import KeptFiles, join_kept_path
from compartmentd.storage.generations.store import GenerationStore


class Restoration(msgspec.Struct, frozen=True):
    """The plan of restoring a configuration.

    `doubts` are unexpected effects, which the operator has to confirm. `problems` are those of the restored
    configuration. `before` are the present files: those of the present configuration, and all that would be
    overwritten or deleted.
    """

    path: str
    writes: Mapping[str, bytes]
    deletes: tuple[str, ...]
    doubts: tuple[str, ...]
    problems: tuple[Problem, ...]
    before: Contents

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.writes or self.deletes)


def plan_restoration(path: str, contents: Contents, disk: FileAccess) -> Restoration:
    """Plan restoring a stored configuration over the present one at `path`.

    Raises:
        UsageError: it was stored for a main file of another name.
    """
    main = posixpath.basename(path)
    if contents[0][0] != main:
        raise UsageError(f"that configuration was kept for `{contents[0][0]}`, not for `{main}`")
    kept = {join_kept_path(path, name): raw for name, raw in contents}
    now, then = load(path, disk), load(path, KeptFiles(path, contents, disk))
    surplus = _find_surplus(then.globs, kept, disk)
    used = {join_kept_path(path, name): raw for name, raw in now.contents}
    before = {**used, **_read_existing((*kept, *surplus), disk)}
    writes = {file: raw for file, raw in kept.items() if before.get(file) != raw}
    doubts = [f"`{file}` would be deleted: the restored `include` would match it" for file in surplus]
    doubts += [
        f"`{file}` would be overwritten, although the present configuration does not use it"
        for file in writes
        if file in before and file not in used
    ]
    doubts += [
        f"`{file}` would be written outside the configuration's directory"
        for file in writes
        if file not in used and not _is_beneath(path, file)
    ]
    needed = {join_kept_path(path, name) for name, _ in then.contents}
    doubts += [
        f"`{file}` would be written, although neither configuration uses it"
        for file in writes
        if file not in used and file not in needed
    ]
    if has_errors(then.problems):
        doubts.append("it does not check")
    names = {join_kept_path(path, name): name for name, _ in (*now.contents, *contents)}
    return Restoration(
        path=path,
        writes=writes,
        deletes=surplus,
        doubts=tuple(doubts),
        problems=then.problems,
        before=tuple((names.get(file) or _make_relative(path, file), raw) for file, raw in before.items()),
    )


def _is_beneath(main: str, file: str) -> bool:
    """Return whether a file is in the directory of the main file or below it."""
    directory = os.path.realpath(posixpath.dirname(main) or ".")
    return os.path.realpath(file).startswith(posixpath.join(directory, ""))


def _find_surplus(globs: Iterable[str], kept: Iterable[str], disk: FileAccess) -> tuple[str, ...]:
    known = {posixpath.normpath(file) for file in kept}
    found = {file for glob in globs for file in disk.glob(glob)}
    return tuple(
        sorted(
            file
            for file in found
            if posixpath.normpath(file) not in known and not posixpath.basename(file).startswith(".")
        )
    )


def _read_existing(files: Iterable[str], disk: FileAccess) -> dict[str, bytes]:
    found = {}
    for file in files:
        try:
            found[file] = disk.read(file)
        except FileNotFoundError:
            continue
    return found


def _make_relative(path: str, file: str) -> str:
    return file.removeprefix(posixpath.join(posixpath.dirname(path), ""))


def carry_out(restoration: Restoration, history: GenerationStore, at: float) -> None:
    """Store the present configuration, and restore the planned one.

    Args:
        restoration: The plan.
        history: Where to store the present configuration.
        at: Wall time in seconds.

    Raises:
        OSError: a file could not be written; all files are as before.
    """
    _remember(restoration.before, history, at)
    try:
        for file, raw in restoration.writes.items():
            _write_beside(file, raw, restoration.path)
        _exchange(restoration)
    finally:
        for file in restoration.writes:
            Path(_name_temporary(file)).unlink(missing_ok=True)
    for directory in {posixpath.dirname(file) or "." for file in (*restoration.writes, *restoration.deletes)}:
        _flush(directory)


def _remember(before: Contents, history: GenerationStore, at: float) -> None:
    if not before:
        return
    digest = compute_digest(before)
    if all(entry.digest != digest for entry in history.list_entries()):
        history.store(before, at, accepted=False)


def _name_temporary(file: str) -> str:
    """Return the temporary name of a file, in the same directory and hidden from every `include`."""
    # The target of a symlink is replaced, not the symlink.
    directory, name = posixpath.split(os.path.realpath(file))
    return posixpath.join(directory, f".{name}.new")


def _write_beside(file: str, raw: bytes, main: str) -> None:
    """Write a file under its temporary name, with the mode and owner of the replaced file or of the main file."""
    place = os.path.realpath(file)
    Path(place).parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    with os.fdopen(os.open(_name_temporary(file), flags, 0o600), "wb") as out:
        out.write(raw)
        like = next((one for one in (place, main) if Path(one).exists()), None)
        if like is None:
            os.fchmod(out.fileno(), 0o644)
        else:
            _make_like(out.fileno(), Path(like).stat())
        out.flush()
        os.fsync(out.fileno())


def _make_like(file: int, other: os.stat_result) -> None:
    os.fchmod(file, stat.S_IMODE(other.st_mode))
    if os.geteuid() == 0:
        os.fchown(file, other.st_uid, other.st_gid)


def _exchange(restoration: Restoration) -> None:
    """Rename and delete all files, the main file last; if one fails, undo those before it."""
    before = {join_kept_path(restoration.path, name): raw for name, raw in restoration.before}
    done: list[str] = []
    try:
        for file in sorted(restoration.writes, key=lambda file: file == restoration.path):
            done.append(file)
            os.replace(_name_temporary(file), os.path.realpath(file))  # noqa: PTH105 - names as the operator wrote them
        for file in restoration.deletes:
            done.append(file)
            os.unlink(file)  # noqa: PTH108 - names as the operator wrote them
    except OSError:
        for file in done[:-1]:
            _put_back(file, before.get(file), restoration.path)
        raise


def _put_back(file: str, raw: bytes | None, main: str) -> None:
    if raw is None:
        Path(file).unlink(missing_ok=True)
    else:
        _write_beside(file, raw, main)
        os.replace(_name_temporary(file), os.path.realpath(file))  # noqa: PTH105 - as above


def _flush(directory: str) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
