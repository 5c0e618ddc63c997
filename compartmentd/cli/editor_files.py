"""The files of configurations as an editor has them: what it has not saved yet goes before what is on the disk."""

from __future__ import annotations

import glob
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatch
from pathlib import Path
from typing import NamedTuple

from compartmentd.configuration.compiler import FileAccess
from compartmentd.language.block_reader import read_outline
from compartmentd.language.names import Names
from compartmentd.language.outline import OutlinePart
from compartmentd.language.recognise import NAMES, is_main, list_globs
from compartmentd.storage.files import Disk

_MOST_CANDIDATES = 100
"""YAML files of a directory that are looked at for an `include` of a file."""

_MOST_LEVELS = 3
"""Directories, that of the file first, in which its main file is looked for."""


class Overlay:
    """The disk, with the texts of open files in place of those that are saved."""

    def __init__(self, texts: Mapping[str, str], disk: FileAccess | None = None) -> None:
        self.texts = texts
        self.disk = disk or Disk()

    def read(self, path: str) -> bytes:
        """Return the bytes of a file as the editor has it; raises `OSError`."""
        text = self.texts.get(posixpath.normpath(path))
        return self.disk.read(path) if text is None else text.encode("utf-8", "surrogatepass")

    def glob(self, pattern: str) -> Sequence[str]:
        """Return the files that match, those too that are open and were never saved."""
        found = list(self.disk.glob(pattern))
        directory, name = posixpath.split(pattern)
        known = {posixpath.normpath(path) for path in found}
        opened = (
            path
            for path in self.texts
            if path not in known
            and posixpath.dirname(path) == posixpath.normpath(directory)
            and fnmatch(posixpath.basename(path), name)
        )
        return [*found, *opened]

    def is_open_to_others(self, path: str) -> bool:
        """Return whether others may read or write the file on the disk."""
        return self.disk.is_open_to_others(path)

    def getenv(self, name: str) -> bytes | None:
        """Return the bytes of an environment variable."""
        return self.disk.getenv(name)


class EditedFile(NamedTuple):
    """One file, its main file, and what both declare."""

    path: str
    main: str
    names: Names

    @property
    def root(self) -> OutlinePart:
        """The outline of the file."""
        return self.names.outlines[self.path]

    @property
    def included(self) -> bool:
        """Whether another file includes it."""
        return self.path != self.main


class EditorFiles:
    """Finds the configuration to which a file belongs, and reads its files once for each text that they have.

    `given` is the main file that the command line names; without it, one is looked for around each file.
    """

    def __init__(self, given: str | None = None) -> None:
        self.given = None if given is None else str(Path(given).absolute())
        self._outlines: dict[str, tuple[str, OutlinePart]] = {}

    def find_main(self, path: str, overlay: Overlay) -> str | None:
        """Return the main file of the configuration to which a file belongs, or `None` if it belongs to none."""
        found = self._read(path, overlay)
        if found is not None and is_main(path, *found):
            return path
        candidates = [self.given] if self.given is not None else self._list_candidates(path, overlay)
        return next((main for main in candidates if path in self._list_included(main, overlay)), None)

    def open(self, path: str, overlay: Overlay) -> EditedFile | None:
        """Return a file with the names of its configuration, or `None` if it belongs to none."""
        main = self.find_main(path, overlay)
        if main is None:
            return None
        texts, outlines = {}, {}
        for each in (main, *self._list_included(main, overlay)):
            found = self._read(each, overlay)
            if found is not None:
                texts[each], outlines[each] = found
        return EditedFile(path, main, Names(texts, outlines)) if path in texts else None

    def _read(self, path: str, overlay: Overlay) -> tuple[str, OutlinePart] | None:
        try:
            text = overlay.read(path).decode("utf-8", "replace")
        except OSError:
            return None
        known = self._outlines.get(path)
        if known is None or known[0] != text:
            known = self._outlines[path] = (text, read_outline(text))
        return known

    def _list_included(self, main: str, overlay: Overlay) -> list[str]:
        found = self._read(main, overlay)
        globs = [] if found is None else list_globs(found[1])
        directory = glob.escape(posixpath.dirname(main))
        paths = (path for each in globs for path in overlay.glob(posixpath.join(directory, each)))
        return sorted({posixpath.normpath(path) for path in paths} - {main})

    def _list_candidates(self, path: str, overlay: Overlay) -> Iterator[str]:
        """Yield the files that may include this one: open ones, then those in its directory and the ones above."""
        for each in overlay.texts:
            found = self._read(each, overlay)
            if each != path and found is not None and is_main(each, *found):
                yield each
        for directory in list(Path(path).parents)[:_MOST_LEVELS]:
            named = [directory / name for name in NAMES]
            others = sorted(directory.glob("*.yaml"))[:_MOST_CANDIDATES]
            for candidate in (*named, *others):
                found = self._read(str(candidate), overlay)
                if str(candidate) != path and found is not None and is_main(str(candidate), *found):
                    yield str(candidate)
