"""Names explain themselves: functions are verbs, and a class or type alias has one meaning in the whole package."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

_MUTE = """
adding alive answered asked by closed found given held judge keep kept known left made named of ready refused ruled
said shown stopping taken told unready written
"""
MUTE = frozenset(_MUTE.split())
"""Names of functions that say neither what goes in nor what comes out; each was several functions once."""

NAMED_BY_VERBS = (
    "analysis",
    "cli",
    "configuration",
    "control",
    "daemon",
    "document",
    "http",
    "keys",
    "net",
    "policy",
    "protocol",
    "storage",
    "telemetry",
    "tokens",
    "transport",
    "util",
)
"""The packages in which no function has such a name."""


def mute(source: str) -> Iterator[str]:
    """Yield the functions and methods whose name alone says nothing; a property is read, and may have any name."""
    module = ast.parse(source)
    bodies = [module.body, *(node.body for node in module.body if isinstance(node, ast.ClassDef))]
    for node in (node for body in bodies for node in body):
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (
            is_function
            and node.name.strip("_") in MUTE
            and "property" not in map(ast.unparse, node.decorator_list)
        ):
            yield f"{node.name}, line {node.lineno}"


@pytest.mark.parametrize("package", NAMED_BY_VERBS)
def test_functions_say_what_they_do(package: str) -> None:
    paths = sorted((ROOT / "compartmentd" / package).rglob("*.py"))
    assert paths, package
    found = [f"{path.relative_to(ROOT)}: {each}" for path in paths for each in mute(path.read_text())]
    assert found == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def of(x): ...", True),
        ("class A:\n    def judge(self): ...", True),
        ("class A:\n    @classmethod\n    async def _held(cls): ...", True),
        ("class A:\n    @property\n    def known(self): ...", False),
        ("def find(held): ...", False),
        ("def is_known(x): ...", False),
    ],
)
def test_a_name_that_says_nothing_is_found(source: str, found: bool) -> None:
    assert bool(list(mute(source))) is found


def defined_types(source: str) -> Iterator[str]:
    """Yield the names of the classes and type aliases of a module."""
    module = ast.parse(source)
    yield from (node.name for node in ast.walk(module) if isinstance(node, ast.ClassDef))
    for node in module.body:
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.annotation).endswith("TypeAlias"):
            yield ast.unparse(node.target)


def test_a_type_is_defined_once() -> None:
    """The same name in two modules means two things, and a reader who searches for it finds the wrong one."""
    places = defaultdict(list)
    for path in sorted((ROOT / "compartmentd").rglob("*.py")):
        for name in defined_types(path.read_text()):
            places[name].append(str(path.relative_to(ROOT)))
    assert len(places) > 300
    assert {name: paths for name, paths in places.items() if len(paths) > 1} == {}


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("class A: ...", ["A"]),
        ("class A:\n    class B: ...", ["A", "B"]),
        ("A: TypeAlias = int | None", ["A"]),
        ("A: typing.TypeAlias = int", ["A"]),
        ("A: int = 1", []),
        ("A = int", []),
    ],
)
def test_types_are_found(source: str, names: list[str]) -> None:
    assert list(defined_types(source)) == names
