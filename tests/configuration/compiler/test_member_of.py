"""Rooms behind rooms: what a `member_of` leads to, and circles, also in large configurations."""

from __future__ import annotations

from compartmentd.configuration.compiler import load
from tests.support.cases import InMemory


def codes(rooms: str) -> list[str]:
    text = f"version: 1\nnamespaces:\n  /:\n    connect: public\n    rooms:\n{rooms}"
    return [problem.code for problem in load("c.yaml", InMemory({"c.yaml": text.encode()})).problems]


def chain(length: int, last: str) -> str:
    links = [f'      "room{n}:{{x}}": {{join: {{member_of: "room{n + 1}:{{x}}"}}}}\n' for n in range(length)]
    return "".join(links) + f'      "room{length}:{{x}}": {{join: {last}}}\n'


def test_a_chain_longer_than_the_stack():
    assert codes(chain(1500, "public")) == []


def test_a_circle_longer_than_the_stack():
    assert codes(chain(1500, '{member_of: "room0:{x}"}')) == ["member-of.cycle"]


def test_a_room_that_is_reached_on_two_ways_is_no_circle():
    assert codes(
        "      a: {join: {all: [{member_of: b}, {member_of: c}]}}\n"
        "      b: {join: {member_of: d}}\n"
        "      c: {join: {member_of: d}}\n"
        "      d: {join: public}\n"
    ) == []  # fmt: skip


def test_a_placeholder_reaches_every_template_that_it_can_fill():
    # `x:{p}` can be `x:lobby`, which has a template of its own, and any `x:{q}`.
    found = codes(
        '      "start:{p}": {join: {member_of: "x:{p}"}}\n'
        '      "x:{q}": {join: public}\n'
        '      "x:lobby": {join: {member_of: "start:a"}}\n'
    )
    assert found == ["member-of.cycle"]


def test_a_template_with_a_shorter_literal_is_found():
    assert codes('      "{any}": {join: public}\n      "start:x:y": {join: {member_of: "other"}}\n') == []
