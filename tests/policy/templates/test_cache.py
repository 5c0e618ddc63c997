"""Rooms that are kept give what they would give if they were looked up anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, strategies as st

from compartmentd.names import NamespaceName
from compartmentd.policy.ruleset import Ruleset
from compartmentd.policy.templates import cache
from compartmentd.policy.templates.cache import RoomCache
from compartmentd.policy.templates.dispatch import Dispatch
from compartmentd.policy.templates.matching import Match
from tests.support.policies import HALL, join, namespace, person, policy, publish, ruleset, template

ELSEWHERE = NamespaceName("/elsewhere")


@pytest.fixture
def looked_up(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the rooms that dispatch is asked for, as it is asked."""
    names: list[str] = []
    find: Callable[[Dispatch, str], Match | None] = Dispatch.find

    def noted(self: Dispatch, room: str) -> Match | None:
        names.append(room)
        return find(self, room)

    monkeypatch.setattr(Dispatch, "find", noted)
    return names


def in_the_hall(*names: str) -> RoomCache:
    return RoomCache({HALL: Dispatch.build([template(name) for name in names])})


def test_a_room_is_looked_up_once_for_all_who_ask(looked_up: list[str]) -> None:
    rules = ruleset(
        template("p:{x}", join={"claim": "xs", "contains": "{x}"}, publish="members", events=["m"])
    )
    assert join(rules, person("ann", xs=["1"]), "p:1").allowed
    assert not join(rules, person("ben", xs=["2"]), "p:1").allowed
    assert publish(rules, person("ann", xs=["1"]), "p:1", "m").allowed
    assert join(rules, person("ben", xs=["2"]), "p:2").allowed
    assert looked_up == ["p:1", "p:2"]


def test_the_room_that_was_kept_first_makes_place(
    looked_up: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MAX_CACHED_ROOMS", 3)
    hall = in_the_hall("p:{x}")
    for name in "p:1", "p:2", "p:3", "p:1", "p:4", "p:2", "p:3", "p:1":
        assert hall.find(HALL, name) is not None
    assert looked_up == ["p:1", "p:2", "p:3", "p:4", "p:1"]


def test_what_is_no_room_is_not_kept(looked_up: list[str]) -> None:
    hall = in_the_hall("p:{x}")
    for _ in range(2):
        assert hall.find(HALL, "q:1") is None
        assert hall.find(ELSEWHERE, "p:1") is None
    assert looked_up == ["q:1", "q:1"]


def test_rooms_of_one_name_are_those_of_their_namespaces() -> None:
    here, there = template("p:{x}", join="public"), template("p:{y}", join="nobody")
    rules = Ruleset.build(policy(namespace(here), namespace(there, name=ELSEWHERE)))
    for _ in range(2):
        matches = [rules.find(name, "p:1") for name in (HALL, ELSEWHERE)]
        assert [match and match.template for match in matches] == [here, there]


def test_kept_rooms_are_parts_of_a_ruleset() -> None:
    rules = ruleset(template("p:{x}"))
    before = len(list(rules.iter_parts()))
    join(rules, person(), "p:1")
    assert ((HALL, "p:1"), rules.rooms.find(HALL, "p:1")) in list(rules.iter_parts())
    assert len(list(rules.iter_parts())) == before + 2  # the room, and its rule, which is ready now


NEEDS: dict[str, Any] = {
    "claim": {"claim": "xs", "contains": "{x}"},
    "any": {"any": [{"scope": "{x}"}, {"claim": "xs", "contains": "{x}"}]},
    "all": {"all": [{"scope": "{x}"}, {"claim": "xs", "contains": "{x}"}]},
    "not": {"not": {"scope": "{x}"}},
    "named": {"rule": "named"},
    "until": {"claim": "until", "is": "future"},
    "server": "server",
}
PEOPLE = [
    person("ann", scope="1", xs=["2"], until=2e9),
    person("ben", scope="2", xs="2", until=1e9),
    person("cid", scope=7, xs=["1", 2], until=None, ends_at=3e9),
]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(PEOPLE), st.sampled_from(sorted(NEEDS)), st.sampled_from("123"), st.booleans()
        ),
        max_size=20,
    )
)
def test_who_asked_before_makes_no_difference(asked: list[tuple[Any, str, str, bool]]) -> None:
    """P2: the same decision with the same reasons, whoever asked for the room, or was refused, before."""
    templates = [template(f"{name}:{{x}}", join=rule, capacity=5) for name, rule in NEEDS.items()]
    declared = policy(namespace(*templates), rules={"named": NEEDS["any"]})
    rules = Ruleset.build(declared)
    for who, name, x, by_server in asked:
        room = f"{name}:{x}"
        alone = join(Ruleset.build(declared), who, room, by_server=by_server)
        assert join(rules, who, room, by_server=by_server) == alone
