"""The table of problem codes: every code is explained, and produced by a test."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from compartmentd.problems import PROBLEM_CODES, Problem, list_problem_codes, span_of_file

TESTS = Path(__file__).parents[1]
PACKAGE = TESTS.parent / "compartmentd"

OF_CASES = {
    code
    for case in TESTS.joinpath("cases").glob("*.case")
    for code in re.findall(r"\[([a-z-]+\.[a-z0-9-]+)\]$", case.read_text(), re.MULTILINE)
}
"""The codes that the files in `tests/cases` expect."""

OF_TESTS = {
    "text.size": "document/test_source.py",
    "yaml.nodes": "document/test_yamldoc.py",
    "yaml.surrogate": "document/test_yamldoc.py",
    "key.unusable": "tokens/test_keyfile.py",
    "key.none-usable": "tokens/test_jwk_set.py",
    "key.algorithm": "tokens/test_keyfile.py",
    "key.private": "tokens/test_keyfile.py",
    "key.shared": "tokens/test_local_keys.py",
    "key.too-weak": "tokens/test_keyfile.py",
    "key.too-large": "tokens/test_fetched_keys.py",
    "key.development": "control/test_reload.py",
    "key.unavailable": "keys/test_in_force.py",
    "secret.carriage-return": "cli/test_check.py",
    "address.in-use": "cli/test_check.py",
    "secret.too-short": "tokens/test_keyfile.py",
    "secret.is-a-key": "tokens/test_keyfile.py",
    "certificate.unusable": "storage/test_certificates.py",
    "certificate.key": "storage/test_certificates.py",
    "certificate.mismatch": "storage/test_certificates.py",
    "certificate.untimely": "control/test_reload_certificate.py",
    "schema-file.costly": "configuration/compiler/test_payload_schemas.py",
    "state.unusable": "storage/test_revocations.py",
    "state.in-use": "storage/test_revocations.py",
    "state.damaged": "storage/test_revocations.py",
    "reload.failed": "control/test_reload.py",
    "reload.compiler-failed": "control/test_compile_worker.py",
    "reload.needs-restart": "control/test_reload.py",
    "problem.other": "cli/test_reload.py",
}
"""The other codes, each with the test file that expects it."""


def test_every_code_is_produced_by_a_test() -> None:
    assert OF_CASES | OF_TESTS.keys() == PROBLEM_CODES.keys()
    assert sorted(OF_CASES & OF_TESTS.keys()) == []


@pytest.mark.parametrize(("code", "test"), sorted(OF_TESTS.items()))
def test_the_test_names_the_code(code: str, test: str) -> None:
    assert f'"{code}"' in TESTS.joinpath(test).read_text()


def test_every_code_is_explained_once_and_in_one_style() -> None:
    rows = list(list_problem_codes())
    assert len(rows) == len(PROBLEM_CODES)
    for code, meaning, advice in rows:
        assert re.fullmatch(r"[a-z]+(-[a-z0-9]+)*\.[a-z]+[a-z0-9]*(-[a-z0-9]+)*", code), code
        assert meaning.endswith("."), code
        assert advice.endswith("."), code
    assert len({meaning for _, meaning, _ in rows}) == len(rows)


def test_a_problem_has_a_code_of_the_table() -> None:
    with pytest.raises(ValueError, match=r"no `file\.gone`"):
        Problem("error", "file.gone", "a file is gone", span_of_file("c.yaml"))


def written_codes() -> Iterator[tuple[str, str]]:
    """Yield each string of the package that has the form and the area of a code, with its place."""
    areas = {code.partition(".")[0] for code in PROBLEM_CODES}
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                area, _, rest = node.value.partition(".")
                # `namespaces.yaml` is the name of a file.
                if area in areas and re.fullmatch(r"(?!yaml$|json$)[a-z][a-z0-9-]*", rest):
                    yield f"{path.name}:{node.lineno}", node.value


def test_every_code_that_is_written_stands_in_the_table() -> None:
    assert [(place, code) for place, code in written_codes() if code not in PROBLEM_CODES] == []
