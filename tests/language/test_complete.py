"""What is offered at a position, and what the text is after one is chosen; most texts are half typed."""

from __future__ import annotations

import pytest

from compartmentd.document.bundled import schema
from compartmentd.language.outline import MARK
from tests.support.editing import accept, complete

HEAD = """\
version: 1
issuers:
  corp: {issuer: x, audience: y}
rules:
  staff: {claim: roles, contains: staff}
  "on-call": {scope: on-call}
"""
ROOMS = """\
namespaces:
  /chat:
    connect: public
    rooms:
      "case:{case}": {join: public}
      "file:{case}:{doc}":
"""
TOP = {"version", "include", "server", "issuers", "rules", "limits", "namespaces", "log"}
KINDS = {"scope", "all_scopes", "any_scope", "claim", "param", "member_of", "all", "any", "not", "rule"}
WORDS = {"public", "authenticated", "nobody"}
TESTS = {"equals", "one_of", "matches", "contains", "contains_any", "at_least", "at_most", "exists", "is"}


def in_room(text: str) -> str:
    return f"{HEAD}{ROOMS}        {text}"


@pytest.mark.parametrize(
    ("text", "least", "never"),
    [
        ("|", TOP, {"hooks", "backplane", "invariants"}),
        ("ver|", TOP, set()),
        ("version: 1\n|", TOP - {"version"}, {"version"}),
        ("version: 1\n\n|\n\nrules:\n  a: public\n", TOP - {"version", "rules"}, {"rules"}),
        ("# a com|ment", set(), TOP),
        ("version: 1 # a com|ment", set(), TOP | {"1"}),
        ("version: |", {"1"}, TOP),
        (f"{HEAD}server:\n  |", {"listen", "watch"}, TOP),
        (f"{HEAD}server:\n  watch: true\n  li|\n  drain: 3s\n", {"listen"}, {"watch", "drain"}),
        (f"{HEAD}server: {{watch: true, |", {"listen"}, {"watch"}),
        (f"{HEAD}server:\n  watch: |", {"true", "false"}, {"listen"}),
        (f"{HEAD}server:\n  ping_interval: |", {"25s"}, {"unlimited"}),
        (f'{HEAD}limits:\n  message_rate: "|', {"50/s", "unlimited"}, set()),
        (f"{HEAD}server:\n  transports: [websocket, |]", {"polling"}, set()),
        (f"{HEAD}server:\n  tls:\n    |", {"cert", "key"}, {"listen"}),
        (f"{HEAD}hooks:\n  |", set(), TOP | {"url"}),
        (f"{HEAD}nothing:\n  of:\n    ours: |", set(), TOP | WORDS),
        ("issuers:\n  corp:\n    preset: |", {"keycloak", "entra"}, set()),
        ("issuers:\n  corp:\n    use: [|", {"connect", "admin"}, {"ticket"}),
        ("issuers:\n  corp:\n    use:\n      - |", {"connect", "admin"}, {"ticket"}),
        ("namespaces:\n  /chat:\n    |", {"connect", "rooms", "limits"}, {"join", "recovery"}),
        (
            "namespaces:\n  /chat:\n    connect: |",
            WORDS | KINDS - {"member_of"},
            {"member_of", "members", "server"},
        ),
        ("namespaces:\n  /chat:\n    publish: |", WORDS, {"members", "server"}),
        (
            "namespaces:\n  /chat:\n    issuers: [|]\nissuers:\n  corp: {}\n  old: {}\n",
            {"corp", "old"},
            {"other"},
        ),
        ("namespaces:\n  /chat:\n    issuers:\n      - |\nissuers:\n  corp: {}\n", {"corp"}, set()),
        (in_room("|"), {"join", "publish", "params", "events"}, {"connect", "presence"}),
        (in_room("join: |"), WORDS | KINDS | {"server"}, TESTS | {"members"}),
        (in_room("join: pub|"), WORDS, set()),
        (in_room("join: |\n        publish: members\n"), WORDS | KINDS, {"join"}),
        (in_room("join:\n          |"), WORDS | KINDS, TESTS),
        (in_room("join:\n          sc|\n        publish: members\n"), KINDS, TESTS),
        (in_room("join: {|"), KINDS, TESTS | WORDS),
        (in_room("join: {claim: x, |}"), TESTS, KINDS),
        (in_room("join: {claim: x, con|"), TESTS, KINDS),
        (in_room("join: {claim: x, equals: y, |}"), set(), TESTS | KINDS),
        (in_room("join: {scope: x, |}"), set(), TESTS | KINDS),
        (in_room("join: {equals: x, |}"), {"claim", "param"}, {"scope", "all", "is"}),
        (in_room("join:\n          claim: x\n          |"), TESTS, KINDS),
        (in_room("join: {claim: x, is: |"), {"past", "future"}, set()),
        (in_room("join: {claim: x, exists: |}"), {"true", "false"}, set()),
        (in_room("join: {all: [public, |"), WORDS | KINDS, {"members"}),
        (in_room("join:\n          all:\n            - |\n            - public\n"), WORDS | KINDS, set()),
        (
            in_room("join:\n          any:\n            - scope: a\n            - not: |\n"),
            WORDS | KINDS,
            set(),
        ),
        (in_room("publish: |"), WORDS | {"members"}, {"server", "member_of"}),
        (in_room("publish: {all: [|]}"), WORDS, {"members", "server"}),
        (in_room("events:\n          message: {publish: |}"), WORDS | {"members"}, {"server"}),
        (in_room("events:\n          message: {|}"), {"schema", "volatile", "publish"}, {"before"}),
        (in_room("echo: |"), {"true", "false"}, set()),
        (in_room("capacity: |"), {"200", "unlimited"}, set()),
        (in_room("limits: {|}"), {"message_rate"}, {"rooms_per_session"}),
        (in_room("join: {rule: |}"), {"staff", "on-call"}, {"other"}),
        (in_room("join: {rule: |\n        publish: members"), {"staff", "on-call"}, set()),
        (in_room("join:\n          rule: s|\n        publish: members"), {"staff", "on-call"}, set()),
        (in_room('join: {all: [{rule: "|'), {"staff", "on-call"}, set()),
        (f"{HEAD}  other: {{rule: |}}", {"staff", "on-call"}, {"other"}),
        (in_room("join: {param: |, equals: x}"), {"case", "doc"}, {"project"}),
        (in_room("join: {claim: x, contains: '{|'}"), {"case", "doc"}, set()),
        (in_room('join: {scope: "read:{c|'), {"case", "doc"}, set()),
        (in_room("join:\n          scope: read:{case}|"), {"chat:write"}, {"doc"}),
        (in_room("join: {claim: x, contains: {|}}"), {"{case}", "{doc}"}, set()),
        (in_room("join: {member_of: |}"), {"case:{case}"}, {"file:{case}:{doc}"}),
        (in_room("join:\n          member_of: ca|"), {"case:{case}"}, {"file:{case}:{doc}"}),
        (in_room("params: {|}"), {"case", "doc"}, set()),
        (in_room("params: {case: {integer: {}}, |}"), {"doc"}, {"case"}),
        (in_room("params:\n          case: {|}"), {"pattern", "integer", "one_of"}, set()),
        (in_room("params:\n          case: {pattern: x, |}"), set(), {"integer", "one_of"}),
        (in_room("auto_join:\n          |"), {"case", "doc"}, set()),
        (f"{HEAD}  other: {{param: |}}\n{ROOMS}        join: public\n", {"case", "doc"}, set()),
        (f"{HEAD}  other: {{member_of: |}}\n{ROOMS}        join: public\n", {"case:{case}"}, set()),
    ],
)
def test_it_offers_what_may_stand_there(text: str, least: set[str], never: set[str]) -> None:
    offered = set(complete(text))
    assert offered >= least
    assert not offered & never


OTHER = "rules:\n  editors: {scope: edit}\nnamespaces:\n  /chat/two:\n    connect: public\n"


def test_names_of_other_files_are_offered_and_those_of_other_namespaces_are_not() -> None:
    others = {"more.yaml": f'{OTHER}    rooms:\n      "two:{{x}}": {{join: public}}\n'}
    assert "editors" in complete(in_room("join: {rule: |}"), others)
    assert set(complete(in_room("join: {member_of: |}"), others)) == {"case:{case}"}


@pytest.mark.parametrize(
    ("text", "label", "after"),
    [
        ("ver|", "version", "version: "),
        ("server|", "server", "server:"),
        ("ser|: {watch: true}", "server", "server: {watch: true}"),
        ("server:\n  wat|", "watch", "server:\n  watch: "),
        ("server: {wat|}", "watch", "server: {watch: }"),
        ("server:\n  watch: fa|", "false", "server:\n  watch: false"),
        ('rules:\n  a: {scope: x}\n  b: {rule: "|"}', "a", 'rules:\n  a: {scope: x}\n  b: {rule: "a"}'),
        ('rules:\n  a: {scope: x}\n  b: {rule: "|', "a", 'rules:\n  a: {scope: x}\n  b: {rule: "a'),
        (in_room("join: {member_of: |}"), "case:{case}", in_room('join: {member_of: "case:{case}"}')),
        (in_room('join: {member_of: "ca|"}'), "case:{case}", in_room('join: {member_of: "case:{case}"}')),
        (in_room('join: {scope: "r:{|"}'), "case", in_room('join: {scope: "r:{case}"}')),
        (in_room('join: {scope: "r:{c|}"}'), "case", in_room('join: {scope: "r:{case}"}')),
        (in_room("join: {claim: x, contains: {|}}"), "{doc}", in_room('join: {claim: x, contains: "{doc}"}')),
        (in_room("join: {claim: x, contains: {d|"), "{doc}", in_room('join: {claim: x, contains: "{doc}"')),
        (in_room("join: nob|"), "nobody", in_room("join: nobody")),
        (in_room("join:\n          - nob|"), "nobody", None),
    ],
)
def test_the_text_after_one_is_chosen(text: str, label: str, after: str | None) -> None:
    if after is None:
        assert label not in complete(text)
    else:
        assert accept(text, label) == after


def test_a_key_has_its_description_and_default() -> None:
    item = complete("server:\n  ping|")["ping_interval"]
    written = schema()["$defs"]["server"]["properties"]["ping_interval"]
    assert item.documentation == f"{written['description']}\n\nDefault: `25s`."


def test_a_word_and_a_name_have_what_they_mean() -> None:
    offered = complete(in_room("join: |"))
    assert all(offered[word].documentation for word in WORDS | {"server"})
    assert "contains: staff" in complete(in_room("join: {rule: |}"))["staff"].documentation
    assert "`case`" in complete(in_room("join: {member_of: |}"))["case:{case}"].documentation


def test_a_condition_beside_its_key_has_places_to_fill_in() -> None:
    offered = complete(in_room("join: |"))
    assert offered["scope"].snippet == "{scope: $1\\}"
    assert offered["claim"].snippet == "{claim: $1, ${2:equals}: $3\\}"
    assert offered["all"].snippet == "{all: [$1]\\}"


def test_the_mark_is_in_nothing_that_is_offered() -> None:
    text = "rules:\n  a: {rule: |}\n  b: public\n"
    assert not any(MARK in item.insert or MARK in item.documentation for item in complete(text).values())
