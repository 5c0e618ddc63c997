"""Every file of `tests/cases`: exactly its problems, each where it says; and the policy it compiles to."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from compartmentd.configuration.compiler import Loaded, load
from tests.support.cases import CASES, Case, InMemory

MAIN = "compartments.yaml"
HELP = "\n    help: "
"""A case that shows the help of one problem shows that of all."""


def without_spans(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_spans(part) for key, part in value.items() if key != "span"}
    return [without_spans(part) for part in value] if isinstance(value, list) else value


def told(loaded: Loaded, *, helpful: bool) -> str:
    lines = (
        f"{problem} [{problem.code}]{HELP + problem.help if helpful else ''}\n" for problem in loaded.problems
    )
    return "".join(lines)


def compiled(loaded: Loaded) -> str:
    assert loaded.configuration is not None
    policy = json.loads(msgspec.json.encode(loaded.configuration.policy))
    return f"{laid_out(without_spans(policy))}\n"


def laid_out(value: Any, margin: str = "") -> str:
    """Return JSON in which every value that fits on a line has one."""
    whole = json.dumps(value)
    if len(whole) + len(margin) <= 110 or not isinstance(value, dict | list):
        return whole
    deeper = margin + " "
    if isinstance(value, list):
        parts = [laid_out(part, deeper) for part in value]
    else:
        parts = [f"{json.dumps(key)}: {laid_out(part, deeper)}" for key, part in value.items()]
    start, end = "[]" if isinstance(value, list) else "{}"
    lines = f",\n{deeper}".join(parts)
    return f"{start}\n{deeper}{lines}\n{margin}{end}"


@pytest.mark.parametrize("path", sorted(CASES.glob("*.case")), ids=lambda path: path.stem)
def test_case(path, request):
    case = Case.read(path)
    loaded = load(MAIN, InMemory(case.files))
    expected = case.sections["problems"]
    assert told(loaded, helpful=HELP in expected) == expected
    assert (loaded.configuration is None) == any(problem.severity == "error" for problem in loaded.problems)
    if "policy" in case.sections:
        # Only what a configuration compiles to may be rewritten: a changed problem is edited by hand.
        if request.config.getoption("--update-golden"):
            case.sections["policy"] = compiled(loaded)
            case.write()
        assert compiled(loaded) == case.sections["policy"]


def test_there_are_cases():
    assert len(list(CASES.glob("*.case"))) > 40
