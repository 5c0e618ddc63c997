"""Cases as single files: the input, in one or more sections, and what is expected of it.

    -- compartments.yaml --
    version: 1
    -- problems --
    compartments.yaml:1:1: error: ... [code]

A section begins with `-- NAME --` on a line of its own. `problems` holds the expected problems, one a line with
their code, or all with their help; `policy`, where it stands, the compiled policy without its spans, as JSON. All
others are files.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import NamedTuple

CASES = Path(__file__).parent.parent / "cases"
_HEADING = re.compile(r"^-- (\S+) --\n", re.MULTILINE)


class Case(NamedTuple):
    """One file of `tests/cases`, taken apart."""

    path: Path
    sections: dict[str, str]

    @classmethod
    def read(cls, path: Path) -> Case:
        _, *parts = _HEADING.split(path.read_text(encoding="utf-8"))
        return cls(path, dict(zip(parts[::2], parts[1::2], strict=True)))

    @property
    def files(self) -> dict[str, bytes]:
        """The input files."""
        expected = ("problems", "policy")
        return {name: text.encode() for name, text in self.sections.items() if name not in expected}

    def write(self) -> None:
        """Write the sections back."""
        text = "".join(f"-- {name} --\n{body}" for name, body in self.sections.items())
        self.path.write_text(text, encoding="utf-8")


class InMemory:
    """Files and variables of a test, as the compiler reads them."""

    def __init__(self, files: Mapping[str, bytes], variables: Mapping[str, bytes] | None = None) -> None:
        self.files = dict(files)
        self.variables = {"SECRET": b"s" * 32} if variables is None else dict(variables)

    def read(self, path: str) -> bytes:
        name = str(PurePosixPath(path))
        while "/../" in f"/{name}":
            name = re.sub(r"(^|/)[^/]+/\.\./", r"\1", name)
        if any(path.startswith(f"{name}/") for path in self.files):
            raise IsADirectoryError(21, "Is a directory", path)
        if name not in self.files:
            raise FileNotFoundError(2, "No such file or directory", path)
        return self.files[name]

    def glob(self, pattern: str) -> list[str]:
        head, _, last = pattern.rpartition("/")
        found = []
        for path in self.files:
            directory, _, name = path.rpartition("/")
            if directory == head and fnmatchcase(name, last) and not name.startswith("."):
                found.append(path)
        return found[::-1]

    def is_open_to_others(self, path: str) -> bool:
        return path.endswith(".open")

    def getenv(self, name: str) -> bytes | None:
        return self.variables.get(name)
