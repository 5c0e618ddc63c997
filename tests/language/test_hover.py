"""What is said about a position."""

from __future__ import annotations

import pytest

from compartmentd.language.hover import find_hover
from tests.support.editing import FILE, read_names, take_cursor

ROOM = """\
version: 1
rules:
  # of the house
  staff:
    claim: roles
    contains: staff
issuers:
  corp: {{issuer: x, audience: y}}
namespaces:
  /chat:
    issuers: [corp]
    connect: authenticated
    rooms:
      "case:{{case}}":
        description: One for each case.
        params: {{case: {{integer: {{min: 10, max: 99}}}}}}
        join: {{rule: staff}}
      "file:{{case}}:{{doc}}":
        params: {{doc: {{one_of: [a, b]}}}}
        {}
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("server:\n  ping_|interval: 5s", ["How often a connection is pinged", "Default: `25s`"]),
        ("server:\n  ping_interval: |5s", ["How often a connection is pinged"]),
        ("server:\n  |ping_interval", ["Where the daemon listens"]),
        ("issuers:\n  corp:\n    pre|set: keycloak\n    issuer", ["The vendor whose tokens these are"]),
        ("namespaces:\n  /chat:\n    conn|ect: ", ["Who may have a session here"]),
        ("namespaces:\n  /chat:\n    connect: au|thenticated", ["`authenticated`: ", "token was accepted"]),
        ("rules:\n  |staff:\n    scope: x\n\n  b: public\n", ["Rule `staff`", "staff:\n  scope: x\n```"]),
        ("hook|s: {}", None),
        ("un|known: 1", None),
        ("version: 1\n|\n", None),
        (ROOM.format("join: {rule: st|aff}"), ["Rule `staff`", "claim: roles\n  contains: staff"]),
        (ROOM.format("join: {rule: no|ne}"), ["The named rule of `rules`"]),
        (ROOM.format("join: {scope: x, |}").replace('"case:', '"ca|se:', 1), ["template `case:{case}`"]),
        (
            ROOM.format('join: {member_of: "ca|se:{case}"}'),
            ["One for each case", "min: 10", "For example `case:"],
        ),
        (ROOM.format('join: {scope: "read:{d|oc}"}'), ["Parameter `doc`", "one_of `a, b`"]),
        (ROOM.format('join: {scope: "read:{c|ase}"}'), ["Parameter `case`", "the default"]),
        (ROOM.format("join: {param: d|oc, equals: a}"), ["Parameter `doc`", "one_of `a, b`"]),
        (ROOM.format("join: public").replace("[corp]", "[co|rp]"), ["Issuer entry `corp`", "audience: y"]),
        (ROOM.format("jo|in: {rule"), ["Who may be in the room"]),
    ],
)
def test_it_says_what_stands_there(text: str, words: list[str] | None) -> None:
    plain, position = take_cursor(text)
    plain = plain.replace("|", "")
    names = read_names(plain)
    found = find_hover(names.outlines[FILE], position, names)
    if words is None:
        assert found is None
    else:
        assert found is not None
        assert all(word in found.text for word in words), found.text
        assert found.range.start <= position <= found.range.end


def test_a_long_rule_is_cut() -> None:
    text = "rules:\n  long:\n    any:\n" + "".join(f"      - {{scope: s{number}}}\n" for number in range(100))
    names = read_names(text)
    found = find_hover(names.outlines[FILE], take_cursor("rules:\n  l|")[1], names)
    assert found is not None
    assert "s17" in found.text
    assert "s18" not in found.text
    assert "…" in found.text


def test_an_example_of_a_room_is_one_of_the_template() -> None:
    text = ROOM.format('join: {member_of: "ca|se:{case}"}')
    plain, position = take_cursor(text)
    names = read_names(plain)
    found = find_hover(names.outlines[FILE], position, names)
    assert found is not None
    assert "For example `case:10`." in found.text
