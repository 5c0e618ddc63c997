from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from compartmentd.policy.codes import Code
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Facts, Join, Reason, Truth
from compartmentd.policy.model import All, AnyOf, Named, Not, Rule
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.policy.rules import combinators as module_of_rules
from compartmentd.policy.rules.combinators import CompiledRules
from compartmentd.policy.rules.context import EvaluationContext, Verdict
from compartmentd.policy.rules.traverse import collect_names
from compartmentd.policy.templates.matching import Signature
from tests.support import naive
from tests.support.policies import HALL, NOW, param, person, rule, ruleset, span, template

T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN

PARAMS = {"p": (None, "apollo"), "q": ("[a-z0-9.]+", "a.b"), "n": ((-99, 99), "7")}
"""The parameters of every context: their forms and values."""


def context(
    who: Principal = ANONYMOUS,
    *,
    rules: Mapping[str, Any] | None = None,
    memberships: frozenset[str] = frozenset(),
    by_server: bool = False,
) -> EvaluationContext:
    named = {
        name: form if isinstance(form, Rule.__args__) else rule(form) for name, form in (rules or {}).items()
    }
    return EvaluationContext(
        CompiledRules(named, {name: collect_names(each) for name, each in named.items()}),
        who,
        NOW,
        by_server,
        "here",
        memberships,
        Signature.from_params([param(name, form) for name, (form, _) in PARAMS.items()]),
        tuple(value for _, value in PARAMS.values()),
    )


def judged(each: Rule, at: EvaluationContext) -> Verdict:
    return at.rules.get_compiled(each).evaluate(at)


def verdict(form: Any, who: Principal = ANONYMOUS, **of_scene: Any) -> Verdict:
    return judged(form if isinstance(form, Rule.__args__) else rule(form), context(who, **of_scene))


def come_to(form: Any, who: Principal = ANONYMOUS, **of_scene: Any) -> Truth:
    return verdict(form, who, **of_scene).truth


TRUE, FALSE, UNKNOWN = "public", "nobody", {"scope": "without a token"}


# --- the logic ---


@pytest.mark.parametrize(
    ("parts", "all_", "any_"),
    [
        ([TRUE], T, T),
        ([FALSE], F, F),
        ([UNKNOWN], U, U),
        ([TRUE, TRUE], T, T),
        ([TRUE, FALSE], F, T),
        ([TRUE, UNKNOWN], U, T),
        ([FALSE, FALSE], F, F),
        ([FALSE, UNKNOWN], F, U),
        ([UNKNOWN, UNKNOWN], U, U),
        ([TRUE, FALSE, UNKNOWN], F, T),
    ],
)
def test_all_and_any(parts: list[Any], all_: Truth, any_: Truth) -> None:
    for order in (parts, parts[::-1]):
        assert come_to({"all": order}) is all_
        assert come_to({"any": order}) is any_


@pytest.mark.parametrize(("part", "truth"), [(TRUE, F), (FALSE, T), (UNKNOWN, U), ({"not": UNKNOWN}, U)])
def test_not(part: Any, truth: Truth) -> None:
    assert come_to({"not": part}) is truth


def test_a_combination_of_nothing_is_unknown() -> None:
    assert come_to(All(parts=(), span=span())) is U
    assert come_to(AnyOf(parts=(), span=span())) is U


# --- conditions ---

ANN = person("ann", scope="chat:read chat:write project:apollo:read 7", roles=["staff"], tenant="acme")


@pytest.mark.parametrize(
    ("form", "ann", "anonymous"),
    [
        ("public", T, T),
        ("authenticated", T, F),
        ({"not": "authenticated"}, F, T),
        ("nobody", F, F),
        ("server", F, F),
        ("members", F, F),
        ({"scope": "chat:read"}, T, U),
        ({"scope": "chat:admin"}, F, U),
        ({"scope": "CHAT:READ"}, F, U),
        ({"scope": "chat"}, F, U),
        ({"scope": "project:{p}:read"}, T, U),
        ({"scope": "{n}"}, T, U),
        ({"scope": "{{n}}"}, F, U),
        ({"all_scopes": ["chat:read", "chat:write"]}, T, U),
        ({"all_scopes": ["chat:read", "chat:admin"]}, F, U),
        ({"any_scope": ["chat:admin", "chat:write"]}, T, U),
        ({"any_scope": ["chat:admin", "chat:owner"]}, F, U),
        ({"issuer": "corp"}, T, U),
        ({"issuer": ["other", "corp"]}, T, U),
        ({"issuer": "other"}, F, U),
        ({"issuer": ["other", "Corp"]}, F, U),
        ({"not": {"issuer": "other"}}, T, U),
        ({"not": {"issuer": "corp"}}, F, U),
        ({"claim": "tenant", "equals": "acme"}, T, U),
        ({"claim": "absent", "equals": "acme"}, F, U),
        ({"claim": "absent", "exists": False}, T, U),
        ({"not": {"claim": "absent", "equals": "acme"}}, T, U),
        ({"claim": "roles", "contains": "staff"}, T, U),
        ({"param": "p", "equals": "apollo"}, T, T),
        ({"param": "p", "exists": True}, T, T),
        ({"param": "p", "exists": False}, F, F),
        ({"param": "p", "at_least": 1}, U, U),
        ({"param": "n", "at_least": 7}, T, T),
        ({"param": "n", "equals": 7}, T, T),
        ({"param": "n", "equals": "7"}, T, T),
        ({"param": "n", "matches": "[0-9]"}, T, T),
        ({"param": "q", "equals": "{p}"}, F, F),
        ({"param": "other", "equals": "x"}, U, U),  # a parameter that is not there: an error, hence unknown
        ({"scope": "{other}"}, U, U),
        ({"member_of": "{other}"}, U, U),
    ],
)
def test_conditions_with_and_without_a_token(form: Any, ann: Truth, anonymous: Truth) -> None:
    assert come_to(form, ANN) is ann
    assert come_to(form, ANONYMOUS) is anonymous


def test_membership_and_the_operators_side() -> None:
    rooms = frozenset({"here", "team:apollo"})
    assert come_to("members", memberships=rooms) is T
    assert come_to({"member_of": "team:{p}"}, memberships=rooms) is T
    assert come_to({"member_of": "team:{q}"}, memberships=rooms) is F
    assert come_to("server", by_server=True) is T


def test_a_scope_source_of_the_wrong_type_makes_what_is_not_held_unknown() -> None:
    who = person(scope="a", scp=["b", 7])
    assert come_to({"scope": "a"}, who) is T
    assert come_to({"scope": "b"}, who) is U
    assert come_to({"not": {"scope": "b"}}, who) is U
    assert come_to({"any_scope": ["b", "a"]}, who) is T
    assert come_to({"all_scopes": ["b", "a"]}, who) is U


@pytest.mark.parametrize(
    ("claims", "path", "truths"),  # of: exists true, exists false, equals "x"
    [
        ({"a": "x"}, "a", (T, F, T)),
        ({"a": "x"}, ["a"], (T, F, T)),
        ({"a": None}, "a", (F, T, F)),
        ({}, "a", (F, T, F)),
        ({"a": {"b": "x"}}, ["a", "b"], (T, F, T)),
        ({"a": {"b": None}}, ["a", "b"], (F, T, F)),
        ({"a": None}, ["a", "b"], (F, T, F)),
        ({}, ["a", "b"], (F, T, F)),
        ({"a": "x"}, ["a", "b"], (U, U, U)),
        ({"a": ["x"]}, ["a", "0"], (U, U, U)),
        ({"a": 1}, ["a", "b", "c"], (U, U, U)),
        ({"a": {"b": False}}, ["a", "b", "c"], (U, U, U)),
        ({"a": {"apollo": "x"}}, ["a", "{p}"], (T, F, T)),
        ({"a": {"7": "x"}}, ["a", "{n}"], (T, F, T)),
        ({"a.b": "x"}, "a.b", (T, F, T)),  # never split
        ({"a": {"b": "x"}}, "a.b", (F, T, F)),
        ({"https://example.com/x": "x"}, "https://example.com/x", (T, F, T)),
        ({"": "x"}, [""], (T, F, T)),
        ({"{p}": "x"}, "{p}", (T, F, T)),  # the first item of a path holds no placeholders
        ({"_claim_names": {"a": "src"}}, "a", (U, U, U)),
        ({"_claim_names": {"a": "src"}}, ["a", "b"], (U, U, U)),
        ({"_claim_names": {"a": "src"}}, ["b", "a"], (F, T, F)),
        ({"_claim_names": {"b": "src"}}, "a", (F, T, F)),
        ({"_claim_names": {"a": "src"}, "a": "x"}, "a", (T, F, T)),
    ],
)
def test_the_path_to_a_claim(claims: dict[str, Any], path: Any, truths: tuple[Truth, ...]) -> None:
    tests: list[dict[str, Any]] = [{"exists": True}, {"exists": False}, {"equals": "x"}]
    assert tuple(come_to({"claim": path, **test}, person(**claims)) for test in tests) == truths


@pytest.mark.parametrize(
    ("value", "wanted", "truth"),
    [
        ("7", "{n}", T),
        (7, "{n}", T),
        (7.0, "{n}", T),
        ("07", "{n}", F),
        (8, "{n}", F),
        (True, "{n}", U),
        ("n7", "n{n}", T),
        (7, "n{n}", U),
        ("77", "{n}{n}", T),
        (77, "{n}{n}", U),
        ("apollo", "{p}", T),
        ("{p}", "{{p}}", T),
        ("apollo", "{{p}}", F),
        ("a.b", "{q}", T),  # a value, not a pattern
        ("axb", "{q}", F),
    ],
)
def test_a_value_with_placeholders(value: Any, wanted: str, truth: Truth) -> None:
    assert come_to({"claim": "c", "equals": wanted}, person(c=value)) is truth
    assert come_to({"claim": "c", "contains": wanted}, person(c=[value])) is truth


def test_one_of_several_values_may_have_placeholders() -> None:
    for wanted in (["x", "{p}"], ["{q}", "{p}"], ["{p}", "x"]):
        assert come_to({"claim": "c", "one_of": wanted}, person(c="apollo")) is T
        assert come_to({"claim": "c", "contains_any": wanted}, person(c=["apollo"])) is T
        assert come_to({"claim": "c", "one_of": wanted}, person(c="{p}")) is F


def test_braces_of_a_pattern_are_the_patterns_own() -> None:
    assert come_to({"claim": "c", "matches": "[a-z]{3}"}, person(c="abc")) is T
    assert come_to({"claim": "c", "matches": "{p}"}, person(c="apollo")) is F


@pytest.mark.parametrize(
    ("pattern", "value"),
    [("[", "a"), ("(?=a)a", "a"), (r"(a)\1", "aa"), ("a", "\ud800"), ("[a-z]{2000}", "a")],
)
def test_what_re2_cannot_do_is_unknown(pattern: str, value: str) -> None:
    assert come_to({"claim": "c", "matches": pattern}, person(c=value)) is U


# --- named rules ---


def test_a_named_rule_is_evaluated_once_however_often_it_is_used() -> None:
    asked: list[str] = []

    class Asked(dict[str, Any]):
        def get(self, name: str, default: Any = None) -> Any:
            asked.append(name)
            return super().get(name, default)

    levels = 40
    rules: dict[str, Any] = {"r0": {"claim": "a", "equals": "x"}}
    for level in range(1, levels):
        below = {"rule": f"r{level - 1}"}
        rules[f"r{level}"] = {"all": [below, {"any": [below, below]}]}
    who = structs.replace(ANN, claims=Asked(a="x"))
    assert come_to({"rule": f"r{levels - 1}"}, who, rules=rules) is T
    assert asked == ["a"]  # without remembering it would be 3 ** levels


def test_a_second_named_rule_of_a_decision_is_evaluated_too() -> None:
    found = verdict({"all": [{"rule": "a"}, {"rule": "b"}]}, rules={"a": "public", "b": "nobody"})
    assert [part.text for part in found.reason.parts] == ["rule b"]


def test_more_rules_than_are_kept_ready_are_judged_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_of_rules, "MAX_COMPILED_RULES", 3)
    made = context(ANN, rules={"staff": {"claim": "roles", "contains": "staff"}})
    each = [rule({"scope": "chat:read"}), rule("nobody"), rule({"rule": "staff"}), rule({"scope": "x"})]
    for _ in range(3):
        assert [judged(one, made).truth for one in each] == [T, F, T, F]
        assert len(list(made.rules.iter_parts())) <= 3


def test_a_rule_is_compiled_once() -> None:
    rules = context().rules
    first, second = rule("public"), rule("nobody")
    compiled = rules.get_compiled(first)
    assert rules.get_compiled(second) is not compiled
    assert rules.get_compiled(first) is compiled


def test_a_long_chain_of_names_needs_no_deep_stack() -> None:
    rules: dict[str, Any] = {f"r{i}": {"not": {"not": {"rule": f"r{i + 1}"}}} for i in range(5000)}
    rules["r5000"] = "public"
    assert come_to({"rule": "r0"}, rules=rules) is T


@pytest.mark.parametrize(
    "rules",
    [
        {"a": {"rule": "a"}},
        {"a": {"rule": "b"}, "b": {"rule": "a"}},
        {"a": {"not": {"rule": "b"}}, "b": {"all": [{"rule": "c"}, "public"]}, "c": {"rule": "a"}},
        {"a": {"rule": "missing"}},
    ],
)
def test_names_that_lead_nowhere_are_unknown(rules: dict[str, Any]) -> None:
    assert come_to({"rule": "a"}, rules=rules) is U
    assert come_to({"not": {"rule": "a"}}, rules=rules) is U
    assert come_to({"any": [{"rule": "a"}, "public"]}, rules=rules) is T


def test_a_rule_too_deep_to_evaluate_is_unknown() -> None:
    deep = rule("public")
    for _ in range(50_000):
        deep = Not(part=deep, span=span_of_all)
    assert come_to(deep) is U
    assert come_to(AnyOf(parts=(deep, rule("public")), span=span_of_all)) is T


span_of_all = span()


@pytest.mark.parametrize("not_a_rule", [None, 7, "public", {"scope": "a"}, object()])
def test_what_is_no_rule_is_unknown(not_a_rule: Any) -> None:
    assert judged(not_a_rule, context(ANN)).truth is U
    assert come_to(Not(part=not_a_rule, span=span()), ANN) is U
    assert come_to(All(parts=(not_a_rule, rule("public")), span=span()), ANN) is U


@pytest.mark.parametrize("claims", [None, 7, "sub", ["sub"], [("tenant", "acme")]])
def test_claims_that_are_no_object_are_unknown(claims: Any) -> None:
    who = structs.replace(ANN, claims=claims)
    assert come_to({"claim": "tenant", "equals": "acme"}, who) is U
    assert come_to({"not": {"claim": "tenant", "exists": True}}, who) is U


# --- time ---


@pytest.mark.parametrize(
    ("form", "truth", "until"),
    [
        ("public", T, None),
        ({"claim": "soon", "is": "future"}, T, 10),
        ({"claim": "soon", "is": "past"}, F, 10),
        ({"not": {"claim": "soon", "is": "past"}}, T, 10),
        ({"claim": "gone", "is": "past"}, T, None),
        ({"all": [{"claim": "soon", "is": "future"}, {"claim": "late", "is": "future"}]}, T, 10),
        ({"any": [{"claim": "soon", "is": "future"}, {"claim": "late", "is": "future"}]}, T, 20),
        ({"any": [{"claim": "soon", "is": "future"}, "public"]}, T, None),
        ({"any": ["public", {"claim": "soon", "is": "future"}]}, T, None),
        ({"any": [{"claim": "soon", "is": "future"}, "nobody"]}, T, 10),
        ({"all": [{"claim": "soon", "is": "past"}, {"claim": "late", "is": "past"}]}, F, 20),
        ({"all": [{"claim": "late", "is": "past"}, {"claim": "soon", "is": "past"}]}, F, 20),
        ({"all": [{"claim": "soon", "is": "future"}]}, T, 10),
        ({"all": [{"claim": "soon", "is": "past"}]}, F, 10),
        ({"claim": "far", "is": "future"}, T, None),
        ({"claim": "nearly far", "is": "future"}, T, 1e15 - 1 - NOW),
        ({"all": [{"claim": "soon", "is": "past"}, "nobody"]}, F, None),
        ({"all": [{"claim": "soon", "is": "past"}, "public"]}, F, 10),
        ({"any": [{"claim": "soon", "is": "past"}, {"claim": "late", "is": "past"}]}, F, 10),
        ({"any": [{"claim": "soon", "is": "past"}, "nobody"]}, F, 10),
        ({"all": [{"claim": "soon", "is": "future"}, {"claim": "text", "is": "future"}]}, U, 10),
        ({"any": [{"claim": "soon", "is": "past"}, {"claim": "text", "is": "future"}]}, U, 10),
        ({"rule": "window"}, T, 10),
    ],
)
def test_until_when_a_rule_holds(form: Any, truth: Truth, until: float | None) -> None:
    far = {"far": 1e15, "nearly far": 1e15 - 1}
    who = person(soon=NOW + 10, late=NOW + 20, gone=NOW - 10, text="soon", **far)
    found = verdict(form, who, rules={"window": {"claim": "soon", "is": "future"}})
    assert (found.truth, found.until) == (truth, None if until is None else NOW + until)


# --- whom to blame ---


@pytest.mark.parametrize(
    ("form", "alone"),
    [
        ({"scope": "x"}, True),
        ({"all_scopes": ["x", "chat:read"]}, True),
        ({"any_scope": ["x", "y"]}, True),
        ({"all": [{"scope": "x"}, "authenticated"]}, True),
        ({"all": [{"scope": "x"}, {"scope": "y"}]}, True),
        ({"all": [{"scope": "x"}]}, True),
        ({"all": ["nobody"]}, False),
        ({"all": [{"scope": "x"}, {"claim": "tenant", "equals": "zeus"}]}, False),
        ({"any": [{"scope": "x"}, {"scope": "y"}]}, True),
        ({"any": [{"scope": "x"}, {"claim": "tenant", "equals": "zeus"}]}, False),
        ({"any": [{"scope": "x"}, {"all": [{"scope": "y"}, {"claim": "tenant", "equals": "acme"}]}]}, True),
        (
            {
                "any": [
                    {"scope": "x"},
                    {"all": [{"scope": "chat:read"}, {"claim": "tenant", "equals": "zeus"}]},
                ]
            },
            False,
        ),
        ({"not": {"scope": "chat:read"}}, False),
        ({"all": [{"scope": "x"}, {"not": {"scope": "chat:read"}}]}, False),
        ({"all": [{"scope": "x"}, {"not": {"scope": "y"}}]}, True),  # that part is true
        ({"not": {"not": {"scope": "x"}}}, False),
        ({"rule": "writers"}, True),
        ({"all": [{"rule": "writers"}, "public"]}, True),
        ({"rule": "zeus"}, False),
        ("nobody", False),
        ({"any": [{"scope": "x"}, "nobody"]}, False),
        ({"all": [{"scope": "x"}, "server"]}, False),
    ],
)
def test_only_scopes_are_to_blame(form: Any, alone: bool) -> None:
    rules = {"writers": {"scope": "x"}, "zeus": {"claim": "tenant", "equals": "zeus"}}
    found = verdict(form, ANN, rules=rules)
    assert found.truth is not T
    assert found.scopes_alone is alone


# --- reasons ---


def test_the_reason_names_the_parts_that_decided() -> None:
    form = {
        "any": [
            {"scope": "chat:admin"},
            {"all": [{"claim": "tenant", "equals": "acme"}, {"claim": ["roles", "x"], "contains": "{p}"}]},
            {"rule": "staff"},
        ]
    }
    found = verdict(form, ANN, rules={"staff": {"claim": "late", "is": "past"}})
    assert outline(found.reason) == [
        "unknown any",
        "  false scope chat:admin",
        "  unknown all",
        "    unknown claim [roles, x] contains {p}",
        "      unknown the path leads through a value that is not an object",
        "  false rule staff",
        "    false claim late is past",
        "      false the token has no claim `late`",
    ]


def outline(reason: Reason, depth: int = 0) -> list[str]:
    own = f"{'  ' * depth}{reason.truth.value} {reason.text}"
    return [own, *(line for part in reason.parts for line in outline(part, depth + 1))]


def test_a_true_any_names_what_made_it_true() -> None:
    found = verdict({"any": [{"scope": "x"}, {"scope": "chat:read"}, "public"]}, ANN)
    assert outline(found.reason) == ["true any", "  true scope chat:read"]


def list_places(reason: Reason) -> list[Any]:
    return [reason.span, *(place for part in reason.parts for place in list_places(part))]


def list_spans(each: Any) -> list[Any]:
    parts = (each.part,) if isinstance(each, Not) else getattr(each, "parts", ())
    return [each.span, *(place for part in parts for place in list_spans(part))]


SOON, LATE = {"claim": "soon", "is": "future"}, {"claim": "late", "is": "future"}


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ({"not": "public"}, ["false not", "  true public"]),
        ({"not": "nobody"}, ["true not", "  false nobody"]),
        ({"all": ["public"]}, ["true all", "  true public"]),
        ({"all": ["nobody"]}, ["false all", "  false nobody"]),
        ({"all": ["public", "authenticated"]}, ["true all", "  true public", "  true authenticated"]),
        ({"all": ["nobody", "server"]}, ["false all", "  false nobody", "  false server"]),
        ({"any": ["public"]}, ["true any", "  true public"]),
        ({"any": ["nobody", "server"]}, ["false any", "  false nobody", "  false server"]),
        ({"any": [SOON, LATE]}, ["true any", "  true claim soon is future", "  true claim late is future"]),
    ],
)
def test_a_reason_stands_at_the_line_of_its_rule(form: Any, lines: list[str]) -> None:
    written = rule(form)
    found = verdict(written, person(soon=NOW + 10, late=NOW + 20))
    assert outline(found.reason) == lines
    assert list_places(found.reason) == list_spans(written)


def test_the_reason_of_a_named_rule_stands_where_it_is_used() -> None:
    used, inner = rule({"rule": "open"}), rule("public")
    found = verdict(used, rules={"open": inner})
    assert outline(found.reason) == ["true rule open", "  true public"]
    assert list_places(found.reason) == [used.span, inner.span]


def test_the_last_verdict_of_a_part_is_not_taken_for_another() -> None:
    """Two people of one policy: the verdicts of parts are shared between decisions, those of the whole are not."""
    forms = ({"any": [{"scope": "a"}, {"scope": "b"}]}, {"rule": "either"})
    rules = CompiledRules({"either": rule(forms[0])}, {})
    for form in forms:
        written = rule(form)
        for scope in ("a", "b", "c", "a"):
            at = EvaluationContext(rules, person(scope=scope), NOW)
            found = rules.get_compiled(written).evaluate(at)
            assert found.truth is (F if scope == "c" else T)
            assert (f"  true scope {scope}" in "\n".join(outline(found.reason))) is (scope != "c")


def test_a_rule_that_cannot_be_compiled_says_so_at_its_line() -> None:
    nothing = All(parts=(), span=span())
    reason = verdict(nothing).reason
    assert outline(reason) == ["unknown the condition could not be decided"]
    assert list_places(reason) == [nothing.span]


class Broken(dict[str, Any]):
    def get(self, name: str, default: Any = None) -> Any:
        raise RuntimeError(name, default)


def test_a_condition_that_fails_is_unknown_at_its_line() -> None:
    written = rule({"claim": "tenant", "equals": "acme"})
    found = verdict(written, msgspec.structs.replace(ANN, claims=Broken()))
    assert outline(found.reason) == ["unknown the condition could not be decided"]
    assert list_places(found.reason) == [written.span]


def test_a_reason_says_where_the_path_of_a_claim_ends() -> None:
    found = verdict({"claim": ["org", "unit", "id"], "equals": 1}, person("ann", org={"unit": {}}))
    assert outline(found.reason) == [
        "false claim [org, unit, id] equals 1",
        "  false the token's claim `[org, unit]` has no `id`",
    ]


# --- properties ---

SCALARS = st.sampled_from(["x", "apollo", "7", "", 7, 7.0, 0, 1, True, False, NOW + 5, NOW - 5, 1.5])
JSON = st.recursive(
    st.none() | SCALARS | st.floats() | st.text(max_size=2),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "b", "apollo", "7"]), inner, max_size=3)
    ),
    max_leaves=5,
)
VALUES = SCALARS | st.sampled_from(["{p}", "{n}", "x{n}", "p"])
TESTS = st.one_of(
    VALUES.map(lambda value: {"equals": value}),
    st.lists(VALUES, min_size=1, max_size=3).map(lambda values: {"one_of": values}),
    st.sampled_from(["x", "[a-z]+", ".*", "7|x"]).map(lambda pattern: {"matches": pattern}),
    VALUES.map(lambda value: {"contains": value}),
    st.lists(VALUES, min_size=1, max_size=3).map(lambda values: {"contains_any": values}),
    st.sampled_from([0, 7, 7.0, 1.5]).map(lambda bound: {"at_least": bound}),
    st.sampled_from([0, 7, 7.0, 1.5]).map(lambda bound: {"at_most": bound}),
    st.booleans().map(lambda wanted: {"exists": wanted}),
    st.sampled_from(["past", "future"]).map(lambda word: {"is": word}),
)
CLAIM_NAMES = ["a", "b", "c", "_claim_names"]
PATHS = st.sampled_from(CLAIM_NAMES[:3]) | st.lists(
    st.sampled_from(["a", "b", "{p}", "{n}"]), min_size=0, max_size=2
).flatmap(lambda rest: st.sampled_from(CLAIM_NAMES[:3]).map(lambda first: [first, *rest]))
SCOPES = st.sampled_from(["s", "t", "{p}", "s:{n}"])
CONDITIONS = st.one_of(
    st.sampled_from(["public", "authenticated", "nobody", "server"]),
    SCOPES.map(lambda scope: {"scope": scope}),
    st.lists(SCOPES, min_size=1, max_size=3).map(lambda scopes: {"all_scopes": scopes}),
    st.lists(SCOPES, min_size=1, max_size=3).map(lambda scopes: {"any_scope": scopes}),
    st.builds(lambda path, test: {"claim": path, **test}, PATHS, TESTS),
    st.builds(lambda name, test: {"param": name, **test}, st.sampled_from(["p", "n"]), TESTS),
    st.sampled_from(["corp", "other", ["other", "corp"]]).map(lambda names: {"issuer": names}),
    st.sampled_from(["team:{p}", "r{n}"]).map(lambda room: {"member_of": room}),
    st.sampled_from(["r0", "r1"]).map(lambda name: {"rule": name}),
)


def combined(conditions: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        conditions,
        lambda inner: st.one_of(
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
            st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
            inner.map(lambda part: {"not": part}),
        ),
        max_leaves=8,
    )


UNNAMED = CONDITIONS.filter(lambda form: not isinstance(form, dict) or "rule" not in form)
RULES = st.fixed_dictionaries({"r0": combined(UNNAMED), "r1": combined(UNNAMED | st.just({"rule": "r0"}))})
CLAIMS = st.dictionaries(st.sampled_from(CLAIM_NAMES[:3]), JSON, max_size=3) | st.builds(
    lambda claims, moved: {**claims, "_claim_names": dict.fromkeys(moved, "src")},
    st.dictionaries(st.sampled_from(CLAIM_NAMES[:3]), JSON, max_size=2),
    st.lists(st.sampled_from(CLAIM_NAMES[:3]), max_size=2),
)
SCOPE_CLAIMS = st.none() | st.sampled_from(["s", "s t apollo", "s:7", ["s"], ["apollo", 7], 7, {}])
PEOPLE = st.just(ANONYMOUS) | st.builds(
    lambda claims, scope: person(**claims, scope=scope), CLAIMS, SCOPE_CLAIMS
)
ROOMS = st.frozensets(st.sampled_from(["team:apollo", "r7", "here"]))


def world(who: Principal, rules: Mapping[str, Any], rooms: frozenset[str], *, by_server: bool) -> naive.World:
    return naive.World(
        claims=None if who.subject is None else dict(who.claims),
        scopes=who.scopes,
        scopes_uncertain=who.scopes_uncertain,
        params={"p": "apollo", "q": "a.b", "n": 7},
        memberships=rooms,
        by_server=by_server,
        rules=rules,
        now=NOW,
    )


@given(combined(CONDITIONS), PEOPLE, RULES, ROOMS, st.booleans())
def test_rules_are_what_their_naive_twin_says(
    form: Any, who: Principal, rules: Mapping[str, Any], rooms: frozenset[str], by_server: bool
) -> None:
    expected = {True: T, False: F, None: U}[naive.truth(form, world(who, rules, rooms, by_server=by_server))]
    assert come_to(form, who, rules=rules, memberships=rooms, by_server=by_server) is expected


@given(combined(CONDITIONS), st.lists(PEOPLE, min_size=1, max_size=4), RULES, ROOMS)
def test_a_rule_that_is_ready_remembers_nothing_of_whom_it_judged(
    form: Any, people: list[Principal], forms: Mapping[str, Any], rooms: frozenset[str]
) -> None:
    built, rules = rule(form), {name: rule(each) for name, each in forms.items()}
    book = context(rules=rules).rules
    for who in people:
        anew = context(who, rules=rules, memberships=rooms)
        again = structs.replace(anew, rules=book)
        assert judged(built, again) == judged(built, anew)


@given(combined(CONDITIONS), PEOPLE, RULES, ROOMS, st.randoms(use_true_random=False))
def test_the_order_of_parts_is_irrelevant(
    form: Any, who: Principal, rules: Mapping[str, Any], rooms: frozenset[str], chance: random.Random
) -> None:
    one = verdict(form, who, rules=rules, memberships=rooms)
    other = verdict(shuffled(form, chance), who, rules=rules, memberships=rooms)
    assert (one.truth, one.scopes_alone, one.until) == (other.truth, other.scopes_alone, other.until)


def shuffled(form: Any, chance: random.Random) -> Any:
    if isinstance(form, dict):
        return {word: shuffled(given, chance) for word, given in form.items()}
    if isinstance(form, list) and all(isinstance(part, (dict, str)) for part in form):
        parts = [shuffled(part, chance) if isinstance(part, dict) else part for part in form]
        if any(
            isinstance(part, dict) or part in ("public", "authenticated", "nobody", "server")
            for part in parts
        ):
            chance.shuffle(parts)
        return parts
    return form


@given(combined(CONDITIONS), PEOPLE, RULES, st.floats(0, 1, exclude_max=True))
def test_time_alone_changes_nothing_before_until(
    form: Any, who: Principal, rules: Mapping[str, Any], share: float
) -> None:
    made = context(who, rules=rules)
    built = rule(form)
    now = judged(built, made)
    end = NOW + 1000 if now.until is None else now.until
    assert end > NOW
    later = context(who, rules=rules)
    later.now = NOW + (end - NOW) * share
    assert judged(built, later).truth is now.truth


@given(combined(CONDITIONS), PEOPLE, RULES, st.floats(0, 1, exclude_max=True))
def test_a_refusal_has_the_same_code_until_it_ends(
    form: Any, who: Principal, rules: Mapping[str, Any], share: float
) -> None:
    room = template("{p}/{n}", {"n": (-99, 99)}, join=form)
    join_it = Join(HALL, "apollo/7")
    built = ruleset(room, rules=rules)
    first = decide(built, who, join_it, Facts(), NOW)
    end = NOW + 1000 if first.valid_until is None else first.valid_until
    assert decide(built, who, join_it, Facts(), NOW + (end - NOW) * share).code is first.code


@pytest.mark.parametrize(
    ("form", "code", "until"),
    [
        ({"all": [{"claim": "t", "is": "past"}, {"scope": "x"}]}, Code.RULE_DENIED, 10),
        ({"all": [{"claim": "t", "is": "future"}, {"scope": "x"}]}, Code.SCOPE_MISSING, 10),
        ({"any": [{"claim": "t", "is": "past"}, {"scope": "x"}]}, Code.RULE_DENIED, 10),
        (
            {"any": [{"all": [{"claim": "t", "is": "past"}, {"scope": "x"}]}, {"scope": "y"}]},
            Code.RULE_DENIED,
            10,
        ),
        ({"rule": "late"}, Code.RULE_DENIED, 10),
        ({"all": [{"rule": "late"}]}, Code.RULE_DENIED, 10),
        ({"not": {"all": [{"claim": "t", "is": "future"}, "public"]}}, Code.RULE_DENIED, 10),
        (
            {"not": {"any": [{"all": [{"claim": "t", "is": "past"}, {"scope": "x"}]}, "public"]}},
            Code.RULE_DENIED,
            None,
        ),
        ({"all": [{"scope": "x"}, {"claim": "absent", "equals": 1}]}, Code.RULE_DENIED, None),
    ],
)
def test_a_refusal_is_valid_until_its_code_could_change(form: Any, code: Code, until: float | None) -> None:
    late = {"all": [{"claim": "t", "is": "past"}, {"scope": "x"}]}
    built = ruleset(template("lobby", join=form), rules={"late": late})
    decision = decide(built, person(t=NOW + 10), Join(HALL, "lobby"), Facts(), NOW)
    assert (decision.code, decision.valid_until) == (code, None if until is None else NOW + until)


@given(
    st.dictionaries(
        st.text(max_size=3) | st.sampled_from(["a", "scope", "_claim_names", "sub"]), JSON, max_size=4
    ),
    combined(CONDITIONS),
    RULES,
)
def test_nothing_is_allowed_but_what_is_true(
    claims: dict[str, Any], form: Any, rules: Mapping[str, Any]
) -> None:
    """P1: whatever the claims are, a decision is allowed exactly where the twin says true."""
    claims.pop("sub", None)
    who = person(**claims)
    room = template("{p}/{n}", {"n": (-99, 99)}, join=form)
    decision = decide(ruleset(room, rules=rules), who, Join(HALL, "apollo/7"), Facts(), NOW)
    twin = world(who, rules, frozenset(), by_server=False)
    assert decision.allowed is (naive.truth(form, twin) is True)


def test_every_kind_of_rule_is_evaluated() -> None:
    """A kind of rule that is added to the model without a meaning would be unknown for ever."""
    from compartmentd.policy.rules import combinators as module, describe

    kinds = set(Rule.__args__)
    assert set(module._RULES) == kinds
    assert set(describe._RULES) == kinds
    assert Named in kinds
