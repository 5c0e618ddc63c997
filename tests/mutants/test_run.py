from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.explanations import Explanation, read_explanations
from tests.mutants.mutant import Mutant, squeeze
from tests.mutants.results import Results
from tests.mutants.run import choose_sample, choose_tests, find_modules, format_table, judge
from tests.mutants.suite import ROOT, Survey, Verdict, get_path


def make_mutant(key: str = "k", *, lines: range = range(2, 3), in_body: bool = True, **more: Any) -> Mutant:
    texts = {"module": "policy.decide", "function": "f", "was": "a < b", "becomes": "a <= b", "source": ""}
    return Mutant(key=key, lines=lines, in_body=in_body, **{**texts, **more})


# --- which mutants, and which tests ---


def test_a_package_stands_for_its_modules() -> None:
    assert find_modules(["policy.decide", "policy.decide"]) == ["policy.decide"]
    rules = find_modules(["policy.rules"])
    assert "policy.rules.combinators" in rules
    assert not any(name.endswith("__init__") for name in rules)
    with pytest.raises(SystemExit, match="there is no module 'polcy'"):
        find_modules(["polcy"])


def test_a_sample_is_the_same_whatever_the_order() -> None:
    mutants = [make_mutant(str(number)) for number in range(50)]
    sample = choose_sample(mutants, 5)
    assert [each.key for each in sample] == [each.key for each in choose_sample(mutants[::-1], 5)]
    assert len({each.key for each in sample}) == 5
    assert choose_sample(mutants, 99) == choose_sample(mutants, 50)


SEEN = Survey(
    seconds={"slow": 1.0, "quick": 0.1, "other": 0.2},
    covering={str(get_path("policy.decide")): {2: ["slow", "quick"], 3: [], 9: ["other"]}},
    collected={str(get_path("policy.decide")): frozenset({2, 7})},
    failed=(),
    modules=(),
)


@pytest.mark.parametrize(
    ("mutant", "tests"),
    [
        (make_mutant(), ("quick", "slow")),
        (make_mutant(lines=range(2, 10)), ("quick", "other", "slow")),
        (make_mutant(lines=range(3, 5)), ()),
        (make_mutant(in_body=False, lines=range(1, 2)), ("quick", "other", "slow")),
        (make_mutant(in_body=False, module="policy.model"), ("quick", "other", "slow")),
        (make_mutant(module="policy.model"), ()),
        (make_mutant(lines=range(7, 8)), ("quick", "other", "slow")),
    ],
)
def test_the_tests_that_run_a_line_are_chosen_the_quickest_first(mutant: Mutant, tests: Any) -> None:
    assert choose_tests(mutant, SEEN) == tests


# --- what is remembered ---


def test_a_verdict_holds_while_the_tests_do(tmp_path: Path) -> None:
    test = tmp_path / "test_a.py"
    test.write_text("one")

    def read(suite: str) -> dict[str, str]:
        verdicts = Results("policy.decide", suite, build=tmp_path / "build", root=tmp_path).verdicts
        return {key: verdict.status for key, verdict in verdicts.items()}

    results = Results("policy.decide", "suite 1", build=tmp_path / "build", root=tmp_path)
    results.add(Verdict("dead", "killed", "test_a.py::test"))
    results.add(Verdict("alive", "survived"))
    assert read("suite 1") == {"dead": "killed", "alive": "survived"}
    assert read("suite 2") == {"dead": "killed"}, "a new test may kill the survivor"
    test.write_text("two")
    assert read("suite 1") == {"alive": "survived"}, "the test may kill it no more"
    results.forget()
    assert read("suite 1") == {}


# --- the report ---


def explain(**more: str) -> Explanation:
    texts = {
        "module": "policy.decide",
        "function": "f",
        "was": "a < b",
        "becomes": "a <= b",
        "reason": "equal",
    }
    return Explanation(**{**texts, **more})


@pytest.mark.parametrize(
    ("status", "explanations", "row", "wrong"),
    [
        ("killed", [], "1 1 0 0 0", None),
        ("timeout", [], "1 0 1 0 0", None),
        ("survived", [], "1 0 0 1 0", "compartmentd/policy/decide.py:2 in f\n  - a < b\n  + a <= b"),
        ("survived", [explain()], "1 0 0 1 1", None),
        ("survived", [explain(was="a  <\n b")], "1 0 0 1 1", None),
        ("survived", [explain(becomes="*")], "1 0 0 1 1", None),
        ("survived", [explain(), explain(function="g")], "1 0 0 1 1", "matches no mutant: policy.decide, g"),
        (
            "survived",
            [explain(), explain(becomes="a > b")],
            "1 0 0 1 1",
            "matches no mutant: policy.decide, f",
        ),
        ("survived", [explain(), explain(module="tokens.key")], "1 0 0 1 1", None),
        ("killed", [explain()], "1 1 0 0 0", "a mutant that a test kills: policy.decide, f: a < b → a <= b"),
    ],
)
def test_what_is_reported(status: str, explanations: list[Explanation], row: str, wrong: str | None) -> None:
    mutant = make_mutant()
    rows, found = judge([(mutant, Verdict("k", status))], [mutant], explanations)
    assert rows == [("policy.decide", *row.split())]
    if wrong is None:
        assert found == []
    else:
        assert len(found) == 1
        assert wrong in found[0]


def test_an_explanation_of_what_a_sample_leaves_out_is_in_order() -> None:
    tried, untried = make_mutant("1", was="x", becomes="y"), make_mutant("2")
    _, wrong = judge([(tried, Verdict("1", "killed"))], [tried, untried], [explain()])
    assert wrong == []


def test_a_table_ends_with_its_sums() -> None:
    table = format_table([("a", "3", "2", "0", "1", "0"), ("bb", "10", "10", "0", "0", "0")])
    assert [line.split() for line in table.splitlines()][1:] == [
        ["a", "3", "2", "0", "1", "0"],
        ["bb", "10", "10", "0", "0", "0"],
        ["all", "13", "12", "0", "1", "0"],
    ]


# --- the explanations ---


def test_every_explanation_is_of_a_module_and_gives_a_reason() -> None:
    """Whether it is of code that is there, `make mutants` says."""
    explanations = read_explanations()
    assert [each for each in explanations if not get_path(each.module).is_file()] == []
    assert [each for each in explanations if len(each.reason) < 15] == []


def test_a_change_has_one_explanation() -> None:
    texts = [(each.module, each.function, squeeze(each.was), each.becomes) for each in read_explanations()]
    assert len(texts) == len(set(texts))


# --- the runner ---

DRIVER = """
import json, sys
from tests.mutants import suite

path = suite.get_path("policy.templates.integers")
source = path.read_text()
tests = [str(suite.ROOT / "tests/policy/templates/test_integers.py")]
seen = suite.survey(tests, "policy")
assert seen.failed == (), seen.failed
covering = seen.covering[str(path)]
chosen = tuple(sorted({test for line in covering.values() for test in line}))
changes = json.loads(sys.argv[1])
orders = []
for key, (was, becomes) in changes.items():
    assert source.count(was) >= 1, was
    orders.append(suite.Order(key, "policy.templates.integers", "", source.replace(was, becomes, 1), chosen, 0.0))
verdicts = list(suite.try_in_place(tests, orders)) + list(suite.try_afresh(orders[-3:]))
print(json.dumps([[each.key, each.status, each.by] for each in verdicts]))
"""


def test_mutants_are_killed_survive_or_use_up_their_time() -> None:
    """A change of a body shows in a process that has imported the module, one of a constant in one that has not."""
    body = "number = int(text)"
    changes = {
        "same": (body, "text = str(text); " + body),
        "wrong": (body, "number = int(text) + 1"),
        "endless": (body, "while True: pass"),
        "ends": (body, "import os; os._exit(3)"),
        "equal": ("MAX_DIGITS = 16", "MAX_DIGITS = 8 + 8"),
        "constant": ('_ANY_DIGIT = ("0", "9")', '_ANY_DIGIT = ("0", "8")'),
        "broken": ("MAX_DIGITS = 16", "MAX_DIGITS = missing"),
    }
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, json.dumps(changes)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    *in_place, equal, constant, broken = json.loads(done.stdout)
    assert [status for _, status, _ in in_place] == [
        "survived",
        "killed",
        "timeout",
        "killed",
        "survived",
        "survived",
        "survived",
    ]
    assert equal[1] == "survived"
    assert constant[1] == "killed"
    assert "test_integers.py::" in constant[2]
    assert broken[1] == "killed"
