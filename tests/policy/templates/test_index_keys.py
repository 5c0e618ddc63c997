from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from compartmentd.policy.model import RoomTemplate
from compartmentd.policy.templates.index_keys import ANY, Field, Rest, View, find_useful_views
from compartmentd.policy.templates.shape import build_template_shape
from tests.support.languages import readings, templates
from tests.support.policies import template

LETTERS = {"a": "[a-z]+", "b": "[a-z]+"}


@pytest.mark.parametrize(
    ("view", "room", "key"),
    [
        (Field("", 0, mirrored=False), "ab:c", "+ab:c\n"),
        (Field("", 0, mirrored=True), "ab:c", "+c:ba\n"),
        (Field(":", 0, mirrored=False), "ab:c", "+ab\n"),
        (Field(":", 1, mirrored=False), "ab:c:d", "+c\n"),
        (Field(":", 0, mirrored=True), "ab:cd", "+dc\n"),
        (Field(":", 1, mirrored=False), "ab:", "+\n"),
        (Field(":", 2, mirrored=False), "ab:c", "-\n"),
        (Rest(((97, 122),)), "ab:c7", "+:7\n"),
        (Rest(((45, 45), (91, 94))), "a[\\]^-b", "+ab\n"),
    ],
)
def test_the_key_of_a_room(view: View, room: str, key: str) -> None:
    assert view.compile_room_key()(room) == key


@pytest.mark.parametrize(
    ("view", "name", "params", "key"),
    [
        (Field("", 0, mirrored=False), "ab{a}:c", LETTERS, "+ab"),
        (Field("", 0, mirrored=True), "ab{a}:cd", LETTERS, "+dc:"),
        (Field(":", 0, mirrored=False), "x:{a}", LETTERS, "+x\n"),
        (Field(":", 0, mirrored=False), "x{a}:y", LETTERS, "+x"),
        (Field(":", 1, mirrored=False), "{a}:y:{b}", LETTERS, "+y\n"),
        (Field(":", 1, mirrored=False), "{a}:y{b}", LETTERS, "+y"),
        (Field(":", 1, mirrored=False), "{a}:y", LETTERS, "+y\n"),
        (Field(":", 2, mirrored=False), "{a}:y", LETTERS, "-\n"),
        (Field(":", 1, mirrored=True), "{a}:yz:{b}", LETTERS, "+zy\n"),
        (Field(":", 1, mirrored=False), "{a}:y:z", {"a": "[a-z:]+"}, ANY),
        (Field(":", 1, mirrored=True), "{a}:y:z", {"a": "[a-z:]+"}, "+y\n"),
        (Field(":", 0, mirrored=False), "x{a}:y", {"a": "[a-z:]+"}, "+x"),
        (Rest(((97, 122),)), "{a}7{b}x:", LETTERS, "+7:\n"),
        (Rest(((97, 122),)), "{a}7{b}", {"a": "[a-f]+", "b": "[a-z0-9]+"}, ANY),
    ],
)
def test_the_key_of_a_template(view: View, name: str, params: dict[str, Any], key: str) -> None:
    assert view.get_shape_key(build_template_shape(template(name, params))) == key


@given(templates(most_params=3), templates(most_params=3))
def test_the_key_of_each_room_begins_with_that_of_its_template(
    each: RoomTemplate, other: RoomTemplate
) -> None:
    shapes = [build_template_shape(each), build_template_shape(other)]
    for view in find_useful_views(shapes):
        key = view.get_shape_key(shapes[0])
        for room in readings(each):
            assert view.compile_room_key()(room).startswith(key)
