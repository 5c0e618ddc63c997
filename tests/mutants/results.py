"""Remembers what became of mutants, in one file a module, for as long as it holds.

A mutant stays killed while its source and the file of the test that killed it are what they were; one that
survived is tried again when any file of the tests has changed. A change of another module that this one uses is not
noticed: `--fresh` tries all mutants again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.suite import ROOT, Verdict

BUILD = Path(__file__).parent / "build"


def digest_files(paths: Sequence[Path]) -> str:
    """Return a digest of files' names and contents."""
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{path}\n".encode() + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:16]


class Results:
    """The verdicts of one module; each is in the file as soon as it is there."""

    def __init__(self, module: str, suite: str, *, build: Path = BUILD, root: Path = ROOT) -> None:
        """Read what holds.

        Args:
            module: The module's name, which names the file.
            suite: Digest of all tests that may be chosen.
            build: Directory of the files.
            root: Directory of the node ids' paths.
        """
        self._file = build / f"{module}.jsonl"
        self._root = root
        self._suite = suite
        self.verdicts: dict[str, Verdict] = {}
        lines = self._file.read_text().splitlines() if self._file.exists() else []
        for line in lines:
            entry = json.loads(line)
            if entry["tests"] == self._digest_tests(entry["by"]):
                self.verdicts[entry["key"]] = Verdict(entry["key"], entry["status"], entry["by"])

    def _digest_tests(self, by: str) -> str:
        path = self._root / by.partition("::")[0]
        return digest_files([path]) if "::" in by and path.is_file() else self._suite

    def add(self, verdict: Verdict) -> None:
        """Remember a verdict."""
        self.verdicts[verdict.key] = verdict
        entry = {
            "key": verdict.key,
            "status": verdict.status,
            "by": verdict.by,
            "tests": self._digest_tests(verdict.by),
        }
        self._file.parent.mkdir(exist_ok=True)
        with self._file.open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def forget(self) -> None:
        """Forget all verdicts."""
        self.verdicts.clear()
        self._file.unlink(missing_ok=True)
