"""Finds where a value stands in a JSON text that another reader accepted; used only for messages."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from urllib.parse import unquote

_SPACE = re.compile(r"[ \t\r\n]*")
_DECODER = json.JSONDecoder()


def find_json_position(text: str, pointer: Sequence[str | int]) -> tuple[int, int]:
    """Return the line and column, from 1, of the value at a path of names and indices.

    A path that leads out of the text gives the last value on it. A path through a reference (`$ref`) to another
    part of the text leads to that part.
    """
    at = _skip_space(text, 0)
    for number, step in enumerate(pointer):
        found = _find_member(text, at, step)
        if found is None:
            if number and pointer[number - 1] == "$ref" and (target := _read_reference(text, at)):
                return find_json_position(text, (*target, *pointer[number:]))
            break
        at = found
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def _read_reference(text: str, at: int) -> list[str | int]:
    """Return the path that a reference in the text names; empty if it names none by its path."""
    reference, _ = _DECODER.raw_decode(text, at)
    if not isinstance(reference, str) or not reference.startswith("#/"):
        return []
    steps = (unquote(step).replace("~1", "/").replace("~0", "~") for step in reference[2:].split("/"))
    return [int(step) if step.isdecimal() else step for step in steps]


def _find_member(text: str, at: int, step: str | int) -> int | None:
    opening = text[at : at + 1]
    if opening not in ("{", "["):
        return None
    index = 0
    at = _skip_space(text, at + 1)
    while at < len(text) and text[at] not in "]}":
        name: str | int = index
        if opening == "{":
            name, at = _DECODER.raw_decode(text, at)
            at = _skip_space(text, _skip_space(text, at) + 1)
        if name == step:
            return at
        _, at = _DECODER.raw_decode(text, at)
        at = _skip_space(text, at)
        at = _skip_space(text, at + 1) if text[at : at + 1] == "," else at
        index += 1
    return None


def _skip_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()
