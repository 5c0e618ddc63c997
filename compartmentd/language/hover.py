"""Says what stands at a position: a key's description, a named rule's body, a template's parameters."""

from __future__ import annotations

from textwrap import dedent
from typing import NamedTuple

from compartmentd.language.grammar import find_place, list_values
from compartmentd.language.names import (
    Declared,
    Names,
    describe_param,
    find_example_room,
    find_template,
    list_template_params,
)
from compartmentd.language.outline import OutlinePart, Position, Range
from compartmentd.language.references import Reference, find_part, find_reference, find_rooms

_SHOWN_LINES = 20
"""Lines of a rule's body that are shown; the definition has the others."""


class Hover(NamedTuple):
    """Markdown about a range of the file."""

    text: str
    range: Range


def find_hover(
    root: OutlinePart, position: Position, names: Names, *, included: bool = False
) -> Hover | None:
    """Return what is known about a position of a file, or `None`.

    Args:
        root: The outline of the file.
        position: Where the pointer is.
        names: The names of the configuration, this file's among them.
        included: Whether it is a file that `include` names.
    """
    reference = find_reference(root, position)
    if reference is not None and (text := _describe_reference(reference, names)):
        return Hover(text, reference.range)
    found = find_part(root, position)
    if found is None:
        return None
    part, on_key = found
    place = find_place(part.path, included=included)
    if place is None:
        return None
    if not on_key:
        meanings = dict(list_values(place))
        if meanings.get(part.text):
            return Hover(f"`{part.text}`: {meanings[part.text]}", part.range)
    return Hover(place.description, part.key_range if on_key else part.range) if place.description else None


def _describe_reference(reference: Reference, names: Names) -> str:
    match reference.kind:
        case "rule":
            rule = names.find_rule(reference.name)
            return "" if rule is None else describe_rule_body(rule, names)
        case "room":
            if reference.declares:
                return describe_template(reference.part)
            return "\n\n".join(describe_template(room.part) for room in find_rooms(reference, names))
        case "issuer":
            entry = names.find_issuer(reference.name)
            return "" if entry is None else f"Issuer entry `{entry.name}`\n\n{_show_source(entry, names)}"
    inside = find_template(reference.part)
    if inside is None or reference.name not in list_template_params(inside[1]):
        return ""
    return f"Parameter `{reference.name}` of `{inside[1].key}`: {describe_param(inside[1], reference.name)}"


def describe_rule_body(rule: Declared, names: Names) -> str:
    """Return a named rule as it is written."""
    return f"Rule `{rule.name}`\n\n{_show_source(rule, names)}"


def describe_template(template: OutlinePart, *, example: bool = True) -> str:
    """Return a template's name, its description, each parameter with its form, and an example of a room."""
    lines = [f"Room template `{template.key}`"]
    described = template.get("description")
    if described is not None and described.text:
        lines.append(described.text)
    lines += [f"- `{name}`: {describe_param(template, name)}" for name in list_template_params(template)]
    if example and list_template_params(template) and (room := find_example_room(template)) is not None:
        lines.append(f"For example `{room}`.")
    return "\n\n".join(lines)


def _show_source(declared: Declared, names: Names) -> str:
    lines = names.lines[declared.file]
    first, last = declared.part.key_range.start.line, find_end(declared.part).line
    shown = [line.rstrip() for line in lines[first : last + 1]]
    if len(shown) > _SHOWN_LINES:
        shown = [*shown[:_SHOWN_LINES], "…"]
    return f"```yaml\n{dedent(chr(10).join(shown))}\n```"


def find_end(part: OutlinePart) -> Position:
    """Return the end of a part with everything below it."""
    return max(each.range.end for each in part.walk())
