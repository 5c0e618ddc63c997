"""Every kind of rule and test is known to schema, compiler, evaluation, description and the second evaluator."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from hypothesis import Phase, find, settings

from compartmentd.configuration.compiler import rules as compiler
from compartmentd.document.bundled import schema
from compartmentd.policy.model import Rule, Test
from compartmentd.policy.rules import combinators, comparisons, describe
from tests.policy.rules.test_combinators import CONDITIONS, combined

DEFINITIONS = schema()["$defs"]
TESTS = [required for option in DEFINITIONS["one_test"]["oneOf"] for required in option["required"]]
KINDS = [
    kind
    for option in DEFINITIONS["rule"]["oneOf"]
    for kind in option.get("required", ())
    if not DEFINITIONS["rule"]["properties"][kind].get("x-not-built")
]
WORDS = DEFINITIONS["rule"]["then"]["enum"]

OF_THE_SESSION = {"members"}
"""Words that are no condition on a token or room: the session's membership is a fact of the request."""


def test_every_type_of_rule_is_evaluated_and_described() -> None:
    assert set(get_args(Rule)) == set(combinators._RULES)
    assert set(get_args(Rule)) == set(describe._RULES)


def test_every_type_of_test_is_evaluated_and_described() -> None:
    assert set(get_args(Test)) == set(comparisons._TESTS)
    assert set(get_args(Test)) == set(describe._TESTS)


def test_the_compiler_reads_what_the_schema_takes() -> None:
    assert set(compiler._WORDS) == set(WORDS)
    assert set(compiler.RuleReader._kinds) == set(KINDS)
    assert set(compiler.RuleReader._tests) == set(TESTS)


def uses(form: Any, word: str) -> bool:
    """Return whether a rule, in the shape of the file, has this kind or test, or is this word."""
    match form:
        case str():
            return form == word
        case list():
            return any(uses(part, word) for part in form)
        case dict():
            return word in form or any(uses(form[key], word) for key in ("all", "any", "not") if key in form)
    return False


@pytest.mark.parametrize("word", [*(word for word in WORDS if word not in OF_THE_SESSION), *KINDS, *TESTS])
def test_random_rules_are_compared_with_the_second_evaluator_in_this_form(word: str) -> None:
    """What `tests/support/naive.py` does not know would fail the property that compares the two."""
    once = settings(max_examples=5000, phases=[Phase.generate])
    assert find(combined(CONDITIONS), lambda form: uses(form, word), settings=once)
