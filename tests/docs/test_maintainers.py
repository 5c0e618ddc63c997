"""The papers for maintainers: the tests and files that they name exist, and their tables are complete."""

from __future__ import annotations

import ast
import functools
import re
from pathlib import Path

import pytest

from compartmentd import __version__
from tests.support.markdown import code, tables

ROOT = Path(__file__).parents[2]
PAPERS = ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md", "README.md"]

IN_PACKAGE = re.compile(r"`(compartmentd/[\w./-]*)`")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def read(name: str) -> str:
    return (ROOT / name).read_text()


@functools.cache
def functions_of(path: str) -> set[str]:
    """Return the names of the functions of a file."""
    tree = ast.parse(read(path))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize("paper", PAPERS)
def test_every_file_that_a_paper_names_exists(paper: str) -> None:
    named = IN_PACKAGE.findall(read(paper))
    assert [name for name in named if not (ROOT / name).exists()] == []


@pytest.mark.parametrize("paper", PAPERS)
def test_every_test_that_a_paper_names_exists(paper: str) -> None:
    named = TEST.findall(read(paper))
    assert [f"{path}::{test}" for path, test in named if test not in functions_of(path)] == []


def test_each_promise_names_the_tests_that_hold_it() -> None:
    [rows] = tables(read("ARCHITECTURE.md"), "", "promise", "test")
    assert [row[0] for row in rows] == ["P1", "P2", "P3", "P4", "P5"]
    assert all(TEST.findall(row[2]) for row in rows)


def test_thirty_questions_lead_to_a_file_each() -> None:
    found = tables(read("CONTRIBUTING.md"), "question", "answer")
    rows = [row for table in found for row in table]
    assert len(rows) >= 30
    assert len({question for question, _ in rows}) == len(rows)
    for question, answer in rows:
        assert question.endswith("?")
        assert code(answer), question
        assert [name for name in code(answer) if not (ROOT / name).exists()] == [], question


def test_each_recipe_names_the_test_that_fails_for_each_place() -> None:
    found = tables(read("CONTRIBUTING.md"), "place", "what", "fails if it is forgotten")
    assert len(found) == 7, (
        "a condition, a key, a command, a metric, a log event, a problem code, a client's code"
    )
    for rows in found:
        assert [row for row in rows if not (TEST.search(row[2]) or "`make check`" in row[2])] == []


def test_the_threat_model_says_for_each_party_what_is_held_against_it() -> None:
    text = read("SECURITY.md")
    [parties] = tables(text, "party", "trusted with", "not trusted with")
    assert len(parties) >= 6
    [held] = tables(text, "against", "what is held", "test")
    named = {row[0] for row in parties}
    assert {row[0] for row in held} <= named
    assert all(TEST.findall(row[2]) for row in held)


def test_the_changelog_has_an_entry_for_what_is_unreleased_or_for_this_version() -> None:
    headings = re.findall(r"^## (.*)$", read("CHANGELOG.md"), re.MULTILINE)
    assert headings[0] == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d", heading) for heading in headings[1:])
    kinds = set(re.findall(r"^### (.*)$", read("CHANGELOG.md"), re.MULTILINE))
    assert kinds <= {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", __version__)
