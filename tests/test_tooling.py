"""The development tools agree with the Makefile, and their checks can fail."""

from __future__ import annotations

import configparser
import math
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.soak.measure import choose_bounds
from tests.test_repository import ROOT, VENDORED, files

MAKEFILE = (ROOT / "Makefile").read_text()
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())

TEXT = {
    ".py",
    ".md",
    ".yaml",
    ".yml",
    ".json",
    ".toml",
    ".mjs",
    ".js",
    ".html",
    ".css",
    ".in",
    ".c",
    ".h",
    "",
}


def indented_by_tabs() -> set[str]:
    """Return the names of the files that .editorconfig indents by tabs."""
    _, _, sections = (ROOT / ".editorconfig").read_text().partition("\n[")
    parser = configparser.ConfigParser()
    parser.read_string(f"[{sections}")
    return {name for name in parser.sections() if parser[name].get("indent_style") == "tab"}


def test_every_text_file_is_as_the_editorconfig_says() -> None:
    tabs, found = indented_by_tabs(), []
    for path in files():
        name = path.relative_to(ROOT).as_posix()
        if path.suffix not in TEXT or VENDORED in path.parts or "/cases/" in name:
            continue
        text = path.read_bytes().decode()
        wrong = {
            "no newline at its end": text and not text.endswith("\n"),
            "a space at the end of a line": re.search(r"[ \t]$", text, re.MULTILINE),
            "a carriage return": "\r\n" in text,
            "a tab": {name, path.name}.isdisjoint(tabs) and re.search(r"^\t", text, re.MULTILINE),
        }
        found += [f"{name}: {what}" for what, holds in wrong.items() if holds]
    assert found == []


def test_hooks_before_a_commit_run_what_make_check_runs() -> None:
    [repository] = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    entries = [hook["entry"].replace(".venv/bin", "$(BIN)") for hook in repository["hooks"]]
    checks = re.findall(
        r"^\t(\$\(BIN\)/\S+(?: \w+)?)", MAKEFILE.split("\ncheck:")[1].split("\n\n")[0], re.MULTILINE
    )
    assert {entry for entry in entries if "pytest" not in entry} == set(checks)
    [tests] = [entry.split()[2:] for entry in entries if "pytest" in entry]
    assert [path for path in tests if not (ROOT / path).is_file()] == []


def test_every_target_of_the_makefile_is_in_its_help_or_makes_a_file() -> None:
    targets = re.findall(r"^([a-z][a-z-]*):(.*)$", MAKEFILE, re.MULTILINE)
    assert [name for name, rest in targets if "## " not in rest] == ["bench-tools"]
    [phony] = re.findall(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert {name for name, _ in targets} - {"bench-tools"} <= set(phony.split())


def test_the_lower_bounds_are_those_of_every_dependency() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / ".ci/lower-bounds"], check=True, capture_output=True, text=True, cwd="/"
    )
    pinned = done.stdout.split()
    extras = PROJECT["project"]["optional-dependencies"]
    for requirement in [*PROJECT["project"]["dependencies"], *extras["otel"], *extras["lsp"]]:
        assert requirement.replace(">=", "==") in pinned
    runtime = PROJECT["project"]["dependencies"] + extras["otel"] + extras["lsp"]
    assert len(pinned) == len(runtime + extras["dev"])
    assert all(re.fullmatch(r"[\w-]+(\[[\w-]+\])?==\d[\w.]*", each) for each in pinned)


@pytest.mark.parametrize(
    ("whole", "core", "code"),
    [(0, 0, 0), (2, 0, 1), (0, 2, 1)],
)
def test_the_coverage_gate_fails_below_either_limit(tmp_path: Path, whole: int, core: int, code: int) -> None:
    """A stand-in for coverage answers as it does below a limit: with code 2."""
    stand_in = tmp_path / "coverage"
    stand_in.write_text(
        f'#!/bin/sh\ncase "$*" in combine*) exit 0;; *100) exit {core};; esac\nexit {whole}\n'
    )
    stand_in.chmod(0o755)
    done = subprocess.run([ROOT / ".ci/coverage", tmp_path], check=False, capture_output=True)
    assert done.returncode == code
    assert PROJECT["tool"]["coverage"]["report"]["fail_under"] >= 95


def test_a_python_that_is_not_there_fails_the_run() -> None:
    done = subprocess.run(
        [ROOT / ".ci/pythons", "/no/such/python"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr == "/no/such/python: no Python runs there\n"


def test_the_systems_own_python_is_tested_too() -> None:
    assert ".ci/pythons /usr/bin/python3" in (ROOT / ".ci/run").read_text()


def test_the_run_ends_with_three_minutes_of_everything_at_once() -> None:
    assert (ROOT / ".ci/run").read_text().rstrip().endswith("&& make soak TIME=180")
    assert choose_bounds(180).memory == math.inf, "minutes say nothing of memory"
    assert choose_bounds(180).drift < math.inf
