"""Where a name is declared, and where it is used, over all files."""

from __future__ import annotations

import pytest

from compartmentd.language.names import Location
from compartmentd.language.references import find_definitions, find_reference, find_references
from tests.support.editing import FILE, read_names, take_cursor

MAIN = """\
version: 1
include: [more.yaml]
issuers:
  corp: {issuer: x, audience: y, require: {rule: staff}}
rules:
  staff: {claim: roles, contains: staff}
  all: {any: [{rule: staff}, {rule: more}]}
namespaces:
  /chat:
    issuers: [corp]
    connect: {rule: staff}
    rooms:
      "case:{case}": {join: public}
      "case:open": {join: public, events: {rule: {volatile: true}}}
      "file:{case}:{doc}":
        params: {doc: {pattern: "[a-z]{1,8}"}}
        join: {member_of: "case:{case}"}
        publish: {claim: docs, contains: "{doc}"}
        auto_join: {case: cases, doc: docs}
"""
MORE = """\
rules:
  more: {all: [{rule: staff}, {not: {rule: all}}]}
namespaces:
  /two:
    connect: {issuer: corp}
    rooms:
      "case:{case}": {join: public}
      "two": {join: {member_of: case:open}}
"""
FILES = {FILE: MAIN, "more.yaml": MORE}


def show(location: Location) -> str:
    """Return a location as `file:line:text`, with lines from 1."""
    start, end = location.range
    line = FILES[location.file].split("\n")[start.line]
    return f"{location.file.partition('.')[0]}:{start.line + 1}:{line[start.column : end.column]}"


def ask(file: str, before: str, after: str, *, uses: bool) -> list[str] | None:
    """Ask about the position between two pieces of a file's text."""
    assert FILES[file].count(before + after) == 1
    _, position = take_cursor(FILES[file].replace(before + after, f"{before}|{after}"))
    names = read_names(MAIN, {"more.yaml": MORE})
    reference = find_reference(names.outlines[file], position)
    if reference is None:
        return None
    find = find_references if uses else find_definitions
    return [show(location) for location in find(reference, file, names)]


@pytest.mark.parametrize(
    ("file", "before", "after", "declared"),
    [
        (FILE, "connect: {rule: st", "aff}", ["compartments:6:staff"]),
        (FILE, "connect: {rule: ", "staff}", ["compartments:6:staff"]),
        (FILE, "connect: {rule: staff", "}", ["compartments:6:staff"]),
        (FILE, "connect: {ru", "le: staff}", None),
        (FILE, "  st", "aff: {claim", ["compartments:6:staff"]),
        (FILE, "{rule: mo", "re}", ["more:2:more"]),
        ("more.yaml", "[{rule: st", "aff}", ["compartments:6:staff"]),
        ("more.yaml", "{not: {rule: a", "ll}", ["compartments:7:all"]),
        (
            FILE,
            'member_of: "ca',
            'se:{case}"',
            ['compartments:13:"case:{case}"', 'compartments:14:"case:open"'],
        ),
        ("more.yaml", "member_of: ca", "se:open", ['more:7:"case:{case}"']),
        (FILE, 'contains: "{d', 'oc}"', ["compartments:16:doc"]),
        (FILE, 'member_of: "case:{ca', 'se}"', ['compartments:15:"file:{case}:{doc}"']),
        (FILE, "issuers: [co", "rp]", ["compartments:4:corp"]),
        ("more.yaml", "{issuer: co", "rp}", ["compartments:4:corp"]),
        (FILE, "require: {rule: st", "aff}", None),
        (FILE, "events: {ru", "le: {volatile", None),
        (FILE, "ver", "sion", None),
    ],
)
def test_where_a_name_is_declared(file: str, before: str, after: str, declared: list[str] | None) -> None:
    assert ask(file, before, after, uses=False) == declared


@pytest.mark.parametrize("room", ["case:{", "case:{1}", "nothing:{x}", "{a}{b}"])
def test_a_room_that_cannot_be_read_or_is_of_no_template_has_no_declaration(room: str) -> None:
    text = (
        MAIN.replace('member_of: "case:{case}"', f'member_of: "{room}"')
        .replace('"case:', '"kase:{')
        .replace("more", "")
    )
    _, position = take_cursor(text.replace("member_of: ", "member_of: |"))
    names = read_names(text)
    reference = find_reference(names.outlines[FILE], position)
    assert reference is not None
    assert find_definitions(reference, FILE, names) == []


@pytest.mark.parametrize(
    ("file", "before", "after", "used"),
    [
        (
            FILE,
            "  st",
            "aff: {claim",
            ["compartments:6:staff", "compartments:7:staff", "compartments:11:staff", "more:2:staff"],
        ),
        (
            FILE,
            '"case:',
            '{case}": {join',
            ['compartments:13:"case:{case}"', 'compartments:17:"case:{case}"'],
        ),
        (FILE, '"case:', 'open"', ['compartments:14:"case:open"', 'compartments:17:"case:{case}"']),
        ("more.yaml", '"ca', 'se:{case}": {join', ['more:7:"case:{case}"', "more:8:case:open"]),
        (FILE, '"fi', 'le:{case}:{doc}"', ['compartments:15:"file:{case}:{doc}"']),
        (FILE, "issuers: [co", "rp]", ["compartments:4:corp", "compartments:10:corp", "more:5:corp"]),
        (
            FILE,
            "connect: {rule: st",
            "aff}",
            ["compartments:6:staff", "compartments:7:staff", "compartments:11:staff", "more:2:staff"],
        ),
    ],
)
def test_where_a_name_is_used(file: str, before: str, after: str, used: list[str]) -> None:
    assert ask(file, before, after, uses=True) == used
