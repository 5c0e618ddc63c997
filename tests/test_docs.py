"""The README cannot rot: its configurations compile, its tables are those of the code."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from fnmatch import fnmatch
from pathlib import Path

import pytest

from compartmentd.cli.main import COMMANDS
from compartmentd.compiler import load
from compartmentd.policy.codes import MEANINGS
from tests.test_layers import LAYERS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"^```yaml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


class Files:
    """The example, and the files that it names."""

    def __init__(self, example: str) -> None:
        self.files = {
            "compartments.yaml": example.encode(),
            "events/message.schema.json": b'{"type": "object"}',
        }

    def read(self, path: str) -> bytes:
        try:
            return self.files[path]
        except KeyError:
            raise FileNotFoundError(2, "no such file", path) from None

    def glob(self, pattern: str) -> Sequence[str]:
        return [path for path in self.files if fnmatch(path, pattern)]

    def getenv(self, name: str) -> bytes | None:
        del name
        return None


def heading(block: str) -> str:
    """Return the heading under which a block stands, to name its test."""
    return re.findall(r"^#+ (.*)$", README[: README.index(block)], re.MULTILINE)[-1]


@pytest.mark.parametrize("block", BLOCKS, ids=heading)
def test_every_configuration_of_the_readme_compiles(block: str) -> None:
    loaded = load("compartments.yaml", Files(block))
    problems = [str(problem) for problem in loaded.problems if problem.severity != "note"]
    assert problems == [], "a missing key file is a note, anything else is a mistake of the example"
    assert loaded.configuration is not None


def test_there_are_examples() -> None:
    assert len(BLOCKS) >= 6


def rows(header: str) -> list[list[str]]:
    """Return the cells of the table whose header row begins so."""
    start = README.index(f"| {header} |")
    table = README[start:].split("\n\n", 1)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in table]


def test_the_table_of_codes_is_the_table_of_the_code() -> None:
    documented = {row[0].strip("` "): row for row in rows("code")}
    assert set(documented) == {str(code) for code in MEANINGS}
    for code, meaning in MEANINGS.items():
        _, text, retry = documented[str(code)]
        assert text.split(":")[0] == meaning.text, code
        assert (not retry.startswith("no")) is (meaning.retry or meaning.retry_closing), code


def test_the_table_of_commands_is_the_command_line() -> None:
    documented = {re.findall(r"`([a-z-]+)", row[0])[0] for row in rows("command")}
    assert documented == set(COMMANDS)


def test_the_table_of_layers_is_the_one_that_is_held() -> None:
    documented = [set(re.findall(r"`([a-z_]+)/?`", row[1])) for row in rows("layer")]
    assert documented == [set(row.members) - {"__main__"} for row in LAYERS]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / target).exists(), target


def test_the_option_reference_is_that_of_the_schema() -> None:
    made = subprocess.run(
        [sys.executable, "-m", "compartmentd.document.reference"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    assert (ROOT / "schemas/REFERENCE.md").read_text() == made.stdout, "run: make schema-docs"
