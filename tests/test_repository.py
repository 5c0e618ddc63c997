"""Rules for the whole tree: no unsafe code, every exception explained, no reference outside it."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


MADE = {"node_modules", "__pycache__", "dist", "build"}
"""Directories that a run leaves behind, besides those that begin with a dot."""


def files(pattern: str = "*") -> list[Path]:
    """Return the files of the tree by their path, without what is made by running, and without asking git."""
    found = []
    for directory, inner, names in os.walk(ROOT):
        inner[:] = [
            name for name in inner if name not in MADE and (name == ".ci" or not name.startswith("."))
        ]
        paths = [Path(directory, name) for name in names]
        found += [
            path
            for path in paths
            # In a second working tree of one clone, `.git` is a file.
            if path.relative_to(ROOT).match(pattern) and path.suffix != ".dev-key" and path.name != ".git"
        ]
    return sorted(found)


PYTHON = files("*.py")
VENDORED = "vendor"

UNSAFE_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}
UNSAFE_CALLS = {
    "eval",
    "exec",
    "compile",
    "__import__",
    "yaml.load",
    "yaml.load_all",
    "os.system",
    "os.popen",
}


def dotted(node: ast.expr) -> str:
    """Return `a.b.c` for a name or a chain of attributes, else an empty string."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return ""


def unsafe(source: str) -> Iterator[str]:
    """Yield code that turns data into code."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        elif isinstance(node, ast.Call):
            called = dotted(node.func)
            shell = any(k.arg == "shell" and getattr(k.value, "value", True) for k in node.keywords)
            if called in UNSAFE_CALLS or shell:
                yield f"line {node.lineno}: {called}"
            continue
        else:
            continue
        yield from (
            f"line {node.lineno}: import {name}" for name in names if name.split(".", 1)[0] in UNSAFE_MODULES
        )


@pytest.mark.parametrize(
    "path",
    [path for path in PYTHON if "compartmentd" in path.parts[len(ROOT.parts) :]],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_data_never_becomes_code(path: Path) -> None:
    assert list(unsafe(path.read_text())) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from marshal import loads",
        "x = eval('1')",
        "import yaml\nyaml.load(text)",
        "subprocess.run(line, shell=True)",
    ],
)
def test_unsafe_code_is_found(source: str) -> None:
    assert list(unsafe(source)) != []


EXCUSE = re.compile(
    r"#\s*(?:(?P<what>noqa)(?P<codes>:\s*[A-Z]+[0-9]+(?:,\s*[A-Z]+[0-9]+)*)?"
    r"|(?P<type>type:\s*ignore)(?P<kinds>\[[a-z, -]+\])?"
    r"|pragma:\s*no cover)(?P<reason>.*)",
)


def unexplained(path: Path) -> Iterator[str]:
    """Yield the comments that silence a check without saying which, or without saying why.

    The reason stands in the comment itself, or in a comment right above (which may serve several lines).
    """
    with path.open("rb") as file:
        comments = {t.start[0]: t for t in tokenize.tokenize(file.readline) if t.type == tokenize.COMMENT}
    excuses = {line: match for line, t in comments.items() if (match := EXCUSE.search(t.string))}
    for line, match in excuses.items():
        above = line - 1
        while above in excuses:
            above -= 1
        explained = above in comments and comments[above].line.lstrip().startswith("#")
        reason = match["reason"].strip(" -#:")
        if not (match["codes"] or match["kinds"]) or not (explained or len(reason.split()) > 1):
            yield f"{path.relative_to(ROOT)}:{line}: {match[0]}"


def test_every_silenced_check_says_why() -> None:
    found = [line for path in PYTHON for line in unexplained(path)]
    # Types are checked in the package alone, so what a test says about them silences nothing.
    assert [line for line in found if not (line.startswith("tests/") and "type:" in line)] == []


@pytest.mark.parametrize(
    ("comment", "found"),
    [
        ("# noqa", True),
        ("# noqa - just because", True),
        ("# noqa: S105", True),
        ("# type: ignore[arg-type]", True),
        ("# type: ignore  # the stubs are wrong here", True),
        ("# noqa: S105 - a code, not a secret", False),
        ("# type: ignore[arg-type]  # the stubs are wrong here", False),
    ],
)
def test_a_silenced_check_is_found(tmp_path: Path, monkeypatch, comment: str, found: bool) -> None:
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "module.py"
    path.write_text(f"x = 1  {comment}\n")
    assert bool(list(unexplained(path))) is found


TEXT_SUFFIXES = {".py", ".md", ".yaml", ".yml", ".json", ".toml", ".mjs", ".js", ".html", ".css", ".in", ""}

# A reader has this tree and nothing else: what it names must be in it, or be public.
ELSEWHERE = {
    "a directory of one machine": re.compile(r"(?<![\w.-])/(?:work|farm|home/\w+|root|Users/\w+)/"),
    "a file above the tree": re.compile(r"(?<![\w/.])\.\./(?:shared|\.\./\.\.)"),
    "a number of a tracker that nobody else sees": re.compile(r"\b[Ii]ssue #?[0-9]+\b"),
}
PAGE = re.compile(r"\b[A-Z]{4,}(?:-[A-Z]+)?\.md\b")


def ours() -> Iterator[tuple[str, str]]:
    """Yield name and text of every file that we wrote."""
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix in TEXT_SUFFIXES and VENDORED not in path.parts and path != Path(__file__):
            yield name, path.read_text()


def test_the_tree_stands_on_its_own() -> None:
    pages = {path.name for path in files("*.md")}
    found = []
    for name, text in ours():
        found += [
            f"{name}: {what}: {match[0]}" for what, p in ELSEWHERE.items() for match in p.finditer(text)
        ]
        found += [f"{name}: no such page: {page}" for page in PAGE.findall(text) if page not in pages]
    assert found == []


def test_nothing_is_left_for_later() -> None:
    unfinished = re.compile(r"\b(?:TODO|FIXME|XXX|HACK)\b|NotImplementedError")
    found = [
        f"{name}: {m[0]}" for name, text in ours() if name.endswith(".py") for m in unfinished.finditer(text)
    ]
    assert found == []


def test_no_test_is_skipped() -> None:
    skipping = re.compile(r"pytest\.(?:skip|importorskip|xfail)|mark\.(?:skip|skipif|xfail)\b")
    here = Path(__file__).relative_to(ROOT).as_posix()
    found = [
        name for name, text in ours() if name.startswith("tests/") and name != here and skipping.search(text)
    ]
    assert found == []


SET_BUILDERS = {"set", "frozenset"}
SET_METHODS = {"difference", "intersection", "symmetric_difference", "union"}
SET_OPERATORS = (ast.Sub, ast.BitAnd, ast.BitOr, ast.BitXor)


def is_set(node: ast.AST, named: set[str]) -> bool:
    """Return whether an expression is a set; `named` are names of the module that stand for one."""
    if isinstance(node, ast.Set | ast.SetComp):
        return True
    if isinstance(node, ast.Name):
        return node.id in named
    if isinstance(node, ast.Call):
        called = dotted(node.func)
        if called in {"list", "tuple"}:
            return any(is_set(argument, named) for argument in node.args)
        return called in SET_BUILDERS or (
            isinstance(node.func, ast.Attribute)
            and node.func.attr in SET_METHODS
            and is_set(node.func.value, named)
        )
    if isinstance(node, ast.BinOp) and isinstance(node.op, SET_OPERATORS):
        return is_set(node.left, named) or is_set(node.right, named) or _is_view(node.left)
    return False


def _is_view(node: ast.AST) -> bool:
    """Return whether an expression is a dict's keys or items, which become a set by an operator."""
    return (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr in {"keys", "items"}
    )


def unordered_cases(source: str) -> Iterator[str]:
    """Yield the parametrized tests whose cases come out of a set, in an order that each process has for itself."""
    tree = ast.parse(source)
    named = {
        target.id
        for node in tree.body
        if isinstance(node, ast.Assign) and is_set(node.value, set())
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not dotted(node.func).endswith("mark.parametrize"):
            continue
        for values in node.args[1:2]:
            sources = [values, *(part.value for part in ast.walk(values) if isinstance(part, ast.Starred))]
            sources += [
                generator.iter for part in ast.walk(values) for generator in getattr(part, "generators", ())
            ]
            if any(is_set(one, named) for one in sources):
                yield f"line {node.lineno}: {ast.unparse(values)}"


@pytest.mark.parametrize(
    "path",
    [path for path in PYTHON if path.relative_to(ROOT).parts[0] == "tests"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_the_cases_of_a_test_have_an_order(path: Path) -> None:
    assert list(unordered_cases(path.read_text())) == []


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ("{1, 2}", True),
        ("set(Code)", True),
        ("set(Code) - {1}", True),
        ("TABLE.keys() - {1}", True),
        ("[*frozenset(NAMES)]", True),
        ("[name for name in NAMES]", True),
        ("list(TABLE.items() & other)", True),
        ("NAMES.union(OTHERS)", True),
        ("sorted(NAMES)", False),
        ("TABLE", False),
        ("[{1, 2}, {3}]", False),
        ("dict.fromkeys(CASES)", False),
    ],
)
def test_unordered_cases_are_found(values: str, found: bool) -> None:
    source = f"NAMES = {{'a', 'b'}}\n@pytest.mark.parametrize('name', {values})\ndef test_it(name): ..."
    assert bool(list(unordered_cases(source))) is found


@pytest.mark.slow
def test_every_process_collects_the_same_tests_in_the_same_order() -> None:
    collecting = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:randomly", "tests"]
    collected = [
        subprocess.run(
            collecting, check=True, cwd=ROOT, capture_output=True, env={**os.environ, "PYTHONHASHSEED": seed}
        ).stdout.partition(b"\n\n")[0]
        for seed in ("1", "2")
    ]
    assert b"test_repository.py::" in collected[0]
    assert collected[0] == collected[1]


def test_the_commands_of_the_readme_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    shown = re.findall(r"`[^`]*`|^ {4}.*$|^```.*?^```", readme, re.MULTILINE | re.DOTALL)
    named = set(re.findall(r"\bmake ([a-z-]+)", " ".join(shown)))
    assert named >= {"run", "test"}
    assert named <= targets


def test_ci_runs_the_readmes_test_command() -> None:
    assert "make test" in (ROOT / ".ci/run").read_text()
    assert "make test" in (ROOT / "README.md").read_text()


def test_locked_packages_come_with_hashes_and_name_no_server() -> None:
    for path in files("*.lock"):
        text = path.read_text()
        requirements = re.findall(r"^[a-z0-9][^\s=]*==.*$", text, re.MULTILINE)
        assert requirements, path
        assert all(line.endswith("\\") for line in requirements), path
        assert "://" not in text, path
    for path in files("package-lock.json"):
        npm = path.read_text()
        assert npm.count('"integrity": "sha512-') == npm.count('"node_modules/'), path
        assert '"resolved"' not in npm, path


def test_without_root_the_one_line_that_installs_missing_packages_is_printed() -> None:
    as_nobody = ["setpriv", "--reuid=65534", "--clear-groups"] if os.geteuid() == 0 else []
    finished = subprocess.run(
        [*as_nobody, "bash", "-s", "bash", "no-such-package", "another-one"],
        check=False,
        input=(ROOT / ".ci/need").read_bytes(),
        capture_output=True,
        cwd="/",
    )
    assert finished.returncode == 1
    [line] = finished.stderr.decode().splitlines()
    assert line.endswith("apt-get install --yes --no-install-recommends no-such-package another-one")
