"""Fuzz targets of the decision core: patterns, templates of rooms, and rules, each beside a naive twin."""

from __future__ import annotations

from itertools import combinations
from typing import Any

from msgspec.structs import replace

from compartmentd.names import RoomName
from compartmentd.policy.decide import decide
from compartmentd.policy.decision import Connect, Decision, Facts, Join, Publish
from compartmentd.policy.model import CharClass, PatternParam, RoomTemplate
from compartmentd.policy.principal import ANONYMOUS, Principal
from compartmentd.policy.templates.charset import is_valid_room_name
from compartmentd.policy.templates.dispatch import Dispatch, run_to_end
from compartmentd.policy.templates.matching import ReaderFactory
from compartmentd.policy.templates.overlap import find_conflicts, find_example, find_template_ambiguity
from compartmentd.policy.templates.pattern import PatternProblem, parse_pattern
from compartmentd.policy.templates.shape import build_template_shape
from tests.fuzz.choices import Choices
from tests.support import naive
from tests.support.languages import readings
from tests.support.policies import HALL, NOW, person, ruleset, span, template

# --- patterns ---


def pattern_text(data: bytes) -> None:
    """Parse any text as a pattern; one that is taken matches what a matcher that tries everything matches."""
    choices = Choices(data)
    values = choices.some(4, lambda: choices.text(12))
    text = choices.rest().decode("utf-8", "replace")
    items = parse_pattern(text)
    if isinstance(items, PatternProblem):
        assert 0 <= items.offset <= len(text)
        assert items.message
        assert items.help
        return
    param = PatternParam(name="p", items=items, span=span())
    made = replace(template("x:{p}"), params=(param,))
    reader = ReaderFactory().build_reader(made, build_template_shape(made))
    for value in values:
        room = f"x:{value}"
        if is_valid_room_name(room):
            assert (reader.find(room) is not None) == match_naively(items, value)
    example = find_example(made.pattern, {"p": param})
    if example is not None:
        found = reader.find(example)
        assert found is not None
        assert match_naively(items, found.values[0])


def match_naively(items: tuple[CharClass, ...], value: str) -> bool:
    """Return whether a value is a sequence of these items, by keeping every position that can be reached."""
    ends = {0}
    for item in items:
        most = len(value) if item.most is None else item.most
        reached = set()
        for start in ends:
            at = start
            for count in range(most + 1):
                if count >= item.least:
                    reached.add(at)
                if at == len(value) or not any(low <= ord(value[at]) <= high for low, high in item.ranges):
                    break
                at += 1
        ends = reached
    return len(value) in ends


# --- templates ---

_CLASSES = ("a", "b", "1", ":", "[ab]", "[a1]", "[b:]", "[ab1:]")
_COUNTS = ("", "", "?", "{2}", "{0,2}", "{1,2}")
_LITERALS = ("", "", "a", "b", ":", "1", "a:", ":a", "ab", "-")
_VALUES = ("", "a", "b", "ab", "a:", "1", "11", ":")
_LETTERS = "ab1:-x"


def templates(data: bytes) -> None:
    """Find the templates of rooms; all that the templates can match is written down, and says what is right."""
    choices = Choices(data)
    several = [_draw_template(choices) for _ in range(1 + choices.number(4))]
    languages = [readings(each) for each in several]
    for each, language in zip(several, languages, strict=True):
        twofold = {room for room, ways in language.items() if len(ways) > 1}
        found = find_template_ambiguity(each)
        assert (found is None) == (not twofold)
        assert found is None or found in twofold
    conflicts = {(id(left), id(right)): room for left, right, room in find_conflicts(several)}
    for left, right in combinations(range(len(several)), 2):
        common = languages[left].keys() & languages[right].keys()
        if bool(several[left].params) == bool(several[right].params) and several[left].params:
            room = conflicts.get((id(several[left]), id(several[right])))
            assert (room is None) == (not common)
            assert room is None or room in common
    if not conflicts and not any(find_template_ambiguity(each) for each in several):
        _check_dispatch(several, languages, choices)


def _draw_template(choices: Choices) -> RoomTemplate:
    name, params = choices.one_of(_LITERALS), {}
    for index in range(choices.number(3)):
        params[f"p{index}"] = _draw_param(choices)
        name += f"{{p{index}}}{choices.one_of(_LITERALS)}"
    return template(name or "lone", params)


def _draw_param(choices: Choices) -> Any:
    kind = choices.number(4)
    if kind == 0:
        return [*dict.fromkeys(choices.one_of(_VALUES) for _ in range(1 + choices.number(3)))]
    if kind == 1:
        return (choices.number(14) - 2, choices.number(14) - 1)
    return "".join(choices.one_of(_CLASSES) + choices.one_of(_COUNTS) for _ in range(1 + choices.number(2)))


def _check_dispatch(
    several: list[RoomTemplate], languages: list[dict[str, set[tuple[str, ...]]]], choices: Choices
) -> None:
    if len({each.name for each in several if not each.params}) < sum(not each.params for each in several):
        return  # the same static room twice, which the compiler refuses
    dispatch = run_to_end(Dispatch.build_in_slices(several))
    rooms = ["".join(choices.one_of(_LETTERS) for _ in range(choices.number(8))) for _ in range(20)]
    rooms += [room for language in languages for room in list(language)[:40]]
    for room in rooms:
        matching = [each for each, language in zip(several, languages, strict=True) if room in language]
        static = [each for each in matching if not each.params]
        found = dispatch.find(room)
        if not matching:
            assert found is None, f"{room!r} matches {found}"
            continue
        [wanted] = static or matching
        assert found is not None
        assert found.template is wanted
        values = dict(zip(found.signature.names, found.values, strict=True))
        [reading] = languages[several.index(wanted)][room]
        assert values == dict(zip(wanted.pattern[1::2], reading, strict=True))


# --- rules ---

_ROOM_PARAMS = {"p": None, "q": "[a-z0-9.]+", "n": (-99, 99)}
_ROOM = "r/{p}/{q}/{n}"
_PARAM_VALUES = (("apollo", "a.b", 7), ("7", "7", 7), ("a", "a", -5), ("user|1", "acme", 0))
_SCOPES = ("a", "b:read", "{p}", "{n}", "x:{q}", "7")
_TEXTS = ("apollo", "acme", "7", "", "{p}", "{n}", "x{q}", "a")
_SCALARS = (*_TEXTS, 7, 7.0, -5, 0, 1.5, True, False)
_NAMES = ("tenant", "level", "projects", "sub", "o", "until", "scope", "_claim_names", "{p}")
_LEAVES = (
    "apollo",
    "acme",
    "7",
    "",
    "a",
    "a b:read",
    7,
    7.0,
    -5,
    0,
    1,
    1.5,
    True,
    False,
    None,
    NOW,
    NOW - 1,
    NOW + 1,
    2**70,
)
_WORDS = ("public", "authenticated", "nobody", "server")
_MEMBERSHIPS = ("r/apollo/a.b/7", "lobby", "team:7")


def rules(data: bytes) -> None:
    """Decide joins, publishes and connects by rules of any form, beside the naive evaluator of the rules."""
    choices = Choices(data)
    named = {name: _draw_rule(choices, 2, names=()) for name in ("one", "two")[: choices.number(3)]}
    form = _draw_rule(choices, 3, names=tuple(named))
    publish = _draw_rule(choices, 2, names=tuple(named))
    made = ruleset(template(_ROOM, _ROOM_PARAMS, join=form, publish=publish, events=["message"]), rules=named)
    params = dict(zip("pqn", choices.one_of(_PARAM_VALUES), strict=True))
    room = RoomName("r/{p}/{q}/{n}".format(**params))
    who, claims = _draw_person(choices)
    memberships = frozenset(choices.some(3, lambda: choices.one_of(_MEMBERSHIPS)))
    world = naive.World(
        claims=claims,
        scopes=who.scopes,
        scopes_uncertain=who.scopes_uncertain,
        params=params,
        memberships=memberships,
        rules=named,
        now=NOW,
    )
    for by_server in (False, True):
        world.by_server = by_server
        decision = decide(
            made, who, Join(HALL, room, by_server=by_server), Facts(memberships=memberships), NOW
        )
        _check(decision, naive.truth(form, world), who)
    world.by_server = False
    world.memberships = memberships | {room}
    decision = decide(made, who, Publish(HALL, room, "message"), Facts(memberships=world.memberships), NOW)
    _check(decision, naive.truth(publish, world), who)
    outside = decide(made, who, Publish(HALL, room, "message"), Facts(memberships=memberships - {room}), NOW)
    assert not outside.allowed, "someone who is not in the room publishes there"
    _check(decide(made, who, Connect(HALL), Facts(), NOW), truth=True, who=who)


def _check(decision: Decision, truth: naive.Truth, who: Principal) -> None:
    expired = who.ends_at is not None and who.ends_at <= NOW
    allowed = truth is True and not expired
    assert decision.allowed == allowed, (
        f"allowed: {decision.allowed}, the naive evaluator: {truth}, expired: {expired}"
    )
    assert decision.spans or expired, "a decision without a place in the file is one that failed"
    assert (decision.code is None) == decision.allowed
    assert expired or decision.valid_until is None or decision.valid_until > NOW


def _draw_person(choices: Choices) -> tuple[Principal, dict[str, Any] | None]:
    if choices.number(6) == 5:
        return ANONYMOUS, None
    claims = {choices.one_of(_NAMES): choices.json(_LEAVES, _NAMES) for _ in range(choices.number(6))}
    claims.pop("sub", None)
    who = person("ann", ends_at=choices.one_of((None, NOW + 1, NOW, None)), **claims)
    return who, {**who.claims}


def _draw_rule(choices: Choices, depth: int, names: tuple[str, ...]) -> Any:
    kind = choices.number(13) if depth else choices.number(8)
    if kind == 0:
        return choices.one_of(_WORDS)
    if kind == 1:
        return {"scope": choices.one_of(_SCOPES)}
    if kind == 2:
        word = choices.one_of(("all_scopes", "any_scope"))
        return {word: [choices.one_of(_SCOPES) for _ in range(1 + choices.number(3))]}
    if kind == 3:
        return {"member_of": choices.one_of((*_MEMBERSHIPS, "team:{n}", "r/{p}/{q}/{n}"))}
    if kind == 4 and choices.flag():
        return {"issuer": choices.one_of(("corp", "other", ["other", "corp"]))}
    if kind == 4:
        return {"param": choices.one_of("pqn"), **_draw_test(choices)}
    if kind < 8:
        return {"claim": _draw_path(choices), **_draw_test(choices)}
    if kind == 8:
        return {"not": _draw_rule(choices, depth - 1, names)}
    if kind == 9 and names:
        return {"rule": choices.one_of(names)}
    word = "all" if kind < 11 else "any"
    return {word: [_draw_rule(choices, depth - 1, names) for _ in range(1 + choices.number(3))]}


def _draw_path(choices: Choices) -> Any:
    if choices.flag():
        return choices.one_of(_NAMES[:-1])
    return [choices.one_of(_NAMES[:-1]), *(choices.one_of(_NAMES) for _ in range(choices.number(3)))]


def _draw_test(choices: Choices) -> dict[str, Any]:
    word = choices.one_of(
        (
            "equals",
            "one_of",
            "contains",
            "contains_any",
            "exists",
            "is",
            "at_least",
            "at_most",
            "matches",
            "equals",
        )
    )
    if word in {"one_of", "contains_any"}:
        return {word: [choices.one_of(_SCALARS) for _ in range(1 + choices.number(3))]}
    if word in {"equals", "contains"}:
        return {word: choices.one_of(_SCALARS)}
    if word == "exists":
        return {word: choices.flag()}
    if word == "is":
        return {word: choices.one_of(("past", "future"))}
    if word == "matches":
        return {word: choices.one_of(("[a-z]+", "7", "a.*", "", "[^x]*"))}
    return {word: choices.one_of((7, 7.0, -5, 0, 1.5, NOW))}
