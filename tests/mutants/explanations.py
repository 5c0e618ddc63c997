"""Reads `explained.yaml`: why a mutant that no test kills makes no difference, or none that matters.

An explanation names the module, the function and the change: it is found again when lines move. It is an error when
it matches no mutant any more, or only such as a test kills.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.mutants.mutant import Mutant, squeeze

FILE = Path(__file__).parent / "explained.yaml"


ANY = "*"


@dataclass(frozen=True)
class Explanation:
    """Why a change survives, or any change of the same lines if `becomes` is `*`."""

    module: str
    function: str
    was: str
    becomes: str
    reason: str

    def matches(self, mutant: Mutant) -> bool:
        """Return whether this is the mutant's explanation; texts are compared with single spaces."""
        return (
            (self.module, self.function, squeeze(self.was)) == (mutant.module, mutant.function, mutant.was)
        ) and self.becomes in {ANY, mutant.becomes}


def read_explanations(path: Path = FILE) -> list[Explanation]:
    """Read the file: by module, by function, a list of `{was, becomes, reason}`.

    `becomes` is a text or a list of texts, each one a change.
    """
    modules = yaml.safe_load(path.read_text()) or {}
    return [
        Explanation(module, function, entry["was"], squeeze(becomes), entry["reason"])
        for module, functions in modules.items()
        for function, entries in functions.items()
        for entry in entries
        for becomes in (entry["becomes"] if isinstance(entry["becomes"], list) else [entry["becomes"]])
    ]
