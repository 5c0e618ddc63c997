from __future__ import annotations

import random
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, strategies as st
from msgspec import structs

from compartmentd.policy.model import Param, RoomTemplate
from compartmentd.policy.templates import overlap, prefilter
from compartmentd.policy.templates.charset import is_valid_room_name
from compartmentd.policy.templates.matching import ReaderFactory
from compartmentd.policy.templates.overlap import (
    Ambiguity,
    find_ambiguity,
    find_conflicts,
    find_example,
    find_reached_templates,
    find_template_ambiguity,
)
from compartmentd.policy.templates.prefilter import find_compatible_pairs
from compartmentd.policy.templates.shape import build_template_shape
from tests.support.languages import readings, templates
from tests.support.policies import param, template, text


def shared(*each: RoomTemplate) -> list[tuple[str, str, str]]:
    return [(left.name, right.name, room) for left, right, room in find_conflicts(each)]


def params_of(each: RoomTemplate) -> dict[str, Any]:
    return {param.name: param for param in each.params}


# --- against all strings written down ---


@given(st.lists(templates(), min_size=2, max_size=7))
def test_conflicts_are_exactly_the_pairs_that_share_a_room(several: list[RoomTemplate]) -> None:
    languages = [readings(each) for each in several]
    expected = {}
    for left, right in combinations(range(len(several)), 2):
        common = languages[left].keys() & languages[right].keys()
        if common and bool(several[left].params) == bool(several[right].params):
            expected[id(several[left]), id(several[right])] = common
    found = {(id(left), id(right)): room for left, right, room in find_conflicts(several)}
    if len({each.name for each in several if not each.params}) < sum(not each.params for each in several):
        # The same static room three times is told twice, each time beside the first.
        expected = {pair: common for pair, common in expected.items() if pair in found}
    assert found.keys() == expected.keys()
    for pair, room in found.items():
        assert room in expected[pair]
        assert len(room) == min(map(len, expected[pair]))


@given(templates(most_params=3))
def test_ambiguity_is_exactly_a_room_with_two_readings(each: RoomTemplate) -> None:
    twofold = {room for room, ways in readings(each).items() if len(ways) > 1}
    room = find_template_ambiguity(each)
    if room is None:
        assert not twofold
    else:
        assert room in twofold
        assert len(room) == min(map(len, twofold))


@given(templates(most_params=3))
def test_an_example_is_a_shortest_room(each: RoomTemplate) -> None:
    rooms = readings(each)
    room = find_example(each.pattern, params_of(each))
    if room is None:
        assert not rooms
    else:
        assert room in rooms
        assert len(room) == min(map(len, rooms))


@given(st.lists(templates(), min_size=2, max_size=12))
def test_literals_never_tell_apart_what_shares_a_room(several: list[RoomTemplate]) -> None:
    several = [each for each in several if each.params]
    open_pairs = [tuple(sorted(pair)) for pair in find_compatible_pairs(several)]
    assert len(set(open_pairs)) == len(open_pairs)
    languages = [readings(each) for each in several]
    for left, right in combinations(range(len(several)), 2):
        if languages[left].keys() & languages[right].keys():
            assert (left, right) in open_pairs


# --- by example ---


@pytest.mark.parametrize(
    ("several", "found"),
    [
        ([template("user:{a}"), template("user:{b}")], [("user:{a}", "user:{b}", "user:a")]),
        (
            [template("user:{a}"), template("user:{n}", {"n": (1, None)})],
            [("user:{a}", "user:{n}", "user:1")],
        ),
        ([template("user:{a}"), template("user:ann")], []),  # a template without parameters wins
        ([template("user:{a}"), template("user:{a}:x")], []),
        ([template("{a}:{b}"), template("case:{c}")], [("{a}:{b}", "case:{c}", "case:a")]),
        ([template("{a}/x"), template("x/{b}")], [("{a}/x", "x/{b}", "x/x")]),
        ([template("n{a}", {"a": (7, 120)}), template("n{b}", {"b": (121, None)})], []),
        (
            [template("n{a}", {"a": (7, 120)}), template("n{b}", {"b": (120, 120)})],
            [("n{a}", "n{b}", "n120")],
        ),
        ([template("n{a}", {"a": (0, None)}), template("n{b}", {"b": ["00", "007", "-1", "1.0"]})], []),
        ([template("n{a}", {"a": (-9, None)}), template("n{b}", {"b": "-[0-9]"})], [("n{a}", "n{b}", "n-1")]),
        ([template("{a}", {"a": "[a-z]+"}), template("{b}", {"b": "[^a-z]+"})], []),
        (
            [template("{a}", {"a": "\u00e9[a-z]"}), template("{b}", {"b": "[^a]b"})],
            [("{a}", "{b}", "\u00e9b")],
        ),
        ([template("{a}", {"a": "x*"}), template("{b}", {"b": "y*"})], []),  # the empty string is no room
        ([template("a{{x}}"), template("a{x}")], []),
        ([template("a{{{x}"), template("a{y}", {"y": "[{]b"})], [("a{{{x}", "a{y}", "a{b")]),
    ],
)
def test_what_shares_a_room(several: Sequence[RoomTemplate], found: list[tuple[str, str, str]]) -> None:
    assert shared(*several) == found


def test_every_pair_is_told_with_the_template_that_stands_first() -> None:
    several = [template("{a}"), template("x{b}"), template("{c}y")]
    assert shared(*several) == [
        ("{a}", "x{b}", "xa"),
        ("{a}", "{c}y", "ay"),
        ("x{b}", "{c}y", "xy"),
    ]


def test_rooms_that_are_too_long_are_not_shared() -> None:
    long = template("a{x}", {"x": "[a-z]{200}[a-z]{60}"})
    assert shared(long, template("a{y}", {"y": "[a-z]+"})) == []
    assert find_example(long.pattern, params_of(long)) is None
    just = template("a{x}", {"x": "[a-z]{200}[a-z]{55}"})
    assert shared(just, template("a{y}", {"y": "[a-z]+"})) == [("a{x}", "a{y}", "a" * 256)]
    wide = [template("{x}", {"x": "[\u00e9\u00e8]{128}"}), template("{y}", {"y": "\u00e9+"})]
    assert shared(*wide) == [("{x}", "{y}", "\u00e9" * 128)]
    wider = [template("{x}a", {"x": "[\u00e9\u00e8]{128}"}), template("{y}a", {"y": "\u00e9+"})]
    assert shared(*wider) == []


@given(st.lists(templates(), min_size=2, max_size=6))
def test_an_example_is_a_room_that_is_read(several: list[RoomTemplate]) -> None:
    for left, right, room in find_conflicts(several):
        assert is_valid_room_name(room)
        for each in (left, right):
            assert (
                not each.params
                or ReaderFactory().build_reader(each, build_template_shape(each)).find(room) is not None
            )


@pytest.mark.parametrize(
    ("name", "params", "room"),
    [
        ("{a}:{b}", {}, None),
        ("{a}-{b}", {}, "a--a"),
        ("{a}{b}", {"a": "[a-z]{2}", "b": "[a-z]*"}, None),
        ("{a}{b}", {"a": "[a-z]+", "b": "[a-z]+"}, "aaa"),
        ("{a}{b}", {"a": "[a-z]*", "b": "[0-9]*"}, None),
        ("{a}{b}", {"a": "x*", "b": "x?"}, "x"),
        ("{n}{m}", {"n": (1, 9), "m": (0, 9)}, None),
        ("{n}{m}", {"n": (1, 12), "m": (0, 9)}, None),
        ("{n}{m}", {"n": (1, 12), "m": (0, 19)}, "110"),
        ("{n}-{m}", {"n": (-5, 5), "m": (-5, 5)}, None),
        ("{a}.{b}", {"a": ["x", "x.y"], "b": ["y.z", "z"]}, "x.y.z"),
        ("{a}{b}", {"a": "a{0,2}b?", "b": "b?c"}, "bc"),
        ("{a}x{b}", {"a": "[a-z]{126}", "b": "[a-z]{126}"}, None),
        (
            "{a}x{b}",
            {"a": "[a-z]{120,256}", "b": "[a-z]{120,256}"},
            "a" * 120 + "xx" + "a" * 120,
        ),
        ("{a}x{b}", {"a": "[a-z]{127,256}", "b": "[a-z]{128,256}"}, None),  # 257 bytes would be needed
    ],
)
def test_a_template_that_reads_a_room_in_two_ways(
    name: str, params: dict[str, Any], room: str | None
) -> None:
    found = find_template_ambiguity(template(name, params))
    assert (found is None) == (room is None)
    if found is not None and room is not None:
        assert len(found) == len(room)
        assert len(cuts(found, template(name, params))) > 1


def cuts(room: str, each: RoomTemplate) -> list[tuple[str, str]]:
    """Return the ways to read a room of a template with two parameters and no literal around them."""
    first, second = each.params
    delimiter = each.pattern[2]
    halves = [
        (room[:at], room[at + len(delimiter) :])
        for at in range(len(room) + 1)
        if room.startswith(delimiter, at)
    ]
    return [(left, right) for left, right in halves if fits(first, left) and fits(second, right)]


def fits(form: Param, value: str) -> bool:
    alone = structs.replace(template("<{p}>"), params=(structs.replace(form, name="p"),))
    return ReaderFactory().build_reader(alone, build_template_shape(alone)).find(f"<{value}>") is not None


def test_a_joined_string_is_judged_beyond_the_length_of_a_room() -> None:
    params = {"a": param("a"), "b": param("b")}
    long = "x" * 300
    assert find_ambiguity(text(f"{long}{{a}}-{{b}}"), params) == Ambiguity(f"{long}a--a")
    assert find_ambiguity(text("{a}:{b}"), params) is None
    assert find_ambiguity(text("{a}-{a}"), params) is None  # one value, twice: its length is known
    assert find_ambiguity(text("fixed"), params) is None


def test_the_templates_that_a_room_with_placeholders_can_belong_to() -> None:
    case = template("case:{tenant}:{n}", {"tenant": "[a-z]+", "n": (1, None)})
    other = template("{any}")
    lobby = template("lobby")
    params = {"t": param("t", "[a-z]{2}"), "n": param("n", (0, 5))}
    assert find_reached_templates(text("case:{t}:{n}"), params, [case, other, lobby]) == [case]
    assert find_reached_templates(text("{t}"), params, [case, other, lobby]) == [other]
    assert find_reached_templates(text("lobby"), params, [case, other, lobby]) == [other, lobby]
    assert find_reached_templates(text("case:{t}:x"), params, [case, other, lobby]) == []


@pytest.mark.parametrize(
    "form",
    [
        "t{i}:{{x}}",
        "{{x}}:t{i}",
        "{{x}}:t{i}:{{y}}",
        "{{w}}:{{x}}/t{i}/{{y}}.{{z}}",
        "t{i}-{{x}}",
        "a{h}:{{x}}:b{j}",
        "{{w}}:a{h}:{{x}}:b{j}:{{z}}",
    ],
)
def test_thousands_of_templates_with_literals_of_their_own_are_told_apart_by_these(form: str) -> None:
    many = [template(form.format(i=i, h=i // 100, j=i % 100)) for i in range(3000)]
    assert list(find_compatible_pairs(many)) == []


def test_literals_without_a_delimiter_tell_templates_apart_too() -> None:
    letters = {"x": "[a-z]+", "y": "[a-z]{2,9}"}
    assert list(find_compatible_pairs([template(f"{{x}}{i}{{y}}", letters) for i in range(3000)])) == []
    assert list(find_compatible_pairs([template(f"room{i}{{x}}", letters) for i in range(3000)])) == []


@pytest.mark.parametrize("form", ["shard:{n}", "{a}:{n}", "{n}:{a}", "{n}.{m}"])
def test_thousands_of_templates_are_told_apart_by_ranges_of_integers(form: str) -> None:
    """Ranges side by side, in any order; and all the others where one goes over several."""
    letters, many = {"a": "[a-z]+", "m": (0, 9)}, 3000
    ranges = [(low * 100, low * 100 + 99) for low in range(many)]
    random.Random(7).shuffle(ranges)
    several = [template(form, {**letters, "n": each}) for each in ranges]
    assert list(find_compatible_pairs(several)) == []
    wide = template(form, {**letters, "n": (150, 420)})
    met = {at for at, (low, high) in enumerate(ranges) if low <= 420 and high >= 150}
    assert len(met) == 4
    found = list(map(frozenset, find_compatible_pairs([*several, wide])))
    assert len(found) == 4
    assert set(found) == {frozenset({at, many}) for at in met}


def test_integers_that_meet_in_one_place_may_be_apart_in_another() -> None:
    def of(n: tuple[int, int], m: tuple[int, int | None]) -> RoomTemplate:
        return template("{n}.{m}", {"n": n, "m": m})

    assert shared(of((0, 9), (0, 9)), of((0, 9), (10, None)), of((5, 9), (-9, -1))) == []
    both = [of((0, 9), (0, 9)), of((9, 12), (9, None))]
    assert shared(*both) == [("{n}.{m}", "{n}.{m}", "9.9")]


def test_integers_that_stand_side_by_side_tell_nothing_apart() -> None:
    """`10` is 1 and 0 to one of them, 10 and nothing to the other: there is no place to cut the room."""
    left = template("{n}{a}", {"n": (1, 9), "a": "[0-9]*"})
    right = template("{n}{a}", {"n": (10, 99), "a": "[0-9]*"})
    assert shared(left, right) == [("{n}{a}", "{n}{a}", "10")]


def test_a_template_that_could_be_many_does_not_spoil_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    def walked(each: RoomTemplate) -> None:
        pytest.fail(f"the literals of {each.name} tell it apart from all others")

    monkeypatch.setattr(overlap, "build_automaton", walked)
    many = [template(f"t{i}:{{x}}") for i in range(3000)]
    assert shared(*many, template("file:{path}", {"path": "[a-z:/]+"})) == []


@given(st.lists(templates(), min_size=2, max_size=12))
def test_dividing_templates_finds_the_same_pairs_as_comparing_each(several: list[RoomTemplate]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prefilter, "_FEW", len(several))
        compared = sorted(tuple(sorted(pair)) for pair in find_compatible_pairs(several))
        patch.setattr(prefilter, "_FEW", 0)
        divided = sorted(tuple(sorted(pair)) for pair in find_compatible_pairs(several))
    assert divided == compared


def test_templates_that_are_open_at_opposite_ends_are_all_compared() -> None:
    """No view distinguishes them: each on the left shares a room with each on the right."""
    letters = {"x": "[a-z0-9-]+"}
    left = [template(f"a{i}-{{x}}", letters) for i in range(10, 30)]
    right = [template(f"{{x}}-b{i}", letters) for i in range(10, 30)]
    pairs = {frozenset(pair) for pair in find_compatible_pairs([*left, *right])}
    assert pairs == {frozenset({i, 20 + j}) for i in range(20) for j in range(20)}
    room = shared(left[0], right[0])[0][2]
    assert room.startswith("a10-")
    assert room.endswith("-b10")


@pytest.mark.parametrize("parts", [("a\nb",), ("", "x", "\x7f")])
def test_a_text_with_characters_that_no_room_name_contains_matches_none(parts: tuple[str, ...]) -> None:
    assert find_example(parts, {"x": param("x")}) is None


def test_an_option_that_is_written_twice_is_one_option() -> None:
    options = param("x", ["", "a", "", "a"])
    assert find_example(text("<{x}>"), {"x": options}) == "<>"
    twice = [template("<{x}>{y}", {"x": ["", "a", "", "a"], "y": "[b]*"})]
    assert find_template_ambiguity(twice[0]) is None
