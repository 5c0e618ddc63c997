from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import assume, given, strategies as st

from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.templates import dispatch as dispatch_module, matching
from compartmentd.policy.templates.dispatch import Dispatch, run_to_end
from compartmentd.policy.templates.matching import (
    CuttingReader,
    Match,
    RegexReader,
    Signature,
    SingleParameterReader,
)
from compartmentd.policy.templates.shape import build_template_shape
from tests.support.languages import readings, templates
from tests.support.policies import template


def found(dispatch: Dispatch, room: str) -> tuple[str, tuple[str, ...]] | None:
    match = dispatch.find(room)
    return None if match is None else (match.template.name, match.values)


def without_conflicts(several: list[RoomTemplate]) -> list[RoomTemplate]:
    """Return the templates that a configuration could hold together."""
    kept: list[RoomTemplate] = []
    languages: dict[str, set[str]] = {}
    for each in several:
        ways = readings(each)
        if any(len(values) > 1 for values in ways.values()) or each.name in languages:
            continue
        clash = any(
            languages[other.name] & ways.keys() for other in kept if bool(other.params) == bool(each.params)
        )
        if not clash:
            kept.append(each)
            languages[each.name] = set(ways)
    return kept


@given(st.lists(templates(), min_size=1, max_size=20), st.lists(st.text("ab1:-", max_size=6), max_size=20))
def test_dispatch_finds_what_a_look_at_every_template_finds(
    several: list[RoomTemplate], rooms: list[str]
) -> None:
    several = without_conflicts(several)
    assume(several)
    languages = {each.name: readings(each) for each in several}
    dispatch = Dispatch.build(several)
    for room in {*rooms, *(room for language in languages.values() for room in language)}:
        expected = None
        for each in sorted(several, key=lambda each: bool(each.params)):  # one without parameters wins
            if expected is None and room in languages[each.name]:
                (values,) = languages[each.name][room]
                expected = (each.name, values)
        assert found(dispatch, room) == expected


@given(templates(most_params=3), st.lists(st.text("ab1:-", max_size=8), max_size=10))
def test_cutting_and_searching_read_the_same(each: RoomTemplate, rooms: list[str]) -> None:
    assume(each.params)
    reader = matching.ReaderFactory().build_reader(each, build_template_shape(each))
    assume(isinstance(reader, (SingleParameterReader, CuttingReader)))
    searching = RegexReader(each, Signature.from_params(each.params))
    for room in {*rooms, *readings(each)}:
        assert searching.find(room) == reader.find(room)


@pytest.mark.parametrize(
    ("name", "params", "room", "values"),
    [
        ("case:{tenant}:{case}", {"tenant": "[a-z]{2,12}", "case": (1, None)}, "case:acme:7", ("acme", "7")),
        ("case:{tenant}:{case}", {"tenant": "[a-z]{2,12}", "case": (1, None)}, "case:acme:007", None),
        ("case:{tenant}:{case}", {"tenant": "[a-z]{2,12}", "case": (1, None)}, "case:acme:0", None),
        ("case:{tenant}:{case}", {"tenant": "[a-z]{2,12}", "case": (1, None)}, "case:acme:7:", None),
        ("user:{user}", {}, "user:auth0|x.y@z", ("auth0|x.y@z",)),
        ("user:{user}", {}, "user:", None),
        ("user:{user}", {}, "user:a\n", None),
        ("user:{user}", {}, "user:" + "x" * 129, None),
        ("{a}/{b}", {"a": "[^/]*", "b": "[^/]+"}, "/\u00e9\U0001f600", ("", "\u00e9\U0001f600")),
        ("{a}/{b}", {"a": "[^/]*", "b": "[^/]+"}, "a/b/c", None),
        ("{a}{b}", {"a": "[a-z]{2}", "b": "[a-z\u00e9]*"}, "abcd\u00e9", ("ab", "cd\u00e9")),
        ("{n}{m}", {"n": (1, 9), "m": (0, 99)}, "110", ("1", "10")),  # 11 and 0 is no reading: n ends at 9
        ("{n}{s}", {"n": (10, 99), "s": ["", "0"]}, "100", ("10", "0")),
        ("{a}.{b}", {"a": ["x.y", "z"], "b": ["z", "w"]}, "x.y.w", ("x.y", "w")),
        ("{a}({b}", {"a": "[(]x", "b": "x"}, "(x(x", ("(x", "x")),
        ("[{a}].*{b}", {"a": "a+", "b": "b?"}, "[aa].*", ("aa", "")),
        ("{a}aa{b}", {"a": "b*", "b": "[ab]*"}, "baab", ("b", "b")),
        ("{a}{b}", {"a": ["\\d", "+"], "b": "[0-9]"}, "\\d1", ("\\d", "1")),
    ],
)
def test_the_values_of_a_room(
    name: str, params: dict[str, object], room: str, values: tuple[str, ...] | None
) -> None:
    match = Dispatch.build([template(name, params)]).find(room)
    assert (None if match is None else match.values) == values


def test_values_stand_in_the_order_of_the_parameters_however_these_are_listed() -> None:
    each = template("{a}:{b}")
    each = RoomTemplate(
        **{field: getattr(each, field) for field in each.__struct_fields__} | {"params": each.params[::-1]}
    )
    assert Dispatch.build([each]).find("x:y") == Match(each, ("y", "x"), Signature.from_params(each.params))


def test_a_template_without_parameters_wins() -> None:
    dispatch = Dispatch.build([template("{any}"), template("lobby"), template("team-{t}")])
    assert found(dispatch, "lobby") == ("lobby", ())
    assert found(dispatch, "lobby2") == ("{any}", ("lobby2",))
    assert found(Dispatch.build([]), "lobby") is None


@pytest.mark.parametrize("room", ["", "a\n", "\ud800", "x" * 257, "\u00e9" * 129, "\x00"])
def test_what_is_no_room_name_is_no_room(room: str) -> None:
    dispatch = Dispatch.build(
        [template("{any}", {"any": "[^:]*"}), template("{a}:{b}", {"a": "[^:]*", "b": "[^:]*"})]
    )
    assert dispatch.find(room) is None


LARGE = 6000


@pytest.mark.parametrize(
    ("name", "room"),
    [
        ("t{i}:{{x}}", "t{i}:abc"),
        ("{{x}}:t{i}", "abc:t{i}"),
        ("{{x}}:t{i}:{{y}}", "abc:t{i}:d"),
        ("t{i}-{{x}}", "t{i}-a-b"),
        ("{{x}}/a{h}/{{y}}/b{j}", "x/a{h}/y.z/b{j}"),
    ],
)
def test_of_many_templates_hardly_any_is_looked_at(
    monkeypatch: pytest.MonkeyPatch, name: str, room: str
) -> None:
    many = [template(name.format(i=i, h=i // 150, j=i % 150)) for i in range(LARGE)]
    many.append(template("file/{path}", {"path": "[a-z:.-]+"}))
    dispatch = Dispatch.build(many)
    looked = []
    for kind in (SingleParameterReader, CuttingReader, RegexReader):
        real = kind.find
        monkeypatch.setattr(
            kind, "find", lambda self, room, real=real: looked.append(self) or real(self, room)
        )
    for i in range(0, LARGE, 377):
        looked.clear()
        match = dispatch.find(room.format(i=i, h=i // 150, j=i % 150))
        assert match is not None
        assert match.template is many[i]
        assert 1 <= len(looked) <= 5


def test_templates_of_several_forms_in_turns_are_told_apart_as_quickly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    forms = ["t{i}:{{x}}", "{{x}}:t{i}:{{y}}", "t{i}-{{x}}", "{{x}}:a{h}:{{y}}:b{j}:{{z}}"]
    rooms = ["t{i}:abc", "abc:t{i}:d", "t{i}-a-b", "x:a{h}:y.z:b{j}:w"]
    count = 1000  # of which every fourth, as a sample might take them, would be of one form
    many = [template(forms[i % 4].format(i=i, h=i // 150, j=i % 150)) for i in range(count)]
    dispatch = Dispatch.build(many)
    branches = []
    real = dispatch_module._Branch.find
    monkeypatch.setattr(
        dispatch_module._Branch, "find", lambda self, room: branches.append(self) or real(self, room)
    )
    for i in range(0, count, 77):
        branches.clear()
        match = dispatch.find(rooms[i % 4].format(i=i, h=i // 150, j=i % 150))
        assert match is not None
        assert match.template is many[i]
        assert 1 <= len(branches) <= 2


def test_building_pauses_often_and_ends_as_if_it_had_not() -> None:
    many = [template(f"t{i}:{{x}}") for i in range(1000)] + [template(f"s{i}") for i in range(1000)]
    building = Dispatch.build_in_slices(many)
    pauses = 0
    while True:
        try:
            next(building)
        except StopIteration as done:
            dispatch = done.value
            break
        pauses += 1
    assert pauses >= len(many) // 100
    for room in ("t7:a", "s7", "t1000:a", "t7"):
        assert dispatch.find(room) == run_to_end(Dispatch.build_in_slices(many)).find(room)


def test_templates_that_no_literal_tells_apart_are_all_looked_at() -> None:
    ranges = [template(f"{{n{i}}}", {f"n{i}": (i * 10, i * 10 + 9)}) for i in range(30)]
    dispatch = Dispatch.build(ranges)
    assert [found(dispatch, str(i * 10 + 5)) for i in range(30)] == [
        (f"{{n{i}}}", (str(i * 10 + 5),)) for i in range(30)
    ]
    assert found(dispatch, "300") is None


def test_a_hundred_kinds_of_room_side_by_side() -> None:
    several = [
        template(f"{prefix}{{a}}{middle}k{i}{{b}}", {"a": "[a-z]+", "b": "[0-9]+"})
        for i, (prefix, middle) in enumerate(
            combinations([":", "/", ".", "-", "_", "|", "@", "!", "#", "~"], 2)
        )
    ]
    dispatch = Dispatch.build(several)
    for each in several:
        room = f"{each.pattern[0]}abc{each.pattern[2]}1"
        match = dispatch.find(room)
        assert match is not None
        assert match.template is each


def test_an_integer_parameter_without_integers_has_no_room() -> None:
    none = template("a{n}{m}", {"n": (5, 4), "m": "[0-9]?"})
    dispatch = Dispatch.build([none])
    for room in ("a", "a1", "a12", "a45"):
        assert dispatch.find(room) is None


def test_the_parts_of_a_dispatch_are_its_names_and_all_nodes_of_its_tree() -> None:
    """They are freed a few at a time, so none may be left out."""
    plain = [template(f"lobby{i}") for i in range(3)]
    many = [template(f"{kind}{i}:{{x}}") for kind in ("team", "case") for i in range(20)]
    parts = list(Dispatch.build([*plain, *many]).iter_parts())
    assert {part[0] for part in parts if isinstance(part, tuple)} == {"lobby0", "lobby1", "lobby2"}
    readers = {part.template.name for part in parts if isinstance(part, SingleParameterReader)}
    assert readers == {each.name for each in many}
