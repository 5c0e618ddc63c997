"""The audit says what the registries say: nothing known, something known, or no data."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def audit() -> Any:
    loader = importlib.machinery.SourceFileLoader("audit", str(ROOT / ".ci/audit"))
    spec = importlib.util.spec_from_loader("audit", loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


CLEAN = {"name": "click", "version": "8.5.1", "vulns": []}
BAD = {"name": "jinja", "version": "1", "vulns": [{"id": "PYSEC-1", "fix_versions": []}]}
UNKNOWN = {"name": "attrs", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "told"),
    [
        ([CLEAN], 0, "x.lock: nothing known"),
        ([CLEAN, BAD], 1, "x.lock: jinja 1: PYSEC-1"),
        ([CLEAN, UNKNOWN], 3, "x.lock: no data about 1 of 2 packages (Dependency not found on PyPI)"),
        ([BAD, UNKNOWN], 1, "x.lock: jinja 1: PYSEC-1, no data about 1 of 2 packages"),
    ],
)
def test_what_pip_audit_says(
    audit: Any, capsys: pytest.CaptureFixture[str], packages: list[Any], code: int, told: str
) -> None:
    report = audit.read_pip_audit("x.lock", json.dumps({"dependencies": packages}), "")
    assert audit.conclude([report]) == code
    assert told in capsys.readouterr().out


def test_a_registry_that_cannot_be_asked_is_no_data(audit: Any, capsys: pytest.CaptureFixture[str]) -> None:
    python = audit.read_pip_audit("x.lock", "", "Traceback\nConnectionError: no route")
    node = audit.read_npm_audit("y.json", json.dumps({"message": "405 Method Not Allowed", "error": {}}))
    silent = audit.read_npm_audit("z.json", "")
    assert audit.conclude([python, node, silent]) == 3
    said = capsys.readouterr().out
    assert all(word in said for word in ("no route", "405 Method Not Allowed", "npm gave no answer"))


def test_what_npm_says(audit: Any) -> None:
    answer: dict[str, Any] = {"vulnerabilities": {}, "metadata": {"dependencies": {"total": 7}}}
    assert audit.conclude([audit.read_npm_audit("y.json", json.dumps(answer))]) == 0
    answer["vulnerabilities"] = {"ws": {"severity": "high"}}
    assert audit.conclude([audit.read_npm_audit("y.json", json.dumps(answer))]) == 1


def test_every_lock_file_is_asked_about(audit: Any) -> None:
    locks = {path.name for path in ROOT.glob("requirements*.lock")}
    own_tools = {f"requirements-{name}.lock" for name in ("audit", "bench", "fuzz", "mutants")}
    assert set(audit.LOCKS) == locks - own_tools
    assert all((ROOT / directory / "package-lock.json").is_file() for directory in audit.NODE)
