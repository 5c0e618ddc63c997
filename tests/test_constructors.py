"""Constructors take a handful of things, and none of them is a way back into the object that makes the call."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1] / "compartmentd"

MOST = 6
"""Parameters of a constructor, itself aside."""

KNIT = ("control", "daemon", "http", "keys")
"""Packages whose objects are made by the daemon side by side; none may reach back into the one that makes it.

Elsewhere an object may give a helper of its own, such as a thread, a method of its own to call."""


def classes(source: str) -> Iterator[ast.ClassDef]:
    yield from (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.ClassDef))


def methods(owner: ast.ClassDef) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    """Return what an instance can be called back by; a property is a value."""
    return {
        node.name: node
        for node in owner.body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and not node.decorator_list
    }


def parameters(owner: ast.ClassDef) -> int:
    """Count the parameters of a constructor that is written out; value types without one have fields."""
    init = methods(owner).get("__init__")
    if init is None:
        return 0
    arguments = init.args
    counted = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    return len(counted) - 1 + (arguments.vararg is not None) + (arguments.kwarg is not None)


def callbacks(owner: ast.ClassDef) -> Iterator[str]:
    """Yield each way back into the owner that it hands to a constructor: a method of its own, or a lambda."""
    known = methods(owner)
    for node in ast.walk(owner):
        if isinstance(node, ast.Call) and constructs(node):
            for argument in [*node.args, *(keyword.value for keyword in node.keywords)]:
                if (
                    isinstance(argument, ast.Attribute) and is_self(argument.value) and argument.attr in known
                ) or (isinstance(argument, ast.Lambda) and any(map(is_self, ast.walk(argument)))):
                    yield f"line {argument.lineno}: {ast.unparse(argument)}"


def constructs(call: ast.Call) -> bool:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return bool(name.lstrip("_")[:1].isupper())


def is_self(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and node.id == "self"


def sources(*packages: str) -> list[Any]:
    """Return the source of each module, of these packages alone if any are named."""
    paths = sorted(PACKAGE.rglob("*.py"))
    names = {path: path.relative_to(PACKAGE) for path in paths}
    return [
        pytest.param(path.read_text(), id=str(name))
        for path, name in names.items()
        if not packages or name.parts[0] in packages
    ]


@pytest.mark.parametrize("source", sources())
def test_no_constructor_has_more_than_a_handful_of_parameters(source: str) -> None:
    many = {owner.name: count for owner in classes(source) if (count := parameters(owner)) > MOST}
    assert many == {}


@pytest.mark.parametrize("source", sources(*KNIT))
def test_no_constructor_takes_a_callback_into_its_owner(source: str) -> None:
    assert {owner.name: ways for owner in classes(source) if (ways := list(callbacks(owner)))} == {}


@pytest.mark.parametrize(
    ("body", "count", "ways"),
    [
        ("def __init__(self, a, /, b, *c, d, **e): ...", 5, 0),
        ("def __init__(self): Thread(self.run)\n def run(self): ...", 0, 1),
        ("def __init__(self, make): Thread(make.run, self.value)", 1, 0),
        ("def __init__(self): self.x = _Part(on=lambda: self.y)", 0, 1),
        ("def __init__(self): plan(self.run)\n def run(self): ...", 0, 0),
        ("@property\n def run(self): ...\n def other(self): Thread(self.run)", 0, 0),
    ],
)
def test_what_counts(body: str, count: int, ways: int) -> None:
    [owner] = classes(f"class Owner:\n {body}")
    assert (parameters(owner), len(list(callbacks(owner)))) == (count, ways)
