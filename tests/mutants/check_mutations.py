"""Tests of the operators. They need mutmut: `make mutants` installs it, and runs them first."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.mutants.run import find_modules
from tests.mutants.suite import get_path


@pytest.fixture
def generate() -> Any:
    return importlib.import_module("tests.mutants.mutations").generate


@pytest.mark.parametrize(
    ("statement", "becomes"),
    [
        ("return a < b", {"return a <= b", "return None"}),
        ("return a and b", {"return a or b", "return None"}),
        ("return True", {"return False"}),
        ("return None", set()),
        ("return 7", {"return 8", "return None"}),
        ("x = f'{a} b'", {"x = None"}),
        ("raise KeyError", {"pass"}),
        ("a.add(b)", {"a.add(None)", "pass"}),
        ("return g(a, k=b)", {"return g(None, k=b)", "return g(a, k=None)", "return g(a, )", "return None"}),
        ("return g(a, b)", {"return g(None, b)", "return g(a, None)", "return g(a, )", "return None"}),
        ("return g('a text', b)", {"return g('a text', None)", "return g('a text', )", "return None"}),
        ("return 'word'", {"return 'XXwordXX'", "return None"}),
        ("return 'a text'", {"return None"}),
        ("return len(a)", {"return None"}),
        ("x: int = 3", {"x: int = 4", "x: int = None"}),
        ("import a", set()),
    ],
)
def test_a_statement_is_changed_in_each_way(generate: Any, statement: str, becomes: set[str]) -> None:
    made = generate("m", f"def f(a, b):\n    {statement}\n")
    assert {mutant.becomes for mutant in made} == becomes
    assert {(mutant.function, mutant.was, mutant.in_body, mutant.lines) for mutant in made} <= {
        ("f", statement, True, range(2, 3))
    }


def test_a_condition_is_forced_both_ways(generate: Any) -> None:
    source = "def f(a):\n    if a:\n        return None\n    while a:\n        b = [c for c in a if c]\n"
    made = {mutant.becomes for mutant in generate("m", source)}
    assert {"if (a) and False:", "if (a) or True:", "while (a) and False:"} <= made
    assert {"b = [c for c in a if (c) and False]", "b = [c for c in a if (c) or True]"} <= made
    assert "while (a) or True:" not in made


def test_tables_defaults_and_decorated_functions_are_changed_too(generate: Any) -> None:
    source = (
        '"""A text."""\nT = {"a": 1}\n\n\n@cache(9)\ndef f(a: int = 2) -> int:\n    """Text."""\n    return a + 3\n'
        "\n\nclass C(B, gc=False):\n    x: int = 4\n\n    def g(self):\n        return 5\n"
    )
    made = generate("m", source)
    assert {(each.function, each.becomes, each.in_body) for each in made} == {
        ("", "T = None", False),
        ("", 'T = {"XXaXX": 1}', False),
        ("", 'T = {"a": 2}', False),
        ("f", "def f(a: int = 3) -> int:", False),
        ("f", "return a - 3", True),
        ("f", "return a + 4", True),
        ("f", "return None", True),
        ("C", "x: int = 5", False),
        ("C", "x: int = None", False),
        ("C.g", "return 6", True),
        ("C.g", "return None", True),
    }


def test_the_mutants_of_a_real_module_are_programs_of_their_own(generate: Any) -> None:
    [module] = find_modules(["policy.principal"])
    source = get_path(module).read_text()
    made = generate(module, source)
    assert len({mutant.source for mutant in made} | {source}) == len(made) + 1
    assert len({mutant.key for mutant in made}) == len(made) > 20
    for mutant in made:
        compile(mutant.source, "m.py", "exec")
