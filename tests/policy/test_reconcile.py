from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.names import RoomName
from compartmentd.policy import autojoin
from compartmentd.policy.autojoin import AutoJoins, find_auto_joins, is_auto_joined
from compartmentd.policy.codes import Code
from compartmentd.policy.decision import Truth
from compartmentd.policy.model import Limits, RoomTemplate
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.policy.reconcile import (
    CurrentMembership,
    Reconciliation,
    reconcile_dependents,
    reconcile_memberships,
    reconcile_session,
    reconcile_unchanged,
)
from compartmentd.policy.ruleset import Ruleset
from tests.support.policies import HALL, NOW, join, person, ruleset, template
from tests.support.questions import install, question

ANN = person("ann", scope="read", teams=["red", "blue"], n=7)


def held(*rooms: str, by_server: bool = False) -> list[CurrentMembership]:
    return [CurrentMembership(room, by_server=by_server) for room in rooms]


def judged(rules: Ruleset, who: Principal, *rooms: CurrentMembership, **of_judge: Any) -> Reconciliation:
    return reconcile_session(rules, HALL, who, rooms, now=NOW, **of_judge)


def rooms_of(pairs: Any) -> list[str]:
    return [room for room, _ in pairs]


# --- connect ---


def test_a_session_that_may_not_connect_is_not_judged_further() -> None:
    rules = ruleset(template("team:{t}", auto_join={"t": "teams"}), connect={"scope": "owner"})
    judgement = judged(rules, ANN, *held("team:red"))
    assert judgement.connect.code is Code.SCOPE_MISSING
    assert (judgement.kept, judgement.lost, judgement.joined, judgement.skipped) == ((), (), (), ())
    assert (judgement.undecided, judgement.questions, judgement.valid_until) == ((), (), None)


def test_a_session_that_may_not_connect_yet_is_judged_again_when_it_may() -> None:
    rules = ruleset(template("x"), connect={"claim": "starts", "is": "past"})
    judgement = judged(rules, person(starts=NOW + 5), *held("x"))
    assert (judgement.connect.code, judgement.valid_until) == (Code.RULE_DENIED, NOW + 5)


def test_other_sessions_count_where_the_caller_says_so() -> None:
    rules = ruleset(limits=Limits(sessions_per_user=1))
    assert judged(rules, ANN, sessions=1).connect.code is Code.TOO_MANY
    assert judged(rules, ANN).connect.allowed


def test_an_unchanged_session_keeps_its_memberships_and_is_only_auto_joined() -> None:
    """Its rules are not asked again, so what they would say now does not matter."""
    rules = ruleset(
        template("closed:{x}", join={"scope": "owner"}),
        template("team:{t}", {"t": "[a-z]{1,8}"}, auto_join={"t": "teams"}),
        connect={"scope": "owner"},
    )
    kept = [RoomName("closed:a"), RoomName("team:blue")]
    result = reconcile_unchanged(
        rules, HALL, ANN, kept, now=NOW, valid_until=NOW + 60, declined=[], occupancy=lambda _room: 0
    )
    assert result.connect.allowed
    assert [reason.truth for reason in result.connect.reasons] == [Truth.TRUE]
    assert result.kept == tuple(kept)
    assert (result.lost, result.skipped) == ((), ())
    assert rooms_of(result.joined) == ["team:red"]
    assert result.valid_until == NOW + 60
    again = reconcile_unchanged(
        rules, HALL, person("bob", ends_at=NOW + 5, teams=["red"]), [], now=NOW, valid_until=NOW + 60
    )
    assert again.valid_until == NOW + 5, "the new membership is decided by the token, too"
    declined = reconcile_unchanged(rules, HALL, ANN, kept, now=NOW, valid_until=None, declined=["team:red"])
    assert (declined.joined, declined.valid_until) == ((), None)


# --- memberships ---


def test_memberships_are_kept_and_lost_by_their_own_rules() -> None:
    rules = ruleset(template("open:{x}"), template("closed:{x}", join={"scope": "owner"}))
    judgement = judged(rules, ANN, *held("open:a", "closed:a", "open:b", "gone"))
    assert judgement.kept == ("open:a", "open:b")
    assert [(room, decision.code) for room, decision in judgement.lost] == [
        ("closed:a", Code.SCOPE_MISSING),
        ("gone", Code.UNKNOWN_ROOM),
    ]


def test_limits_and_capacity_evict_nobody() -> None:
    rules = ruleset(template("open:{x}", capacity=1), limits=Limits(rooms_per_session=1))
    judgement = judged(rules, ANN, *held("open:a", "open:b"), occupancy=lambda _: 50)
    assert judgement.kept == ("open:a", "open:b")


def test_a_membership_remembers_who_made_it() -> None:
    rules = ruleset(template("desk", join={"all": ["server", {"scope": "read"}]}))
    assert judged(rules, ANN, CurrentMembership("desk", by_server=True)).kept == ("desk",)
    assert judged(rules, ANN, CurrentMembership("desk", by_server=False)).kept == ()


CHAIN = [template("a"), template("b", join={"member_of": "a"}), template("c", join={"rule": "in_b"})]
CHAIN_RULES = {"in_b": {"all": [{"member_of": "b"}, "public"]}}


def test_what_stands_on_a_lost_membership_is_lost_with_it() -> None:
    closed = [template("a", join={"scope": "owner"}), *CHAIN[1:]]
    for rooms in (("a", "b", "c"), ("c", "b", "a")):
        assert judged(ruleset(*CHAIN, rules=CHAIN_RULES), ANN, *held(*rooms)).kept == rooms
        judgement = judged(ruleset(*closed, rules=CHAIN_RULES), ANN, *held(*rooms))
        assert judgement.kept == ()
        assert rooms_of(judgement.lost) == ["a", "b", "c"]


def test_a_membership_beside_the_lost_one_is_kept_for_its_other_reason() -> None:
    rules = ruleset(template("a"), template("b", join={"any": [{"member_of": "a"}, {"scope": "read"}]}))
    assert reconcile_dependents(rules, HALL, ANN, held("b"), now=NOW).kept == ("b",)
    assert reconcile_dependents(rules, HALL, person("bob"), held("b"), now=NOW).kept == ()


def test_after_a_loss_only_what_stands_on_another_room_is_judged() -> None:
    rules = ruleset(*CHAIN, template("d", join={"scope": "owner"}), rules=CHAIN_RULES)
    left = reconcile_dependents(rules, HALL, ANN, held("b", "c", "d"), now=NOW)
    assert left.kept == ("d",)  # it would not hold, but it is not asked here
    assert rooms_of(left.lost) == ["b", "c"]
    whole = reconcile_memberships(rules, HALL, ANN, held("a", "b", "c", "d"), now=NOW)
    assert whole.kept == ("a", "b", "c")


def test_after_a_loss_time_counts() -> None:
    both = {"all": [{"member_of": "a"}, {"claim": "end", "is": "future"}]}
    rules = ruleset(template("a"), template("b", join=both))
    for end, kept in ((NOW + 5, ("a", "b")), (NOW - 5, ("a",))):
        left = reconcile_dependents(rules, HALL, person(end=end), held("a", "b"), now=NOW)
        assert left.kept == kept


@st.composite
def forests(draw: st.DrawFn) -> tuple[list[RoomTemplate], set[str]]:
    """Draw rooms that stand on rooms before them, some of them closed."""
    rooms, closed = [], set()
    for index in range(draw(st.integers(1, 7))):
        below = draw(st.lists(st.integers(0, index - 1), max_size=2)) if index else []
        parts: list[Any] = [{"member_of": f"r{each}"} for each in below] or ["public"]
        if draw(st.integers(0, 3)) == 0:
            closed.add(f"r{index}")
            parts.append("nobody")
        rooms.append(template(f"r{index}", join={draw(st.sampled_from(["all", "any"])): parts}))
    return rooms, closed


@given(forests(), st.randoms(use_true_random=False))
def test_what_is_kept_holds_and_does_not_depend_on_any_order(
    drawn: tuple[list[RoomTemplate], set[str]], chance: random.Random
) -> None:
    rooms, _ = drawn
    mixed = chance.sample(rooms, len(rooms))
    rules = ruleset(*mixed)
    names = [each.name for each in mixed]
    judgement = judged(rules, ANN, *held(*names))
    kept = frozenset(judgement.kept)
    for name in names:
        others = kept | {name}
        holds = join(rules, ANN, name, memberships=others - {name} if name not in kept else kept).allowed
        assert holds is (name in kept)
    again = judged(ruleset(*rooms), ANN, *held(*(each.name for each in rooms)))
    assert frozenset(again.kept) == kept
    assert set(names) == kept | set(rooms_of(judgement.lost))


# --- auto-join ---

NESTED = template("team:{t}", auto_join={"t": ("app_metadata", "teams")})


@pytest.mark.parametrize(
    ("rooms", "who", "joined"),
    [
        ([template("user:{u}", auto_join={"u": "sub"})], ANN, ["user:ann"]),
        ([template("team:{t}", auto_join={"t": "teams"})], ANN, ["team:red", "team:blue"]),
        ([template("lobby", auto_join={})], ANN, ["lobby"]),
        ([template("lobby", join="public", auto_join={})], ANONYMOUS, ["lobby"]),
        ([template("user:{u}", join="public", auto_join={"u": "sub"})], ANONYMOUS, []),
        ([template("n:{n}", {"n": (0, None)}, auto_join={"n": "n"})], ANN, ["n:7"]),
        ([template("n:{n}", {"n": (0, None)}, auto_join={"n": "n"})], person(n=7.0), ["n:7"]),
        ([template("n:{n}", {"n": (0, None)}, auto_join={"n": "n"})], person(n="7"), ["n:7"]),
        (
            [template("n:{n}", {"n": (0, None)}, auto_join={"n": "n"})],
            person(n=9_999_999_999_999_999),
            ["n:9999999999999999"],
        ),
        (
            [template("{t}/{u}/{v}", auto_join={"t": "teams", "u": "sub", "v": "v"})],
            person("ann", teams=["a", "b"], v="x"),
            ["a/ann/x", "b/ann/x"],
        ),
        (
            [template("{u}/{t}/{v}", auto_join={"u": "sub", "t": "teams", "v": "v"})],
            person("ann", teams=["a"], v="x"),
            ["ann/a/x"],
        ),
        ([template("{u}/{t}", auto_join={"u": "sub", "t": "teams"})], ANN, ["ann/red", "ann/blue"]),
        (
            [template("team:{t}", auto_join={"t": "teams"})],
            person(teams=["b", "a", "b"]),
            ["team:b", "team:a"],
        ),
        ([template("team:{t}", auto_join={"t": "teams"})], person(teams=[]), []),
        ([template("team:{t}", auto_join={"t": "absent"})], ANN, []),
        ([NESTED], person(app_metadata={"teams": ["b", "a"]}), ["team:b", "team:a"]),
        ([NESTED], person(app_metadata={"teams": "a"}), ["team:a"]),
        ([NESTED], person(app_metadata={"other": ["a"]}), []),
        ([NESTED], person(app_metadata={"teams": None}), []),
        ([NESTED], person(app_metadata=None, teams=["a"]), []),
        ([NESTED], person(**{"app_metadata.teams": ["a"]}), []),
        ([template("org:{o}", auto_join={"o": ("o", "id")})], person(o={"id": "org_7"}), ["org:org_7"]),
        (
            [template("{u}/{r}", auto_join={"u": ("ext", "user", "id"), "r": ("ext", "roles")})],
            person(ext={"user": {"id": "ann"}, "roles": ["x", "y"]}),
            ["ann/x", "ann/y"],
        ),
        ([template("team:{t}", auto_join={"t": "teams"})], person(teams=None), []),
        ([template("desk", join={"all": ["server", {"scope": "read"}]}, auto_join={})], ANN, ["desk"]),
        (
            [
                template("b:{t}", join={"member_of": "a:{t}"}, auto_join={"t": "teams"}),
                template("a:{t}", auto_join={"t": "teams"}),
            ],
            ANN,
            ["a:red", "a:blue", "b:red", "b:blue"],
        ),
    ],
)
def test_the_rooms_that_claims_name_are_joined_in_order(
    rooms: list[RoomTemplate], who: Principal, joined: list[str]
) -> None:
    judgement = judged(ruleset(*rooms), who)
    assert rooms_of(judgement.joined) == joined
    assert judgement.skipped == ()
    assert all(decision.allowed for _, decision in judgement.joined)


def test_rooms_that_need_each_other_are_joined_in_any_order_of_their_templates() -> None:
    rooms = [
        template(name, join={"member_of": needed}, auto_join={})
        for name, needed in [("d", "c"), ("c", "b"), ("b", "a"), ("lost", "nowhere")]
    ]
    judgement = judged(ruleset(*rooms, template("a", auto_join={})), ANN)
    assert rooms_of(judgement.joined) == ["a", "b", "c", "d"]
    assert [(each.why.value, each.room) for each in judgement.skipped] == [("denied", "lost")]


TEAM = template("team:{t}", {"t": "[a-z]{1,8}"}, auto_join={"t": "teams"})
NUMBER = template("n:{n}", {"n": (0, 99)}, auto_join={"n": "n"})


@pytest.mark.parametrize(
    ("rooms", "who", "skipped"),
    [
        ([TEAM], person(teams=["RED"]), [("not_matching", "team:RED")]),
        ([TEAM], person(teams=["red:x"]), [("not_matching", "team:red:x")]),
        ([TEAM], person(teams=[""]), [("not_matching", "team:")]),
        ([TEAM], person(teams=["\ud800"]), [("not_matching", "team:\ud800")]),
        ([TEAM], person(teams=[7]), [("not_matching", None)]),
        ([TEAM], person(teams=7), [("not_matching", None)]),
        ([TEAM], person(teams=[None]), [("not_matching", None)]),
        ([TEAM], person(teams=[True]), [("not_matching", None)]),
        ([TEAM], person(teams=[["red"]]), [("not_matching", None)]),
        ([TEAM], person(teams={"red": 1}), [("not_matching", None)]),
        ([NESTED], person(app_metadata="teams"), [("not_matching", None)]),
        ([NESTED], person(app_metadata=[{"teams": ["a"]}]), [("not_matching", None)]),
        ([NESTED], person(app_metadata={"teams": {"a": True}}), [("not_matching", None)]),
        ([NUMBER], person(n=100), [("not_matching", "n:100")]),
        ([NUMBER], person(n=-1), [("not_matching", "n:-1")]),
        ([NUMBER], person(n=7.5), [("not_matching", None)]),
        ([NUMBER], person(n=True), [("not_matching", None)]),
        ([NUMBER], person(n="07"), [("not_matching", "n:07")]),
        ([NUMBER], person(n=10**6000), [("not_matching", None)]),
        ([NUMBER], person(n=float("inf")), [("not_matching", None)]),
        (
            [TEAM, template("team:vip")],
            person(teams=["vip"]),
            [("not_matching", "team:vip")],
        ),  # another template's
        (
            [template("{a}{b}", {"a": "[a-z]*", "b": "[0-9]*"}, auto_join={"a": "a", "b": "b"})],
            person(a="x1", b="2"),  # it would be read as x and 12
            [("not_matching", "x12")],
        ),
        (
            [template("{a}/{b}", auto_join={"a": "a", "b": "b"})],
            person(a=["x"], b=["y"]),
            [("not_matching", None)],
        ),
        ([template("user:{u}", join="nobody", auto_join={"u": "sub"})], ANN, [("denied", "user:ann")]),
        ([template("user:{u}", auto_join={"u": "sub"}, capacity=3)], ANN, [("full", "user:ann")]),
    ],
)
def test_values_that_give_no_room_are_skipped_and_told(
    rooms: list[RoomTemplate], who: Principal, skipped: list[tuple[str, str | None]]
) -> None:
    judgement = judged(ruleset(*rooms), who, occupancy=lambda _: 3)
    assert judgement.joined == ()
    assert [(each.why.value, each.room) for each in judgement.skipped] == skipped
    assert judgement.skipped[0].template == rooms[0].name
    decisions = [each.decision for each in judgement.skipped]
    assert [each is not None and not each.allowed for each in decisions] == [
        why in {"denied", "full"} for why, _ in skipped
    ]
    assert all(each is None for each in decisions if not each)


def test_a_session_that_is_full_costs_no_further_decision(monkeypatch: pytest.MonkeyPatch) -> None:
    """A claim may have thousands of values, and a refresh asks for all of them."""
    decided = []
    decide = autojoin.decide

    def count(rules: Any, who: Any, request: Any, *more: Any) -> Any:
        decided.append(request.room)
        return decide(rules, who, request, *more)

    monkeypatch.setattr(autojoin, "decide", count)
    many = person(teams=[chr(97 + index % 26) * (1 + index // 26) for index in range(200)])
    rules = ruleset(TEAM, limits=Limits(rooms_per_session=3))
    judgement = judged(rules, many)
    assert len(judgement.joined) == 3
    assert len(decided) == 3
    assert (judgement.skipped, judgement.surplus_count) == ((), 197)
    again = judged(rules, many, *held(*rooms_of(judgement.joined)))
    assert len(decided) == 3, "no room is asked for again"
    assert (again.joined, again.skipped, again.surplus_count) == ((), (), 197)
    assert again.work < 3 + 197 / 4


@pytest.mark.parametrize("values", [["B"] * 50, [1] * 50, ["a"] * 50])
def test_the_work_of_a_judgement_counts_the_values_that_were_looked_at(values: list[Any]) -> None:
    rules = ruleset(TEAM, limits=Limits(rooms_per_session=3))
    assert judged(rules, person(teams=values)).work == 50


def test_what_is_over_rooms_per_session_is_surplus() -> None:
    rules = ruleset(template("open:{x}"), TEAM, limits=Limits(rooms_per_session=3))
    who = person(teams=["a", "B", "c", "d", "e"])
    judgement = judged(rules, who, *held("open:1"))
    assert rooms_of(judgement.joined) == ["team:a", "team:c"]
    assert [(each.why.value, each.room, each.template) for each in judgement.skipped] == [
        ("not_matching", "team:B", TEAM.name)
    ]
    assert judgement.surplus_count == 2


def test_rooms_that_need_another_are_joined_as_long_as_there_is_room() -> None:
    # They are found before the room that they need, and decided again once it is joined.
    rules = ruleset(
        template("a:{x}", join={"member_of": "z"}, auto_join={"x": "teams"}),
        template("z", auto_join={}),
        limits=Limits(rooms_per_session=2),
    )
    judgement = judged(rules, person(teams=["one", "two"]))
    assert rooms_of(judgement.joined) == ["z", "a:one"]
    assert len(judgement.joined) + len(judgement.skipped) + judgement.surplus_count == 3


def test_what_is_held_or_declined_is_not_joined_again() -> None:
    judgement = judged(ruleset(TEAM), ANN, *held("team:red"), declined={"team:blue"})
    assert (judgement.kept, judgement.joined) == (("team:red",), ())
    assert [(each.why.value, each.room, each.template) for each in judgement.skipped] == [
        ("declined", "team:blue", TEAM.name)
    ]


def test_each_room_is_asked_for_its_own_members() -> None:
    rooms = {"team:red": 2, "team:blue": 1}
    rules = ruleset(template("team:{t}", auto_join={"t": "teams"}, capacity=2))
    judgement = judged(rules, ANN, occupancy=rooms.__getitem__)
    assert rooms_of(judgement.joined) == ["team:blue"]


def test_a_judgement_lasts_until_any_part_of_it_may_change() -> None:
    def until(**claims: float) -> float | None:
        who = person(teams=["red"], **{name: NOW + value for name, value in claims.items()})
        return judged(rules, who, *held("open")).valid_until

    rules = ruleset(
        template("open", join={"claim": "open", "is": "future"}),
        template("team:{t}", join={"claim": "team", "is": "past"}, auto_join={"t": "teams"}),
        connect={"claim": "connect", "is": "future"},
    )
    assert until(connect=5, open=6, team=7) == NOW + 5
    assert until(connect=9, open=6, team=7) == NOW + 6
    assert until(connect=9, open=8, team=7) == NOW + 7  # a denied auto-join may be allowed later
    assert until(connect=9, open=8, team=-1) == NOW + 8
    assert until(connect=9, open=-1, team=-1) == NOW + 9  # what is lost is lost
    assert until(connect=-1, open=8, team=7) is None


def test_a_room_lost_by_the_client_and_named_by_a_claim_is_joined_by_the_server() -> None:
    rules = ruleset(template("desk", join="server", auto_join={}))
    judgement = judged(rules, ANN, *held("desk"))
    assert rooms_of(judgement.lost) == ["desk"]
    assert rooms_of(judgement.joined) == ["desk"]


def test_a_room_is_taken_to_be_empty_unless_the_caller_says_otherwise() -> None:
    rules = ruleset(template("lobby", auto_join={}, capacity=1))
    assert rooms_of(judged(rules, ANN).joined) == ["lobby"]
    unchanged = reconcile_unchanged(rules, HALL, ANN, [], now=NOW, valid_until=None)
    assert rooms_of(unchanged.joined) == ["lobby"]


def test_where_nothing_is_auto_joined_nothing_is_found() -> None:
    found = find_auto_joins(
        ruleset(template("x")), HALL, ANN, [], now=NOW, declined=(), occupancy=lambda _room: 0
    )
    assert found == AutoJoins(joined=(), skipped=(), valid_until=None, questions=())


# --- what cannot be decided yet ---


@pytest.fixture
def asking(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


A, B = question("a"), question("b")


@pytest.mark.usefixtures("asking")
def test_a_question_on_the_way_evicts_nobody() -> None:
    rules = ruleset(
        template("x", join={"scope": "ask:a"}),
        template("on x", join={"member_of": "x"}),
        template("y", join={"all": [{"scope": "ask:a"}, {"scope": "ask:b"}]}),
        template("plain"),
        template("closed", join={"scope": "owner"}),
    )
    rooms = held("x", "on x", "y", "plain", "closed")
    judgement = judged(rules, ANN, *rooms)
    assert judgement.kept == ("on x", "plain")
    assert judgement.undecided == ("x", "y")
    assert judgement.questions == (A, B)
    assert rooms_of(judgement.lost) == ["closed"]
    answered = judged(rules, ANN, *rooms, answers={A: True, B: False})
    assert answered.kept == ("x", "on x", "plain")
    assert rooms_of(answered.lost) == ["y", "closed"]
    assert (answered.undecided, answered.questions) == ((), ())
    in_vain = judged(rules, ANN, *rooms, answers={A: None, B: True})
    assert [(room, decision.code) for room, decision in in_vain.lost] == [
        ("x", Code.UNAVAILABLE),
        ("y", Code.UNAVAILABLE),
        ("closed", Code.SCOPE_MISSING),
        ("on x", Code.RULE_DENIED),
    ]


@pytest.mark.usefixtures("asking")
def test_a_session_whose_connect_rule_asks_keeps_all_until_it_is_answered() -> None:
    rules = ruleset(template("x"), template("y", auto_join={}), connect={"scope": "ask:a"})
    judgement = judged(rules, ANN, *held("x"))
    assert not judgement.connect.allowed
    assert judgement.undecided == ("x",)
    assert (judgement.questions, judgement.valid_until) == ((A,), None)
    assert (judgement.kept, judgement.lost, judgement.joined) == ((), (), ())
    answered = judged(rules, ANN, *held("x"), answers={A: True})
    assert answered.connect.allowed
    assert (answered.kept, rooms_of(answered.joined)) == (("x",), ["y"])
    assert judged(rules, ANN, *held("x"), answers={A: None}).connect.code is Code.UNAVAILABLE


@pytest.mark.usefixtures("asking")
def test_auto_join_waits_for_answers() -> None:
    rules = ruleset(template("x", join={"scope": "ask:a"}, auto_join={}))
    judgement = judged(rules, ANN)
    assert judgement.joined == ()
    assert [(each.room, each.why.value) for each in judgement.skipped] == [("x", "undecided")]
    assert judgement.questions == (A,)
    assert rooms_of(judged(rules, ANN, answers={A: True}).joined) == ["x"]


@pytest.mark.usefixtures("asking")
def test_what_waits_for_an_answer_is_not_auto_joined_and_has_its_place() -> None:
    rules = ruleset(
        template("x", join={"all": [{"scope": "ask:a"}, {"claim": "end", "is": "future"}]}, auto_join={}),
        template("y", auto_join={}),
        limits=Limits(rooms_per_session=1),
    )
    judgement = judged(rules, person(end=NOW + 5), *held("x"))
    assert (judgement.undecided, judgement.joined, judgement.valid_until) == (("x",), (), NOW + 5)
    assert (judgement.skipped, judgement.surplus_count) == ((), 1)


def test_nothing_is_asked_where_no_rule_asks() -> None:
    for rooms in ((), ("x",)):
        judgement = judged(ruleset(template("x")), ANN, *held(*rooms))
        assert (judgement.undecided, judgement.questions, judgement.skipped) == ((), (), ())


@pytest.mark.usefixtures("asking")
def test_what_depends_on_an_undecided_membership_is_kept_with_it() -> None:
    rules = ruleset(
        template("x", join={"all": [{"member_of": "root"}, {"scope": "ask:a"}]}),
        template("z", join={"member_of": "x"}),
        template("root"),
    )
    left = reconcile_dependents(rules, HALL, ANN, held("root", "x", "z"), now=NOW)
    assert (left.kept, left.undecided, left.lost) == (("root", "z"), ("x",), ())
    left = reconcile_dependents(rules, HALL, ANN, held("root", "x", "z"), now=NOW, answers={A: False})
    assert rooms_of(left.lost) == ["x", "z"]


@pytest.mark.parametrize(
    ("form", "room", "named"),
    [
        (TEAM, "team:red", True),
        (TEAM, "team:green", False),
        (TEAM, "n:7", False),
        (NUMBER, "n:7", True),
        (NUMBER, "n:07", False),
        (template("team:{t}"), "team:red", False),
        (template("lobby", auto_join={}), "lobby", True),
        (template("of:{t}", auto_join={"t": "absent"}), "of:", False),
        (template("n:{n}", auto_join={"n": "n"}), "n:7", False),
        (template("{t}/{u}", auto_join={"t": "teams"}), "red/ann", False),
    ],
)
def test_leaving_a_room_is_remembered_if_the_claims_name_it(
    form: RoomTemplate, room: str, named: bool
) -> None:
    assert is_auto_joined(form, ANN, RoomName(room)) is named
