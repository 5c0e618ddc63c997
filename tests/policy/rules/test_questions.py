"""Questions in rules: asked where an answer can matter, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Allow, Decision, Deny, Pending, Question
from compartmentd.policy.principal import ANONYMOUS
from tests.support.policies import connect, join, person, ruleset, template
from tests.support.questions import install, question

ANN = person(scope="yes", odd=[])
UNKNOWN = {"claim": "odd", "equals": "x"}
"""Unknown for good: the claim is of another type."""


@pytest.fixture(autouse=True)
def _asking(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def ask(name: str) -> Any:
    return {"scope": f"ask:{name}"}


YES, NO = {"scope": "yes"}, {"scope": "no"}


def outcome(rule: Any, answers: Mapping[str, bool | None] | None = None) -> Any:
    """Return the names of the questions, the code of a refusal, or true."""
    facts = {question(name): answer for name, answer in (answers or {}).items()}
    decision = connect(ruleset(connect=rule), ANN, answers=facts)
    match decision.outcome:
        case Pending(questions):
            return {each.name for each in questions}
        case Deny(code):
            return code
        case _:
            return True


def test_a_question_is_asked_through_a_name_and_a_group_of_one() -> None:
    rules = ruleset(
        connect={"rule": "outer"}, rules={"outer": {"all": [{"rule": "inner"}]}, "inner": ask("a")}
    )
    assert connect(rules, ANN).outcome == Pending((question("a"),))
    assert connect(rules, ANN, answers={question("a"): True}).allowed


@pytest.mark.parametrize(
    ("rule", "answers", "expected"),
    [
        (ask("a"), {}, {"a"}),
        (ask("a"), {"a": True}, True),
        (ask("a"), {"a": False}, Code.RULE_DENIED),
        (ask("a"), {"a": None}, Code.UNAVAILABLE),
        ({"all": [ask("a"), ask("b")]}, {}, {"a", "b"}),
        ({"all": [ask("a"), ask("b")]}, {"a": True}, {"b"}),
        ({"all": [ask("a"), ask("b")]}, {"a": None}, Code.UNAVAILABLE),
        ({"all": [ask("a"), ask("b")]}, {"a": None, "b": False}, Code.RULE_DENIED),
        ({"all": [ask("a"), NO]}, {}, Code.RULE_DENIED),
        ({"all": [ask("a"), UNKNOWN]}, {}, Code.RULE_DENIED),
        ({"any": [ask("a"), YES]}, {}, True),
        ({"any": [ask("a"), NO]}, {}, {"a"}),
        ({"any": [ask("a"), UNKNOWN]}, {}, {"a"}),
        ({"any": [ask("a"), ask("b")]}, {"a": None}, {"b"}),
        ({"any": [ask("a"), ask("b")]}, {"a": None, "b": False}, Code.UNAVAILABLE),
        ({"any": [ask("a"), ask("b")]}, {"a": None, "b": True}, True),
        ({"not": ask("a")}, {}, {"a"}),
        ({"not": ask("a")}, {"a": False}, True),
        ({"not": {"all": [ask("a"), UNKNOWN]}}, {}, {"a"}),
        ({"not": {"any": [ask("a"), UNKNOWN]}}, {}, Code.RULE_DENIED),
        ({"not": {"any": [ask("a"), ask("b")]}}, {"a": None}, Code.UNAVAILABLE),
    ],
)
def test_what_is_asked(rule: Any, answers: Mapping[str, bool | None], expected: Any) -> None:
    assert outcome(rule, answers) == expected


def test_a_refusal_that_no_answer_changes_asks_nothing() -> None:
    rules = ruleset(template("lobby", join=ask("a"), capacity=1), connect={"all": [ask("a"), "nobody"]})
    assert connect(rules, ANN).code is Code.RULE_DENIED
    assert join(rules, ANN, "elsewhere").code is Code.UNKNOWN_ROOM
    assert join(rules, ANN, "lobby", within_rate=False).code is Code.RATE_LIMITED
    assert join(rules, ANN, "lobby", occupancy=1, answers={question("a"): True}).code is Code.ROOM_FULL
    assert join(rules, ANONYMOUS, "lobby", answers={question("a"): None}).code is Code.TOKEN_MISSING


RULES = st.recursive(
    st.sampled_from([YES, NO, UNKNOWN, ask("a"), ask("b"), ask("c")]),
    lambda part: st.one_of(
        st.lists(part, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(part, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        part.map(lambda inner: {"not": inner}),
    ),
    max_leaves=6,
)


def completions(known: Mapping[str, bool | None], open_: set[str]) -> Iterator[dict[str, bool | None]]:
    names = sorted(open_)
    for values in product((False, True), repeat=len(names)):
        yield {**known, **dict(zip(names, values, strict=True))}


@settings(max_examples=300)
@given(RULES, st.dictionaries(st.sampled_from("abc"), st.sampled_from([True, False, None])))
def test_a_refusal_is_final_and_nothing_is_asked_twice(rule: Any, known: dict[str, bool | None]) -> None:
    """The oracle tries all answers: where some would allow, the decision is no refusal but `Pending`."""
    result = outcome(rule, known)
    results = [outcome(rule, each) for each in completions(known, set("abc") - set(known))]
    if isinstance(result, set):
        assert not result & set(known), "no question is asked twice"
    elif result is True:
        assert set(map(str, results)) == {"True"}
    else:
        assert True not in results, "an answer could have allowed it"
        in_vain = {name for name, answer in known.items() if answer is None}
        others = {name: answer for name, answer in known.items() if answer is not None}
        healed = [outcome(rule, each) for each in completions(others, set("abc") - set(others))]
        assert (result is Code.UNAVAILABLE) <= bool(in_vain)
        if True in healed:
            assert result is Code.UNAVAILABLE


def test_a_pending_decision_allows_nothing_and_says_what_it_waits_for() -> None:
    decision = connect(ruleset(connect=ask("a")), ANN)
    assert decision.outcome == Pending((Question("test", "a"),))
    assert not decision.allowed
    assert isinstance(decision, Decision)
    assert not isinstance(decision.outcome, Allow)
    assert [reason.parts[0].text for reason in decision.reasons] == ["ask a"]
