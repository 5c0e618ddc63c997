"""What is read of a template: its parameters, their forms, and a room that it declares."""

from __future__ import annotations

import pytest

from compartmentd.language.names import describe_param, find_example_room, list_template_params
from tests.support.editing import read_names

FORM = 'namespaces:\n  /chat:\n    rooms:\n      "{name}":\n        params: {params}\n        join: public\n'


@pytest.mark.parametrize(
    ("name", "params", "names", "first", "room"),
    [
        ("lobby", "{}", (), "", "lobby"),
        ("a:{x}", "{}", ("x",), "the default", "a:"),
        ("a:{x}", "{x: {pattern: '[b]{2}'}}", ("x",), "pattern `[b]{2}`", "a:bb"),
        ("a:{x}", "{x: {pattern: '[b'}}", ("x",), "pattern `[b`", "a:"),
        ("a:{x}", "{x: {integer: {min: 12, max: 13}}}", ("x",), "min: 12, max: 13", "a:12"),
        ("a:{x}", "{x: {integer: {min: twelve, max: 3}}}", ("x",), "min: twelve", "a:0"),
        ("a:{x}:{y}", "{x: {one_of: [en]}, y: {one_of: [de, fr]}}", ("x", "y"), "one_of `en`", "a:en:"),
        ("a:{x", "{}", (), "", None),
    ],
)
def test_a_template(name: str, params: str, names: tuple[str, ...], first: str, room: str | None) -> None:
    text = FORM.replace("{name}", name).replace("{params}", params)
    [template] = read_names(text).list_templates("/chat")
    assert list_template_params(template.part) == names
    if names:
        assert first in describe_param(template.part, names[0])
    example = find_example_room(template.part)
    assert example is None if room is None else example is not None and example.startswith(room)
